"""Errors: one shape for all, and nothing written by any of them."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.fixtures import (
    GROCERIES,
    ONCE,
    create_note,
    problem,
    read_notes,
)

JSON = {"Content-Type": "application/json"}
LARGEST_ID = 2**63 - 1
LIMIT = 1_048_576

Body = dict[str, Any] | None
Headers = dict[str, str]

CALLS: list[tuple[str, Body]] = [
    ("GET", None),
    ("PUT", GROCERIES),
    ("PATCH", {"text": "a"}),
    ("PATCH", {}),
    ("DELETE", None),
]


def send(
    client: TestClient, method: str, content: Any, headers: Headers, fields: str
) -> int:
    """Return the status of a body that is refused, once no note has come of it."""
    note = create_note(client)
    notes = read_notes(client)
    path = "/notes/" if method == "POST" else f"/notes/{note['id']}/"
    response = client.request(method, path, content=content, headers=headers)
    assert read_notes(client) == notes
    return problem(response, *fields.split())


@ONCE
def test_an_unknown_path_is_404(client: TestClient) -> None:
    """A path that leads nowhere is 404."""
    for path in ("/nothing", "/notes//", "/notes/1/2/", "/livez/x"):
        assert problem(client.get(path)) == 404


@pytest.mark.parametrize(("method", "body"), CALLS)
def test_a_missing_note_is_404(client: TestClient, method: str, body: Body) -> None:
    """Every verb on a note that is gone is 404 with its id, whatever If-Match says."""
    deleted = create_note(client)["id"]
    client.delete(f"/notes/{deleted}/")
    for note_id in (deleted, 2**31, LARGEST_ID):
        for headers in ({}, {"If-Match": '"x"'}, {"If-Match": "*"}):
            path = f"/notes/{note_id}/"
            response = client.request(method, path, json=body, headers=headers)
            assert problem(response) == 404
            assert str(note_id) in response.json()["detail"]
    assert read_notes(client) == []


@ONCE
@pytest.mark.parametrize(
    "note_id", ["0", "-1", "abc", "1.5", "%00", str(LARGEST_ID + 1), "9" * 5_000]
)
def test_an_id_out_of_bounds_is_422(client: TestClient, note_id: str) -> None:
    """Every verb answers 422 for what is not a whole number from 1 to 2^63-1."""
    for method, body in CALLS:
        response = client.request(method, f"/notes/{note_id}/", json=body)
        assert problem(response, "note_id") == 422


# Bodies

DEEP = "[" * 100_000 + "]" * 100_000
NOT_JSON = {
    "empty": b"",
    "cut": b'{"text": "a", "comple',
    "invalid UTF-8": b'{"text": "\xff", "completed": true}',
    "5,000 digits": b'{"text": "a", "completed": %s}' % (b"9" * 5_000),
    "deep and ignored": b'{"text": "a", "x": %s}' % DEEP.encode(),
}
NOT_TEXTS = {
    **{value: value for value in ("null", "5", "NaN", '["a"]', "{}")},
    "U+0000": '"a\\u0000b"',
    "a lone surrogate": '"a\\ud83d"',
    "65,537 characters": f'"{"a" * 65_537}"',
}
INVALID_BODIES = [
    *[pytest.param(body, 400, "", id=name) for name, body in NOT_JSON.items()],
    *[(body, 422, "note") for body in ("null", "5", '"text"', "[1]")],
    *[
        pytest.param(f'{{"text": {value}}}', 422, "text", id=name)
        for name, value in NOT_TEXTS.items()
    ],
    *[
        (f'{{"text": "", "completed": {value}}}', 422, "completed")
        for value in ("null", "0", "1", "1e400", '"true"', "{}")
    ],
    ("{}", 422, "text"),
    ('{"text": 5, "completed": 5}', 422, "text completed"),
]


@ONCE
@pytest.mark.parametrize(("body", "status", "fields"), INVALID_BODIES)
def test_an_invalid_body_is_refused(
    client: TestClient, body: str | bytes, status: int, fields: str
) -> None:
    """A body that is no JSON is 400, one that is no note 422 with the name; nothing is written.

    PUT and PATCH have the bounds of POST, but for PATCH with no member, which changes nothing.
    """
    for method in ("POST", "PUT", "PATCH"):
        if (method, body) != ("PATCH", "{}"):
            assert send(client, method, body, JSON, fields) == status


@ONCE
def test_an_error_costs_no_more_than_reading_it(client: TestClient) -> None:
    """Whatever a body holds, what is said to be wrong with it is short."""
    members = {f"{number}": number for number in range(50_000)}
    for body in ({"text": members}, {"text": list(members)}, {**members, "text": 5}):
        response = client.post("/notes/", content=json.dumps(body), headers=JSON)
        assert problem(response, "text") == 422
        assert len(response.content) < 1_000


@ONCE
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/jsonl"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {**JSON, "Content-Encoding": "gzip"},
    ],
    ids=str,
)
def test_what_is_not_declared_as_json_is_415(
    client: TestClient, headers: Headers
) -> None:
    """A body whose Content-Type is missing or another, or that is compressed, is 415."""
    for method in ("POST", "PUT", "PATCH"):
        assert send(client, method, b'{"text": "a"}', headers, "") == 415


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
def test_json_is_declared_as_http_allows(client: TestClient, headers: Headers) -> None:
    """A media type has parameters and any case, and a body's own form is no compression."""
    path = f"/notes/{create_note(client)['id']}/"
    response = client.patch(path, content=b'{"text": "a"}', headers=headers)
    assert (response.status_code, response.json()["text"]) == (200, "a")


@ONCE
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_body_over_the_limit_is_413(client: TestClient, method: str) -> None:
    """A body over a mebibyte, chunked or not, is 413; a body of just that size is taken."""
    note = create_note(client)
    start = b'{"text": "a", "completed": true, "x": "'
    body = start + b"x" * (LIMIT - len(start) - 2) + b'"}'
    for content in (b" " + body, iter([b" ", body])):
        assert send(client, method, content, JSON, "") == 413
    path = "/notes/" if method == "POST" else f"/notes/{note['id']}/"
    for content in (body, iter([body[:10], body[10:]])):
        response = client.request(method, path, content=content, headers=JSON)
        assert response.is_success
