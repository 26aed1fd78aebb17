"""Many notes in one request, by examples/bulk.py."""

import threading
from typing import Any

import httpx2
import pytest

from tests.fixtures import GROCERIES, connect, problem

APP = "examples.bulk:app"


def post(http: httpx2.Client, *texts: str, **members: bool) -> list[Any]:
    """Return the notes that are made by one POST."""
    response = http.post(
        "/notes/batch/", json=[{"text": text, **members} for text in texts]
    )
    assert response.status_code == 201
    notes: list[Any] = response.json()
    return notes


# POST


def test_a_batch_is_answered_in_order(http: httpx2.Client) -> None:
    """POST answers the notes in the order that they were sent in, and they are stored so."""
    batch = [{"text": text, "completed": text < "b"} for text in "cab"]
    response = http.post("/notes/batch", json=[*batch, {"text": "d"}])
    assert response.status_code == 201
    members = [{k: note[k] for k in ("text", "completed")} for note in response.json()]
    assert members == [*batch, {"text": "d", "completed": False}]
    assert http.get("/notes/").json() == response.json()


def test_a_wrong_batch_is_refused_by_index(http: httpx2.Client) -> None:
    """422 names the index and the member, and nothing of the batch is stored."""
    wrong: list[tuple[Any, str]] = [
        ([], "batch"),
        ([GROCERIES] * 101, "batch"),
        ([1] * 300_000, "batch"),
        (GROCERIES, "batch"),
        ([GROCERIES, {}, {"text": "a\0", "completed": 1}], "1.text 2.text 2.completed"),
        ([GROCERIES, None], "1"),
    ]
    for body, fields in wrong:
        answer = http.post("/notes/batch/", json=body)
        assert problem(answer, *fields.split()) == 422
    assert http.get("/notes/").json() == []


def test_a_batch_that_the_table_refuses_stores_nothing(
    http: httpx2.Client, database: str
) -> None:
    """A batch is one statement: when one of its notes is refused, none is stored."""
    with connect(database) as sql:
        sql("CREATE UNIQUE INDEX once ON notes (text)")
        try:
            body = [{"text": text} for text in ("a", "b", "a")]
            assert problem(http.post("/notes/batch/", json=body)) == 409
        finally:
            sql("DROP INDEX once")
    assert http.get("/notes/").json() == []


# PATCH and DELETE


def test_open_notes_are_completed_together(http: httpx2.Client) -> None:
    """PATCH with a filter changes the notes that it finds, and answers them alone."""
    open_notes = post(http, "a", "b")
    completed_notes = post(http, "c", completed=True)
    response = http.patch("/notes?completed=false", json={"completed": True})
    changed = [{**note, "completed": True} for note in open_notes]
    assert (response.status_code, response.json()) == (200, changed)
    assert "Link" not in response.headers
    assert http.get("/notes/").json() == changed + completed_notes
    again = http.patch("/notes/?completed=false", json={"completed": True})
    assert (again.status_code, again.json()) == (200, [])


def test_a_patch_changes_what_it_names(http: httpx2.Client) -> None:
    """Members that a patch leaves out stay, and an empty one changes nothing."""
    notes = post(http, "a", "A") + post(http, "b", completed=True)
    assert http.patch("/notes/?q=a", json={}).json() == notes[:2]
    assert problem(http.patch("/notes/?q=a", json={"text": None}), "text") == 422
    texts = http.patch("/notes/?completed=true", json={"text": "c"}).json()
    assert texts == [{**notes[2], "text": "c"}]
    assert http.get("/notes/").json() == notes[:2] + texts


@pytest.mark.parametrize(
    "query", ["completed=true", "q=A", "q=zz", "q=a&completed=true", "q=%25"]
)
def test_filters_are_those_of_the_list(http: httpx2.Client, query: str) -> None:
    """Both narrow each other as they do in the list."""
    notes = post(http, "a", "b", "50%") + post(http, "aa", completed=True)
    matches = http.get(f"/notes/?{query}").json()
    assert http.delete(f"/notes/?{query}").json() == matches
    assert http.get("/notes/").json() == [note for note in notes if note not in matches]


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_thousand_at_a_time_and_a_link_to_the_next(
    http: httpx2.Client, method: str
) -> None:
    """The oldest thousand come first; who follows Link changes each note once."""
    notes = [note for _ in range(21) for note in post(http, *["a"] * 97)]
    body = {"text": "a, too"} if method == "PATCH" else None
    pages, target = [], "?q=A"
    while target:
        response = http.request(method, f"/notes/{target}", json=body)
        assert response.status_code == 200
        pages.append(response.json())
        target = response.links.get("next", {}).get("url", "")
    assert [len(page) for page in pages] == [1_000, 1_000, 37]
    changed = [note for page in pages for note in page]
    assert changed == [{**note, **(body or {})} for note in notes]
    left = http.get("/notes/?take=1000").json()
    assert left == (changed[:1_000] if method == "PATCH" else [])


def test_without_a_right_filter_nothing_is_done(http: httpx2.Client) -> None:
    """Without a filter, or with one that is wrong or unknown, both are 422."""
    notes = post(http, "a")
    for query, field in {
        "": "query",
        "after=5": "query",
        "take=5": "take",
        "completed=maybe": "completed",
        "q=" + "a" * 1_001: "q",
        "q=": "q",  # as of a search box that is empty, which is in all notes
        "completed=true&after=0": "after",
        "completed=true&bogus=1": "bogus",
    }.items():
        assert problem(http.delete(f"/notes/?{query}"), field) == 422
        answer = http.patch(f"/notes/?{query}", json={"completed": True})
        assert problem(answer, field) == 422
    conditional = http.delete("/notes/?q=a", headers={"If-Match": '"a"'})
    assert problem(conditional) == 412
    assert "this call takes none" in conditional.json()["message"]
    assert http.get("/notes/").json() == notes


def test_a_note_that_changed_meanwhile_is_spared(http: httpx2.Client) -> None:
    """Beside a client that renames notes, none is deleted that was answered under a new name."""
    kept: list[Any] = []
    ended = threading.Event()

    def rename() -> None:
        with httpx2.Client(base_url=http.base_url) as other:
            while not ended.is_set():
                note = post(http, "draft")[0]
                answer = other.patch(f"/notes/{note['id']}/", json={"text": "kept"})
                if answer.status_code == 200:
                    kept.append(answer.json())

    thread = threading.Thread(target=rename)
    thread.start()
    deleted: list[Any] = []
    try:
        while len(kept) < 20 or len(deleted) < 20:
            deleted += http.delete("/notes/?q=DRAFT").json()
    finally:
        ended.set()
        thread.join()
    assert {note["text"] for note in deleted} == {"draft"}
    assert http.get("/notes/?take=1000&q=kept").json() == kept
