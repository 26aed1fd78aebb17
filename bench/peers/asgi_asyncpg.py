"""Plain ASGI and asyncpg that does not reset its connections: as fast as Python goes.

It checks nothing, so it is a floor to measure against, not a service.
"""

import os
from typing import Any
from urllib.parse import parse_qsl

import asyncpg
from pydantic_core import from_json, to_json

CREATE = (
    "INSERT INTO notes (text, completed) VALUES ($1, $2) RETURNING id, text, completed"
)
READ = "SELECT id, text, completed FROM notes WHERE id = $1"
UPDATE = "UPDATE notes SET text = $2, completed = $3 WHERE id = $1 RETURNING id, text, completed"
LIST = "SELECT id, text, completed FROM notes ORDER BY id LIMIT $1 OFFSET $2"
COUNT = "SELECT count(*) FROM notes"
SEARCH = (
    "SELECT id, text, completed FROM notes WHERE text ILIKE '%' || $3 || '%' "
    "ORDER BY id LIMIT $1 OFFSET $2"
)
pool: Any = None


async def keep(connection: object) -> None:
    """Leave a connection as it is: a reset is one more round trip."""


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer a request."""
    global pool
    if scope["type"] == "lifespan":
        await receive()
        url = os.environ["DATABASE_URL"]
        pool = await asyncpg.create_pool(url, min_size=5, max_size=5, reset=keep)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await pool.close()
        await send({"type": "lifespan.shutdown.complete"})
        return
    note_id, status, headers = scope["path"].split("/")[2], 200, []
    if scope["method"] == "GET" and note_id:
        answer: Any = dict(await pool.fetchrow(READ, int(note_id)))
    elif scope["method"] == "GET":
        parameters = dict(parse_qsl(scope["query_string"].decode()))
        if "count" in parameters:
            headers.append((b"x-total-count", b"%d" % await pool.fetchval(COUNT)))
        page = int(parameters.get("take", 20)), int(parameters.get("skip", 0))
        statement = (
            (SEARCH, *page, parameters["q"]) if "q" in parameters else (LIST, *page)
        )
        answer = [dict(row) for row in await pool.fetch(*statement)]
    else:
        body, has_more = b"", True
        while has_more:
            message = await receive()
            body, has_more = body + message["body"], message["more_body"]
        note = from_json(body)
        values = note["text"], note["completed"]
        if note_id:
            answer = dict(await pool.fetchrow(UPDATE, int(note_id), *values))
        else:
            answer, status = dict(await pool.fetchrow(CREATE, *values)), 201
    content = to_json(answer)
    headers += [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(content)),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
