"""Whether what clients were answered could come of a service that does one call after another.

The search is Wing and Gong's, and remembers what it has tried, as Lowe's does. Notes do not
depend on each other, so that each has a history of its own.
"""

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from http.client import HTTPConnection
from types import MappingProxyType
from typing import Any, NamedTuple

from tests import load
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
    status: str
    answer: Note | None = None
    body: Mapping[str, Any] = MappingProxyType({})
    if_match: Note | None = None  # what the tag in If-Match is of


def apply_call(call: Call, note: Note | None) -> tuple[str, Note | None, Note | None]:
    """Return the status and the answer that a call to a note must have, and the note after it."""
    if call.method == "POST":
        new_note = Note(**call.body)
        return "201", new_note, new_note
    if note is None:
        return "404", None, None
    if call.if_match not in (None, note):
        return "412", None, note
    if call.method == "GET":
        return "200", note, note
    if call.method == "DELETE":
        return "200", note, None
    changed_note = note._replace(**call.body)
    return "200", changed_note, changed_note


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


# Each holds the note; they differ in their statements, and in their connection to SQLite.
LISTS = ["sort=-id&take=100", "sort=-id&take=101", "sort=-id&take=100&count=true"]
LISTS += ["sort=-id&after={}", "sort=text&take=1000", "sort=-completed&take=1000"]
LISTS += ["q=&take=1000"]


class Clients(load.Clients):
    """Clients that make random calls to the same few notes, and keep each note's history."""

    def __init__(self, service: Service, number: int = 6, notes: int = 2) -> None:
        super().__init__(service, number)
        self.ids = [0] * notes  # 0 in place of a note that is gone
        self.histories: dict[int, list[Call]] = defaultdict(list)
        # What each client last saw of each note.
        self.versions: dict[tuple[HTTPConnection, int], tuple[Note, str]] = {}

    def wait_for_calls(self, calls: int) -> None:
        """Wait until so many more calls are made."""
        target = len(self.replies) + calls
        wait_until(lambda: len(self.replies) >= target, 120, f"{calls} more calls")

    def contradictions(self) -> dict[int, list[Call]]:
        """Return the histories, by their notes' ids, that no order of the calls explains."""
        histories = self.histories.items()
        return {note: calls for note, calls in histories if not is_linearizable(calls)}

    def make_calls(self, connection: HTTPConnection) -> None:
        """Make a random call to one of the notes, or make one where it is gone."""
        place = random.randrange(len(self.ids))
        note_id = self.ids[place]
        method, path, body = choose_call(note_id)
        is_write = method in ("PUT", "PATCH", "DELETE")
        if_match, headers = None, {}
        version = self.versions.get((connection, note_id))
        if version and is_write and random.random() < 0.5:
            if_match, headers["If-Match"] = version
        reply = self.call(connection, method, path, body, **headers)
        status, content, answer = reply.status, reply.content, None
        if isinstance(content, list):
            content = next((each for each in content if each["id"] == note_id), None)
            status = "200" if content else "404"
        if status == "201":
            note_id = self.ids[place] = content["id"]
        if content:
            answer = Note(content["text"], content["completed"])
            if "?" not in path and reply.tag:
                self.versions[connection, note_id] = answer, reply.tag
        is_gone = status == "404" or (status, method) == ("200", "DELETE")
        if is_gone and self.ids[place] == note_id:
            self.ids[place] = 0
        is_unknown = status in (load.CUT_OFF, "504")
        return_time = math.inf if is_unknown else reply.end
        # Of a read without an answer there is nothing to check, and of a note without an id.
        if status not in (load.UNREACHABLE, "503") and (is_write or not is_unknown):
            times = (reply.start, return_time)
            call = Call(method, *times, status, answer, body or {}, if_match)
            self.histories[note_id].append(call)


def choose_call(note_id: int) -> tuple[str, str, dict[str, Any] | None]:
    """Return a random method, path and body for a note, or for a new one where it is gone."""
    body = {"text": random.randbytes(8).hex(), "completed": random.random() < 0.5}
    if not note_id:
        return "POST", "/notes/", body
    method = random.choices(["GET", "PUT", "PATCH", "DELETE"], [8, 4, 4, 1])[0]
    if method == "PATCH":
        del body[random.choice(["text", "completed"])]
    if method == "GET" and random.random() < 0.5:
        return method, f"/notes/?{random.choice(LISTS).format(note_id + 1)}", None
    return method, f"/notes/{note_id}/", body if method in ("PUT", "PATCH") else None
