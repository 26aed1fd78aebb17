"""Rude clients on small tables: beside them everybody else is served, and they end in time."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

import main
from tests.fixtures import GROCERIES, connect, create_note, load_main, open_client
from tests.load import Callers, receive, send
from tests.servers import Service, wait_until

NOTES = 50_000
TIMEOUTS = {"POOL_TIMEOUT": "1", "DB_TIMEOUT": "2"}
# In seconds: both timeouts, the second that a request may take besides, and room.
IN_TIME = 5
SOON = 2  # seconds: room for a busy machine; an idle one needs some milliseconds

SEARCH = "/notes/?q=zq"  # hits nothing, and is too short for the trigram index
SORT = f"/notes/?sort=-text&skip={NOTES - 1_000}"
COUNT = "/notes/?count=true"
# A text and a search for which LIKE compares each letter of one with many of the other, and
# which hold what the trigram index looks for.
LONG_RUNS, RUN_SEARCH = ("a" * 500 + "b") * 130, "/notes/?q=" + "a" * 600 + "b"
# 60 KB of parameters that the list does not know, others each time.
UNKNOWN = "/notes/?" + "&".join(f"{{0}}{number:x}" for number in range(6_000))


def large_text() -> str:
    """Return as many random characters as a note holds: as many trigrams, nearly all new."""
    return random.randbytes(2 * 65_536).decode("utf-16-be", "ignore").replace("\0", "")


def small_text() -> str:
    """Return what a person would write."""
    return f"fetch parcel no. {random.randrange(10**6)} in the hall"


def serve(folder: Path, url: str) -> Service:
    """Return the service, just started, with one worker and short timeouts."""
    return Service.gunicorn(folder, DATABASE_URL=url, WEB_CONCURRENCY="1", **TIMEOUTS)


@pytest.fixture(scope="module")
def full_database(database: str) -> str:
    """The URL of a database with many notes, on each of the two."""
    with open_client(DATABASE_URL=database), connect(database) as sql:  # makes the table
        sql("DROP INDEX IF EXISTS notes_text_trgm")  # which slows this down
        for text, number in ("'note ' || i", NOTES), (f"'{LONG_RUNS}'", 300):
            count = f"SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {number}"
            rows = f"WITH RECURSIVE n(i) AS ({count}) SELECT {text}, false FROM n"
            sql(f"INSERT INTO notes (text, completed) {rows}")
        if database.startswith("postgres"):
            with suppress(psycopg.errors.FeatureNotSupported):  # without contrib modules
                sql(main.Postgres.trigrams)
    return database


@pytest.fixture(scope="module")
def full_service(
    full_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The service with one worker and many notes, on each of the two."""
    with serve(tmp_path_factory.mktemp("starvation"), full_database) as service:
        yield service


# Each with how often a normal client calls beside them, and their path, text and number. It
# takes some seconds until what large notes have left undone would be in the way.
RUDE = {
    "scans": (6, [(SEARCH, None, 5), (SORT, None, 5), (COUNT, None, 5)]),
    "searches for what almost matches": (6, [(RUN_SEARCH, None, 10)]),
    "large notes": (25, [("/notes/", large_text, 6)]),
    "unknown parameters": (6, [(UNKNOWN, None, 2)]),
}


@pytest.mark.parametrize(("calls", "requests"), RUDE.values(), ids=RUDE)
def test_rude_clients_starve_nobody(
    full_service: Service, calls: int, requests: list[Any]
) -> None:
    """Beside rude clients a normal one is served, and they themselves are answered in time."""
    rude = [Callers(full_service, *request) for request in requests]
    normal = {
        "one note": Callers(full_service, f"/notes/{NOTES // 2}/", pause=0.2),
        "page": Callers(full_service, "/notes/", pause=0.2),
        "small POST": Callers(full_service, "/notes/", small_text, pause=0.2),
        "/readyz": Callers(full_service, "/readyz", pause=0.2),
    }
    with ExitStack() as stack:
        for clients in (*rude, *normal.values()):
            stack.enter_context(clients)
        wait_until(lambda: all(len(c.replies) >= calls for c in normal.values()), 60)
        for clients in (*rude, *normal.values()):
            clients.stop_event.set()
    for name, clients in normal.items():
        assert clients.answers.keys() == {"201" if name == "small POST" else "200"}, name
        assert clients.slowest < SOON, name
    for clients in rude:
        assert clients.answers.keys() <= {"200", "201", "422", "503", "504"}
        assert clients.slowest < IN_TIME


def test_scans_of_sqlite_wait_for_each_other_alone(tmp_path: Path) -> None:
    """Beside a scan another one is 503 after POOL_TIMEOUT, and a short page by id is answered.

    The scan itself is 504 after DB_TIMEOUT, and then others need not wait for it.
    """
    url = f"sqlite:///{tmp_path}/notes.db"
    main = load_main(DATABASE_URL=url, POOL_TIMEOUT="0.2", DB_TIMEOUT="2")
    # A search takes a hundred million steps, and no index.
    numbers = "SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000"
    count = f"WITH RECURSIVE n(i) AS ({numbers}) SELECT max(i) FROM n"
    main.FILTERS["q"] = sa.text(f"({count}) > 0")
    with TestClient(main.app) as client, ThreadPoolExecutor() as threads:

        def read_status(query: str) -> int:
            return client.get(f"/notes/?{query}").status_code

        expected = {"": 200, "sort=-id": 200, "skip=1000": 200, "take=100": 200}
        expected |= {"skip=1001": 503, "take=101": 503, "count=true": 503}
        create_note(client)
        scan = threads.submit(read_status, "q=a")
        wait_until(lambda: read_status("sort=text") == 503)
        assert {query: read_status(query) for query in expected} == expected
        assert scan.result() == 504
        assert read_status("sort=text") == 200


def test_sigterm_beside_scans_cuts_nothing(full_database: str, tmp_path: Path) -> None:
    """All that was sent before SIGTERM is answered, though twenty clients wait for scans."""
    with serve(tmp_path, full_database) as service, ExitStack() as stack:

        def send_request(*request: Any) -> HTTPConnection:
            client = HTTPConnection("127.0.0.1", service.port, timeout=60)
            send(client, *request)
            return stack.enter_context(closing(client))

        rude = [send_request("GET", path) for path in [SORT, RUN_SEARCH] * 10]
        posts = [send_request("POST", "/notes/", GROCERIES) for _ in range(4)]
        # So the worker has read what was sent before.
        assert receive(send_request("GET", "/livez"))[0] == "200"
        service.process.terminate()
        assert [receive(client)[0] for client in posts] == ["201"] * 4
        assert {receive(client)[0] for client in rude} <= {"200", "503", "504"}
        assert service.process.wait(IN_TIME) == 0
