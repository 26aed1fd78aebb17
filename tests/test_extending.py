"""What others add to the service: endpoints of their own, and a field of the notes."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient

from tests.fixtures import ORIGIN, problem
from tests.servers import MAIN_VARIABLES, ROOT, Service, wait_until

EXTRA = '''
"""Endpoints of an extra, as somebody writes them who knows FastAPI."""
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Header
from fastapi.responses import StreamingResponse
from main import Answer, answer, app


def read_page(page: int = 1) -> int:
    return page * 10


@app.get("/extra")
async def read_extra(word: str, skip: Annotated[int, Depends(read_page)]) -> list[object]:
    return [word, skip]


@app.get("/answer/")
async def read_answer(
    word: str,
    skip: Annotated[int, Depends(read_page)],
    x_size: Annotated[int, Header()] = 0,
) -> Answer:
    return answer([word, skip, x_size])


@app.get("/stream/")
async def read_stream() -> StreamingResponse:
    async def make_chunks() -> AsyncIterator[bytes]:
        yield b"first"
        raise ZeroDivisionError("the cause")

    return StreamingResponse(make_chunks())


@app.get("/bug/{name}/")
async def fail(name: str) -> None:
    raise ZeroDivisionError("the cause")
'''


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service with an extra's endpoints."""
    folder = tmp_path_factory.mktemp("extra")
    (folder / "extra.py").write_text(EXTRA)
    variables = {"DATABASE_URL": f"sqlite:///{folder}/notes.db", "WEB_CONCURRENCY": "1"}
    variables["PYTHONPATH"] = str(folder)
    with Service.gunicorn(folder, "extra:app", **variables) as service:
        yield service


@pytest.fixture
def http(service: Service) -> Iterator[httpx2.Client]:
    """A client of the service, from another origin."""
    with httpx2.Client(base_url=service.url, headers={"Origin": ORIGIN}) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "values"), [("/extra", ["a", 30]), ("/answer/", ["a", 30, 0])]
)
def test_an_extras_endpoint_is_fastapis(
    http: httpx2.Client, path: str, values: list[object]
) -> None:
    """Plain parameters and dependencies are read as FastAPI has it, at the path as written."""
    response = http.get(f"{path}?word=a&page=3&other=x")
    assert (response.status_code, response.json()) == (200, values)
    assert problem(http.get(f"{path}?page=x"), "word", "page") == 422
    assert http.head(f"{path}?word=a").status_code == 200
    assert problem(http.post(path)) == 405


def test_an_extras_endpoint_is_documented(http: httpx2.Client) -> None:
    """The OpenAPI document has an extra's endpoint with its parameters."""
    operation = http.get("/openapi.json").json()["paths"]["/extra"]["get"]
    names = [parameter["name"] for parameter in operation["parameters"]]
    assert sorted(names) == ["page", "word"]


def test_a_stream_that_fails_ends(http: httpx2.Client, service: Service) -> None:
    """A stream that fails after its first chunk ends without a second start; the log says why."""
    with http.stream("GET", "/stream/") as response:
        assert response.status_code == 200
        pieces = response.iter_bytes()
        assert next(pieces) == b"first"
        with pytest.raises(httpx2.RemoteProtocolError):
            next(pieces)
    wait_until(lambda: "ZeroDivisionError: the cause" in service.log.read_text())
    assert "ASGI message" not in service.log.read_text()
    assert http.get("/notes/").status_code == 200


def test_a_bug_is_500(http: httpx2.Client, service: Service) -> None:
    """An exception that nobody expected is 500, with its traceback in the log alone."""
    size = len(service.log.read_text())
    response = http.get("/bug/%0Aforged/")
    assert problem(response) == 500
    assert "cause" not in response.text
    log = wait_until(lambda: service.log.read_text()[size:])
    wait_until(lambda: "the cause" in service.log.read_text()[size:])
    assert "\nforged" not in log
    assert http.get("/notes/").status_code == 200


# A field, by four edits of main.py: of the table, and of the three models.
FIELD = [
    (
        r"( +)sa\.Column\(\"completed\".*",
        r'\1sa.Column("priority", sa.Integer, nullable=False),',
    ),
    (
        r"class NoteIn\((?:.*\n)+?( +)completed: .*",
        r"\1priority: int = Field(0, ge=0, le=9)",
    ),
    (
        r"class NotePatch\((?:.*\n)+?( +)completed: .*",
        r"\1priority: Annotated[int, Field(ge=0, le=9)]",
    ),
    (r"class Note\((?:.*\n)+?( +)completed: .*", r"\1priority: int"),
]


@pytest.fixture
def with_priority(tmp_path: Path, empty_database: str) -> Iterator[TestClient]:
    """The service of a main.py with a field more, on each of the two databases."""
    source = (ROOT / "main.py").read_text()
    for place, line in FIELD:
        source, count = re.subn(place, rf"\g<0>\n{line}", source)
        assert count == 1, f"main.py has {count} places like {place}"
    (tmp_path / "main.py").write_text(source)
    spec = importlib.util.spec_from_file_location("with_priority", tmp_path / "main.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        for name in MAIN_VARIABLES:
            patch.setenv(name, "")
        patch.setenv("DATABASE_URL", empty_database)
        spec.loader.exec_module(module)
    with TestClient(module.app, headers={"Origin": ORIGIN}) as client:
        yield client


def test_a_field_takes_four_edits(with_priority: TestClient) -> None:
    """A field that main.py gets by four edits is stored, bounded, documented and returned."""
    client = with_priority
    notes = [
        client.post("/notes/", json={"text": "a", "priority": priority}).json()
        for priority in (9, 1, 5)
    ]
    notes.append(client.post("/notes/", json={"text": "a"}).json())
    assert [note["priority"] for note in notes] == [9, 1, 5, 0]
    assert client.get("/notes/").json() == notes
    path = f"/notes/{notes[0]['id']}/"
    tag = client.get(path).headers["ETag"]
    patched = client.patch(path, json={"priority": 3}, headers={"If-Match": tag})
    assert patched.json() == client.get(path).json() == {**notes[0], "priority": 3}
    stale = client.patch(path, json={"priority": 4}, headers={"If-Match": tag})
    assert problem(stale) == 412
    for value in ("3", True, 10, -1, 1.5, None):
        body = {"text": "a", "priority": value}
        assert problem(client.post("/notes/", json=body), "priority") == 422
        assert problem(client.put(path, json=body), "priority") == 422
        assert problem(client.patch(path, json=body), "priority") == 422
    assert client.put(path, json={"text": "b"}).json()["priority"] == 0
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert {"priority"} <= schemas["Note"]["properties"].keys()
    assert schemas["NoteIn"]["properties"]["priority"]["maximum"] == 9


def test_a_list_is_sorted_by_such_a_field(with_priority: TestClient) -> None:
    """The same four edits let a list be sorted by the field."""
    for priority in (1, 9, 5):
        with_priority.post("/notes/", json={"text": "a", "priority": priority})
    page = with_priority.get("/notes/?sort=-priority")
    assert page.status_code == 200
    assert [note["priority"] for note in page.json()] == [9, 5, 1]
