"""The live lists of examples/live.py, read from running workers as a page's script reads them."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import time
from typing import Any, NamedTuple

import httpx2
import psutil
import pytest

from tests.fixtures import ORIGIN, problem
from tests.servers import (
    ROOT,
    Postgres,
    Service,
    free_port,
    require_programs,
    start_postgres,
    wait_until,
)

APP = "examples.live:app"
EVENTS = {"Accept": "text/event-stream"}
SECONDS = 30  # that a client waits for an answer or for an event


class Event(NamedTuple):
    """What an EventSource gives to its page, and the comments that it does not."""

    kind: str
    id: str | None
    data: Any


class Stream(NamedTuple):
    """An open stream: the answer that began it, and what it sends."""

    response: httpx2.Response
    events: Iterator[Event]


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
def watch(service: Service, path: str = "/notes/", **headers: str) -> Iterator[Stream]:
    """Lend a stream of a list."""
    headers = {**EVENTS, "Origin": ORIGIN, **headers}
    with httpx2.stream(
        "GET", service.url + path, headers=headers, timeout=SECONDS
    ) as response:
        yield Stream(response, read_events(response.iter_lines()))


def find_event(events: Iterator[Event], data: Any) -> Event:
    """Return the next event that has these data."""
    for event in events:
        if event.data == data:
            return event
    raise AssertionError(f"the stream ended without {data}")


def make_client(service: Service) -> httpx2.Client:
    """Return a client from another origin, which makes a connection for every call."""
    limits = httpx2.Limits(max_keepalive_connections=0)
    headers = {"Origin": ORIGIN}
    return httpx2.Client(
        base_url=service.url, headers=headers, limits=limits, timeout=SECONDS
    )


@contextmanager
def lend_workers(service: Service) -> Iterator[list[psutil.Process]]:
    """Lend the workers of a service, to be suspended; all of them go on afterwards."""
    workers = psutil.Process(service.process.pid).children()
    try:
        yield workers
    finally:
        for worker in workers:
            worker.resume()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Two workers with live lists, on each database."""
    folder = tmp_path_factory.mktemp("live")
    url = f"sqlite:///{folder}/live.db"
    if request.param == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.create_database("live")
    with Service.gunicorn(folder, APP, DATABASE_URL=url) as service:
        yield service


@pytest.fixture
def client(service: Service) -> Iterator[httpx2.Client]:
    """A client of the service without a note."""
    with make_client(service) as http:
        for note in http.get("/notes/", params={"take": 100}).json():
            http.delete(f"/notes/{note['id']}/")
        yield http


def create_note(client: httpx2.Client, text: str = "water the plants") -> dict[str, Any]:
    """Return a note that is made by POST."""
    note: dict[str, Any] = client.post("/notes/", json={"text": text}).json()
    return note


def test_a_list_is_sent_at_once_and_again_whenever_it_changed(
    service: Service, client: httpx2.Client
) -> None:
    """Each event is the page as a GET then answers it, with its ETag as the id."""
    path = "/notes/?completed=false&sort=-id&take=2"
    notes = [create_note(client, text) for text in ("one", "two", "three")]

    def read_page() -> Event:
        answer = client.get(path)
        return Event("message", answer.headers["ETag"], answer.json())

    with watch(service, path) as (_, events):
        event = read_page()
        assert event.data == [notes[2], notes[1]]
        assert next(events) == event
        client.patch(f"/notes/{notes[2]['id']}/", json={"completed": True})
        assert find_event(events, [notes[1], notes[0]]) == read_page()
        client.delete(f"/notes/{notes[0]['id']}/")
        assert find_event(events, [notes[1]]) == read_page()


def test_a_write_through_one_worker_is_seen_by_watchers_of_the_other(
    service: Service, client: httpx2.Client
) -> None:
    """Each of two workers, the only one to take a write, tells it to a watcher of the other."""
    with lend_workers(service) as workers:
        for first_worker, second_worker in (workers, workers[::-1]):
            first_worker.suspend()
            with watch(service) as (_, events):
                notes = next(events).data
                second_worker.suspend()
                first_worker.resume()
                note = create_note(client)
                second_worker.resume()
                assert find_event(events, [*notes, note])


def test_a_reconnect_is_silent_while_nothing_changed(
    service: Service, client: httpx2.Client
) -> None:
    """Who names the newest id gets nothing before the next change; who names an older one does."""
    note = create_note(client)
    with watch(service) as (_, events):
        last_event = next(events)
    assert last_event.id
    with watch(service, **{"Last-Event-ID": last_event.id}) as (_, events):
        client.delete(f"/notes/{note['id']}/")
        assert next(events).data == []
    with watch(service, **{"Last-Event-ID": last_event.id}) as (_, events):
        assert next(events).data == []


@pytest.mark.parametrize(
    "last_id", ["", "*", '""', "5", 'W/"a"', '"a", "b"', "x" * 10_000, "\x80\xff", "null"]
)
def test_an_unknown_last_event_id_gets_the_page(
    service: Service, client: httpx2.Client, last_id: str
) -> None:
    """Whatever Last-Event-ID holds that is not the page's ETag, the page is sent."""
    note = create_note(client)
    headers = [
        (b"Accept", b"text/event-stream"),
        (b"Last-Event-ID", last_id.encode("latin-1")),
    ]
    with client.stream("GET", "/notes/", headers=headers) as response:
        assert next(read_events(response.iter_lines())).data == [note]


def test_what_is_known_to_if_none_match_is_sent_still(
    service: Service, client: httpx2.Client
) -> None:
    """A browser's cache that knows the page as JSON does not get a 304 for its stream."""
    note = create_note(client)
    tag = client.get("/notes/").headers["ETag"]
    with watch(service, **{"If-None-Match": tag}) as (response, events):
        assert response.status_code == 200
        assert next(events).data == [note]


def test_a_stream_has_the_headers_that_it_needs(
    service: Service, client: httpx2.Client
) -> None:
    """Pages of other origins may read it, and neither caches nor proxies hold it back."""
    create_note(client)
    with watch(service, "/notes?take=1&count=true") as (response, _):
        headers = dict(response.headers)
    assert {
        "access-control-allow-origin": "*",
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-store, no-transform",
        "x-accel-buffering": "no",
        "x-content-type-options": "nosniff",
    }.items() <= headers.items()
    assert not headers.keys() & {"content-length", "etag", "link", "x-total-count"}


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/event-stream", "text/event-stream; charset=utf-8"),
        ("TEXT/Event-Stream ;q=1, application/json", "text/event-stream; charset=utf-8"),
        ("application/json, text/event-stream", "application/json"),
        ("text/*", "application/json"),
        ("*/*", "application/json"),
        ("text/event-streams", "application/json"),
        ("", "application/json"),
        (",;,=", "application/json"),
        ("\x80", "application/json"),
    ],
)
def test_a_stream_is_for_those_who_ask_for_it_first(
    client: httpx2.Client, accept: str, kind: str
) -> None:
    """Only an Accept that begins with text/event-stream gets one; whoever else does gets JSON."""
    headers = [(b"Accept", accept.encode("latin-1"))]
    with client.stream("GET", "/notes/", headers=headers) as response:
        assert response.headers["Content-Type"] == kind


def test_what_is_no_list_is_left_alone(client: httpx2.Client) -> None:
    """One note, a probe, the documentation, HEAD and a write answer as they do without events."""
    note = create_note(client)
    path = f"/notes/{note['id']}/"
    client.headers.update(EVENTS)
    for url in (path, "/livez", "/readyz", "/openapi.json"):
        with client.stream("GET", url) as response:  # no get(): a stream would not end
            assert response.headers["Content-Type"] == "application/json"
    assert client.head("/notes/").headers["Content-Type"] == "application/json"
    assert client.patch(path, json={"completed": True}).json() == {
        **note,
        "completed": True,
    }


@pytest.mark.parametrize(
    ("path", "status", "fields"),
    [
        ("/notes/?take=many", 422, ["take"]),
        ("/notes/?skip=-1", 422, ["skip"]),
        ("/notes/9223372036854775807/", 404, []),
        ("/nothing/", 404, []),
    ],
)
def test_a_refusal_is_a_problem_and_not_a_stream(
    client: httpx2.Client, path: str, status: int, fields: list[str]
) -> None:
    """What a list refuses, it refuses in the one shape."""
    answer = client.get(path, headers=EVENTS)
    assert problem(answer, *fields) == status


def test_no_watcher_goes_back_in_time(service: Service, client: httpx2.Client) -> None:
    """While a note counts up, whoever comes, leaves and comes back sees it only grow."""
    path = f"/notes/{create_note(client, '0')['id']}/"
    last_number = 60

    def watch_to_the_end() -> list[int]:
        numbers = [0]
        while numbers[-1] < last_number:
            with watch(service) as (_, events):
                for _ in range(2):
                    numbers.append(int(next(events).data[0]["text"]))
                    if numbers[-1] == last_number:
                        break
        return numbers

    with ThreadPoolExecutor(8) as pool:
        watchers = [pool.submit(watch_to_the_end) for _ in range(8)]
        for number in range(1, last_number + 1):
            client.patch(path, json={"text": str(number)})
        for watcher in watchers:
            numbers = watcher.result()
            assert numbers == sorted(numbers)


def test_what_changes_back_between_two_questions_is_seen_by_who_came_between(
    service: Service, client: httpx2.Client
) -> None:
    """Who came while a note was changed sees it as it was before, like those who came earlier."""
    note = create_note(client, "as it was")
    path = f"/notes/{note['id']}/"
    with lend_workers(service) as workers:
        workers[0].suspend()  # so that the other answers all
        with watch(service) as (_, early_events):
            assert next(early_events).data == [note]
            changed_note = client.patch(path, json={"text": "for a moment"}).json()
            with watch(service) as (_, late_events):
                assert next(late_events).data == [changed_note]
                client.patch(path, json={"text": "as it was"})
                assert next(late_events).data == [note]


def test_a_key_is_asked_for(tmp_path: Path) -> None:
    """Without the key a stream is 401, whoever else watches; with it, it is a stream."""
    url = f"sqlite:///{tmp_path}/notes.db"
    with (
        Service.gunicorn(tmp_path, APP, DATABASE_URL=url, API_KEYS="secret") as service,
        watch(service, Authorization="Bearer secret") as (_, events),
        make_client(service) as client,
    ):
        assert next(events).data == []
        for headers in (EVENTS, {**EVENTS, "Authorization": "Bearer wrong"}):
            answer = client.get("/notes/", headers=headers)
            assert problem(answer) == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        client.headers["Authorization"] = "bearer  secret"
        assert find_event(events, [create_note(client)])


def test_every_list_of_the_app_is_live(tmp_path: Path) -> None:
    """Together with the products, a list of these is a stream as well."""
    (tmp_path / "together.py").write_text(
        "from examples import live, products\napp = live.app\n"
    )
    variables = {
        "DATABASE_URL": f"sqlite:///{tmp_path}/notes.db",
        "PYTHONPATH": str(tmp_path),
    }
    with (
        Service.gunicorn(tmp_path, "together:app", **variables) as service,
        watch(service, "/products/filter/price?min_price=1&max_price=5") as (
            _,
            events,
        ),
        make_client(service) as client,
    ):
        assert next(events).data == []
        cup = {"name": "cup", "price": 4.5, "quantity": 1}
        assert find_event(events, [client.post("/products/", json=cup).json()])


def test_the_script_of_the_documentation_watches_with_a_key(tmp_path: Path) -> None:
    """Node runs it: it shows each page once, and comes back when the workers are renewed."""
    require_programs("node")
    [script] = re.findall(
        r"```js\n(.*?)```", (ROOT / "docs/extras.md").read_text(), re.DOTALL
    )
    show = "(page, kind) => console.log(JSON.stringify([kind ?? 'message', page]))"
    variables = {"DATABASE_URL": f"sqlite:///{tmp_path}/notes.db", "API_KEYS": "secret"}
    with (
        Service.gunicorn(tmp_path, APP, **variables) as service,
        make_client(service) as client,
        subprocess.Popen(
            [
                "node",
                "--eval",
                f"{script} watch('{service.url}/notes/', 'secret', {show})",
            ],
            stdout=subprocess.PIPE,
        ) as node,
    ):
        assert node.stdout
        client.headers["Authorization"] = "Bearer secret"
        workers = psutil.Process(service.process.pid).children()
        try:
            assert json.loads(node.stdout.readline()) == ["message", []]
            first = create_note(client, "a: b\u2028\n\n\U0001f331")
            assert json.loads(node.stdout.readline()) == ["message", [first]]
            service.process.send_signal(signal.SIGHUP)
            wait_until(lambda: not any(worker.is_running() for worker in workers))
            second = create_note(client)
            assert json.loads(node.stdout.readline()) == ["message", [first, second]]
        finally:
            node.kill()


def gunicorn(folder: Path, url: str) -> Service:
    """Return the service as the Procfile starts it."""
    return Service.gunicorn(folder, APP, DATABASE_URL=url)


def uvicorn(folder: Path, url: str) -> Service:
    """Return the service as the README starts it; uvicorn then waits without an end."""
    port = str(free_port())
    command = [sys.executable, "-m", "uvicorn", APP, "--port", port]
    return Service(command, folder, DATABASE_URL=url, PORT=port)


@pytest.mark.parametrize(
    ("start", "number", "status"),
    [
        (gunicorn, signal.SIGTERM, 0),
        (uvicorn, signal.SIGTERM, -signal.SIGTERM),
        (uvicorn, signal.SIGINT, 0),
    ],
)
def test_a_stop_ends_streams_at_once(
    tmp_path: Path, start: Any, number: signal.Signals, status: int
) -> None:
    """Each stream ends as it should, and the server does not wait for it."""
    with (
        start(tmp_path, f"sqlite:///{tmp_path}/notes.db") as service,
        ExitStack() as stack,
    ):
        streams = [stack.enter_context(watch(service)) for _ in range(8)]
        for stream in streams:
            assert next(stream.events).data == []
        service.process.send_signal(number)
        assert service.process.wait(8) == status
        assert [list(stream.events) for stream in streams] == [[]] * 8
        assert "Traceback" not in service.log.read_text()


def test_a_worker_that_is_renewed_ends_its_streams(tmp_path: Path) -> None:
    """What gunicorn's --max-requests ends is a stream's end as well, and a new worker serves."""
    url = f"sqlite:///{tmp_path}/notes.db"
    variables = {"WEB_CONCURRENCY": "1", "GUNICORN_CMD_ARGS": "--max-requests=20"}
    with (
        Service.gunicorn(tmp_path, APP, DATABASE_URL=url, **variables) as service,
        watch(service) as (_, events),
        make_client(service) as client,
    ):
        for _ in range(20):
            client.get("/livez")
        assert next(events).data == []
        assert next(events, None) is None
        with watch(service) as (_, events):
            assert next(events).data == []


def test_more_lists_than_a_worker_asks_for_are_sent_once(tmp_path: Path) -> None:
    """The 201st list is sent and ends; a list that is asked for anyway is watched still."""
    url = f"sqlite:///{tmp_path}/notes.db"
    with (
        Service.gunicorn(tmp_path, APP, DATABASE_URL=url, WEB_CONCURRENCY="1") as service,
        ExitStack() as stack,
    ):
        for skip in range(200):
            request = f"GET /notes/?skip={skip} HTTP/1.1\r\nHost: notes\r\n"
            connection = socket.create_connection(("127.0.0.1", service.port), SECONDS)
            stack.enter_context(connection)
            connection.sendall(f"{request}Accept: text/event-stream\r\n\r\n".encode())
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        with watch(service, "/notes/?skip=200") as (_, events):
            assert next(events).data == []
            assert next(events, None) is None
        with (
            watch(service, "/notes/?skip=0") as (_, events),
            make_client(service) as client,
        ):
            assert next(events).data == []
            assert find_event(events, [create_note(client)])


def test_a_database_that_is_away_is_a_problem_and_no_end(tmp_path: Path) -> None:
    """A stream tells that Postgres is gone, and goes on with its page when it is back."""
    with (
        start_postgres() as server,
        Service.gunicorn(tmp_path, APP, DATABASE_URL=server.url()) as service,
        watch(service) as (_, events),
        make_client(service) as client,
    ):
        assert next(events).data == []
        server.stop()
        event = next(events)
        assert (event.kind, event.id, event.data["status"]) == ("problem", None, 503)
        assert problem(client.get("/notes/", headers=EVENTS)) == 503
        server.start()
        assert next(events).data == []
        assert find_event(events, [create_note(client)])


def test_a_silent_list_costs_a_question_a_second_while_it_is_watched(
    tmp_path: Path,
) -> None:
    """Twenty silent watchers get a comment after 15 seconds and cost 15 queries, and none later."""
    with (
        start_postgres(log_statement="all") as server,
        Service.gunicorn(
            tmp_path, APP, DATABASE_URL=server.url(), WEB_CONCURRENCY="1"
        ) as service,
    ):
        log = server.folder / "log"

        def count_queries() -> int:
            return log.read_text().count("OFFSET")

        with ExitStack() as stack:
            streams = [stack.enter_context(watch(service)) for _ in range(20)]
            for stream in streams:
                assert next(stream.events).data == []
            start_count = count_queries()
            for stream in streams:
                assert next(stream.events).kind == "comment"
            assert 3 < count_queries() - start_count < 30
        wait_until(lambda: time() - log.stat().st_mtime > 3, description="silence")
        start_count = count_queries()
        with make_client(service) as client:
            assert client.get("/notes/").json() == []
        assert count_queries() == start_count + 1
