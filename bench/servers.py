"""The servers that are measured, their databases, and what their processes take."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple, Self

ROOT = Path(__file__).parent.parent
# The servers that are measured have one core, and all else the others.
CORES = sorted(os.sched_getaffinity(0))
DATABASES = ("Postgres", "SQLite")
INSERT = """INSERT INTO notes (text, completed)
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})
    SELECT {}, i % 3 = 0 FROM n"""
TEXT = "'fetch parcel no. ' || i || ' from shelf ' || (i % 17)"


class Bar(NamedTuple):
    """What is measured, the most that it may be, and what it is."""

    what: str
    most: float
    figure: float


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table in Markdown."""
    for row in [head, ["---"] * len(head), *rows]:
        print(f"| {' | '.join(row)} |")
    print(flush=True)


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def start_postgres() -> Iterator[str]:
    """Lend the URL of a Postgres of its own, with fsync as in production."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]  # as Debian has them
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    folder, port = tempfile.mkdtemp(prefix="bench-"), free_port()
    shutil.chown(folder, user or os.geteuid())

    def run(program: str, *options: str) -> None:
        command = [str(programs / program), f"--pgdata={folder}/data", *options]
        subprocess.run(command, check=True, user=user, cwd=folder, stdout=sys.stderr)

    run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8")
    options = f"--options=-p {port} -k {folder} -c max_connections=200"
    os.sched_setaffinity(0, CORES[1:] or CORES)  # from now on, and what is started
    run("pg_ctl", "start", "--wait", f"--log={folder}/log", options)
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}"
    finally:
        run("pg_ctl", "stop", "--wait", "--mode=immediate")
        shutil.rmtree(folder)


def execute(url: str, *statements: str) -> str:
    """Run statements, each a transaction of its own, and return what that prints."""
    commands = [f"--command={statement}" for statement in statements]
    command = ["psql", url, "-qAtX", "--set=ON_ERROR_STOP=1", *commands]
    if url.startswith("sqlite"):
        file = url.removeprefix("sqlite:///")
        command = ["sqlite3", file, ".timeout 60000", *statements]
    return subprocess.check_output(command, text=True)


def create_database(database: str, postgres: str, folder: Path) -> str:
    """Return the URL of a new and empty database."""
    name = f"notes{free_port()}"
    if database == "SQLite":
        return f"sqlite:///{folder}/{name}"
    execute(f"{postgres}/postgres", f"CREATE DATABASE {name}")
    return f"{postgres}/{name}"


def fill(url: str, number: int, *others: str) -> None:
    """Store so many notes past the service, and what other statements store."""
    inserts = [INSERT.format(number, TEXT), *others]
    if url.startswith("sqlite"):
        execute(url, *inserts)
        return
    # The index for searches is made anew: that takes less time than to fill it.
    query = "SELECT indexdef FROM pg_indexes WHERE indexname = 'notes_text_trgm'"
    index = execute(url, query).splitlines()
    drop = ["DROP INDEX notes_text_trgm"] if index else []
    execute(url, *drop, *inserts, *index, "VACUUM ANALYZE notes")


def send(client: HTTPConnection, method: str, path: str, *body: str) -> tuple[int, Any]:
    """Send a request, and return the status and the JSON of its answer."""
    headers = {"Content-Type": "application/json"}
    client.request(method, path, body[0] if body else None, headers)
    response = client.getresponse()
    return response.status, json.loads(response.read())


class Server:
    """A server with one worker, which answers at `port`, on its database at `url`."""

    def __init__(self, app: str, url: str, folder: Path) -> None:
        """Start it; `app` is a module and its app, or a file for Node."""
        self.url, self.port = url, free_port()
        self.log = folder / f"{self.port}.log"
        line = (ROOT / "Procfile").read_text().removeprefix("web: ")
        program, *words = line.replace("main:app", app).split()
        command = [str(Path(sys.executable).with_name(program)), *words]
        if app.endswith(".mjs"):
            command = ["node", app]
        own = {"DATABASE_URL": url, "PORT": str(self.port), "WEB_CONCURRENCY": "1"}
        options: Any = {
            "cwd": ROOT,
            "env": {**os.environ, **own, "NODE_ENV": "production"},
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, **options)
        os.sched_setaffinity(self.process.pid, CORES[:1])

    def __enter__(self) -> Self:
        """Wait until it answers."""
        return self.wait("/notes/?skip=0&take=1")

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(60)

    def wait(self, path: str) -> Self:
        """Wait until a path answers with 200."""
        for _ in range(600):
            with suppress(OSError, HTTPException):  # nobody listens yet
                if self.send("GET", path)[0] == 200:
                    return self
            time.sleep(0.1)
        self.process.kill()
        raise TimeoutError(f"no 200 from {path}:\n{self.log.read_text()}")

    def send(self, *call: str) -> tuple[int, Any]:
        """Send a request over a connection of its own."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=60)) as client:
            return send(client, *call)

    def load(self, seconds: int, connections: int, *call: str) -> subprocess.Popen[str]:
        """Start wrk, which sends a method, a path and a body for some seconds."""
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=60s"]
        command += ["-s", "bench/wrk.lua", f"http://127.0.0.1:{self.port}", "--", *call]
        return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE)

    def read_process(self, name: str) -> str:
        """Return a file of /proc, of gunicorn's one worker or of the server itself."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return Path(f"/proc/{(children or [str(pid)])[0]}/{name}").read_text()

    def cpu(self) -> float:
        """Return the seconds of CPU that it has taken, in user and in system mode."""
        time.sleep(0.2)  # it may not be done yet with what was sent
        user, system = self.read_process("stat").rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
