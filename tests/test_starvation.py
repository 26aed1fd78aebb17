"""Rude clients on small tables: beside them everybody else is served, and they end in time."""

import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NamedTuple, Self

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tests.fixtures import GROCERIES, connect, create_note, load_main, open_client
from tests.servers import Postgres, Service, wait_until

NOTES = 200_000
TIMEOUTS = {"POOL_TIMEOUT": "1", "DB_TIMEOUT": "2"}
IN_TIME = (
    5  # seconds: both timeouts, the second that a request may take besides, and room
)
SOON = 2  # seconds: room for a busy machine; an idle one needs some milliseconds
CALLS = 20  # of each kind that the normal client makes beside the rude ones

SEARCH = "/notes/?q=zq"  # hits nothing, and is too short for the trigram index
SORT = f"/notes/?sort=-text&skip={NOTES - 1_000}"
COUNT = "/notes/?count=true"

# Texts and searches for which LIKE compares each letter of one with many of the other. The second
# kind holds what the trigram index looks for.
EQUAL_LETTERS, EQUAL_SEARCH = "a" * 65_536, "a" * 999 + "b"
LONG_RUNS, RUN_SEARCH = ("a" * 500 + "b") * 130, "a" * 600 + "b"
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


class Outcome(NamedTuple):
    """What came of a call: the status, 0 if it was cut off, and the seconds since it was due."""

    status: int
    seconds: float


class Clients:
    """Clients that make a call over and over, each on its own connection, one at a time.

    With a pause, a call is due so many seconds after the one before it was, answered or not: the
    time that a call waits for a late answer counts. A client that leaves waits for no answer.
    """

    def __init__(
        self,
        service: Service,
        path: str,
        text: Callable[[], str] | None = None,
        *,
        number: int = 1,
        pause: float = 0,
        leave: bool = False,
    ) -> None:
        """Name the call: a GET, or with a text a POST of a note."""
        self.port, self.text = service.port, text
        self.pause, self.leave = pause, leave
        self.outcomes: list[Outcome] = []
        self.stop_event = threading.Event()
        # Equal lists would share a statement: each client's page has another size.
        self.threads = [
            threading.Thread(
                target=self._call, args=[path.replace("?", f"?take={each}&")]
            )
            for each in range(1, number + 1)
        ]

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

    @property
    def statuses(self) -> dict[int, int]:
        """How often each status was the answer."""
        return dict(Counter(outcome.status for outcome in self.outcomes))

    @property
    def seconds(self) -> list[float]:
        """The seconds that each call took, in order."""
        return sorted(outcome.seconds for outcome in self.outcomes)

    def _call(self, path: str) -> None:
        client = HTTPConnection("127.0.0.1", self.port, timeout=120)
        due = time.monotonic()
        while not self.stop_event.wait(max(0, due - time.monotonic())):
            try:
                send(client, path, self.text)
                if self.leave:
                    client.close()
                else:
                    self.outcomes.append(Outcome(receive(client), time.monotonic() - due))
            except (OSError, HTTPException):
                client.close()
                self.outcomes.append(Outcome(0, time.monotonic() - due))
            if self.pause:
                due += self.pause
            else:
                due = time.monotonic()
        client.close()


class NormalClient:
    """A client that makes each plain call a few times a second, each on its own connection."""

    def __init__(self, service: Service, note_id: int) -> None:
        self.calls = {
            "one note": Clients(service, f"/notes/{note_id}/", pause=0.05),
            "page": Clients(service, "/notes/", pause=0.05),
            "small POST": Clients(service, "/notes/", small_text, pause=0.05),
            "/readyz": Clients(service, "/readyz", pause=0.05),
        }
        self.stack = ExitStack()

    def __enter__(self) -> Self:
        """Start the calls."""
        for clients in self.calls.values():
            self.stack.enter_context(clients)
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for the last answers."""
        for clients in self.calls.values():
            clients.stop_event.set()
        self.stack.close()


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


def insert(url: str, text: str, number: int) -> None:
    """Store notes past the service; `text` is SQL, in which i is the number of the note."""
    numbers = f"n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {number})"
    values = f"SELECT {text}, false FROM n"
    with connect(url) as sql:
        sql(f"WITH RECURSIVE {numbers} INSERT INTO notes (text, completed) {values}")


@contextmanager
def without_index(url: str) -> Iterator[None]:
    """Take Postgres' trigram index away, which makes storing many notes slow, and make it anew."""
    if url.startswith("sqlite"):
        yield
        return
    with connect(url) as sql:
        indexes = sql(
            "SELECT indexdef FROM pg_indexes WHERE indexname = 'notes_text_trgm'"
        )
        sql("DROP INDEX IF EXISTS notes_text_trgm")
        yield
        for (definition,) in indexes:
            sql(definition)


class FullService(NamedTuple):
    """A service with one worker and many notes, and the URL of its database."""

    service: Service
    url: str


def serve(folder: Path, url: str) -> Service:
    """Return the service, just started, with one worker and short timeouts."""
    return Service.gunicorn(folder, DATABASE_URL=url, WEB_CONCURRENCY="1", **TIMEOUTS)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def full_service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FullService]:
    """The service with many notes, on each of the two."""
    folder = tmp_path_factory.mktemp("starvation")
    if request.param == "sqlite":
        url = f"sqlite:///{folder}/notes.db"
    else:
        server: Postgres = request.getfixturevalue("postgres")
        url = server.create_database("starvation")
    with serve(folder, url) as service:
        with without_index(url):
            insert(url, "'note ' || i", NOTES)
            insert(url, f"'{LONG_RUNS}'", 40)
        yield FullService(service, url)


def check_normal_client(
    service: Service, *rude: Clients, number_of_calls: int = CALLS
) -> None:
    """Fail unless a normal client is served beside rude ones, and they are answered in time."""
    with ExitStack() as stack:
        for clients in rude:
            stack.enter_context(clients)
        with NormalClient(service, NOTES // 2) as normal:
            calls = normal.calls.values()
            description = f"{number_of_calls} answers to each call of the normal client"
            wait_until(
                lambda: all(
                    len(clients.outcomes) >= number_of_calls for clients in calls
                ),
                20,
                description,
            )
        for clients in rude:
            clients.stop_event.set()
    for name, clients in normal.calls.items():
        status = 201 if name == "small POST" else 200
        assert clients.statuses == {status: len(clients.outcomes)}, name
        assert clients.seconds[-1] < SOON, name
    for clients in rude:
        assert clients.statuses.keys() <= {200, 201, 503, 504}
        assert max(clients.seconds, default=0) < IN_TIME


def test_scans_starve_nobody(full_service: FullService) -> None:
    """Beside twenty clients that search, sort and count all notes others are served."""
    service = full_service.service
    check_normal_client(
        service,
        Clients(service, SEARCH, number=5),
        Clients(service, SORT, number=5),
        Clients(service, COUNT, number=5),
        Clients(service, SEARCH, number=5, pause=1, leave=True),
    )


def test_searches_for_what_almost_matches_starve_nobody(
    full_service: FullService,
) -> None:
    """Beside ten clients with searches that LIKE compares letter by letter others are served."""
    service = full_service.service
    check_normal_client(service, Clients(service, f"/notes/?q={RUN_SEARCH}", number=10))


def test_large_notes_starve_nobody(full_service: FullService) -> None:
    """Beside ten clients that store notes with 65,536 new trigrams small notes are stored.

    It takes a hundred calls until what large notes have left undone would be in the way.
    """
    service = full_service.service
    rude = Clients(service, "/notes/", large_text, number=10)
    check_normal_client(service, rude, number_of_calls=100)


def test_search_takes_time_in_proportion_to_the_text(tmp_path: Path) -> None:
    """On SQLite a long search through long texts of equal letters is answered soon."""
    url = f"sqlite:///{tmp_path}/notes.db"
    with open_client(DATABASE_URL=url) as client:
        insert(url, f"'{EQUAL_LETTERS}'", 60)
        response = client.get("/notes/", params={"q": EQUAL_SEARCH})
    assert (response.status_code, response.json()) == (200, [])
    assert response.elapsed.total_seconds() < SOON


@pytest.fixture
def slow_search_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    """The service on SQLite, whose searches take longer than DB_TIMEOUT."""
    url = f"sqlite:///{tmp_path}/notes.db"
    main = load_main(DATABASE_URL=url, POOL_TIMEOUT="0.2", DB_TIMEOUT="2")
    slow = sa.text(f"({count_to(20_000_000)}) > 0")
    slow_store = main.Store("note", main.notes, q=slow)
    monkeypatch.setattr(main, "note_store", slow_store)
    with TestClient(main.app) as client:
        create_note(client)
        yield client


def test_a_scan_that_is_cancelled_stops(tmp_path: Path) -> None:
    """On SQLite a scan whose task is cancelled ends, and the next one need not wait for it."""
    main = load_main(DATABASE_URL=f"sqlite:///{tmp_path}/notes.db", DB_TIMEOUT="60")
    endless = sa.text(f"({count_to(1_000_000_000)}) > 0")
    store = main.Store("note", main.notes, q=endless)

    async def cancel() -> float:
        async with main.lifespan(main.app):
            await store.create(GROCERIES)
            scan = asyncio.create_task(store.read_page(main.NoteQuery(q="a")))
            await asyncio.sleep(0.2)  # by now it runs
            scan.cancel()
            await asyncio.wait([scan])
            start = time.monotonic()
            await store.read_page(main.NoteQuery(sort="text"))
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
    full_service: FullService, tmp_path: Path
) -> None:
    """All that was sent before SIGTERM is answered, though twenty clients wait for scans."""
    with serve(tmp_path, full_service.url) as service, ExitStack() as stack:

        def send_request(
            path: str, text: Callable[[], str] | None = None
        ) -> HTTPConnection:
            client = HTTPConnection("127.0.0.1", service.port, timeout=60)
            send(client, path, text)
            return stack.enter_context(closing(client))

        rude = [send_request(path) for path in [SORT, f"/notes/?q={RUN_SEARCH}"] * 10]
        posts = [send_request("/notes/", small_text) for _ in range(4)]
        assert (
            receive(send_request("/livez")) == 200
        )  # so the worker has read what was sent before
        service.process.terminate()
        assert [receive(client) for client in posts] == [201] * 4
        assert {receive(client) for client in rude} <= {200, 503, 504}
        assert service.process.wait(IN_TIME) == 0
