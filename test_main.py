"""The contract of the notes service, on SQLite and on Postgres."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.fixtures import (
    GROCERIES,
    ONCE,
    Deployment,
    create_note,
    load_main,
    problem,
    read_notes,
)
from tests.servers import Postgres, run_python, wait_until

DONE: dict[str, Any] = {"completed": True}
WRITES = [("PATCH", DONE), ("PUT", {"text": "b"}), ("DELETE", None)]

# The calls


@pytest.mark.parametrize("completed", [{}, {"completed": False}, {"completed": True}])
def test_post_makes_a_note(client: TestClient, completed: dict[str, bool]) -> None:
    """POST answers 201 with the note, which is not completed unless it says so."""
    response = client.post("/notes/", json={"text": "Plan a lavish dinner", **completed})
    note = {**GROCERIES, "text": "Plan a lavish dinner", **completed}
    assert response.status_code == 201
    assert read_notes(client) == [response.json()]
    assert response.json() == {"id": response.json()["id"], **note}
    assert response.headers["Location"] == f"/notes/{response.json()['id']}/"


def test_get_answers_one_note_or_all(client: TestClient) -> None:
    """GET of a note answers it, and GET of the list an array in the order of creation."""
    notes = [create_note(client, text=text) for text in "cab"]
    for path, expected in ((f"/notes/{notes[1]['id']}/", notes[1]), ("/notes/", notes)):
        response = client.get(path)
        assert (response.status_code, response.json()) == (200, expected)
        assert response.headers["Content-Type"] == "application/json"
        assert response.headers["Cache-Control"] == "no-cache"
        assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_put_replaces_the_note(client: TestClient) -> None:
    """PUT answers 200 with what POST would make of the body, under the same id."""
    note, other_note = create_note(client), create_note(client, text="another")
    new_note = {**GROCERIES, "text": "Finish Physics Assignment", "completed": True}
    body = {"id": other_note["id"], **new_note}
    response = client.put(f"/notes/{note['id']}/", json=body)
    assert response.status_code == 200
    assert response.json() == {"id": note["id"], **new_note}
    assert read_notes(client) == [response.json(), other_note]
    response = client.put(f"/notes/{note['id']}/", json={"text": "b"})
    assert response.json() == {"id": note["id"], **GROCERIES, "text": "b"}


@pytest.mark.parametrize(
    "patch", [{}, {"text": ""}, DONE, {"text": "b"} | DONE, {"id": 5}]
)
def test_patch_changes_what_it_names(client: TestClient, patch: dict[str, Any]) -> None:
    """PATCH answers 200 with the merged note; what it leaves out stays, and so does the id."""
    note, other_note = create_note(client), create_note(client, text="another")
    response = client.patch(f"/notes/{note['id']}/", json=patch)
    assert response.status_code == 200
    assert response.json() == {**note, **patch, "id": note["id"]}
    assert read_notes(client) == [response.json(), other_note]


def test_delete_answers_the_deleted_note(client: TestClient) -> None:
    """DELETE answers 200 with the note and the message; it is gone, and its id with it."""
    other_note, note = create_note(client, text="another"), create_note(client)
    response = client.delete(f"/notes/{note['id']}/")
    message = f"Note with id: {note['id']} deleted successfully!"
    assert response.status_code == 200
    assert response.json() == {**note, "message": message}
    assert read_notes(client) == [other_note]
    assert create_note(client)["id"] > note["id"]


def test_an_id_may_be_past_2_to_the_31(deployment: Deployment) -> None:
    """Ids have 64 bits, also on Postgres, where an INTEGER has 32."""
    deployment.sql(f"INSERT INTO notes VALUES ({2**40}, 'far', false)")
    assert deployment.client.get(f"/notes/{2**40}/").json()["text"] == "far"
    assert deployment.client.delete(f"/notes/{2**40}/").status_code == 200


def test_text_is_kept_as_it_is(client: TestClient) -> None:
    """Every text of 0 to 65,536 characters is read back as it was written."""
    for text in ("", "\U0001f34b" * 65_536, "\x01\x7f\u2028\r\n\t\"'\\ %_"):
        note = create_note(client, text=text)
        assert client.get(f"/notes/{note['id']}/").json() == {**note, "text": text}


@pytest.mark.parametrize("root", ["", "/api"])
def test_a_root_path_goes_before_every_path(root: str, tmp_path: Path) -> None:
    """All paths that the service names have the root path, if a router puts one before its own."""
    app = load_main(DATABASE_URL=f"sqlite:///{tmp_path}/notes.db", API_KEYS="key").app
    key = {"Authorization": "Bearer key"}
    with TestClient(app, root_path=root, follow_redirects=False) as client:
        for path in (root, f"{root}/"):
            assert client.get(path).headers["Location"] == f"{root}/docs"
        assert f"'{root}/openapi.json'" in client.get(f"{root}/docs").text
        for path in (f"{root}/livez", f"{root}/readyz"):
            assert client.get(path).json() == {"status": "ok"}
        assert client.post(f"{root}/notes/", json=GROCERIES).status_code == 401
        response = client.post(f"{root}/notes/", json=GROCERIES, headers=key)
        assert response.headers["Location"].startswith(f"{root}/notes/")
        note = client.get(response.headers["Location"], headers=key).json()
        assert note == response.json()


@ONCE
def test_the_last_slash_may_be_left_out(client: TestClient) -> None:
    """Every call answers the same without the slash, and no answer is a redirect."""
    response = client.post("/notes", json=GROCERIES)
    note, path = response.json(), response.headers["Location"].rstrip("/")
    assert response.status_code == 201
    assert client.get("/notes", params={"take": 1}).json() == [note]
    for method, body in [("GET", None), *WRITES]:
        response = client.request(method, path, json=body)
        assert (response.status_code, response.json()["id"]) == (200, note["id"])


@ONCE
@pytest.mark.parametrize("path", ["/notes/?count=true&take=1", "/notes/{}/", "/readyz"])
def test_head_answers_as_get_does(client: TestClient, path: str) -> None:
    """HEAD has the status and all headers of GET, and no body."""
    note = create_note(client)
    create_note(client)
    path = path.format(note["id"])
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers == get.headers


NOTE_METHODS = {"GET", "HEAD", "PUT", "PATCH", "DELETE"}


@ONCE
@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/notes/", {"GET", "HEAD", "POST"}),
        ("/notes/abc", NOTE_METHODS),
        ("/livez", {"GET", "HEAD"}),
        ("/openapi.json", {"GET", "HEAD"}),
    ],
)
def test_405_names_all_methods(client: TestClient, path: str, allowed: set[str]) -> None:
    """A method that a path does not take is 405, with all that it takes in Allow."""
    for method in {*NOTE_METHODS, "POST", "OPTIONS", "BREW"} - allowed:
        response = client.request(method, path, json={})
        assert problem(response) == 405
        assert set(response.headers["Allow"].split(", ")) == allowed


# Conditional requests


def test_the_etag_is_that_of_the_content(client: TestClient) -> None:
    """All answers with the same note have one strong ETag, and others have others."""
    response, other = [client.post("/notes/", json=GROCERIES) for _ in range(2)]
    path, tag = response.headers["Location"], response.headers["ETag"]
    assert re.fullmatch(r'"[!#-~]+"', tag)
    changed = [client.patch(path, json=body) for body in ({"text": "b"}, DONE)]
    assert len({each.headers["ETag"] for each in (response, other, *changed)}) == 4
    same = [client.put(path, json=GROCERIES), client.patch(path, json={})]
    assert {each.headers["ETag"] for each in (*same, client.get(path))} == {tag}


# A new line stands for another header.
MET = ["{tag}", "W/{tag}", '"x", {tag}', '{tag},"x"', "*", 'W/"x", W/{tag}', '"x"\n{tag}']
UNMET = ['"x"', 'W/"x"', '"x", ""', "{bare}", "{upper}", '"*"', "", " ", ","]


@pytest.mark.parametrize("if_match", MET)
def test_if_match_lets_a_write_pass(client: TestClient, if_match: str) -> None:
    """A write is done when If-Match is * or names the note's tag, weak or strong, among others."""
    written = []
    for method, body in WRITES:
        response = client.post("/notes/", json=GROCERIES)
        path, tag = response.headers["Location"], response.headers["ETag"]
        headers = [("If-Match", line) for line in if_match.format(tag=tag).split("\n")]
        answer = client.request(method, path, json=body, headers=headers)
        assert answer.status_code == 200
        if body:
            written.append({**response.json(), **body})
    assert read_notes(client) == written


@pytest.mark.parametrize("if_match", UNMET)
def test_if_match_of_another_tag_is_412(client: TestClient, if_match: str) -> None:
    """A write is 412 and changes nothing when If-Match names another tag, or none at all."""
    response = client.post("/notes/", json=GROCERIES)
    path, tag = response.headers["Location"], response.headers["ETag"]
    value = if_match.format(tag=tag, bare=tag.strip('"'), upper=tag.upper())
    for method, body in WRITES:
        headers = {"If-Match": value}
        assert problem(client.request(method, path, json=body, headers=headers)) == 412
    assert read_notes(client) == [response.json()]


@ONCE
@pytest.mark.parametrize("if_none_match", ["{tag}", "W/{tag}", '"x", {tag}', "*"])
def test_a_known_note_is_304(client: TestClient, if_none_match: str) -> None:
    """A read is 304 without a body while If-None-Match names the note's tag, weak or strong."""
    post_response = client.post("/notes/", json=GROCERIES)
    path, tag = post_response.headers["Location"], post_response.headers["ETag"]
    headers = {"If-None-Match": if_none_match.format(tag=tag)}
    response = client.get(path, headers=headers)
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["ETag"] == tag
    assert response.headers["Cache-Control"] == "no-cache"
    client.patch(path, json={"completed": True})
    status = 304 if if_none_match == "*" else 200
    assert client.get(path, headers=headers).status_code == status


# Several at once


@pytest.mark.parametrize(
    ("change", "status"),
    [("UPDATE notes SET text = 'another'", 412), ("DELETE FROM notes", 404)],
)
def test_on_postgres_a_change_that_comes_between_is_noticed(
    on_postgres: Deployment, postgres: Postgres, change: str, status: int
) -> None:
    """A write whose tag was right is 412 when a change is stored before it is, or 404 if gone."""
    client, sql = on_postgres
    own = sql("SELECT pg_backend_pid()").fetchone()[0]
    waiting = f"SELECT 1 FROM pg_stat_activity WHERE {own} = ANY(pg_blocking_pids(pid))"
    for method, body in WRITES:
        sql("DELETE FROM notes")
        response = client.post("/notes/", json=GROCERIES)
        path, tag = response.headers["Location"], {"If-Match": response.headers["ETag"]}
        with ThreadPoolExecutor(1) as writer:
            sql("BEGIN")
            sql(change)
            answer = writer.submit(client.request, method, path, json=body, headers=tag)
            wait_until(lambda: postgres.sql(waiting), description="the write")
            sql("COMMIT")
            assert problem(answer.result()) == status
        note = {**response.json(), "text": "another"}
        assert read_notes(client) == ([note] if status == 412 else [])


# All calls together

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
CHANGES = st.fixed_dictionaries({}, optional={"text": TEXTS, "completed": st.booleans()})


class Notes(RuleBasedStateMachine):
    """The service beside a dict: after every step both hold the same notes."""

    ids = Bundle("ids")

    def __init__(self, client: TestClient) -> None:
        """Begin without a note."""
        super().__init__()
        self.client = client
        for note in read_notes(client):
            client.delete(f"/notes/{note['id']}/")
        self.notes: dict[int, dict[str, Any]] = {}

    @rule(target=ids, text=TEXTS, completed=st.booleans())
    def create(self, text: str, completed: bool) -> int:
        """POST makes a note with a new id."""
        note = create_note(self.client, text=text, completed=completed)
        assert note["id"] not in self.notes
        members = {**GROCERIES, "text": text, "completed": completed}
        self.notes[note["id"]] = {"id": note["id"], **members}
        return int(note["id"])

    @rule(note_id=ids, change=CHANGES)
    def change(self, note_id: int, change: dict[str, Any]) -> None:
        """PUT of both members and PATCH of fewer change that note, if it is there."""
        method = "PUT" if len(change) == 2 else "PATCH"
        response = self.client.request(method, f"/notes/{note_id}/", json=change)
        assert response.status_code == 200
        self.notes[note_id].update(change)
        assert response.json() == self.notes[note_id]

    @rule(note_id=consumes(ids))
    def delete(self, note_id: int) -> None:
        """DELETE answers the note once, and 404 from then on."""
        note = self.client.delete(f"/notes/{note_id}/").json()
        del note["message"]
        assert note == self.notes.pop(note_id)
        assert problem(self.client.delete(f"/notes/{note_id}/")) == 404

    @invariant()
    def both_hold_the_same(self) -> None:
        """The list is the dict."""
        assert read_notes(self.client) == [note for _, note in sorted(self.notes.items())]


def test_the_service_is_a_dict_of_notes(client: TestClient) -> None:
    """Whatever the order of the calls, the service holds what a dict would."""
    few = settings(max_examples=15, stateful_step_count=15, deadline=None, database=None)
    run_state_machine_as_test(lambda: Notes(client), settings=few)  # type: ignore[arg-type]  # any maker of one will do


# Import

IMPORT = """
import sys
events = []
watched = ("socket.", "sqlite3.", "_thread.start_new_thread", "subprocess.")
sys.addaudithook(lambda name, _: name.startswith(watched) and events.append(name))
import main
print(events)
"""


def test_importing_opens_nothing(tmp_path: Path) -> None:
    """Importing main opens no socket, no database and no thread."""
    url = f"sqlite:///{tmp_path}/notes.db"
    assert run_python("-c", IMPORT, DATABASE_URL=url).stdout == "[]\n"
    assert list(tmp_path.iterdir()) == []
