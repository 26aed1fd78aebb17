"""Whether what clients were answered could come of a service that does one call after another.

The search is Wing and Gong's, and remembers what it has tried, as Lowe's does. Notes do not
depend on each other, so that each has a history of its own.
"""

import json
import math
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from types import MappingProxyType
from typing import Any, NamedTuple, Self

from tests.servers import Service, wait_until


class Note(NamedTuple):
    """What a note holds beside its id."""

    text: str
    completed: bool


class Call(NamedTuple):
    """A client's call to a note, and the answer; both times are of one clock.

    One that may have been done, and may be done at any time to come, returned at math.inf.
    """

    method: str
    call_time: float
    return_time: float
    body: dict[str, Any]
    if_match: Note | None  # what the tag in If-Match is of
    status: int
    answer: Note | None


def apply_call(call: Call, note: Note | None) -> tuple[int, Note | None, Note | None]:
    """Return the status and the answer that a call to a note must have, and the note after it."""
    if call.method == "POST":
        new_note = Note(**call.body)
        return 201, new_note, new_note
    if note is None:
        return 404, None, None
    if call.if_match not in (None, note):
        return 412, None, note
    if call.method == "GET":
        return 200, note, note
    if call.method == "DELETE":
        return 200, note, None
    changed_note = note._replace(**call.body)
    return 200, changed_note, changed_note


def is_linearizable(calls: Iterable[Call]) -> bool:
    """Tell whether some order of a note's calls explains all answers.

    A call that returned before another was made comes before it. One of which nobody knows
    whether it was done may come at any time after it was made, or never.
    """
    history = sorted(calls, key=lambda call: call.call_time)
    bits = {1 << place: call for place, call in enumerate(history)}
    certain_bits = sum(bit for bit, call in bits.items() if call.return_time < math.inf)
    # Which calls are done, and the note then.
    steps: list[tuple[int, Note | None]] = [(0, None)]
    known_steps = set(steps)
    while steps:
        done_bits, note = steps.pop()
        if certain_bits & ~done_bits == 0:
            return True
        open_calls = {bit: call for bit, call in bits.items() if not done_bits & bit}
        first_return = min(call.return_time for call in open_calls.values())
        for bit, call in open_calls.items():
            if call.call_time > first_return:
                break
            status, answer, next_note = apply_call(call, note)
            if call.return_time < math.inf:
                is_possible = (status, answer) == (call.status, call.answer)
            else:
                is_possible = next_note != note  # or it might as well never be done
            step = (done_bits | bit, next_note)
            if is_possible and step not in known_steps:
                known_steps.add(step)
                steps.append(step)
    return False


class Reply(NamedTuple):
    """What came back: a status, 0 where the connection ended before, a note and its tag."""

    status: int
    note: Mapping[str, Any] = MappingProxyType({})
    tag: str | None = None


class Clients:
    """Clients that make random calls to the same few notes, and keep each note's history."""

    def __init__(self, service: Service, number: int = 6, notes: int = 2) -> None:
        """Name the service; `notes` are there at a time."""
        self.port = service.port
        self.ids = [0] * notes  # 0 in place of a note that is gone
        self.histories: dict[int, list[Call]] = defaultdict(list)
        self.replies: Counter[tuple[str, int]] = Counter()
        self.stop_event = threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(number)]

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
    def calls(self) -> int:
        """How many calls the histories hold."""
        return sum(len(history) for history in list(self.histories.values()))

    def wait_for_calls(self, calls: int) -> None:
        """Wait until the histories hold so many more calls."""
        target = self.calls + calls
        wait_until(lambda: self.calls >= target, 120, f"{calls} more calls")

    def contradictions(self) -> dict[int, list[Call]]:
        """Return the histories, by their notes' ids, that no order of the calls explains."""
        histories = self.histories.items()
        return {note: calls for note, calls in histories if not is_linearizable(calls)}

    def _run(self) -> None:
        versions: dict[
            int, tuple[Note, str]
        ] = {}  # what this client last saw of each note
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            while not self.stop_event.is_set():
                self._make_call(connection, random.randrange(len(self.ids)), versions)

    def _make_call(
        self,
        connection: HTTPConnection,
        place: int,
        versions: dict[int, tuple[Note, str]],
    ) -> None:
        note_id = self.ids[place]
        method, path, body = choose_call(note_id)
        is_write = method in ("PUT", "PATCH", "DELETE")
        if_match, headers = None, {"Content-Type": "application/json"}
        if is_write and note_id in versions and random.random() < 0.5:
            if_match, headers["If-Match"] = versions[note_id]
        call_time = time.monotonic()
        reply = send(connection, note_id, method, path, body, headers)
        return_time = time.monotonic()
        self.replies[method, reply.status] += 1
        answer = None
        if reply.status == 201:
            note_id = self.ids[place] = reply.note["id"]
        if reply.note:
            answer = Note(reply.note["text"], reply.note["completed"])
        if answer and reply.tag:
            versions[note_id] = answer, reply.tag
        is_gone = reply.status == 404 or (reply.status, method) == (200, "DELETE")
        if is_gone and self.ids[place] == note_id:
            self.ids[place] = 0
        is_unknown = reply.status in (0, 504)
        if is_unknown:
            return_time = math.inf
        # Of a read without an answer there is nothing to check, and of a note without an id.
        if reply.status != 503 and (is_write or not is_unknown):
            call = Call(
                method, call_time, return_time, body, if_match, reply.status, answer
            )
            self.histories[note_id].append(call)


def choose_call(note_id: int) -> tuple[str, str, dict[str, Any]]:
    """Return a random method, path and body for a note, or for a new one where it is gone."""
    body = {"text": random.randbytes(8).hex(), "completed": random.random() < 0.5}
    if not note_id:
        return "POST", "/notes/", body
    method = random.choices(["GET", "PUT", "PATCH", "DELETE"], [8, 4, 4, 1])[0]
    if method == "PATCH":
        del body[random.choice(["text", "completed"])]
    # A list this long comes over another connection to SQLite.
    if method == "GET" and random.random() < 0.3:
        return method, "/notes/?take=101&sort=-id", body
    return method, f"/notes/{note_id}/", body


def send(
    connection: HTTPConnection,
    note_id: int,
    method: str,
    path: str,
    members: dict[str, Any],
    headers: dict[str, str],
) -> Reply:
    """Make a call to a note and wait for the reply; 503 where nobody listens."""
    body = None
    if method not in ("GET", "DELETE"):
        body = json.dumps(members)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        content = json.loads(response.read())
    except ConnectionRefusedError:
        connection.close()
        time.sleep(0.02)  # come again a little later
        return Reply(503)
    except (OSError, HTTPException):
        connection.close()
        return Reply(0)
    if response.status not in (200, 201):
        return Reply(response.status)
    if isinstance(content, list):
        notes = {note["id"]: note for note in content}
        return Reply(200, notes[note_id]) if note_id in notes else Reply(404)
    return Reply(response.status, content, response.headers["ETag"])
