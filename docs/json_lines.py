"""A configuration of gunicorn's: what it, uvicorn and the service log becomes lines of JSON."""

import json
import logging
from datetime import UTC, datetime
from typing import Any


class JSONFormatter(logging.Formatter):
    """Write a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a request has members of its own, and a bug its traceback."""
        time = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {"time": time.isoformat(timespec="milliseconds")}
        line["level"] = record.levelname.lower()
        line["process"] = record.process
        if record.name == "uvicorn.access" and isinstance(record.args, tuple):
            names = ("client", "method", "path", "http", "status")
            line |= zip(names, record.args, strict=True)
        else:
            line["message"] = record.getMessage()
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_to(handler: str) -> dict[str, Any]:
    """Return the configuration of a logger with one of gunicorn's own handlers."""
    return {"level": "INFO", "handlers": [handler], "propagate": False}


logconfig_dict = {
    "formatters": {"generic": {"()": JSONFormatter}},
    "loggers": {
        "gunicorn.error": log_to("error_console"),
        "gunicorn.access": log_to("console"),
    },
    # What is logged before the workers start.
    "root": {"level": "WARNING", "handlers": ["error_console"]},
}
