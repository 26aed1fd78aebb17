"""Notes: a complete notes service over HTTP, on SQLite or on Postgres, in one module."""

import asyncio
import hashlib
import hmac
import logging
import re
import sqlite3
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import lru_cache, partial
from http import HTTPStatus
from pathlib import Path as File
from typing import Annotated, Any, Literal, NoReturn
from urllib.parse import parse_qsl, unquote, urlencode

import asyncpg
import sqlalchemy as sa
import uvicorn
from databases import Database
from databases.core import Connection
from fastapi import FastAPI, Header, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, BeforeValidator, Field, StrictBool, TypeAdapter, ValidationError
from pydantic import model_validator
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import to_json
from sqlalchemy.dialects.postgresql import asyncpg as postgresql
from sqlalchemy.dialects.sqlite import aiosqlite as sqlite
from starlette.config import Config
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import NotRequired, TypedDict  # pydantic takes typing's from 3.12 on

log = logging.getLogger("uvicorn.error")  # the one that uvicorn and gunicorn's worker both set up

# Configuration

env_file = File(__file__).with_name(".env")
config = Config(env_file if env_file.is_file() else None)


def refuse(name: str, reason: str) -> NoReturn:
    """End the process before it serves, with one line about a variable."""
    print(f"{name}: {reason}", file=sys.stderr)
    raise SystemExit(4)  # gunicorn's own for an app that cannot load; it would retry any other


def setting(name: str, default: Any, kind: Any = str, reason: str = "", **bounds: Any) -> Any:
    """Return a variable, or its default if it is unset or empty; refuse what is out of bounds."""
    try:
        adapter = TypeAdapter[Any](Annotated[kind, Field(**bounds)])
        return adapter.validate_python(config(name, default="") or default)
    except ValidationError as error:
        refuse(name, reason or error.errors()[0]["msg"])


tutorial = sa.URL.create(
    "postgresql",
    setting("db_username", "postgres"),
    setting("db_password", "secret"),
    setting("host_server", ""),
    setting("db_server_port", 5432, int, ge=0, le=65_535),
    setting("database_name", "fastapi"),
    {"sslmode": setting("ssl_mode", "prefer")},
)
DATABASE_URL: str = setting(
    "DATABASE_URL",
    tutorial.render_as_string(hide_password=False) if tutorial.host else "sqlite:///./notes.db",
    reason="must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/DATABASE, "
    "with the special characters of each part percent-encoded",
    pattern=r"^(sqlite:///[^?#]+|postgres(ql)?(\+asyncpg)?://([^@/?#\s]*@)?"
    r"((\[[^\]\s]+\]|[^@/?#\s,:\[\]]*)(:\d{1,5})?,?)*(/[^/?#\s]*)?(\?[^#\s]*)?)$",
)
SQLITE = DATABASE_URL.startswith("sqlite")
POOL_SIZE: int = setting("POOL_SIZE", 5, int, ge=1, le=1_000)
MAX_OVERFLOW: int = setting("MAX_OVERFLOW", 0, int, ge=0, le=1_000)
POOL_TIMEOUT: float = setting("POOL_TIMEOUT", 2, float, gt=0, le=3_600)
DB_TIMEOUT: float = setting("DB_TIMEOUT", 5, float, gt=0, le=3_600)
CORS_ORIGIN_REGEX: str = setting("CORS_ORIGIN_REGEX", "", re.Pattern[str]).pattern
CORS_ORIGINS: str = setting(
    "CORS_ORIGINS",
    "" if CORS_ORIGIN_REGEX else "*",
    reason="must be * alone, or origins such as https://app.example with commas between",
    pattern=r"^(\*|((^|,\s*)(null|[\w.+-]+://[^\s,/*]+)\s*)*)$",
)
API_KEYS: str = setting("API_KEYS", "", reason="must hold a key", pattern=r"^$|[^\s,]")
MAX_BODY_BYTES: int = setting("MAX_BODY_BYTES", 1_048_576, int, ge=1)
HOST: str = setting("HOST", "127.0.0.1")
PORT: int = setting("PORT", 8000, int, ge=0, le=65_535)

# Table

metadata = sa.MetaData()
notes = sa.Table(
    "notes",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("text", sa.String, nullable=False),
    sa.Column("completed", sa.Boolean, nullable=False),
    sqlite_autoincrement=True,  # as on Postgres, the id of a deleted note never comes back
)
# In a table that the tutorial made, both may be NULL.
TEXT = sa.func.coalesce(notes.c.text, sa.literal_column("''"))
COMPLETED = sa.func.coalesce(notes.c.completed, sa.false())
NOTE = (notes.c.id, TEXT, COMPLETED)

# Models

# pydantic itself would take 1.0, +1 and 1_000 as well.
Digits = BeforeValidator(lambda given: given if re.fullmatch("-?[0-9]{1,20}", str(given)) else None)
Whole = Annotated[int, Field(ge=0, le=2**63 - 1), Digits]
Id = Annotated[Whole, Field(ge=1)]
NoteId = Annotated[Id, Path()]
Flag = Annotated[StrictBool, BeforeValidator({"true": True, "false": False}.get)]
# Postgres stores no U+0000; pydantic itself refuses lone surrogates.
Text = Annotated[str, Field(max_length=65_536, pattern=r"^[^\x00]*$")]
Search = Annotated[str, Field(max_length=1_000, pattern=r"^[^\x00]*$")]
Absent: Any = Field(default_factory=type(None))  # a default of None that OpenAPI does not show
IfMatch = Annotated[list[str] | SkipJsonSchema[None], Header()]

Note = TypedDict("Note", {"id": int, "text": str, "completed": bool})
DeletedNote = TypedDict("DeletedNote", {"id": int, "text": str, "completed": bool, "message": str})
NoteIn = TypedDict("NoteIn", {"text": Text, "completed": NotRequired[StrictBool]})
NoteUpdate = TypedDict("NoteUpdate", {"text": Text, "completed": StrictBool})
NotePatch = TypedDict("NotePatch", {"text": Text, "completed": StrictBool}, total=False)
Problem = TypedDict(
    "Problem",
    {
        "type": str,
        "title": str,
        "status": int,
        "detail": str,
        "message": str,
        "errors": NotRequired[dict[str, str]],
    },
)

# json-server's names for ours; its `_order` is our minus sign.
JSON_SERVER = {"_start": "skip", "_end": "take", "_sort": "sort", "text_like": "q"}


class Page(BaseModel):
    """Which part of a list is asked for."""

    skip: Whole = 0
    take: Annotated[Whole, Field(le=100)] = 20
    sort: Literal["id", "-id"] = "id"
    after: Id = Absent
    count: Flag = False

    @model_validator(mode="before")
    @classmethod
    def json_server(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Rewrite json-server's parameters into ours; its clients expect the total."""
        if given.keys().isdisjoint([*JSON_SERVER, "_order"]):
            return given
        ours = {JSON_SERVER.get(name, name): value for name, value in given.items()}
        start, end = given.get("_start", "0"), given.get("_end", "")
        if start.isdecimal() and end.isdecimal():
            ours["take"] = int(end) - int(start)
        if given.get("_order", "").lower() == "desc":
            ours["sort"] = "-" + ours.get("sort", "id")
        return {**ours, "count": "true"}

    @classmethod
    def parameters(cls) -> dict[str, Any]:
        """Return the parameters in OpenAPI's form."""
        fields = cls.model_json_schema()["properties"].items()
        return {"parameters": [{"in": "query", "name": name, "schema": s} for name, s in fields]}


class NotePage(Page):
    """Which notes are asked for, and in what order."""

    sort: Literal["id", "-id", "text", "-text", "completed", "-completed"] = "id"  # type: ignore[assignment]  # wider
    completed: Flag = Absent
    q: Search = Absent
    id: Annotated[list[Id], Field(max_length=100)] = []


# Queries

parameter: Any = partial(sa.bindparam, type_=sa.BigInteger)
text, completed = parameter("text", type_=sa.String), parameter("completed", type_=sa.Boolean)
THIS = notes.c.id == parameter("id")
# For If-Match: the note is still as it was read. NULL switches it off.
STILL = sa.and_(
    TEXT == sa.func.coalesce(parameter("old_text", type_=sa.String), TEXT),
    COMPLETED == sa.func.coalesce(parameter("old_completed", type_=sa.Boolean), COMPLETED),
)
# What a patch leaves out is NULL here, and stays.
CHANGED = {
    "text": sa.func.coalesce(text, TEXT),
    "completed": sa.func.coalesce(completed, COMPLETED),
}


Statement = tuple[str, Sequence[str]]  # SQL, and the names of its parameters in their order


def compiled(query: sa.ClauseElement) -> Statement:
    """Return a query ready to run; to compile it takes longer than the rest of a request."""
    dialect: Any = sqlite.dialect if SQLITE else postgresql.dialect
    sql: Any = query.compile(dialect=dialect())
    return str(sql), getattr(sql, "positiontup", None) or ()


READY = compiled(sa.select(*NOTE).where(sa.false()))
CREATE = compiled(sa.insert(notes).values(text=text, completed=completed).returning(*NOTE))
READ = compiled(sa.select(*NOTE).where(THIS))
UPDATE = compiled(sa.update(notes).values(CHANGED).where(THIS, STILL).returning(*NOTE))
DELETE = compiled(sa.delete(notes).where(THIS, STILL).returning(*NOTE))


@lru_cache(maxsize=256)
def list_statements(sort: str, given: frozenset[str], ids: int) -> tuple[Statement, Statement]:
    """Return the two statements of a kind of list: a page of its notes, and their number."""
    wanted = sa.select(*NOTE)
    if "completed" in given:
        wanted = wanted.where(COMPLETED == completed)
    if "q" in given:
        q = parameter("q", type_=sa.String)
        wanted = wanted.where(notes.c.text.icontains(q, escape="/"))
    if ids:
        wanted = wanted.where(notes.c.id.in_([parameter(f"id{n}") for n in range(ids)]))
    total = sa.select(sa.func.count()).select_from(wanted.subquery())
    if "after" in given:
        cursor = parameter("after")
        wanted = wanted.where(notes.c.id < cursor if sort == "-id" else notes.c.id > cursor)
    # By code point, as SQLite does: Postgres alone would follow its locale.
    by_code = sa.collate(TEXT, "BINARY" if SQLITE else "C")
    column = {"id": notes.c.id, "text": by_code, "completed": COMPLETED}[sort.removeprefix("-")]
    order = column.desc() if sort.startswith("-") else column
    page = wanted.order_by(order, notes.c.id).limit(parameter("take")).offset(parameter("skip"))
    return compiled(page), compiled(total)


# Database

PARAMETERS = (  # that asyncpg, or else the server, knows: with any other no connection comes about
    "host port user password passfile dbname database service krbsrvname gsslib sslmode sslcert "
    "sslkey sslrootcert sslcrl sslpassword sslnegotiation ssl_min_protocol_version "
    "ssl_max_protocol_version target_session_attrs application_name options search_path"
).split()
PATIENCE, PAUSE = (DB_TIMEOUT, 0.005) if SQLITE else (POOL_TIMEOUT, 0.05)
asyncpg_own = (asyncpg.InterfaceError, asyncpg.InternalClientError)
FAILURES = (OSError, sqlite3.DatabaseError, asyncpg.PostgresError, *asyncpg_own)
# Beginnings of SQLSTATEs and of SQLite's names. All that is in none of the three is a bug.
BUSY = ("25", "26", "40", "42P05", "53", "55", "57014", "SQLITE_BUSY", "SQLITE_LOCKED")
BROKEN = ("42501", "58", "SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY")
LOST = ("08", "57")


async def keep(connection: object) -> None:
    """Leave a connection as it is: no request sets state, and a reset is one more round trip."""


def open_database() -> Database:
    """Return the database that DATABASE_URL names, not connected yet."""
    address, _, query = re.sub(r"^postgres[^:]*", "postgresql", DATABASE_URL).partition("?")
    if SQLITE:
        if not File(unquote(address.removeprefix("sqlite:///"))).absolute().parent.is_dir():
            refuse("DATABASE_URL", "must name a file in a folder that exists")
        return Database(address, timeout=0)  # run() waits for locks, so that nobody else has to
    given = dict(parse_qsl(re.sub(r"\bssl=", "sslmode=", query)))  # SQLAlchemy's name for it
    cache = given.pop("statement_cache_size", "100")
    for name in given.keys() - PARAMETERS:
        log.warning("DATABASE_URL: the parameter %r is not one of asyncpg's and is dropped", name)
        del given[name]
    return Database(
        "postgresql://",  # asyncpg reads the URL: databases loses sslmode, refuses several hosts
        dsn=f"{address}?{urlencode(given)}".removesuffix("?"),
        database=None,
        min_size=0,
        max_size=POOL_SIZE + MAX_OVERFLOW,
        command_timeout=1,  # of asyncpg's own errands, such as cancelling
        statement_cache_size=int(cache) if cache.isdecimal() else 100,
        reset=keep,
    )


database = open_database()
shared: Connection | None = None  # SQLite's one connection


def definitions() -> list[str]:
    """Return the SQL that makes the tables that are not there."""
    tables = metadata.sorted_tables
    return [compiled(sa.schema.CreateTable(table, if_not_exists=True))[0] for table in tables]


async def send(raw: Any, sql: str, values: list[Any]) -> Any:
    """Return the rows of a statement, on the driver's own connection."""
    if SQLITE:
        return await raw.execute_fetchall(sql, values)
    try:
        return await raw.fetch(sql, *values, timeout=DB_TIMEOUT)
    except asyncpg.UndefinedTableError:
        # One transaction under a lock: IF NOT EXISTS alone fails when two workers race.
        script = ["SELECT pg_advisory_xact_lock(730314)", *definitions()]
        await raw.execute(";".join(script), timeout=DB_TIMEOUT)
        return await raw.fetch(sql, *values, timeout=DB_TIMEOUT)
    except asyncpg.ReadOnlySQLTransactionError:
        raw.terminate()  # of a demoted primary: who connects again finds the new one
        raise


async def run(statement: Statement, **given: Any) -> Any:
    """Return the rows of a statement; a parameter that is not given is NULL.

    What changed nothing is sent again until PATIENCE ends and answered by 503 then; 504 when
    nobody can know whether it changed something.
    """
    sql, parameters = statement
    values, writes = [given.get(name) for name in parameters], not sql.startswith("SELECT")
    now = asyncio.get_running_loop().time
    started = now()
    while True:
        sent = False
        connection = shared or database.connection()
        try:
            async with asyncio.timeout_at(started + PATIENCE):
                await connection.__aenter__()
            try:
                sent = True
                return await send(connection.raw_connection, sql, values)
            finally:
                await connection.__aexit__()
        except FAILURES as error:
            # Without a code, asyncpg found the connection broken or waited for too long.
            code = str(getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", "08"))
            refused = not sent or code.startswith(BUSY + BROKEN)
            if not refused and not code.startswith(LOST):
                raise
            unknown = not refused and (writes or isinstance(error, TimeoutError))
            if not unknown and not code.startswith(BROKEN) and now() < started + PATIENCE:
                await asyncio.sleep(PAUSE)
                continue
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            log.warning("No rows after %.2f s: %s", now() - started, reason)
            if unknown:
                fate = "; the change may have been applied." if writes else "."
                raise HTTPException(504, f"The database did not answer in time{fate}") from None
            detail = "The database is not available; nothing was changed, so try again."
            raise HTTPException(503, detail, {"Retry-After": "1"}) from None


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Open the database and make the tables; start without them while Postgres is away."""
    global shared
    async with database, database.connection() if SQLITE else nullcontext() as shared:
        if shared:  # whose own lower() knows ASCII only
            await shared.raw_connection.create_function("lower", 1, str.lower, deterministic=True)
            for sql in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", *definitions()):
                await run((sql, ()))
        elif not API_KEYS:
            log.warning("API_KEYS is unset: whoever reaches this service can change every note")
        try:
            await run(READY)
        except HTTPException:
            log.warning("The database is away; the service starts and waits for it")
        yield


# Errors

SENTENCES = {  # for what Starlette, FastAPI and pydantic say in too few words or too many
    "Not Found": "There is nothing at this path.",
    "Method Not Allowed": "This path does not take this method, but those in Allow.",
    "There was an error parsing the body": "The body is not JSON.",
    "string_pattern_mismatch": "must not contain U+0000",
    "string_unicode": "must not contain a lone surrogate",
}


def problem(status: int, detail: str, headers: Any = None, **members: Any) -> Response:
    """Return an error in the one shape that all have (RFC 9457)."""
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    content = to_json({**body, "message": detail, **members})
    headers = {"X-Content-Type-Options": "nosniff", **(headers or {})}
    return Response(content, status, headers, "application/problem+json")


async def refused(request: Request, error: Any) -> Response:
    """Return an HTTPException as a problem."""
    headers = dict(error.headers or {})
    if error.status_code == 405:  # Starlette names the methods of the path's first route only
        routes = [route for route in app.routes if isinstance(route, Route)]
        found = [r.methods or () for r in routes if r.matches(request.scope)[0] != Match.NONE]
        methods = {*found[0]}.union(*found)
        headers["Allow"] = ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
    return problem(error.status_code, SENTENCES.get(error.detail, error.detail), headers)


async def invalid(request: Request, error: Any) -> Response:
    """Return what is wrong with a request as a problem that names each wrong part."""
    if isinstance(getattr(error, "body", None), bytes):  # FastAPI parses what is declared as JSON
        return problem(415, "The body must be JSON, and its Content-Type application/json.")
    wrong: dict[str, str] = {}
    for each in error.errors():
        if each["type"] == "json_invalid" or (each["type"], each["loc"]) == ("missing", ("body",)):
            return problem(400, "The body is not JSON.")
        name = next((part for part in each["loc"] if part not in ("path", "query", "body")), "body")
        sent = [k for k, v in JSON_SERVER.items() if v == name and k in request.query_params]
        message = SENTENCES.get(each["type"], each["msg"].removeprefix("Value error, "))
        wrong.setdefault(sent[0] if sent else name, message)
    detail = "; ".join(f"{name}: {message}" for name, message in wrong.items())
    return problem(422, f"{detail}.", errors=wrong)


# App and middleware


class Notes(FastAPI):
    """FastAPI, whose OpenAPI document also has what all operations have in common."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        schema = super().openapi()
        schema["components"]["schemas"]["Problem"] = TypeAdapter(Problem).json_schema()
        schema["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        string = {"schema": {"type": "string"}}
        for path, operations in schema["paths"].items():
            for method, operation in operations.items():
                answers = operation["responses"]
                codes = [500, 503] if path == "/readyz" else [500]
                if path.endswith("/"):
                    names = ["ETag"] if "{" in path else ["Link", "X-Total-Count"]
                    names = ["ETag", "Location"] if method == "post" else names
                    success = answers["201" if method == "post" else "200"]
                    success["headers"] = dict.fromkeys(names, string)
                    codes = [401] * bool(API_KEYS) + [422, 500, 503, 504] + [404] * ("{" in path)
                    codes += [400, 413, 415] * ("requestBody" in operation)
                    codes += [412] * ("If-Match" in operation["description"])
                    operation["security"] = [{"key": []}] if API_KEYS else []
                for code in codes:
                    answers[str(code)] = {
                        "description": HTTPStatus(code).phrase,
                        "content": content,
                    }
        return schema


class Edge:
    """What is the same for all requests: keys, the slash, HEAD, the size of the body, the 500.

    It is plain ASGI, as BaseHTTPMiddleware would cost more than the statement does.
    """

    def __init__(self, inner: ASGIApp) -> None:
        self.inner = inner
        self.keys = [key.encode() for key in re.findall(r"[^\s,]+", API_KEYS)]
        # The docs and the probes: no slash at the end, no key.
        paths = [route.path for route in app.routes if isinstance(route, Route)]
        self.open = {path for path in paths if not path.endswith("/")} | {"/"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.inner(scope, receive, send)
        headers = dict(scope["headers"])
        declared, size = int(headers.get(b"content-length", 0)), 0

        async def limited() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if max(declared, size) > MAX_BODY_BYTES:
                raise HTTPException(413, f"The body is over {MAX_BODY_BYTES} bytes.")
            return message

        if scope["path"] not in self.open:
            scheme, _, key = headers.get(b"authorization", b"").partition(b" ")  # RFC 6750
            same = [hmac.compare_digest(key.strip(), each) for each in self.keys]
            if self.keys and not (scheme.lower() == b"bearer" and any(same)):
                detail = "This needs a key, sent as Authorization: Bearer KEY."
                answer = problem(401, detail, {"WWW-Authenticate": "Bearer"})
                return await answer(scope, receive, send)
            if not scope["path"].endswith("/"):
                scope["path"] += "/"
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # the server itself leaves the body out
        try:
            await self.inner(scope, limited, send)
        except Exception:
            log.exception("500 for %s %r", scope["method"], scope["path"])
            await problem(500, "The service has a bug; its log tells.")(scope, receive, send)


app = Notes(
    title="Notes",
    version="1.0.0",
    description=__doc__,
    lifespan=lifespan,
    redirect_slashes=False,
    generate_unique_id_function=lambda route: route.name,
    exception_handlers={
        HTTPException: refused,
        RequestValidationError: invalid,
        ValidationError: invalid,
    },
)
app.add_middleware(Edge)
app.add_middleware(
    CORSMiddleware,
    allow_origins=re.findall(r"[^\s,]+", CORS_ORIGINS),
    allow_origin_regex=CORS_ORIGIN_REGEX or None,
    allow_credentials=CORS_ORIGINS != "*",
    allow_methods=["*"],
    allow_headers=["*"],
    expose_headers=["Location", "Link", "ETag", "X-Total-Count", "Retry-After"],
)

# Answers

HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}


def as_note(row: Sequence[Any]) -> dict[str, Any]:
    """Return a row as a note; SQLite has numbers for booleans."""
    return {"id": row[0], "text": row[1], "completed": bool(row[2])}


def etag(item: Mapping[str, Any]) -> str:
    """Return the strong entity tag of what an item holds (RFC 9110, section 8.8.3)."""
    return f'"{hashlib.blake2b(to_json(item), digest_size=12).hexdigest()}"'


def single(item: Mapping[str, Any], status: int = 200, **headers: str) -> Response:
    """Return the answer that is one item."""
    headers = {**HEADERS, "ETag": etag(item), **headers}
    return Response(to_json(item), status, headers, "application/json")


def several(items: list[Any], page: Page, query: QueryParams, total: int | None) -> Response:
    """Return the answer that is a page of items; one more than it holds says that there are more."""
    headers = HEADERS | ({} if total is None else {"X-Total-Count": str(total)})
    if len(items) > page.take > 0:
        last, by_id = items[page.take - 1]["id"], page.sort in ("id", "-id")
        start = ("after", last) if by_id else ("skip", page.skip + page.take)
        ours = ("skip", "take", "after", "_start", "_end")
        others = [(k, v) for k, v in query.multi_items() if k not in ours]
        headers["Link"] = f'<?{urlencode([*others, ("take", page.take), start])}>; rel="next"'
    return Response(to_json(items[: page.take]), 200, headers, "application/json")


async def one(statement: Statement, note_id: int, **given: Any) -> dict[str, Any]:
    """Return the note that a statement finds, or answer 404."""
    if rows := await run(statement, id=note_id, **given):
        return as_note(rows[0])
    raise HTTPException(404, f"There is no note with id {note_id}.")


async def write(
    statement: Statement, note_id: int, if_match: list[str] | None, **given: Any
) -> dict[str, Any]:
    """Return the note that a statement writes; 404, or 412 when If-Match names another version.

    The statement itself compares the note with the one whose tag was right (RFC 9110, 13.1.1).
    """
    tags = {tag.strip() for tag in ",".join(if_match or ["*"]).split(",")}
    if "*" in tags:
        return await one(statement, note_id, **given)
    seen = await one(READ, note_id)
    given |= {"old_text": seen["text"], "old_completed": seen["completed"]}
    if etag(seen) in tags and (rows := await run(statement, id=note_id, **given)):
        return as_note(rows[0])
    raise HTTPException(412, f"The note with id {note_id} is no longer as If-Match names it.")


# Routes

app.add_route("/", lambda _: RedirectResponse("/docs"), include_in_schema=False)


@app.get("/livez")
async def livez() -> dict[str, str]:
    """Tell that the process answers."""
    return {"status": "ok"}


@app.get("/readyz")
async def readyz() -> dict[str, str]:
    """Tell that the database answers, too; 503 while it does not."""
    await run(READY)
    return {"status": "ok"}


@app.post("/notes/", status_code=201, response_model=Note)
async def create_note(note: NoteIn) -> Response:
    """Store a new note."""
    created = as_note((await run(CREATE, **{"completed": False, **note}))[0])
    return single(created, 201, Location=f"/notes/{created['id']}/")


@app.get("/notes/", response_model=list[Note], openapi_extra=NotePage.parameters())
async def read_notes(request: Request) -> Response:
    """Return a page of the notes, oldest first; past the end it is empty.

    json-server's `_start`, `_end`, `_sort`, `_order` and `text_like` are understood as well.
    """
    query = request.query_params  # as a model that FastAPI reads, it would cost 80 us more
    page = NotePage.model_validate({**query, "id": query.getlist("id")})
    if page.after and page.sort not in ("id", "-id"):
        wrong = {"loc": ("after",), "type": "after", "msg": "goes with sort=id or sort=-id only"}
        raise RequestValidationError([wrong])
    if page.id and "take" not in page.model_fields_set:
        page.take = 100
    given = page.model_dump(exclude_none=True) | {f"id{n}": each for n, each in enumerate(page.id)}
    given["q"] = re.sub(r"([%_/])", r"/\1", page.q or "")
    filters = frozenset(
        name for name in ("completed", "q", "after") if given.get(name) not in (None, "")
    )
    statement, total = list_statements(page.sort, filters, len(page.id))
    rows = await run(statement, **{**given, "take": page.take + 1})
    count = (await run(total, **given))[0][0] if page.count else None
    return several([as_note(row) for row in rows], page, query, count)


@app.get("/notes/{note_id}/", response_model=Note)
async def read_note(note_id: NoteId, request: Request) -> Response:
    """Return a note; 304 when it is still the one that If-None-Match names."""
    answer = single(await one(READ, note_id))
    known = ",".join(request.headers.getlist("if-none-match")).replace("W/", "").split(",")
    if {"*", answer.headers["etag"]}.intersection(tag.strip() for tag in known):
        return Response(None, 304, {k: answer.headers[k] for k in ("etag", "cache-control")})
    return answer


@app.put("/notes/{note_id}/", response_model=Note)
async def update_note(note_id: NoteId, note: NoteUpdate, if_match: IfMatch = None) -> Response:
    """Replace a note; 412 when If-Match names another version of it."""
    return single(await write(UPDATE, note_id, if_match, **note))


@app.patch("/notes/{note_id}/", response_model=Note)
async def patch_note(note_id: NoteId, note: NotePatch, if_match: IfMatch = None) -> Response:
    """Change a part of a note (RFC 7396); 412 when If-Match names another version of it."""
    return single(await write(UPDATE, note_id, if_match, **note))


@app.delete("/notes/{note_id}/", response_model=DeletedNote)
async def delete_note(note_id: NoteId, if_match: IfMatch = None) -> Response:
    """Delete a note and return it; 412 when If-Match names another version of it."""
    note = await write(DELETE, note_id, if_match)
    note["message"] = f"Note with id: {note_id} deleted successfully!"
    return Response(to_json(note), 200, HEADERS, "application/json")


if __name__ == "__main__":
    uvicorn.run(app, host=HOST, port=PORT)
