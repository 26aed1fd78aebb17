"""Clients of a service under test: many at once, and many all the time."""

import asyncio
import itertools
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

import httpx2

from tests.fixtures import ORIGIN, problem
from tests.servers import Service, wait_until

UNREACHABLE = "unreachable"  # in place of a status: there was no connection
CUT_OFF = "cut off"  # in place of a status: the connection ended before the answer came

Answers = list[httpx2.Response]


class Crowd:
    """Requests that are under way together, each on a connection of its own."""

    def __init__(self, service: Service) -> None:
        """Name the service."""
        self.client = httpx2.Client(
            base_url=service.url,
            headers={"Origin": ORIGIN},
            timeout=30,
            limits=httpx2.Limits(max_connections=None),
        )
        self.threads = ThreadPoolExecutor(100)
        self.futures: list[Future[httpx2.Response]] = []

    def __enter__(self) -> Self:
        """Lend the clients."""
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for all answers, and close the connections."""
        self.threads.shutdown()
        self.client.close()

    def post(self, *texts: str) -> None:
        """Send a POST for each text."""
        for text in texts:
            self.futures.append(
                self.threads.submit(self.client.post, "/notes/", json={"text": text})
            )

    def get(self, *paths: str) -> None:
        """Send a GET for each path."""
        self.futures += [self.threads.submit(self.client.get, path) for path in paths]

    @property
    def is_done(self) -> bool:
        """Whether all are answered."""
        return all(future.done() for future in self.futures)

    def answers(self) -> Answers:
        """Wait for all answers, and return them in the order of their requests."""
        futures, self.futures = self.futures, []
        return [future.result() for future in futures]


def statuses(answers: Answers) -> dict[int, int]:
    """Return how often each status was the answer."""
    return dict(Counter(answer.status_code for answer in answers))


def are_refusals(answers: Answers) -> bool:
    """Tell whether all answers are 503 and say when to come again."""
    problems = {
        (problem(answer), answer.headers.get("Retry-After")) for answer in answers
    }
    return problems == {(503, "1")}


def slowest(answers: Answers) -> float:
    """Return how many seconds the slowest answer took."""
    return max(answer.elapsed.total_seconds() for answer in answers)


class Load:
    """Sixteen clients that write and read all the time; each text that they write is unique."""

    def __init__(self, service: Service) -> None:
        """Name the service."""
        self.url = service.url
        self.name = uuid.uuid4().hex
        self.write_answers: dict[str, str] = {}  # of each text
        self.writes: Counter[str] = Counter()  # how often each answer was given
        self.reads: Counter[str] = Counter()
        self.failed_reads: list[float] = []  # the times at which they failed
        self.slowest = 0.0
        self.stop_event = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        """Start the clients."""
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Let each client finish its round, and end."""
        self.stop_event.set()
        self.thread.join()

    def wait_for_writes(self, writes: int) -> None:
        """Wait until so many more writes are acknowledged."""
        target = self.writes["201"] + writes
        wait_until(
            lambda: self.writes["201"] >= target, 120, f"{writes} acknowledged writes"
        )

    @property
    def answers(self) -> Counter[str]:
        """How often each answer was given."""
        return self.writes + self.reads

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

    async def _run(self) -> None:
        async with httpx2.AsyncClient(base_url=self.url, timeout=30) as client:
            await asyncio.gather(*(self._client(client, number) for number in range(16)))

    async def _client(self, client: httpx2.AsyncClient, number: int) -> None:
        for count in itertools.count():
            text = f"{self.name} {number} {count}"
            answer, note = await self._send(client, "POST", "/notes/", text)
            self.write_answers[text] = answer
            self.writes[answer] += 1
            path = f"/notes/{note['id']}/" if "id" in note else "/notes/?sort=-id"
            answer, _ = await self._send(client, "GET", path)
            self.reads[answer] += 1
            if answer != "200":
                self.failed_reads.append(time.monotonic())
            if self.stop_event.is_set():
                return

    async def _send(
        self, client: httpx2.AsyncClient, method: str, path: str, text: str | None = None
    ) -> tuple[str, Any]:
        start = time.monotonic()
        try:
            response = await client.request(method, path, json=text and {"text": text})
        except httpx2.ConnectError:
            await asyncio.sleep(0.02)  # nobody listens: come again a little later
            return UNREACHABLE, {}
        except httpx2.TransportError:
            return CUT_OFF, {}
        finally:
            self.slowest = max(self.slowest, time.monotonic() - start)
        return str(response.status_code), response.json()
