"""What is measured: this service and its peers, each a process of its own on its own database."""

from dataclasses import dataclass
from pathlib import Path

from bench.notes import SIZE, fill, tidy
from bench.wrk import CASES, SERVER_CORES, Run, drive, on_cores
from tests.servers import Service

PEERS = Path(__file__).parent / "peers"
BOTH = ("postgres", "sqlite")


@dataclass(frozen=True)
class Subject:
    """A server; `name` is that of its module, or of its file for Node."""

    name: str
    title: str
    databases: tuple[str, ...] = ("postgres",)
    cases: tuple[str, ...] = tuple(CASES)
    stores: bool = True

    @property
    def compiles(self) -> bool:
        """Whether this is a program of Node's, which V8 compiles while it runs."""
        return self.name.endswith(".mjs")

    def start(self, folder: Path, url: str) -> "Instance":
        """Start the server on its core; it answers, from a database of SIZE notes."""
        if self is not THIS:
            fill(url, SIZE)
        service = self.spawn(folder, url)
        try:
            service.wait("/livez" if self is THIS else "/notes/1/")
        except BaseException:
            service.stop()
            raise
        if self is THIS:  # which has made its table itself
            fill(url, SIZE)
        return Instance(self, service, url)

    def spawn(self, folder: Path, url: str) -> Service:
        """Start the process on its core; it does not answer yet."""
        variables = {
            "DATABASE_URL": url,
            "WEB_CONCURRENCY": "1",
            "NODE_ENV": "production",
        }
        with on_cores(SERVER_CORES):
            if self.compiles:
                return Service(["node", str(PEERS / self.name)], folder, **variables)
            if self is ALONE:
                return Service.python(folder, **variables)
            app = "main:app" if self is THIS else f"bench.peers.{self.name}:app"
            return Service.gunicorn(folder, app=app, **variables)


@dataclass(frozen=True)
class Instance:
    """A server that answers, and the URL of its database."""

    subject: Subject
    service: Service
    url: str

    def drive(self, case: str, connections: int, seconds: int) -> Run:
        """Return what a case costs, and delete what it wrote; or RefusedError."""
        try:
            return drive(self.service, CASES[case], connections, seconds)
        finally:
            if CASES[case].body:
                tidy(self.url, SIZE)


THIS = Subject("main", "this service", BOTH)
ALONE = Subject("main.py", "this service, python main.py", BOTH)  # of it, the start alone
TUTORIAL = Subject("tutorial", "the tutorial's way", BOTH)
ORM = Subject("sqlalchemy_orm", "FastAPI + SQLAlchemy async ORM", BOTH)
FLOOR = Subject("asgi_asyncpg", "plain ASGI + asyncpg (floor)")
LITESTAR = Subject("litestar_asyncpg", "Litestar + asyncpg")
EXPRESS = Subject("express_pg.mjs", "Express + pg")
FASTIFY = Subject("fastify_pg.mjs", "Fastify + pg")
SUBJECTS = [
    THIS,
    TUTORIAL,
    ORM,
    Subject("sqlmodel_threads", "FastAPI + SQLModel in threads", BOTH),
    LITESTAR,
    EXPRESS,
    FASTIFY,
    Subject("hono_pg.mjs", "Hono + pg"),
    FLOOR,
    Subject(
        "fastapi_constant",
        "FastAPI, a constant, no database",
        cases=("read", "list", "create", "update"),
        stores=False,
    ),
]
