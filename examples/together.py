"""Reads that come in together share a statement: `uvicorn examples.together:app`.

For who has thousands of reads a second. While a note is being read, those that come in the
same turn of the event loop share the next statement; so do equal pages, and equal counts.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from starlette.exceptions import HTTPException

import main
from main import READ, RETURNED, Statement, notes

app = main.app
run_alone = main.run

MOST = 100  # notes that one statement reads
ON_SQLITE = isinstance(main.database, main.SQLite)


def read_many() -> Statement:
    """Return the statement that reads the notes with the ids of one parameter."""
    if ON_SQLITE:
        each = sa.func.json_each(main.parameter("ids", sa.String)).table_valued("value")
        is_one: Any = notes.c.id.in_(sa.select(each.c.value))
    else:
        is_one = notes.c.id == sa.any_(main.parameter("ids", ARRAY(sa.BigInteger)))
    return main.compile_statement(sa.select(*RETURNED).where(is_one))


READ_MANY = read_many()


class Batch:
    """Reads that share a statement, which is sent in the next turn of the event loop."""

    def __init__(self, key: str, statement: Statement, given: Mapping[str, Any]) -> None:
        self.ids: list[int] = []  # of the notes, where it is for single ones
        self.task = asyncio.create_task(self.send(key, statement, given))

    async def send(self, key: str, statement: Statement, given: Mapping[str, Any]) -> Any:
        """Return the statement's rows, of single notes by id; None if it fails."""
        # Who comes from now on could miss in it what he has just written.
        del next_batches[key]
        with suppress(HTTPException):
            if statement is not READ:
                return await run_alone(statement, given)
            ids = json.dumps(self.ids) if ON_SQLITE else self.ids
            rows = await run_alone(READ_MANY, {"ids": ids})
            return {row[0]: [row] for row in rows}
        return None


# Both by what reads that may share a statement have in common.
under_way: Counter[str] = Counter()
next_batches: dict[str, Batch] = {}


async def run_together(statement: Statement, given: Mapping[str, Any]) -> Any:
    """Return a statement's rows as main.run() does; one that reads may be shared."""
    if (
        statement.writes or given.get("id") == 0
    ):  # the latter asks for the database itself
        return await run_alone(statement, given)
    key = statement.sql
    if statement is not READ:
        key += repr([given.get(name, value) for name, value in statement.parameters])
    under_way[key] += 1
    try:
        if under_way[key] > 1:
            rows = await share(key, statement, given)
            if rows is not None:
                return rows
        # It is alone, or what it shared has failed.
        return await run_alone(statement, given)
    finally:
        under_way[key] -= 1
        if not under_way[key]:
            del under_way[key]


async def share(key: str, statement: Statement, given: Mapping[str, Any]) -> Any:
    """Return the rows of the next statement; None if it fails or is full."""
    if key not in next_batches:
        next_batches[key] = Batch(key, statement, given)
    batch = next_batches[key]
    if len(batch.ids) == MOST:
        return None
    if statement is not READ:
        return await asyncio.shield(batch.task)
    batch.ids.append(given["id"])
    rows_by_id = await asyncio.shield(batch.task)
    return None if rows_by_id is None else rows_by_id.get(given["id"], [])


main.run = run_together
