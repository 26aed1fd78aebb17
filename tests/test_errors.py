"""Errors: one shape for all, and nothing written by any of them."""

import json
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient

from tests.fixtures import (
    GROCERIES,
    ONCE,
    ORIGIN,
    create_note,
    missing_id,
    problem,
    read_notes,
)
from tests.servers import Service

JSON = {"Content-Type": "application/json"}
LARGEST_ID = 2**63 - 1
LIMIT = 1_048_576

Body = dict[str, Any] | None

CALLS: list[tuple[str, Body]] = [
    ("GET", None),
    ("PUT", GROCERIES),
    ("PATCH", {"text": "a"}),
    ("PATCH", {}),
    ("DELETE", None),
]
EACH_CALL = pytest.mark.parametrize(("method", "body"), CALLS)


def send(
    client: TestClient,
    method: str,
    content: Any,
    headers: dict[str, str],
    fields: list[str] | None = None,
) -> int:
    """Return the status of a body that is refused, once no note has come of it.

    Without fields, one thing is wrong with the body as a whole.
    """
    note = create_note(client)
    notes = read_notes(client)
    path = "/notes/" if method == "POST" else f"/notes/{note['id']}/"
    response = client.request(method, path, content=content, headers=headers)
    if fields is None:
        fields = list(response.json()["errors"])
        assert len(fields) == 1
    status = problem(response, *fields)
    assert read_notes(client) == notes
    return status


@ONCE
@pytest.mark.parametrize("path", ["/nothing", "/notes//", "/notes/1/2/", "/livez/x"])
def test_an_unknown_path_is_404(client: TestClient, path: str) -> None:
    """A path that leads nowhere is 404."""
    assert problem(client.get(path)) == 404


@EACH_CALL
def test_a_missing_note_is_404(client: TestClient, method: str, body: Body) -> None:
    """Every verb on a note that is gone answers 404, names its id and makes no note."""
    for note_id in (missing_id(client), 2**31, LARGEST_ID):
        response = client.request(method, f"/notes/{note_id}/", json=body)
        assert problem(response) == 404
        assert str(note_id) in response.json()["detail"]
    assert read_notes(client) == []


IDS = ["0", "-1", "abc", "1.5", "1e3", "%00", str(LARGEST_ID + 1), "9" * 5_000]


@ONCE
@pytest.mark.parametrize(
    ("method", "body", "note_id"),
    [(*CALLS[0], note_id) for note_id in IDS] + [(*call, "0") for call in CALLS[1:]],
    ids=lambda value: str(value)[:20],
)
def test_an_id_out_of_bounds_is_422(
    client: TestClient, method: str, body: Body, note_id: str
) -> None:
    """Every verb answers 422 for what is not a whole number from 1 to 2^63-1."""
    response = client.request(method, f"/notes/{note_id}/", json=body)
    assert problem(response, "note_id") == 422


# Bodies


def nest(depth: int) -> str:
    """Return JSON arrays one in another."""
    return "[" * depth + "]" * depth


NOT_JSON = {
    "empty": b"",
    "cut": b'{"text": "a", "comple',
    "trailing garbage": b'{"text": "a", "completed": true} x',
    "invalid UTF-8": b'{"text": "\xff", "completed": true}',
    "5,000 digits": b'{"text": "a", "completed": %s}' % (b"9" * 5_000),
    "100,000 deep": b'{"text": %s}' % nest(100_000).encode(),
    "100,000 deep and ignored": b'{"text": "a", "x": %s}' % nest(100_000).encode(),
}
NOT_OBJECTS = ["null", "true", "5", "NaN", '"text"', "[1]"]
NOT_TEXTS = {
    **{value: value for value in ("null", "true", "5", "NaN", "1e400", '["a"]', "{}")},
    "U+0000": '"a\\u0000b"',
    "a high surrogate": '"\\ud83d"',
    "a low surrogate": '"a\\udf4b"',
    "65,537 characters": f'"{"a" * 65_537}"',
    "50 deep": nest(50),
}
NOT_BOOLEANS = ["null", "0", "1", "NaN", "1e400", "{}", '"true"', '"\\ud800"']
INVALID_BODIES = [
    *[pytest.param(body, 400, [], id=name) for name, body in NOT_JSON.items()],
    *[pytest.param(body, 422, None, id=f"body {body}") for body in NOT_OBJECTS],
    *[
        pytest.param(f'{{"text": {value}}}', 422, ["text"], id=name)
        for name, value in NOT_TEXTS.items()
    ],
    *[
        pytest.param(
            f'{{"completed": {value}, "text": ""}}', 422, ["completed"], id=value
        )
        for value in NOT_BOOLEANS
    ],
    pytest.param("{}", 422, ["text"], id="no text"),
    pytest.param('{"text": 5, "completed": 5}', 422, ["text", "completed"], id="both"),
]


@ONCE
@pytest.mark.parametrize(("body", "status", "fields"), INVALID_BODIES)
def test_an_invalid_body_is_refused(
    client: TestClient, body: str | bytes, status: int, fields: list[str] | None
) -> None:
    """A body that is no JSON is 400, one that is no note 422 with the name; nothing is written."""
    assert send(client, "POST", body, JSON, fields) == status


@ONCE
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_change_refuses_what_a_new_note_does(client: TestClient, method: str) -> None:
    """PUT and PATCH have the bounds of POST; in a PATCH a null is refused, too."""
    assert send(client, method, "{", JSON, []) == 400
    assert send(client, method, "null", JSON) == 422
    for text in ("null", '"a\\u0000"', f'"{"a" * 65_537}"'):
        assert send(client, method, f'{{"text": {text}}}', JSON, ["text"]) == 422
    body = '{"text": 5, "completed": "true"}'
    assert send(client, method, body, JSON, ["text", "completed"]) == 422


@ONCE
def test_an_error_costs_no_more_than_reading_it(client: TestClient) -> None:
    """Whatever a body holds, at most ten things are said to be wrong with it."""
    members = {f"{number}": number for number in range(50_000)}
    for body in (
        {"text": members},
        {"text": list(range(50_000))},
        {**members, "text": 5},
    ):
        response = client.post("/notes/", content=json.dumps(body), headers=JSON)
        assert problem(response, "text") == 422
        assert len(response.content) < 1_000


FORM = "application/x-www-form-urlencoded"


@ONCE
@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", {}),
        ("POST", {"Content-Type": "text/plain"}),
        ("POST", {"Content-Type": "application/jsonl"}),
        ("POST", {"Content-Type": FORM}),
        ("POST", {**JSON, "Content-Encoding": "gzip"}),
        ("POST", {**JSON, "Content-Encoding": "identity, BR"}),
        ("PUT", {"Content-Type": FORM}),
        ("PATCH", {"Content-Type": FORM}),
    ],
    ids=str,
)
def test_a_body_that_is_not_declared_as_json_is_415(
    client: TestClient, method: str, headers: dict[str, str]
) -> None:
    """A body whose Content-Type is missing or another, or that is compressed, is 415."""
    assert send(client, method, b'{"text": "a"}', headers, []) == 415


@ONCE
@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "Application/JSON"},
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Type": "application/merge-patch+json"},
        {**JSON, "Content-Encoding": "Identity"},
    ],
    ids=str,
)
def test_a_body_may_be_declared_as_http_allows(
    client: TestClient, headers: dict[str, str]
) -> None:
    """A media type has parameters and any case, and a body's own form is no compression."""
    path = f"/notes/{create_note(client)['id']}/"
    response = client.patch(path, content=b'{"text": "a"}', headers=headers)
    assert (response.status_code, response.json()["text"]) == (200, "a")


def make_body(size: int) -> bytes:
    """Return a valid body of a size in bytes."""
    start = b'{"text": "a", "completed": true, "x": "'
    return start + b"x" * (size - len(start) - 2) + b'"}'


@ONCE
@pytest.mark.parametrize(
    ("method", "is_chunked"),
    [("POST", False), ("POST", True), ("PUT", True), ("PATCH", False)],
)
def test_a_body_over_the_limit_is_413(
    client: TestClient, method: str, is_chunked: bool
) -> None:
    """A body over a mebibyte is 413 and writes nothing; a body of just that size is taken."""

    def make_content(size: int) -> Any:
        body = make_body(size)
        return iter([body[:10], body[10:LIMIT], body[LIMIT:]]) if is_chunked else body

    assert send(client, method, make_content(LIMIT + 1), JSON, []) == 413
    path = "/notes/" if method == "POST" else f"/notes/{read_notes(client)[0]['id']}/"
    response = client.request(method, path, content=make_content(LIMIT), headers=JSON)
    assert response.is_success


def test_a_connection_outlives_odd_requests(tmp_path: Path) -> None:
    """A connection still serves after a HEAD, a 404, a 405 and two kinds of 413."""
    url = f"sqlite:///{tmp_path}/notes.db"
    with (
        Service.python(tmp_path, DATABASE_URL=url) as service,
        httpx2.Client(base_url=service.url, headers={"Origin": ORIGIN}) as client,
    ):
        note = client.post("/notes/", json=GROCERIES).json()
        path = f"/notes/{note['id']}"
        length = str(len(client.get(path).content))
        assert client.head(path).headers["Content-Length"] == length
        assert problem(client.put("/nothing", json={})) == 404
        assert problem(client.put("/notes", json={})) == 405
        body = make_body(3_000_000)
        for content in (body, iter([body])):
            assert problem(client.post("/notes", content=content, headers=JSON)) == 413
        assert client.get(path).json() == note
        ports = re.findall(r'127\.0\.0\.1:(\d+) - "\w+ /no', service.log.read_text())
        assert len(set(ports)) == 1
