"""FastAPI and SQLAlchemy's asynchronous ORM, a session per request: the usual template."""

import os
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

URL = os.environ["DATABASE_URL"].replace("sqlite:", "sqlite+aiosqlite:")
engine = create_async_engine(
    URL.replace("postgresql:", "postgresql+asyncpg:"), pool_size=5, max_overflow=0
)
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    """What all tables have in common."""


class Note(Base):
    """The table."""

    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    completed: Mapped[bool]


class NoteIn(BaseModel):
    """What a client sends."""

    text: str
    completed: bool


class NoteOut(NoteIn):
    """What a client gets."""

    model_config = ConfigDict(from_attributes=True)
    id: int


async def get_session() -> AsyncIterator[AsyncSession]:
    """Lend a session to a request."""
    async with sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session)]
app = FastAPI()


async def find_note(session: AsyncSession, note_id: int) -> Note:
    """Return a note, or answer 404."""
    if note := await session.get(Note, note_id):
        return note
    raise HTTPException(404)


@app.get("/notes/", response_model=list[NoteOut])
async def read_notes(
    session: Session,
    response: Response,
    skip: int = 0,
    take: int = 20,
    q: str = "",
    count: bool = False,
) -> Any:
    """Return a page, and the number of all notes when asked for it."""
    query = select(Note)
    if q:
        query = query.where(Note.text.ilike(f"%{q}%"))
    if count:
        total = await session.scalar(select(func.count()).select_from(query.subquery()))
        response.headers["X-Total-Count"] = str(total)
    return await session.scalars(query.order_by(Note.id).offset(skip).limit(take))


@app.get("/notes/{note_id}/", response_model=NoteOut)
async def read_note(session: Session, note_id: int) -> Any:
    """Return a note."""
    return await find_note(session, note_id)


@app.post("/notes/", response_model=NoteOut, status_code=201)
async def create_note(session: Session, note_in: NoteIn) -> Any:
    """Store a note."""
    note = Note(**note_in.model_dump())
    session.add(note)
    await session.commit()
    await session.refresh(note)
    return note


@app.put("/notes/{note_id}/", response_model=NoteOut)
async def update_note(session: Session, note_id: int, note_in: NoteIn) -> Any:
    """Replace a note."""
    note = await find_note(session, note_id)
    note.text, note.completed = note_in.text, note_in.completed
    await session.commit()
    await session.refresh(note)
    return note
