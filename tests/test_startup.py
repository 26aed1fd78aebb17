"""Startup: who makes the table, which tables are taken as they are, and where the database is."""

import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier
from urllib.parse import quote, unquote, urlsplit

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.fixtures import GROCERIES, ORIGIN, added, deployed, everything, loaded, problem, reached
from tests.servers import ROOT, Postgres, Service, free_port, own_postgres, until

# The table

TUTORIAL = (
    "CREATE TABLE notes (id {key} PRIMARY KEY, text VARCHAR, completed BOOLEAN)",
    "INSERT INTO notes (text, completed) VALUES ('b', true), (NULL, NULL), ('a', NULL)",
)


def test_eight_that_start_together_make_one_table(empty_database: str) -> None:
    """Eight services that open the same empty database in one moment all come up and serve."""
    apps = [loaded(DATABASE_URL=empty_database) for _ in range(8)]
    together = Barrier(8)

    def start(app: FastAPI) -> int:
        together.wait()
        with TestClient(app) as client:
            return client.post("/notes/", json=GROCERIES).status_code

    with ThreadPoolExecutor(8) as starters, reached(empty_database) as sql:
        for _ in range(4):  # as they do not collide every time
            assert list(starters.map(start, apps)) == [201] * 8
            sql("DROP TABLE notes")


def test_eight_workers_come_up(tmp_path: Path, postgres: Postgres) -> None:
    """Eight workers of one master come up on an empty Postgres, and stop without a complaint."""
    variables = {"DATABASE_URL": postgres.create_database("eight"), "WEB_CONCURRENCY": "8"}
    with Service.gunicorn(tmp_path, **variables) as service:

        def started() -> bool:
            return service.log.read_text().count("Application startup complete") == 8

        until(started, 30, "eight workers")
        assert httpx2.post(f"{service.url}/notes/", json=GROCERIES).status_code == 201
        log = service.log.read_text()
        assert service.stop() == 0
    assert not [word for word in ("Traceback", "ERROR", "503") if word in log]


@pytest.mark.parametrize("sort", ["text", "-text"])
def test_the_order_is_that_of_code_points(postgres: Postgres, sort: str) -> None:
    """Texts are ordered by code point, also where Postgres would follow a language."""
    url = postgres.create_database("collated")
    with reached(url) as sql:
        # A Postgres that was built without ICU has no language to follow.
        icu = sql("SELECT 1 FROM pg_collation WHERE collname = 'en-x-icu'").fetchone()
        collation = "en-x-icu" if icu else "C"
        sql(f'CREATE TABLE notes (id SERIAL, text VARCHAR COLLATE "{collation}", completed BOOL)')
    with deployed(DATABASE_URL=url) as client:
        made = [added(client, text=text)["text"] for text in ("A", "B", "_", "a", "b", "\u00e4")]
        notes = client.get("/notes/", params={"sort": sort}).json()
    assert [note["text"] for note in notes] == (made if sort == "text" else made[::-1])


@pytest.fixture
def tutorial(empty_database: str) -> Iterator[TestClient]:
    """The service on a table that the tutorial made, with an int4 id and with NULLs in it."""
    key = "INTEGER NOT NULL" if empty_database.startswith("sqlite") else "SERIAL"
    with reached(empty_database) as sql:
        for statement in TUTORIAL:
            sql(statement.format(key=key))
    with deployed(DATABASE_URL=empty_database) as client:
        yield client


def test_the_tutorials_table_is_read_as_it_is(tutorial: TestClient) -> None:
    """A NULL that the tutorial left is an empty text and not completed, in every list."""
    notes = everything(tutorial)
    shown = [(note["text"], note["completed"]) for note in notes]
    assert shown == [("b", True), ("", False), ("a", False)]
    for query, line in {
        "sort=text": [notes[1], notes[2], notes[0]],
        "sort=-text": [notes[0], notes[2], notes[1]],
        "sort=completed": [notes[1], notes[2], notes[0]],
        "completed=false": notes[1:],
        "completed=true": notes[:1],
        "q=A": notes[2:],
        f"after={2**31}": [],
        f"id={2**63 - 1}": [],
        f"skip={2**31}": [],
    }.items():
        assert tutorial.get(f"/notes/?count=true&{query}").json() == line, query


def test_the_tutorials_table_is_written_as_any(tutorial: TestClient) -> None:
    """Notes of the tutorial's table are patched, replaced and deleted under If-Match."""
    added(tutorial)
    for note in everything(tutorial):
        path = f"/notes/{note['id']}/"
        patched = tutorial.patch(
            path, json={}, headers={"If-Match": tutorial.get(path).headers["ETag"]}
        )
        assert (patched.status_code, patched.json()) == (200, note)
        new = {"text": "", "completed": not note["completed"]}
        replaced = tutorial.put(path, json=new, headers={"If-Match": patched.headers["ETag"]})
        assert (replaced.status_code, replaced.json()) == (200, {"id": note["id"], **new})
        headers = {"If-Match": replaced.headers["ETag"]}
        assert tutorial.delete(path, headers=headers).status_code == 200
    assert everything(tutorial) == []


@pytest.mark.parametrize("note_id", [2**31, 2**63 - 1])
def test_an_id_over_the_tutorials_column_is_404(tutorial: TestClient, note_id: int) -> None:
    """An id that an int4 column cannot hold is no note, for every verb."""
    for method, body in ("GET", None), ("PUT", GROCERIES), ("PATCH", {}), ("DELETE", None):
        assert problem(tutorial.request(method, f"/notes/{note_id}/", json=body)) == 404


def address(url: str) -> tuple[str, str, str]:
    """Return the user (and password), the host and the database of a URL."""
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    return login, host, parts.path.removeprefix("/")


@contextmanager
def role(url: str, name: str, password: str, *grants: str) -> Iterator[None]:
    """Lend a user who has these rights in a database."""
    with reached(url) as sql:
        sql(f"DROP ROLE IF EXISTS {name}")
        sql(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        for grant in grants:
            sql(f"GRANT {grant} TO {name}")
        try:
            yield
        finally:
            sql(f"DROP OWNED BY {name}")
            sql(f"DROP ROLE {name}")


def test_no_right_to_create_is_needed_where_the_table_is(postgres: Postgres) -> None:
    """A user without CREATE rights starts on an existing table and does every call."""
    url = postgres.create_database("limited")
    _, host, name = address(url)
    limited = f"postgresql://limited:limited@{host}/{name}"
    with deployed(DATABASE_URL=url), reached(url) as sql:
        sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    rights = "SELECT, INSERT, UPDATE, DELETE ON notes", "USAGE ON SEQUENCE notes_id_seq"
    with role(url, "limited", "limited", *rights), reached(limited) as sql:
        with pytest.raises(Exception, match="permission denied"):
            sql("CREATE TABLE other ()")
        with deployed(DATABASE_URL=limited) as client:
            note = added(client)
            path = f"/notes/{note['id']}/"
            assert client.put(path, json=GROCERIES).json() == note
            assert client.patch(path, json={}).json() == note
            assert client.delete(path).status_code == 200


# The database


def test_the_service_waits_for_postgres(tmp_path: Path) -> None:
    """The service starts while Postgres is down, says 503, and serves when Postgres comes."""
    with own_postgres() as postgres:
        postgres.stop()
        variables = {"DATABASE_URL": postgres.url(), "POOL_TIMEOUT": "0.3"}
        with (
            Service.python(tmp_path, **variables) as service,
            httpx2.Client(base_url=service.url, headers={"Origin": ORIGIN}) as client,
        ):
            assert client.get("/livez").status_code == 200
            for path in "/readyz", "/notes/", "/notes/1/":
                response = client.get(path)
                assert problem(response) == 503
                assert response.headers["Retry-After"] == "1"
            postgres.start()
            until(lambda: client.get("/readyz").status_code == 200, what="Postgres")
            assert client.post("/notes/", json=GROCERIES).status_code == 201


@pytest.mark.parametrize(
    "spelling",
    [
        "postgres://{login}@{host}/{name}",
        "postgresql://{login}@{host}/{name}",
        "postgresql+asyncpg://{login}@{host}/{name}",
        "postgresql+asyncpg://{login}@{host}/{name}?ssl=prefer",
        "postgres://{login}@{host}/{name}?sslmode=prefer&target_session_attrs=read-write",
        "postgres://{login}@{host}/{name}?statement_cache_size=0",
        "postgres://{login}@127.0.0.1:{closed},{host}/{name}?target_session_attrs=any",
        "postgres://odd:p%40ss%2Fw%3Ard%25@{host}/{name}",
    ],
)
def test_every_spelling_of_a_url_is_understood(postgres: Postgres, spelling: str) -> None:
    """Each way to write a Postgres URL reaches the database that it names."""
    url = postgres.create_database("spelling")
    login, host, name = address(url)
    spelt = spelling.format(login=login, host=host, name=name, closed=free_port())
    with role(url, "odd", "p@ss/w:rd%", "CREATE ON SCHEMA public"), reached(url) as sql:
        with deployed(DATABASE_URL=spelt) as client:
            note = added(client)
        assert sql("SELECT id, text, completed FROM notes").fetchall() == [tuple(note.values())]


@pytest.mark.parametrize(
    "key", ["channel_binding", "connect_timeout", "pgbouncer", "sslcompression"]
)
def test_parameters_that_asyncpg_does_not_know_are_dropped(
    postgres: Postgres, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    """A key that only other clients understand is left out, and a warning names it."""
    url = postgres.create_database("spelling")
    with deployed(DATABASE_URL=f"{url}?{key}=1") as client:
        added(client)
    assert [record.levelname for record in caplog.records if key in record.message] == ["WARNING"]


@pytest.mark.parametrize("file", ["notes.db", "my notes%.db"])
def test_a_sqlite_url_names_a_file(tmp_path: Path, file: str) -> None:
    """What follows sqlite:/// is the file, with percent-encoding."""
    with deployed(DATABASE_URL=f"sqlite:///{tmp_path}/{quote(file)}") as client:
        added(client)
    assert (tmp_path / file).is_file()


def test_the_tutorials_variables_make_the_url(postgres: Postgres) -> None:
    """The tutorial's six variables reach their database; DATABASE_URL goes before them."""
    url = postgres.create_database("six")
    given = urlsplit(url)
    variables = {
        "host_server": given.hostname or "",
        "db_server_port": str(given.port),
        "database_name": address(url)[2],
        "db_username": unquote(given.username or ""),
        "db_password": unquote(given.password or "any, with @/:%?#"),
        "ssl_mode": "prefer",
    }
    with deployed(**variables) as client, reached(url) as sql:
        note = added(client)
        assert sql("SELECT id FROM notes").fetchall() == [(note["id"],)]
    with deployed(**{**variables, "host_server": "nowhere.invalid"}, DATABASE_URL=url) as client:
        assert everything(client) == [note]


@pytest.fixture
def beside_env(tmp_path: Path) -> Callable[..., Service]:
    """A way to start a copy of the service beside an .env file."""

    def start(text: str, **variables: str) -> Service:
        copy = shutil.copy(ROOT / "main.py", tmp_path)
        (tmp_path / ".env").write_text(text)
        return Service([sys.executable, str(copy)], tmp_path, **variables)

    return start


def test_the_environment_goes_before_the_env_file(
    tmp_path: Path, beside_env: Callable[..., Service]
) -> None:
    """Variables are read from an .env file beside main.py, and from the environment first."""
    text = f"DATABASE_URL=sqlite:///{tmp_path}/file.db\nMAX_BODY_BYTES=30\nAPI_KEYS=file\n"
    with beside_env(text, API_KEYS="environment") as service:
        url = f"{service.url}/notes/"
        key = {"Authorization": "Bearer environment"}
        assert httpx2.get(url, headers={"Authorization": "Bearer file"}).status_code == 401
        assert httpx2.post(url, headers=key, json=GROCERIES).status_code == 413
        assert httpx2.post(url, headers=key, json={"text": "a"}).status_code == 201
    assert (tmp_path / "file.db").is_file()
