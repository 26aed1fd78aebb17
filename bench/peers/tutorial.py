"""The tutorial's way: `databases`, and a SQLAlchemy Core statement made at every request."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy
from databases import Database
from fastapi import FastAPI, Response
from fastapi.middleware.cors import CORSMiddleware
from pydantic import BaseModel

URL = os.environ["DATABASE_URL"]
pool: Any = {} if URL.startswith("sqlite") else {"min_size": 5, "max_size": 5}
database = Database(URL, **pool)
notes = sqlalchemy.Table(
    "notes",
    sqlalchemy.MetaData(),
    sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True),
    sqlalchemy.Column("text", sqlalchemy.String),
    sqlalchemy.Column("completed", sqlalchemy.Boolean),
)


class NoteIn(BaseModel):
    """What a client sends."""

    text: str
    completed: bool


class Note(NoteIn):
    """What is stored."""

    id: int


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Open the pool, and close it."""
    async with database:
        yield


app = FastAPI(lifespan=lifespan)
app.add_middleware(
    CORSMiddleware,
    allow_origins=["*"],
    allow_credentials=True,
    allow_methods=["*"],
    allow_headers=["*"],
)


@app.get("/notes/", response_model=list[Note])
async def read_notes(
    response: Response, skip: int = 0, take: int = 20, q: str = "", count: bool = False
) -> Any:
    """Return a page, and the number of all notes when asked for it."""
    query = notes.select()
    if q:
        query = query.where(notes.c.text.ilike(f"%{q}%"))
    if count:
        total = sqlalchemy.select(sqlalchemy.func.count()).select_from(query.subquery())
        response.headers["X-Total-Count"] = str(await database.fetch_val(total))
    return await database.fetch_all(query.offset(skip).limit(take))


@app.get("/notes/{note_id}/", response_model=Note)
async def read_note(note_id: int) -> Any:
    """Return a note."""
    return await database.fetch_one(notes.select().where(notes.c.id == note_id))


@app.post("/notes/", response_model=Note, status_code=201)
async def create_note(note: NoteIn) -> Any:
    """Store a note."""
    query = notes.insert().values(text=note.text, completed=note.completed)
    return {**note.model_dump(), "id": await database.execute(query)}


@app.put("/notes/{note_id}/", response_model=Note)
async def update_note(note_id: int, note: NoteIn) -> Any:
    """Replace a note."""
    query = notes.update().where(notes.c.id == note_id)
    await database.execute(query.values(text=note.text, completed=note.completed))
    return {**note.model_dump(), "id": note_id}
