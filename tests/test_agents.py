"""The tools of examples/agents.py, called by the official client over HTTP."""

import ast
import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import httpx2
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

import main
from tests.fixtures import ORIGIN, problem
from tests.servers import ROOT, Postgres, Service, start_postgres

T = TypeVar("T")
APP = "examples.agents:app"
MODES = ("auto", "2026-07-28", "legacy")
REVISION = "2026-07-28"
VERSION = "io.modelcontextprotocol/protocolVersion"
META = {
    VERSION: REVISION,
    "io.modelcontextprotocol/clientCapabilities": {},
}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Two workers behind one port, on each database."""
    folder = tmp_path_factory.mktemp("agents")
    url = f"sqlite:///{folder}/notes.db"
    if request.param == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.create_database("agents")
    with Service.gunicorn(folder, APP, DATABASE_URL=url) as service:
        yield service


@pytest.fixture(scope="module")
def sender(service: Service) -> Iterator[httpx2.Client]:
    """A client that knows nothing of the protocol."""
    with httpx2.Client(base_url=service.url, timeout=30) as client:
        yield client


@pytest.fixture
def http(service: Service) -> Iterator[httpx2.Client]:
    """A client, from another origin, of the service without a note."""
    with httpx2.Client(
        base_url=service.url, headers={"Origin": ORIGIN}, timeout=30
    ) as client:
        for note in client.get("/notes/", params={"take": 100}).json():
            client.delete(f"/notes/{note['id']}/")
        yield client


def run_conversation(
    service: Service,
    conversation: Callable[[Client], Awaitable[T]],
    mode: str = "auto",
    **headers: str,
) -> T:
    """Return what comes of a talk that the official client has with a service.

    Each of its requests is a connection of its own, which any worker may get.
    """
    limits = httpx2.Limits(max_keepalive_connections=0)

    async def run() -> T:
        async with httpx2.AsyncClient(headers=headers, limits=limits, timeout=30) as http:
            transport = streamable_http_client(f"{service.url}/mcp", http_client=http)
            async with Client(transport, mode=mode) as client:
                return await conversation(client)

    return asyncio.run(run())


def call_tool(service: Service, tool: str, **arguments: Any) -> CallToolResult:
    """Return the result of one call."""
    return run_conversation(service, lambda client: client.call_tool(tool, arguments))


def text_of(result: CallToolResult) -> str:
    """Return the text that a model gets of a result."""
    [content] = result.content
    assert isinstance(content, TextContent)
    return content.text


def message(method: str, **params: Any) -> dict[str, Any]:
    """Return a request as JSON-RPC has it."""
    return {
        "jsonrpc": "2.0",
        "id": 1,
        "method": method,
        "params": {"_meta": META} | params,
    }


def request_headers(body: dict[str, Any], **extra_headers: str) -> dict[str, str]:
    """Return the headers that go with a request."""
    headers = {"MCP-Protocol-Version": REVISION, "Mcp-Method": body["method"]}
    if "name" in body["params"]:
        headers["Mcp-Name"] = body["params"]["name"]
    return headers | {"Accept": "application/json, text/event-stream"} | extra_headers


@pytest.mark.parametrize("mode", MODES)
def test_a_talk_is_answered_word_for_word(
    service: Service, http: httpx2.Client, mode: str
) -> None:
    """What is made, changed and deleted by tools comes back, as text too, and is what HTTP has."""

    async def conversation(client: Client) -> None:
        async def result(tool: str, **arguments: Any) -> Any:
            answer = await client.call_tool(tool, arguments)
            assert not answer.is_error
            assert json.loads(text_of(answer)) == answer.structured_content
            return answer.structured_content

        note = await result("create_note", text="Käse 🧀 kaufen")
        assert http.get("/notes/").json() == [note]
        assert note == {**note, "text": "Käse 🧀 kaufen", "completed": False}
        assert await result("list_notes", q="käse", count=True) == {
            "notes": [note],
            "total": 1,
        }
        changed_note = {**note, "completed": True}
        assert (
            await result("change_note", note_id=note["id"], completed=True)
            == changed_note
        )
        assert http.get("/notes/").json() == [changed_note]
        answer = await result("delete_note", note_id=note["id"])
        assert answer == {
            **changed_note,
            "message": f"Note with id: {note['id']} deleted successfully!",
        }
        assert await result("list_notes") == {"notes": []}

    run_conversation(service, conversation, mode)


@pytest.mark.parametrize("mode", MODES)
def test_either_worker_goes_on_with_a_talk(
    service: Service, http: httpx2.Client, mode: str
) -> None:
    """What one of two workers began is answered while it is suspended, by the other."""
    workers = psutil.Process(service.process.pid).children()
    assert len(workers) == 2

    async def conversation(client: Client) -> None:
        for running_worker, suspended_worker in (workers, workers[::-1], workers):
            running_worker.resume()
            suspended_worker.suspend()
            assert not (await client.call_tool("create_note", {"text": "x"})).is_error

    try:
        workers[0].suspend()
        run_conversation(service, conversation, mode)
    finally:
        for worker in workers:
            worker.resume()
    assert len(http.get("/notes/").json()) == 3


def test_the_tools_are_described_with_the_bounds_of_the_service(service: Service) -> None:
    """A model gets a description, schemas that are the service's own, and what a call may do."""
    tools = {
        tool.name: tool for tool in run_conversation(service, Client.list_tools).tools
    }
    assert list(tools) == ["list_notes", "create_note", "change_note", "delete_note"]
    for tool in tools.values():
        assert tool.description
        assert tool.input_schema["type"] == "object"
        assert tool.output_schema
        assert tool.output_schema["type"] == "object"
    create, change = tools["create_note"].input_schema, tools["change_note"].input_schema
    assert create["properties"]["text"]["maxLength"] == 65_536
    assert create["required"] == ["text"]
    assert change["properties"].keys() == {"note_id", *main.NotePatch.__annotations__}
    assert change["properties"]["note_id"]["maximum"] == 2**63 - 1
    assert change["required"] == ["note_id"]
    assert tools["list_notes"].input_schema["properties"].keys() >= {
        "skip",
        "take",
        "q",
        "after",
    }
    hints = {name: tool.annotations for name, tool in tools.items()}
    assert [name for name, hint in hints.items() if hint and hint.read_only_hint] == [
        "list_notes"
    ]
    assert [name for name, hint in hints.items() if hint and hint.destructive_hint] == [
        "change_note",
        "delete_note",
    ]


def test_next_leads_through_all_notes(service: Service, http: httpx2.Client) -> None:
    """Whoever calls again with the arguments that `next` holds sees each note once."""
    notes = [http.post("/notes/", json={"text": f"a & {n}"}).json() for n in range(5)]

    async def read_all_pages(client: Client) -> list[Any]:
        notes = []
        arguments: dict[str, Any] = {"take": 2, "q": "A &", "completed": False, "id": []}
        while True:
            page = (await client.call_tool("list_notes", arguments)).structured_content
            notes += page["notes"]
            if "next" not in page:
                return notes
            arguments = dict(parse_qsl(page["next"]))

    assert run_conversation(service, read_all_pages) == notes
    ids = [notes[1]["id"], notes[3]["id"]]
    page = call_tool(
        service, "list_notes", id=ids, sort="-id", after=None
    ).structured_content
    assert page == {"notes": [notes[3], notes[1]]}


@pytest.mark.parametrize(
    ("tool", "arguments", "reason"),
    [
        ("create_note", {}, "text"),
        ("create_note", {"text": 5}, "text"),
        ("create_note", {"text": "x" * 65_537}, "text"),
        ("create_note", {"text": "a\0b"}, "text"),
        ("create_note", {"text": "x", "completed": "yes"}, "completed"),
        ("change_note", {"text": "x"}, "note_id"),
        ("change_note", {"note_id": 0, "text": "x"}, "note_id"),
        ("change_note", {"note_id": 2**63, "text": "x"}, "note_id"),
        ("change_note", {"note_id": {"id": 1}, "text": "x"}, "note_id"),
        ("change_note", {"note_id": "..", "text": "x"}, "note_id"),
        ("change_note", {"note_id": 2**63 - 1, "text": "x"}, f"id {2**63 - 1}"),
        ("delete_note", {"note_id": 2**63 - 1}, f"id {2**63 - 1}"),
        ("delete_note", {"note_id": "1/../2"}, ""),
        ("delete_note", {"note_id": True}, "note_id"),
        ("list_notes", {"limit": 5}, "take"),
        ("list_notes", {"take": -1}, "take"),
        ("list_notes", {"take": 1.5}, "take"),
        ("list_notes", {"completed": "maybe"}, "completed"),
        ("list_notes", {"sort": "colour"}, "sort"),
        ("list_notes", {"id": [1, {}]}, "id"),
        ("list_notes", {"q": "x" * 1_001}, "q"),
    ],
)
def test_what_the_service_refuses_is_a_result_that_says_why(
    service: Service,
    http: httpx2.Client,
    tool: str,
    arguments: dict[str, Any],
    reason: str,
) -> None:
    """A model is told what was wrong, in a sentence, and nothing is changed."""
    note = http.post("/notes/", json={"text": "as it is"}).json()
    result = call_tool(service, tool, **arguments)
    assert result.is_error
    assert reason in text_of(result)
    assert text_of(result).endswith(".")
    assert len(text_of(result)) < 500
    assert http.get("/notes/").json() == [note]


@pytest.mark.parametrize(
    ("tool", "arguments", "reason"),
    [
        ("create_note", {"text": "\ud800"}, "text: must not contain a lone surrogate."),
        ("change_note", {"note_id": "\ud800", "text": "x"}, "note_id: "),
        ("list_notes", {"q": "\ud800", "sort": "\udfff"}, "sort: "),
        ("create_note", {"text": float("nan")}, "text: "),
    ],
)
def test_what_json_can_write_and_no_text_can_hold_is_refused(
    http: httpx2.Client, tool: str, arguments: dict[str, Any], reason: str
) -> None:
    """A lone surrogate, or NaN, is what was wrong, and no bug."""
    body = message("tools/call", name=tool, arguments=arguments)
    headers = {**request_headers(body), "Content-Type": "application/json"}
    result = http.post("/mcp", content=json.dumps(body), headers=headers).json()["result"]
    assert result["isError"]
    assert result["content"][0]["text"].startswith(reason)


@pytest.mark.parametrize("mode", MODES)
def test_a_tool_that_is_not_there_is_an_error_of_the_protocol(
    service: Service, mode: str
) -> None:
    """To call it is no result, but -32602."""

    async def conversation(client: Client) -> None:
        with pytest.raises(MCPError, match="no tool") as error_info:
            await client.call_tool("drop_table", {})
        assert error_info.value.code == -32602

    run_conversation(service, conversation, mode)


def test_a_key_is_asked_for(tmp_path: Path) -> None:
    """Without the key, or with a wrong one, /mcp is 401; with it, the tools have it as well."""
    variables = {"DATABASE_URL": f"sqlite:///{tmp_path}/notes.db", "API_KEYS": "KEY"}
    body = message("tools/list")
    with Service.gunicorn(tmp_path, APP, **variables) as service:
        for key in ({}, {"Authorization": "Bearer wrong"}):
            headers = {**request_headers(body), **key, "Origin": ORIGIN}
            answer = httpx2.post(f"{service.url}/mcp", json=body, headers=headers)
            assert problem(answer) == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        for mode in MODES:
            result = run_conversation(
                service,
                lambda client: client.call_tool("list_notes"),
                mode,
                Authorization="Bearer KEY",
            )
            assert result.structured_content == {"notes": []}
        note = ast.literal_eval(run_documentation(service.url))
        expected = {"id": 1, "text": "fix tap in kitchen sink", "completed": False}
        assert note == {**note, **expected}
        assert note.keys() == main.Note.model_fields.keys()


def run_documentation(url: str) -> str:
    """Return what the program of the documentation prints, with its key."""
    text = (ROOT / "docs/extras.md").read_text()
    [program] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    command = [sys.executable, "-c", program.replace("http://127.0.0.1:8000", url)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_a_page_of_an_origin_that_cors_does_not_name_calls_nothing(
    tmp_path: Path,
) -> None:
    """Another Origin than the allowed ones is 403, whether or not a browser would have asked."""
    variables = {
        "DATABASE_URL": f"sqlite:///{tmp_path}/notes.db",
        "CORS_ORIGINS": ORIGIN,
        "CORS_ORIGIN_REGEX": r"https://[a-z]+\.preview\.example",
    }
    body = message("tools/call", name="create_note", arguments={"text": "x"})
    statuses = {}
    with Service.gunicorn(tmp_path, APP, **variables) as service:
        for origin in (
            ORIGIN,
            "https://a.preview.example",
            "https://evil.example",
            "null",
            "",
        ):
            headers = {**request_headers(body), "Origin": origin}
            answer = httpx2.post(f"{service.url}/mcp", json=body, headers=headers)
            statuses[origin] = answer.status_code
            allowed_origin = answer.headers.get("Access-Control-Allow-Origin")
            assert allowed_origin == (origin if answer.status_code == 200 else None)
            if answer.status_code == 403:
                assert answer.headers["Content-Type"] == "application/problem+json"
                detail = "Pages of this origin may not call this service."
                assert answer.json()["detail"] == detail
        notes = httpx2.get(f"{service.url}/notes/").json()
    assert statuses == {
        ORIGIN: 200,
        "https://a.preview.example": 200,
        "https://evil.example": 403,
        "null": 403,
        "": 403,
    }
    assert len(notes) == 2


@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
def test_what_is_no_call_is_refused_in_the_one_shape(
    http: httpx2.Client, path: str
) -> None:
    """405, 413 and 415 are what they are everywhere."""
    for method in ("GET", "DELETE", "PUT"):
        answer = http.request(method, path)
        assert problem(answer) == 405
        assert answer.headers["Allow"] == "POST"
    for kind in ("text/plain", "application/jsonl", "", "application"):
        assert (
            problem(http.post(path, content=b"{}", headers={"Content-Type": kind})) == 415
        )
    headers = {"Content-Type": "application/json"}
    large = b" " * 1_048_577
    assert problem(http.post(path, content=large, headers=headers)) == 413
    assert problem(http.post(path, content=iter([large]), headers=headers)) == 413


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (message("tools/list"), {"Mcp-Method": "tools/call"}, 400, -32020),
        (message("tools/list"), {"MCP-Protocol-Version": "2027-01-01"}, 400, -32020),
        (
            message("tools/list", _meta={**META, VERSION: "2027-01-01"}),
            {"MCP-Protocol-Version": "2027-01-01"},
            400,
            -32022,
        ),
        (message("tools/lists"), {}, 404, -32601),
        (message("prompts/list"), {}, 404, -32601),
        (message("subscriptions/listen", notifications={}), {}, 404, -32601),
        (
            message("tools/call", name="list_notes"),
            {"Mcp-Name": "delete_note"},
            400,
            -32020,
        ),
        (message("tools/call", name=5), {"Mcp-Name": "5"}, 400, -32020),
        (message("tools/call", name="list_notes", arguments=5), {}, 400, -32602),
        ([message("tools/list")], {"Mcp-Method": "tools/list"}, 400, -32600),
        ("tools/list", {"Mcp-Method": "tools/list"}, 400, -32600),
    ],
)
def test_what_the_protocol_does_not_allow_is_an_error_of_its_own(
    http: httpx2.Client, body: Any, headers: dict[str, str], status: int, code: int
) -> None:
    """The statuses and codes are those of the revision, also where a client is careless."""
    all_headers = (
        request_headers(body, **headers)
        if isinstance(body, dict)
        else headers | {"MCP-Protocol-Version": REVISION}
    )
    answer = http.post("/mcp", json=body, headers=all_headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_a_notification_is_taken_without_an_answer(http: httpx2.Client) -> None:
    """It is 202, without a body."""
    body = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {}}
    answer = http.post("/mcp", json=body, headers=request_headers(body))
    assert (answer.status_code, answer.content) == (202, b"")


def test_a_database_that_is_away_is_a_result_that_says_so(tmp_path: Path) -> None:
    """A model that calls meanwhile is told to try again, and later succeeds."""
    with (
        start_postgres() as server,
        Service.gunicorn(tmp_path, APP, DATABASE_URL=server.url()) as service,
    ):
        assert not call_tool(service, "list_notes").is_error
        server.stop()
        result = call_tool(service, "list_notes")
        assert result.is_error
        assert "try again" in text_of(result)
        server.start()
        assert not call_tool(service, "create_note", text="x").is_error


def test_the_endpoint_is_documented(http: httpx2.Client) -> None:
    """OpenAPI has /mcp/ beside the notes."""
    operation = http.get("/openapi.json").json()["paths"]["/mcp/"]["post"]
    assert operation["operationId"] == "call_by_mcp"
    assert operation["requestBody"]["required"]
    assert operation["responses"].keys() >= {
        "200",
        "202",
        "400",
        "403",
        "404",
        "413",
        "415",
    }


# Messages that no client would send: most of each is right, so that it gets far.
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None)),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=6,
)
PARAMETERS = [
    "note_id",
    "text",
    "completed",
    "skip",
    "take",
    "sort",
    "after",
    "count",
    "q",
    "id",
]


def prefer(*values: Any) -> st.SearchStrategy[Any]:
    """Draw one of the usual values, or once in ten times anything."""
    return st.integers(0, 9).flatmap(lambda n: st.sampled_from(values) if n else ANYTHING)


@st.composite
def messages(draw: st.DrawFn) -> tuple[dict[str, Any], bytes]:
    """Draw the headers of a message and its body, or what only begins as one."""
    method = draw(prefer("tools/call", "tools/call", "tools/list", "initialize"))
    name = draw(prefer("list_notes", "create_note", "change_note", "delete_note"))
    arguments = st.dictionaries(
        st.sampled_from(PARAMETERS), prefer(1, "a", True), max_size=3
    )
    params = {
        "_meta": draw(prefer(META)),
        "name": name,
        "arguments": draw(arguments | ANYTHING),
    }
    document = {
        "jsonrpc": draw(prefer("2.0")),
        "method": method,
        "params": draw(prefer(params)),
    }
    if draw(st.integers(0, 9)):
        document["id"] = draw(prefer(1, "a"))
    headers = {
        "MCP-Protocol-Version": draw(prefer(REVISION, REVISION, "2025-11-25", None)),
        "Mcp-Method": draw(prefer(method)),
        "Mcp-Name": draw(prefer(name)),
    }
    body = json.dumps(document)
    form = draw(prefer("whole", "whole", "whole", "cut", "deep", "batch"))
    if form == "cut":
        body = body[: draw(st.integers(0, len(body)))]
    if form == "deep":
        depth = draw(st.sampled_from([100, 400, 900, 2_000, 100_000]))
        body = body.replace("1", "[" * depth + "]" * depth, 1)
    if form == "batch":
        body = f"[{body}]"
    return headers, body.encode()


@settings(max_examples=200, derandomize=True, database=None, deadline=None)
@given(message=messages())
def test_no_message_is_a_bug(
    service: Service, sender: httpx2.Client, message: tuple[dict[str, Any], bytes]
) -> None:
    """Whatever is sent, the answer is JSON-RPC's and blames the sender, never the service."""
    headers = [(b"Content-Type", b"application/json")]
    for name, value in message[0].items():
        if isinstance(value, str) and re.fullmatch(r"[\x21-\x7e\xa0-\xff]+", value):
            headers.append((name.encode(), value.encode("latin-1")))
    answer = sender.post("/mcp", content=message[1], headers=headers)
    assert answer.status_code in (200, 202, 400, 404)
    if answer.status_code == 202:
        assert not answer.content
        return
    reply = answer.json()
    assert reply["jsonrpc"] == "2.0"
    if "error" in reply:
        assert reply["error"]["code"] in (-32700, -32600, -32601, -32602, -32020, -32022)
    assert "Traceback" not in service.log.read_text()
