"""Errors: one shape for all, and nothing written by any of them."""

import re
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import Response
from fastapi.testclient import TestClient

from tests.fixtures import (
    GROCERIES,
    ORIGIN,
    create_note,
    load_app,
    missing_id,
    problem,
    read_notes,
)
from tests.servers import Service

JSON = {"Content-Type": "application/json"}
LARGEST_ID = 2**63 - 1
LIMIT = 1_048_576

Body = dict[str, Any] | None


@pytest.mark.parametrize(
    "path", ["/nothing", "/notes//", "/notes/1//", "/notes/1/2/", "/livez/x", "/livez/"]
)
def test_an_unknown_path_is_404(client: TestClient, path: str) -> None:
    """A path that leads nowhere is 404."""
    assert problem(client.get(path)) == 404


MISSING_NOTE_ROUTES = pytest.mark.parametrize(
    ("method", "body"),
    [
        ("GET", None),
        ("PUT", GROCERIES),
        ("PATCH", {"text": "a"}),
        ("PATCH", {}),
        ("DELETE", None),
    ],
)


@MISSING_NOTE_ROUTES
def test_a_missing_note_is_404(client: TestClient, method: str, body: Body) -> None:
    """Every verb on a note that is gone answers 404, names its id and makes no note."""
    for note_id in (missing_id(client), 2**31, LARGEST_ID):
        response = client.request(method, f"/notes/{note_id}/", json=body)
        assert problem(response) == 404
        assert str(note_id) in response.json()["detail"]
    assert read_notes(client) == []


@pytest.mark.parametrize(
    "note_id",
    ["0", "-1", "abc", "1.0", "+1", "1_000", "%00", "1%0A", str(2**63), "9" * 5_000],
    ids=lambda note_id: note_id[:20],
)
@MISSING_NOTE_ROUTES
def test_an_id_out_of_bounds_is_422(
    client: TestClient, note_id: str, method: str, body: Body
) -> None:
    """Every verb answers 422 for what is not a whole number from 1 to 2^63-1."""
    note = create_note(client)
    assert (
        problem(client.request(method, f"/notes/{note_id}/", json=body), "note_id") == 422
    )
    assert read_notes(client) == [note]


def nest(depth: int) -> str:
    """Return JSON arrays one in another."""
    return "[" * depth + "]" * depth


NOT_JSON = {
    "empty": b"",
    "cut": b'{"text": "a", "comple',
    "trailing garbage": b'{"text": "a", "completed": true} x',
    "two values": b'{"text": "a", "completed": true}{}',
    "invalid UTF-8": b'{"text": "\xff", "completed": true}',
    "a 5,000-digit text": b'{"text": %s, "completed": true}' % (b"9" * 5_000),
    "a 5,000-digit completed": b'{"text": "a", "completed": %s}' % (b"9" * 5_000),
    "100,000 deep": b'{"text": %s, "completed": true}' % nest(100_000).encode(),
    "100,000 deep and ignored": b'{"text": "a", "completed": true, "x": %s}'
    % nest(100_000).encode(),
}
NOT_OBJECTS = ["null", "true", "5", "NaN", '"text"', "[1]"]
NOT_TEXTS = {
    **{
        value: value
        for value in ("null", "true", "5", "NaN", "1e400", '["a"]', '{"text": "a"}')
    },
    "U+0000": '"a\\u0000b"',
    "a high surrogate": '"\\ud83d"',
    "a low surrogate": '"a\\udf4b"',
    "two surrogates in the wrong order": '"\\udf4b\\ud83d"',
    "65,537 characters": f'"{"a" * 65_537}"',
    "50 deep": nest(50),
}
NOT_BOOLEANS = {
    value: value
    for value in ("null", "0", "1", "NaN", "1e400", "{}", '"true"', '"\\ud800"')
}
INVALID_BODIES = (
    [pytest.param(body, 400, [], id=name) for name, body in NOT_JSON.items()]
    + [
        pytest.param(body.encode(), 422, ["body"], id=f"body {body}")
        for body in NOT_OBJECTS
    ]
    + [
        pytest.param(
            f'{{"text": {value}, "completed": true}}'.encode(), 422, ["text"], id=name
        )
        for name, value in NOT_TEXTS.items()
    ]
    + [
        pytest.param(
            f'{{"completed": {value}, "text": "a"}}'.encode(), 422, ["completed"], id=name
        )
        for name, value in NOT_BOOLEANS.items()
    ]
    + [
        pytest.param(
            b'{"text": 5, "completed": 5}', 422, ["text", "completed"], id="both"
        )
    ]
)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize(("body", "status", "fields"), INVALID_BODIES)
def test_an_invalid_body_is_refused(
    client: TestClient, method: str, body: bytes, status: int, fields: list[str]
) -> None:
    """A body that is no JSON is 400, one that is no note 422 with the name; nothing is written."""
    note = create_note(client)
    path = "/notes/" if method == "POST" else f"/notes/{note['id']}/"
    response = client.request(method, path, content=body, headers=JSON)
    assert problem(response, *fields) == status
    assert read_notes(client) == [note]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_deep_nesting_is_refused(client: TestClient, method: str) -> None:
    """JSON nested 960 deep is 400 or 422, as far as this Python reads it; nothing is written."""
    note = create_note(client)
    path = "/notes/" if method == "POST" else f"/notes/{note['id']}/"
    body = f'{{"text": {nest(960)}, "completed": true}}'
    response = client.request(method, path, content=body.encode(), headers=JSON)
    fields = ["text"] if response.status_code == 422 else []
    assert problem(response, *fields) in (400, 422)
    assert read_notes(client) == [note]


@pytest.mark.parametrize(
    ("method", "body", "fields"),
    [
        ("POST", {}, ["text"]),
        ("POST", {"completed": True}, ["text"]),
        ("PUT", {}, ["text"]),
        ("PUT", {"completed": True}, ["text"]),
    ],
)
def test_a_missing_member_is_422(
    client: TestClient, method: str, body: dict[str, Any], fields: list[str]
) -> None:
    """A note without text is 422, when it is made and when it is replaced."""
    note = create_note(client)
    path = "/notes/" if method == "POST" else f"/notes/{note['id']}/"
    assert problem(client.request(method, path, json=body), *fields) == 422
    assert read_notes(client) == [note]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "application/jsonl",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ],
)
def test_a_body_that_is_not_declared_as_json_is_415(
    client: TestClient, method: str, content_type: str | None
) -> None:
    """A body whose Content-Type is missing or another than JSON is 415; nothing is written."""
    note = create_note(client)
    path = "/notes/" if method == "POST" else f"/notes/{note['id']}/"
    headers = {"Content-Type": content_type} if content_type else {}
    body = b'{"text": "a", "completed": true}'
    assert problem(client.request(method, path, content=body, headers=headers)) == 415
    assert read_notes(client) == [note]


def make_body(size: int) -> bytes:
    """Return a valid body of a size in bytes."""
    start = b'{"text": "a", "completed": true, "x": "'
    return start + b"x" * (size - len(start) - 2) + b'"}'


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("is_chunked", [False, True], ids=["with a length", "chunked"])
def test_a_body_over_the_limit_is_413(
    client: TestClient, method: str, is_chunked: bool
) -> None:
    """A body over a mebibyte is 413 and writes nothing; a body of just that size is taken."""

    def make_content(body: bytes) -> Any:
        return iter([body[:10], body[10:LIMIT], body[LIMIT:]]) if is_chunked else body

    note = create_note(client)
    path = "/notes/" if method == "POST" else f"/notes/{note['id']}/"
    for body in make_body(LIMIT + 1), make_body(3_000_000):
        assert (
            problem(
                client.request(method, path, content=make_content(body), headers=JSON)
            )
            == 413
        )
    assert read_notes(client) == [note]
    response = client.request(
        method, path, content=make_content(make_body(LIMIT)), headers=JSON
    )
    assert response.status_code == (201 if method == "POST" else 200)


def test_a_bug_is_500(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An exception that nobody expected is 500, with its traceback in the log alone."""
    app = load_app(DATABASE_URL=f"sqlite:///{tmp_path}/notes.db")

    @app.get("/bug/{name}/")
    async def fail(name: str) -> Response:
        raise ZeroDivisionError("the cause")

    with TestClient(
        app, headers={"Origin": ORIGIN}, raise_server_exceptions=False
    ) as client:
        response = client.get("/bug/%0Aforged")
        assert problem(response) == 500
        assert "cause" not in response.text
        assert "the cause" in caplog.text
        assert "\nforged" not in caplog.text
        assert client.get("/notes/").status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize(
    "coding", ["gzip", "br", "deflate", "zstd", "GZIP", "identity, gzip"]
)
def test_a_compressed_body_is_415(client: TestClient, method: str, coding: str) -> None:
    """A body with a Content-Encoding is 415, and the answer says which one is taken."""
    note = create_note(client)
    path = "/notes/" if method == "POST" else f"/notes/{note['id']}/"
    response = client.request(
        method,
        path,
        content=b'{"text": "a"}',
        headers={**JSON, "Content-Encoding": coding},
    )
    assert problem(response) == 415
    assert "Content-Encoding" in response.json()["detail"]
    assert response.headers["Accept-Encoding"] == "identity"
    assert read_notes(client) == [note]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "Application/JSON"},
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Encoding": "Identity"},
    ],
    ids=str,
)
def test_a_body_may_be_declared_as_http_allows(
    client: TestClient, headers: dict[str, str]
) -> None:
    """A media type has parameters and any case, and a body's own form is no compression."""
    response = client.post(
        "/notes/", content=b'{"text": "a"}', headers={**JSON, **headers}
    )
    assert response.status_code == 201


def test_a_body_that_is_not_utf_8_is_named_so(client: TestClient) -> None:
    """A 400 says whether the body is not UTF-8 or not JSON."""
    details = [
        client.post("/notes/", content=body, headers=JSON).json()["detail"]
        for body in (b'{"text": "\xff"}', b"{")
    ]
    assert details == ["The body is not UTF-8.", "The body is not JSON."]


def test_a_connection_outlives_odd_requests(tmp_path: Path) -> None:
    """A connection still serves after a HEAD, a 404, a 405 and two kinds of 413."""
    url = f"sqlite:///{tmp_path}/notes.db"
    with (
        Service.python(tmp_path, DATABASE_URL=url) as service,
        httpx2.Client(base_url=service.url, headers={"Origin": ORIGIN}) as client,
    ):
        note = client.post("/notes/", json=GROCERIES).json()
        path = f"/notes/{note['id']}"
        assert client.head(path).headers["Content-Length"] == str(
            len(client.get(path).content)
        )
        assert problem(client.put("/nothing", json={})) == 404
        assert problem(client.put("/notes", json={})) == 405
        chunks = iter([make_body(3_000_000)])
        assert (
            problem(client.post("/notes", content=make_body(3_000_000), headers=JSON))
            == 413
        )
        assert problem(client.post("/notes", content=chunks, headers=JSON)) == 413
        assert client.get(path).json() == note
        ports = re.findall(r'127\.0\.0\.1:(\d+) - "\w+ /no', service.log.read_text())
        assert len(set(ports)) == 1
