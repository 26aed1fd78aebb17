"""Databases that are broken, busy, restored or odd: who is told what, and what mends them."""

import random
import socket
import socketserver
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import psycopg
import pytest

from tests.fixtures import (
    GROCERIES,
    Deployment,
    connect,
    create_note,
    create_role,
    deploy,
    load_main,
    open_client,
    problem,
    read_notes,
)
from tests.proxy import Proxy
from tests.servers import (
    Postgres,
    Service,
    free_port,
    require_programs,
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

    def send(self, client: httpx2.Client, note_id: int = 1, **headers: str) -> Any:
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
    # asyncio's own are of asyncpg's futures, some time after it gave a peer up.
    records = [record for record in log.records if record.name != "asyncio"]
    log.clear()
    lines = [each.getMessage() for each in records if each.levelname != "INFO"]
    assert not any(record.exc_info for record in records)
    assert not any("\n" in line for line in lines)
    return lines


def check_unavailable(response: Any, log: Log) -> str:
    """Return the one line that was logged for an answer; fail unless it is 503."""
    assert problem(response) == 503
    assert response.headers["Retry-After"] == "1"
    (line,) = read_complaints(log)
    return line


# Tables

COLUMNS = "text TEXT NOT NULL, completed BOOLEAN NOT NULL"
INSERT = "INSERT INTO notes (text, completed)"
TWO_NOTES = f"{INSERT} VALUES ('one', true), ('two', false)"


def make_table(url: str, columns: str = COLUMNS, rows: str = TWO_NOTES) -> None:
    """Make a table of notes with an id and these columns, as somebody else would."""
    kind = "INTEGER" if url.startswith("sqlite") else "BIGSERIAL"
    with connect(url) as sql:
        sql(f"CREATE TABLE notes (id {kind} PRIMARY KEY, {columns})")
        sql(rows)


@pytest.fixture
def url(postgres: Postgres) -> str:
    """The URL of an empty database on Postgres."""
    return postgres.create_database("broken")


@pytest.fixture
def deployed(url: str) -> Iterator[Deployment]:
    """The service on a Postgres database of the test's own with two notes in it."""
    with deploy(url) as deployment:
        deployment.sql(TWO_NOTES)
        yield deployment


# Locks and pools


@contextmanager
def locked_table(url: str) -> Iterator[Callable[[str], Any]]:
    """Keep everybody else from the table of notes; lend a function that runs SQL."""
    with connect(url) as sql:
        sql("BEGIN")
        sql("LOCK TABLE notes IN ACCESS EXCLUSIVE MODE")
        yield sql
        sql("ROLLBACK")


def count_waiting(sql: Callable[[str], Any]) -> int:
    """Return how many sessions wait for the table of notes."""
    condition = "NOT granted AND relation = 'notes'::regclass"
    (number,) = sql(f"SELECT count(*) FROM pg_locks WHERE {condition}").fetchone()
    return int(number)


def test_a_locked_table_is_504_and_a_full_pool_503(url: str, caplog: Log) -> None:
    """After DB_TIMEOUT the answer is 504, after POOL_TIMEOUT without a connection 503.

    Statements are cancelled on the server, nothing is written, and no connection is lost.
    """
    variables = {"POOL_SIZE": "4", "POOL_TIMEOUT": "0.3", "DB_TIMEOUT": "2"}
    with (
        open_client(DATABASE_URL=url, **variables) as client,
        ThreadPoolExecutor() as threads,
    ):
        caplog.clear()
        with locked_table(url) as sql:
            requests = CREATE, CREATE, LIST, READY
            futures = [threads.submit(request.send, client) for request in requests]
            wait_until(lambda: count_waiting(sql) == 4)
            check_unavailable(CREATE.send(client), caplog)
            answers = [future.result(10) for future in futures]
            assert [problem(answer) for answer in answers] == [504] * 4
            assert "may have been applied" in answers[0].json()["detail"]
            assert count_waiting(sql) == 0
        assert len(read_complaints(caplog)) == 4
        assert read_notes(client) == []


@pytest.mark.parametrize("request_", [REPLACE, COUNT], ids=["If-Match", "count"])
def test_locks_that_come_and_go_do_not_add_up(url: str, request_: Request) -> None:
    """A request waits for POOL_TIMEOUT, DB_TIMEOUT and a second at most, however many locks."""
    with (
        open_client(DATABASE_URL=url, POOL_TIMEOUT="0.2", DB_TIMEOUT="2") as client,
        psycopg.connect(url) as second,
        ThreadPoolExecutor() as threads,
    ):
        note = client.post("/notes/", json=GROCERIES)
        headers = {"If-Match": note.headers["ETag"]}  # so that a write reads before
        with locked_table(url) as sql:
            start = time.monotonic()
            future = threads.submit(request_.send, client, note.json()["id"], **headers)
            wait_until(lambda: count_waiting(sql) == 1)
            # It queues behind the request's first statement.
            threads.submit(second.execute, "LOCK TABLE notes")
            wait_until(lambda: count_waiting(sql) == 2)
            sql("SELECT pg_sleep(1.7)")  # most of DB_TIMEOUT
        assert problem(future.result(30)) in (503, 504)
        assert time.monotonic() - start < 0.2 + 2 + 1


# Servers and networks

READ_ONLY = "default_transaction_read_only"


@pytest.mark.parametrize(
    ("fault", "cure", "requests"),
    [
        ("CONNECTION LIMIT 0", "CONNECTION LIMIT -1", [READY, LIST, CREATE]),
        (f"SET {READ_ONLY} TO on", f"RESET {READ_ONLY}", [CREATE, CREATE]),
    ],
)
def test_a_full_or_read_only_server_is_503_until_it_is_not(
    url: str, fault: str, cure: str, requests: list[Request], caplog: Log
) -> None:
    """What new sessions are refused is 503, and no session that is read-only is kept."""
    role_url = url.replace("postgres@", "odd:secret@")
    with (
        create_role(url, "odd", "secret", "CREATE ON SCHEMA public"),
        connect(url) as sql,
        open_client(DATABASE_URL=role_url, POOL_TIMEOUT="0.3") as client,
    ):
        sql(f"ALTER ROLE odd {fault}")
        end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        sql(f"{end} WHERE usename = 'odd'")
        READY.send(client)  # by now the end is noticed
        caplog.clear()
        for request in requests:
            check_unavailable(request.send(client), caplog)
        sql(f"ALTER ROLE odd {cure}")
        assert [create_note(client)] == read_notes(client)


def test_a_start_on_a_read_only_server_needs_no_other(url: str) -> None:
    """Tables that could not be made are later; one connection is enough for scans, too."""
    role_url = url.replace("postgres@", "odd:secret@")
    with (
        create_role(url, "odd", "secret", "CREATE ON SCHEMA public"),
        connect(url) as sql,
    ):
        sql(f"ALTER ROLE odd SET {READ_ONLY} TO on")
        with open_client(DATABASE_URL=role_url, POOL_SIZE="1") as client:
            assert problem(READY.send(client)) == 503
            sql(f"ALTER ROLE odd RESET {READ_ONLY}")
            assert SEARCH.send(client).json() == []


def test_silent_hosts_have_their_share_of_the_time(url: str) -> None:
    """Behind two hosts that accept and say nothing the third one is reached in POOL_TIMEOUT."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        with open_client(DATABASE_URL=url.replace("@", f"@{host},{host},")) as client:
            create_note(client)


def test_wait_for_a_server_ends_at_pool_timeout_though_a_try_began_late() -> None:
    """A server that refuses at first and then is silent is 503 after POOL_TIMEOUT, not twice it."""
    with socket.socket() as late_server:
        late_server.bind(("127.0.0.1", 0))
        url = f"postgresql://user:password@127.0.0.1:{late_server.getsockname()[1]}/notes"
        with open_client(DATABASE_URL=url, POOL_TIMEOUT="1") as client:
            timer = threading.Timer(0.8, late_server.listen)
            timer.start()
            answer = LIST.send(client)
            timer.join()
    assert problem(answer) == 503
    assert 0.8 < answer.elapsed.total_seconds() < 1.6


def test_what_was_sent_when_the_connection_broke_is_repeated_if_it_is_a_read(
    url: str, postgres: Postgres, caplog: Log
) -> None:
    """A write whose reply is cut off is 504, and sent once; a read is sent again unseen.

    A connection on which the server has said good-bye costs no write, and none is sent twice.
    """
    with Proxy(postgres.port) as proxy:
        proxy_url = url.replace(f":{postgres.port}/", f":{proxy.port}/")
        with open_client(DATABASE_URL=proxy_url) as client:
            caplog.clear()
            proxy.marker = b"Groceries"
            answer = CREATE.send(client)
            assert problem(answer) == 504
            assert "may have been applied" in answer.json()["detail"]
            assert proxy.marker_count == 1
            proxy.marker, proxy.marker_count = b"to be found", 0
            assert client.get("/notes/?q=to+be+found").json() == []
            assert proxy.marker_count == 2
            notes = read_notes(client)
            assert len(notes) == len(read_complaints(caplog)) == 1
            for _ in range(5):
                proxy.say_goodbye()
                client.get("/livez")  # by now the good-bye is read
                notes.append(create_note(client))
            assert read_notes(client) == notes


def test_a_silent_first_host_does_not_starve_the_second(url: str) -> None:
    """Beside a host that accepts connections and says nothing, all are served."""
    with socket.create_server(("127.0.0.1", 0)) as silent_server:
        hosts = f"@127.0.0.1:{silent_server.getsockname()[1]},"
        with open_client(DATABASE_URL=url.replace("@", hosts)) as client:
            notes = [create_note(client) for _ in range(3)]
            assert read_notes(client) == notes


def test_a_primary_of_old_that_comes_back_is_not_asked(
    url: str, postgres: Postgres
) -> None:
    """After a failover the first host of the URL comes back: no note is 404 for that."""
    make_table(url, rows="ALTER SEQUENCE notes_id_seq RESTART 1000")
    with start_postgres() as old, ThreadPoolExecutor() as threads:
        old.create_database("broken")
        hosts = f"127.0.0.1:{old.port},127.0.0.1:{postgres.port}"
        primary = "broken?target_session_attrs=read-write"
        two_hosts = f"postgresql://postgres@{hosts}/{primary}"
        with open_client(DATABASE_URL=two_hosts) as client:
            create_note(client)  # on the first host
            old.stop("immediate")
            note = create_note(client)
            assert note["id"] == 1000
            old.start()
            with locked_table(url) as sql:  # so that they need a connection each
                reads = [threads.submit(READ.send, client, note["id"]) for _ in range(4)]
                wait_until(lambda: count_waiting(sql) == 4)
            assert [read.result().json() for read in reads] == [note] * 4


# Peers that are no Postgres

REPLIES: dict[str, list[bytes]] = {  # each to a message of the client's, then silence
    "silence": [],
    "HTTP": [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"],
    "no TLS, then random bytes": [b"N", random.Random(1).randbytes(4096)],
    "TLS, then random bytes": [b"S", random.Random(1).randbytes(4096)],
}


@pytest.mark.parametrize("replies", REPLIES.values(), ids=REPLIES)
def test_a_peer_that_is_no_postgres_is_503(replies: list[bytes], caplog: Log) -> None:
    """Whatever a peer sends, at the start or later, it is 503 in POOL_TIMEOUT, with a line each."""

    class Peer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            remaining = iter(replies)
            with suppress(OSError):  # the client is gone
                while self.request.recv(65_536):
                    self.request.sendall(next(remaining, b""))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Peer) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        url = f"postgresql://user:password@127.0.0.1:{server.server_address[1]}/notes"
        with open_client(DATABASE_URL=url, POOL_TIMEOUT="0.3") as client:
            assert len(read_complaints(caplog)) == 1
            answer = LIST.send(client)
            check_unavailable(answer, caplog)
            assert answer.elapsed.total_seconds() < 0.3 + 1
            assert client.get("/livez").status_code == 200
        server.shutdown()


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


# What an operator has to mend

LAST = 2**63 - 1
LONG = {"text": random.Random(0).randbytes(30_000).hex()}  # not to be compressed
LONG_WRITES = [CREATE._replace(body=LONG), PATCH._replace(body=LONG)]
ALL = [*READS, SEARCH, *WRITES]
# Statements that break a database and mend it, and what is 503 in between.
ON_BOTH = [
    # The latter fails if somebody has made another table.
    ("ALTER TABLE notes RENAME TO old", "ALTER TABLE old RENAME TO notes", ALL),
    (
        "ALTER TABLE notes RENAME COLUMN completed TO done",
        "ALTER TABLE notes RENAME COLUMN done TO completed",
        ALL,
    ),
]
ON_SQLITE = [
    (
        f"UPDATE sqlite_sequence SET seq = {LAST}",
        "UPDATE sqlite_sequence SET seq = 2",
        [CREATE],
    ),
]
ON_POSTGRES = [
    (
        f"SELECT setval('notes_id_seq', {LAST})",  # 2200H
        "SELECT setval('notes_id_seq', 2)",
        [CREATE],
    ),
    # 3F000; a text that is too long for an index, 54000; another type, 42804.
    ("ALTER SCHEMA public RENAME TO old", "ALTER SCHEMA old RENAME TO public", ALL),
    ("CREATE INDEX own ON notes (text)", "DROP INDEX own", LONG_WRITES),
    (
        "ALTER TABLE notes ALTER completed TYPE SMALLINT USING completed::INT",
        "ALTER TABLE notes ALTER completed TYPE BOOLEAN USING completed > 0",
        [*READS, CREATE],
    ),
]


def test_damage_is_503_until_it_is_mended(empty_database: str, caplog: Log) -> None:
    """What only an operator can mend is 503, a line each, and served again without a restart."""
    more = ON_SQLITE if empty_database.startswith("sqlite") else ON_POSTGRES
    with deploy(empty_database) as (client, sql):
        sql(TWO_NOTES)
        for break_sql, repair_sql, requests in ON_BOTH + more:
            notes_before = read_notes(client)
            last_id = notes_before[-1]["id"]
            caplog.clear()
            sql(break_sql)
            for request in requests:
                check_unavailable(request.send(client, last_id), caplog)
            sql(repair_sql)
            assert read_notes(client) == notes_before, break_sql
            for request in requests:
                answer = request.send(client, last_id)
                assert answer.status_code in (200, 201), (break_sql, request)
            sql("DELETE FROM notes")
            sql(TWO_NOTES)


RAISE = """
CREATE SEQUENCE sent;  -- what a sequence gave is not rolled back
CREATE TABLE raising AS SELECT '' AS code, 0 AS times;
CREATE FUNCTION raise() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('sent') <= (SELECT times FROM raising) THEN
        RAISE EXCEPTION 'by a test' USING ERRCODE = (SELECT code FROM raising);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER raising AFTER INSERT OR UPDATE OR DELETE ON notes
FOR EACH ROW EXECUTE FUNCTION raise();
"""
LATER = ["26000", "40001", "42P05", "53300", "55P03", "57014"]
NEVER = {"0A000": 503, "42501": 503, "42883": 503, "P0001": 422, "XX001": 503}


def test_what_may_succeed_later_is_tried_again(deployed: Deployment, caplog: Log) -> None:
    """A write that Postgres refuses once for want of time or room is done, others never again.

    One with an unknown outcome (40003, or the server's end) is 504, and not sent twice.
    """
    client, sql = deployed
    sql(RAISE)

    def send(request: Request, code: str) -> tuple[int, int]:
        sql("ALTER SEQUENCE sent RESTART")
        sql(f"UPDATE raising SET code = '{code}', times = {1 if code in LATER else 9}")
        answer = request.send(client)
        if answer.status_code == 504:
            assert "may have been applied" in answer.json()["detail"]
        (number,) = sql("SELECT last_value FROM sent").fetchone()
        return answer.status_code, number

    assert {code: send(CREATE, code) for code in LATER} == dict.fromkeys(LATER, (201, 2))
    caplog.clear()
    for code, status in NEVER.items():
        assert send(CREATE, code) == (status, 1), code
    for request in WRITES:
        assert send(request, "40003") == send(request, "57P01") == (504, 1)
    assert len(read_complaints(caplog)) == len(NEVER) + 2 * len(WRITES)
    assert len(read_notes(client)) == 2 + len(LATER)


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
    rows = f"{INSERT} VALUES ('two', false), ('refused', false)"
    if status == 422:
        rows = TWO_NOTES
    make_table(empty_database, f"{column}, completed BOOLEAN NOT NULL", rows)
    with open_client(DATABASE_URL=empty_database) as client:
        notes_before = read_notes(client)
        for request in CREATE, REPLACE, PATCH:
            refused = request._replace(body=GROCERIES | {"text": "refused"})
            assert problem(refused.send(client, notes_before[0]["id"])) == status
        assert read_notes(client) == notes_before


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


UNREADABLE = [  # SQL of a text and of completed
    ("sqlite", "CAST(x'ff6f' AS TEXT)", "true"),
    ("sqlite", "x'ff6f'", "true"),
    ("sqlite", "'odd'", "'odd'"),
    ("postgres", r"E'\xff' || 'o'", "true"),
]


@pytest.mark.parametrize("row", UNREADABLE)
def test_a_stored_value_that_cannot_be_shown_is_503(
    row: tuple[str, str, str], request: pytest.FixtureRequest, file: Path, caplog: Log
) -> None:
    """A note that cannot be shown is 503 with a line, and so are its lists; no other one is."""
    url, (name, text, completed) = f"sqlite:///{file}", row
    if name == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        options = "ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0"
        url = server.create_database("ascii", options)
    make_table(url)
    with deploy(url) as (client, sql):
        sql(f"{INSERT} VALUES ({text}, {completed})")
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
        # SQLite has changed it by then, and Postgres has not.
        assert problem(change.send(client, note_id=3)) == (
            503 if name == "postgres" else 504
        )
        if name == "sqlite":
            assert client.get("/notes/?q=other").json() == [note]
        assert create_note(client)["id"] == 5
        assert sql("SELECT count(*) FROM notes").fetchone() == (5,)
        assert REPLACE.send(client, note_id=3).json() == {"id": 3, **GROCERIES}
        assert len(read_notes(client)) == 5


def test_the_text_false_is_not_true(tmp_path: Path) -> None:
    """What `.import` stored of a CSV, the text false, is false; new tables refuse such texts."""
    url = f"sqlite:///{tmp_path}/notes.db"
    make_table(url, rows=f"{INSERT} VALUES ('old', 'false')")
    with open_client(DATABASE_URL=url) as client:
        expected = {"id": 1, "text": "old", "completed": False}
        assert [READ.send(client).json()] == read_notes(client) == [expected]
    with deploy(f"sqlite:///{tmp_path}/new.db") as (client, sql):
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            sql(f"{INSERT} VALUES ('a', 'false')")
        assert read_notes(client) == []


# A file

COUNT_TO = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where SQLite's file is."""
    return tmp_path / "notes.db"


@pytest.mark.anyio
async def test_an_answer_to_a_write_is_given_when_the_disk_has_it(file: Path) -> None:
    """SQLite syncs each write (2 is FULL): no test pulls the plug to see that none is lost."""
    main = load_main(DATABASE_URL=f"sqlite:///{file}")
    async with main.lifespan(main.app):
        driver = main.database.writes.raw_connection
        rows = await driver.execute_fetchall("PRAGMA synchronous")
    assert [tuple(row) for row in rows] == [(2,)]


def test_a_lock_of_another_process_is_waited_for(file: Path, caplog: Log) -> None:
    """A lock that is held for DB_TIMEOUT makes writes 503; reads and shorter waits go through.

    A start beside one succeeds, and serves when the file is free.
    """
    url, timeouts = f"sqlite:///{file}", {"DB_TIMEOUT": "1", "POOL_TIMEOUT": "0.3"}
    with connect(url) as sql, ThreadPoolExecutor() as threads:
        sql("BEGIN EXCLUSIVE")
        sql("CREATE TABLE other (id INTEGER)")
        with open_client(DATABASE_URL=url, **timeouts) as client:
            (line,) = read_complaints(caplog)
            assert "locked" in line
            check_unavailable(READY.send(client), caplog)
            sql("COMMIT")
            assert [create_note(client)] == read_notes(client)
            sql("BEGIN EXCLUSIVE")
            futures = [threads.submit(CREATE.send, client) for _ in range(4)]
            # They do not queue behind the writes that wait.
            for reading in *READS, SEARCH:
                assert reading.send(client).status_code == 200
            assert not any(future.done() for future in futures)
            answers = [future.result() for future in futures]
            assert [problem(answer) for answer in answers] == [503] * 4
            assert len(read_complaints(caplog)) == 4
            patient = threads.submit(CREATE.send, client)
            time.sleep(0.6)  # over POOL_TIMEOUT, which is for other waits
            sql("ROLLBACK")
            assert patient.result().status_code == 201
            assert len(read_notes(client)) == 2


def test_a_full_disk_stops_writes_alone(tmp_path: Path, caplog: Log) -> None:
    """On a full disk writes are 503 and reads go on; with room again, so do writes."""
    require_programs("mount")
    filler = tmp_path / "filler"
    command = f"mount -t tmpfs -o size=1m tmpfs {tmp_path}".split()
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:  # this user must not mount a disk
        skip(result.stderr.strip())
    try:
        with open_client(DATABASE_URL=f"sqlite:///{tmp_path}/notes.db") as client:
            notes = [create_note(client)]
            with filler.open("wb", buffering=0) as stream, suppress(OSError):
                while True:
                    stream.write(bytes(4096))
            caplog.clear()
            for _ in range(8):
                request = CREATE._replace(body={"text": "no room" * 1000})
                check_unavailable(request.send(client), caplog)
            assert read_notes(client) == notes
            assert READY.send(client).status_code == 200
            filler.unlink()
            notes.append(create_note(client))
            assert read_notes(client) == notes
        with connect(f"sqlite:///{tmp_path}/notes.db") as sql:
            assert sql("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def overwrite(file: Path, place: int) -> None:
    """Write random bytes over a file, from a place on."""
    with file.open("r+b") as stream:
        stream.seek(place)
        stream.write(random.Random(0).randbytes(file.stat().st_size - place))


def test_a_file_that_is_corrupt_is_503(file: Path, caplog: Log) -> None:
    """A request that meets an overwritten page of the file is 503, with one line, at once.

    A start with a header that is overwritten succeeds, and the log says what is wrong.
    """
    # More than SQLite keeps in memory.
    rows = f"{INSERT} {COUNT_TO.format(60)} SELECT '{'o' * 60_000}', false FROM n"
    make_table(f"sqlite:///{file}", rows=rows)
    with open_client(DATABASE_URL=f"sqlite:///{file}") as client:
        caplog.clear()
        overwrite(file, 4096)
        start = time.monotonic()
        for request in READ, LIST, SEARCH, COUNT, *WRITES:
            check_unavailable(request.send(client, note_id=30), caplog)
        assert time.monotonic() - start < 4
        assert client.get("/livez").status_code == 200
    overwrite(file, 0)
    caplog.clear()
    with open_client(DATABASE_URL=f"sqlite:///{file}") as client:
        assert "not a database" in "".join(read_complaints(caplog))
        for request in *READS, CREATE:
            assert "not a database" in check_unavailable(request.send(client), caplog)


def test_a_file_that_is_gone_or_replaced_is_served_as_the_log_says(file: Path) -> None:
    """Without its file the service is 503, but for /livez, until the file is back.

    After `mv other.db notes.db` the log says: stop, delete -wal and -shm, start; it serves.
    """
    url, other_file = f"sqlite:///{file}", file.with_name("other.db")
    rows = f"{INSERT} {COUNT_TO.format(500)} SELECT 'other ' || i, 0 FROM n"
    make_table(f"sqlite:///{other_file}", rows=rows)
    with (
        Service.python(file.parent, DATABASE_URL=url) as service,
        httpx2.Client(base_url=service.url) as client,
    ):
        for number in range(300):
            note = {"text": f"first {number}" * 100}
            assert client.post("/notes/", json=note).status_code == 201
        moved = file.rename(file.with_name("moved.db"))
        for request in *READS, *WRITES:
            assert request.send(client).status_code == 503
        assert client.get("/livez").status_code == 200
        advice = "stop all workers, delete notes.db-wal and notes.db-shm, and start again"
        assert advice in service.log.read_text()
        other_file.rename(file)
        for request in *READS, *WRITES:
            assert request.send(client).status_code == 503
        file.rename(other_file)
        moved.rename(file)  # back, as the log says as well
        assert len(client.get("/notes/?take=1000").json()) == 300
        assert client.post("/notes/", json=GROCERIES).status_code == 201
        other_file.rename(file)
        service.process.kill()  # the worst of all stops, as -wal and -shm stay
        service.process.wait()
    for name in "wal", "shm":
        file.with_name(f"notes.db-{name}").unlink()
    with deploy(url) as (new_client, sql):
        stored = [note["text"] for note in new_client.get("/notes/?take=1000").json()]
        assert stored == [f"other {number}" for number in range(1, 501)]
        create_note(new_client)
        assert sql("PRAGMA integrity_check").fetchall() == [("ok",)]
