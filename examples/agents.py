"""Notes as tools for agents: `uvicorn examples.agents:app` serves the notes, and MCP at /mcp.

It needs the official SDK: `pip install -r requirements-agents.txt`. A tool's call is a request
to the app itself, with the agent's key, so it has the bounds and the errors of all others.
In production the Procfile's line names examples.agents:app in place of main:app.
"""

import json
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx2
from fastapi import Request, Response
from mcp.server import Server, ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)
from pydantic import BaseModel, TypeAdapter
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

import main
from main import app


# Tools
class NoteId(BaseModel):
    """Which note it is."""

    note_id: main.Id


class NoteChange(main.NotePatch):
    """Which note it is, and what changes in it."""

    note_id: main.Id


class Notes(BaseModel):
    """A page of notes, and what its headers tell."""

    notes: list[main.Note]
    next: str = main.optional(description="The arguments of the page after this one.")
    total: int = main.optional(description="How many there are, if `count` was true.")


def describe(
    name: str, arguments: Any, result: Any, hints: ToolAnnotations, description: str
) -> Tool:
    """Return what an agent is told of a tool; its bounds are those of the service's models."""
    return Tool(
        name=name,
        description=description,
        input_schema=TypeAdapter(arguments).json_schema(),
        output_schema=TypeAdapter(result).json_schema(),
        annotations=hints,
    )


LIST = describe(
    "list_notes",
    main.NoteQuery,
    Notes,
    ToolAnnotations(read_only_hint=True, open_world_hint=False),
    "List notes: 20 of them, the oldest first, unless the arguments say otherwise. `q` keeps those"
    " whose text contains it in upper or lower case, `completed` the done or the open ones, and"
    " `id` those of these ids. Where there are more, `next` holds the arguments of the next call."
    " With `count`, `total` tells how many there are in all.",
)
CREATE = describe(
    "create_note",
    main.NoteIn,
    main.Note,
    ToolAnnotations(destructive_hint=False, idempotent_hint=False, open_world_hint=False),
    "Store a new note, and return it with its id. Two calls make two notes.",
)
CHANGE = describe(
    "change_note",
    NoteChange,
    main.Note,
    ToolAnnotations(destructive_hint=True, idempotent_hint=True, open_world_hint=False),
    "Change the text of a note, mark it as completed or not, or both, and return the note as it"
    " then is. What is left out stays as it was; a text replaces the whole text before it.",
)
DELETE = describe(
    "delete_note",
    NoteId,
    main.Note,
    ToolAnnotations(destructive_hint=True, idempotent_hint=True, open_world_hint=False),
    "Delete a note for good, and return what it was. One that is done is completed rather, by"
    " change_note.",
)
METHODS = {
    LIST.name: "GET",
    CREATE.name: "POST",
    CHANGE.name: "PATCH",
    DELETE.name: "DELETE",
}


# Calls
async def call_inside(
    inner: ASGIApp, method: str, path: str, headers: Any, body: bytes = b""
) -> httpx2.Response:
    """Return what an app of this process answers; a client would keep its cookies."""
    url = f"http://inside{path}"
    request = httpx2.Request(method, url, headers=headers, content=body)
    response = await httpx2.ASGITransport(inner).handle_async_request(request)
    await response.aread()
    return response


def as_text(value: Any) -> str:
    """Return an argument as a URL has it."""
    return value if isinstance(value, str) else json.dumps(value)


def note_path(note_id: Any) -> str:
    """Return the path of a note, whatever an agent takes for its id."""
    segment = quote(as_text(note_id), safe="", errors="surrogatepass")
    return f"/notes/{segment.replace('.', '%2E')}/"  # .. would lead out of the notes


def list_path(arguments: dict[str, Any]) -> str:
    """Return the path and the query of a list; a null is a parameter that is left out."""
    query = {}
    for name, value in arguments.items():
        values = value if isinstance(value, list) else [value]
        query[name] = [as_text(each) for each in values if each is not None]
    return "/notes/?" + urlencode(query, doseq=True, errors="surrogatepass")


def as_page(response: httpx2.Response) -> dict[str, Any]:
    """Return a list with what its headers say."""
    page = {"notes": response.json()}
    if "next" in response.links:
        page["next"] = urlsplit(response.links["next"]["url"]).query
    if "X-Total-Count" in response.headers:
        page["total"] = int(response.headers["X-Total-Count"])
    return page


async def list_tools(
    _: ServerRequestContext[Any, Request], __: PaginatedRequestParams | None
) -> ListToolsResult:
    """Return what there is to call."""
    return ListToolsResult(tools=[LIST, CREATE, CHANGE, DELETE])


async def call_tool(
    context: ServerRequestContext[Any, Request], params: CallToolRequestParams
) -> CallToolResult:
    """Return what the service answers; what it refuses is a result that says why."""
    if params.name not in METHODS:
        raise MCPError(INVALID_PARAMS, "There is no tool of this name.")
    arguments = dict(params.arguments or {})
    path = "/notes/"
    if params.name == LIST.name:
        path = list_path(arguments)
    if params.name in (CHANGE.name, DELETE.name):
        path = note_path(arguments.pop("note_id", None))
    headers = {"Content-Type": "application/json"}
    if context.request and "authorization" in context.request.headers:
        headers["Authorization"] = context.request.headers["authorization"]
    body = json.dumps(arguments).encode()
    response = await call_inside(app, METHODS[params.name], path, headers, body)
    if response.is_error:
        reason = TextContent(text=response.json()["detail"])
        return CallToolResult(content=[reason], is_error=True)
    result = as_page(response) if params.name == LIST.name else response.json()
    text = TextContent(text=json.dumps(result, ensure_ascii=False))
    return CallToolResult(content=[text], structured_content=result)


# Endpoint
server = Server(
    "notes",
    title=app.title,
    version=app.version,
    on_list_tools=list_tools,
    on_call_tool=call_tool,
)


async def speak(scope: Scope, receive: Receive, send: Send) -> None:
    """Have a message answered by the SDK, which keeps nothing for the next one.

    So any worker may get that.
    """
    manager = StreamableHTTPSessionManager(
        server,
        json_response=True,
        stateless=True,
        max_request_body_size=main.settings.MAX_BODY_BYTES,
    )
    async with manager.run():
        await manager.handle_request(scope, receive, send)


async def cors_allows(origin: str) -> bool:
    """Tell whether a page of an origin may call the app."""
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    return (await call_inside(app, "OPTIONS", "/mcp/", headers)).is_success


main.OPENAPI_TAGS.append({"name": "mcp", "description": "The notes as tools of agents."})


@app.post(
    "/mcp/",
    openapi_extra={
        "requestBody": {
            "content": {"application/json": {"schema": {"type": "object"}}},
            "required": True,
        }
    },
    responses={
        200: {"description": "The result of a call"},
        202: {"description": "A notification was taken"},
        400: {"description": "An error of the protocol"},
        404: {"description": "The protocol has no such method"},
        **main.document_problems(403, 413, 415),
    },
)
async def call_by_mcp(request: Request) -> Response:
    """Answer a message of the Model Context Protocol (2026-07-28, and older ones)."""
    origin = request.headers.get("origin")
    if origin is not None and not await cors_allows(origin):
        raise HTTPException(403, "Pages of this origin may not call this service.")
    main.check_media_type(request)
    headers = [(b"content-type", b"application/json"), (b"accept", b"*/*")]
    for name, value in request.headers.raw:
        if name == b"authorization" or name.startswith(b"mcp-"):
            headers.append((name, value))
    reply = await call_inside(speak, "POST", "/mcp/", headers, await request.body())
    kept = {"Cache-Control": "no-store", **main.NOSNIFF}
    return Response(reply.content, reply.status_code, kept, "application/json")
