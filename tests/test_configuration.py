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
from tests.servers import MAIN_VARIABLES, ROOT, Postgres, Service, environment, free_port

SERVER = "postgresql://notes:secret@127.0.0.1"
REFUSED = [
    ("DATABASE_URL", "notes.db"),
    ("DATABASE_URL", "mysql://127.0.0.1/notes"),
    ("DATABASE_URL", "postgresql+psycopg2://127.0.0.1/notes"),
    ("DATABASE_URL", "sqlite://"),
    ("DATABASE_URL", "sqlite:///:memory:"),
    ("DATABASE_URL", "sqlite:///notes.db?timeout=3"),
    ("DATABASE_URL", "sqlite:///notes.db#1"),
    ("DATABASE_URL", "sqlite:////no/such/folder/notes.db"),
    ("DATABASE_URL", f"sqlite:///{ROOT}"),
    ("DATABASE_URL", f"{SERVER}:5432:5433/notes"),
    ("DATABASE_URL", f"{SERVER}:99999/notes"),
    ("DATABASE_URL", f"{SERVER}:http/notes"),
    ("DATABASE_URL", "postgresql://[::1/notes"),
    ("DATABASE_URL", "postgresql://notes:sec/ret@127.0.0.1/notes"),
    ("DATABASE_URL", "postgresql://notes:sec#ret@127.0.0.1/notes"),
    ("DATABASE_URL", "postgres:se[cr]et@127.0.0.1/notes"),
    ("DATABASE_URL", "postgresql://notes:123/secret@127.0.0.1/notes"),
    ("DATABASE_URL", "postgresql://notes:123?secret@127.0.0.1/notes"),
    ("DATABASE_URL", "postgresql://notes:123?sec=ret@127.0.0.1/notes"),
    ("DATABASE_URL", f"{SERVER}/notes#secret"),
    ("DATABASE_URL", f"{SERVER},notes:secret@127.0.0.2/notes"),
    ("DATABASE_URL", f"'{SERVER}/notes'"),
    ("DATABASE_URL", f'"{SERVER}/notes"'),
    ("DATABASE_URL", f"{SERVER}/notes?statement_cache_size=many"),
    ("DATABASE_URL", f"{SERVER}/notes?statement_cache_size=-1"),
    ("DATABASE_URL", f"{SERVER}/notes?sslmode=perhaps"),
    ("DATABASE_URL", f"{SERVER}/notes?target_session_attrs=fast"),
    ("DATABASE_URL", f"{SERVER},127.0.0.2/notes?target_session_attrs=prefer-standby"),
    ("POOL_SIZE", "many"),
    ("POOL_SIZE", "0"),
    ("POOL_SIZE", "-1"),
    ("POOL_SIZE", "2.5"),
    ("POOL_SIZE", "1001"),
    ("MAX_OVERFLOW", "some"),
    ("MAX_OVERFLOW", "-1"),
    ("MAX_OVERFLOW", "1001"),
    ("POOL_TIMEOUT", "0"),
    ("POOL_TIMEOUT", "nan"),
    ("POOL_TIMEOUT", "inf"),
    ("DB_TIMEOUT", "soon"),
    ("DB_TIMEOUT", "0"),
    ("DB_TIMEOUT", "inf"),
    ("CORS_ORIGINS", "*,https://a.example"),
    ("CORS_ORIGINS", "https://*.example"),
    ("CORS_ORIGINS", "https://a.example/"),
    ("CORS_ORIGINS", "a.example"),
    ("CORS_ORIGINS", ","),
    ("CORS_ORIGIN_REGEX", "https://(.example"),
    ("API_KEYS", " , "),
    ("API_KEYS", "one two"),
    ("API_KEYS", "one\ttwo"),
    ("MAX_BODY_BYTES", "0"),
    ("MAX_BODY_BYTES", "1MB"),
    ("MAX_BODY_BYTES", str(2**30 + 1)),
    ("HOST", "not a host"),
    ("PORT", "http"),
    ("PORT", "-1"),
    ("PORT", "70000"),
    ("host_server", "db.example:5432"),
    ("host_server", "postgresql://db.example"),
    ("db_server_port", "many"),
    ("db_server_port", "0"),
    ("db_server_port", "70000"),
    ("ssl_mode", "perhaps"),
    ("POOL_SIZE", "'3'"),
]
TAKEN = [
    ("DATABASE_URL", "sqlite:///./notes.db"),
    ("DATABASE_URL", f"{SERVER}/notes"),
    ("DATABASE_URL", "postgres://127.0.0.1"),
    ("DATABASE_URL", "postgresql+asyncpg://no%40tes:s%2F%23%25@127.0.0.1:5432/no%20tes"),
    ("DATABASE_URL", "postgresql://[::1]:5432/notes"),
    (
        "DATABASE_URL",
        "postgresql://127.0.0.1:5432,127.0.0.2:5433/notes?target_session_attrs=any",
    ),
    ("DATABASE_URL", f"{SERVER}/notes?sslmode=verify-full&statement_cache_size=0"),
    ("DATABASE_URL", f"{SERVER}/notes?sslmode=verify-ca&sslcert=a.crt&sslkey=a.key"),
    ("DATABASE_URL", f"{SERVER}/notes?search_path=mine&target_session_attrs=primary"),
    ("DATABASE_URL", "postgresql:///notes?host=/run/postgresql"),
    ("DATABASE_URL", f"{SERVER}/notes?ssl=require"),
    ("DATABASE_URL", f"{SERVER}/notes?application_name=x-ssl=1"),
    ("DATABASE_URL", "postgresql://notes:se[cr]et@127.0.0.1/notes"),
    ("DATABASE_URL", "postgresql://notes:sec@ret@127.0.0.1/notes"),
    ("DATABASE_URL", "postgresql://notes:s\u00e9cret \u2603@127.0.0.1/notes"),
    ("POOL_SIZE", "1"),
    ("MAX_OVERFLOW", "0"),
    ("POOL_TIMEOUT", "0.5"),
    ("DB_TIMEOUT", "30"),
    ("CORS_ORIGINS", "*"),
    ("CORS_ORIGINS", "https://a.example, http://localhost:5173,null"),
    ("CORS_ORIGINS", "capacitor://localhost"),
    ("CORS_ORIGIN_REGEX", r"https://pr-\d+\.a\.example"),
    ("API_KEYS", "one, two"),
    ("MAX_BODY_BYTES", "1"),
    ("HOST", "0.0.0.0"),
    ("HOST", "::1"),
    ("HOST", "fe80::1%eth0"),
    ("HOST", "localhost"),
    ("PORT", "0"),
    ("PORT", "80"),
    ("host_server", "db.example"),
    ("db_server_port", "6432"),
    ("database_name", "my notes"),
    ("db_username", "no@tes"),
    ("db_password", "@/#:%?"),
    ("ssl_mode", "verify-full"),
    ("ssl_mode", "required"),
]


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


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_value_without_sense_ends_the_start(
    main: Path, name: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The start ends with one line that names the variable, and a status that is not 0."""
    with pytest.raises(SystemExit) as exit_info:
        load(main, **{name: value})
    assert exit_info.value.code not in (0, None)
    (line,) = caplog.messages
    assert line.startswith(f"{name}: ")
    assert "\n" not in line
    assert not re.search("sec|ret", line.replace("secret@127", ""))


@pytest.mark.parametrize(
    ("name", "value", "form"),
    [
        ("DATABASE_URL", "mysql://127.0.0.1/notes", "postgresql://USER:PASSWORD@HOST"),
        ("POOL_SIZE", "0", "greater than or equal to 1"),
        ("POOL_TIMEOUT", "soon", "a valid number"),
        ("PORT", "70000", "less than or equal to 65535"),
        (
            "CORS_ORIGINS",
            "*,https://a.example",
            "CORS_ORIGINS: must be * alone, or origins",
        ),
        ("CORS_ORIGIN_REGEX", "(", "a valid regular expression"),
    ],
)
def test_line_says_what_the_variable_may_be(
    main: Path, name: str, value: str, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The line tells the form or the bound that a value has to keep."""
    with pytest.raises(SystemExit):
        load(main, **{name: value})
    assert form in caplog.text


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Return how Python ends with these arguments, where POOL_SIZE makes no sense."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment(POOL_SIZE="many"),
        capture_output=True,
        text=True,
        check=False,
        timeout=15,
    )


def test_process_ends_without_a_traceback(main: Path) -> None:
    """`python main.py` prints that line and nothing else."""
    process = run_python(str(main))
    assert process.returncode != 0
    assert (process.stdout, process.stderr.count("\n")) == ("", 1)
    assert process.stderr.startswith("POOL_SIZE: ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POOL_SIZE", "many"),
        ("DATABASE_URL", "sqlite:////no/such/folder/n.db"),
        ("PORT", "70000"),
    ],
)
def test_gunicorn_ends_too(tmp_path: Path, name: str, value: str) -> None:
    """The master itself ends, before it starts a worker."""
    service = Service.gunicorn(tmp_path, **{name: value})
    try:
        status = service.process.wait(15)
    finally:
        service.stop()
    log = service.log.read_text()
    assert status != 0
    assert log.startswith(f"{name}: ")
    assert "Traceback" not in log
    assert "Booting worker" not in log


def test_gunicorn_that_does_not_preload_ends_too() -> None:
    """The first worker that cannot load the service ends the master, and none is tried again."""
    process = run_python(
        "-m", "gunicorn", "main:app", "--no-control-socket", "--bind=127.0.0.1:0"
    )
    assert process.returncode != 0
    assert process.stderr.count("POOL_SIZE: ") == 1
    assert process.stderr.count("Booting worker") == 1


@pytest.mark.parametrize(("name", "value"), TAKEN)
def test_value_with_sense_is_taken(
    main: Path, name: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A value that makes sense is taken without a word."""
    settings = load(main, **{name: value})["settings"]
    assert name in settings.model_fields_set
    assert caplog.messages == []


def test_every_variable_is_in_the_table() -> None:
    """The table has a value for each variable that main.py reads."""
    assert {name for name, _ in TAKEN} == {*MAIN_VARIABLES}


def test_empty_value_is_the_default(main: Path) -> None:
    """A variable that is set to nothing counts as unset."""
    empty, unset = load(main, **dict.fromkeys(MAIN_VARIABLES, " ")), load(main)
    assert empty["settings"].model_dump() == unset["settings"].model_dump()


@pytest.mark.parametrize("blank", [" ", "\n", "\r\n", "\t", "  \r"])
def test_blanks_around_a_value_are_dropped(main: Path, blank: str) -> None:
    """A blank or a line end that was pasted with a value is no part of it."""
    url = f"{SERVER}/notes"
    settings = load(main, DATABASE_URL=f" {url}{blank}", POOL_SIZE=f"3{blank}")[
        "settings"
    ]
    assert (settings.chosen_url, settings.POOL_SIZE) == (url, 3)


@pytest.mark.parametrize("value", ["'3'", '"3"'])
@pytest.mark.parametrize("name", ["DATABASE_URL", "POOL_SIZE", "API_KEYS", "db_password"])
def test_quotes_around_a_value_are_named(
    main: Path, name: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Quotes that were pasted with a value are what the line blames."""
    with pytest.raises(SystemExit):
        load(main, **{name: value})
    assert caplog.messages == [f"{name}: must not have quotes around it"]


def test_env_file_gives_way_to_the_environment(main: Path, tmp_path: Path) -> None:
    """A variable comes from the .env file beside main.py, unless the environment has it."""
    copy = Path(copyfile(main, tmp_path / "main.py"))
    (tmp_path / ".env").write_text("POOL_SIZE=7\nMAX_OVERFLOW=8\n")
    settings = load(copy, MAX_OVERFLOW="9")["settings"]
    assert (settings.POOL_SIZE, settings.MAX_OVERFLOW) == (7, 9)


@pytest.mark.parametrize(
    "text",
    [
        b"export POOL_SIZE=3\n",
        b"POOL_SIZE=3 # inline\n",
        b"POOL_SIZE='3'\n",
        b'POOL_SIZE = "3"\n',
        b"# first\r\nPOOL_SIZE=3\r\n",
        b"\xef\xbb\xbfPOOL_SIZE=3\n",
        b"POOL_SIZE=3",
    ],
)
def test_env_file_is_read_as_everybodys_is(
    main: Path, tmp_path: Path, text: bytes
) -> None:
    """export, quotes, comments behind a value, CRLF and a BOM are understood."""
    copy = Path(copyfile(main, tmp_path / "main.py"))
    (tmp_path / ".env").write_bytes(text)
    assert load(copy)["settings"].POOL_SIZE == 3


def test_env_file_that_is_not_utf_8_ends_the_start(
    main: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file in UTF-16, as some editors on Windows write it, is named in one line."""
    copy = Path(copyfile(main, tmp_path / "main.py"))
    (tmp_path / ".env").write_text("POOL_SIZE=3", encoding="utf-16")
    with pytest.raises(SystemExit):
        load(copy)
    assert caplog.messages == [".env: must be a text in UTF-8"]


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("host_server", "db.example", "@db.example:5432/fastapi?"),
        ("db_server_port", "6432", "@localhost:6432/fastapi?"),
        ("database_name", "my notes", "@localhost:5432/my%20notes?"),
        ("db_username", "no@tes", "//no%40tes:secret@"),
        ("db_password", "@/#:%?", "//postgres:%40%2F%23%3A%25%3F@"),
        ("ssl_mode", "verify-full", "?sslmode=verify-full"),
        ("ssl_mode", "required", "?sslmode=require"),
    ],
)
def test_any_variable_of_the_tutorial_makes_its_url(
    main: Path, name: str, value: str, part: str
) -> None:
    """Each of the six variables makes a URL of Postgres, with the tutorial's other defaults."""
    url = load(main, **{name: value})["settings"].chosen_url
    assert url.startswith("postgresql://")
    assert part in url


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
    assert postgres.sql("SELECT to_regclass('notes')", "my notes").strip() == "notes"


def test_database_url_goes_before_the_tutorials_variables(main: Path) -> None:
    """DATABASE_URL is taken where host_server is set, too."""
    settings = load(main, host_server="nowhere.invalid", DATABASE_URL=f"{SERVER}/notes")[
        "settings"
    ]
    assert settings.chosen_url == f"{SERVER}/notes"


@pytest.mark.parametrize(
    "template",
    [
        "postgres://{login}@{host}/{name}",
        "postgresql://{login}@{host}/{name}",
        "postgresql+asyncpg://{login}@{host}/{name}",
        "postgresql+asyncpg://{login}@{host}/{name}?ssl=prefer",
        "postgres://{login}@{host}/{name}?sslmode=prefer&target_session_attrs=read-write",
        "postgres://{login}@{host}/{name}?statement_cache_size=0",
        "postgres://{login}@127.0.0.1:{closed},{host}/{name}?target_session_attrs=any",
        "postgres://odd:p%40ss%2Fw%3Ard%25@{host}/{name}",
        "postgres://odder:[p@ss\u2603]@{host}/{name}",
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
        create_role(url, "odder", "[p@ss\u2603]", "CREATE ON SCHEMA public"),
        connect(url) as sql,
    ):
        with open_client(DATABASE_URL=login_url) as client:
            note = create_note(client)
        assert sql("SELECT id FROM notes").fetchall() == [(note["id"],)]


@pytest.mark.parametrize(
    "key", ["channel_binding", "connect_timeout", "pgbouncer", "sslcompression"]
)
def test_parameters_that_asyncpg_does_not_know_are_dropped(
    postgres: Postgres, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    """A key that only other clients understand is left out, and a warning names it."""
    url = postgres.create_database("spelling")
    with open_client(DATABASE_URL=f"{url}?{key}=1") as client:
        create_note(client)
    assert [record.levelname for record in caplog.records if key in record.message] == [
        "WARNING"
    ]


@pytest.mark.parametrize("file", ["notes.db", "my notes%.db", "my%20notes.db"])
def test_a_sqlite_url_names_a_file(tmp_path: Path, file: str) -> None:
    """What follows sqlite:/// is the file, with percent-encoding."""
    with open_client(DATABASE_URL=f"sqlite:///{tmp_path}/{quote(file)}") as client:
        create_note(client)
    assert (tmp_path / file).is_file()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_start_names_the_database_without_its_secrets(
    kind: str, tmp_path: Path, postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    """The start logs one line with the host or the file, and no user and no password."""
    url = f"sqlite:///{tmp_path}/notes.db"
    place = f"SQLite, {tmp_path}/notes.db"
    if kind == "postgres":
        _, host, name = split_url(postgres.create_database("named"))
        url = f"postgresql://postgres:pass-word@{host}/{name}?application_name=pass-word"
        place = f"Postgres, {host}/{name}"
    caplog.set_level("INFO")
    with open_client(DATABASE_URL=url):
        pass
    assert [line for line in caplog.messages if place in line] == [
        f"The database: {place}"
    ]
    assert "pass-word" not in caplog.text


@pytest.mark.parametrize(("url", "notices"), [("", 1), ("sqlite:///./notes.db", 0)])
def test_start_without_a_url_says_so(
    url: str,
    notices: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The start says that DATABASE_URL is unset where it is, and only there."""
    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO")
    with open_client(DATABASE_URL=url):
        assert caplog.text.count("DATABASE_URL is unset") == notices


def test_server_of_another_kind_than_the_url_asks_for_is_503(postgres: Postgres) -> None:
    """A primary is not used where the URL asks for a standby."""
    url = f"{postgres.create_database('attributes')}?target_session_attrs=standby"
    with open_client(DATABASE_URL=url, POOL_TIMEOUT="0.3") as client:
        assert problem(client.get("/notes/")) == 503
