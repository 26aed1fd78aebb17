"""Random calls to the same few notes: every answer fits one order of all calls, also in faults."""

import math
import os
from pathlib import Path

import psutil

from tests.fixtures import connect
from tests.linearizability import Call, Clients, Note, is_linearizable
from tests.servers import Service, start_postgres, wait_until

SOAK = int(os.environ.get("SOAK", "0"))  # how often each fault comes
CALLS = 500  # before and after each fault

OLD, NEW = Note("old", completed=False), Note("new", completed=False)


def make_call(
    method: str,
    call_time: float,
    return_time: float,
    status: int,
    answer: Note | None = None,
    *,
    note: Note | None = None,
    if_match: Note | None = None,
) -> Call:
    """Return a call that sends a whole note."""
    members = note._asdict() if note else {}
    return Call(method, call_time, return_time, members, if_match, status, answer)


CREATED = make_call("POST", 0, 1, 201, OLD, note=OLD)
CHANGED = make_call("PUT", 2, 3, 200, NEW, note=NEW)
DONE_NOTE = OLD._replace(completed=True)
UNKNOWN = make_call("PUT", 2, math.inf, 504, note=NEW)

POSSIBLE = {
    "a read beside a write, of either note": [
        CREATED,
        CHANGED,
        make_call("GET", 2, 3, 200, OLD),
        make_call("GET", 2, 3, 200, NEW),
    ],
    "a write that is done after its 504": [
        CREATED,
        UNKNOWN,
        make_call("GET", 4, 5, 200, OLD),
        make_call("GET", 6, 7, 200, NEW),
    ],
}
IMPOSSIBLE = {
    "a lost update": [CREATED, CHANGED, make_call("GET", 4, 5, 200, OLD)],
    "two writes to the same version": [
        CREATED,
        make_call("PUT", 2, 4, 200, NEW, note=NEW, if_match=OLD),
        make_call("PUT", 3, 5, 200, DONE_NOTE, note=DONE_NOTE, if_match=OLD),
    ],
    "a write that is done twice after its 504": [
        CREATED,
        UNKNOWN,
        make_call("GET", 4, 5, 200, NEW),
        make_call("PUT", 6, 7, 200, OLD, note=OLD),
        make_call("GET", 8, 9, 200, NEW),
    ],
    "a note that is there after it was deleted": [
        CREATED,
        make_call("DELETE", 2, 3, 200, OLD),
        make_call("GET", 4, 5, 200, OLD),
    ],
    "an answer with another status": [CREATED, make_call("GET", 2, 3, 500)],
}


def test_history_is_linearizable_if_an_order_explains_it() -> None:
    """An answer that contradicts others is found; calls at the same time come in any order."""
    assert [name for name, calls in POSSIBLE.items() if not is_linearizable(calls)] == []
    assert [name for name, calls in IMPOSSIBLE.items() if is_linearizable(calls)] == []


def test_lost_update_is_found(tmp_path: Path) -> None:
    """Writes that somebody undoes behind the service contradict the answers that follow."""
    url = f"sqlite:///{tmp_path}/notes.db"
    with (
        Service.python(tmp_path, DATABASE_URL=url) as service,
        connect(url) as sql,
        Clients(service) as clients,
    ):
        for _ in range(10):
            clients.wait_for_calls(20)
            rows = sql("SELECT id, text FROM notes").fetchall()
            clients.wait_for_calls(20)
            for note_id, text in rows:
                sql(f"UPDATE notes SET text = '{text}' WHERE id = {note_id}")
        clients.wait_for_calls(20)
    assert clients.contradictions()


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
        clients.wait_for_calls(CALLS)
        for _ in range(SOAK):
            kill_worker(service)
            clients.wait_for_calls(CALLS)
    check(clients)


def test_answers_on_postgres_fit_one_order(tmp_path: Path) -> None:
    """On Postgres two workers answer as one would that makes one call after another."""
    with (
        start_postgres() as server,
        Service.gunicorn(tmp_path, DATABASE_URL=server.url()) as service,
        Clients(service) as clients,
    ):
        clients.wait_for_calls(CALLS)
        for _ in range(SOAK):
            kill_worker(service)
            clients.wait_for_calls(CALLS)
            for mode in ("fast", "immediate"):
                server.restart(mode)
                clients.wait_for_calls(CALLS)
    check(clients)
