"""Many notes in one request, by examples/bulk.py."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.fixtures import GROCERIES, ORIGIN, connect, problem
from tests.servers import Service


@pytest.fixture(scope="module")
def service(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The core with bulk calls, under gunicorn with two workers."""
    log = tmp_path_factory.mktemp("log")
    with Service.gunicorn(log, app="examples.bulk:app", DATABASE_URL=database) as service:
        yield service


@pytest.fixture
def client(service: Service, database: str) -> Iterator[httpx2.Client]:
    """A client, from another origin, of the service without a note."""
    with connect(database) as sql:
        sql("DELETE FROM notes")
    with httpx2.Client(base_url=service.url, headers={"Origin": ORIGIN}) as http:
        yield http


def post(client: httpx2.Client, *texts: str, **members: bool) -> list[Any]:
    """Return the notes that are made by one POST."""
    response = client.post(
        "/notes/batch/", json=[{"text": text, **members} for text in texts]
    )
    assert response.status_code == 201
    notes: list[Any] = response.json()
    return notes


def test_a_batch_is_answered_in_order(client: httpx2.Client) -> None:
    """POST answers the notes in the order that they were sent in, and they are stored so."""
    batch = [{"text": text, "completed": text < "b"} for text in "cab"]
    response = client.post("/notes/batch", json=[*batch, {"text": "d"}])
    assert response.status_code == 201
    members = [{k: note[k] for k in ("text", "completed")} for note in response.json()]
    assert members == [*batch, {"text": "d", "completed": False}]
    assert client.get("/notes/").json() == response.json()


@pytest.mark.parametrize("number", [1, 2, 100])
def test_a_batch_has_up_to_a_hundred_notes(client: httpx2.Client, number: int) -> None:
    """From one to a hundred notes are stored by one request."""
    assert len(post(client, *map(str, range(number)))) == number
    assert len(client.get("/notes/?take=1000").json()) == number


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ([], ["body"]),
        ([GROCERIES] * 101, ["body"]),
        (GROCERIES, ["body"]),
        ([GROCERIES, GROCERIES, GROCERIES, {"text": 5}], ["3.text"]),
        (
            [{}, GROCERIES, {"text": "a\0", "completed": 1}],
            ["0.text", "2.text", "2.completed"],
        ),
        ([GROCERIES, None], ["1"]),
    ],
)
def test_a_wrong_batch_is_refused_by_index(
    client: httpx2.Client, body: Any, fields: list[str]
) -> None:
    """422 names the index and the member, and nothing of the batch is stored."""
    assert problem(client.post("/notes/batch/", json=body), *fields) == 422
    assert client.get("/notes/").json() == []


def test_a_batch_that_the_table_refuses_stores_nothing(
    client: httpx2.Client, database: str
) -> None:
    """A batch is one statement: when one of its notes is refused, none is stored."""
    with connect(database) as sql:
        sql("CREATE UNIQUE INDEX once ON notes (text)")
        try:
            body = [{"text": text} for text in ("a", "b", "a")]
            assert problem(client.post("/notes/batch/", json=body)) == 409
        finally:
            sql("DROP INDEX once")
    assert client.get("/notes/").json() == []


def test_completed_notes_are_deleted_together(client: httpx2.Client) -> None:
    """DELETE with a filter answers the notes that it found, and leaves all others."""
    open_notes = post(client, "a", "b")
    completed_notes = post(client, "c", "d", completed=True)
    response = client.delete("/notes", params={"completed": "true"})
    assert (response.status_code, response.json()) == (200, completed_notes)
    assert client.get("/notes/").json() == open_notes


@pytest.mark.parametrize(
    ("query", "texts"),
    [("q=A", "ab"), ("text=b", "b"), ("q=zz", ""), ("q=a&completed=true", "")],
)
def test_filters_are_those_of_the_list(
    client: httpx2.Client, query: str, texts: str
) -> None:
    """q, text, id and completed narrow each other as they do in the list."""
    notes = post(client, "a", "b", "c") + post(client, "aa")
    matches = client.get(f"/notes/?{query}").json()
    assert client.delete(f"/notes/?{query}").json() == matches
    assert client.get("/notes/").json() == [note for note in notes if note not in matches]
    ids = [note["id"] for note in notes]
    client.delete("/notes/", params={"id": ids})
    assert client.get("/notes/").json() == []


def test_the_oldest_thousand_are_deleted_at_once(client: httpx2.Client) -> None:
    """Of more than a thousand notes a DELETE takes the oldest thousand."""
    notes = [note for start in range(11) for note in post(client, *["a"] * 91)]
    assert [note["id"] for note in client.delete("/notes/?text=a").json()] == [
        note["id"] for note in notes[:1000]
    ]
    assert client.get("/notes/").json() == notes[1000:]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "query"),
        ("take=5", "take"),
        ("completed=yes", "completed"),
        ("id=0", "id"),
        ("q=" + "a" * 1001, "q"),
        ("completed=true&bogus=1", "bogus"),
    ],
)
def test_a_delete_without_a_right_filter_is_refused(
    client: httpx2.Client, query: str, field: str
) -> None:
    """Without a filter, or with one that is wrong or unknown, DELETE is 422 and deletes nothing."""
    notes = post(client, "a")
    assert problem(client.delete(f"/notes/?{query}"), field) == 422
    assert client.get("/notes/").json() == notes


def test_both_calls_are_documented_and_allowed(client: httpx2.Client) -> None:
    """OpenAPI has both calls, and a 405 lists them with the core's methods."""
    paths = client.get("/openapi.json").json()["paths"]
    assert paths["/notes/batch/"]["post"]["operationId"] == "create_notes"
    assert paths["/notes/"]["delete"]["operationId"] == "delete_notes"
    methods = client.request("TRACE", "/notes/").headers["Allow"]
    assert set(methods.split(", ")) == {"DELETE", "GET", "HEAD", "POST"}


def test_keys_guard_both_calls(tmp_path: Any) -> None:
    """With API_KEYS a bulk call without a key is 401."""
    variables = {"DATABASE_URL": f"sqlite:///{tmp_path}/notes.db", "API_KEYS": "a-key"}
    with Service.gunicorn(tmp_path, app="examples.bulk:app", **variables) as service:
        for method, path in (
            ("POST", "/notes/batch/"),
            ("DELETE", "/notes/?completed=true"),
        ):
            response = httpx2.request(
                method, service.url + path, json=[GROCERIES], headers={"Origin": ORIGIN}
            )
            assert problem(response) == 401
