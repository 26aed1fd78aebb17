"""Clients of a service under test, which make calls over and over."""

import json
import os
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple, Self

from tests.servers import Service, wait_until

WRITES = 100 * int(os.environ.get("SOAK", "1"))  # before and after each fault
UNREACHABLE = "unreachable"  # in place of a status: there was no connection
CUT_OFF = "cut off"  # in place of a status: the connection ended before the answer came


class Reply(NamedTuple):
    """What came back to a request, and the times of both on one clock."""

    method: str
    start: float
    end: float
    status: str  # or UNREACHABLE, or CUT_OFF
    content: Any = None
    tag: str | None = None


def send(
    connection: HTTPConnection,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    **headers: str,
) -> None:
    """Send a request, and do not wait for its answer."""
    content = None if body is None else json.dumps(body)
    headers["Content-Type"] = "application/json"
    connection.request(method, path, content, headers)


def receive(connection: HTTPConnection) -> tuple[str, Any, str | None]:
    """Wait for the answer to what was sent; return its status, its JSON and its tag."""
    response = connection.getresponse()
    content = response.read()
    if response.status not in (200, 201):
        return str(response.status), None, None
    return str(response.status), json.loads(content), response.headers["ETag"]


class Clients:
    """Clients that make calls over and over, each on its own connection, one at a time."""

    def __init__(self, service: Service, number: int = 1, pause: float = 0) -> None:
        self.port, self.pause = service.port, pause
        self.replies: list[Reply] = []  # without content
        self.stop_event = threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(number)]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_event.set()
        for thread in self.threads:
            thread.join()

    def _run(self) -> None:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            while not self.stop_event.wait(self.pause):
                self.make_calls(connection)

    def make_calls(self, connection: HTTPConnection) -> None:
        """Make the calls that a client repeats."""
        raise NotImplementedError

    def call(
        self,
        connection: HTTPConnection,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        **headers: str,
    ) -> Reply:
        """Make a call, and return what came back."""
        start = time.monotonic()
        try:
            send(connection, method, path, body, **headers)
            answer = receive(connection)
        except ConnectionRefusedError:
            answer = UNREACHABLE, None, None
            time.sleep(0.02)  # come again a little later
        except (OSError, HTTPException):
            answer = CUT_OFF, None, None
            connection.close()
        reply = Reply(method, start, time.monotonic(), *answer)
        self.replies.append(reply._replace(content=None))
        return reply

    @property
    def answers(self) -> Counter[str]:
        """How often each answer was given."""
        return Counter(reply.status for reply in self.replies)

    @property
    def slowest(self) -> float:
        """How many seconds the slowest answer took."""
        return max(reply.end - reply.start for reply in self.replies)


class Callers(Clients):
    """Clients that make one call over and over: a GET, or with a text a POST of a note."""

    def __init__(
        self,
        service: Service,
        path: str,
        text: Callable[[], str] | None = None,
        number: int = 1,
        pause: float = 0,
    ) -> None:
        super().__init__(service, number, pause)
        self.path, self.text = path, text

    def make_calls(self, connection: HTTPConnection) -> None:
        """Make the call, with a random number where the path has room for one."""
        path = self.path.format(random.randrange(10**6))
        if self.text:
            self.call(connection, "POST", path, {"text": self.text()})
        else:
            self.call(connection, "GET", path)


class Load(Clients):
    """Sixteen clients that write a note and read it; each text that they write is unique."""

    def __init__(self, service: Service) -> None:
        super().__init__(service, number=16)
        self.write_answers: dict[str, str] = {}  # of each text

    def make_calls(self, connection: HTTPConnection) -> None:
        """Write a note, and read it, or a list if it is not known to be stored."""
        text, path = uuid.uuid4().hex, "/notes/?sort=-id"
        reply = self.call(connection, "POST", "/notes/", {"text": text})
        self.write_answers[text] = reply.status
        if reply.content:
            path = f"/notes/{reply.content['id']}/"
        self.call(connection, "GET", path)

    @property
    def writes(self) -> Counter[str]:
        """How often each answer to a write was given."""
        return Counter(each.status for each in self.replies if each.method == "POST")

    @property
    def reads(self) -> Counter[str]:
        """How often each answer to a read was given."""
        return self.answers - self.writes

    def wait_for_writes(self, writes: int = WRITES) -> None:
        """Wait until so many more writes are acknowledged."""
        target = self.answers["201"] + writes
        wait_until(lambda: self.answers["201"] >= target, 120, f"{writes} more writes")

    def texts_by_answer(self, answer: str) -> set[str]:
        """Return the texts whose writes got an answer."""
        return {text for text, reply in self.write_answers.items() if reply == answer}

    def find_mismatches(self, stored_texts: Iterable[str]) -> dict[str, set[str]]:
        """Return the texts whose answers were not true, by kind, given all that is stored."""
        times = Counter(text for text in stored_texts if text in self.write_answers)
        refused = self.texts_by_answer("503") | self.texts_by_answer(UNREACHABLE)
        kinds = {
            "lost": self.texts_by_answer("201") - times.keys(),
            "stored twice": {text for text in times if times[text] > 1},
            "refused but stored": refused & times.keys(),
        }
        return {kind: texts for kind, texts in kinds.items() if texts}
