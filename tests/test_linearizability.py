"""Random calls to the same few notes: every answer fits one order of all calls, also in faults."""

import math
import os
import time
from contextlib import ExitStack, closing, suppress
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.fixtures import connect
from tests.linearizability import Call, Clients, Note, is_linearizable
from tests.servers import Service, start_postgres, wait_until

SOAK = int(os.environ.get("SOAK", "0"))  # how often each fault comes
CALLS = 500  # before and after each fault

OLD, NEW = Note("old", completed=False), Note("new", completed=False)
DONE = OLD._replace(completed=True)
CREATED = Call("POST", 0, 1, "201", OLD, OLD._asdict())
CHANGED = Call("PUT", 2, 3, "200", NEW, NEW._asdict())
UNKNOWN = Call("PUT", 2, math.inf, "504", None, NEW._asdict())

POSSIBLE = {
    "a read beside a write, of either note": [
        CREATED,
        CHANGED,
        Call("GET", 2, 3, "200", OLD),
        Call("GET", 2, 3, "200", NEW),
    ],
    "a write that is done after its 504": [
        CREATED,
        UNKNOWN,
        Call("GET", 4, 5, "200", OLD),
        Call("GET", 6, 7, "200", NEW),
    ],
}
IMPOSSIBLE = {
    "two writes to the same version": [
        CREATED,
        Call("PUT", 2, 4, "200", NEW, NEW._asdict(), if_match=OLD),
        Call("PUT", 3, 5, "200", DONE, DONE._asdict(), if_match=OLD),
    ],
    "a write that is done twice after its 504": [
        CREATED,
        UNKNOWN,
        Call("GET", 4, 5, "200", NEW),
        Call("PUT", 6, 7, "200", OLD, OLD._asdict()),
        Call("GET", 8, 9, "200", NEW),
    ],
}


def test_history_is_linearizable_if_an_order_explains_it() -> None:
    """An answer that contradicts others is found; calls at the same time come in any order."""
    assert [name for name, calls in POSSIBLE.items() if not is_linearizable(calls)] == []
    assert [name for name, calls in IMPOSSIBLE.items() if is_linearizable(calls)] == []


def abort_reads(service: Service, clients: Clients) -> None:
    """Send reads of the clients' notes, and leave before the answers."""
    for note_id in clients.ids * 25:
        connection = HTTPConnection("127.0.0.1", service.port)
        with closing(connection), suppress(OSError):
            connection.request("GET", f"/notes/{note_id or 1}/")


def lock(url: str) -> None:
    """Keep the table locked for a while, past the service."""
    with connect(url) as sql:
        sql("BEGIN EXCLUSIVE" if url.startswith("sqlite") else "BEGIN; LOCK TABLE notes")
        time.sleep(0.3)
        sql("ROLLBACK")


def kill_worker(service: Service) -> None:
    """Kill a worker, and wait for the one that takes its place."""
    victim = service.workers()[0]
    victim.kill()
    wait_until(lambda: len(set(service.workers()) - {victim}) == 2)


def has_all_kinds(clients: Clients) -> bool:
    """Tell whether there was an answer of each kind."""
    kinds = {f"{method} 200" for method in ("GET", "PUT", "PATCH", "DELETE")}
    kinds |= {"POST 201", "GET 404", "PUT 412", "PATCH 412", "DELETE 412"}
    replies = list(clients.replies)
    return kinds <= {f"{reply.method} {reply.status}" for reply in replies}


def check(clients: Clients) -> None:
    """Fail unless there was an answer of each kind, and all answers fit one order."""
    assert has_all_kinds(clients)
    assert not clients.contradictions()


@pytest.mark.parametrize("app", ["main:app", "examples.together:app"])
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_answers_fit_one_order(kind: str, app: str, tmp_path: Path) -> None:
    """Two workers answer as one would that makes one call after another, faults or not."""
    with ExitStack() as stack:
        url, modes = f"sqlite:///{tmp_path}/notes.db", []
        if kind == "postgres":
            server = stack.enter_context(start_postgres())
            url, modes = server.url(), ["fast", "immediate"]
        service = stack.enter_context(Service.gunicorn(tmp_path, app, DATABASE_URL=url))
        clients = stack.enter_context(Clients(service))
        faults = [
            partial(abort_reads, service, clients),
            partial(lock, url),
            partial(kill_worker, service),
            *(partial(server.restart, mode) for mode in modes),
        ]
        for fault in faults * (1 + SOAK):
            clients.wait_for_calls(CALLS // 2)
            fault()
        clients.wait_for_calls(CALLS // 2)
        wait_until(lambda: has_all_kinds(clients), 60, "an answer of each kind")
    check(clients)
