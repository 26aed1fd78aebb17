"""FastAPI and SQLModel, synchronous in threads, as SQLModel's own tutorial has it."""

import os
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Response
from sqlmodel import Field, Session, SQLModel, col, create_engine, func, select

URL = os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:")
THREADS = {"check_same_thread": False} if URL.startswith("sqlite") else {}
engine = create_engine(URL, pool_size=5, max_overflow=0, connect_args=THREADS)


class NoteIn(SQLModel):
    """What a client sends."""

    text: str
    completed: bool


class Note(NoteIn, table=True):
    """The table."""

    __tablename__ = "notes"
    id: int | None = Field(default=None, primary_key=True)


def get_session() -> Iterator[Session]:
    """Lend a session to a request."""
    with Session(engine) as session:
        yield session


SessionDep = Annotated[Session, Depends(get_session)]
app = FastAPI()


def find_note(session: Session, note_id: int) -> Note:
    """Return a note, or answer 404."""
    if note := session.get(Note, note_id):
        return note
    raise HTTPException(404)


@app.get("/notes/", response_model=list[Note])
def read_notes(
    session: SessionDep,
    response: Response,
    skip: int = 0,
    take: int = 20,
    q: str = "",
    count: bool = False,
) -> Any:
    """Return a page, and the number of all notes when asked for it."""
    query = select(Note)
    if q:
        query = query.where(col(Note.text).ilike(f"%{q}%"))
    if count:
        total = session.exec(select(func.count()).select_from(query.subquery())).one()
        response.headers["X-Total-Count"] = str(total)
    return session.exec(query.order_by(col(Note.id)).offset(skip).limit(take)).all()


@app.get("/notes/{note_id}/", response_model=Note)
def read_note(session: SessionDep, note_id: int) -> Any:
    """Return a note."""
    return find_note(session, note_id)


@app.post("/notes/", response_model=Note, status_code=201)
def create_note(session: SessionDep, note_in: NoteIn) -> Any:
    """Store a note."""
    note = Note.model_validate(note_in)
    session.add(note)
    session.commit()
    session.refresh(note)
    return note


@app.put("/notes/{note_id}/", response_model=Note)
def update_note(session: SessionDep, note_id: int, note_in: NoteIn) -> Any:
    """Replace a note."""
    note = find_note(session, note_id)
    note.sqlmodel_update(note_in.model_dump())
    session.add(note)
    session.commit()
    session.refresh(note)
    return note
