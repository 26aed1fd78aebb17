"""Notes: a complete notes service over HTTP, on SQLite or on Postgres, in one module."""

import asyncio
import hashlib
import hmac
import logging
import os
import re
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import lru_cache, partial
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn
from urllib.parse import parse_qsl, quote, unquote, urlencode

import asyncpg
import sqlalchemy as sa
import uvicorn
from databases import Database
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, TypeAdapter, create_model
from pydantic_core import ValidationError, to_json
from starlette.config import Config
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send
from typing_extensions import NotRequired, TypedDict  # noqa: UP035  # pydantic's choice before 3.12


# Configuration
def stop(name: str, reason: str) -> NoReturn:
    """End the process before it serves, with one line that names a variable."""
    log.critical("%s: %s", name, reason)
    raise SystemExit(4)  # gunicorn gives up on this one; after 1 it would start workers for ever


def setting(name: str, default: Any, kind: Any = str, reason: str = "", **bounds: Any) -> Any:
    """Return a variable, or its default if it is unset or empty; do not start with a wrong one."""
    try:
        adapter = TypeAdapter[Any](Annotated[kind, Field(**bounds)])
        return adapter.validate_python(config(name, default="") or default)
    except ValidationError as error:
        stop(name, reason or error.errors()[0]["msg"])


log = logging.getLogger("uvicorn.error")  # the one that uvicorn and gunicorn's worker both set up
config = Config(env if (env := Path(__file__).with_name(".env")).is_file() else None)
SSL_MODES = "disable|allow|prefer|require|verify-ca|verify-full"
host: str = setting("host_server", "", pattern=r"^([\w-]+(\.[\w-]+)*)?$", reason="must be a host")
port: int = setting("db_server_port", 5432, int, ge=0, le=65_535)  # the tutorial's variables
others = {"db_username": "postgres", "db_password": "secret", "database_name": "fastapi"}
user, password, name = (quote(setting(*each), "") for each in others.items())
ssl_mode: str = setting("ssl_mode", "prefer", pattern=f"^({SSL_MODES})$")
tutorial = f"postgresql://{user}:{password}@{host}:{port}/{name}?sslmode={ssl_mode}"
HOST_PORT = r"(\[[\w:.%]+\]|[\w%-]+(\.[\w%-]+)*)?(:[0-6]?\d{1,4})?"
URL = r"^(sqlite:///[^?#]+|postgres(ql)?(\+asyncpg)?://([^@/?#\s]*@)?"
URL += rf"{HOST_PORT}(,{HOST_PORT})*(/[^/?#\s]*)?(\?[^#\s]*)?)$"
URL_FORM = "must be sqlite:///FILE, or postgresql://USER:PASSWORD@HOST:PORT/NAME percent-encoded"
default = tutorial if host else "sqlite:///./notes.db"
DATABASE_URL: str = setting("DATABASE_URL", default, pattern=URL, reason=URL_FORM)
SQLITE = DATABASE_URL.startswith("sqlite")
PARAMETERS = "host|port|user|password|passfile|dbname|database|service|krbsrvname|gsslib|options"
PARAMETERS += "|ssl(mode|cert|key|rootcert|crl|password|negotiation|_m(in|ax)_protocol_version)"
PARAMETERS += "|target_session_attrs|application_name|search_path|statement_cache_size"
CHOICES = {"sslmode": SSL_MODES, "statement_cache_size": "[0-9]{1,4}"}
CHOICES["target_session_attrs"] = "any|primary|standby|read-write|read-only"
login, hosts, path, rest = re.findall(r"//([^@/?]*@)?([^/?]*)([^?]*)\??(.*)", DATABASE_URL)[0]
options = dict(parse_qsl(re.sub(r"\bssl=", "sslmode=", rest)))  # ssl is SQLAlchemy's spelling
for name in [name for name in options if not re.fullmatch(PARAMETERS, name)]:
    log.warning("DATABASE_URL: %r is not a parameter of asyncpg's and is dropped", name)
    del options[name]  # asyncpg would pass it to the server, which would refuse the connection
for name in options.keys() & CHOICES:
    if not re.fullmatch(CHOICES[name], options[name]):
        stop("DATABASE_URL", f"its {name} must match {CHOICES[name]}")
extras = {name: int(options.pop(name)) for name in ["statement_cache_size"] if name in options}
extras["command_timeout"] = 1  # second, for what asyncpg does by itself: fetch() has its own
URLS = [f"postgresql://{login}{host}{path}?{urlencode(options)}" for host in hosts.split(",")]
file = Path(unquote(path[1:])).absolute()
needed = [file.parent, file] if file.exists() else [file.parent]
if SQLITE and (file.is_dir() or not all(os.access(each, os.W_OK) for each in needed)):
    stop("DATABASE_URL", "must name a file that can be written, in a folder that can be, too")
POOL_SIZE: int = setting("POOL_SIZE", 5, int, ge=1, le=1_000)
MAX_OVERFLOW: int = setting("MAX_OVERFLOW", 0, int, ge=0, le=1_000)
POOL_TIMEOUT: float = setting("POOL_TIMEOUT", 2, float, gt=0, le=3_600)
DB_TIMEOUT: float = setting("DB_TIMEOUT", 5, float, gt=0, le=3_600)
CORS_ORIGIN_REGEX: str = setting("CORS_ORIGIN_REGEX", "", re.Pattern[str]).pattern
ORIGINS = {"pattern": r"^(\*|((^|,\s*)(null|[\w.+-]+://[^\s,/*]+)\s*)*)$"}
ORIGINS["reason"] = "must be * alone, or origins such as https://app.example with commas between"
CORS_ORIGINS: str = setting("CORS_ORIGINS", "" if CORS_ORIGIN_REGEX else "*", **ORIGINS)
API_KEYS: str = setting("API_KEYS", "", reason="must hold a key", pattern=r"^$|[^\s,]")
MAX_BODY_BYTES: int = setting("MAX_BODY_BYTES", 1_048_576, int, ge=1, le=2**30)
HOST: str = setting("HOST", "127.0.0.1", reason="must be a host", pattern=r"^[\w:%-]+(\.[\w-]+)*$")
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
coalesce = sa.func.coalesce
TEXT = coalesce(notes.c.text, sa.literal_column("''"))  # NULL in some tables of the tutorial's
COMPLETED = coalesce(notes.c.completed, sa.false())
NOTE = (notes.c.id, TEXT, COMPLETED)

# Models
DIGITS = re.compile("-?[0-9]{1,20}")  # pydantic itself would take 1.0, +1 and 1_000 as well
Digits = BeforeValidator(lambda given: given if DIGITS.fullmatch(given) else None)
Whole = Annotated[int, Field(ge=0, le=2**63 - 1), Digits]
Take = Annotated[int, Field(ge=0, le=100), Digits]
Id = Annotated[int, Field(ge=1, le=2**63 - 1), Digits]
Boolean = Annotated[bool, Field(strict=True)]
Flag = Annotated[Boolean, BeforeValidator({"true": True, "false": False}.get)]
Text = Annotated[str, Field(max_length=65_536, pattern=r"^[^\x00]*$")]  # Postgres stores no NUL
Escaped = AfterValidator(lambda given: re.sub(r"([%_/])", r"/\1", given))  # for LIKE
Search = Annotated[str, Field(max_length=1_000, pattern=r"^[^\x00]*$"), Escaped]
Absent: Any = Field(default_factory=lambda: None)  # a default of None that OpenAPI does not show
Note = TypedDict("Note", {"id": int, "text": str, "completed": bool})
DeletedNote = TypedDict("DeletedNote", {"id": int, "text": str, "completed": bool, "message": str})
NoteIn = TypedDict("NoteIn", {"text": Text, "completed": NotRequired[Boolean]})
NoteUpdate = TypedDict("NoteUpdate", {"text": Text, "completed": Boolean})
NotePatch = TypedDict("NotePatch", {"text": Text, "completed": Boolean}, total=False)
JSON_SERVER = {"_start": "skip", "_end": "take", "_sort": "sort", "_order": "", "text_like": "q"}


class Page(BaseModel):
    """Which notes are asked for, and in what order."""

    skip: Whole = 0
    take: Take = 20
    sort: Literal["id", "-id", "text", "-text", "completed", "-completed"] = "id"
    after: Id = Absent
    count: Flag = False
    completed: Flag = Absent
    q: Search = Absent
    id: Annotated[list[Id], Field(max_length=100)] = []


def asked(query: Any) -> dict[str, Any]:
    """Return a list's parameters; json-server's get our names, and imply count=true."""
    ids, start, end = query.getlist("id"), query.get("_start", "0"), query.get("_end", "")
    given = ({"take": "100"} if ids else {}) | {JSON_SERVER.get(k, k): v for k, v in query.items()}
    if DIGITS.fullmatch(start) and DIGITS.fullmatch(end):
        given["take"] = str(int(end) - int(start))
    if query.get("_order", "").lower() == "desc":
        given["sort"] = "-" + given.get("sort", "id").removeprefix("-")
    return {**given, "id": ids} | ({"count": "true"} if query.keys() & JSON_SERVER.keys() else {})


# Queries
def compiled(query: sa.ClauseElement) -> "Statement":
    """Return a query ready to run; to compile it takes longer than the rest of a request."""
    url = sa.make_url("sqlite+aiosqlite://" if SQLITE else "postgresql+asyncpg://")
    sql: Any = query.compile(dialect=url.get_dialect()())
    return str(sql), [(name, sql.params[name]) for name in getattr(sql, "positiontup", None) or ()]


Statement = tuple[str, Sequence[tuple[str, Any]]]  # SQL, parameters and literals' values
parameter: Any = partial(sa.bindparam, type_=sa.BigInteger)
text, old_text = (parameter(name, type_=sa.String) for name in ("text", "old_text"))
completed, old_completed = (parameter(n, type_=sa.Boolean) for n in ("completed", "old_completed"))
THIS = notes.c.id == parameter("id")
# What is left out is NULL: without If-Match nothing is compared, and PATCH keeps what is.
STILL = sa.and_(TEXT == coalesce(old_text, TEXT), COMPLETED == coalesce(old_completed, COMPLETED))
CHANGED = {"text": coalesce(text, TEXT), "completed": coalesce(completed, COMPLETED)}
CREATE = compiled(sa.insert(notes).values(text=text, completed=completed).returning(*NOTE))
READ = compiled(sa.select(*NOTE).where(THIS))
UPDATE = compiled(sa.update(notes).values(CHANGED).where(THIS, STILL).returning(*NOTE))
DELETE = compiled(sa.delete(notes).where(THIS, STILL).returning(*NOTE))


@lru_cache(maxsize=256)
def list_statements(sort: str, names: frozenset[str], ids: int) -> tuple[Statement, Statement]:
    """Return the two statements of a kind of list: a page of its notes, and their number."""
    filters = {
        "id": notes.c.id.in_([parameter(f"id{n}") for n in range(ids)]),
        "completed": COMPLETED == completed,
        "q": notes.c.text.icontains(parameter("q", type_=sa.String), escape="/"),
    }
    wanted = sa.select(*NOTE).where(*(each for name, each in filters.items() if name in names))
    total = sa.select(sa.func.count()).select_from(wanted.subquery())
    if "after" in names:
        last = parameter("after")
        wanted = wanted.where(notes.c.id < last if sort == "-id" else notes.c.id > last)
    by_code = sa.collate(TEXT, "BINARY" if SQLITE else "C")  # Postgres would follow its locale
    column = {"id": notes.c.id, "text": by_code, "completed": COMPLETED}[sort.removeprefix("-")]
    order = column.desc() if sort.startswith("-") else column
    page = wanted.order_by(order, notes.c.id).limit(parameter("take")).offset(parameter("skip"))
    return compiled(page), compiled(total)


# Database
async def connect(*_: Any, **__: Any) -> Any:  # noqa: RET503  # the last host raises
    """Return a connection to the first host that gives one, each in its share of the time."""
    for url in URLS:
        with suppress(*FAILURES) if url != URLS[-1] else nullcontext():
            async with asyncio.timeout(POOL_TIMEOUT / len(URLS)):
                raw = await asyncpg.connect(url, **extras)
                # Behind a pooler the two differ, and other clients' statements have the same names.
                pid = await (await raw.prepare("SELECT pg_backend_pid()", name="")).fetchval()
                if "statement_cache_size" in extras or pid == raw.get_server_pid():
                    return raw
                raw.terminate()
                log.warning("DATABASE_URL leads to a pooler: set statement_cache_size=0 in it")
                extras["statement_cache_size"] = 0
                return await asyncpg.connect(url, **extras)


PATIENCE, PAUSE = (DB_TIMEOUT, 0.005) if SQLITE else (POOL_TIMEOUT, 0.05)
asyncpg_own = (asyncpg.InterfaceError, asyncpg.InternalClientError)
FAILURES = (OSError, sqlite3.OperationalError, asyncpg.PostgresError, *asyncpg_own)
# Beginnings of SQLSTATEs and of SQLite's names. What is busy is tried again, what is broken is not.
BUSY = ("25", "26", "40", "42P05", "53", "55", "57014", "SQLITE_BUSY", "SQLITE_LOCKED")
BROKEN = ("42501", "58", "SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY")
# Lowers each letter by itself, as Postgres does (no final sigma); SQLite's lower() is ASCII only.
LOWER = ("lower", 1, lambda text: (text or "").replace("Σ", "\u03c3").replace("İ", "i").lower())
LOCK = "SELECT pg_advisory_xact_lock(730314)"  # IF NOT EXISTS alone fails when workers race
TRIGRAMS = """CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE INDEX IF NOT EXISTS notes_text_trgm ON notes USING gin (text gin_trgm_ops)"""
pool: Any = {"min_size": 0, "max_size": POOL_SIZE + MAX_OVERFLOW, "connect": connect}
pool["reset"] = nullcontext().__aexit__  # nothing: no request sets state, and it is a round trip
database = Database(f"sqlite://{path}", timeout=0) if SQLITE else Database("postgres://", **pool)
shared: Any = None  # SQLite's one connection, without a timeout: run() waits for locks


def definitions() -> list[str]:
    """Return the SQL that makes the missing tables: all of metadata's, other modules' too."""
    tables = metadata.sorted_tables
    return [compiled(sa.schema.CreateTable(table, if_not_exists=True))[0] for table in tables]


async def fetch(raw: Any, sql: str, values: list[Any]) -> Any:
    """Return a statement's rows, on the driver's own connection; make the tables if need be."""
    if SQLITE:
        return await raw.execute_fetchall(sql, values)
    try:
        return await raw.fetch(sql, *values, timeout=DB_TIMEOUT)
    except asyncpg.UndefinedTableError:
        await raw.execute(";".join([LOCK, *definitions()]), timeout=DB_TIMEOUT)
        try:
            await raw.execute(f"{LOCK};{TRIGRAMS}", timeout=DB_TIMEOUT)
        except asyncpg.PostgresError as error:
            log.warning("A search scans all notes, as there is no index for it: %s", error)
        return await raw.fetch(sql, *values, timeout=DB_TIMEOUT)
    except asyncpg.ReadOnlySQLTransactionError:
        raw.terminate()  # of a demoted primary: who connects again finds the new one
        raise


def verdict(error: Any, sent: bool, writes: bool) -> tuple[int, bool]:
    """Return a failure's status, and whether to try again; raise it if it is a bug of ours."""
    # No code: a connection that is lost or slow (or asyncpg misused, which looks the same).
    code = str(getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", "08"))
    if not sent or code.startswith((*BUSY, *BROKEN)):
        return 503, not code.startswith(BROKEN)
    if not code.startswith(("08", "57")):  # the connection is there: what was sent is wrong
        error.detail = None  # Postgres quotes the row in it: not for the log
        raise error
    return (504, False) if writes or isinstance(error, TimeoutError) else (503, True)


async def run(statement: Statement, **given: Any) -> Any:
    """Return a statement's rows; 503 if nothing was changed in PATIENCE seconds, 504 if unknown."""
    sql, parameters = statement
    values = [given.get(name, default) for name, default in parameters]
    now = asyncio.get_running_loop().time
    started, why, writes = now(), "", not sql.startswith("SELECT")
    while True:
        connection, sent = shared or database.connection(), False
        try:
            async with asyncio.timeout_at(started + PATIENCE) as limit, connection:
                limit.reschedule(None)  # it has a connection; on Postgres fetch() limits the rest
                sent = True
                return await fetch(connection.raw_connection, sql, values)
        except FAILURES as error:
            status, again = verdict(error, sent, writes)
            why = why or " ".join(f"{type(error).__name__} {error}".split())
            if not again or now() > started + PATIENCE:
                log.warning("%s after %.2f s: %s", status, now() - started, why)
                raise HTTPException(status) from None
        await asyncio.sleep(PAUSE)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Open the database and make the tables; start without them while Postgres is away."""
    global shared
    await database.connect()
    async with database.connection() if SQLITE else nullcontext() as shared:
        if shared:
            await shared.raw_connection.create_function(*LOWER, deterministic=True)
            for sql in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", *definitions()):
                await run((sql, ()))
        elif not API_KEYS:  # SQLite is for one's own machine
            log.warning("API_KEYS is unset: whoever reaches this service can change every note")
        with suppress(HTTPException):  # run() has logged it
            await run(READ, id=0)  # of Postgres' tables, fetch() makes those that are not there
        yield
    with suppress(*FAILURES):  # a stalled network is no reason for a traceback
        await database.disconnect()


# Answers
SENTENCES = {  # for what Starlette, FastAPI and pydantic say in too few words or too many
    "Content Too Large": f"The body is over {MAX_BODY_BYTES} bytes.",
    "Not Found": "There is nothing at this path.",
    "Method Not Allowed": "This path takes only the methods that Allow names.",
    "Service Unavailable": "The database is not available; nothing was changed, so try again.",
    "Gateway Timeout": "The database did not answer in time; a write may have been applied.",
    "There was an error parsing the body": "The body is not JSON.",
    "string_pattern_mismatch": "must not contain U+0000",
    "string_unicode": "must not contain a lone surrogate",
}


def problem(status: int, detail: str, headers: Any = None, **members: Any) -> Response:
    """Return an error in the one shape that all have (RFC 9457)."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    content = to_json({**body, "detail": detail, "message": detail, **members})
    headers = {"X-Content-Type-Options": "nosniff", **(headers or {})}
    return Response(content, status, headers, "application/problem+json")


async def refuse(request: Request, error: Any) -> Response:
    """Return an HTTPException, or what is wrong with a request, as a problem."""
    if isinstance(error, HTTPException):
        headers = {"Retry-After": "1"} if error.status_code == 503 else dict(error.headers or {})
        if error.status_code == 405:  # Starlette names the methods of the path's first route only
            routes: Any = [route for route in app.routes if route.matches(request.scope)[0].value]
            allow = {method for route in routes for method in route.methods}
            headers["Allow"] = ", ".join(sorted(allow | {"HEAD"} if "GET" in allow else allow))
        return problem(error.status_code, SENTENCES.get(error.detail, error.detail), headers)
    if isinstance(getattr(error, "body", None), bytes):  # not declared as JSON
        return problem(415, "The body must be JSON, and its Content-Type application/json.")
    wrong: dict[str, str] = {}
    for each in error.errors():
        if each["type"] == "json_invalid" or (each["type"], each["loc"]) == ("missing", ("body",)):
            return problem(400, "The body is not JSON.")
        name = next((part for part in each["loc"] if part not in ("path", "query", "body")), "body")
        theirs = [k for k, v in JSON_SERVER.items() if v == name and k in request.query_params]
        wrong.setdefault(theirs[0] if theirs else name, SENTENCES.get(each["type"], each["msg"]))
    detail = "; ".join(f"{name}: {message}" for name, message in wrong.items())
    return problem(422, f"{detail}.", errors=wrong)


def as_note(row: Sequence[Any]) -> dict[str, Any]:
    """Return a row as a note; SQLite has numbers for booleans."""
    return {"id": row[0], "text": row[1], "completed": bool(row[2])}


def answer(item: Any, status: int = 200, request: Any = None, **headers: str) -> Response:
    """Return an item, tagged by what it holds (RFC 9110, 8.8.3); 304 if it is known."""
    content = to_json(item)
    tag = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
    headers |= {"ETag": tag, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    known = ",".join(request.headers.getlist("if-none-match")) if request else ""
    if {"*", tag} & {each.strip().removeprefix("W/") for each in known.split(",")}:
        return Response(None, 304, headers)
    return Response(content, status, headers, "application/json")


def link(items: list[Any], page: Any, request: Request) -> dict[str, str]:
    """Return the header that leads to the next page, if an item too many says that there is one."""
    if page.take == 0 or len(items) <= page.take:
        return {}
    last, count = items[page.take - 1]["id"], [("count", "true")] * page.count
    start = ("after", last) if page.sort in ("id", "-id") else ("skip", page.skip + page.take)
    ours = ("skip", "take", "after", "count", "_start", "_end")
    others = [(k, v) for k, v in request.query_params.multi_items() if k not in ours]
    return {"Link": f'<?{urlencode([*others, *count, ("take", page.take), start])}>; rel="next"'}


async def one(statement: Statement, note_id: int, match: Sequence[str] = (), **given: Any) -> Any:
    """Return the note that a statement finds; 404, or 412 when If-Match names another version."""
    tags = {tag.strip() for tag in ",".join(match or ["*"]).split(",")}
    if "*" not in tags:
        seen = await one(READ, note_id)  # the statement compares it again, in case of a race
        given |= {"old_text": seen["text"], "old_completed": seen["completed"]}
        tags &= {answer(seen).headers["ETag"]}
    if tags and (rows := await run(statement, id=note_id, **given)):
        return as_note(rows[0])
    if "*" in tags:
        raise HTTPException(404, f"There is no note with id {note_id}.")
    raise HTTPException(412, f"The note with id {note_id} is no longer as If-Match names it.")


# OpenAPI, middleware and app
OPEN = {"/", "/livez", "/readyz", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"}
KEYS = [key.encode() for key in re.findall(r"[^\s,]+", API_KEYS)]
STRING = {"type": "string"}
TEXTS: Any = dict.fromkeys(("type", "title", "detail", "message"), str)
Problem = create_model("Problem", **TEXTS, status=int, errors=(dict[str, str], Absent))
CONTENT = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
TAGS = ["ETag", "Cache-Control"]
HEADERS = {"201": [*TAGS, "Location"], "401": ["WWW-Authenticate"], "503": ["Retry-After"]}
# What handlers read for themselves: by way of FastAPI each costs 80 us or more.
GUARDED = [{"in": "header", "name": "If-Match", "schema": STRING}]
TAGGED = [{"in": "header", "name": "If-None-Match", "schema": STRING}]
fields = Page.model_json_schema()["properties"].items()
LISTED = [*TAGGED, *({"in": "query", "name": name, "schema": kind} for name, kind in fields)]
PATCH = {"application/merge-patch+json": {"schema": {"$ref": "#/components/schemas/NotePatch"}}}
MERGED = {"parameters": GUARDED, "requestBody": {"content": PATCH}}


def openapi() -> dict[str, Any]:
    """Return the OpenAPI document; a status that a docstring names is one of its answers."""
    document = FastAPI.openapi(app)
    if KEYS:
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, operations in document["paths"].items():
        stored, tags = path not in OPEN, TAGS if "{" in path else [*TAGS, "Link", "X-Total-Count"]
        headers = {**HEADERS, "200": tags if stored else [], "304": tags}
        common = ["500", "422", "503", "504"] if stored else ["500"]
        common += ["401"] if stored and KEYS else []
        for operation in operations.values():
            answers = {code: each for code, each in operation["responses"].items() if code < "4"}
            for code in re.findall(r"\b[345]\d\d\b", operation["description"]) + common:
                answers[code] = {"description": HTTPStatus(int(code)).phrase}
                answers[code] |= {"content": CONTENT} if code != "304" else {}
            for code in headers.keys() & answers.keys():
                answers[code]["headers"] = {name: {"schema": STRING} for name in headers[code]}
            operation["responses"] = answers
            operation["security"] = [{"key": []}] if "401" in answers else []
    return document


async def edge(inner: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 401, 413 and 500, complete paths and serve HEAD; BaseHTTPMiddleware is slow."""
    if scope["type"] != "http":
        return await inner(scope, receive, send)
    headers = dict(scope["headers"])
    if int(headers.get(b"content-length", 0)) > MAX_BODY_BYTES:
        inner = problem(413, SENTENCES["Content Too Large"])  # a Response is an ASGI app, too
    if scope["path"].removeprefix(scope.get("root_path", "")) not in OPEN:
        scheme, _, key = headers.get(b"authorization", b"").partition(b" ")  # RFC 6750
        same = [hmac.compare_digest(key.strip(), each) for each in KEYS]
        if KEYS and not (scheme.lower() == b"bearer" and any(same)):
            inner = problem(401, "Send a key, as a Bearer token.", {"WWW-Authenticate": "Bearer"})
        if not scope["path"].endswith("/"):
            scope = {**scope, "path": scope["path"] + "/"}  # a copy: the server logs its own
    if scope["method"] == "HEAD":
        scope = {**scope, "method": "GET"}  # the server sees HEAD still, and leaves the body out
    try:
        await inner(scope, receive, send)
    except Exception:
        log.exception("500 for %s %r", scope["method"], scope["path"])
        await problem(500, "The service has a bug; see its log.")(scope, receive, send)


ERROR_TYPES = (HTTPException, RequestValidationError, ValidationError)
app = FastAPI(
    title="Notes",
    version="1.0.0",
    description=__doc__,
    lifespan=lifespan,
    redirect_slashes=False,
    responses={422: {"model": Problem}},  # so that openapi() can refer to it
    generate_unique_id_function=lambda route: route.name,
    exception_handlers=dict.fromkeys(ERROR_TYPES, refuse),
)
app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation does it
app.add_middleware(lambda inner: partial(edge, inner))
app.add_middleware(
    CORSMiddleware,  # added last, so outermost: edge's own answers need its headers, too
    allow_origins=re.findall(r"[^\s,]+", CORS_ORIGINS),
    allow_origin_regex=CORS_ORIGIN_REGEX or None,
    allow_credentials=CORS_ORIGINS != "*",
    allow_methods=["*"],
    allow_headers=["*"],
    expose_headers=["Location", "Link", "ETag", "X-Total-Count", "Retry-After"],
)

# Routes
STORES: Any = {"response_model": Note, "max_body_size": MAX_BODY_BYTES}  # for chunked bodies


@app.post("/notes/", status_code=201, **STORES)
async def create_note(note: NoteIn, request: Request) -> Response:
    """Store a new note; 400, 413, 415 or 422 when the body is not a valid one."""
    created = as_note((await run(CREATE, **{"completed": False, **note}))[0])
    return answer(created, 201, Location=f"{request.scope['root_path']}/notes/{created['id']}/")


@app.get("/notes/", openapi_extra={"parameters": LISTED}, response_model=list[Note])
async def read_notes(request: Request) -> Response:
    """Return a page of the notes (json-server's parameters work, too); 304 when it is known."""
    page = Page.model_validate(asked(request.query_params))
    if page.after and page.sort not in ("id", "-id"):
        wrong = {"loc": ["after"], "type": "after", "msg": "goes with sort=id or sort=-id only"}
        raise RequestValidationError([wrong])
    given = {name: value for name, value in page if value not in (None, "", [])}
    given |= {f"id{n}": note_id for n, note_id in enumerate(page.id)}
    statement, total = list_statements(page.sort, frozenset(given), len(page.id))
    items = [as_note(row) for row in await run(statement, **{**given, "take": page.take + 1})]
    headers = link(items, page, request)
    if page.count:
        headers["X-Total-Count"] = str((await run(total, **given))[0][0])
    return answer(items[: page.take], 200, request, **headers)


@app.get("/notes/{note_id}/", openapi_extra={"parameters": TAGGED}, response_model=Note)
async def read_note(note_id: Id, request: Request) -> Response:
    """Return a note; 404 when there is none, 304 when it is known to If-None-Match."""
    return answer(await one(READ, note_id), 200, request)


@app.put("/notes/{note_id}/", openapi_extra={"parameters": GUARDED}, **STORES)
async def update_note(note_id: Id, note: NoteUpdate, request: Request) -> Response:
    """Replace a note; 404, 412 when If-Match names another version, 400, 413 or 415."""
    return answer(await one(UPDATE, note_id, request.headers.getlist("if-match"), **note))


@app.patch("/notes/{note_id}/", openapi_extra=MERGED, **STORES)
async def patch_note(note_id: Id, note: NotePatch, request: Request) -> Response:
    """Change a part of a note (RFC 7396); 404, 412 as for PUT, 400, 413 or 415."""
    return answer(await one(UPDATE, note_id, request.headers.getlist("if-match"), **note))


@app.delete("/notes/{note_id}/", openapi_extra={"parameters": GUARDED}, response_model=DeletedNote)
async def delete_note(note_id: Id, request: Request) -> Response:
    """Delete a note and return it; 404, 412 when If-Match names another version of it."""
    deleted = await one(DELETE, note_id, request.headers.getlist("if-match"))
    return answer({**deleted, "message": f"Note with id: {note_id} deleted successfully!"})


@app.get("/livez")
async def livez() -> dict[str, str]:
    """Tell that the process answers."""
    return {"status": "ok"}


@app.get("/readyz")
async def readyz() -> dict[str, str]:
    """Tell that the database answers, too; 503 while it is away, 504 while it is too slow."""
    await run(READ, id=0)
    return {"status": "ok"}


app.add_route("/", lambda _: Response(None, 307, {"Location": "/docs"}), include_in_schema=False)

if __name__ == "__main__":
    # By hand there is no proxy to believe, and a stuck request must not delay the end for ever.
    uvicorn.run(app, host=HOST, port=PORT, proxy_headers=False, timeout_graceful_shutdown=5)
