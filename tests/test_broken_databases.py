"""Databases that are broken, restored or odd: who is told what, and what mends them."""

import asyncio
import random
import re
import shutil
import socket
import socketserver
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx2
import psycopg
import pytest
from fastapi.testclient import TestClient
from starlette.exceptions import HTTPException

from tests.fixtures import (
    GROCERIES,
    ORIGIN,
    Deployment,
    connect,
    create_note,
    deploy,
    load_main,
    open_client,
    other_columns,
    problem,
    read_notes,
)
from tests.servers import Postgres, Service, postgres_binaries, skip, wait_until

Log = pytest.LogCaptureFixture

# Requests and answers


class Request(NamedTuple):
    """What is sent; `{}` in the path is the id of a note."""

    method: str
    path: str
    body: dict[str, Any] | None = None

    def __str__(self) -> str:
        """Return what tells it from others."""
        return f"{self.method} {self.path}"

    def send(self, client: TestClient, note_id: int = 1, **headers: str) -> Any:
        """Send it, and return the answer."""
        path = self.path.format(note_id)
        return client.request(self.method, path, json=self.body, headers=headers)


READY = Request("GET", "/readyz")
LIST = Request("GET", "/notes/")
SEARCH = Request("GET", "/notes/?q=o")
COUNT = Request("GET", "/notes/?count=true")
READ = Request("GET", "/notes/{}/")
CREATE = Request("POST", "/notes/", GROCERIES)
REPLACE = Request("PUT", "/notes/{}/", GROCERIES)
PATCH = Request("PATCH", "/notes/{}/", {"completed": True})
DELETE = Request("DELETE", "/notes/{}/")
READS = [LIST, READ, READY]
WRITES = [CREATE, REPLACE, PATCH, DELETE]


def read_complaints(log: Log) -> list[str]:
    """Return the warnings and errors since the last call; fail if one is more than a line."""
    records = [
        record for record in log.records if record.levelname not in ("DEBUG", "INFO")
    ]
    log.clear()
    for record in records:
        assert not record.exc_info, record.exc_info
        assert "\n" not in record.getMessage()
    return [record.getMessage() for record in records]


def check_unavailable(response: Any, log: Log) -> str:
    """Return the one line that was logged for an answer; fail unless it is 503."""
    assert response.status_code == 503
    assert problem(response) == 503
    assert response.headers["Retry-After"] == "1"
    (line,) = read_complaints(log)
    return line


# Tables

KEYS = {
    "sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "postgresql": "BIGSERIAL PRIMARY KEY",
}
TWO_NOTES = "INSERT INTO notes (text, completed) VALUES ('one', true), ('two', false)"


def make_table(url: str, columns: str, rows: str = TWO_NOTES) -> None:
    """Make a table of notes with an id and these columns, as somebody else would."""
    key = KEYS[url.partition(":")[0]]
    with connect(url) as sql:
        sql(f"CREATE TABLE notes (id {key}, {columns}{other_columns(url)})")
        sql(rows)


def make_raising_trigger(
    deployment: Deployment, code: str, event: str, times: int = 1_000
) -> None:
    """Make Postgres raise a SQLSTATE after the first rows that are written, and count them."""
    deployment.sql("CREATE SEQUENCE raised")  # what a sequence gave is not rolled back
    deployment.sql(
        f"""
        CREATE FUNCTION raise() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('raised') <= {times} THEN
                RAISE EXCEPTION 'raised by a test' USING ERRCODE = '{code}';
            END IF;
            RETURN NULL;
        END $$
        """
    )
    deployment.sql(
        f"CREATE TRIGGER raising AFTER {event} ON notes FOR EACH ROW EXECUTE FUNCTION raise()"
    )


@pytest.fixture
def database_deployment(empty_database: str) -> Iterator[Deployment]:
    """The service on a database of the test's own with two notes in it, on each of the two."""
    with deploy(empty_database) as deployment:
        deployment.sql(TWO_NOTES)
        yield deployment


@pytest.fixture
def postgres_deployment(postgres: Postgres) -> Iterator[Deployment]:
    """The service on a Postgres database of the test's own with two notes in it."""
    with deploy(postgres.create_database("broken")) as deployment:
        deployment.sql(TWO_NOTES)
        yield deployment


# One bound for a request

LOCK = "LOCK TABLE notes IN ACCESS EXCLUSIVE MODE"


def count_waiting(sql: Callable[[str], Any]) -> int:
    """Return how many sessions wait for the table of notes."""
    condition = "NOT granted AND relation = 'notes'::regclass"
    (number,) = sql(f"SELECT count(*) FROM pg_locks WHERE {condition}").fetchone()
    return int(number)


@pytest.mark.parametrize("request_", [REPLACE, COUNT], ids=str)
def test_locks_that_come_and_go_do_not_add_up(
    postgres: Postgres, request_: Request
) -> None:
    """A request waits for POOL_TIMEOUT, DB_TIMEOUT and a second at most, however many locks."""
    url = postgres.create_database("broken")
    with (
        open_client(DATABASE_URL=url, POOL_TIMEOUT="0.2", DB_TIMEOUT="2") as client,
        connect(url) as sql,
        psycopg.connect(url) as first,
        psycopg.connect(url) as second,
        ThreadPoolExecutor() as threads,
    ):
        note = create_note(client)
        headers = {"If-Match": '"x"'}  # so that a write reads afterwards
        first.execute(LOCK)
        start = time.monotonic()
        future = threads.submit(request_.send, client, note["id"], **headers)
        wait_until(lambda: count_waiting(sql) == 1)
        threads.submit(
            second.execute, LOCK
        )  # it queues behind the request's first statement
        wait_until(lambda: count_waiting(sql) == 2)
        first.execute("SELECT pg_sleep(1.7)")  # most of DB_TIMEOUT
        first.commit()
        assert future.result(30).status_code in (200, 503, 504)
        assert time.monotonic() - start < 0.2 + 2 + 1


def test_a_statement_waits_no_longer_than_its_deadline(tmp_path: Path) -> None:
    """A statement that is not the first of its request waits for a lane until their deadline."""
    main = load_main(DATABASE_URL=f"sqlite:///{tmp_path}/notes.db", POOL_TIMEOUT="60")
    statement = main.note_store.count_statement(frozenset())

    async def wait() -> float:
        async with main.lifespan(main.app), main.database.lanes[main.Lane.SCAN]:
            start = time.monotonic()
            with pytest.raises(HTTPException, match="503"):
                await main.run(statement, {}, main.Lane.SCAN, start + 0.2)
            return time.monotonic() - start

    assert 0.1 < asyncio.run(wait()) < 5


def test_a_connection_that_is_closed_under_a_statement_is_503(postgres: Postgres) -> None:
    """A statement whose connection is closed already is 503, as one that loses it is."""
    url = postgres.create_database("broken")
    main = load_main(DATABASE_URL=url, POOL_TIMEOUT="0.5")

    async def read() -> None:
        async with (
            main.lifespan(main.app),
            main.database.connection(main.Lane.QUICK) as connection,
        ):
            await connection.raw_connection.close()
            # It has this connection, as a task has one at a time.
            with pytest.raises(HTTPException, match="503"):
                await main.note_store.read(1)

    asyncio.run(read())


@pytest.mark.parametrize(("size", "share"), [(1, 1), (4, 1), (6, 2)])
def test_scans_take_less_than_half_of_the_pool(
    postgres: Postgres, size: int, share: int
) -> None:
    """Scans take less than half of POOL_SIZE and MAX_OVERFLOW, but one connection at least."""
    url = postgres.create_database("broken")
    pool = {"POOL_SIZE": "1", "MAX_OVERFLOW": str(size - 1), "POOL_TIMEOUT": "0.5"}
    with (
        open_client(DATABASE_URL=url, **pool) as client,
        connect(url) as sql,
        ThreadPoolExecutor() as threads,
        psycopg.connect(url) as locker,
    ):
        locker.execute(LOCK)
        scans = [
            threads.submit(client.get, f"/notes/?sort=text&skip={number}")
            for number in range(size + 1)
        ]
        wait_until(lambda: sum(scan.done() for scan in scans) == len(scans) - share)
        assert count_waiting(sql) == share


# Tables that go and come back


def run_postgres_program(
    name: str, *arguments: str | Path
) -> subprocess.CompletedProcess[str]:
    """Run one of Postgres' client programs, and return how it ended."""
    command = [postgres_binaries() / name, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_restore_beside_clients_succeeds(
    postgres: Postgres, tmp_path: Path, caplog: Log
) -> None:
    """While clients read, `pg_restore --clean` succeeds each time; what it hides is 503."""
    url, dump = postgres.create_database("broken"), tmp_path / "dump"
    with deploy(url) as deployment, ThreadPoolExecutor(8) as threads:
        client = deployment.client
        deployment.sql(
            "INSERT INTO notes (text, completed) SELECT n, false FROM generate_series(1, 3000) n"
        )
        result = run_postgres_program("pg_dump", "--format=custom", "--file", dump, url)
        if result.returncode:
            skip(result.stderr.strip())
        caplog.clear()
        stop_event = threading.Event()

        def read() -> list[int]:
            statuses = []
            while not stop_event.is_set():
                statuses += [
                    request.send(client).status_code for request in (*READS, SEARCH)
                ]
            return statuses

        readers = [threads.submit(read) for _ in range(8)]
        options = ("--clean", "--if-exists", "--dbname", url, dump)
        try:
            restores = [run_postgres_program("pg_restore", *options) for _ in range(4)]
        finally:
            stop_event.set()
        statuses = [status for reader in readers for status in reader.result(30)]
        assert [restore.stderr for restore in restores] == [""] * 4
        (count,) = deployment.sql("SELECT count(*) FROM notes").fetchone()
        assert count == 3000
        assert len(read_notes(client)) == 100
        assert set(statuses) <= {
            200,
            404,
            503,
        }  # 404 is an empty table, before its rows are back
        # Equal lists that share a statement share its line.
        complaints = read_complaints(caplog)
        assert bool(complaints) == (503 in statuses)
        assert len(complaints) <= statuses.count(503)


# What an operator has to mend


class Damage(NamedTuple):
    """Statements that break a database and mend it, and what is 503 in between."""

    break_sql: str
    repair_sql: str
    requests: Sequence[Request]


LAST = 2**63 - 1
LONG = {"text": random.Random(0).randbytes(30_000).hex()}  # not to be compressed
DAMAGE_OF_ANY = {
    "table renamed": Damage(
        "ALTER TABLE notes RENAME TO old",
        "ALTER TABLE old RENAME TO notes",  # which fails if somebody has made another one
        [*READS, SEARCH, *WRITES],
    ),
    "column renamed": Damage(
        "ALTER TABLE notes RENAME COLUMN completed TO done",
        "ALTER TABLE notes RENAME COLUMN done TO completed",
        [*READS, SEARCH, *WRITES],
    ),
}
DAMAGE_OF_SQLITE = {
    "ids at their end": Damage(
        f"UPDATE sqlite_sequence SET seq = {LAST}",
        "UPDATE sqlite_sequence SET seq = 2",
        [CREATE],
    ),
}
DAMAGE_OF_POSTGRES = {
    "ids at their end (2200H)": Damage(
        f"SELECT setval('notes_id_seq', {LAST})",
        "SELECT setval('notes_id_seq', 2)",
        [CREATE],
    ),
    "schema renamed (3F000)": Damage(
        "ALTER SCHEMA public RENAME TO old",
        "ALTER SCHEMA old RENAME TO public",
        [*READS, SEARCH, *WRITES],
    ),
    "index that is full (54000)": Damage(
        "CREATE INDEX own ON notes (text)",
        "DROP INDEX own",
        [CREATE._replace(body=LONG), PATCH._replace(body=LONG)],
    ),
    "column of another type (42804)": Damage(
        "ALTER TABLE notes ALTER completed TYPE SMALLINT USING completed::INT",
        "ALTER TABLE notes ALTER completed TYPE BOOLEAN USING completed > 0",
        [*READS, CREATE],
    ),
}


def check_damage(deployment: Deployment, damage: Damage, log: Log) -> None:
    """Fail unless requests are 503, a line each, between the breaking and the mending."""
    notes_before = read_notes(deployment.client)
    log.clear()
    deployment.sql(damage.break_sql)
    for request in damage.requests:
        check_unavailable(request.send(deployment.client), log)
    deployment.sql(damage.repair_sql)
    assert read_notes(deployment.client) == notes_before
    for request in damage.requests:
        assert request.send(deployment.client).status_code in (200, 201), request


@pytest.mark.parametrize("damage", DAMAGE_OF_ANY.values(), ids=DAMAGE_OF_ANY)
def test_a_damaged_table_is_503_until_it_is_mended(
    database_deployment: Deployment, damage: Damage, caplog: Log
) -> None:
    """What was there at the start and is no more is 503, and served again without a restart."""
    check_damage(database_deployment, damage, caplog)


@pytest.mark.parametrize("damage", DAMAGE_OF_SQLITE.values(), ids=DAMAGE_OF_SQLITE)
def test_damage_to_sqlite_is_503_until_it_is_mended(
    tmp_path: Path, damage: Damage, caplog: Log
) -> None:
    """What only an operator can mend on SQLite is 503, and served again without a restart."""
    with deploy(f"sqlite:///{tmp_path}/notes.db") as deployment:
        deployment.sql(TWO_NOTES)
        check_damage(deployment, damage, caplog)


@pytest.mark.parametrize("damage", DAMAGE_OF_POSTGRES.values(), ids=DAMAGE_OF_POSTGRES)
def test_damage_to_postgres_is_503_until_it_is_mended(
    postgres_deployment: Deployment, damage: Damage, caplog: Log
) -> None:
    """What only an operator can mend on Postgres is 503, and served again without a restart."""
    check_damage(postgres_deployment, damage, caplog)


def test_data_that_postgres_finds_corrupt_is_503(
    postgres_deployment: Deployment, caplog: Log
) -> None:
    """XX001, with which Postgres reports a damaged page, is 503, and is not asked for again."""
    make_raising_trigger(postgres_deployment, "XX001", "INSERT")
    caplog.clear()
    check_unavailable(CREATE.send(postgres_deployment.client), caplog)
    assert postgres_deployment.sql("SELECT last_value FROM raised").fetchone() == (1,)
    assert len(read_notes(postgres_deployment.client)) == 2


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("26000", 201),
        ("40001", 201),
        ("42501", 503),
        ("42883", 503),
        ("42P05", 201),
        ("53300", 201),
        ("55P03", 201),
        ("57014", 201),
    ],
)
def test_what_may_succeed_later_is_tried_again(
    postgres_deployment: Deployment, code: str, status: int
) -> None:
    """A write that Postgres refuses once for want of time or room is done, and others are 503."""
    make_raising_trigger(postgres_deployment, code, "INSERT", times=1)
    assert CREATE.send(postgres_deployment.client).status_code == status


def test_sql_that_makes_no_sense_is_a_bug(
    postgres_deployment: Deployment, caplog: Log
) -> None:
    """42601, a syntax error, is 500, with its traceback in the log."""
    make_raising_trigger(postgres_deployment, "42601", "INSERT")
    assert problem(CREATE.send(postgres_deployment.client)) == 500
    assert "Traceback" in caplog.text


def test_a_collation_that_cannot_search_is_no_bug(
    postgres: Postgres, caplog: Log
) -> None:
    """A search on a nondeterministic collation finds the note, or is 503 with one line."""
    url = postgres.create_database("broken")
    with deploy(url) as deployment:
        deployment.sql(TWO_NOTES)
        kind = "provider = icu, locale = 'und-u-ks-level2', deterministic = false"
        try:
            deployment.sql(f"CREATE COLLATION loose ({kind})")
        except psycopg.errors.FeatureNotSupported as error:  # built without ICU
            skip(str(error))
        deployment.sql(
            "DROP INDEX IF EXISTS notes_text_trgm"
        )  # which knows no such collation
        deployment.sql("ALTER TABLE notes ALTER text TYPE TEXT COLLATE loose")
        caplog.clear()
        answer = deployment.client.get("/notes/?q=TW")
        if answer.status_code == 503:
            check_unavailable(answer, caplog)
        else:
            assert [note["text"] for note in answer.json()] == ["two"]


# A write whose outcome is unknown


@pytest.mark.parametrize("request_", WRITES, ids=str)
def test_a_write_with_an_unknown_outcome_is_sent_once(
    postgres_deployment: Deployment, request_: Request, caplog: Log
) -> None:
    """A write that the server answers with 40003 may have been applied: 504, and not repeated."""
    make_raising_trigger(postgres_deployment, "40003", "INSERT OR UPDATE OR DELETE")
    caplog.clear()
    answer = request_.send(postgres_deployment.client)
    assert postgres_deployment.sql("SELECT last_value FROM raised").fetchone() == (1,)
    assert problem(answer) == 504
    assert "may have been applied" in answer.json()["detail"]
    assert len(read_complaints(caplog)) == 1


# What the table that is there refuses

REFUSALS = {
    "CHECK": ("text TEXT NOT NULL CHECK (text <> 'refused')", "refused", 422),
    "VARCHAR(5)": ("text VARCHAR(5) NOT NULL CHECK (length(text) <= 5)", "refused", 422),
    "UNIQUE": ("text TEXT NOT NULL UNIQUE", "one", 409),
}


@pytest.mark.parametrize(("column", "text", "status"), REFUSALS.values(), ids=REFUSALS)
def test_what_a_constraint_refuses_is_the_clients_error(
    empty_database: str, column: str, text: str, status: int, caplog: Log
) -> None:
    """POST, PUT and PATCH of a value that the table refuses are 409 or 422, and change nothing."""
    make_table(empty_database, f"{column}, completed BOOLEAN NOT NULL")
    with open_client(DATABASE_URL=empty_database) as client:
        notes_before = read_notes(client)
        caplog.clear()
        for request in CREATE, REPLACE, PATCH:
            invalid_request = request._replace(body=GROCERIES | {"text": text})
            assert (
                problem(invalid_request.send(client, note_id=notes_before[1]["id"]))
                == status
            ), request.method
        assert read_notes(client) == notes_before
        read_complaints(caplog)


def test_a_column_of_ones_own_that_needs_a_value_is_422(
    empty_database: str, caplog: Log
) -> None:
    """POST on a table with one more NOT NULL column is 422; what is there can be changed."""
    rows = "INSERT INTO notes (text, completed, owner) VALUES ('one', false, 'me')"
    columns = "text TEXT NOT NULL, completed BOOLEAN NOT NULL, owner TEXT NOT NULL"
    make_table(empty_database, columns, rows)
    with open_client(DATABASE_URL=empty_database) as client:
        caplog.clear()
        assert problem(CREATE.send(client)) == 422
        assert [note["text"] for note in read_notes(client)] == ["one"]
        assert [REPLACE.send(client).status_code, PATCH.send(client).status_code] == [
            200,
            200,
        ]
        read_complaints(caplog)


def test_a_trigger_of_ones_own_refuses(empty_database: str, caplog: Log) -> None:
    """A note that a trigger refuses by its own words is 422, and is not stored."""
    with deploy(empty_database) as deployment:
        if empty_database.startswith("sqlite"):
            refusal = "BEGIN SELECT RAISE(ABORT, 'no'); END"
            deployment.sql(f"CREATE TRIGGER own BEFORE INSERT ON notes {refusal}")
        else:
            make_raising_trigger(deployment, "P0001", "INSERT")
        caplog.clear()
        assert problem(CREATE.send(deployment.client)) == 422
        assert read_notes(deployment.client) == []
        read_complaints(caplog)


def test_a_sequence_behind_the_ids_is_409(
    postgres_deployment: Deployment, caplog: Log
) -> None:
    """POST after a restore of the data alone is 409, and the log names what mends it: setval."""
    postgres_deployment.sql("SELECT setval('notes_id_seq', 1, false)")
    caplog.clear()
    assert problem(CREATE.send(postgres_deployment.client)) == 409
    (line,) = read_complaints(caplog)
    assert "setval" in line
    postgres_deployment.sql("SELECT setval('notes_id_seq', 2)")
    assert CREATE.send(postgres_deployment.client).status_code == 201


# Encodings

LATIN1 = "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"


@pytest.mark.parametrize(
    "request_",
    [
        CREATE._replace(body=GROCERIES | {"text": "5 €"}),
        REPLACE._replace(body=GROCERIES | {"text": "5 €"}),
        PATCH._replace(body={"text": "5 €"}),
        Request("GET", "/notes/?q=€"),
    ],
    ids=str,
)
def test_a_character_that_the_database_lacks_is_422(
    postgres: Postgres, request_: Request, caplog: Log
) -> None:
    """A database in LATIN1 has no euro sign: a note with it is 422, and so is a search for it."""
    with deploy(postgres.create_database("latin1", LATIN1)) as deployment:
        deployment.sql(TWO_NOTES)
        notes_before = read_notes(deployment.client)
        caplog.clear()
        assert problem(request_.send(deployment.client)) == 422
        assert read_notes(deployment.client) == notes_before
        assert create_note(deployment.client, text="café")["text"] == "café"
        read_complaints(caplog)


def test_the_etag_is_the_same_in_any_encoding(postgres: Postgres, tmp_path: Path) -> None:
    """The same note has one ETag on SQLite and on a Postgres database in LATIN1."""
    tags = set()
    for url in (
        f"sqlite:///{tmp_path}/notes.db",
        postgres.create_database("latin1", LATIN1),
    ):
        with open_client(DATABASE_URL=url) as client:
            tags.add(client.post("/notes/", json={"text": "café"}).headers["ETag"])
    assert len(tags) == 1


@pytest.fixture(params=["sqlite", "postgres"])
def invalid_text_deployment(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Deployment]:
    """The service, with a note between two others whose text is no UTF-8, on each of the two."""
    url, invalid = f"sqlite:///{tmp_path}/notes.db", "CAST(x'ff6f' AS TEXT)"
    if request.param == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.create_database(
            "ascii", "ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0"
        )
        invalid = r"E'\xff' || 'o'"
    with deploy(url) as deployment:
        create_note(deployment.client, text="one 😀")
        deployment.sql(f"INSERT INTO notes (text, completed) VALUES ({invalid}, true)")
        create_note(deployment.client, text="two")
        yield deployment


def test_text_that_is_no_utf_8_harms_no_other_read(
    invalid_text_deployment: Deployment,
) -> None:
    """Reads that share a statement with one of an unreadable note get their own notes."""
    client = invalid_text_deployment.client
    with ThreadPoolExecutor(12) as pool:
        ids = [1, 2, 3] * 20
        responses = pool.map(lambda note_id: client.get(f"/notes/{note_id}/"), ids)
    expected = {1: 200, 2: 503, 3: 200}
    statuses = [response.status_code for response in responses]
    assert statuses == [expected[note_id] for note_id in ids]


@pytest.mark.parametrize(
    "request_",
    [
        READ,
        LIST,
        SEARCH,
        Request("GET", "/notes/?sort=-text"),
        Request("GET", "/notes/?id=2"),
    ],
    ids=str,
)
def test_text_that_is_no_utf_8_is_503_at_once(
    invalid_text_deployment: Deployment, request_: Request, caplog: Log
) -> None:
    """A note whose stored text is broken, and each list that holds it, is 503 with one line."""
    caplog.clear()
    start = time.monotonic()
    line = check_unavailable(
        request_.send(invalid_text_deployment.client, note_id=2), caplog
    )
    assert time.monotonic() - start < 2  # it is not tried again for DB_TIMEOUT
    assert "\ufffdo" not in line  # what people wrote is not for the log


def test_the_notes_beside_a_broken_one_are_served(
    invalid_text_deployment: Deployment,
) -> None:
    """A note whose text is broken takes no other along, and a PUT mends it."""
    client = invalid_text_deployment.client
    assert client.get("/notes/1/").json()["text"] == "one 😀"
    assert client.get("/notes/?after=2").json()[0]["text"] == "two"
    assert READY.send(client).status_code == 200
    assert REPLACE.send(client, note_id=2).json() == {"id": 2, **GROCERIES}
    assert len(read_notes(client)) == 3


# Tables that somebody else made


class OddTable(NamedTuple):
    """A table that the service cannot use, what a line says of it, and what mends it."""

    table: str
    log_pattern: str
    repair_sql: str


ODD_ON_POSTGRES = {
    "completed SMALLINT": OddTable(
        "id BIGSERIAL PRIMARY KEY, text TEXT, completed SMALLINT",
        r"\bcompleted\b.*\b(smallint|int2)\b",
        "ALTER TABLE notes ALTER completed TYPE BOOLEAN USING completed <> 0",
    ),
    "text BYTEA": OddTable(
        "id BIGSERIAL PRIMARY KEY, text BYTEA, completed BOOLEAN",
        r"\btext\b.*\bbytea\b",
        "ALTER TABLE notes ALTER text TYPE TEXT USING encode(text, 'escape')",
    ),
    "id UUID": OddTable(
        "id UUID PRIMARY KEY DEFAULT gen_random_uuid(), text TEXT, completed BOOLEAN",
        r"\bid\b.*\buuid\b",
        "ALTER TABLE notes DROP id, ADD id BIGSERIAL PRIMARY KEY",
    ),
    "id without a default": OddTable(
        "id INTEGER PRIMARY KEY, text TEXT, completed BOOLEAN",
        r"\bid\b",
        "ALTER TABLE notes ALTER id ADD GENERATED BY DEFAULT AS IDENTITY",
    ),
}


@pytest.mark.parametrize("odd_table", ODD_ON_POSTGRES.values(), ids=ODD_ON_POSTGRES)
def test_an_odd_table_on_postgres_is_503_until_it_is_altered(
    postgres: Postgres, odd_table: OddTable, caplog: Log
) -> None:
    """While a column has a wrong type each request is 503, and its line names column and type."""
    url = postgres.create_database("broken")
    with connect(url) as sql:
        sql(
            "SET lock_timeout = '5s'"
        )  # should the service keep a lock between its requests
        sql(f"CREATE TABLE notes ({odd_table.table}{other_columns(url)})")
        with open_client(DATABASE_URL=url) as client:
            caplog.clear()
            for request in *READS, SEARCH, *WRITES:
                line = check_unavailable(request.send(client), caplog)
                assert re.search(odd_table.log_pattern, line)
            assert client.get("/livez").status_code == 200
            sql(odd_table.repair_sql)
            note = create_note(client)
            assert read_notes(client) == [note]
            assert READY.send(client).status_code == 200


def find_statement(text: str) -> str:
    """Return the ALTER TABLE that a text names, up to the end of its line."""
    (statement,) = re.findall(r"ALTER TABLE notes ADD COLUMN [^\n;`]+", text)
    return str(statement)


LACKING = {"completed": "text TEXT NOT NULL", "text": "completed BOOLEAN NOT NULL"}
LACKING_ROWS = {
    "completed": "INSERT INTO notes (text) VALUES ('old')",
    "text": "INSERT INTO notes (completed) VALUES (true)",
}


@pytest.mark.parametrize("column", LACKING)
def test_a_lacking_column_on_postgres_is_named_with_its_cure(
    postgres: Postgres, column: str, caplog: Log
) -> None:
    """Without a column each request is 503; after the ALTER TABLE of its line it is served."""
    url = postgres.create_database("broken")
    make_table(url, LACKING[column], LACKING_ROWS[column])
    with open_client(DATABASE_URL=url) as client, connect(url) as sql:
        sql("SET lock_timeout = '5s'")
        caplog.clear()
        for request in *READS, *WRITES:
            line = check_unavailable(request.send(client), caplog)
            assert find_statement(line).startswith(
                f"ALTER TABLE notes ADD COLUMN {column} "
            )
        sql(find_statement(line))
        assert len(read_notes(client)) == 1
        assert create_note(client) in read_notes(client)


def read_refusal(folder: Path, file: Path) -> str:
    """Return the line with which the service does not start on a file; fail if there are more."""
    settings = {
        "DB_TIMEOUT": "0.5",
        "API_KEYS": "key",
    }  # without a key there is a line about it
    service = Service.python(folder, DATABASE_URL=f"sqlite:///{file}", **settings)
    try:
        assert service.process.wait(15) != 0
    finally:
        service.stop()
    lines = service.log.read_text().splitlines()
    prefixes = (
        "INFO:",
        "ERROR:    Application startup failed. Exiting.",
    )  # uvicorn's own
    (line,) = [line for line in lines if not line.startswith(prefixes)]
    return line


@pytest.mark.parametrize("column", LACKING)
def test_a_lacking_column_on_sqlite_is_named_with_its_cure(
    tmp_path: Path, column: str
) -> None:
    """Without a column the service does not start; after the ALTER TABLE of its line it does."""
    url, file = f"sqlite:///{tmp_path}/notes.db", tmp_path / "notes.db"
    make_table(url, LACKING[column], LACKING_ROWS[column])
    statement = find_statement(read_refusal(tmp_path, file))
    assert statement.startswith(f"ALTER TABLE notes ADD COLUMN {column} ")
    with connect(url) as sql:
        sql(statement)
    with open_client(DATABASE_URL=url) as client:
        assert len(read_notes(client)) == 1
        assert create_note(client) in read_notes(client)


@pytest.mark.parametrize(
    "key",
    [
        "id INT PRIMARY KEY",
        "id INTEGER",
        "uid TEXT PRIMARY KEY, id INTEGER",
        "uid INTEGER PRIMARY KEY",
    ],
)
def test_an_id_that_sqlite_would_leave_null_is_refused_at_the_start(
    tmp_path: Path, key: str
) -> None:
    """The service starts on no table but one whose id SQLite generates."""
    url, file = f"sqlite:///{tmp_path}/notes.db", tmp_path / "notes.db"
    columns = f"{key}, text TEXT, completed BOOLEAN{other_columns(url)}"
    with connect(url) as sql:
        sql(f"CREATE TABLE notes ({columns})")
    assert re.search(r"\bid\b.*\bINTEGER PRIMARY KEY\b", read_refusal(tmp_path, file))


# A file that is broken


def test_a_file_that_is_no_database_is_refused_at_the_start(tmp_path: Path) -> None:
    """On a file whose header is overwritten the service does not start, and says so in a line."""
    url, file = f"sqlite:///{tmp_path}/notes.db", tmp_path / "notes.db"
    make_table(url, "text TEXT NOT NULL, completed BOOLEAN NOT NULL")
    with file.open("r+b") as stream:
        stream.write(b"This is no database.")
    assert "not a database" in read_refusal(tmp_path, file)


def test_a_file_that_another_process_holds_is_refused_at_the_start(
    tmp_path: Path,
) -> None:
    """A first start while somebody else holds the file ends with a line after DB_TIMEOUT."""
    file = tmp_path / "notes.db"
    with connect(f"sqlite:///{file}") as sql:
        sql("BEGIN EXCLUSIVE")
        sql("CREATE TABLE other (id INTEGER)")
        assert "locked" in read_refusal(tmp_path, file)


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with 60 notes, which are more than SQLite keeps in memory."""
    file = tmp_path_factory.mktemp("large") / "notes.db"
    with deploy(f"sqlite:///{file}") as deployment:
        numbers = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)"
        row = f"'{'o' * 60_000}', false"
        deployment.sql(
            f"INSERT INTO notes (text, completed) {numbers} SELECT {row} FROM n"
        )
    return file


@pytest.mark.parametrize("request_", [READ, LIST, SEARCH, COUNT, *WRITES], ids=str)
def test_a_file_that_is_corrupt_is_503(
    large_file: Path, tmp_path: Path, request_: Request, caplog: Log
) -> None:
    """A request that meets an overwritten page of the file is 503, with one line, at once."""
    file = Path(shutil.copy(large_file, tmp_path))
    with open_client(DATABASE_URL=f"sqlite:///{file}") as client:
        caplog.clear()
        with file.open("r+b") as stream:
            stream.seek(4096)
            stream.write(random.Random(0).randbytes(file.stat().st_size - 4096))
        start = time.monotonic()
        check_unavailable(request_.send(client, note_id=30), caplog)
        assert time.monotonic() - start < 2
        assert client.get("/livez").status_code == 200


# A file that is no longer there


def delete(file: Path) -> None:
    """Delete a file."""
    file.unlink()


def delete_with_its_log(file: Path) -> None:
    """Delete a file with what SQLite keeps beside it."""
    for path in file.parent.glob(f"{file.name}*"):
        path.unlink()


def replace(file: Path) -> None:
    """Put another database in a file's place."""
    other_file = file.with_name("other.db")
    make_table(
        f"sqlite:///{other_file}", "text TEXT NOT NULL, completed BOOLEAN NOT NULL"
    )
    other_file.rename(file)


def move(file: Path) -> None:
    """Move a file away."""
    file.rename(file.with_name("moved.db"))


@pytest.mark.parametrize("lose", [delete, delete_with_its_log, replace, move])
def test_writes_into_a_file_that_is_gone_are_503(
    tmp_path: Path, lose: Callable[[Path], None], caplog: Log
) -> None:
    """Once its file is not the one at the path the service takes no write, and is not ready."""
    url, file = f"sqlite:///{tmp_path}/notes.db", tmp_path / "notes.db"
    with deploy(url) as deployment:
        deployment.sql(TWO_NOTES)
        assert CREATE.send(deployment.client).status_code == 201
        lose(file)
        caplog.clear()
        for request in *WRITES, READY:
            check_unavailable(request.send(deployment.client), caplog)
        rows = deployment.sql("SELECT id, text FROM notes").fetchall()
        assert rows == [
            (1, "one"),
            (2, "two"),
            (3, GROCERIES["text"]),
        ]  # past the service
    with open_client(DATABASE_URL=url) as client, connect(url) as sql:
        note = create_note(client)
        assert (note["id"],) in sql("SELECT id FROM notes").fetchall()


# Peers that are no Postgres

AUTHENTICATED = b"R" + struct.pack("!ii", 8, 0)
READY_FOR_QUERY = b"Z" + struct.pack("!i", 5) + b"I"
VERSION = b"server_version\0none\0"
ODD_VERSION = b"S" + struct.pack("!i", 4 + len(VERSION)) + VERSION
NOISE = random.Random(1).randbytes(4096)
REPLIES: dict[str, list[bytes]] = {  # each to a message of the client's, then silence
    "silence": [],
    "random bytes": [NOISE],
    "HTTP": [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"],
    "no TLS, then random bytes": [b"N", NOISE],
    "TLS, then random bytes": [b"S", NOISE],
    "no server_version": [b"N", AUTHENTICATED + READY_FOR_QUERY],
    "an odd server_version": [b"N", AUTHENTICATED + ODD_VERSION + READY_FOR_QUERY],
}


class FakeServer(socketserver.ThreadingTCPServer):
    """A server on a port of its own that speaks no protocol, but answers by a list."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, replies: list[bytes]) -> None:
        """Listen, and answer the messages of each client with these."""
        super().__init__(("127.0.0.1", 0), FakeServerHandler)
        self.replies = replies
        self.url = f"postgresql://user:password@127.0.0.1:{self.server_address[1]}/notes"
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        """Serve."""
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self.shutdown()
        self.thread.join()
        self.server_close()


class FakeServerHandler(socketserver.BaseRequestHandler):
    """One connection to the fake server."""

    server: FakeServer
    request: socket.socket

    def handle(self) -> None:
        """Answer message by message, then listen until the client leaves."""
        replies = iter(self.server.replies)
        try:
            while self.request.recv(65_536):
                self.request.sendall(next(replies, b""))
        except OSError:  # the client is gone
            return


HASTY = {"POOL_TIMEOUT": "0.3", "DB_TIMEOUT": "3"}


@pytest.fixture(scope="module")
def fake_server() -> Iterator[FakeServer]:
    """A peer that is no Postgres."""
    with FakeServer(REPLIES["silence"]) as fake_server:
        yield fake_server


@pytest.fixture(scope="module")
def fake_server_service(
    fake_server: FakeServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The service, whose DATABASE_URL leads to a peer that is no Postgres."""
    folder = tmp_path_factory.mktemp("stranger")
    with Service.python(folder, DATABASE_URL=fake_server.url, **HASTY) as service:
        yield service


def ask(service: Service, path: str) -> httpx2.Response:
    """Return a service's answer to a GET from another origin."""
    return httpx2.get(service.url + path, headers={"Origin": ORIGIN}, timeout=40)


def read_new_lines(service: Service, start: int) -> list[str]:
    """Return the lines of a service's log from a place on, without those that tell of requests."""
    lines = service.log.read_text()[start:].splitlines()
    return [line for line in lines if not line.startswith("INFO:")]


@pytest.mark.parametrize("replies", REPLIES.values(), ids=REPLIES)
def test_a_peer_that_is_no_postgres_is_503(
    fake_server: FakeServer, fake_server_service: Service, replies: list[bytes]
) -> None:
    """Whatever a peer sends that is no Postgres, the answer is 503 in POOL_TIMEOUT, with a line."""
    fake_server.replies = replies
    start = len(fake_server_service.log.read_text())
    answer = ask(fake_server_service, "/notes/")
    assert problem(answer) == 503
    assert answer.elapsed.total_seconds() < 0.3 + 1
    assert ask(fake_server_service, "/livez").status_code == 200
    assert len(read_new_lines(fake_server_service, start)) == 1


def test_the_service_starts_whatever_the_peer_is(tmp_path: Path) -> None:
    """A peer that is no Postgres at the start is a database that is away: gunicorn goes on."""
    settings = {**HASTY, "WEB_CONCURRENCY": "1"}
    with (
        FakeServer(REPLIES["no server_version"]) as fake_server,
        Service.gunicorn(tmp_path, DATABASE_URL=fake_server.url, **settings) as service,
    ):
        assert problem(ask(service, "/notes/")) == 503
        assert service.process.poll() is None
        assert "Traceback" not in service.log.read_text()


def test_a_host_that_does_not_exist_is_a_line_a_failure(tmp_path: Path) -> None:
    """Each request to a host without an address is 503 and one line, and the end adds none."""
    url = "postgresql://user:password@nowhere.invalid/notes"
    with Service.python(tmp_path, DATABASE_URL=url, **HASTY) as service:
        start = len(service.log.read_text())
        answers = [ask(service, path) for path in ("/notes/", "/notes/1/", "/readyz")]
    assert [problem(answer) for answer in answers] == [503] * 3
    assert len(read_new_lines(service, start)) == 3
