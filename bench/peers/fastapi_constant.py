"""FastAPI that asks no database: what the framework alone takes."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel


class NoteIn(BaseModel):
    """What a client sends."""

    text: str
    completed: bool


class Note(NoteIn):
    """What a client gets."""

    id: int


TEXT = {"text": "fix tap in kitchen sink", "completed": False}
app = FastAPI()


@app.get("/notes/", response_model=list[Note])
async def read_notes(skip: int = 0, take: int = 20) -> Any:
    """Return a page."""
    return [{"id": skip + n, **TEXT} for n in range(1, take + 1)]


@app.get("/notes/{note_id}/", response_model=Note)
async def read_note(note_id: int) -> Any:
    """Return a note."""
    return {"id": note_id, **TEXT}


@app.post("/notes/", response_model=Note, status_code=201)
async def create_note(note: NoteIn) -> Any:
    """Return what was sent."""
    return {"id": 1, **note.model_dump()}


@app.put("/notes/{note_id}/", response_model=Note)
async def update_note(note_id: int, note: NoteIn) -> Any:
    """Return what was sent."""
    return {"id": note_id, **note.model_dump()}
