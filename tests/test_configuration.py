"""What each variable takes, and how the start ends when one makes no sense."""

import re
import runpy
import subprocess
import sys
from pathlib import Path
from shutil import copyfile
from typing import Any
from urllib.parse import quote

import pytest

from tests.fixtures import (
    connect,
    create_note,
    create_role,
    open_client,
    problem,
    split_url,
)
from tests.servers import (
    MAIN_VARIABLES,
    ROOT,
    ExternalPostgres,
    Postgres,
    environment,
    free_port,
    skip,
)

SERVER = "postgresql://notes:secret@127.0.0.1"
REFUSED = {
    "DATABASE_URL": [
        "notes.db",
        "mysql://127.0.0.1/notes",
        "postgresql+psycopg2://127.0.0.1/notes",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///notes.db?timeout=3",
        "sqlite:////no/such/folder/notes.db",
        f"sqlite:///{ROOT}",
        f"{SERVER}:5432:5433/notes",
        f"{SERVER}:http/notes",
        "postgresql://[::1/notes",
        "postgres:se[cr]et@127.0.0.1/notes",
        f"{SERVER}/notes#secret",
        f"'{SERVER}/notes'",
        f"{SERVER}/notes?statement_cache_size=many",
    ],
    "POOL_SIZE": ["many", "0", "2.5", "'3'"],
    "MAX_OVERFLOW": ["some", "-1"],
    "POOL_TIMEOUT": ["soon", "0", "nan"],
    "DB_TIMEOUT": ["soon", "0"],
    "CORS_ORIGINS": [
        "*,https://a.example",
        "https://*.example",
        "https://a.example/",
        "https://a.example/path",
        "https://A.example",
        "https://a.example:443",
        "http://a.example:80",
        "https://user@a.example",
        "https://\u00e4.example",
        "file:///",
        "a.example",
        ",",
    ],
    "CORS_ORIGIN_REGEX": ["https://(.example"],
    "API_KEYS": [" , ", "one two", "one\ttwo"],
    "MAX_BODY_BYTES": ["0", "1MB"],
    "PORT": ["http", "-1", "70000"],
    "db_server_port": ["many"],
}
TAKEN = {
    "DATABASE_URL": [
        "sqlite:///./notes.db",
        "postgres://127.0.0.1",
        "postgresql+asyncpg://no%40tes:s%2F%23%25@127.0.0.1:5432/no%20tes",
        "postgresql://[::1]:5432/notes",
        "postgresql://[::1]:5432,127.0.0.2:5433,db/notes?target_session_attrs=any",
        f"{SERVER}/notes?sslmode=verify-ca&sslcert=a.crt&sslkey=a.key",
        f"{SERVER}/notes?search_path=mine&statement_cache_size=0",
        "postgresql:///notes?host=/run/postgresql",
        "postgresql://USER:PW@/NAME?host=/cloudsql/P:R:I",
        "postgresql://notes:s\u00e9cret \u2603[]@127.0.0.1/notes",
    ],
    "POOL_SIZE": ["1"],
    "MAX_OVERFLOW": ["0"],
    "POOL_TIMEOUT": ["0.5"],
    "DB_TIMEOUT": ["30"],
    "CORS_ORIGINS": [
        "*",
        "https://a.example, http://localhost:5173,null",
        "file://",
        "capacitor://localhost",
        "null",
        "https://xn--4ca.example:80,http://[::1]:443",
    ],
    "CORS_ORIGIN_REGEX": [r"https://pr-\d+\.a\.example"],
    "API_KEYS": ["one, two"],
    "MAX_BODY_BYTES": ["1"],
    "HOST": ["::1"],
    "PORT": ["0"],
    "host_server": ["db.example"],
    "db_server_port": ["6432"],
    "database_name": ["my notes"],
    "db_username": ["no@tes"],
    "db_password": ["@/#:%?"],
    "ssl_mode": ["required"],
}


def each(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    """Return each variable of a table with each of its values."""
    return [(name, value) for name, values in table.items() for value in values]


@pytest.fixture(scope="module")
def main(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A main.py that no .env file lies beside."""
    return Path(copyfile(ROOT / "main.py", tmp_path_factory.mktemp("main") / "main.py"))


def load(main: Path, **variables: str) -> dict[str, Any]:
    """Return the globals of a main.py that is loaded with these variables alone."""
    with pytest.MonkeyPatch.context() as patch:
        for name in MAIN_VARIABLES:
            patch.delenv(name, raising=False)
        for name, value in variables.items():
            patch.setenv(name, value)
        return runpy.run_path(str(main))


def read_refusal(main: Path, caplog: pytest.LogCaptureFixture, **variables: str) -> str:
    """Return the one line that a start ends with."""
    with pytest.raises(SystemExit) as exit_info:
        load(main, **variables)
    assert exit_info.value.code not in (0, None)
    (line,) = caplog.messages
    assert "\n" not in line
    return line


@pytest.mark.parametrize(("name", "value"), each(REFUSED))
def test_value_without_sense_ends_the_start(
    main: Path, name: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The start ends with one line that names the variable and no secret, and a status but 0."""
    line = read_refusal(main, caplog, **{name: value})
    assert line.startswith(f"{name}: ")
    assert not re.search("secret|se.cr.et", line)


@pytest.mark.parametrize("sign", ["/", "#", "?"])
@pytest.mark.parametrize("place", ["@127.0.0.1/notes", "@[::1]:5432", "@db,db2/n?host=a"])
def test_a_sign_that_must_be_encoded_is_named(
    main: Path, sign: str, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A password with a sign that ends a URL's part ends the start; the line names the sign."""
    for password in (f"sec{sign}ret", f"123{sign}sec=ret"):
        caplog.clear()
        url = f"postgresql://notes:{password}{place}"
        line = read_refusal(main, caplog, DATABASE_URL=url)
        assert f" {sign} " in line
        assert not re.search("sec|ret|123", line)


GUNICORN = ["-m", "gunicorn", "main:app", "--no-control-socket", "--bind=127.0.0.1:0"]


@pytest.mark.parametrize(
    "arguments",
    [["main.py"], GUNICORN, [*GUNICORN, "--preload"]],
    ids=["alone", "gunicorn", "preloaded"],
)
def test_process_ends_without_a_traceback(arguments: list[str]) -> None:
    """`python main.py` and gunicorn print that line once and end; no worker is tried again."""
    process = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment(POOL_SIZE="many"),
        capture_output=True,
        text=True,
        check=False,
        timeout=15,
    )
    assert process.returncode not in (0, None)
    assert process.stderr.count("POOL_SIZE: ") == 1
    assert process.stderr.count("Booting worker") == (arguments == GUNICORN)
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize(("name", "value"), each(TAKEN))
def test_value_with_sense_is_taken(
    main: Path, name: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A value that makes sense is taken without a word."""
    settings = load(main, **{name: value})["settings"]
    assert name in settings.model_fields_set
    assert caplog.messages == []


def test_every_variable_is_in_the_table() -> None:
    """The table has a value for each variable that main.py reads."""
    assert TAKEN.keys() == {*MAIN_VARIABLES}


def test_empty_value_is_the_default(main: Path) -> None:
    """A variable that is set to nothing counts as unset."""
    empty = load(main, **dict.fromkeys(MAIN_VARIABLES, ""))["settings"]
    assert empty.model_dump() == load(main)["settings"].model_dump()
    assert empty.url == "sqlite:///./notes.db"


@pytest.mark.parametrize("blank", [" ", "\r\n", "\t"])
def test_blanks_around_a_value_are_dropped(main: Path, blank: str) -> None:
    """A blank or a line end that was pasted with a value is no part of it."""
    variables = {"DATABASE_URL": f" {SERVER}/notes{blank}", "POOL_SIZE": f"3{blank}"}
    settings = load(main, **variables)["settings"]
    assert (settings.url, settings.POOL_SIZE) == (f"{SERVER}/notes", 3)


def test_env_file_gives_way_to_the_environment(main: Path, tmp_path: Path) -> None:
    """A variable comes from the .env file beside main.py, also one that Windows wrote."""
    copy = Path(copyfile(main, tmp_path / "main.py"))
    lines = b"\xef\xbb\xbfPOOL_SIZE='7' # inline\r\nexport MAX_OVERFLOW=8\r\nOTHER=9\r\n"
    (tmp_path / ".env").write_bytes(lines)
    settings = load(copy, MAX_OVERFLOW="9")["settings"]
    assert (settings.POOL_SIZE, settings.MAX_OVERFLOW) == (7, 9)


# Where the database is


def test_variables_of_the_tutorial_reach_the_database(postgres: Postgres) -> None:
    """The tutorial's variables connect, whatever characters their values hold."""
    postgres.create_database("my notes")
    postgres.sql('DROP ROLE IF EXISTS "no@tes"')
    postgres.sql("CREATE ROLE \"no@tes\" LOGIN SUPERUSER PASSWORD '@/#:%?'")
    variables = {
        "host_server": "127.0.0.1",
        "db_server_port": str(postgres.port),
        "database_name": "my notes",
        "db_username": "no@tes",
        "db_password": "@/#:%?",
        "ssl_mode": "disable",
    }
    with open_client(**variables) as client:
        assert client.get("/readyz").status_code == 200
    # DATABASE_URL goes before them.
    with open_client(
        **{**variables, "DATABASE_URL": "postgresql://127.0.0.1:1/n"}
    ) as client:
        assert client.get("/readyz").status_code == 503
    assert postgres.sql("SELECT to_regclass('notes')", "my notes").strip() == "notes"


@pytest.mark.parametrize(
    "template",
    [
        "postgres://{login}@{host}/{name}",
        "postgresql+asyncpg://{login}@{host}/{name}?ssl=prefer",
        "postgres://{login}@{host}/{name}?sslmode=prefer&target_session_attrs=read-write",
        "postgres://{login}@{host}/{name}?statement_cache_size=0",
        "postgres://{login}@127.0.0.1:{closed},{host}/{name}?target_session_attrs=any",
        "postgres://odd:p%40ss%2Fw%3Ard%25@{host}/{name}",
        "postgres://odder:[p@ss\u2603]:@{host}/{name}",
        "postgres://{host}/{name}?user=odd&password=p%40ss%2Fw:rd%25",
        "postgres://{login}@{host}/{name}?application_name=x-ssl=1",
    ],
)
def test_every_spelling_of_a_url_is_understood(postgres: Postgres, template: str) -> None:
    """Each way to write a Postgres URL reaches the database that it names."""
    url = postgres.create_database("spelling")
    login, host, name = split_url(url)
    login_url = template.format(login=login, host=host, name=name, closed=free_port())
    with (
        create_role(url, "odd", "p@ss/w:rd%", "CREATE ON SCHEMA public"),
        create_role(url, "odder", "[p@ss\u2603]:", "CREATE ON SCHEMA public"),
        connect(url) as sql,
    ):
        with open_client(DATABASE_URL=login_url) as client:
            note = create_note(client)
        assert sql("SELECT id FROM notes").fetchall() == [(note["id"],)]


@pytest.mark.parametrize(
    "template",
    [
        "postgresql://postgres:PW@/{name}?host={folder}&port={port}",
        "postgresql:///{name}?host={folder}&port={port}&user=postgres",
    ],
)
def test_a_socket_is_reached(postgres: Postgres, template: str) -> None:
    """A URL whose host is a folder connects by the Unix socket there, as Cloud Run has it."""
    if isinstance(postgres, ExternalPostgres):
        skip("TEST_DATABASE_URL names a server whose socket is not known")
    postgres.create_database("socket")
    folder = postgres.settings["unix_socket_directories"]
    url = template.format(name="socket", folder=folder, port=postgres.port)
    with open_client(DATABASE_URL=url) as client:
        create_note(client)
    assert postgres.sql("SELECT count(*) FROM notes", "socket") == "1\n"


def test_parameters_that_asyncpg_does_not_know_are_dropped(
    postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    """A key that only other clients understand is left out, and a warning names it."""
    url = f"{postgres.url()}?channel_binding=require&pgbouncer=true"
    with open_client(DATABASE_URL=url) as client:
        assert client.get("/readyz").status_code == 200
    warnings = [r.message for r in caplog.records if r.levelname == "WARNING"]
    assert all(
        any(key in w for w in warnings) for key in ("channel_binding", "pgbouncer")
    )


@pytest.mark.parametrize("file", ["notes.db", "my notes%.db", "my%20notes.db"])
def test_a_sqlite_url_names_a_file(tmp_path: Path, file: str) -> None:
    """What follows sqlite:/// is the file, with percent-encoding."""
    with open_client(DATABASE_URL=f"sqlite:///{tmp_path}/{quote(file)}") as client:
        create_note(client)
    assert (tmp_path / file).is_file()


@pytest.mark.parametrize("key", ["", "pass-word"])
def test_start_is_one_line(
    empty_database: str, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A start logs the version, the database without a password, and whether it is open to all."""
    place = f"SQLite, {empty_database.removeprefix('sqlite:///')}"
    if not empty_database.startswith("sqlite"):
        _, host, name = split_url(empty_database)
        place = f"Postgres, {host}/{name}"
        empty_database = f"postgresql://postgres:pass-word@{host}/{name}"
    caplog.set_level("INFO", logger="uvicorn.error")
    with open_client(DATABASE_URL=empty_database, API_KEYS=key) as client:
        version = client.get("/openapi.json").json()["info"]["version"]
    line, *warnings = [r.message for r in caplog.records if r.name == "uvicorn.error"]
    assert f"{version} " in line
    assert place in line
    assert ("API_KEYS is unset" in line) == (not key)
    assert "pass-word" not in caplog.text
    assert all("without an index" in warning for warning in warnings)


@pytest.mark.parametrize(
    "parameter",
    ["target_session_attrs=standby", "sslmode=perhaps", "application_name=%00"],
)
def test_a_url_that_no_server_serves_is_503(postgres: Postgres, parameter: str) -> None:
    """A wrong kind of server, or a value that only asyncpg refuses, is 503 and not 500."""
    url = f"{postgres.url()}?{parameter}"
    with open_client(DATABASE_URL=url, POOL_TIMEOUT="0.3") as client:
        assert problem(client.get("/notes/")) == 503
