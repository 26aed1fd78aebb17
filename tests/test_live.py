"""The live lists of examples/live.py, read from running workers as a page's script reads them."""

import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx2
import pytest

from tests.fixtures import create_note, make_client, open_client, problem
from tests.servers import (
    ROOT,
    Service,
    require_programs,
    skip,
    start_postgres,
    wait_until,
)

APP = "examples.live:app"
EVENTS = {"Accept": "text/event-stream"}


class Event(NamedTuple):
    """What an EventSource gives to its page, and the comments that it does not."""

    kind: str
    id: str | None
    data: Any


def read_events(lines: Iterator[str]) -> Iterator[Event]:
    """Return the events that lines make, as the specification of EventSource has it."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line and name:
            fields[name] = value
        elif line:
            yield Event("comment", None, value)
        elif "data" in fields:
            data = json.loads(fields["data"])
            yield Event(fields.get("event", "message"), fields.get("id"), data)
            fields = {}


@contextmanager
def watch(
    service: Service, path: str = "/notes/", **headers: str
) -> Iterator[Iterator[Event]]:
    """Lend the events of a list."""
    headers = {**EVENTS, **headers}
    url = service.url + path
    with httpx2.stream("GET", url, headers=headers, timeout=30) as response:
        yield read_events(response.iter_lines())


def find_event(events: Iterator[Event], data: Any) -> Event:
    """Return the next event that has these data."""
    for event in events:
        if event.data == data:
            return event
    raise AssertionError(f"the stream ended without {data}")


def test_a_list_is_sent_at_once_and_again_whenever_it_changed(
    service: Service, http: httpx2.Client
) -> None:
    """Each event is the page as a GET then answers it, with its ETag as the id."""
    path = "/notes/?completed=false&sort=-id&take=2"
    notes = [create_note(http, text=text) for text in ("one", "two", "three")]

    def read_page() -> Event:
        answer = http.get(path)
        return Event("message", answer.headers["ETag"], answer.json())

    with watch(service, path) as events:
        event = read_page()
        assert event.data == [notes[2], notes[1]]
        assert next(events) == event
        http.patch(f"/notes/{notes[2]['id']}/", json={"completed": True})
        assert find_event(events, [notes[1], notes[0]]) == read_page()
        http.delete(f"/notes/{notes[0]['id']}/")
        assert find_event(events, [notes[1]]) == read_page()


def test_a_write_through_one_worker_is_seen_by_watchers_of_the_other(
    service: Service, http: httpx2.Client
) -> None:
    """Each of two workers, the only one to take a write, tells it to a watcher of the other."""
    workers = service.workers()
    try:
        for first_worker, second_worker in (workers, workers[::-1]):
            first_worker.suspend()
            with watch(service) as events:
                notes = next(events).data
                second_worker.suspend()
                first_worker.resume()
                note = create_note(http)
                second_worker.resume()
                assert find_event(events, [*notes, note])
    finally:
        for worker in workers:
            worker.resume()


@pytest.mark.parametrize("place", ["header", "query"])
def test_a_reconnect_is_silent_while_nothing_changed(
    service: Service, http: httpx2.Client, place: str
) -> None:
    """Who names the newest id gets nothing before the next change; who names an older one does."""
    note = create_note(http)
    path, headers = "/notes/?take=5", {}
    with watch(service, path) as events:
        last_id = str(next(events).id)
    if place == "header":
        headers = {"Last-Event-ID": last_id}
    else:  # as event-source-polyfill does
        path += f"&lastEventId={quote(last_id)}"
    with watch(service, path, **headers) as events:
        http.delete(f"/notes/{note['id']}/")
        assert next(events).data == []
    with watch(service, path, **headers) as events:
        assert next(events).data == []


def test_a_stream_has_the_headers_that_it_needs(http: httpx2.Client) -> None:
    """Pages of other origins may read it, and neither caches nor proxies hold it back."""
    tag = http.get("/notes/?count=true").headers["ETag"]  # which a browser may send
    sent = {**EVENTS, "If-None-Match": tag, "Last-Event-ID": "503"}
    with http.stream("GET", "/notes?count=true", headers=sent) as response:
        assert next(read_events(response.iter_lines())).data == []
    assert {
        "access-control-allow-origin": "*",
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-store, no-transform",
        "x-accel-buffering": "no",
        "x-content-type-options": "nosniff",
    }.items() <= dict(response.headers).items()
    names = {"content-length", "etag", "link", "x-total-count"}
    assert not response.headers.keys() & names


STREAM = ["text/event-stream", "TEXT/Event-Stream ;q=1, */*", "text/event-stream;q=0.01"]
NO_STREAM = ["application/json, text/event-stream", "*/*", "text/event-streams", ",;,="]
NO_STREAM += ["text/event-stream;q=0", "text/event-stream; Q=0.000, */*", "\x80"]


@pytest.mark.parametrize("accept", STREAM + NO_STREAM)
def test_a_stream_is_for_those_who_ask_for_it_first(
    http: httpx2.Client, accept: str
) -> None:
    """An Accept that begins with text/event-stream gets one, unless by q=0; others get JSON."""
    headers = [(b"Accept", accept.encode("latin-1"))]
    with http.stream("GET", "/notes/", headers=headers) as response:
        is_json = response.headers["Content-Type"] == "application/json"
    assert is_json == (accept in NO_STREAM)


def test_what_is_no_list_is_left_alone(service: Service, http: httpx2.Client) -> None:
    """One note, the documentation, HEAD and what is refused answer as they do without events."""
    path = f"/notes/{create_note(http)['id']}/"
    with make_client(service, **EVENTS) as client:
        for url in (path, "/livez", "/openapi.json"):
            with client.stream("GET", url) as response:  # as get() would not end
                assert response.headers["Content-Type"] == "application/json"
        assert client.head("/notes/").headers["Content-Type"] == "application/json"
        assert problem(client.get("/notes/?take=many&lastEventId=%22a%22"), "take") == 422
        assert problem(client.get("/notes/9223372036854775807/")) == 404


def test_no_watcher_goes_back_in_time(service: Service, http: httpx2.Client) -> None:
    """While a note counts up, whoever comes, leaves and comes back sees it only grow."""
    path = f"/notes/{create_note(http, text='0')['id']}/"

    def watch_to_the_end() -> list[int]:
        numbers = [0]
        while numbers[-1] < 30:
            with watch(service) as events:
                numbers.append(int(next(events).data[0]["text"]))
                if numbers[-1] < 30:
                    numbers.append(int(next(events).data[0]["text"]))
        return numbers

    with ThreadPoolExecutor(8) as pool:
        watchers = [pool.submit(watch_to_the_end) for _ in range(8)]
        for number in range(1, 31):
            http.patch(path, json={"text": str(number)})
        for watcher in watchers:
            numbers = watcher.result()
            assert numbers == sorted(numbers)


def test_all_extras_go_together(empty_database: str, tmp_path: Path) -> None:
    """Each list is a stream, too, whichever extra answers it, and a key guards all calls."""
    if not find_spec("mcp"):
        skip("not installed: examples/requirements-agents.txt")
    key = {"Authorization": "bearer  secret"}
    variables = {"DATABASE_URL": empty_database, "API_KEYS": "secret"}
    prices, newest = "/products/?min_price=1&max_price=5", "/notes?_sort=id&_order=desc"
    with (
        open_client(DATABASE_URL=empty_database),  # the core's table is there
        Service.uvicorn(tmp_path, "examples.all:app", **variables) as service,
        watch(service, prices, **key) as products,
        watch(service, newest, **key) as notes,
        make_client(service, **key) as client,
        make_client(service, Authorization="Bearer wrong") as stranger,
    ):
        assert next(products).data == next(notes).data == []
        cup = {"name": "cup", "price": 4.5, "quantity": 1}
        assert find_event(products, [client.post("/products/", json=cup).json()])
        batch = [{"text": "jazz"}, {"text": "JAZZ"}]
        stored = client.post("/notes/batch", json=batch).json()
        assert find_event(notes, stored[::-1])
        # The last one is for the core's own list.
        for query in ("_page=1&text_like=jAzz", "q=jazz", "take=2&sort=id&q=jazz"):
            assert client.get(f"/notes?{query}").json() == stored
            with watch(service, f"/notes?{query}", **key) as events:
                assert next(events).data == stored
        for path in (prices, newest, "/notes"):
            with stranger.stream("GET", path, headers=EVENTS) as answer:
                assert answer.status_code == 401
        assert problem(stranger.get("/notes?_page=1")) == 401
        assert problem(stranger.post("/notes/batch", json=batch)) == 401
        assert problem(stranger.post("/products", json=cup)) == 401
        assert problem(stranger.patch("/notes?q=a", json=batch[0])) == 401
        assert problem(stranger.delete("/notes?q=a")) == 401
        assert client.delete("/notes?q=jazz").json() == stored


def test_the_script_of_the_documentation_watches_with_a_key(tmp_path: Path) -> None:
    """Node runs it: it shows each page once, and comes back when the workers are renewed."""
    require_programs("node")
    text = (ROOT / "docs/extras.md").read_text()
    [script] = re.findall(r"```js\n(.*?)```", text, re.DOTALL)
    show = "(page) => console.log(JSON.stringify(page))"
    with (
        Service.gunicorn(tmp_path, APP, API_KEYS="secret") as service,
        make_client(service, Authorization="Bearer secret") as client,
    ):
        script += f"watch('{service.url}/notes/', 'secret', {show})"
        workers = service.workers()
        with subprocess.Popen(["node", "-e", script], stdout=subprocess.PIPE) as node:
            assert node.stdout
            try:
                assert json.loads(node.stdout.readline()) == []
                first = create_note(client, text="a: b\u2028\n\n\U0001f331")
                assert json.loads(node.stdout.readline()) == [first]
                service.process.send_signal(signal.SIGHUP)
                wait_until(lambda: not any(worker.is_running() for worker in workers))
                second = create_note(client)
                assert json.loads(node.stdout.readline()) == [first, second]
            finally:
                node.kill()


@pytest.mark.parametrize(
    ("start", "number", "status"),
    [
        (Service.gunicorn, signal.SIGTERM, 0),
        (Service.uvicorn, signal.SIGTERM, -signal.SIGTERM),
        (Service.uvicorn, signal.SIGINT, 0),
    ],
    ids=["gunicorn SIGTERM", "uvicorn SIGTERM", "uvicorn SIGINT"],
)
def test_a_stop_ends_streams_at_once(
    tmp_path: Path, start: Any, number: signal.Signals, status: int
) -> None:
    """Each stream ends as it should; the server does not wait for it, as uvicorn would."""
    with start(tmp_path, APP) as service, ExitStack() as stack:
        streams = [stack.enter_context(watch(service)) for _ in range(8)]
        assert [next(events).data for events in streams] == [[]] * 8
        service.process.send_signal(number)
        assert service.process.wait(8) == status
        assert [list(events) for events in streams] == [[]] * 8
        assert "Traceback" not in service.log.read_text()


def open_unread(service: Service, path: str) -> socket.socket:
    """Return a connection on which a stream has begun, of which nothing more is read."""
    connection = socket.create_connection(("127.0.0.1", service.port), 30)
    request = f"GET {path} HTTP/1.1\r\nHost: notes\r\nAccept: text/event-stream\r\n\r\n"
    connection.sendall(request.encode())
    assert connection.recv(12) == b"HTTP/1.1 200"
    return connection


def test_clients_that_do_not_read_share_a_page_and_delay_no_stop(tmp_path: Path) -> None:
    """A page of 5 MB takes 50 such clients far less than 50 times that, and ends with them."""
    path = "/notes/?take=100"
    with (
        Service.gunicorn(tmp_path, APP, WEB_CONCURRENCY="1") as service,
        make_client(service) as client,
        ExitStack() as stack,
    ):
        notes = [create_note(client, text="\u00e9" * 65_536) for _ in range(40)]
        assert client.get(path).json() == notes
        [worker] = service.workers()
        memory = worker.memory_info().rss
        for _ in range(50):
            stack.enter_context(open_unread(service, path))
        with watch(service, path) as events:
            assert next(events).data == notes
        assert worker.memory_info().rss - memory < 100_000_000
        service.process.terminate()
        assert service.process.wait(8) == 0
        assert "Traceback" not in service.log.read_text()


def test_more_lists_than_a_worker_asks_for_are_sent_once(tmp_path: Path) -> None:
    """The 201st list is sent and ends; a list that is asked for anyway is watched still."""
    with Service.uvicorn(tmp_path, APP) as service, ExitStack() as stack:
        for skip in range(200):
            stack.enter_context(open_unread(service, f"/notes/?skip={skip}"))
        with watch(service, "/notes/?skip=200") as events:
            assert [event.data for event in events] == [[]]
        client = stack.enter_context(make_client(service))
        with watch(service, "/notes/?skip=0") as events:
            assert next(events).data == []
            assert find_event(events, [create_note(client)])


def test_a_list_costs_a_question_a_second_for_all_its_watchers(tmp_path: Path) -> None:
    """Twenty silent watchers get a comment after 15 seconds, and cost 15 queries.

    They are told that Postgres is gone, and get their page when it is back.
    """
    variables = {"WEB_CONCURRENCY": "1", "POOL_TIMEOUT": "0.5"}
    with (
        start_postgres(log_statement="all") as server,
        Service.gunicorn(
            tmp_path, APP, DATABASE_URL=server.url(), **variables
        ) as service,
        make_client(service) as client,
        ExitStack() as stack,
    ):
        log = server.folder / "log"
        streams = [stack.enter_context(watch(service)) for _ in range(20)]
        assert [next(events).data for events in streams] == [[]] * 20
        count = log.read_text().count("OFFSET")
        assert {next(events).kind for events in streams} == {"comment"}
        assert 3 < log.read_text().count("OFFSET") - count < 30
        server.stop()
        for event in map(next, streams):
            assert (event.kind, event.id, event.data["status"]) == ("problem", "", 503)
        assert problem(client.get("/notes/", headers=EVENTS)) == 503
        server.start()
        assert [next(events).data for events in streams] == [[]] * 20
        note = create_note(client)
        assert [next(events).data for events in streams] == [[note]] * 20
