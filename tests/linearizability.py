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
    called: float
    returned: float
    sent: dict[str, Any]
    expected: Note | None  # what the tag in If-Match is of
    status: int
    answer: Note | None


def do(call: Call, note: Note | None) -> tuple[int, Note | None, Note | None]:
    """Return the status and the answer that a call to a note must have, and the note after it."""
    if call.method == "POST":
        created = Note(**call.sent)
        return 201, created, created
    if note is None:
        return 404, None, None
    if call.expected not in (None, note):
        return 412, None, note
    if call.method == "GET":
        return 200, note, note
    if call.method == "DELETE":
        return 200, note, None
    changed = note._replace(**call.sent)
    return 200, changed, changed


def is_linearizable(calls: Iterable[Call]) -> bool:
    """Tell whether some order of a note's calls explains all answers.

    A call that returned before another was made comes before it. One of which nobody knows
    whether it was done may come at any time after it was made, or never.
    """
    history = sorted(calls, key=lambda call: call.called)
    bits = {1 << place: call for place, call in enumerate(history)}
    certain = sum(bit for bit, call in bits.items() if call.returned < math.inf)
    # Which calls are done, and the note then.
    steps: list[tuple[int, Note | None]] = [(0, None)]
    tried = set(steps)
    while steps:
        done, note = steps.pop()
        if certain & ~done == 0:
            return True
        left = {bit: call for bit, call in bits.items() if not done & bit}
        first_return = min(call.returned for call in left.values())
        for bit, call in left.items():
            if call.called > first_return:
                break
            status, answer, after = do(call, note)
            if call.returned < math.inf:
                possible = (status, answer) == (call.status, call.answer)
            else:
                possible = after != note  # or it might as well never be done
            step = (done | bit, after)
            if possible and step not in tried:
                tried.add(step)
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
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(number)]

    def __enter__(self) -> Self:
        """Start the clients."""
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Let each client wait for its answer, and end."""
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    @property
    def calls(self) -> int:
        """How many calls the histories hold."""
        return sum(len(history) for history in list(self.histories.values()))

    def proceed(self, calls: int) -> None:
        """Wait until the histories hold so many more calls."""
        goal = self.calls + calls
        wait_until(lambda: self.calls >= goal, 120, f"{calls} more calls")

    def contradictions(self) -> dict[int, list[Call]]:
        """Return the histories, by their notes' ids, that no order of the calls explains."""
        histories = self.histories.items()
        return {note: calls for note, calls in histories if not is_linearizable(calls)}

    def _run(self) -> None:
        seen: dict[int, tuple[Note, str]] = {}  # what this client last saw of each note
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            while not self.stopping.is_set():
                self._make_call(connection, random.randrange(len(self.ids)), seen)

    def _make_call(
        self, connection: HTTPConnection, place: int, seen: dict[int, tuple[Note, str]]
    ) -> None:
        note_id = self.ids[place]
        method, path, sent = choose(note_id)
        writes = method in ("PUT", "PATCH", "DELETE")
        expected, headers = None, {"Content-Type": "application/json"}
        if writes and note_id in seen and random.random() < 0.5:
            expected, headers["If-Match"] = seen[note_id]
        called = time.monotonic()
        reply = send(connection, method, path, sent, headers)
        returned = time.monotonic()
        self.replies[method, reply.status] += 1
        answer = None
        if reply.status == 201:
            note_id = self.ids[place] = reply.note["id"]
        if reply.note:
            answer = Note(reply.note["text"], reply.note["completed"])
        if answer and reply.tag:
            seen[note_id] = answer, reply.tag
        gone = reply.status == 404 or (reply.status, method) == (200, "DELETE")
        if gone and self.ids[place] == note_id:
            self.ids[place] = 0
        unknown = reply.status in (0, 504)
        if unknown:
            returned = math.inf
        # Of a read without an answer there is nothing to check, and of a note without an id.
        if reply.status != 503 and (writes or not unknown):
            call = Call(method, called, returned, sent, expected, reply.status, answer)
            self.histories[note_id].append(call)


def choose(note_id: int) -> tuple[str, str, dict[str, Any]]:
    """Return a random method, path and body for a note, or for a new one where it is gone."""
    sent = {"text": random.randbytes(8).hex(), "completed": random.random() < 0.5}
    if not note_id:
        return "POST", "/notes/", sent
    method = random.choices(["GET", "PUT", "PATCH", "DELETE"], [8, 4, 4, 1])[0]
    if method == "PATCH":
        del sent[random.choice(["text", "completed"])]
    # Lists may come over another connection to the database.
    if method == "GET" and random.random() < 0.3:
        return method, f"/notes/?id={note_id}", sent
    return method, f"/notes/{note_id}/", sent


def send(
    connection: HTTPConnection,
    method: str,
    path: str,
    sent: dict[str, Any],
    headers: dict[str, str],
) -> Reply:
    """Make a call and wait for the reply; where nobody listens it is 503, as nothing was done."""
    body = None
    if method not in ("GET", "DELETE"):
        body = json.dumps(sent)
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
    if content == []:
        return Reply(404)
    if isinstance(content, list):
        return Reply(200, *content)
    return Reply(response.status, content, response.headers["ETag"])
