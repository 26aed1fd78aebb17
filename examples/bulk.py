"""Many notes in one request: `uvicorn examples.bulk:app`, or the Procfile's line with that name.

POST /notes/batch/ stores up to 100 notes, all of them or none. PATCH and DELETE /notes/ change
or delete the notes that a filter finds, 1,000 at most, and return those that they changed. A
Link to the `next` ones tells that there may be more: send the request to it as well.
"""

import json
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any
from urllib.parse import urlencode

import sqlalchemy as sa
from fastapi import Body, HTTPException, Query, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from sqlalchemy.dialects.postgresql import ARRAY

import main
from main import FILTERS, RETURNED, Answer, Id, Note, NoteIn, NotePatch, app, notes

MOST = 1_000  # notes that one request changes
ON_SQLITE = isinstance(main.database, main.SQLite)


class NoteFilter(BaseModel):
    """Which notes are meant: those that all filters let pass."""

    model_config = ConfigDict(extra="forbid")

    completed: bool | None = Field(None, description="Whether they are completed.")
    # An empty one, as of a search box in which nothing is, would be in all notes.
    q: Annotated[main.Search, Field(min_length=1)] | None = Field(
        None, description="A part of the text, in upper or lower case."
    )
    after: Id | None = Field(None, description="The id that they begin after.")

    @model_validator(mode="after")
    def need_a_filter(self) -> "NoteFilter":
        """Refuse to change all notes."""
        if not self.filters:
            raise ValueError(f"must have a filter: {', '.join(FILTERS)}")
        return self

    @property
    def filters(self) -> frozenset[str]:
        """The names of the filters that are given."""
        return main.find_filters(self)


def check_length(batch: Any) -> Any:
    """Refuse too long a batch; pydantic would read all of its notes first."""
    if isinstance(batch, list) and len(batch) > 100:
        raise ValueError("must have at most 100 notes")
    return batch


Batch = Annotated[
    list[NoteIn], BeforeValidator(check_length), Body(min_length=1, max_length=100)
]


@cache
def insert_statement(number: int) -> main.Statement:
    """Return the statement that stores a number of notes."""
    rows = [
        {
            name: main.parameter(f"{name}_{row}", notes.c[name].type)
            for name in NoteIn.model_fields
        }
        for row in range(number)
    ]
    return main.compile_statement(sa.insert(notes).values(rows).returning(*RETURNED))


@cache
def find_statement(filters: frozenset[str]) -> main.Statement:
    """Return the statement that finds the ids of the oldest notes, and one too many."""
    query = sa.select(notes.c.id).where(*(FILTERS[name] for name in filters))
    query = query.where(notes.c.id > main.parameter("after"))
    query = query.order_by(notes.c.id).limit(sa.literal_column(str(MOST + 1)))
    return main.compile_statement(query, is_scan=True)


@cache
def write_statement(
    names: frozenset[str] | None, filters: frozenset[str]
) -> main.Statement:
    """Return the statement that changes columns of notes by their ids, or deletes them.

    It asks again whether the filters let them pass, as they may have changed meanwhile.
    """
    query: Any = sa.delete(notes)
    if names is not None:
        values: dict[str, Any] = {"id": notes.c.id}  # as UPDATE sets at least one column
        for name in names:
            values[name] = main.parameter(f"new_{name}", notes.c[name].type)
        query = sa.update(notes).values(values)
    if ON_SQLITE:
        each = sa.func.json_each(main.parameter("ids", sa.String)).table_valued("value")
        query = query.where(notes.c.id.in_(sa.select(each.c.value)))
    else:
        ids = main.parameter("ids", ARRAY(sa.BigInteger))
        query = query.where(notes.c.id == sa.any_(ids))
    query = query.where(*(FILTERS[name] for name in filters))
    return main.compile_statement(query.returning(*RETURNED))


def answer_rows(
    rows: list[Any], status: int = 200, headers: Mapping[str, str] = {}
) -> Answer:
    """Return notes, oldest first: a database returns them in any order."""
    items = sorted(main.to_notes(rows, written=True), key=lambda note: note["id"])
    return main.answer(items, status, headers=headers)


async def write(
    request: Request, query: NoteFilter, values: Mapping[str, Any] | None
) -> Answer:
    """Change the notes that a filter finds, or, for None, delete them.

    They are found first, by a read, as SQLite would let nobody write meanwhile.
    """
    if "if-match" in request.headers:
        raise HTTPException(412, "If-Match is of one note; this call takes none.")
    given = {**vars(query), "after": query.after or 0}
    found = await main.run(find_statement(query.filters), given)
    ids = [row[0] for row in found[:MOST]]
    given["ids"] = json.dumps(ids) if ON_SQLITE else ids
    given |= {f"new_{name}": value for name, value in (values or {}).items()}
    names = None if values is None else frozenset(values)
    rows = await main.run(write_statement(names, query.filters), given)
    headers = {}
    if len(found) > MOST:
        parameters = {**request.query_params, "after": ids[-1]}
        headers["Link"] = f'<?{urlencode(parameters)}>; rel="next"'
    return answer_rows(rows, headers=headers)


@app.post("/notes/batch/", status_code=201, response_model=list[Note])
async def create_notes(batch: Batch) -> Answer:
    """Store notes, all of them or none."""
    values: dict[str, Any] = {}
    for row, note in enumerate(batch):
        values |= {f"{name}_{row}": value for name, value in vars(note).items()}
    return answer_rows(await main.run(insert_statement(len(batch)), values), 201)


@app.patch("/notes/", response_model=list[Note])
async def patch_notes(
    query: Annotated[NoteFilter, Query()], note: NotePatch, request: Request
) -> Answer:
    """Change a part of the notes that a filter finds, 1,000 at most, and return them."""
    return await write(request, query, note)


@app.delete("/notes/", response_model=list[Note])
async def delete_notes(query: Annotated[NoteFilter, Query()], request: Request) -> Answer:
    """Delete the notes that a filter finds, 1,000 at most, and return them."""
    return await write(request, query, None)
