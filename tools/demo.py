"""Serve the example page, beside the service that it shows: `make demo`."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request

PORT = os.environ.get("PORT", "8080")
ADDRESS = "127.0.0.1"
# The page expects the service at port 8000 of the host that it comes from.
SERVICE_PORT = "8000"
SERVICE = [sys.executable, "main.py"]
PAGE = [sys.executable, "-m", "http.server", PORT, "--bind", ADDRESS, "-d", "examples"]


def main() -> None:
    """Start the page, and the service where none runs; end both when one of them ends."""
    if is_taken(PORT):
        sys.exit(f"Port {PORT} is taken: choose another, as in `make demo PORT=8081`.")
    commands = [PAGE]
    if not is_taken(SERVICE_PORT):
        commands.append(SERVICE)
    elif is_notes(SERVICE_PORT):
        print(f"The page uses the service that runs at http://{ADDRESS}:{SERVICE_PORT}/")
    else:
        sys.exit(f"Port {SERVICE_PORT}, the service's, is taken by another program.")
    print(f"The page: http://{ADDRESS}:{PORT}/", flush=True)
    run(commands)


def is_taken(port: str) -> bool:
    """Tell whether somebody listens on a port."""
    with socket.socket() as client:
        return client.connect_ex((ADDRESS, int(port))) == 0


def is_notes(port: str) -> bool:
    """Tell whether it is the service that answers at a port."""
    try:
        url = f"http://{ADDRESS}:{port}/openapi.json"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(json.load(answer)["info"]["title"] == "Notes")
    except (OSError, ValueError, LookupError, TypeError):
        return False


def run(commands: list[list[str]]) -> None:
    """Run programs until one of them ends, or until SIGINT or SIGTERM ends this one."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    variables = {**os.environ, "HOST": ADDRESS, "PORT": SERVICE_PORT}
    processes = [subprocess.Popen(command, env=variables) for command in commands]
    status = 0
    try:
        status = os.wait()[1]
    except KeyboardInterrupt:
        pass
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
