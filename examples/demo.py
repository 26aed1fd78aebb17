"""The core with bulk calls and live lists, and the page that uses them, at /demo/: `make demo`.

Extras add themselves when they are imported; this is how several go together.
"""

import socket
import sys
from contextlib import suppress
from pathlib import Path

import uvicorn
from fastapi.responses import FileResponse, RedirectResponse
from starlette.routing import Route

import main
from examples import bulk, live  # noqa: F401  # each adds itself to the app
from main import app, settings

PAGE = Path(__file__).with_name("index.html")
FRESH = {"Cache-Control": "no-cache"}

# The page asks for the key; what shows it needs none.
main.OPEN_PATHS |= {"/demo", "/demo/", "/demo/main.py"}
# Before the core's, which redirects to the documentation.
app.routes.insert(0, Route("/", RedirectResponse("demo/")))


@app.get("/demo/", include_in_schema=False)
async def show_page() -> FileResponse:
    """Return the page."""
    return FileResponse(PAGE, headers=FRESH)


@app.get("/demo/main.py", include_in_schema=False)
async def show_source() -> FileResponse:
    """Return the source of the service, which the page links to."""
    return FileResponse(main.__file__, media_type="text/plain", headers=FRESH)


class Server(uvicorn.Server):
    """A server whose last line at the start is the page's address."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        await super().startup(sockets)
        print(f"The page: http://127.0.0.1:{self.config.port}/demo/", flush=True)


if __name__ == "__main__":
    port = settings.PORT if "PORT" in settings.model_fields_set else 8080
    with socket.socket() as client:
        if client.connect_ex(("127.0.0.1", port)) == 0:
            sys.exit(f"Port {port} is taken: choose one, as in `make demo PORT=8081`.")
    options = uvicorn.Config(
        app, port=port, proxy_headers=False, timeout_graceful_shutdown=5
    )
    with suppress(KeyboardInterrupt):
        Server(options).run()
