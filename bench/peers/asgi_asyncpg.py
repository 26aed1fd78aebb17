"""Bare ASGI and asyncpg, which checks nothing: a floor to measure against."""

import os
from typing import Any
from urllib.parse import parse_qsl

import asyncpg
from pydantic_core import from_json, to_json

COLUMNS = "id, text, completed"
CREATE = f"INSERT INTO notes (text, completed) VALUES ($1, $2) RETURNING {COLUMNS}"
READ = f"SELECT {COLUMNS} FROM notes WHERE id = $1"
UPDATE = f"UPDATE notes SET text = $2, completed = $3 WHERE id = $1 RETURNING {COLUMNS}"
LIST = f"SELECT {COLUMNS} FROM notes ORDER BY id LIMIT $1 OFFSET $2"
pool: Any = None


async def keep(_: object) -> None:
    """Leave a connection as it is: a reset is one more round trip."""


async def app(scope: Any, receive: Any, send: Any) -> None:
    global pool
    if scope["type"] == "lifespan":
        options: Any = {"min_size": 5, "max_size": 5, "reset": keep}
        pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], **options)
        return  # without an answer, which uvicorn takes for a server that has no lifespan
    note_id, status = scope["path"].split("/")[2], 200
    query = dict(parse_qsl(scope["query_string"].decode()))
    if scope["method"] == "POST":
        note, status = from_json((await receive())["body"]), 201
        rows = await pool.fetch(CREATE, note["text"], note["completed"])
    elif scope["method"] == "PUT":
        note = from_json((await receive())["body"])
        rows = await pool.fetch(UPDATE, int(note_id), note["text"], note["completed"])
    elif note_id:
        rows = await pool.fetch(READ, int(note_id))
    else:
        rows = await pool.fetch(LIST, int(query["take"]), int(query["skip"]))
    items = [dict(row) for row in rows]
    content = to_json(items[0] if note_id or status == 201 else items)
    length = b"%d" % len(content)
    headers = [(b"content-type", b"application/json"), (b"content-length", length)]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
