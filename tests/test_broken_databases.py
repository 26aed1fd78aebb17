"""Databases that are broken, restored or odd: who is told what, and what mends them."""

import random
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import psycopg
import pytest
from fastapi.testclient import TestClient

from tests.fixtures import (
    GROCERIES,
    Deployment,
    connect,
    create_note,
    deploy,
    open_client,
    problem,
    read_notes,
)
from tests.servers import (
    Postgres,
    Service,
    free_port,
    postgres_binaries,
    skip,
    start_postgres,
    wait_until,
)

Log = pytest.LogCaptureFixture

# Requests and answers


class Request(NamedTuple):
    """What is sent; `{}` in the path is the id of a note."""

    method: str
    path: str
    body: dict[str, Any] | None = None

    def send(self, client: TestClient, note_id: int = 1, **headers: str) -> Any:
        """Send it, and return the answer."""
        path = self.path.format(note_id)
        return client.request(self.method, path, json=self.body, headers=headers)


READY = Request("GET", "/readyz")
LIST = Request("GET", "/notes/")
SEARCH = Request("GET", "/notes/?q=o")
SORT = Request("GET", "/notes/?sort=-text")
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
        record
        for record in log.records
        # asyncio's own are of asyncpg's futures, some time after it gave a peer up.
        if record.levelname not in ("DEBUG", "INFO") and record.name != "asyncio"
    ]
    log.clear()
    for record in records:
        assert not record.exc_info, record.exc_info
        assert "\n" not in record.getMessage()
    return [record.getMessage() for record in records]


def check_unavailable(response: Any, log: Log) -> str:
    """Return the one line that was logged for an answer; fail unless it is 503."""
    assert problem(response) == 503
    assert response.headers["Retry-After"] == "1"
    (line,) = read_complaints(log)
    return line


# Tables

KEYS = {
    "sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "postgresql": "BIGSERIAL PRIMARY KEY",
}
COLUMNS = "text TEXT NOT NULL, completed BOOLEAN NOT NULL"
TWO_NOTES = "INSERT INTO notes (text, completed) VALUES ('one', true), ('two', false)"


def make_table(url: str, columns: str = COLUMNS, rows: str = TWO_NOTES) -> None:
    """Make a table of notes with an id and these columns, as somebody else would."""
    key = KEYS[url.partition(":")[0]]
    with connect(url) as sql:
        sql(f"CREATE TABLE notes (id {key}, {columns})")
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


def count_raised(deployment: Deployment) -> int:
    """Return how often that trigger ran."""
    (number,) = deployment.sql("SELECT last_value FROM raised").fetchone()
    return int(number)


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


@pytest.mark.parametrize("request_", [REPLACE, COUNT], ids=["If-Match", "count"])
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
        note = client.post("/notes/", json=GROCERIES)
        headers = {"If-Match": note.headers["ETag"]}  # so that a write reads before
        first.execute(LOCK)
        start = time.monotonic()
        future = threads.submit(request_.send, client, note.json()["id"], **headers)
        wait_until(lambda: count_waiting(sql) == 1)
        # It queues behind the request's first statement.
        threads.submit(second.execute, LOCK)
        wait_until(lambda: count_waiting(sql) == 2)
        first.execute("SELECT pg_sleep(1.7)")  # most of DB_TIMEOUT
        first.commit()
        assert future.result(30).status_code in (503, 504)
        assert time.monotonic() - start < 0.2 + 2 + 1


# A server that comes back


def test_a_primary_of_old_that_comes_back_is_not_asked(postgres: Postgres) -> None:
    """After a failover the first host of the URL comes back: no note is 404 for that."""
    url = postgres.create_database("broken")
    make_table(url, rows="ALTER SEQUENCE notes_id_seq RESTART 1000")
    with start_postgres() as old, ThreadPoolExecutor() as threads:
        old.create_database("broken")
        hosts = f"127.0.0.1:{old.port},127.0.0.1:{postgres.port}"
        two_hosts = (
            f"postgresql://postgres@{hosts}/broken?target_session_attrs=read-write"
        )
        with open_client(DATABASE_URL=two_hosts) as client, connect(url) as sql:
            create_note(client)  # on the first host
            old.stop("immediate")
            note = create_note(client)
            assert note["id"] == 1000
            old.start()
            sql("BEGIN")
            sql(LOCK)  # so that they need a connection each
            reads = [threads.submit(READ.send, client, note["id"]) for _ in range(4)]
            wait_until(lambda: count_waiting(sql) == 4)
            sql("COMMIT")
            assert [read.result().json() for read in reads] == [note] * 4


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
        rows = "SELECT n, false FROM generate_series(1, 3000) n"
        deployment.sql(f"INSERT INTO notes (text, completed) {rows}")
        result = run_postgres_program("pg_dump", "--format=custom", "--file", dump, url)
        if result.returncode:
            skip(result.stderr.strip())
        caplog.clear()
        stop_event = threading.Event()

        def read() -> list[int]:
            statuses = []
            while not stop_event.is_set():
                answers = [request.send(client) for request in (*READS, SEARCH)]
                statuses += [answer.status_code for answer in answers]
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
        # 404 is an empty table, before its rows are back.
        assert set(statuses) <= {200, 404, 503}
        assert len(read_complaints(caplog)) == statuses.count(503)


# What an operator has to mend


class Damage(NamedTuple):
    """Statements that break a database and mend it, and what is 503 in between."""

    break_sql: str
    repair_sql: str
    requests: Sequence[Request]


LAST = 2**63 - 1
LONG = {"text": random.Random(0).randbytes(30_000).hex()}  # not to be compressed
TABLE_RENAMED = Damage(
    "ALTER TABLE notes RENAME TO old",
    "ALTER TABLE old RENAME TO notes",  # which fails if somebody has made another one
    [*READS, SEARCH, *WRITES],
)
COLUMN_MISSING = Damage(
    "ALTER TABLE notes RENAME COLUMN completed TO done",
    "ALTER TABLE notes RENAME COLUMN done TO completed",
    [*READS, SEARCH, *WRITES],
)
DAMAGES = {
    "sqlite": {
        "table renamed": TABLE_RENAMED,
        "column missing": COLUMN_MISSING,
        "ids at their end": Damage(
            f"UPDATE sqlite_sequence SET seq = {LAST}",
            "UPDATE sqlite_sequence SET seq = 2",
            [CREATE],
        ),
    },
    "postgres": {
        "table renamed": TABLE_RENAMED,
        "column missing": COLUMN_MISSING,
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
    },
}


def test_damage_is_503_until_it_is_mended(empty_database: str, caplog: Log) -> None:
    """What only an operator can mend is 503, a line each, and served again without a restart."""
    name = "sqlite" if empty_database.startswith("sqlite") else "postgres"
    with deploy(empty_database) as deployment:
        deployment.sql(TWO_NOTES)
        for damage, (break_sql, repair_sql, requests) in DAMAGES[name].items():
            notes_before = read_notes(deployment.client)
            last_id = notes_before[-1]["id"]
            caplog.clear()
            deployment.sql(break_sql)
            for request in requests:
                check_unavailable(request.send(deployment.client, last_id), caplog)
            deployment.sql(repair_sql)
            assert read_notes(deployment.client) == notes_before, damage
            for request in requests:
                answer = request.send(deployment.client, last_id)
                assert answer.status_code in (200, 201), (damage, request)
            deployment.sql("DELETE FROM notes")
            deployment.sql(TWO_NOTES)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("26000", 201),
        ("40001", 201),
        ("42P05", 201),
        ("53300", 201),
        ("55P03", 201),
        ("57014", 201),
        ("0A000", 503),
        ("42501", 503),
        ("42883", 503),
        ("P0001", 422),
        ("XX001", 503),
    ],
)
def test_what_may_succeed_later_is_tried_again(
    postgres_deployment: Deployment, code: str, status: int
) -> None:
    """A write that Postgres refuses once for want of time or room is done, others never again."""
    make_raising_trigger(postgres_deployment, code, "INSERT", times=1)
    answer = CREATE.send(postgres_deployment.client)
    assert answer.status_code == status
    assert count_raised(postgres_deployment) == (2 if status == 201 else 1)
    assert len(read_notes(postgres_deployment.client)) == (3 if status == 201 else 2)


def test_a_write_with_an_unknown_outcome_is_sent_once(
    postgres_deployment: Deployment, caplog: Log
) -> None:
    """A write that the server answers with 40003 may have been applied: 504, and not repeated."""
    make_raising_trigger(postgres_deployment, "40003", "INSERT OR UPDATE OR DELETE")
    caplog.clear()
    for number, request in enumerate(WRITES, 1):
        answer = request.send(postgres_deployment.client)
        assert problem(answer) == 504
        assert "may have been applied" in answer.json()["detail"]
        assert count_raised(postgres_deployment) == number
    assert len(read_complaints(caplog)) == len(WRITES)


# What the table that is there refuses

REFUSALS = {
    "CHECK": ("text TEXT NOT NULL CHECK (text <> 'refused')", 422),
    "VARCHAR(5)": ("text VARCHAR(5) NOT NULL CHECK (length(text) <= 5)", 422),
    "UNIQUE": ("text TEXT NOT NULL UNIQUE", 409),
}


@pytest.mark.parametrize(("column", "status"), REFUSALS.values(), ids=REFUSALS)
def test_what_a_constraint_refuses_is_the_clients_error(
    empty_database: str, column: str, status: int
) -> None:
    """POST, PUT and PATCH of a value that the table refuses are 409 or 422, and change nothing."""
    rows = "INSERT INTO notes (text, completed) VALUES ('two', false), ('refused', false)"
    if status == 422:
        rows = TWO_NOTES
    make_table(empty_database, f"{column}, completed BOOLEAN NOT NULL", rows)
    with open_client(DATABASE_URL=empty_database) as client:
        notes_before = read_notes(client)
        for request in CREATE, REPLACE, PATCH:
            refused = request._replace(body=GROCERIES | {"text": "refused"})
            assert problem(refused.send(client, notes_before[0]["id"])) == status
        assert read_notes(client) == notes_before


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


# Stored values that are none


def test_a_character_that_the_database_lacks_is_422(postgres: Postgres) -> None:
    """A database in LATIN1 has no euro sign: a note with it is 422, and so is a search for it."""
    options = "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
    with deploy(postgres.create_database("latin1", options)) as deployment:
        note = create_note(deployment.client, text="café")
        for request in CREATE, REPLACE, PATCH, Request("GET", "/notes/?q=€"):
            body = request.body and GROCERIES | {"text": "5 €"}
            refused = request._replace(body=body)
            assert problem(refused.send(deployment.client)) == 422
        assert read_notes(deployment.client) == [note]


UNREADABLE = {  # SQL of a text and of completed
    "sqlite": {
        "no UTF-8": ("CAST(x'ff6f' AS TEXT)", "true"),
        "bytes": ("x'ff6f'", "true"),
        "no boolean": ("'odd'", "'odd'"),
    },
    "postgres": {"no UTF-8": (r"E'\xff' || 'o'", "true")},
}
UNREADABLE_IDS = [(name, kind) for name, kinds in UNREADABLE.items() for kind in kinds]


@pytest.mark.parametrize(("name", "kind"), UNREADABLE_IDS)
def test_a_stored_value_that_cannot_be_shown_is_503(
    name: str, kind: str, request: pytest.FixtureRequest, tmp_path: Path, caplog: Log
) -> None:
    """A note that cannot be shown is 503 with a line, and so are its lists; no other one is."""
    url = f"sqlite:///{tmp_path}/notes.db"
    if name == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        options = "ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0"
        url = server.create_database("ascii", options)
    make_table(url)
    text, completed = UNREADABLE[name][kind]
    with deploy(url) as deployment:
        client = deployment.client
        deployment.sql(
            f"INSERT INTO notes (text, completed) VALUES ({text}, {completed})"
        )
        caplog.clear()
        start = time.monotonic()
        for reading in READ, LIST, SEARCH, SORT:
            line = check_unavailable(reading.send(client, note_id=3), caplog)
            assert "\ufffdo" not in line  # what people wrote is not for the log
        assert time.monotonic() - start < 4  # none is tried again for DB_TIMEOUT
        note = create_note(client, text="another 😀")
        assert client.get(f"/notes/{note['id']}/").json() == note
        assert client.get("/notes/?after=3").json() == [note]
        assert READY.send(client).status_code == 200
        change = PATCH._replace(body={})  # which returns the note
        assert problem(change.send(client, note_id=3)) in (503, 504)
        assert create_note(client)["id"] == 5
        assert deployment.sql("SELECT count(*) FROM notes").fetchone() == (5,)
        assert REPLACE.send(client, note_id=3).json() == {"id": 3, **GROCERIES}
        assert len(read_notes(client)) == 5


def test_the_text_false_is_not_true(tmp_path: Path) -> None:
    """What `.import` stored of a CSV, the text false, is false; new tables refuse such texts."""
    url = f"sqlite:///{tmp_path}/notes.db"
    make_table(url, rows="INSERT INTO notes (text, completed) VALUES ('old', 'false')")
    with deploy(url) as deployment:
        expected = {"id": 1, "text": "old", "completed": False}
        assert READ.send(deployment.client).json() == expected
        assert LIST.send(deployment.client).json() == [expected]
    with deploy(f"sqlite:///{tmp_path}/new.db") as deployment:
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            deployment.sql("INSERT INTO notes (text, completed) VALUES ('a', 'false')")
        assert read_notes(deployment.client) == []


# A file that is broken


def test_a_file_that_is_no_database_is_named(tmp_path: Path, caplog: Log) -> None:
    """On a file whose header is overwritten all is 503, and the log says why from the start."""
    file = tmp_path / "notes.db"
    make_table(f"sqlite:///{file}")
    with file.open("r+b") as stream:
        stream.write(b"This is no database.")
    with open_client(DATABASE_URL=f"sqlite:///{file}") as client:
        assert "not a database" in "".join(read_complaints(caplog))
        for request in *READS, CREATE:
            assert "not a database" in check_unavailable(request.send(client), caplog)
        assert client.get("/livez").status_code == 200


def test_a_file_that_another_process_holds_is_served_later(
    tmp_path: Path, caplog: Log
) -> None:
    """A start while somebody else holds the file succeeds, and serves when it is free."""
    url = f"sqlite:///{tmp_path}/notes.db"
    with connect(url) as sql:
        sql("BEGIN EXCLUSIVE")
        sql("CREATE TABLE other (id INTEGER)")
        with open_client(DATABASE_URL=url, DB_TIMEOUT="0.2") as client:
            (line,) = read_complaints(caplog)
            assert "locked" in line
            check_unavailable(READY.send(client), caplog)
            sql("COMMIT")
            assert [create_note(client)] == read_notes(client)


def test_a_file_that_is_corrupt_is_503(tmp_path: Path, caplog: Log) -> None:
    """A request that meets an overwritten page of the file is 503, with one line, at once."""
    file = tmp_path / "notes.db"
    # More than SQLite keeps in memory.
    numbers = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)"
    rows = f"{numbers} SELECT '{'o' * 60_000}', false FROM n"
    make_table(f"sqlite:///{file}", rows=f"INSERT INTO notes (text, completed) {rows}")
    with open_client(DATABASE_URL=f"sqlite:///{file}") as client:
        caplog.clear()
        with file.open("r+b") as stream:
            stream.seek(4096)
            stream.write(random.Random(0).randbytes(file.stat().st_size - 4096))
        start = time.monotonic()
        for request in READ, LIST, SEARCH, COUNT, *WRITES:
            check_unavailable(request.send(client, note_id=30), caplog)
        assert time.monotonic() - start < 4
        assert client.get("/livez").status_code == 200


# A file that is no longer there


def delete_with_its_log(file: Path) -> None:
    """Delete a file with what SQLite keeps beside it."""
    for path in file.parent.glob(f"{file.name}*"):
        path.unlink()


def move(file: Path) -> None:
    """Move a file away."""
    file.rename(file.with_name("moved.db"))


@pytest.mark.parametrize("lose", [Path.unlink, delete_with_its_log, move])
def test_a_file_that_is_gone_is_503(
    tmp_path: Path, lose: Callable[[Path], None], caplog: Log
) -> None:
    """Once its file is not the one at the path the service takes no request but for /livez."""
    url, file = f"sqlite:///{tmp_path}/notes.db", tmp_path / "notes.db"
    with open_client(DATABASE_URL=url) as client:
        create_note(client)
        lose(file)
        caplog.clear()
        for request in *READS, *WRITES:
            check_unavailable(request.send(client), caplog)
        assert client.get("/livez").status_code == 200


def test_a_file_that_is_replaced_is_served_as_the_log_says(tmp_path: Path) -> None:
    """After `mv other.db notes.db` the log says: stop, delete -wal and -shm, start; it serves."""
    file, other_file = tmp_path / "notes.db", tmp_path / "other.db"
    kept = [tmp_path / f"notes.db-{name}" for name in ("wal", "shm")]
    numbers = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)"
    rows = f"INSERT INTO notes (text, completed) {numbers} SELECT 'other ' || i, 0 FROM n"
    make_table(f"sqlite:///{other_file}", rows=rows)
    settings = {"DATABASE_URL": f"sqlite:///{file}"}
    with (
        Service.python(tmp_path, **settings) as service,
        httpx2.Client(base_url=service.url) as client,
    ):
        for number in range(300):
            note = {"text": f"first {number}" * 100}
            assert client.post("/notes/", json=note).status_code == 201
        other_file.rename(file)
        for path in "/readyz", "/notes/", "/notes/1/":
            assert client.get(path).status_code == 503
        assert client.post("/notes/", json=GROCERIES).status_code == 503
        line = service.log.read_text().partition("503")[2]
        for words in "stop all workers", "delete notes.db-wal and notes.db-shm", "start":
            assert words in line
            line = line[line.index(words) :]
        service.process.kill()  # the worst of all stops, as -wal and -shm stay
        service.process.wait()
    for beside in kept:
        beside.unlink()
    with deploy(settings["DATABASE_URL"]) as (new_client, sql):
        stored = [note["text"] for note in new_client.get("/notes/?take=1000").json()]
        assert stored == [f"other {number}" for number in range(1, 501)]
        create_note(new_client)
        assert sql("PRAGMA integrity_check").fetchall() == [("ok",)]


# Peers that are no Postgres

REPLIES: dict[str, list[bytes]] = {  # each to a message of the client's, then silence
    "silence": [],
    "HTTP": [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"],
    "no TLS, then random bytes": [b"N", random.Random(1).randbytes(4096)],
    "TLS, then random bytes": [b"S", random.Random(1).randbytes(4096)],
}


@contextmanager
def fake_server(replies: list[bytes]) -> Iterator[int]:
    """Lend the port of a server that speaks no protocol, but answers each client by a list."""

    def serve() -> None:
        with suppress(OSError):  # the test is over
            while True:
                client, _ = server.accept()
                threading.Thread(target=talk, args=[client], daemon=True).start()

    def talk(client: socket.socket) -> None:
        remaining = iter(replies)
        with suppress(OSError), client:  # the client is gone
            while client.recv(65_536):
                client.sendall(next(remaining, b""))

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("replies", REPLIES.values(), ids=REPLIES)
def test_a_peer_that_is_no_postgres_is_503(replies: list[bytes], caplog: Log) -> None:
    """Whatever a peer sends, at the start or later, it is 503 in POOL_TIMEOUT, with a line each."""
    with fake_server(replies) as port:
        url = f"postgresql://user:password@127.0.0.1:{port}/notes"
        with open_client(DATABASE_URL=url, POOL_TIMEOUT="0.3") as client:
            assert len(read_complaints(caplog)) == 1
            answer = LIST.send(client)
            check_unavailable(answer, caplog)
            assert answer.elapsed.total_seconds() < 0.3 + 1
            assert client.get("/livez").status_code == 200


def test_hosts_that_fail_are_named_without_the_password(caplog: Log) -> None:
    """Each request is 503 and one line, that names the hosts and why, and never the password."""
    hosts = f"nowhere.invalid,127.0.0.1:{free_port()}"
    url = f"postgresql://user:correct-horse@{hosts}/notes"
    with open_client(DATABASE_URL=url, POOL_TIMEOUT="0.3") as client:
        assert len(read_complaints(caplog)) == 1
        for request in LIST, READ, READY:
            line = check_unavailable(request.send(client), caplog)
            assert all(host in line for host in hosts.split(","))
            assert "Connect" in line
    assert "correct-horse" not in caplog.text
