"""Random calls to the same few notes: every answer fits one order of all calls, also in faults."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.fixtures import connect
from tests.linearizability import Call, Clients, Note, is_linearizable
from tests.servers import Postgres, Service, start_postgres, wait_until

SOAK = int(os.environ.get("SOAK", "0"))  # how often each fault comes
CALLS = 500  # before and after each fault

OLD, NEW = Note("old", completed=False), Note("new", completed=False)


def call(
    method: str,
    called: float,
    returned: float,
    status: int,
    answer: Note | None = None,
    *,
    sent: Note | None = None,
    expected: Note | None = None,
) -> Call:
    """Return a call that sends a whole note."""
    members = sent._asdict() if sent else {}
    return Call(method, called, returned, members, expected, status, answer)


CREATED = call("POST", 0, 1, 201, OLD, sent=OLD)
CHANGED = call("PUT", 2, 3, 200, NEW, sent=NEW)
DONE_NOTE = OLD._replace(completed=True)
DONE = Call("PATCH", 4, 5, {"completed": True}, None, 200, DONE_NOTE)
UNKNOWN = call("PUT", 2, math.inf, 504, sent=NEW)

POSSIBLE = {
    "a call after another": [CREATED, CHANGED, call("GET", 4, 5, 200, NEW)],
    "a read beside a write, of either note": [
        CREATED,
        CHANGED,
        call("GET", 2, 3, 200, OLD),
        call("GET", 2, 3, 200, NEW),
    ],
    "a write that is done after its 504": [
        CREATED,
        UNKNOWN,
        call("GET", 4, 5, 200, OLD),
        call("GET", 6, 7, 200, NEW),
    ],
    "a write that is never done after its 504": [
        CREATED,
        UNKNOWN,
        call("GET", 4, 5, 200, OLD),
    ],
    "a 412 for a note that is changed at the same time": [
        CREATED,
        CHANGED,
        call("PUT", 2, 3, 412, sent=OLD, expected=OLD),
    ],
    "a 404 for a note that is deleted at the same time": [
        CREATED,
        call("DELETE", 2, 3, 200, OLD),
        call("GET", 2, 3, 404),
    ],
}
IMPOSSIBLE = {
    "a lost update": [CREATED, CHANGED, call("GET", 4, 5, 200, OLD)],
    "an update that another one undoes": [CREATED, CHANGED, DONE],
    "two writes to the same version": [
        CREATED,
        call("PUT", 2, 4, 200, NEW, sent=NEW, expected=OLD),
        call("PUT", 3, 5, 200, DONE_NOTE, sent=DONE_NOTE, expected=OLD),
    ],
    "two reads that see a write come and go": [
        CREATED,
        call("PUT", 2, 9, 200, NEW, sent=NEW),
        call("GET", 3, 4, 200, NEW),
        call("GET", 5, 6, 200, OLD),
    ],
    "a write that is done twice after its 504": [
        CREATED,
        UNKNOWN,
        call("GET", 4, 5, 200, NEW),
        call("PUT", 6, 7, 200, OLD, sent=OLD),
        call("GET", 8, 9, 200, NEW),
    ],
    "a 412 for the version that is there": [
        CREATED,
        call("PUT", 2, 3, 412, sent=NEW, expected=OLD),
    ],
    "a note that is there after it was deleted": [
        CREATED,
        call("DELETE", 2, 3, 200, OLD),
        call("GET", 4, 5, 200, OLD),
    ],
    "an answer with another status": [CREATED, call("GET", 2, 3, 500)],
}


@pytest.mark.parametrize("history", POSSIBLE.values(), ids=POSSIBLE.keys())
def test_history_that_an_order_explains_is_linearizable(history: list[Call]) -> None:
    """Calls at the same time may come in either order, and those without an answer at any time."""
    assert is_linearizable(history)


@pytest.mark.parametrize("history", IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_history_that_no_order_explains_is_not_linearizable(history: list[Call]) -> None:
    """An answer that contradicts what was answered before is found."""
    assert not is_linearizable(history)


def test_lost_update_is_found(tmp_path: Path) -> None:
    """Writes that somebody undoes behind the service contradict the answers that follow."""
    url = f"sqlite:///{tmp_path}/notes.db"
    with (
        Service.gunicorn(tmp_path, DATABASE_URL=url) as service,
        connect(url) as sql,
        Clients(service) as clients,
    ):
        for _ in range(10):
            clients.proceed(20)
            kept = sql("SELECT id, text FROM notes").fetchall()
            clients.proceed(20)
            for note_id, text in kept:
                sql(f"UPDATE notes SET text = '{text}' WHERE id = {note_id}")
        clients.proceed(20)
    assert clients.contradictions()


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """A Postgres server, which the test may stop when there are faults."""
    if SOAK:
        with start_postgres() as server:
            yield server
    else:
        yield request.getfixturevalue("postgres")


def kill_worker(service: Service) -> None:
    """Kill a worker, and wait for the one that takes its place."""
    master = psutil.Process(service.process.pid)
    victim = master.children()[0]
    victim.kill()
    wait_until(lambda: len(master.children()) == 2 and victim not in master.children())


def check(clients: Clients) -> None:
    """Fail unless there was an answer of each kind, and all answers fit one order."""
    kinds = {("POST", 201), ("GET", 200), ("GET", 404), ("DELETE", 200), ("DELETE", 412)}
    kinds |= {("PUT", 200), ("PUT", 412), ("PATCH", 200), ("PATCH", 412)}
    assert kinds <= clients.replies.keys()
    assert not clients.contradictions()


def test_answers_on_sqlite_fit_one_order(tmp_path: Path) -> None:
    """On SQLite two workers answer as one would that makes one call after another."""
    url = f"sqlite:///{tmp_path}/notes.db"
    with (
        Service.gunicorn(tmp_path, DATABASE_URL=url) as service,
        Clients(service) as clients,
    ):
        clients.proceed(CALLS)
        for _ in range(SOAK):
            kill_worker(service)
            clients.proceed(CALLS)
    check(clients)


def test_answers_on_postgres_fit_one_order(server: Postgres, tmp_path: Path) -> None:
    """On Postgres two workers answer as one would that makes one call after another."""
    url = server.create_database("linearizability")
    with (
        Service.gunicorn(tmp_path, DATABASE_URL=url) as service,
        Clients(service) as clients,
    ):
        clients.proceed(CALLS)
        for _ in range(SOAK):
            kill_worker(service)
            clients.proceed(CALLS)
            for mode in ("fast", "immediate"):
                server.restart(mode)
                clients.proceed(CALLS)
    check(clients)
