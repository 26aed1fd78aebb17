"""What each variable takes, how the start ends, and whose tables are taken as they are."""

import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from urllib.parse import quote

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.fixtures import (
    GROCERIES,
    connect,
    create_note,
    create_role,
    load_main,
    open_client,
    problem,
    read_notes,
)
from tests.servers import (
    MAIN_VARIABLES,
    ROOT,
    ExternalPostgres,
    Postgres,
    run_python,
    skip,
)

Log = pytest.LogCaptureFixture

SERVER = "postgresql://notes:secret@127.0.0.1"
REFUSED = {
    "DATABASE_URL": [
        "notes.db",
        "sqlite:///:memory:",
        "sqlite:////no/such/folder/notes.db",
        f"sqlite:///{ROOT}",
        f"{SERVER}:http/notes",
        "postgresql://[::1/notes",
        "postgres:se[cr]et@127.0.0.1/notes",
        f"{SERVER}/notes#secret",
        f"{SERVER}/notes?statement_cache_size=many",
    ],
    "POOL_SIZE": ["many", "0", "2.5"],
    "MAX_OVERFLOW": ["-1"],
    "POOL_TIMEOUT": ["0", "nan"],
    "DB_TIMEOUT": ["0"],
    "CORS_ORIGINS": [
        "*,https://a.example",
        "https://*.example",
        "https://a.example/",
        "https://A.example",
        "https://a.example:443",
        "http://a.example:80",
        "https://user@a.example",
        "https://\u00e4.example",
        ",",
    ],
    "CORS_ORIGIN_REGEX": ["https://(.example"],
    "API_KEYS": [" , "],
    "MAX_BODY_BYTES": ["0"],
    "PORT": ["http", "-1", "70000"],
    "db_server_port": ["many"],
}
TAKEN = {
    "DATABASE_URL": [
        "postgres://127.0.0.1",
        "postgresql://[::1]:5432,127.0.0.2:5433,db/notes?target_session_attrs=any",
        f"{SERVER}/notes?sslmode=verify-ca&sslcert=a.crt&sslkey=a.key",
        "postgresql://USER:PW@/NAME?host=/cloudsql/P:R:I",
        "postgresql://notes:s\u00e9cret \u2603[]@127.0.0.1/notes",
    ],
    "CORS_ORIGINS": [
        "*",
        "https://a.example, http://localhost:5173,null",
        "file://,capacitor://localhost",
        "https://xn--4ca.example:80,http://[::1]:443",
    ],
    "PORT": ["0"],
}


def each(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    """Return each variable of a table with each of its values."""
    return [(name, value) for name, values in table.items() for value in values]


@pytest.mark.parametrize(("name", "value"), each(REFUSED))
def test_value_without_sense_ends_the_start(name: str, value: str, caplog: Log) -> None:
    """The start ends with one line that names the variable and no secret, and a status but 0."""
    with pytest.raises(SystemExit) as exit_info:
        load_main(**{name: value})
    assert exit_info.value.code not in (0, None)
    (line,) = caplog.messages
    assert line.startswith(f"{name}: ")
    assert not re.search("\n|secret|se.cr.et", line)


@pytest.mark.parametrize("sign", ["/", "#", "?"])
@pytest.mark.parametrize("place", ["@127.0.0.1/notes", "@db,db2/n?host=a"])
def test_a_sign_that_must_be_encoded_is_named(sign: str, place: str, caplog: Log) -> None:
    """A password with a sign that ends a URL's part ends the start; the line names the sign."""
    for password in (f"sec{sign}ret", f"123{sign}sec=ret"):
        caplog.clear()
        with pytest.raises(SystemExit):
            load_main(DATABASE_URL=f"postgresql://notes:{password}{place}")
        assert f" {sign} " in caplog.text
        assert not re.search("sec|ret|123", caplog.messages[0])


@pytest.mark.parametrize(
    ("arguments", "host", "line"),
    [
        (["main.py"], "127.0.0.1", "HOST, PORT: .+ in use"),
        (["main.py"], "host.invalid", "HOST, PORT: .+"),
        (["-m", "examples.demo"], "127.0.0.1", "Port {port} is taken: .+"),
    ],
)
def test_where_nobody_can_listen_is_named(
    arguments: list[str], host: str, line: str
) -> None:
    """The service and the demo end with one line where another program listens, or nobody can."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        process = run_python(*arguments, HOST=host, PORT=port)
    assert process.returncode != 0
    assert process.stdout == ""
    assert re.fullmatch(f"{line.format(port=port)}.*\n", process.stderr)


GUNICORN = ["-m", "gunicorn", "main:app", "--no-control-socket", "--bind=127.0.0.1:0"]


@pytest.mark.parametrize(
    "arguments",
    [["main.py"], GUNICORN, [*GUNICORN, "--preload"]],
    ids=["alone", "gunicorn", "preloaded"],
)
def test_process_ends_without_a_traceback(arguments: list[str]) -> None:
    """`python main.py` and gunicorn print that line once and end; no worker is tried again."""
    process = run_python(*arguments, POOL_SIZE="many")
    assert process.returncode != 0
    assert process.stderr.count("POOL_SIZE: ") == 1
    assert process.stderr.count("Booting worker") == (arguments == GUNICORN)
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize(("name", "value"), each(TAKEN))
def test_value_with_sense_is_taken(name: str, value: str, caplog: Log) -> None:
    """A value that makes sense is taken without a word."""
    assert name in load_main(**{name: value}).settings.model_fields_set
    assert caplog.messages == []


def test_blanks_are_no_part_of_a_value() -> None:
    """A variable that is set to blanks is unset; those around a value are dropped."""
    empty = load_main(**dict.fromkeys(MAIN_VARIABLES, "")).settings
    assert empty.model_dump() == load_main().settings.model_dump()
    assert empty.url == "sqlite:///./notes.db"
    assert load_main(ssl_mode="required").settings.url.endswith("?sslmode=require")
    variables = {"DATABASE_URL": f" {SERVER}/notes\r\n", "POOL_SIZE": "3\t"}
    settings = load_main(**variables).settings
    assert (settings.url, settings.POOL_SIZE) == (f"{SERVER}/notes", 3)


def test_env_file_gives_way_to_the_environment(tmp_path: Path, caplog: Log) -> None:
    """A variable comes from the .env file beside main.py, also one of Windows, if in UTF-8."""
    lines = b"\xef\xbb\xbfPOOL_SIZE='7' # inline\r\nexport MAX_OVERFLOW=8\r\nOTHER=9\r\n"
    (tmp_path / ".env").write_bytes(lines)
    settings = load_main(ROOT / "main.py", tmp_path, MAX_OVERFLOW="9").settings
    assert (settings.POOL_SIZE, settings.MAX_OVERFLOW) == (7, 9)
    (tmp_path / ".env").write_bytes(b"# \xff")
    with pytest.raises(SystemExit):
        load_main(ROOT / "main.py", tmp_path)
    assert caplog.messages == [".env: must be a text in UTF-8"]


# Where the database is


ODD = {"db_username": "odd", "db_password": "p@ss/w:rd%", "ssl_mode": "disable"}
PLACE = {"host_server": "{host}", "db_server_port": "{port}", "database_name": "{name}"}


@pytest.mark.parametrize(
    "variables",
    [
        {"DATABASE_URL": "postgresql+asyncpg://{login}{host}:{port}/{name}?ssl=prefer"},
        {
            "DATABASE_URL": "postgres://{login}{host}:{port}/{name}?statement_cache_size=0",
            "host_server": "nowhere.invalid",
        },
        {"DATABASE_URL": "postgres://{login}127.0.0.1:1,{host}:{port}/{name}"},
        {"DATABASE_URL": "postgres://odd:p%40ss%2Fw%3Ard%25@{host}:{port}/{name}"},
        {"DATABASE_URL": "postgres://odder:[p@ss\u2603]:@{host}:{port}/{name}"},
        {
            "DATABASE_URL": "postgres://{host}:{port}/{name}?user=odd&password=p%40ss/w:rd%25"
        },
        {**PLACE, **ODD},
    ],
)
def test_each_way_to_a_database(postgres: Postgres, variables: dict[str, str]) -> None:
    """Each way to write a URL, which goes first, and the tutorial's variables reach a database."""
    url = httpx2.URL(postgres.create_database("spelling"))
    login = f"{url.userinfo.decode()}@"
    parts = {"login": login, "host": url.host, "port": url.port, "name": "spelling"}
    variables = {name: value.format(**parts) for name, value in variables.items()}
    with (
        create_role(str(url), "odd", "p@ss/w:rd%", "CREATE ON SCHEMA public"),
        create_role(str(url), "odder", "[p@ss\u2603]:", "CREATE ON SCHEMA public"),
        connect(str(url)) as sql,
    ):
        with open_client(**variables) as client:
            note = create_note(client)
        assert sql("SELECT id FROM notes").fetchall() == [(note["id"],)]


def test_a_socket_is_reached(postgres: Postgres) -> None:
    """A URL whose host is a folder connects by the Unix socket there, as Cloud Run has it."""
    if isinstance(postgres, ExternalPostgres):
        skip("TEST_DATABASE_URL names a server whose socket is not known")
    postgres.create_database("socket")
    place = f"host={postgres.settings['unix_socket_directories']}&port={postgres.port}"
    url = f"postgresql://postgres:PW@/socket?{place}"
    with open_client(DATABASE_URL=url) as client:
        create_note(client)
    assert postgres.sql("SELECT count(*) FROM notes", "socket") == "1\n"


def test_an_unknown_parameter_is_dropped(postgres: Postgres, caplog: Log) -> None:
    """A key that only other clients understand is left out, and a warning names it."""
    url = f"{postgres.url()}?channel_binding=require&pgbouncer=true"
    with open_client(DATABASE_URL=url) as client:
        assert client.get("/readyz").status_code == 200
    assert all(f"'{key}'" in caplog.text for key in ("channel_binding", "pgbouncer"))


@pytest.mark.parametrize(
    "parameter",
    ["target_session_attrs=standby", "sslmode=perhaps", "application_name=%00"],
)
def test_a_url_that_no_server_serves_is_503(postgres: Postgres, parameter: str) -> None:
    """A wrong kind of server, or a value that only asyncpg refuses, is 503 and not 500."""
    url = f"{postgres.url()}?{parameter}"
    with open_client(DATABASE_URL=url, POOL_TIMEOUT="0.3") as client:
        assert problem(client.get("/notes/")) == 503


@pytest.mark.parametrize("file", ["my notes%.db", "my%20notes.db"])
def test_a_sqlite_url_names_a_file(tmp_path: Path, file: str) -> None:
    """What follows sqlite:/// is the file, with percent-encoding."""
    with open_client(DATABASE_URL=f"sqlite:///{tmp_path}/{quote(file)}") as client:
        create_note(client)
    assert (tmp_path / file).is_file()


@pytest.mark.parametrize("key", ["", "pass-word"])
def test_start_is_one_line(empty_database: str, key: str, caplog: Log) -> None:
    """A start logs the version, the database without a password, and whether it is open to all."""
    place = empty_database.rpartition("@")[2].removeprefix("sqlite:///")
    caplog.set_level("INFO", logger="uvicorn.error")
    url = empty_database.replace("postgres@", "postgres:pass-word@")
    with open_client(DATABASE_URL=url, API_KEYS=key) as client:
        version = client.get("/openapi.json").json()["info"]["version"]
    line, *warnings = [r.message for r in caplog.records if r.name == "uvicorn.error"]
    assert line.startswith(f"Notes {version} on ")
    assert place in line
    assert ("API_KEYS is unset" in line) == (not key)
    assert "pass-word" not in caplog.text
    assert all("without an index" in warning for warning in warnings)


# The table


def test_eight_that_start_together_make_a_table(empty_database: str, caplog: Log) -> None:
    """Eight services that open an empty database in one moment all serve, with one index."""
    apps = [load_main(DATABASE_URL=empty_database).app for _ in range(8)]
    barrier = Barrier(8)

    def start(app: FastAPI) -> int:
        barrier.wait()
        with TestClient(app) as client:
            return client.post("/notes/", json=GROCERIES).status_code

    with ThreadPoolExecutor(8) as starters, connect(empty_database) as sql:
        for _ in range(4):  # as they do not collide every time
            assert list(starters.map(start, apps)) == [201] * 8
            sql("DROP TABLE notes")
    complaints = [line for line in caplog.messages if "without an index" in line]
    assert all("is not available" in line for line in complaints)


def test_the_tutorials_table_is_taken_as_it_is(empty_database: str) -> None:
    """A NULL that the tutorial left is an empty text and not completed, in every list.

    Its notes are patched, replaced and deleted under If-Match. Its id is an int4.
    """
    key = "INTEGER NOT NULL" if empty_database.startswith("sqlite") else "SERIAL"
    columns = f"id {key} PRIMARY KEY, text VARCHAR, completed BOOLEAN"
    rows = "('b', true), (NULL, NULL), ('a', NULL)"
    with connect(empty_database) as sql:
        sql(f"CREATE TABLE notes ({columns})")
        sql(f"INSERT INTO notes (text, completed) VALUES {rows}")
    with open_client(DATABASE_URL=empty_database) as client:
        notes = read_notes(client)
        values = [(note["text"], note["completed"]) for note in notes]
        assert values == [("b", True), ("", False), ("a", False)]
        lists = {
            "sort=text": [notes[1], notes[2], notes[0]],
            "sort=-text": [notes[0], notes[2], notes[1]],
            "sort=completed": [notes[1], notes[2], notes[0]],
            "completed=false": notes[1:],
            "q=A": notes[2:],
            f"after={2**31}": [],
            f"skip={2**31}": [],
        }
        for query, expected in lists.items():
            assert client.get(f"/notes/?count=true&{query}").json() == expected, query
        for note in notes:
            path = f"/notes/{note['id']}/"
            body = {"text": "", "completed": not note["completed"]}
            tag = client.get(path).headers["ETag"]
            for method, members in (("PATCH", {}), ("PUT", body), ("DELETE", None)):
                headers = {"If-Match": tag}
                answer = client.request(method, path, json=members, headers=headers)
                note |= members or {}
                assert answer.status_code == 200
                assert note.items() <= answer.json().items()
                tag = answer.headers["ETag"]
        assert read_notes(client) == []


def test_no_right_to_create_is_needed_where_the_table_is(postgres: Postgres) -> None:
    """A user without CREATE rights starts on an existing table and does every call."""
    url = postgres.create_database("limited")
    with open_client(DATABASE_URL=url), connect(url) as sql:
        sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    rights = "SELECT, INSERT, UPDATE, DELETE ON notes", "USAGE ON SEQUENCE notes_id_seq"
    with create_role(url, "limited", "limited", *rights) as limited_url:
        with connect(limited_url) as sql, pytest.raises(Exception, match="denied"):
            sql("CREATE TABLE other ()")
        with open_client(DATABASE_URL=limited_url) as client:
            note = create_note(client)
            path = f"/notes/{note['id']}/"
            assert read_notes(client) == [note]
            assert client.patch(path, json={}).json() == note
            assert client.delete(path).status_code == 200
