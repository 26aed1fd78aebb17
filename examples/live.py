"""Live lists: `uvicorn examples.live:app` serves the notes, and a stream of every list of them.

A list asked with `Accept: text/event-stream` sends its page at once, and again when it changed:
`curl -N -H 'Accept: text/event-stream' 'http://127.0.0.1:8000/notes/?completed=false'`.
In production the Procfile's line names examples.live:app in place of main:app.
"""

import asyncio
from contextlib import suppress
from socket import socket

import uvicorn
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from main import app

PERIOD = 1  # seconds between two questions for a list
SILENCE = 15  # seconds; after more, a proxy may take a stream for dead
MOST_LISTS = 200  # that a worker keeps asking for: each takes it a request a second

ListKey = tuple[str, bytes, tuple[bytes, ...]]
watches: dict[ListKey, "Watch"] = {}
ending = asyncio.Event()  # set while the server stops


class Answer:
    """An answer of the app, kept whole."""

    def __init__(self) -> None:
        self.status = 0
        self.headers = Headers()
        self.body = b""

    async def keep(self, message: Message) -> None:
        """Take a message of the app's."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = Headers(raw=message["headers"])
        else:
            self.body += message.get("body", b"")

    def is_page(self) -> bool:
        """Tell whether this is a page of a list."""
        is_list = self.body.startswith(b"[")
        return is_list and self.status == 200 and "etag" in self.headers

    def mark(self) -> str:
        """Return what tells this answer from others: the ETag of a page, else the status."""
        return self.headers["etag"] if self.is_page() else str(self.status)

    def event(self) -> bytes:
        """Return the page, or what is wrong, as an event."""
        text = self.body.decode()
        if self.is_page():
            return format_sse_event(data_str=text, id=self.mark())
        return format_sse_event(data_str=text, event="problem")


class FirstAnswer(Answer):
    """The answer to a watcher's own request: a page is kept, all else passed on as it comes."""

    def __init__(self, send: Send) -> None:
        super().__init__()
        self.send = send
        self.start: Message | None = None

    async def keep(self, message: Message) -> None:
        """Take a message of the app's."""
        if message["type"] == "http.response.start":
            self.start = message
            await super().keep(message)
            return
        if self.start:
            await super().keep(message)
            if self.is_page() and not message.get("more_body"):
                return
            await self.send(self.start)
            self.start = None
        await self.send(message)


class Watch:
    """A list that is asked for once a second, however many watch it."""

    def __init__(self, inner: ASGIApp, scope: Scope, key: ListKey) -> None:
        self.inner = inner
        self.scope = scope
        self.key = key
        self.watchers = 0
        self.asked_at = 0.0  # when the newest answer was asked for
        self.mark = ""
        self.event = b""
        self.known = (
            b'""'  # the tag of the page that need not be sent again; "" is no page's
        )
        self.news: asyncio.Future[None] = asyncio.Future()
        self.task = asyncio.create_task(self.ask_on())

    async def ask_on(self) -> None:
        """Ask as long as somebody watches and the server goes on."""
        try:
            while not await ends_within(PERIOD) and self.watchers:
                await self.ask()
        finally:
            del watches[self.key]
            self.wake()

    async def ask(self) -> None:
        """Ask the app for the page, and wake the watchers unless it is known."""
        headers = [(b"authorization", value) for value in self.key[2]]
        headers.append((b"if-none-match", self.known))
        answer = Answer()
        asked_at = asyncio.get_running_loop().time()
        await self.inner({**self.scope, "headers": headers}, receive_nothing, answer.keep)
        if answer.status == 304:
            return
        self.asked_at = asked_at
        self.mark = answer.mark()
        self.event = answer.event()
        self.known = self.mark.encode() if answer.is_page() else b'""'
        self.wake()

    def wake(self) -> None:
        """Let all watchers look for news."""
        news = self.news
        self.news = asyncio.Future()
        news.set_result(None)

    async def serve(self, seen: str, receive: Receive, send: Send) -> None:
        """Send a watcher what it has not seen, until it leaves or the server stops."""
        since = asyncio.get_running_loop().time()
        gone = asyncio.create_task(receive_all(receive))
        self.watchers += 1
        try:
            while not gone.done() and not self.task.done():
                if self.asked_at < since:
                    self.known = (
                        b'""'  # the newest answer may be older than what was seen
                    )
                elif self.mark != seen:
                    seen = self.mark
                    await send_part(send, self.event)
                    continue  # meanwhile there may be news
                waited = [gone, self.news]
                done, _ = await asyncio.wait(
                    waited, timeout=SILENCE, return_when="FIRST_COMPLETED"
                )
                if not done:
                    await send_part(send, KEEPALIVE_COMMENT)
        finally:
            self.watchers -= 1
            gone.cancel()


class Live:
    """Middleware that streams the lists of the app that it is added to."""

    def __init__(self, inner: ASGIApp) -> None:
        self.inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a stream where events are asked for and a list is what there is."""
        if not asks_for_events(scope):
            await self.inner(scope, receive, send)
            return
        left_out = (b"accept", b"if-none-match")
        headers = [header for header in scope["headers"] if header[0] not in left_out]
        first = FirstAnswer(send)
        await self.inner({**scope, "headers": headers}, receive, first.keep)
        if not first.start or not first.is_page():
            return
        await send({**first.start, "headers": stream_headers(first)})
        if first.mark() != Headers(scope=scope).get("last-event-id"):
            await send_part(send, first.event())
        keys = tuple(value for name, value in headers if name == b"authorization")
        key = (scope["path"], scope["query_string"], keys)
        if key not in watches and len(watches) < MOST_LISTS:
            watches[key] = Watch(self.inner, scope, key)
        if key in watches:
            await watches[key].serve(first.mark(), receive, send)
        await send({"type": "http.response.body"})


def asks_for_events(scope: Scope) -> bool:
    """Tell whether a request is a GET whose Accept names events first."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    kind = Headers(scope=scope).get("accept", "").split(",")[0].split(";")[0]
    return kind.strip().lower() == "text/event-stream"


def stream_headers(page: Answer) -> list[tuple[bytes, bytes]]:
    """Return the headers of a stream that begins with a page: CORS's and such stay."""
    headers = MutableHeaders(raw=list(page.headers.raw))
    for name in ("content-length", "etag", "link", "x-total-count"):
        del headers[name]
    headers["content-type"] = "text/event-stream; charset=utf-8"
    # Who compresses would hold the events back, and so would nginx.
    headers["cache-control"] = "no-store, no-transform"
    headers["x-accel-buffering"] = "no"
    return headers.raw


async def send_part(send: Send, part: bytes) -> None:
    """Send a part of a stream."""
    await send({"type": "http.response.body", "body": part, "more_body": True})


async def ends_within(seconds: float) -> bool:
    """Wait, and tell whether the server stops."""
    with suppress(TimeoutError):
        await asyncio.wait_for(ending.wait(), seconds)
    return ending.is_set()


async def receive_nothing() -> Message:
    """Return the body that a GET does not have."""
    return {"type": "http.request"}


async def receive_all(receive: Receive) -> None:
    """Wait until a client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


end_server = uvicorn.Server.shutdown


async def end_streams_first(
    server: uvicorn.Server, sockets: list[socket] | None = None
) -> None:
    """Stop a server; by itself it would wait for the streams, and tell the app only after them."""
    ending.set()
    await end_server(server, sockets)
    ending.clear()


uvicorn.Server.shutdown = end_streams_first  # type: ignore[assignment]  # there is no hook
app.add_middleware(Live)
