"""The tutorial's way: `databases`, and a SQLAlchemy Core statement made at every request."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy
from databases import Database
from fastapi import FastAPI
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
    text: str
    completed: bool


class Note(NoteIn):
    id: int


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with database:
        yield


app = FastAPI(lifespan=lifespan)
every: Any = {"allow_origins": ["*"], "allow_methods": ["*"], "allow_headers": ["*"]}
app.add_middleware(CORSMiddleware, allow_credentials=True, **every)


@app.get("/notes/", response_model=list[Note])
async def read_notes(skip: int = 0, take: int = 20, q: str = "") -> Any:
    query = notes.select()
    if q:
        query = query.where(notes.c.text.ilike(f"%{q}%"))
    return await database.fetch_all(query.offset(skip).limit(take))


@app.get("/notes/{note_id}/", response_model=Note)
async def read_note(note_id: int) -> Any:
    return await database.fetch_one(notes.select().where(notes.c.id == note_id))


@app.post("/notes/", response_model=Note, status_code=201)
async def create_note(note: NoteIn) -> Any:
    query = notes.insert().values(text=note.text, completed=note.completed)
    return {**note.model_dump(), "id": await database.execute(query)}


@app.put("/notes/{note_id}/", response_model=Note)
async def update_note(note_id: int, note: NoteIn) -> Any:
    query = notes.update().where(notes.c.id == note_id)
    await database.execute(query.values(text=note.text, completed=note.completed))
    return {**note.model_dump(), "id": note_id}
