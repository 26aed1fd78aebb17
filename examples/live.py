"""Live lists: `uvicorn examples.live:app` serves the notes, and a stream of every list of them.

A list asked with `Accept: text/event-stream` sends its page at once, and again when it changed:
`curl -N -H 'Accept: text/event-stream' 'http://127.0.0.1:8000/notes/?completed=false'`.
In production the Procfile's line names examples.live:app in place of main:app.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from socket import socket
from time import monotonic
from typing import Any, get_origin
from urllib.parse import unquote_plus

import uvicorn
from fastapi.routing import APIRoute
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import main
from main import app

PERIOD = 1  # seconds between two questions for a list
SILENCE = 15  # seconds; after more, a proxy may take a stream for dead
MOST_LISTS = 200  # that a worker keeps asking for: each takes it a request a second
PART = 65_536  # bytes sent at a time: what a client does not read is kept for it alone

# Who compresses would hold the events back, and so would nginx.
HEADERS = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}
HEADERS |= main.NOSNIFF

watches: dict[tuple[str, bytes, Any], "Watch"] = {}  # by path, query and key
ending = asyncio.Event()  # set while the server stops


class Watch:
    """A list that is asked for once a second; it holds the one page of all its watchers."""

    def __init__(self, inner: ASGIApp, question: Scope) -> None:
        self.inner = inner
        self.question = question
        self.watchers = 0
        self.asked_at = 0.0  # when the newest answer was asked for
        self.mark = ""  # what tells it from others: the ETag of a page, else the status
        self.event = b""
        self.refusal: Response | None = None  # in place of a page
        self.lock = asyncio.Lock()  # so that answers come in the order of questions
        self.news = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    async def ask_on(self) -> None:
        """Ask as long as somebody watches and the server goes on."""
        try:
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(ending.wait(), PERIOD)
                if ending.is_set() or not self.watchers:
                    return
                await self.ask()
        finally:
            self.wake()

    async def ask(self) -> None:
        """Ask the app for the page, unless somebody else did since this was called."""
        called_at = monotonic()
        async with self.lock:
            if self.asked_at > called_at:
                return
            asked_at = monotonic()
            answer = await self.read_answer()
            self.asked_at = asked_at
            if answer.status_code != 304:
                self.take(answer)
                self.wake()

    async def read_answer(self) -> Response:
        """Return the app's answer: 304 if the page is the one that is known."""
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        known = (b"if-none-match", self.mark.encode())
        question = {**self.question, "headers": [*self.question["headers"], known]}
        await self.inner(question, receive_nothing, keep)
        start, *parts = messages
        body = b"".join(part.get("body", b"") for part in parts)
        return Response(body, start["status"], Headers(raw=start["headers"]))

    def take(self, answer: Response) -> None:
        """Make an event of an answer: the page, or what is wrong (a page then is news)."""
        data = bytes(answer.body).decode()
        if answer.status_code == 200:
            self.refusal = None
            self.mark = answer.headers.get("etag") or main.tag_of(data.encode())
            self.event = format_sse_event(data_str=data, id=self.mark)
        else:
            self.refusal = answer
            self.mark = str(answer.status_code)
            self.event = format_sse_event(data_str=data, event="problem", id="")

    def wake(self) -> None:
        """Let all watchers look for news."""
        self.news.set()
        self.news.clear()

    async def stream(self, seen: set[str]) -> AsyncIterator[bytes]:
        """Yield what a watcher has not seen, until the list is asked for no more."""
        while True:
            if self.mark not in seen:
                seen, event = {self.mark}, self.event
                for start in range(0, len(event), PART):
                    yield event[start : start + PART]
            elif self.task is None or self.task.done():
                return
            else:
                try:
                    await asyncio.wait_for(self.news.wait(), SILENCE)
                except TimeoutError:
                    yield KEEPALIVE_COMMENT


class Live:
    """Middleware that streams the lists of the app that it is added to."""

    def __init__(self, inner: ASGIApp) -> None:
        self.inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a stream where events are asked for and a list is what there is."""
        if not asks_for_events(scope) or not is_list(scope):
            await self.inner(scope, receive, send)
            return
        query, last_ids = split_query(scope["query_string"])
        last_ids.add(Headers(scope=scope).get("last-event-id", ""))
        keys = tuple(each for each in scope["headers"] if each[0] == b"authorization")
        place = (scope["path"], query, keys)
        question = {**scope, "query_string": query, "headers": keys}
        watch = watches.get(place) or Watch(self.inner, question)
        if len(watches) < MOST_LISTS:
            watches[place] = watch
        watch.watchers += 1
        try:
            await watch.ask()
            response = watch.refusal
            if response is None:
                if watch.task is None and watches.get(place) is watch:
                    watch.task = asyncio.create_task(watch.ask_on())
                scope["state"]["is_stream"] = True  # for cut_streams()
                response = EventSourceResponse(watch.stream(last_ids), headers=HEADERS)
            await response(scope, receive, send)
        finally:
            watch.watchers -= 1
            if not watch.watchers and watches.get(place) is watch:
                del watches[place]


def asks_for_events(scope: Scope) -> bool:
    """Tell whether a request is a GET whose Accept names events first."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    first = Headers(scope=scope).get("accept", "").lower().split(",")[0]
    kind, *parameters = [part.strip() for part in first.split(";")]
    is_refused = any(re.fullmatch(r"q=0(\.0*)?", each) for each in parameters)
    return kind == "text/event-stream" and not is_refused


def is_list(scope: Scope) -> bool:
    """Tell whether a request is for a list, by what its endpoint returns."""
    for route in app.routes:
        if isinstance(route, APIRoute) and route.matches(scope)[0] is Match.FULL:
            return get_origin(route.response_model) is list
    return False


def split_query(query: bytes) -> tuple[bytes, set[str]]:
    """Return a query without lastEventId, by which EventSource's polyfills resume."""
    name = "lastEventId="
    parts = query.decode("latin-1").split("&")
    rest = "&".join(part for part in parts if not part.startswith(name))
    ids = {unquote_plus(part[len(name) :]) for part in parts if part.startswith(name)}
    return rest.encode("latin-1"), ids


async def receive_nothing() -> Message:
    """Return the body that a GET does not have."""
    return {"type": "http.request"}


end_server = uvicorn.Server.shutdown


async def end_streams_first(
    server: uvicorn.Server, sockets: list[socket] | None = None
) -> None:
    """Stop a server; by itself it would wait for the streams, and tell the app only after them."""
    ending.set()
    asyncio.get_running_loop().call_later(1, cut_streams, server)
    await end_server(server, sockets)
    ending.clear()


def cut_streams(server: uvicorn.Server) -> None:
    """Cut the connections of clients that do not read, who would never take the end."""
    connections: list[Any] = list(server.server_state.connections)
    for connection in connections:
        if connection.cycle and connection.cycle.scope["state"].get("is_stream"):
            connection.transport.abort()


uvicorn.Server.shutdown = end_streams_first  # type: ignore[assignment]  # there is no hook
# Within CORS; outside of Edge, as keys are asked for and HEAD is answered there.
classes: list[Any] = [each.cls for each in app.user_middleware]
app.user_middleware.insert(classes.index(main.Edge), Middleware(Live))
