"""Clients that read and write all the time, and a record of what they were told."""

import asyncio
import itertools
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from typing import Any, Self

import httpx2

from tests.servers import until

UNREACHABLE = "unreachable"  # in place of a status: there was no connection
CUT_OFF = "cut off"  # in place of a status: the connection ended before the answer came


class Load:
    """Sixteen clients in a thread of their own; each write is a text that no other has."""

    def __init__(self, url: str, clients: int = 16) -> None:
        """Name the service and the number of clients."""
        self.url, self.clients = url, clients
        self.name = uuid.uuid4().hex
        self.written: dict[str, str] = {}  # each text, and what was the answer to it
        self.reads: Counter[str] = Counter()
        self.slowest = 0.0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        """Start the clients."""
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Let each client finish its round, and end."""
        self.stopping.set()
        self.thread.join()

    def proceed(self, writes: int = 100) -> None:
        """Wait until so many more writes are acknowledged."""
        goal = self.writes["201"] + writes
        until(lambda: self.writes["201"] >= goal, 60, f"{writes} acknowledged writes")

    @property
    def writes(self) -> Counter[str]:
        """How often each answer was given to a write."""
        return Counter(list(self.written.values()))

    @property
    def failures(self) -> int:
        """How many requests the service answered with a failure of the database."""
        return sum((self.writes + self.reads)[status] for status in ("503", "504"))

    def __str__(self) -> str:
        """Return the counts in one line."""
        counts = f"writes {dict(self.writes)}, reads {dict(self.reads)}"
        return f"{counts}, slowest {self.slowest:.2f} s"

    def told(self, answer: str) -> set[str]:
        """Return the texts whose writes got an answer."""
        return {text for text, given in self.written.items() if given == answer}

    def untrue(self, stored: Iterable[str]) -> dict[str, set[str]]:
        """Return the texts whose answers were not true, by kind, given all that is stored."""
        times = Counter(text for text in stored if text in self.written)
        kinds = {
            "lost": self.told("201") - times.keys(),
            "stored twice": {text for text in times if times[text] > 1},
            "refused but stored": (self.told("503") | self.told(UNREACHABLE)) & times.keys(),
        }
        return {kind: texts for kind, texts in kinds.items() if texts}

    async def _run(self) -> None:
        async with httpx2.AsyncClient(base_url=self.url, timeout=30) as client:
            await asyncio.gather(*(self._client(client, n) for n in range(self.clients)))

    async def _client(self, client: httpx2.AsyncClient, number: int) -> None:
        for count in itertools.count():
            text = f"{self.name} {number} {count}"
            self.written[text], note = await self._send(client, "POST", "/notes/", text)
            path = f"/notes/{note['id']}/" if "id" in note else "/notes/?sort=-id"
            answer, _ = await self._send(client, "GET", path)
            self.reads[answer] += 1
            if self.stopping.is_set():
                return

    async def _send(
        self, client: httpx2.AsyncClient, method: str, path: str, text: str | None = None
    ) -> tuple[str, Any]:
        started = time.monotonic()
        try:
            response = await client.request(method, path, json=text and {"text": text})
        except httpx2.ConnectError:
            await asyncio.sleep(0.02)  # nobody listens: come again a little later
            return UNREACHABLE, {}
        except httpx2.TransportError:
            return CUT_OFF, {}
        finally:
            self.slowest = max(self.slowest, time.monotonic() - started)
        return str(response.status_code), response.json()
