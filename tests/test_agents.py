"""The tools of examples/agents.py, called by the official client over HTTP."""

import ast
import json
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures import ORIGIN, problem
from tests.servers import ROOT, Service, environment, free_port, run_python, skip

try:
    from mcp import Client, StdioServerParameters, stdio_client
    from mcp.client.streamable_http import streamable_http_client
except ModuleNotFoundError:
    skip("not installed: examples/requirements-agents.txt")

APP = "examples.agents:app"
MODES = ("auto", "2026-07-28", "legacy")
CLIENT = {"capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
PARAMETERS = {"protocolVersion": "2025-11-25", **CLIENT}
INITIALIZE = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": PARAMETERS}
BOTH = {"Accept": "application/json, text/event-stream"}
# Of a page that may call.
LOCAL = {**BOTH, "Origin": "http://localhost:6274", "Content-Type": "application/json"}


@asynccontextmanager
async def talk(service: Service, mode: str = "auto") -> AsyncIterator[Client]:
    """Lend the official client of a service.

    Each of its requests is a connection of its own, which any worker may get.
    """
    limits = httpx2.Limits(max_keepalive_connections=0)
    async with httpx2.AsyncClient(limits=limits, timeout=30) as http:
        transport = streamable_http_client(f"{service.url}/mcp", http_client=http)
        async with Client(transport, mode=mode) as client:
            yield client


@pytest.mark.anyio
@pytest.mark.parametrize("mode", MODES)
async def test_a_talk_is_answered_word_for_word(
    service: Service, http: httpx2.Client, mode: str
) -> None:
    """What is made, changed and deleted by tools comes back, as text too, and is what HTTP has."""
    async with talk(service, mode) as client:

        async def call(tool: str, **arguments: Any) -> Any:
            answer: Any = await client.call_tool(tool, arguments)
            assert not answer.is_error
            assert json.loads(answer.content[0].text) == answer.structured_content
            return answer.structured_content

        note = await call("create_note", text="Käse 🧀 kaufen")
        assert note == {**note, "text": "Käse 🧀 kaufen", "completed": False}
        assert http.get("/notes/").json() == [note]
        page = await call("list_notes", q="käse", count=True, completed=None)
        assert page == {"notes": [note], "next": None, "total": 1}
        # Some clients send whole numbers as 1.0, and a text may look like JSON.
        note_id = float(note["id"])
        completed_note = {**note, "completed": True}
        answer = await call("change_note", note_id=note_id, text=None, completed=True)
        assert answer == completed_note
        note = {**completed_note, "text": '{"a": [null]}'}
        assert await call("change_note", note_id=note_id, text=note["text"]) == note
        assert http.get("/notes/").json() == [note]
        assert (await call("list_notes", q="[null]"))["notes"] == [note]
        assert await call("delete_note", note_id=note_id) == note
        page = await call("list_notes", q="null")
        assert page == {"notes": [], "next": None, "total": None}


@pytest.mark.anyio
async def test_tools_are_described_for_a_model(service: Service) -> None:
    """It gets titles, descriptions, the service's bounds, and what a call may do."""
    async with talk(service) as client:
        assert "no instruction" in str(client.instructions)
        tools: list[Any] = (await client.list_tools()).tools
    names = ["list_notes", "create_note", "change_note", "delete_note"]
    assert [tool.name for tool in tools] == names
    assert all(tool.title and tool.description.endswith(".") for tool in tools)
    schemas = [tool.input_schema for tool in tools]
    required = [schema.get("required", []) for schema in schemas]
    assert required == [[], ["text"], ["note_id"], ["note_id"]]
    assert schemas[0]["properties"]["take"]["maximum"] == 1_000
    assert schemas[1]["properties"]["text"]["maxLength"] == 65_536
    assert "total" in schemas[0]["properties"]["count"]["description"]
    assert "X-Total-Count" not in json.dumps(schemas)
    assert all(tool.output_schema["type"] == "object" for tool in tools)
    hints = [tool.annotations for tool in tools]
    assert [hint.read_only_hint for hint in hints] == [True, None, None, None]
    # What is not said may be destructive.
    assert [hint.destructive_hint for hint in hints] == [None, False, None, None]


@pytest.mark.anyio
@pytest.mark.parametrize("order", [{}, {"sort": "-id"}, {"sort": "text", "skip": 0}])
async def test_next_leads_through_all_notes(
    service: Service, http: httpx2.Client, order: dict[str, Any]
) -> None:
    """Whoever calls again with `next` as the arguments sees each note once, in order."""
    notes = [http.post("/notes/", json={"text": f"a & {n}"}).json() for n in range(5)]
    if order.get("sort") == "-id":
        notes.reverse()
    seen = []
    arguments: Any = {"take": 2, "q": "A &", "completed": False, **order}
    async with talk(service) as client:
        while arguments is not None:
            result = await client.call_tool("list_notes", arguments)
            assert result.structured_content
            seen += result.structured_content["notes"]
            arguments = result.structured_content["next"]
    assert seen == notes


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("create_note", {}, "text: is missing"),
    ("create_note", {"text": None}, "text: is missing"),
    ("create_note", {"text": 5}, "text: Input should be a valid string"),
    ("create_note", {"text": "x" * 65_537}, "text: String should have at most 65536"),
    ("create_note", {"text": "a\0b"}, "text: "),
    ("create_note", {"text": "x", "done": True}, "create_note takes only these"),
    ("change_note", {"text": "x"}, "note_id: is missing"),
    ("change_note", {"note_id": 0, "text": "x"}, "note_id: "),
    ("change_note", {"note_id": 2**63, "text": "x"}, "note_id: "),
    ("change_note", {"note_id": 2**63 - 1}, f"There is no note with id {2**63 - 1}."),
    ("delete_note", {"note_id": {"id": 1}}, "note_id: "),
    ("delete_note", {"note_id": 1.5}, "note_id: "),
    ("list_notes", {"limit": 5}, "list_notes takes only these arguments: q, complet"),
    ("list_notes", {"take": 1_001}, "take: "),
    ("list_notes", {"sort": "colour"}, "sort: Input should be 'id', '-id', 'text'"),
    ("list_notes", {"sort": "text", "after": 1}, "Value error, after goes with"),
    ("list_notes", {"q": "x" * 1_001}, "q: String should have at most 1000"),
    ("drop_table", {}, "Unknown tool: drop_table"),
]


@pytest.mark.anyio
async def test_what_is_refused_is_a_result_that_says_why(
    service: Service, http: httpx2.Client
) -> None:
    """A model is told what was wrong, briefly, and nothing is changed or logged as a bug."""
    note = http.post("/notes/", json={"text": "as it is"}).json()
    async with talk(service) as client:
        for tool, arguments, reason in REFUSED:
            result: Any = await client.call_tool(tool, arguments)
            text = result.content[0].text
            assert result.is_error, (tool, arguments)
            assert text.startswith(reason), (tool, arguments)
            assert len(text) < 200, (tool, arguments)
    assert http.get("/notes/").json() == [note]
    assert "Traceback" not in service.log.read_text()


@pytest.mark.anyio
async def test_a_database_that_is_away_is_a_result_that_says_so(tmp_path: Path) -> None:
    """A model is told to try again."""
    url = f"postgresql://127.0.0.1:{free_port()}/notes"
    with Service.uvicorn(tmp_path, APP, DATABASE_URL=url, POOL_TIMEOUT="0.5") as service:
        async with talk(service) as client:
            result: Any = await client.call_tool("list_notes")
        assert result.is_error
        assert result.content[0].text.endswith("nothing was changed, so try again.")
        assert "Traceback" not in service.log.read_text()


def test_a_key_is_asked_for(tmp_path: Path) -> None:
    """Without the key /mcp is 401; with it, the program of the documentation stores a note."""
    text = (ROOT / "docs/extras.md").read_text()
    program = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[-1]
    with Service.uvicorn(tmp_path, APP, API_KEYS="KEY") as service:
        assert ask(service.url) == ask(service.url, Authorization="Bearer wrong") == 401
        program = program.replace("http://127.0.0.1:8001", service.url)
        printed = subprocess.check_output([sys.executable, "-c", program], text=True)
    note = ast.literal_eval(printed)
    assert note == {**note, "text": "fix tap in kitchen sink", "completed": False}


def ask(url: str, **headers: str) -> int:
    """Return the status of a first message with these headers."""
    response = httpx2.post(f"{url}/mcp", json=INITIALIZE, headers={**BOTH, **headers})
    return response.status_code


def test_only_loopback_pages_may_call_where_none_are_listed(service: Service) -> None:
    """For MCP the default * allows no other site, nor another name that leads to this machine."""
    name = f"localhost:{service.port}"
    assert ask(service.url, Origin="http://localhost:6274") == 200
    assert ask(service.url, Host=name, Origin=f"http://[::1]:{service.port}") == 200
    for origin in (ORIGIN, "null", "http://localhost.evil.example"):
        assert ask(service.url, Origin=origin) == 403
    for host in ("evil.example", f"{name}.evil.example", f"evil.{name}"):
        assert ask(service.url, Host=host) == 403


def test_pages_of_listed_origins_may_call_by_any_host(tmp_path: Path) -> None:
    """Those that CORS names, one by one or by a pattern, and no other, also not of loopback."""
    pattern = r"https://[a-z]+\.preview\.example"
    settings = {"CORS_ORIGINS": ORIGIN, "CORS_ORIGIN_REGEX": pattern}
    with Service.uvicorn(tmp_path, APP, **settings) as service:
        for origin in (ORIGIN, "https://a.preview.example", ""):
            assert ask(service.url, Origin=origin, Host="notes.example") == 200
        for origin in ("https://evil.example", "http://localhost:6274", "null"):
            assert ask(service.url, Origin=origin, Host="notes.example") == 403


def test_a_service_for_others_is_called_by_any_host(tmp_path: Path) -> None:
    """At an address that is not of loopback, whatever Host there is; foreign pages are refused."""
    addresses = [each for group in psutil.net_if_addrs().values() for each in group]
    hosts = [each.address for each in addresses if each.family == socket.AF_INET]
    hosts = [host for host in hosts if not host.startswith("127.")]
    if not hosts:
        skip("this machine has no address but those of loopback")
    port = str(free_port())
    settings = {"GUNICORN_CMD_ARGS": f"--bind=0.0.0.0:{port}", "WEB_CONCURRENCY": "1"}
    with Service.gunicorn(tmp_path, APP, PORT=port, **settings) as service:
        url = f"http://{hosts[0]}:{service.port}"
        assert ask(url, Host="notes.example") == 200
        assert ask(url, Host="notes.example", Origin=ORIGIN) == 403


def test_what_is_no_call_is_refused_in_the_one_shape(visitor: httpx2.Client) -> None:
    """Other methods are 405, a foreign page 403, and what is too long 413."""
    for method in ("GET", "DELETE", "PUT"):
        answer = visitor.request(method, "/mcp", headers=BOTH)
        assert problem(answer) == 405
        assert answer.headers["Allow"] == "POST"
    assert problem(visitor.post("/mcp", json=INITIALIZE, headers=BOTH)) == 403
    for content in (b" " * 1_048_577, iter([b" " * 1_048_577])):
        assert problem(visitor.post("/mcp", content=content, headers=LOCAL)) == 413


TEXTS = st.text(st.characters(codec=None))  # also what no encoding has
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=6,
)
NAMES = ["note_id", "text", "completed", "skip", "take", "sort", "after", "count", "q"]
ARGUMENTS = st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=3) | ANYTHING


@settings(max_examples=100, derandomize=True, database=None, deadline=None)
@given(tool=st.sampled_from(["list_notes", "create_note"]), arguments=ARGUMENTS)
def test_no_arguments_are_a_bug(
    visitor: httpx2.Client, tool: str, arguments: Any
) -> None:
    """Whatever is sent, the answer is JSON-RPC's and blames the sender, never the service."""
    params = {"name": tool, "arguments": arguments}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    answer = visitor.post("/mcp", content=json.dumps(body), headers=LOCAL)
    assert answer.status_code in (200, 400)
    assert "Error executing tool" not in answer.text  # as the SDK says of bugs
    assert answer.json()["jsonrpc"] == "2.0"


@pytest.mark.anyio
async def test_an_agent_is_served_by_standard_input_and_output(tmp_path: Path) -> None:
    """The documentation's command stores a note without HTTP."""
    text = (ROOT / "docs/extras.md").read_text()
    [script] = re.findall(r'-c "(from examples.agents .*?)"', text)
    variables = environment(DATABASE_URL=f"sqlite:///{tmp_path}/notes.db")
    server = StdioServerParameters(
        command=sys.executable, args=["-c", script], env=variables, cwd=ROOT
    )
    async with Client(stdio_client(server)) as client:
        answer = await client.call_tool("create_note", {"text": "x"})
    assert answer.structured_content == {"id": 1, "text": "x", "completed": False}


def test_a_start_without_the_sdk_says_what_to_install(tmp_path: Path) -> None:
    """It ends with one line."""
    (tmp_path / "mcp.py").write_text("raise ModuleNotFoundError('No mcp')")
    result = run_python("-m", "uvicorn", APP, "--port", "0", PYTHONPATH=str(tmp_path))
    assert result.returncode == 4
    [line] = result.stderr.splitlines()
    assert line.endswith("No mcp: pip install -r examples/requirements-agents.txt")
