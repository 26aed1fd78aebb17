"""Many notes in one request: `uvicorn examples.bulk:app`, or the Procfile's line with that name.

POST /notes/batch/ stores up to 100 notes, all of them or none. DELETE /notes/ deletes those
that a filter finds, the oldest 1,000 at most, and answers them.
"""

from functools import cache
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import Body, Query, Response
from pydantic import BaseModel, Field, model_validator

import main
from main import Id, Note, NoteIn, Search, Text, app, note_store, notes, optional


class NoteFilter(BaseModel, extra="forbid", frozen=True):
    """Which notes to delete: those that all given filters let pass."""

    id: tuple[Id, ...] = Field((), max_length=100, description="The ids to choose from.")
    text: Text = optional(description="The whole text.")
    completed: main.QueryBoolean = optional(description="Whether they are completed.")
    q: Search = optional(description="A part of the text, in upper or lower case.")

    @model_validator(mode="after")
    def need_a_filter(self) -> "NoteFilter":
        """Refuse to delete all notes."""
        if not self.model_fields_set:
            raise ValueError(f"must have a filter: {', '.join(type(self).model_fields)}")
        return self


@cache
def insert_rows(number: int) -> main.Statement:
    """Return the statement that stores a number of notes."""
    rows = [
        {
            name: main.parameter(f"{name}_{row}", notes.c[name].type)
            for name in NoteIn.model_fields
        }
        for row in range(number)
    ]
    query = sa.insert(notes).values(rows)
    return main.compile_statement(query.returning(*note_store.columns.values()))


@cache
def delete_rows(names: frozenset[str]) -> main.Statement:
    """Return the statement that deletes the oldest notes that these filters find."""
    found = sa.select(notes.c.id).where(*(note_store.filters[name] for name in names))
    oldest = found.order_by(notes.c.id).limit(sa.literal_column("1000"))
    query = sa.delete(notes).where(notes.c.id.in_(oldest))
    return main.compile_statement(query.returning(*note_store.columns.values()))


def answer_rows(rows: list[Any], status: int = 200) -> Response:
    """Return notes, oldest first: a database returns them in any order."""
    items = sorted(note_store.to_items(rows), key=lambda item: item["id"])
    return main.answer(items, status=status)


@app.post("/notes/batch/", status_code=201, response_model=list[Note])
async def create_notes(
    batch: Annotated[list[NoteIn], Body(min_length=1, max_length=100)],
) -> Response:
    """Store notes, all of them or none."""
    values: dict[str, Any] = {}
    for row, note in enumerate(batch):
        values |= {f"{name}_{row}": value for name, value in vars(note).items()}
    return answer_rows(await main.run(insert_rows(len(batch)), values), 201)


@app.delete("/notes/", response_model=list[Note])
async def delete_notes(query: Annotated[NoteFilter, Query()]) -> Response:
    """Delete the notes that a filter finds, 1,000 at most, and return them."""
    statement = delete_rows(frozenset(query.model_fields_set))
    return answer_rows(await main.run(statement, vars(query), main.Lane.SCAN))
