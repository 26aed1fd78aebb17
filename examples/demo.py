"""The core with bulk calls and live lists, and the page that uses them, at /demo/: `make demo`.

Extras add themselves when they are imported; this is how several go together.
"""

import os
import socket
import sys
from pathlib import Path

import uvicorn
from fastapi.staticfiles import StaticFiles

from examples import bulk, live  # noqa: F401  # each adds itself to the app
from main import app

app.mount("/demo", StaticFiles(directory=Path(__file__).parent, html=True))

if __name__ == "__main__":
    port = int(os.environ.get("PORT", "8080"))
    with socket.socket() as client:
        if client.connect_ex(("127.0.0.1", port)) == 0:
            sys.exit(f"Port {port} is taken: choose one, as in `make demo PORT=8081`.")
    print(f"The page: http://127.0.0.1:{port}/demo/", flush=True)
    uvicorn.run(app, port=port, proxy_headers=False, timeout_graceful_shutdown=5)
