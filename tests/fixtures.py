"""The service inside the tests' own process, on each database."""

import importlib.util
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http import HTTPStatus
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import httpx2
import psycopg
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from tests.servers import MAIN_VARIABLES, ROOT, Postgres, Service

# For a test of what is decided before the database is asked.
ONCE = pytest.mark.parametrize("deployment", ["on_sqlite"], ids=["sqlite"], indirect=True)
ORIGIN = "https://app.example"
GROCERIES = {"text": "Get Groceries from the store", "completed": False}


def load_main(
    path: Path = ROOT / "main.py", folder: Path = Path("/nowhere"), /, **variables: str
) -> ModuleType:
    """Return a main.py that is loaded with these variables, and the .env file of a folder."""
    spec = importlib.util.spec_from_file_location("deployed", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(folder / "main.py")  # which .env lies beside
    with pytest.MonkeyPatch.context() as patch:
        for name in MAIN_VARIABLES:
            patch.delenv(name, raising=False)
        for name, value in variables.items():
            patch.setenv(name, value)
        spec.loader.exec_module(module)
    return module


@contextmanager
def open_client(**variables: str) -> Iterator[TestClient]:
    """Lend a client, from another origin, of the service with these variables."""
    with TestClient(
        load_main(**variables).app,
        headers={"Origin": ORIGIN},
        follow_redirects=False,
        raise_server_exceptions=False,
    ) as client:
        yield client


def make_client(service: Service, **headers: str) -> httpx2.Client:
    """Return a client from another origin, each of whose calls may meet any worker."""
    limits = httpx2.Limits(max_keepalive_connections=0)
    headers = {"Origin": ORIGIN, **headers}
    return httpx2.Client(base_url=service.url, headers=headers, limits=limits, timeout=30)


@contextmanager
def connect(url: str) -> Iterator[Callable[[str], Any]]:
    """Lend a function that runs SQL in a database, past the service."""
    connection: Any
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    else:
        connection = psycopg.connect(url, autocommit=True)
    with closing(connection):
        yield connection.execute


@contextmanager
def create_role(url: str, name: str, password: str, *grants: str) -> Iterator[str]:
    """Lend the URL of a database for a user who has these rights in it."""
    place = httpx2.URL(url).copy_with(username=name, password=password)
    with connect(url) as sql:
        sql(f'DROP ROLE IF EXISTS "{name}"')
        sql(f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{password}'")
        for grant in grants:
            sql(f'GRANT {grant} TO "{name}"')
        try:
            yield str(place)
        finally:
            sql(f'DROP OWNED BY "{name}"')
            sql(f'DROP ROLE "{name}"')


class Deployment(NamedTuple):
    """The service, and the way past it into its database."""

    client: TestClient
    sql: Callable[[str], Any]


@contextmanager
def deploy(url: str) -> Iterator[Deployment]:
    """Lend the service on a database."""
    with open_client(DATABASE_URL=url) as client, connect(url) as sql:
        yield Deployment(client, sql)


def create_note(client: httpx2.Client, **members: str | int) -> dict[str, Any]:
    """Return a note that is made by POST."""
    response = client.post("/notes/", json=GROCERIES | members)
    assert response.status_code == 201
    note: dict[str, Any] = response.json()
    return note


def read_notes(client: httpx2.Client) -> list[dict[str, Any]]:
    """Return all notes."""
    notes: list[dict[str, Any]] = client.get("/notes/", params={"take": 100}).json()
    return notes


def problem(response: Response, *fields: str) -> int:
    """Return an error's status once it has the shape of all errors, and blames what it ought to."""
    body = response.json()
    status, detail = response.status_code, body["detail"]
    title = HTTPStatus(status).phrase
    shape = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    errors = body.pop("errors", {})
    assert body == {**shape, "message": detail}
    assert sorted(errors) == sorted(fields)
    assert all(
        isinstance(message, str) and message in detail for message in errors.values()
    )
    assert detail.endswith(".")
    assert not re.search(
        r"Traceback|SELECT|INSERT|UPDATE |sqlite|asyncpg|\(0x|Value error|pattern",
        response.text,
    )
    expected = {
        "Content-Type": "application/problem+json",
        "X-Content-Type-Options": "nosniff",
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Expose-Headers": "Location, Link, ETag, X-Total-Count, Retry-After, Allow",
    }
    assert {name: response.headers.get(name) for name in expected} == expected
    assert response.headers.get("Retry-After") == ("1" if status == 503 else None)
    return status


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The URL of a database, empty at first, that the tests of a file share, on each."""
    name: str = request.module.__name__.rpartition(".")[2]
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp(name)}/notes.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.create_database(name)


@pytest.fixture(scope="module")
def service(
    request: pytest.FixtureRequest,
    database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    """The APP that a file names, under gunicorn with two workers, on each of the two."""
    folder = tmp_path_factory.mktemp("service")
    with Service.gunicorn(folder, request.module.APP, DATABASE_URL=database) as service:
        yield service


@pytest.fixture(scope="module")
def visitor(service: Service) -> Iterator[httpx2.Client]:
    """A client of it, from another origin."""
    with make_client(service) as client:
        yield client


@pytest.fixture
def http(visitor: httpx2.Client, database: str) -> httpx2.Client:
    """That client, of the service without a note."""
    with connect(database) as sql:
        sql("DELETE FROM notes")
    return visitor


@pytest.fixture(scope="session")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The service on SQLite."""
    with deploy(f"sqlite:///{tmp_path_factory.mktemp('sqlite')}/notes.db") as deployment:
        yield deployment


@pytest.fixture(scope="session")
def on_postgres(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """The service on Postgres."""
    process = tmp_path_factory.getbasetemp().name  # as they may share a server
    with deploy(postgres.create_database(f"contract-{process}")) as deployment:
        yield deployment


@pytest.fixture(params=["on_sqlite", "on_postgres"], ids=["sqlite", "postgres"])
def deployment(request: pytest.FixtureRequest) -> Deployment:
    """The service without a note, on each of the two."""
    deployment: Deployment = request.getfixturevalue(request.param)
    deployment.sql("DELETE FROM notes")
    return deployment


@pytest.fixture
def client(deployment: Deployment) -> TestClient:
    """A client of the service without a note, on each of the two."""
    return deployment.client
