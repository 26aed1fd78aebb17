"""What others add to the service: endpoints of their own, and a field of the notes."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient

from tests.fixtures import ORIGIN, load_main, problem
from tests.servers import ROOT, Service, wait_until

EXTRA = '''
"""Endpoints of an extra, as somebody writes them who knows FastAPI."""
from typing import Annotated

from fastapi import Depends
from fastapi.responses import StreamingResponse
from main import Answer, answer, app


def read_page(page: int = 1) -> int:
    return page * 10

@app.get("/extra")
async def read_extra(word: str, skip: Annotated[int, Depends(read_page)]) -> list[object]:
    return [word, skip]

@app.get("/answer/")
async def read_answer(word: str, skip: Annotated[int, Depends(read_page)]) -> Answer:
    return answer([word, skip])

@app.get("/stream/")
async def read_stream() -> StreamingResponse:
    async def make_chunks():
        yield b"first"
        raise ZeroDivisionError("the cause")

    return StreamingResponse(make_chunks())

@app.get("/bug/{name}/")
async def fail(name: str) -> None:
    raise ZeroDivisionError("the bug")
'''


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service with an extra's endpoints."""
    folder = tmp_path_factory.mktemp("extra")
    (folder / "extra.py").write_text(EXTRA)
    variables = {"WEB_CONCURRENCY": "1", "PYTHONPATH": str(folder)}
    with Service.gunicorn(folder, "extra:app", **variables) as service:
        yield service


@pytest.mark.parametrize("path", ["/extra", "/answer/"])
def test_an_extras_endpoint_is_fastapis(visitor: httpx2.Client, path: str) -> None:
    """Plain parameters and dependencies are read as FastAPI has it, at the path as written."""
    response = visitor.get(f"{path}?word=a&page=3&other=x")
    assert (response.status_code, response.json()) == (200, ["a", 30])
    assert problem(visitor.get(f"{path}?page=x"), "word", "page") == 422
    assert visitor.head(f"{path}?word=a").status_code == 200
    assert problem(visitor.post(path)) == 405
    operation = visitor.get("/openapi.json").json()["paths"][path]["get"]
    names = [parameter["name"] for parameter in operation["parameters"]]
    assert sorted(names) == ["page", "word"]


def test_a_stream_that_fails_ends(visitor: httpx2.Client, service: Service) -> None:
    """A stream that fails after its first chunk ends without a second start; the log says why."""
    with visitor.stream("GET", "/stream/") as response:
        assert response.status_code == 200
        pieces = response.iter_bytes()
        assert next(pieces) == b"first"
        with pytest.raises(httpx2.RemoteProtocolError):
            next(pieces)
    wait_until(lambda: "ZeroDivisionError: the cause" in service.log.read_text())
    assert "ASGI message" not in service.log.read_text()
    assert visitor.get("/notes/").status_code == 200


def test_a_bug_is_500(visitor: httpx2.Client, service: Service) -> None:
    """An exception that nobody expected is 500, with its traceback in the log alone."""
    response = visitor.get("/bug/%0Aforged/")
    assert problem(response) == 500
    assert response.headers["Connection"] == "close"  # which uvicorn does
    assert "ZeroDivisionError" not in response.text
    wait_until(lambda: "ZeroDivisionError: the bug" in service.log.read_text())
    assert "\nforged" not in service.log.read_text()
    assert visitor.get("/notes/").status_code == 200


# A field, by four edits of main.py, each a line after another one.
FIELD = {
    r'( +)sa\.Column\("completed".*': 'sa.Column("priority", sa.Integer, nullable=False),',
    r"class NoteIn\((?:.*\n)+?( +)completed: .*": "priority: int = Field(0, ge=0, le=9)",
    r"class NotePatch\((?:.*\n)+?( +)completed: .*": "priority: Annotated[int, Field(ge=0, le=9)]",
    r"class Note\((?:.*\n)+?( +)completed: .*": "priority: int",
}


def test_a_field_takes_four_edits(tmp_path: Path, empty_database: str) -> None:
    """A field that main.py gets by four edits is stored, bounded, documented and sorted by."""
    source = (ROOT / "main.py").read_text()
    for place, line in FIELD.items():
        source, count = re.subn(place, rf"\g<0>\n\1{line}", source)
        assert count == 1, f"main.py has {count} places like {place}"
    (tmp_path / "main.py").write_text(source)
    app = load_main(tmp_path / "main.py", DATABASE_URL=empty_database).app
    with TestClient(app, headers={"Origin": ORIGIN}) as client:
        bodies = [{"text": "a", "priority": priority} for priority in (9, 1, 5)]
        notes = [client.post("/notes/", json=body).json() for body in bodies]
        notes.append(client.post("/notes/", json={"text": "a"}).json())
        assert [note["priority"] for note in notes] == [9, 1, 5, 0]
        page = client.get("/notes/?sort=-priority").json()
        assert page == [notes[0], notes[2], notes[1], notes[3]]
        path = f"/notes/{notes[0]['id']}/"
        headers = {"If-Match": client.get(path).headers["ETag"]}
        patched = client.patch(path, json={"priority": 3}, headers=headers)
        assert patched.json() == client.get(path).json() == {**notes[0], "priority": 3}
        stale = client.patch(path, json={"priority": 4}, headers=headers)
        assert problem(stale) == 412
        for value in ("3", True, 10, -1, 1.5, None):
            body = {"text": "a", "priority": value}
            assert problem(client.post("/notes/", json=body), "priority") == 422
            assert problem(client.put(path, json=body), "priority") == 422
            assert problem(client.patch(path, json=body), "priority") == 422
        assert client.put(path, json={"text": "b"}).json()["priority"] == 0
        schemas = client.get("/openapi.json").json()["components"]["schemas"]
        assert "priority" in schemas["Note"]["properties"]
        assert schemas["NoteIn"]["properties"]["priority"]["maximum"] == 9
