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
    Deployment,
    connect,
    create_note,
    insert,
    load_app,
    missing_id,
    open_client,
    problem,
    read_notes,
)
from tests.servers import ROOT, Postgres, Service, environment, wait_until

Body = dict[str, Any] | None


@pytest.fixture(
    params=["on_sqlite", "on_postgres", "by_fastapi_on_sqlite", "by_fastapi_on_postgres"],
    ids=["sqlite", "postgres", "sqlite by fastapi", "postgres by fastapi"],
)
def deployment(request: pytest.FixtureRequest) -> Deployment:
    """The service without a note, on each database, with the route class and without it."""
    deployment: Deployment = request.getfixturevalue(request.param)
    deployment.sql("DELETE FROM notes")
    return deployment


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


def test_get_lists_the_notes_oldest_first(client: TestClient) -> None:
    """GET of the list answers 200 with an array in the order of creation."""
    notes = [create_note(client, text=text) for text in "cab"]
    response = client.get("/notes/?skip=0&take=20")
    assert response.status_code == 200
    assert response.json() == notes
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-cache"


def test_get_answers_one_note(client: TestClient) -> None:
    """GET of a note answers 200 with that note and nothing else."""
    note = create_note(client)
    create_note(client, text="another")
    response = client.get(f"/notes/{note['id']}/")
    assert response.status_code == 200
    assert response.json() == {"id": note["id"], **GROCERIES}
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_put_replaces_the_note(client: TestClient) -> None:
    """PUT answers 200 with the new note, ignores an id in the body and changes no other note."""
    note, other_note = create_note(client), create_note(client, text="another")
    new_note = {**GROCERIES, "text": "Finish Physics Assignment", "completed": True}
    response = client.put(
        f"/notes/{note['id']}/", json={"id": other_note["id"], **new_note}
    )
    assert response.status_code == 200
    assert response.json() == {"id": note["id"], **new_note}
    assert read_notes(client) == [response.json(), other_note]


def test_put_takes_what_post_takes(client: TestClient) -> None:
    """PUT without completed makes a note that is not completed, as POST does."""
    note = create_note(client, completed=True)
    response = client.put(f"/notes/{note['id']}/", json={"text": "b"})
    assert response.json() == {"id": note["id"], **GROCERIES, "text": "b"}


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/merge-patch+json"]
)
@pytest.mark.parametrize(
    "patch",
    [{}, {"text": ""}, {"completed": True}, {"text": "b", "completed": True}, {"id": 5}],
    ids=lambda patch: "+".join(patch) or "nothing",
)
def test_patch_changes_what_it_names(
    client: TestClient, patch: dict[str, Any], content_type: str
) -> None:
    """PATCH answers 200 with the merged note; what it leaves out stays, and so does the id."""
    note, other_note = create_note(client), create_note(client, text="another")
    response = client.patch(
        f"/notes/{note['id']}/", json=patch, headers={"Content-Type": content_type}
    )
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


def test_an_id_may_be_past_2_to_the_31(on_postgres: Deployment) -> None:
    """Ids have 64 bits on Postgres, too, where an INTEGER has 32."""
    insert(on_postgres.sql, {"id": 2**40, "text": "far"})
    assert on_postgres.client.get(f"/notes/{2**40}/").json()["text"] == "far"
    assert on_postgres.client.delete(f"/notes/{2**40}/").status_code == 200


@pytest.mark.parametrize(
    "text", ["", "\U0001f34b" * 65_536, "\x01\x7f\u2028\r\n\t\"'\\ %_"]
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


def test_the_root_leads_to_the_docs(client: TestClient) -> None:
    """GET of the root redirects to the documentation, which is there."""
    response = client.get("/")
    assert (response.is_redirect, response.headers["Location"]) == (True, "/docs")
    assert client.get("/docs").status_code == 200


def test_the_root_leads_to_the_docs_below_a_root_path(client: TestClient) -> None:
    """Behind a router that puts a path before the service's own, the redirect has it, too."""
    below = TestClient(client.app, root_path="/api", follow_redirects=False)
    for path in ("/api/", "/api"):
        assert below.get(path).headers["Location"] == "/api/docs"


def test_the_docs_below_a_root_path_load_the_document_there(client: TestClient) -> None:
    """Behind such a router the documentation asks for the document that is behind it, too."""
    below = TestClient(client.app, root_path="/api")
    assert "'/api/openapi.json'" in below.get("/api/docs").text


def test_a_root_path_is_the_server_of_the_document(client: TestClient) -> None:
    """OpenAPI's document names the path where the service is, and no other one."""
    below = TestClient(client.app, root_path="/api")
    assert below.get("/api/openapi.json").json()["servers"] == [{"url": "/api"}]
    assert "servers" not in client.get("/openapi.json").json()


@pytest.mark.parametrize("path", ["/livez", "/docs", "/redoc", "/openapi.json"])
def test_a_root_path_goes_before_what_is_open(client: TestClient, path: str) -> None:
    """Behind a router that puts a path before the service's own, what is open is found there."""
    assert TestClient(client.app, root_path="/api").get(f"/api{path}").status_code == 200


def test_a_root_path_is_in_the_location(tmp_path: Path) -> None:
    """The Location of a new note leads to it, behind such a router, too."""
    url = f"sqlite:///{tmp_path}/notes.db"
    with TestClient(load_app(DATABASE_URL=url), root_path="/api") as client:
        response = client.post("/api/notes/", json=GROCERIES)
        assert response.headers["Location"].startswith("/api/notes/")
        assert client.get(response.headers["Location"]).json() == response.json()


def test_the_last_slash_may_be_left_out(client: TestClient) -> None:
    """Every call answers the same without the slash, and no answer is a redirect."""
    post_response = client.post("/notes", json=GROCERIES)
    note = post_response.json()
    path = f"/notes/{note['id']}"
    assert (post_response.status_code, post_response.headers["Location"]) == (
        201,
        f"{path}/",
    )
    assert client.get("/notes", params={"take": 1}).json() == [note]
    for method, body in (
        ("GET", None),
        ("PUT", GROCERIES),
        ("PATCH", {}),
        ("DELETE", None),
    ):
        response = client.request(method, path, json=body)
        assert (response.status_code, response.json()["id"]) == (200, note["id"])
    for method, body in (
        ("GET", None),
        ("PUT", GROCERIES),
        ("PATCH", {}),
        ("DELETE", None),
    ):
        assert problem(client.request(method, path, json=body)) == 404


@pytest.mark.parametrize(
    "path",
    [
        "/notes/?count=true&take=1",
        "/notes/{}/",
        "/livez",
        "/readyz",
        "/",
        "/docs",
        "/openapi.json",
    ],
)
def test_head_answers_as_get_does(client: TestClient, path: str) -> None:
    """HEAD has the status and all headers of GET, and no body."""
    note = create_note(client)
    create_note(client)
    path = path.format(note["id"])
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.headers, head.content) == (
        get.status_code,
        get.headers,
        b"",
    )


@pytest.mark.parametrize(
    ("path", "allowed_methods"),
    [
        ("/notes/", {"GET", "HEAD", "POST"}),
        ("/notes", {"GET", "HEAD", "POST"}),
        ("/notes/1/", {"GET", "HEAD", "PUT", "PATCH", "DELETE"}),
        ("/notes/abc", {"GET", "HEAD", "PUT", "PATCH", "DELETE"}),
        ("/livez", {"GET", "HEAD"}),
        ("/readyz", {"GET", "HEAD"}),
        ("/", {"GET", "HEAD"}),
        ("/docs", {"GET", "HEAD"}),
        ("/openapi.json", {"GET", "HEAD"}),
    ],
)
def test_405_names_every_method_of_the_path(
    client: TestClient, path: str, allowed_methods: set[str]
) -> None:
    """A method that a path does not take is 405, with all that it takes in Allow."""
    for method in {
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "TRACE",
        "BREW",
    }:
        response = client.request(method, path, json={})
        if method in allowed_methods:
            assert response.status_code != 405
        else:
            assert problem(response) == 405
            assert set(response.headers["Allow"].split(", ")) == allowed_methods


# Isolation


@pytest.mark.parametrize("turn", ["one", "two"])
def test_every_test_begins_without_a_note(client: TestClient, turn: str) -> None:
    """No note of another test is left, whichever of the two runs first."""
    assert read_notes(client) == []
    create_note(client, text=turn)


# CORS


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_a_preflight_from_any_origin_is_granted(client: TestClient, method: str) -> None:
    """Every method and every header may be used from every origin, without credentials."""
    headers = {"Access-Control-Request-Method": method}
    headers["Access-Control-Request-Headers"] = "content-type, if-match, x-anything"
    response = client.options("/notes/", headers=headers)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert method in response.headers["Access-Control-Allow-Methods"].split(", ")
    allowed_headers = response.headers["Access-Control-Allow-Headers"].split(", ")
    assert {"content-type", "if-match", "x-anything"} <= set(allowed_headers)
    assert "Access-Control-Allow-Credentials" not in response.headers


def test_a_private_network_may_be_reached(client: TestClient) -> None:
    """A browser that asks whether a page may call a private address is told that it may."""
    headers = {"Access-Control-Request-Method": "GET"}
    headers["Access-Control-Request-Private-Network"] = "true"
    response = client.options("/notes/", headers=headers)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Private-Network"] == "true"


def test_an_answer_may_be_read_from_any_origin(client: TestClient) -> None:
    """An answer shows itself and five headers to every origin, with a cookie or without."""
    for cookie in {}, {"Cookie": "session=1"}:
        headers = client.get("/notes/", headers=cookie).headers
        assert {
            name: value for name, value in headers.items() if name.startswith("access-")
        } == {
            "access-control-allow-origin": "*",
            "access-control-expose-headers": "Location, Link, ETag, X-Total-Count, Retry-After",
        }


# Conditional requests


def test_single_notes_carry_a_strong_etag(client: TestClient) -> None:
    """All calls that answer the same note answer the same strong ETag."""
    post_response = client.post("/notes/", json=GROCERIES)
    path = post_response.headers["Location"]
    answers = [
        client.get(path),
        client.put(path, json=GROCERIES),
        client.patch(path, json={}),
        client.delete(path),
    ]
    assert {answer.headers["ETag"] for answer in answers} == {
        post_response.headers["ETag"]
    }
    assert re.fullmatch(r'"[!#-~]+"', post_response.headers["ETag"])


def test_the_etag_depends_on_the_content(client: TestClient) -> None:
    """Another text, completed or id is another ETag; the content of before has that of before."""
    post_response = client.post("/notes/", json=GROCERIES)
    path = post_response.headers["Location"]
    tags = [
        post_response.headers["ETag"],
        client.post("/notes/", json=GROCERIES).headers["ETag"],
    ]
    changes: list[Body] = [
        {"text": "b"},
        {"completed": True},
        {"text": GROCERIES["text"]},
    ]
    tags += [client.patch(path, json=change).headers["ETag"] for change in changes]
    assert len(set(tags)) == len(tags)
    assert client.patch(path, json=GROCERIES).headers["ETag"] == tags[0]


def test_the_etag_is_the_same_on_both_databases(
    on_sqlite: Deployment, on_postgres: Deployment
) -> None:
    """The same note has one ETag, wherever it is stored."""
    post_response = on_sqlite.client.post(
        "/notes/", json={"text": "b\u00fcro", "completed": True}
    )
    note_id = post_response.json()["id"]
    on_postgres.sql("DELETE FROM notes")
    insert(on_postgres.sql, {"id": note_id, "text": "büro", "completed": True})
    get_response = on_postgres.client.get(f"/notes/{note_id}/")
    assert get_response.json() == post_response.json()
    assert get_response.headers["ETag"] == post_response.headers["ETag"]


WRITES = pytest.mark.parametrize(
    ("method", "body"),
    [
        ("PUT", {"text": "b", "completed": True}),
        ("PATCH", {"text": "b"}),
        ("DELETE", None),
    ],
)


@WRITES
@pytest.mark.parametrize(
    "if_match", ["{tag}", '"x", {tag}', '"x",{tag}', '{tag}, "x"', "*", 'W/"x", {tag}']
)
def test_if_match_lets_a_write_to_that_note_pass(
    client: TestClient, method: str, body: Body, if_match: str
) -> None:
    """A write is done when If-Match is * or names the stored note's tag among others."""
    post_response = client.post("/notes/", json=GROCERIES)
    headers = {"If-Match": if_match.format(tag=post_response.headers["ETag"])}
    response = client.request(
        method, post_response.headers["Location"], json=body, headers=headers
    )
    assert response.status_code == 200
    assert read_notes(client) == ([{**post_response.json(), **body}] if body else [])


@WRITES
@pytest.mark.parametrize(
    "if_match", ['"x"', "W/{tag}", '"x", W/{tag}', "{bare}", "{upper}", '"*"', ""]
)
def test_if_match_that_does_not_name_the_tag_is_412(
    client: TestClient, method: str, body: Body, if_match: str
) -> None:
    """A write is 412 and changes nothing when If-Match does not name the tag, or only as weak."""
    post_response = client.post("/notes/", json=GROCERIES)
    tag = post_response.headers["ETag"]
    headers = {
        "If-Match": if_match.format(tag=tag, bare=tag.strip('"'), upper=tag.upper())
    }
    response = client.request(
        method, post_response.headers["Location"], json=body, headers=headers
    )
    assert problem(response) == 412
    assert read_notes(client) == [post_response.json()]


@WRITES
@pytest.mark.parametrize("if_match", ['"x"', "*"])
def test_if_match_of_a_missing_note_is_404(
    client: TestClient, method: str, body: Body, if_match: str
) -> None:
    """A note that is gone is 404 whatever If-Match says."""
    path = f"/notes/{missing_id(client)}/"
    response = client.request(method, path, json=body, headers={"If-Match": if_match})
    assert problem(response) == 404


def test_if_match_may_be_sent_in_two_headers(client: TestClient) -> None:
    """Two If-Match headers are one list."""
    post_response = client.post("/notes/", json=GROCERIES)
    headers = [("If-Match", '"x"'), ("If-Match", post_response.headers["ETag"])]
    assert (
        client.delete(post_response.headers["Location"], headers=headers).status_code
        == 200
    )


@pytest.mark.parametrize("if_none_match", ["{tag}", "W/{tag}", '"x", {tag}', "*"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_known_note_is_304(client: TestClient, method: str, if_none_match: str) -> None:
    """A read is 304 without a body when If-None-Match names the note's tag, weak or strong."""
    post_response = client.post("/notes/", json=GROCERIES)
    tag = post_response.headers["ETag"]
    headers = {"If-None-Match": if_none_match.format(tag=tag)}
    response = client.request(method, post_response.headers["Location"], headers=headers)
    assert (response.status_code, response.content) == (304, b"")
    assert (response.headers["ETag"], response.headers["Cache-Control"]) == (
        tag,
        "no-cache",
    )
    assert response.headers["Access-Control-Allow-Origin"] == "*"


def test_a_changed_note_is_read_anew(client: TestClient) -> None:
    """A read with the tag of an older version answers the note."""
    post_response = client.post("/notes/", json=GROCERIES)
    path = post_response.headers["Location"]
    new_note = client.patch(path, json={"completed": True}).json()
    response = client.get(path, headers={"If-None-Match": post_response.headers["ETag"]})
    assert (response.status_code, response.json()) == (200, new_note)


# Over a socket


def test_the_access_log_has_the_path_that_was_asked_for(tmp_path: Path) -> None:
    """The server logs a path without its last slash, and HEAD, as they came."""
    with Service.python(
        tmp_path, DATABASE_URL=f"sqlite:///{tmp_path}/notes.db"
    ) as service:
        httpx2.head(f"{service.url}/notes")
        wait_until(lambda: '"HEAD /notes HTTP/1.1" 200' in service.log.read_text())


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
        answers = sorted(
            writers.map(write, range(12)), key=lambda answer: answer.status_code
        )
        assert [answer.status_code for answer in answers] == [200] + [412] * 11
        assert httpx2.get(url).json() == answers[0].json()


@WRITES
def test_a_change_that_comes_between_is_412(
    postgres: Postgres, method: str, body: Body
) -> None:
    """A write whose tag was right is 412 when another change is stored before it is."""
    name = f"between_{method.lower()}"
    url = postgres.create_database(name)
    with (
        open_client(DATABASE_URL=url) as client,
        connect(url) as sql,
        ThreadPoolExecutor(1) as writer,
    ):
        post_response = client.post("/notes/", json=GROCERIES)
        headers = {"If-Match": post_response.headers["ETag"]}
        sql("BEGIN")
        sql("UPDATE notes SET text = 'another'")
        path = post_response.headers["Location"]
        answer = writer.submit(client.request, method, path, json=body, headers=headers)
        query = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = '{}'"
        wait_until(lambda: postgres.sql(query.format(name)), description="the write")
        sql("COMMIT")
        assert problem(answer.result()) == 412
        assert read_notes(client) == [{**post_response.json(), "text": "another"}]


# All calls together

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


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

    @rule(
        note_id=ids,
        change=st.fixed_dictionaries(
            {}, optional={"text": TEXTS, "completed": st.booleans()}
        ),
    )
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

    @rule(sort=st.sampled_from(["id", "-id", "text", "-text", "completed", "-completed"]))
    def sort(self, sort: str) -> None:
        """A sorted list has the dict's order, with ties by id."""
        notes = sorted(self.notes.values(), key=lambda note: note["id"])
        column = sort.removeprefix("-")
        notes.sort(key=lambda note: note[column], reverse=sort.startswith("-"))
        assert (
            self.client.get("/notes/", params={"sort": sort, "take": 100}).json() == notes
        )

    @rule(completed=st.booleans(), skip=st.integers(0, 5), take=st.integers(0, 5))
    def filter(self, completed: bool, skip: int, take: int) -> None:
        """A filtered page has the dict's notes."""
        notes = [
            note
            for _, note in sorted(self.notes.items())
            if note["completed"] is completed
        ]
        params = {
            "completed": str(completed).lower(),
            "skip": str(skip),
            "take": str(take),
        }
        assert (
            self.client.get("/notes/", params=params).json() == notes[skip : skip + take]
        )

    @invariant()
    def both_hold_the_same(self) -> None:
        """The list is the dict."""
        assert read_notes(self.client) == [note for _, note in sorted(self.notes.items())]


def test_the_service_is_a_dict_of_notes(client: TestClient) -> None:
    """Whatever the order of the calls, the service holds what a dict would."""
    example_settings = settings(
        max_examples=15, stateful_step_count=15, deadline=None, database=None
    )
    run_state_machine_as_test(lambda: Notes(client), settings=example_settings)  # type: ignore[arg-type]  # any maker of one will do


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
    variables = environment(
        DATABASE_URL=f"sqlite:///{tmp_path}/notes.db", PYTHONPATH=str(ROOT)
    )
    command = [sys.executable, "-c", IMPORT]
    answer = subprocess.run(
        command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=True
    )
    assert answer.stdout == "[]\n"
    assert list(tmp_path.iterdir()) == []
