"""Litestar and asyncpg."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from litestar import Litestar, get, post, put
from litestar.datastructures import State
from msgspec import Struct

COLUMNS = "id, text, completed"


class NoteIn(Struct):
    text: str
    completed: bool


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    url = os.environ["DATABASE_URL"]
    async with asyncpg.create_pool(url, min_size=5, max_size=5) as app.state.pool:
        yield


@get("/notes/")
async def read_notes(state: State, skip: int = 0, take: int = 20) -> list[dict[str, Any]]:
    query = f"SELECT {COLUMNS} FROM notes ORDER BY id LIMIT $1 OFFSET $2"
    return [dict(row) for row in await state.pool.fetch(query, take, skip)]


@get("/notes/{note_id:int}/")
async def read_note(state: State, note_id: int) -> dict[str, Any]:
    query = f"SELECT {COLUMNS} FROM notes WHERE id = $1"
    return dict(await state.pool.fetchrow(query, note_id))


@post("/notes/")
async def create_note(state: State, data: NoteIn) -> dict[str, Any]:
    query = f"INSERT INTO notes (text, completed) VALUES ($1, $2) RETURNING {COLUMNS}"
    return dict(await state.pool.fetchrow(query, data.text, data.completed))


@put("/notes/{note_id:int}/")
async def update_note(state: State, note_id: int, data: NoteIn) -> dict[str, Any]:
    query = (
        f"UPDATE notes SET text = $2, completed = $3 WHERE id = $1 RETURNING {COLUMNS}"
    )
    return dict(await state.pool.fetchrow(query, note_id, data.text, data.completed))


app = Litestar([read_notes, read_note, create_note, update_note], lifespan=[lifespan])
