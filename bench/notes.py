"""The notes that a database is filled with, the same on Postgres and on SQLite."""

import contextlib
import sqlite3
from typing import Any

import psycopg

# As this service makes it, without the index for searches, for which its peers need not pay.
TABLES = {
    "postgres": "CREATE TABLE IF NOT EXISTS notes "
    "(id bigserial PRIMARY KEY, text varchar NOT NULL, completed boolean NOT NULL)",
    "sqlite": "CREATE TABLE IF NOT EXISTS notes "
    "(id integer PRIMARY KEY AUTOINCREMENT, text varchar NOT NULL, completed boolean NOT NULL)",
}
# Their numbers have no common factor, so 96,577 notes go by before a sentence comes again.
VERBS = [
    "answer",
    "bring",
    "book",
    "buy",
    "call",
    "check",
    "clean",
    "collect",
    "deliver",
    "fetch",
    "find",
    "finish",
    "fix",
    "hang",
    "move",
    "order",
    "paint",
    "pay",
    "print",
    "repair",
    "return",
    "sell",
    "wash",
]
THINGS = [
    "bicycle",
    "bill",
    "blanket",
    "bookshelf",
    "carpet",
    "cupboard",
    "curtains",
    "heating",
    "invoice",
    "lamp",
    "letter",
    "mattress",
    "mirror",
    "parcel",
    "piano",
    "recipe",
    "sink",
    "tap",
    "ticket",
]
PLACES = [
    "attic",
    "balcony",
    "basement",
    "bathroom",
    "bedroom",
    "cellar",
    "garage",
    "garden",
    "hall",
    "hotel",
    "kitchen",
    "library",
    "office",
    "school",
    "shed",
    "station",
    "workshop",
]
PEOPLE = [
    "Amina",
    "Bogdan",
    "Chloe",
    "Dmitri",
    "Elif",
    "Farid",
    "Greta",
    "Hugo",
    "Ines",
    "Jakub",
    "Kenji",
    "Lucia",
    "Mei",
]
SIZE = 1_000  # of a database that the load goes to
RARE, COMMON, MISSING = "xylophone", "kitchen", "zeppelin"  # to search for


def values(words: list[str]) -> str:
    """Return the rows of a table that numbers words, as SQL."""
    return ", ".join(f"({number}, '{word}')" for number, word in enumerate(words))


FILL = f"""
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {{size}}),
    verbs(i, word) AS (VALUES {values(VERBS)}), things(i, word) AS (VALUES {values(THINGS)}),
    places(i, word) AS (VALUES {values(PLACES)}), people(i, word) AS (VALUES {values(PEOPLE)})
    INSERT INTO notes (text, completed)
    SELECT CASE n.i WHEN {{size}} / 2 THEN 'tune the {RARE}'
        ELSE verbs.word || ' the ' || things.word || ' in the ' || places.word
            || ' with ' || people.word || ', no. ' || n.i END, n.i % 3 = 0
    FROM n
    LEFT JOIN verbs ON verbs.i = n.i % {len(VERBS)}
    LEFT JOIN things ON things.i = n.i % {len(THINGS)}
    LEFT JOIN places ON places.i = n.i % {len(PLACES)}
    LEFT JOIN people ON people.i = n.i % {len(PEOPLE)}
    ORDER BY n.i
"""


def execute(url: str, *statements: str) -> None:
    """Run statements, each a transaction of its own."""
    connection: Any
    if url.startswith("sqlite"):
        path = url.removeprefix("sqlite:///")
        connection = sqlite3.connect(path, timeout=60, isolation_level=None)
    else:
        connection = psycopg.connect(url, autocommit=True)
    with contextlib.closing(connection):
        for statement in statements:
            connection.execute(statement)


def fill(url: str, size: int) -> None:
    """Make the table if it is not there, and fill it with the notes 1 to `size`."""
    table = TABLES["sqlite" if url.startswith("sqlite") else "postgres"]
    execute(url, table, FILL.format(size=size))
    tidy(url, size)


def tidy(url: str, size: int) -> None:
    """Delete the notes after the first `size`, and what is left of deleted and changed ones."""
    vacuum = "PRAGMA optimize" if url.startswith("sqlite") else "VACUUM ANALYZE notes"
    execute(url, f"DELETE FROM notes WHERE id > {size}", vacuum)
