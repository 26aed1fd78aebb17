"""The contract of the notes service, on SQLite and on Postgres."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
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
    insert,
    load_app,
    missing_id,
    problem,
    read_notes,
)
from tests.servers import ROOT, Postgres, Service, environment, wait_until

Body = dict[str, Any] | None

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
    for path, expected in {
        f"/notes/{notes[1]['id']}/": notes[1],
        "/notes/": notes,
    }.items():
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
    "patch",
    [{}, {"text": ""}, {"completed": True}, {"text": "b", "completed": True}, {"id": 5}],
    ids=lambda patch: "+".join(patch) or "nothing",
)
def test_patch_changes_what_it_names(client: TestClient, patch: dict[str, Any]) -> None:
    """PATCH answers 200 with the merged note; what it leaves out stays, and so does the id."""
    note, other_note = create_note(client), create_note(client, text="another")
    response = client.patch(f"/notes/{note['id']}/", json=patch)
    assert response.status_code == 200
    assert response.json() == {**note, **patch, "id": note["id"]}
    assert read_notes(client) == [response.json(), other_note]


def test_delete_answers_the_deleted_note(client: TestClient) -> None:
    """DELETE answers 200 with the note and the message, and the note is gone."""
    note, other_note = create_note(client), create_note(client, text="another")
    response = client.delete(f"/notes/{note['id']}/")
    message = f"Note with id: {note['id']} deleted successfully!"
    assert response.status_code == 200
    assert response.json() == {**note, "message": message}
    assert read_notes(client) == [other_note]


def test_an_id_never_comes_back(client: TestClient) -> None:
    """The id of a deleted note is not given to the next one."""
    assert missing_id(client) < create_note(client)["id"]


def test_an_id_may_be_past_2_to_the_31(deployment: Deployment) -> None:
    """Ids have 64 bits, also on Postgres, where an INTEGER has 32."""
    insert(deployment.sql, {"id": 2**40, "text": "far"})
    assert deployment.client.get(f"/notes/{2**40}/").json()["text"] == "far"
    assert deployment.client.delete(f"/notes/{2**40}/").status_code == 200


@pytest.mark.parametrize(
    "text",
    ["", "\U0001f34b" * 65_536, "\x01\x7f\u2028\r\n\t\"'\\ %_"],
    ids=["empty", "the longest", "odd letters"],
)
def test_text_is_kept_as_it_is(client: TestClient, text: str) -> None:
    """Every text of 0 to 65,536 characters is read back as it was written."""
    note = create_note(client, text=text)
    assert client.get(f"/notes/{note['id']}/").json() == {**note, "text": text}


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_the_probes_answer_ok(client: TestClient, path: str) -> None:
    """Both probes answer 200 while the database is there."""
    response = client.get(path)
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@ONCE
def test_the_root_leads_to_the_docs(client: TestClient) -> None:
    """GET of the root redirects to the documentation, which is there."""
    response = client.get("/")
    assert (response.is_redirect, response.headers["Location"]) == (True, "/docs")
    assert client.get("/docs").status_code == 200


def test_a_root_path_goes_before_every_path(tmp_path: Path) -> None:
    """Behind a router that puts a path before the service's own, all that it names has it, too."""
    app = load_app(DATABASE_URL=f"sqlite:///{tmp_path}/notes.db", API_KEYS="key")
    key = {"Authorization": "Bearer key"}
    with TestClient(app, root_path="/api", follow_redirects=False) as client:
        for path in ("/api/", "/api"):
            assert client.get(path).headers["Location"] == "/api/docs"
        assert "'/api/openapi.json'" in client.get("/api/docs").text
        assert client.get("/api/openapi.json").json()["servers"] == [{"url": "/api"}]
        assert client.get("/api/livez").status_code == 200
        assert client.post("/api/notes/", json=GROCERIES).status_code == 401
        response = client.post("/api/notes/", json=GROCERIES, headers=key)
        assert response.headers["Location"].startswith("/api/notes/")
        note = client.get(response.headers["Location"], headers=key).json()
        assert note == response.json()


@ONCE
def test_the_last_slash_may_be_left_out(client: TestClient) -> None:
    """Every call answers the same without the slash, and no answer is a redirect."""
    calls: list[tuple[str, Body]]
    calls = [("GET", None), ("PUT", GROCERIES), ("PATCH", {}), ("DELETE", None)]
    response = client.post("/notes", json=GROCERIES)
    note = response.json()
    path = f"/notes/{note['id']}"
    assert (response.status_code, response.headers["Location"]) == (201, f"{path}/")
    assert client.get("/notes", params={"take": 1}).json() == [note]
    for method, body in calls:
        response = client.request(method, path, json=body)
        assert (response.status_code, response.json()["id"]) == (200, note["id"])
    for method, body in calls:
        assert problem(client.request(method, path, json=body)) == 404


@ONCE
@pytest.mark.parametrize(
    "path", ["/notes/?count=true&take=1", "/notes/{}/", "/readyz", "/", "/openapi.json"]
)
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
    ("path", "allowed_methods"),
    [
        ("/notes/", {"GET", "HEAD", "POST"}),
        ("/notes", {"GET", "HEAD", "POST"}),
        ("/notes/1/", NOTE_METHODS),
        ("/notes/abc", NOTE_METHODS),
        ("/livez", {"GET", "HEAD"}),
        ("/openapi.json", {"GET", "HEAD"}),
    ],
)
def test_405_names_every_method_of_the_path(
    client: TestClient, path: str, allowed_methods: set[str]
) -> None:
    """A method that a path does not take is 405, with all that it takes in Allow."""
    for method in {*NOTE_METHODS, "POST", "OPTIONS", "TRACE", "BREW"}:
        response = client.request(method, path, json={})
        assert (response.status_code == 405) == (method not in allowed_methods)
        if response.status_code == 405:
            assert problem(response) == 405
            assert set(response.headers["Allow"].split(", ")) == allowed_methods


# Isolation


@pytest.mark.parametrize("turn", ["one", "two"])
def test_every_test_begins_without_a_note(client: TestClient, turn: str) -> None:
    """No note of another test is left, whichever of the two runs first."""
    assert read_notes(client) == []
    create_note(client, text=turn)


# CORS


@ONCE
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_preflight_from_any_origin_is_granted(client: TestClient, method: str) -> None:
    """Every method and header may be used from every origin and network, without credentials."""
    headers = {
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "content-type, if-match, x-anything",
        "Access-Control-Request-Private-Network": "true",
    }
    response = client.options("/notes/", headers=headers)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers["Access-Control-Allow-Private-Network"] == "true"
    allowed_methods = response.headers["Access-Control-Allow-Methods"].split(", ")
    assert {*NOTE_METHODS, "POST"} <= set(allowed_methods)
    allowed_headers = response.headers["Access-Control-Allow-Headers"].split(", ")
    assert {"content-type", "if-match", "x-anything"} <= set(allowed_headers)
    assert "Access-Control-Allow-Credentials" not in response.headers


# Conditional requests


def test_single_notes_carry_a_strong_etag(client: TestClient) -> None:
    """All calls that answer the same note answer the same strong ETag."""
    post_response = client.post("/notes/", json=GROCERIES)
    path = post_response.headers["Location"]
    answers = [client.get(path), client.put(path, json=GROCERIES)]
    answers += [client.patch(path, json={})]
    tag = post_response.headers["ETag"]
    assert {answer.headers["ETag"] for answer in answers} == {tag}
    assert re.fullmatch(r'"[!#-~]+"', tag)


def test_the_etag_depends_on_the_content(client: TestClient) -> None:
    """Another text, completed or id is another ETag; the content of before has that of before."""
    answers = [client.post("/notes/", json=GROCERIES) for _ in range(2)]
    path = answers[0].headers["Location"]
    changes = [{"text": "b"}, {"completed": True}, {"text": GROCERIES["text"]}]
    answers += [client.patch(path, json=change) for change in changes]
    tags = [answer.headers["ETag"] for answer in answers]
    assert len(set(tags)) == len(tags)
    assert client.patch(path, json=GROCERIES).headers["ETag"] == tags[0]


def test_the_etag_is_the_same_on_both_databases(
    on_sqlite: Deployment, on_postgres: Deployment
) -> None:
    """The same note, and the same list, has one ETag, wherever it is stored."""
    on_sqlite.sql("DELETE FROM notes")
    on_postgres.sql("DELETE FROM notes")
    body = {"text": "b\u00fcro", "completed": True}
    note_id = on_sqlite.client.post("/notes/", json=body).json()["id"]
    insert(on_postgres.sql, {"id": note_id, **body})
    for path in f"/notes/{note_id}/", "/notes/":
        answers = [each.client.get(path) for each in (on_sqlite, on_postgres)]
        assert answers[0].json() == answers[1].json()
        assert answers[0].headers["ETag"] == answers[1].headers["ETag"]


PATCH = ("PATCH", {"text": "b"})
WRITES: list[tuple[str, Body]] = [
    PATCH,
    ("PUT", {"text": "b", "completed": True}),
    ("DELETE", None),
]
EACH_WRITE = pytest.mark.parametrize(("method", "body"), WRITES)
# All forms of the header by one method, and one form by the others.
MET = ["{tag}", "W/{tag}", '"x", {tag}', '"x",{tag}', '{tag}, "x"', "*", 'W/"x", W/{tag}']
UNMET = ['"x"', 'W/"x"', '"x", ""', "{bare}", "{upper}", '"*"', "", " ", ","]


@pytest.mark.parametrize(
    ("method", "body", "if_match"),
    [(*PATCH, form) for form in MET] + [(*write, MET[0]) for write in WRITES[1:]],
)
def test_if_match_lets_a_write_to_that_note_pass(
    client: TestClient, method: str, body: Body, if_match: str
) -> None:
    """A write is done when If-Match is * or names the note's tag, weak or strong, among others."""
    post_response = client.post("/notes/", json=GROCERIES)
    path = post_response.headers["Location"]
    headers = {"If-Match": if_match.format(tag=post_response.headers["ETag"])}
    response = client.request(method, path, json=body, headers=headers)
    assert response.status_code == 200
    assert read_notes(client) == ([{**post_response.json(), **body}] if body else [])


@pytest.mark.parametrize(
    ("method", "body", "if_match"),
    [(*PATCH, form) for form in UNMET] + [(*write, UNMET[0]) for write in WRITES[1:]],
)
def test_if_match_that_does_not_name_the_tag_is_412(
    client: TestClient, method: str, body: Body, if_match: str
) -> None:
    """A write is 412 and changes nothing when If-Match names another tag, or none at all."""
    post_response = client.post("/notes/", json=GROCERIES)
    path, tag = post_response.headers["Location"], post_response.headers["ETag"]
    value = if_match.format(tag=tag, bare=tag.strip('"'), upper=tag.upper())
    response = client.request(method, path, json=body, headers={"If-Match": value})
    assert problem(response) == 412
    assert read_notes(client) == [post_response.json()]


@EACH_WRITE
@pytest.mark.parametrize("if_match", ['"x"', "*"])
def test_if_match_of_a_missing_note_is_404(
    client: TestClient, method: str, body: Body, if_match: str
) -> None:
    """A note that is gone is 404 whatever If-Match says."""
    path = f"/notes/{missing_id(client)}/"
    response = client.request(method, path, json=body, headers={"If-Match": if_match})
    assert problem(response) == 404


@ONCE
def test_if_match_may_be_sent_in_two_headers(client: TestClient) -> None:
    """Two If-Match headers are one list."""
    post_response = client.post("/notes/", json=GROCERIES)
    headers = [("If-Match", '"x"'), ("If-Match", post_response.headers["ETag"])]
    response = client.delete(post_response.headers["Location"], headers=headers)
    assert response.status_code == 200


@ONCE
@pytest.mark.parametrize("if_none_match", ["{tag}", "W/{tag}", '"x", {tag}', "*"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_known_note_is_304(client: TestClient, method: str, if_none_match: str) -> None:
    """A read is 304 without a body while If-None-Match names the note's tag, weak or strong."""
    post_response = client.post("/notes/", json=GROCERIES)
    path, tag = post_response.headers["Location"], post_response.headers["ETag"]
    headers = {"If-None-Match": if_none_match.format(tag=tag)}
    response = client.request(method, path, headers=headers)
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["ETag"] == tag
    assert response.headers["Cache-Control"] == "no-cache"
    client.patch(path, json={"completed": True})
    assert client.request(method, path, headers=headers).status_code == (
        304 if if_none_match == "*" else 200
    )


# Several at once


def test_of_twelve_racing_writers_one_wins(tmp_path: Path, empty_database: str) -> None:
    """Of twelve writers with the same tag one gets 200, eleven get 412, and its note is stored."""
    barrier = Barrier(12)

    def write(number: int) -> Response:
        with httpx2.Client(headers={"If-Match": post_response.headers["ETag"]}) as writer:
            barrier.wait()
            return writer.patch(url, json={"text": f"writer {number}"})

    with (
        Service.gunicorn(tmp_path, DATABASE_URL=empty_database) as service,
        ThreadPoolExecutor(12) as writers,
    ):
        post_response = httpx2.post(f"{service.url}/notes/", json=GROCERIES)
        url = service.url + post_response.headers["Location"]
        answers = sorted(writers.map(write, range(12)), key=lambda each: each.status_code)
        assert [answer.status_code for answer in answers] == [200] + [412] * 11
        assert httpx2.get(url).json() == answers[0].json()


@EACH_WRITE
@pytest.mark.parametrize(
    ("change", "status"),
    [("UPDATE notes SET text = 'another'", 412), ("DELETE FROM notes", 404)],
    ids=["changed", "deleted"],
)
def test_a_change_that_comes_between_is_noticed(
    on_postgres: Deployment,
    postgres: Postgres,
    method: str,
    body: Body,
    change: str,
    status: int,
) -> None:
    """A write whose tag was right is 412 when a change is stored before it is, or 404 if gone."""
    client, sql = on_postgres
    sql("DELETE FROM notes")
    post_response = client.post("/notes/", json=GROCERIES)
    path = post_response.headers["Location"]
    headers = {"If-Match": post_response.headers["ETag"]}
    own = sql("SELECT pg_backend_pid()").fetchone()[0]
    waiting = f"SELECT 1 FROM pg_stat_activity WHERE {own} = ANY(pg_blocking_pids(pid))"
    with ThreadPoolExecutor(1) as writer:
        sql("BEGIN")
        sql(change)
        answer = writer.submit(client.request, method, path, json=body, headers=headers)
        wait_until(lambda: postgres.sql(waiting), description="the write")
        sql("COMMIT")
        assert problem(answer.result()) == status
    note = {**post_response.json(), "text": "another"}
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
    answer = subprocess.run(
        [sys.executable, "-c", IMPORT],
        cwd=tmp_path,
        env=environment(DATABASE_URL=url, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == "[]\n"
    assert list(tmp_path.iterdir()) == []
