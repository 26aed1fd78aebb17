"""What stands around the service in a fleet: a pooler, a standby, a balancer, a collector."""

import csv
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2

from tests.servers import Postgres, Service, free_port, is_listening, wait_until

PGBOUNCER = """
[databases]
* = host=127.0.0.1 port={server} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
"""

# Only reads are sent again after an empty answer: a write may have been done before it.
HAPROXY = """
global
    stats socket {admin} level admin
defaults
    mode http
    timeout connect 1s
    timeout client 95s
    timeout server 20s
    timeout check 2s
    option redispatch 1
    retries 3
    retry-on conn-failure empty-response
listen notes
    bind 127.0.0.1:{port}
    http-request disable-l7-retry unless METH_GET
    option httpchk GET /readyz
    default-server check inter 250ms fall 3 rise 1
"""


@contextmanager
def pgbouncer(server: Postgres, connections: int) -> Iterator[int]:
    """Lend the port of a pgbouncer in transaction mode, with that many connections to a server."""
    port = free_port()
    file = server.folder / f"pgbouncer-{port}.ini"
    file.write_text(
        PGBOUNCER.format(server=server.port, port=port, connections=connections)
    )
    uid, gid = server.user or (None, None)
    process = subprocess.Popen(
        ["pgbouncer", "--quiet", file],
        user=uid,
        group=gid,
        extra_groups=[] if server.user else None,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: is_listening(port), description="pgbouncer")
        yield port
    finally:
        process.terminate()
        process.wait()


@contextmanager
def standby(primary: Postgres) -> Iterator[Postgres]:
    """Lend a streaming standby of a running server."""
    server = Postgres()
    source = ("-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres")
    options = ("--write-recovery-conf", "--checkpoint=fast", "--no-sync")
    try:
        server.run_program("pg_basebackup", *source, f"--pgdata={server.data}", *options)
        yield server.start()
    finally:
        server.remove()


class Balancer(Service):
    """A haproxy before as many instances of the service as there are ports."""

    def __init__(self, folder: Path, *ports: int) -> None:
        self.admin, port = folder / "haproxy.sock", free_port()
        servers = [
            f"    server {instance_port} 127.0.0.1:{instance_port}\n"
            for instance_port in ports
        ]
        file = folder / "haproxy.cfg"
        file.write_text(HAPROXY.format(admin=self.admin, port=port) + "".join(servers))
        super().__init__(["haproxy", "-f", str(file)], folder, PORT=str(port))

    def send_command(self, line: str) -> str:
        """Return what haproxy answers to a command."""
        with socket.socket(socket.AF_UNIX) as admin, admin.makefile("rw") as stream:
            admin.connect(str(self.admin))
            stream.write(f"{line}\n")
            stream.flush()
            return stream.read()

    def instance(self, port: int) -> dict[str, str]:
        """Return what haproxy knows of an instance."""
        rows = csv.DictReader(self.send_command("show stat").lstrip("# ").splitlines())
        return next(row for row in rows if row["svname"] == str(port))

    def await_instance(self, port: int, status: str = "UP") -> None:
        """Wait until haproxy has seen that an instance is there; haproxy begins with all UP."""
        wait_until(self.admin.exists, description="haproxy")
        wait_until(
            lambda: self.instance(port)["status"] == status,
            description=f"instance {port} {status}",
        )

    def drain(self, port: int) -> None:
        """Send an instance no more requests, and wait until it has answered those it has."""
        self.send_command(f"set server notes/{port} state drain")
        wait_until(
            lambda: self.instance(port)["scur"] == "0",
            description=f"the end of requests to {port}",
        )


@contextmanager
def collector() -> Iterator[tuple[str, dict[str, bytes]]]:
    """Lend the URL of a stand-in for an OpenTelemetry collector, and what it is sent."""
    posts: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posts[self.path] = posts.get(self.path, b"") + body
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", posts
        server.shutdown()


def make_every_call(client: httpx2.Client, text: str) -> None:
    """Make each kind of call on notes of one text, which no other note may contain."""

    def call(method: str, path: str, status: int, **options: Any) -> Any:
        response = client.request(method, path, **options)
        assert response.status_code == status, (method, path, response.text)
        return response.json()

    bodies = [{"text": f"{text} {name}", "completed": name == "B"} for name in "AB"]
    notes = [call("POST", "/notes/", 201, json=body) for body in bodies]
    first, second = notes
    path, search = f"/notes/{first['id']}/", urlencode({"q": text.upper()})
    expected = {
        "": notes,
        "skip=1": [second],
        f"after={first['id']}": [second],
        f"sort=-id&after={second['id']}": [first],
        "sort=text": notes,
        "sort=-completed": notes[::-1],
        "completed=true&count=true": [second],
    }
    for query, page in expected.items():
        assert call("GET", f"/notes/?{search}&{query}", 200) == page, query
    assert call("GET", path, 200) == first
    tag = client.get(path).headers["ETag"]
    changed = {**first, "text": f"{text} C"}
    call("PATCH", path, 200, json={"text": changed["text"]}, headers={"If-Match": tag})
    call("PUT", path, 412, json=first, headers={"If-Match": tag})
    assert call("PUT", path, 200, json=changed) == changed
    for note in notes:
        call("DELETE", f"/notes/{note['id']}/", 200)
        call("GET", f"/notes/{note['id']}/", 404)
