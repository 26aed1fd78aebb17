"""FastAPI and SQLAlchemy's asynchronous ORM, a session per request: the usual template."""

import os
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

URL = os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+asyncpg:")
engine = create_async_engine(URL, pool_size=5, max_overflow=0)
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    completed: Mapped[bool]


class NoteIn(BaseModel):
    text: str
    completed: bool


class NoteOut(NoteIn):
    id: int


async def get_session() -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session)]
app = FastAPI()


async def save(session: AsyncSession, note: Note) -> Note:
    session.add(note)
    await session.commit()
    await session.refresh(note)
    return note


@app.get("/notes/", response_model=list[NoteOut])
async def read_notes(session: Session, skip: int = 0, take: int = 20) -> Any:
    return await session.scalars(select(Note).order_by(Note.id).offset(skip).limit(take))


@app.get("/notes/{note_id}/", response_model=NoteOut)
async def read_note(session: Session, note_id: int) -> Any:
    return await session.get_one(Note, note_id)


@app.post("/notes/", response_model=NoteOut, status_code=201)
async def create_note(session: Session, note_in: NoteIn) -> Any:
    return await save(session, Note(**note_in.model_dump()))


@app.put("/notes/{note_id}/", response_model=NoteOut)
async def update_note(session: Session, note_id: int, note_in: NoteIn) -> Any:
    note = await session.get_one(Note, note_id)
    note.text, note.completed = note_in.text, note_in.completed
    return await save(session, note)
