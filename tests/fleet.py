"""What stands around the service in a fleet: a pooler, a standby, a balancer, a collector."""

import csv
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import httpx2

from tests.load import Load
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


class TimedLoad(Load):
    """A load that keeps the times at which a read failed."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.failed_reads: list[float] = []

    async def _send(
        self, client: httpx2.AsyncClient, method: str, path: str, text: str | None = None
    ) -> tuple[str, Any]:
        answer, note = await super()._send(client, method, path, text)
        if method == "GET" and answer != "200":
            self.failed_reads.append(time.monotonic())
        return answer, note


class Collector(ThreadingHTTPServer):
    """A stand-in for an OpenTelemetry collector: it keeps what is posted to each path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.posts: dict[str, list[bytes]] = {}
        self.thread = threading.Thread(target=self.serve_forever)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.shutdown()
        self.thread.join()
        super().__exit__(*error)


class Receiver(BaseHTTPRequestHandler):
    """What the collector does with a request."""

    server: Collector

    def do_POST(self) -> None:
        """Keep the body."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.setdefault(self.path, []).append(body)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


def make_every_call(client: httpx2.Client, text: str) -> int:
    """Make every call of the contract on notes of one text; return how many calls there were.

    Others may use the same database meanwhile, as long as no note of theirs contains the text.
    """
    calls = 0

    def call(
        method: str, path: str, status: int, body: Any = None, **options: Any
    ) -> httpx2.Response:
        nonlocal calls
        calls += 1
        response = client.request(method, path, **options)
        assert response.status_code == status, (method, path, response.text)
        assert body is None or response.json() == body, (method, path, response.text)
        return response

    first, second = (
        call(
            "POST",
            "/notes/",
            201,
            json={"text": f"{text} {name}", "completed": completed},
        ).json()
        for name, completed in {"a%_b": False, "B": True}.items()
    )
    path, other_path = f"/notes/{first['id']}/", f"/notes/{second['id']}/"
    call("GET", path, 200, first)
    call("HEAD", path, 200)
    tag = call("GET", path.rstrip("/"), 200, first).headers["ETag"]
    call("GET", path, 304, headers={"If-None-Match": tag})
    search, notes = urlencode({"q": text}), [first, second]
    for query, expected_notes in {
        "": notes,
        "skip=1": [second],
        "skip=2": [],
        f"after={first['id']}": [second],
        f"id={first['id']}&id={second['id']}": notes,
        "completed=true": [second],
        "completed=false&take=5": [first],
        "sort=-id": notes[::-1],
        f"sort=-id&after={second['id']}": [first],
        "sort=text": notes[::-1],
        "sort=-text": notes,
        "sort=completed": notes,
        "sort=-completed": notes[::-1],
        "skip=0&take=1&sort=-id": notes[1:],
    }.items():
        call("GET", f"/notes/?{search}&{query}", 200, expected_notes)
    page = call("GET", f"/notes/?{search}&take=1&count=true", 200, [first])
    assert page.headers["X-Total-Count"] == "2"
    assert page.links["next"]["url"] == f"?{search}&take=1&count=true&after={first['id']}"
    call("GET", f"/notes/?id={first['id']}&q=A%25_", 200, [first])
    changed_note = {**first, "text": f"{text} c"}
    call("PATCH", path, 200, changed_note, json={"text": changed_note["text"]})
    changed_note["completed"] = True
    tag = call("PUT", path, 200, changed_note, json=changed_note).headers["ETag"]
    for method, status in {"PATCH": 200, "PUT": 200, "DELETE": 412}.items():
        condition = {"If-Match": tag if status == 200 else '"another"'}
        call(method, path, status, json=changed_note, headers=condition)
    for note_path, note in {path: changed_note, other_path: second}.items():
        message = f"Note with id: {note['id']} deleted successfully!"
        call("DELETE", note_path, 200, {**note, "message": message})
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            call(method, note_path, 404, json=changed_note)
    call("GET", f"/notes/?{search}", 200, [])
    for content, status in {b"{": 400, b'{"text": 1}': 422}.items():
        headers = {"Content-Type": "application/json"}
        call("POST", "/notes/", status, content=content, headers=headers)
    call("POST", "/notes/", 415, content=b"{}")
    call("PUT", "/notes/", 405)
    call("GET", "/readyz", 200, {"status": "ok"})
    return calls
