"""Rude clients on small tables: beside them everybody else is served, and they end in time."""

import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Self

import psutil
import psycopg
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

import main
from tests.fixtures import GROCERIES, connect, create_note, load_main, open_client
from tests.servers import Service, wait_until

NOTES = 100_000
TIMEOUTS = {"POOL_TIMEOUT": "1", "DB_TIMEOUT": "2"}
IN_TIME = (
    5  # seconds: both timeouts, the second that a request may take besides, and room
)
SOON = 2  # seconds: room for a busy machine; an idle one needs some milliseconds

SEARCH = "/notes/?q=zq"  # hits nothing, and is too short for the trigram index
SORT = f"/notes/?sort=-text&skip={NOTES - 1_000}"
COUNT = "/notes/?count=true"

# A text and a search for which LIKE compares each letter of one with many of the other, and
# which hold what the trigram index looks for.
LONG_RUNS, RUN_SEARCH = ("a" * 500 + "b") * 130, "/notes/?q=" + "a" * 600 + "b"
# 60 KB of parameters that the list does not know, others each time.
UNKNOWN = "/notes/?" + "&".join(f"{{0}}{number:x}" for number in range(6_000))
HIGH_BYTES = bytes(0x4E + byte % 0x51 for byte in range(256))  # of U+4E00 to U+9EFF


def count_to(number: int) -> str:
    """Return a statement of SQLite that takes some seconds for twenty million."""
    numbers = f"SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {number}"
    return f"WITH RECURSIVE n(i) AS ({numbers}) SELECT max(i) FROM n"


def large_text() -> str:
    """Return as many random Chinese characters as a note holds: as many trigrams, all new."""
    text = bytearray(2 * 65_536)
    text[0::2] = random.randbytes(65_536).translate(HIGH_BYTES)
    text[1::2] = random.randbytes(65_536)
    return text.decode("utf-16-be")


def small_text() -> str:
    """Return what a person would write."""
    return f"fetch parcel no. {random.randrange(10**6)} in the hall"


class Clients:
    """Clients that make a call over and over, each on its own connection, one at a time."""

    def __init__(
        self,
        service: Service,
        path: str,
        text: Callable[[], str] | None = None,
        *,
        number: int = 1,
        pause: float = 0,
    ) -> None:
        """Name the call: a GET, or with a text a POST of a note."""
        self.port, self.path, self.text, self.pause = service.port, path, text, pause
        self.statuses: Counter[int] = Counter()  # 0 is a connection that was cut off
        self.slowest = 0.0  # seconds to an answer
        self.stop_event = threading.Event()
        self.threads = [threading.Thread(target=self._call) for _ in range(number)]

    def __enter__(self) -> Self:
        """Start the clients."""
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Let each client wait for its answer, and end."""
        self.stop_event.set()
        for thread in self.threads:
            thread.join()

    def _call(self) -> None:
        client = HTTPConnection("127.0.0.1", self.port, timeout=120)
        while not self.stop_event.wait(self.pause):
            start = time.monotonic()
            try:
                send(client, self.path.format(random.randrange(10**6)), self.text)
                status = receive(client)
            except (OSError, HTTPException):
                client.close()
                status = 0
            self.slowest = max(self.slowest, time.monotonic() - start)
            self.statuses[status] += 1
        client.close()


def send(client: HTTPConnection, path: str, text: Callable[[], str] | None) -> None:
    """Send a GET, or with a text a POST of a note, and do not wait for the answer."""
    if text:
        body = json.dumps({"text": text()}, ensure_ascii=False).encode()
        client.request("POST", path, body, {"Content-Type": "application/json"})
    else:
        client.request("GET", path)


def receive(client: HTTPConnection) -> int:
    """Return the status of the answer to what was sent."""
    response = client.getresponse()
    response.read()
    return response.status


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


def check_normal_client(service: Service, *rude: Clients, calls: int = 10) -> None:
    """Fail unless a normal client is served beside rude ones, and they are answered in time."""
    normal = {
        "one note": Clients(service, f"/notes/{NOTES // 2}/", pause=0.2),
        "page": Clients(service, "/notes/", pause=0.2),
        "small POST": Clients(service, "/notes/", small_text, pause=0.2),
        "/readyz": Clients(service, "/readyz", pause=0.2),
    }
    with ExitStack() as stack:
        for clients in (*rude, *normal.values()):
            stack.enter_context(clients)
        answers = [clients.statuses for clients in normal.values()]
        wait_until(lambda: all(each.total() >= calls for each in answers), 60, "answers")
        for clients in (*rude, *normal.values()):
            clients.stop_event.set()
    for name, clients in normal.items():
        assert clients.statuses.keys() == {201 if name == "small POST" else 200}, name
        assert clients.slowest < SOON, name
    for clients in rude:
        assert clients.statuses.keys() <= {200, 201, 422, 503, 504}
        assert clients.slowest < IN_TIME


def test_scans_starve_nobody(full_service: Service) -> None:
    """Beside fifteen clients that search, sort and count all notes others are served."""
    rude = [Clients(full_service, path, number=5) for path in (SEARCH, SORT, COUNT)]
    check_normal_client(full_service, *rude)


def test_searches_for_what_almost_matches_starve_nobody(full_service: Service) -> None:
    """Beside ten clients with searches that LIKE compares letter by letter others are served."""
    check_normal_client(full_service, Clients(full_service, RUN_SEARCH, number=10))


def test_large_notes_starve_nobody(full_service: Service) -> None:
    """Beside six clients that store notes with 65,536 new trigrams small notes are stored.

    It takes some seconds until what large notes have left undone would be in the way.
    """
    rude = Clients(full_service, "/notes/", large_text, number=6)
    check_normal_client(full_service, rude, calls=25)


def test_parameters_that_nobody_knows_starve_nobody(full_service: Service) -> None:
    """Beside clients that send 60 KB of unknown parameters others are served; no memory stays."""
    (worker,) = psutil.Process(full_service.process.pid).children()
    memory = worker.memory_info().rss
    rude = Clients(full_service, UNKNOWN, number=2, pause=0.2)
    check_normal_client(full_service, rude, calls=25)
    assert rude.statuses.keys() == {422}
    assert worker.memory_info().rss - memory < 50_000_000


@pytest.fixture
def slow_search_client(tmp_path: Path) -> Iterator[TestClient]:
    """The service on SQLite, whose searches take longer than DB_TIMEOUT."""
    url = f"sqlite:///{tmp_path}/notes.db"
    main = load_main(DATABASE_URL=url, POOL_TIMEOUT="0.2", DB_TIMEOUT="2")
    main.FILTERS["q"] = sa.text(f"({count_to(20_000_000)}) > 0")
    with TestClient(main.app) as client:
        create_note(client)
        yield client


def test_a_scan_that_is_cancelled_stops(tmp_path: Path) -> None:
    """On SQLite a scan whose task is cancelled ends, and the next one need not wait for it."""
    main = load_main(DATABASE_URL=f"sqlite:///{tmp_path}/notes.db", DB_TIMEOUT="60")
    main.FILTERS["q"] = sa.text(f"({count_to(1_000_000_000)}) > 0")

    async def cancel() -> float:
        async with main.lifespan(main.app):
            await main.create(main.NoteIn(**GROCERIES))
            scan = asyncio.create_task(main.read_page(main.NoteQuery(q="a")))
            await asyncio.sleep(0.2)  # by now it runs
            scan.cancel()
            await asyncio.wait([scan])
            start = time.monotonic()
            await main.read_page(main.NoteQuery(sort="text"))
            return time.monotonic() - start

    assert asyncio.run(cancel()) < SOON


def test_scan_of_sqlite_is_given_up(slow_search_client: TestClient) -> None:
    """A scan that takes longer than DB_TIMEOUT is 504, and the next one does not wait for it."""
    paths = ("/notes/?q=a", "/notes/?sort=text")
    statuses = [slow_search_client.get(path).status_code for path in paths]
    assert statuses == [504, 200]


def test_scans_of_sqlite_wait_for_each_other_alone(
    slow_search_client: TestClient,
) -> None:
    """Beside a scan another one is 503 after POOL_TIMEOUT, and a short page by id is answered."""

    def read_status(query: str) -> int:
        return slow_search_client.get(f"/notes/?{query}").status_code

    expected = {
        "": 200,
        "sort=-id": 200,
        "skip=1000": 200,
        "skip=1001": 503,
        "take=100": 200,
        "take=101": 503,
    }
    with ThreadPoolExecutor() as threads:
        threads.submit(read_status, "q=a")
        wait_until(lambda: read_status("sort=text") == 503)
        assert {query: read_status(query) for query in expected} == expected


def test_sigterm_beside_scans_cuts_off_nothing(
    full_database: str, tmp_path: Path
) -> None:
    """All that was sent before SIGTERM is answered, though twenty clients wait for scans."""
    with serve(tmp_path, full_database) as service, ExitStack() as stack:

        def send_request(
            path: str, text: Callable[[], str] | None = None
        ) -> HTTPConnection:
            client = HTTPConnection("127.0.0.1", service.port, timeout=60)
            send(client, path, text)
            return stack.enter_context(closing(client))

        rude = [send_request(path) for path in [SORT, RUN_SEARCH] * 10]
        posts = [send_request("/notes/", small_text) for _ in range(4)]
        # So the worker has read what was sent before.
        assert receive(send_request("/livez")) == 200
        service.process.terminate()
        assert [receive(client) for client in posts] == [201] * 4
        assert {receive(client) for client in rude} <= {200, 503, 504}
        assert service.process.wait(IN_TIME) == 0
