"""Litestar and asyncpg."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from litestar import Litestar, Response, get, post, put
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from msgspec import Struct


class NoteIn(Struct):
    """What a client sends."""

    text: str
    completed: bool


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """Open the pool, and close it."""
    url = os.environ["DATABASE_URL"]
    async with asyncpg.create_pool(url, min_size=5, max_size=5) as app.state.pool:
        yield


@get("/notes/")
async def read_notes(
    state: State, skip: int = 0, take: int = 20, q: str = "", count: bool = False
) -> Response[list[dict[str, Any]]]:
    """Return a page, and the number of all notes when asked for it."""
    where, values, headers = (
        ("WHERE text ILIKE '%' || $1 || '%'", [q], {}) if q else ("", [], {})
    )
    if count:
        total = await state.pool.fetchval(f"SELECT count(*) FROM notes {where}", *values)
        headers["X-Total-Count"] = str(total)
    page = f"LIMIT ${len(values) + 1} OFFSET ${len(values) + 2}"
    query = f"SELECT id, text, completed FROM notes {where} ORDER BY id {page}"
    rows = await state.pool.fetch(query, *values, take, skip)
    return Response([dict(row) for row in rows], headers=headers)


@get("/notes/{note_id:int}/")
async def read_note(state: State, note_id: int) -> dict[str, Any]:
    """Return a note."""
    query = "SELECT id, text, completed FROM notes WHERE id = $1"
    if row := await state.pool.fetchrow(query, note_id):
        return dict(row)
    raise NotFoundException


@post("/notes/")
async def create_note(state: State, data: NoteIn) -> dict[str, Any]:
    """Store a note."""
    query = "INSERT INTO notes (text, completed) VALUES ($1, $2) RETURNING id, text, completed"
    return dict(await state.pool.fetchrow(query, data.text, data.completed))


@put("/notes/{note_id:int}/")
async def update_note(state: State, note_id: int, data: NoteIn) -> dict[str, Any]:
    """Replace a note."""
    query = "UPDATE notes SET text = $2, completed = $3 WHERE id = $1 RETURNING id, text, completed"
    if row := await state.pool.fetchrow(query, note_id, data.text, data.completed):
        return dict(row)
    raise NotFoundException


app = Litestar([read_notes, read_note, create_note, update_note], lifespan=[lifespan])
