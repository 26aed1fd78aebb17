"""Startup: who makes the table, which tables are taken as they are, and where the database is."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.fixtures import (
    GROCERIES,
    connect,
    create_note,
    create_role,
    load_app,
    open_client,
    problem,
    read_notes,
    split_url,
)
from tests.servers import Postgres

# The table

TUTORIAL = (
    "CREATE TABLE notes (id {key} PRIMARY KEY, text VARCHAR, completed BOOLEAN)",
    "INSERT INTO notes (text, completed) VALUES ('b', true), (NULL, NULL), ('a', NULL)",
)


def test_eight_that_start_together_make_one_table(
    empty_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Eight services that open the same empty database in one moment all come up and serve.

    None of them complains that it cannot make the index, unless Postgres has no pg_trgm.
    """
    apps = [load_app(DATABASE_URL=empty_database) for _ in range(8)]
    barrier = Barrier(8)

    def start(app: FastAPI) -> int:
        barrier.wait()
        with TestClient(app) as client:
            return client.post("/notes/", json=GROCERIES).status_code

    with ThreadPoolExecutor(8) as starters, connect(empty_database) as sql:
        for _ in range(4):  # as they do not collide every time
            assert list(starters.map(start, apps)) == [201] * 8
            sql("DROP TABLE notes")
    complaints = [line for line in caplog.messages if "without an index" in line]
    assert all("is not available" in line for line in complaints)


@pytest.fixture
def tutorial(empty_database: str) -> Iterator[TestClient]:
    """The service on a table that the tutorial made, with an int4 id and with NULLs in it."""
    key = "INTEGER NOT NULL" if empty_database.startswith("sqlite") else "SERIAL"
    with connect(empty_database) as sql:
        for statement in TUTORIAL:
            sql(statement.format(key=key))
    with open_client(DATABASE_URL=empty_database) as client:
        yield client


def test_the_tutorials_table_is_read_as_it_is(tutorial: TestClient) -> None:
    """A NULL that the tutorial left is an empty text and not completed, in every list."""
    notes = read_notes(tutorial)
    values = [(note["text"], note["completed"]) for note in notes]
    assert values == [("b", True), ("", False), ("a", False)]
    for query, line in {
        "sort=text": [notes[1], notes[2], notes[0]],
        "sort=-text": [notes[0], notes[2], notes[1]],
        "sort=completed": [notes[1], notes[2], notes[0]],
        "completed=false": notes[1:],
        "completed=true": notes[:1],
        "q=A": notes[2:],
        f"after={2**31}": [],
        f"skip={2**31}": [],
    }.items():
        assert tutorial.get(f"/notes/?count=true&{query}").json() == line, query


def test_the_tutorials_table_is_written_as_any(tutorial: TestClient) -> None:
    """Notes of the tutorial's table are patched, replaced and deleted under If-Match."""
    create_note(tutorial)
    for note in read_notes(tutorial):
        path = f"/notes/{note['id']}/"
        patch_response = tutorial.patch(
            path, json={}, headers={"If-Match": tutorial.get(path).headers["ETag"]}
        )
        assert (patch_response.status_code, patch_response.json()) == (200, note)
        body = {"text": "", "completed": not note["completed"]}
        put_response = tutorial.put(
            path, json=body, headers={"If-Match": patch_response.headers["ETag"]}
        )
        assert (put_response.status_code, put_response.json()) == (200, {**note, **body})
        headers = {"If-Match": put_response.headers["ETag"]}
        assert tutorial.delete(path, headers=headers).status_code == 200
    assert read_notes(tutorial) == []


@pytest.mark.parametrize("note_id", [2**31, 2**63 - 1])
def test_an_id_over_the_tutorials_column_is_404(
    tutorial: TestClient, note_id: int
) -> None:
    """An id that an int4 column cannot hold is no note, for every verb."""
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        body = GROCERIES if method in ("PUT", "PATCH") else None
        assert problem(tutorial.request(method, f"/notes/{note_id}/", json=body)) == 404


def test_no_right_to_create_is_needed_where_the_table_is(postgres: Postgres) -> None:
    """A user without CREATE rights starts on an existing table and does every call."""
    url = postgres.create_database("limited")
    _, host, name = split_url(url)
    limited_url = f"postgresql://limited:limited@{host}/{name}"
    with open_client(DATABASE_URL=url), connect(url) as sql:
        sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    rights = "SELECT, INSERT, UPDATE, DELETE ON notes", "USAGE ON SEQUENCE notes_id_seq"
    with create_role(url, "limited", "limited", *rights), connect(limited_url) as sql:
        with pytest.raises(Exception, match="permission denied"):
            sql("CREATE TABLE other ()")
        with open_client(DATABASE_URL=limited_url) as client:
            note = create_note(client)
            path = f"/notes/{note['id']}/"
            assert read_notes(client) == [client.get(path).json()] == [note]
            assert client.put(path, json=GROCERIES).json() == note
            assert client.patch(path, json={}).json() == note
            assert client.delete(path).status_code == 200
