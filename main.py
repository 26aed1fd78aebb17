"""Notes: a complete notes service over HTTP, on SQLite or on Postgres, in one module."""

import asyncio
import hashlib
import logging
import os
import re
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import cache, lru_cache
from http import HTTPStatus
from operator import attrgetter
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, Literal, NamedTuple, NoReturn, Self
from urllib.parse import parse_qsl, quote, unquote, urlencode

import asyncpg
import sqlalchemy as sa
import uvicorn
from databases import Database
from fastapi import FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import ArgsKwargs, to_json
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import RedirectResponse
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send
from typing_extensions import TypedDict  # which pydantic needs before Python 3.12

# The logger that both uvicorn and gunicorn's uvicorn worker configure.
log = logging.getLogger("uvicorn.error")


# Settings

# As browsers send it (RFC 6454, 6.2): without a path, a user or a default port.
ORIGIN = re.compile(
    r"null|file://|(?!http:.*:80$|https:.*:443$)[a-z][a-z0-9+.-]*://[a-z0-9.:\[\]-]+"
)


def split_list(value: str) -> list[str]:
    """Return the items of a comma-separated list."""
    return [item.strip() for item in value.split(",") if item.strip()]


def check_origins(origins: list[str]) -> list[str]:
    """Return them; ValueError if one is none that a browser sends."""
    if origins == ["*"] or all(map(ORIGIN.fullmatch, origins)):
        return origins
    raise ValueError("must be * alone, or as https://app.example, without a last slash")


# As one line of the environment has them.
Items = Annotated[list[str], NoDecode, BeforeValidator(split_list), Field(min_length=1)]


class Settings(BaseSettings):
    """What the environment sets, or else .env beside this file; set to "" is unset."""

    model_config = SettingsConfigDict(
        env_file=Path(__file__).with_name(".env"),
        env_ignore_empty=True,
        str_strip_whitespace=True,
        extra="ignore",
        validate_default=False,  # an empty list is unset, and refused where it is set
    )

    DATABASE_URL: str = "sqlite:///./notes.db"
    POOL_SIZE: PositiveInt = 5
    MAX_OVERFLOW: NonNegativeInt = 0
    POOL_TIMEOUT: PositiveFloat = 2
    DB_TIMEOUT: PositiveFloat = 5
    CORS_ORIGINS: Annotated[Items, AfterValidator(check_origins)] = []
    CORS_ORIGIN_REGEX: re.Pattern[str] | None = None
    API_KEYS: Items = []
    MAX_BODY_BYTES: PositiveInt = 1_048_576
    HOST: str = "127.0.0.1"
    PORT: int = Field(default=8000, ge=0, le=65_535)
    # In lower case, those of the tutorial that README.md names.
    host_server: str = "localhost"
    db_server_port: int = 5432
    database_name: str = "fastapi"
    db_username: str = "postgres"
    db_password: str = "secret"  # noqa: S105  # the tutorial's own default
    ssl_mode: str = "prefer"

    @property
    def url(self) -> str:
        """DATABASE_URL, or, if it is unset, what the tutorial makes of its variables."""
        names = self.model_fields_set
        if "DATABASE_URL" in names or not any(name.islower() for name in names):
            return self.DATABASE_URL
        url = sa.URL.create(
            "postgresql",
            self.db_username,
            self.db_password,
            self.host_server,
            self.db_server_port,
            self.database_name,
            {"sslmode": self.ssl_mode.replace("required", "require")},
        )
        return url.render_as_string(hide_password=False)


def fail_start(name: str, reason: str) -> NoReturn:
    """End the process before it serves, with one line that names a variable."""
    log.critical("%s: %s", name, reason)
    # gunicorn gives up on this status; after 1 it would start workers for ever.
    raise SystemExit(4)


def read_settings() -> Settings:
    """Return the settings; end the start if one makes no sense, without its value."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        fail_start(str(first["loc"][0]), first["msg"].removeprefix("Value error, "))
    except UnicodeDecodeError:
        fail_start(".env", "must be a text in UTF-8")


settings = read_settings()

# Run by hand, and nobody but this machine reaches it.
IS_LOCAL = __name__ == "__main__" and settings.HOST in ("127.0.0.1", "localhost", "::1")


# The table

metadata = sa.MetaData()
notes = sa.Table(
    "notes",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("text", sa.String, nullable=False),
    sa.Column("completed", sa.Boolean(create_constraint=True), nullable=False),
    # As on Postgres, the id of a deleted note never comes back.
    sqlite_autoincrement=True,
)


# The models

MAX_ID = 2**63 - 1

# Its maximum is not in OpenAPI, which would have 2^63-1 as a float.
Id = Annotated[
    int,
    Field(ge=1, le=MAX_ID),
    WithJsonSchema({"type": "integer", "format": "int64", "minimum": 1}),
]
NO_NUL = r"^[^\x00]*$"  # as Postgres stores no U+0000
Text = Annotated[
    str,
    Field(max_length=65_536, pattern=NO_NUL, examples=["fix tap in kitchen sink"]),
]
Search = Annotated[str, Field(max_length=1_000, pattern=NO_NUL)]
# Lists, because a header may be repeated (RFC 9110, 5.3).
ETags = Annotated[Sequence[str], Header(description="One or more ETags, or *.")]


class NoteIn(BaseModel):
    """A note to be stored. Other members of the body are ignored."""

    model_config = ConfigDict(strict=True)

    text: Text
    completed: bool = False


class NotePatch(TypedDict, total=False):
    """The members of a note that change; all others stay (RFC 7396)."""

    __pydantic_config__ = ConfigDict(strict=True)  # type: ignore[misc]  # pydantic's way

    text: Text
    completed: bool


class Note(TypedDict):
    """A note as it is stored."""

    id: Id
    text: Annotated[str, Field(examples=["fix tap in kitchen sink"])]
    completed: bool


class DeletedNote(Note):
    """The note that was deleted, and a sentence that says so."""

    message: str


class Problem(BaseModel):
    """An error (RFC 9457). Its `message` is its `detail`, as many clients look there."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    message: str
    errors: dict[str, str] | None = None  # for 422: of each parameter or member


# A column in ascending or, with a minus sign, in descending order.
SORTS = [f"{sign}{column.name}" for column in notes.columns for sign in ("", "-")]


class NoteQuery(BaseModel):
    """Which notes are asked for, and in what order."""

    skip: int = Field(0, ge=0, le=MAX_ID, description="How many to leave out first.")
    take: int = Field(20, ge=0, le=1_000, description="At most this many.")
    sort: Literal[*SORTS] = Field(  # type: ignore[valid-type]  # known at run time only
        "id", description="A column, with a minus sign in descending order; ties by id."
    )
    after: Id | None = Field(
        None, description="The id that the page begins after, in an order by id only."
    )
    count: bool = Field(False, description="Whether to send `X-Total-Count`.")
    completed: bool | None = Field(None, description="Whether they are completed.")
    q: Search | None = Field(
        None, description="A part of the text, in upper or lower case."
    )

    @model_validator(mode="after")
    def check_after(self) -> Self:
        """Refuse a cursor in an order that is not by id."""
        if self.after and not self.by_id:
            raise ValueError("after goes with sort=id or sort=-id only")
        return self

    @property
    def by_id(self) -> bool:
        """Whether it is ordered by id, so that a cursor can continue it."""
        return self.sort in ("id", "-id")


# The two databases


class Statement(NamedTuple):
    """SQL in the driver's own form, and its parameters in order, each with a default."""

    sql: str
    parameters: Sequence[tuple[str, Any]]
    writes: bool
    is_scan: bool  # may read much more than some rows by their ids, or return much


DATABASE_ERRORS = (
    OSError,  # TimeoutError is one
    sqlite3.DatabaseError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


def table_definitions(dialect: Any) -> list[str]:
    """Return the SQL that makes what is missing of metadata's tables."""
    return [
        str(sa.schema.CreateTable(table, if_not_exists=True).compile(dialect=dialect))
        for table in metadata.sorted_tables
    ]


# `database` is an object of one of these two classes, which have the same members.


class SQLite:
    """A file, with a connection for reads, one for writes and one for scans."""

    dialect: Any = sa.make_url("sqlite+aiosqlite://").get_dialect()()
    patience = settings.DB_TIMEOUT  # seconds to try again for, while it is locked
    pause = 0.005  # seconds between tries
    large_text = 65_536  # characters; none is longer

    def __init__(self, url: str) -> None:
        parts = re.fullmatch("sqlite:///(?!:memory:)([^?#]+)", url)
        if parts is None:
            raise ValueError(URL_FORM)
        self.file = Path(unquote(parts[1])).absolute()
        folder = os.path.dirname(os.path.realpath(self.file))
        is_readable = os.access(self.file, os.R_OK) or not os.path.exists(self.file)
        if os.path.isdir(self.file) or not (is_readable and os.access(folder, os.W_OK)):
            raise ValueError("must name a file that can be read, in a folder to write to")
        self.title = f"SQLite, {self.file}"
        place = f"sqlite:///{quote(str(self.file))}"
        # No timeout, as SQLite would wait for a lock on the thread that all others need;
        # run() tries again instead.
        self.databases = [Database(place, timeout=0) for _ in range(3)]
        # One at a time, as an interrupt would hit whichever one runs.
        self.scan_lane = asyncio.Semaphore(1)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Hold the file open."""
        self.ready = False
        connections = [each.connection() for each in self.databases]
        self.reads, self.writes, self.scans = connections
        async with self.reads, self.writes, self.scans:
            self.stat_at_open = self.file.stat()
            for each in connections:
                raw: Any = each.raw_connection
                # to_notes() decodes. Where sqlite3 cannot, it leaves a statement open,
                # and so an old snapshot or a transaction.
                raw.text_factory = bytes
                await raw.create_function("has_part", 2, has_part)
            yield

    def connection(self, statement: Statement) -> Any:
        """Return a connection. It stays open when it is left: open() is in it, too."""
        with suppress(FileNotFoundError):
            if os.path.samestat(self.stat_at_open, self.file.stat()):
                if statement.writes:
                    return self.writes
                return self.scans if statement.is_scan else self.reads
        raise sqlite3.OperationalError(
            f"{self.file} was moved, replaced or deleted: move it back; or, to give up its"
            f" newest notes, stop all workers, delete {self.file.name}-wal and"
            f" {self.file.name}-shm, and start again"
        )

    async def prepare(self, _: Any) -> None:
        """Make the tables that are missing."""
        script = [
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            *table_definitions(self.dialect),
            # It fails where the file, or what lies beside it, cannot be written.
            "DELETE FROM notes WHERE false",
        ]
        raw: Any = self.writes.raw_connection
        await raw.executescript(";".join(script))
        self.ready = True

    async def fetch(self, raw: Any, statement: Statement, values: list[Any]) -> Any:
        """Return a statement's rows; interrupt a scan that takes too long."""
        limit = settings.DB_TIMEOUT if statement.is_scan else None
        try:
            async with asyncio.timeout(limit):
                return await raw.execute_fetchall(statement.sql, values)
        except (TimeoutError, asyncio.CancelledError):
            if statement.is_scan:  # else it would hit another request's statement
                await raw.interrupt()
            raise

    def contains(self, column: Any, part: Any) -> Any:
        """Return the condition that a text holds a part; LIKE costs text times part."""
        return sa.func.has_part(sa.cast(column, sa.LargeBinary), part)


def has_part(text: bytes | None, part: str) -> bool:
    """Tell whether a text, which may be damaged, holds a part in any case."""
    return part.casefold() in (text or b"").decode(errors="replace").casefold()


URL_FORM = (
    "must be sqlite:///FILE, or postgresql://USER:PASSWORD@HOST:PORT/NAME"
    " with each / ? and # in USER and PASSWORD percent-encoded"
)
HOST = r"(?:\[[\da-fA-F:.%]+\]|[^@/?#:,\[\]]*)(?::\d{1,5})?"
POSTGRES_URL = re.compile(
    r"postgres(?:ql)?(?:\+asyncpg)?://(?:([^/?#]*)@)?"  # user and password
    rf"({HOST}(?:,{HOST})*)(/[^@/?#]*)?(?:\?([^@#]*))?"  # hosts, name, parameters
)
# asyncpg sends all others to the server, which refuses what it does not know.
ASYNCPG_PARAMETERS = """
    host port user password passfile dbname database service
    sslmode sslcert sslkey sslrootcert sslcrl sslpassword
    sslnegotiation ssl_min_protocol_version ssl_max_protocol_version
    target_session_attrs krbsrvname gsslib
    application_name search_path options statement_cache_size
"""


class Postgres:
    """A pool of connections, each to the first host that gives one."""

    dialect: Any = sa.make_url("postgresql+asyncpg://").get_dialect()()
    patience = settings.POOL_TIMEOUT  # seconds to try again for, while it is away
    pause = 0.05  # seconds between tries
    large_text = 8_192  # characters; to index a longer one for searches takes long
    # IF NOT EXISTS alone fails when workers race. The number is our own.
    lock = "SELECT pg_advisory_xact_lock(730314)"
    # For searches. With fastupdate a small write would merge what large ones have left.
    trigrams = """CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX IF NOT EXISTS notes_text_trgm ON notes
    USING gin (text gin_trgm_ops) WITH (fastupdate = off)"""

    def __init__(self, url: str) -> None:
        parts = POSTGRES_URL.fullmatch(url)
        if parts is None:
            raise ValueError(URL_FORM)
        login, hosts, name, query = parts.groups("")
        parameters = dict(parse_qsl(query))
        if "ssl" in parameters:  # as SQLAlchemy has it
            parameters["sslmode"] = parameters.pop("ssl")
        for other in parameters.keys() - set(ASYNCPG_PARAMETERS.split()):
            log.warning("DATABASE_URL: asyncpg has no parameter %r; it is dropped", other)
            del parameters[other]
        self.hosts = hosts.split(",")
        self.options: dict[str, Any] = {
            "timeout": 0.9 * settings.POOL_TIMEOUT / len(self.hosts),  # to connect
            "command_timeout": 1,  # for what asyncpg asks by itself; fetch() has its own
        }
        cache_size = parameters.pop("statement_cache_size", None)
        if cache_size is not None:
            self.options["statement_cache_size"] = int(cache_size)
        self.login = quote(login, safe="%:")
        self.rest = f"{name or '/'}?{urlencode(parameters)}"
        self.title = f"Postgres, {hosts or parameters.get('host')}{name}"
        most = settings.POOL_SIZE + settings.MAX_OVERFLOW
        self.scan_lane = asyncio.Semaphore(max(1, most // 2))
        # The URL is a placeholder: connect() opens the connections.
        self.pool = Database(
            "postgres://",
            min_size=0,
            max_size=most,
            connect=self.connect,
            reset=self.skip_reset,
        )

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Hold the pool open, whether Postgres is there or not."""
        self.ready = False
        with suppress(*DATABASE_ERRORS):  # a stalled network at the end is no traceback
            async with self.pool:
                yield

    def connection(self, _: Statement) -> Any:
        """Return a connection of the pool, which is taken when it is entered."""
        return self.pool.connection()

    async def connect(self, *_: Any, **__: Any) -> Any:
        """Return a connection to the first host that gives one in its share of time."""
        failures = []
        for host in list(self.hosts):
            url = f"postgresql://{self.login}@{host}{self.rest}"
            try:
                raw = await asyncpg.connect(url, **self.options)
            except Exception as error:  # whatever asyncpg makes of a peer's words
                failures.append(f"{host}: {error!r}")
            else:
                # Asked first from now on, as an old primary may come back as one.
                self.hosts.remove(host)
                self.hosts.insert(0, host)
                return raw
        raise ConnectionError("; ".join(failures))

    async def skip_reset(self, _: Any) -> None:
        """Leave a connection as it is: no request sets state; a reset is a round trip."""

    async def prepare(self, raw: Any) -> None:
        """Make the tables that are missing, with an index for searches if the user may.

        That is done once: who drops a table later may be restoring it.
        """
        if "statement_cache_size" not in self.options:
            # A pooler gives an id of its own at first, and runs this in another process.
            query = await raw.prepare("SELECT pg_backend_pid()", name="")
            if await query.fetchval() != raw.get_server_pid():
                log.warning("DATABASE_URL leads to a pooler: set statement_cache_size=0")
                self.options["statement_cache_size"] = 0
                raw.terminate()
                raise ConnectionError("it prepares statements")  # run() tries again
        names = [table.name for table in metadata.sorted_tables]
        found = "SELECT count(to_regclass(name)) FROM unnest($1::text[]) AS name"
        if await raw.fetchval(found, names) < len(names):
            # What one execute() sends is one transaction, to whose end the lock is held.
            try:
                await raw.execute(";".join([self.lock, *table_definitions(self.dialect)]))
            except asyncpg.ReadOnlySQLTransactionError:
                raw.terminate()  # as in fetch()
                raise
            try:
                await raw.execute(f"{self.lock};{self.trigrams}")
            except (asyncpg.PostgresError, TimeoutError) as error:
                log.warning("a search scans all notes, without an index: %r", error)
        self.ready = True

    async def fetch(self, raw: Any, statement: Statement, values: list[Any]) -> Any:
        """Return a statement's rows; cancel one that takes too long."""
        try:
            return await raw.fetch(statement.sql, *values, timeout=settings.DB_TIMEOUT)
        except asyncpg.ReadOnlySQLTransactionError:
            raw.terminate()  # a demoted primary; the next connection finds the new one
            raise

    def contains(self, column: Any, part: Any) -> Any:
        """Return the condition that a text holds a part, in a form the index serves."""
        plain = part.regexp_replace("([%_/])", r"/\1", flags="g")
        return column.icontains(plain, escape="/")


URL = settings.url
try:
    database = SQLite(URL) if URL.startswith("sqlite") else Postgres(URL)
except ValueError as error:
    fail_start("DATABASE_URL", str(error))


# Running a statement


class Failure(NamedTuple):
    """What a group of failures means, and whether to try again first."""

    status: int
    codes: tuple[str, ...]  # how SQLSTATEs, or SQLite's names of errors, begin
    meaning: str  # for the log
    retry: bool = False


# The first row that matches holds.
FAILURES = [
    Failure(
        409,
        ("23505", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"),
        "such a row is there, or the sequence of ids is behind: set it by setval()",
    ),
    Failure(503, ("2200H", "22021"), "the ids are at their end, or a text is damaged"),
    Failure(
        422,
        ("22", "23", "P0001", "SQLITE_CONSTRAINT", "SQLITE_MISMATCH"),
        "the table refuses a value",
    ),
    Failure(504, ("40003",), "nobody knows whether it was done"),
    # Read-only (25), rolled back (40), too many connections (533), a lock (55), cancelled
    # (57014); a prepared statement that a pooler has lost (26), or has already (42P05).
    Failure(
        503,
        ("25", "26", "40", "42P05", "533", "55", "57014", "SQLITE_BUSY", "SQLITE_LOCKED"),
        "busy or read-only",
        retry=True,
    ),
    # No right, no such table or column, wrong SQL, a file that is corrupt or full.
    Failure(503, ("",), "somebody has to mend it"),
]
TOO_LATE = Failure(503, (), "no connection in time")
AWAY = Failure(503, (), "no connection to the database", retry=True)
UNKNOWN = Failure(504, (), "no answer in time, or none at all")


def classify(error: Any, sent: bool, writes: bool) -> Failure:
    """Return what an error means; `sent` is whether the statement was on its way."""
    code = str(getattr(error, "sqlstate", getattr(error, "sqlite_errorname", "")))
    is_answer = isinstance(error, asyncpg.PostgresError | sqlite3.Error)
    # 08 and 57P: the connection is gone, or the server is going.
    if is_answer and not code.startswith(("08", "57P")):
        return next(row for row in FAILURES if code.startswith(row.codes))
    if isinstance(error, TimeoutError):
        return UNKNOWN if sent else TOO_LATE
    # asyncpg refuses to send on a connection that is closed, or that has been told so.
    refused = isinstance(error, asyncpg.InterfaceError) or "switch to state" in str(error)
    return UNKNOWN if sent and writes and not refused else AWAY


async def run(statement: Statement, given: Mapping[str, Any]) -> Any:
    """Return a statement's rows, for values by the names of its parameters.

    HTTPException 503 if nothing was changed; 504 if that is not known, or a read took too
    long; 409 or 422 if the table refuses a value. The log says why. A write is sent again
    only if the database says that it was not done.
    """
    values = [given.get(name, default) for name, default in statement.parameters]
    lane: Any = nullcontext()
    if statement.is_scan or len(given.get("text") or "") > database.large_text:
        lane = database.scan_lane
    give_up = monotonic() + database.patience
    reason = ""
    while True:
        sent = False
        try:
            wait = min(settings.POOL_TIMEOUT, give_up - monotonic())
            async with (
                asyncio.timeout(wait) as limit,
                lane,
                database.connection(statement) as connection,
            ):
                raw = connection.raw_connection
                if not database.ready:
                    await database.prepare(raw)
                limit.reschedule(None)  # it was for the wait; fetch() has its own
                sent = True
                return await database.fetch(raw, statement, values)
        except DATABASE_ERRORS as error:
            failure = classify(error, sent, statement.writes)
            reason = reason or repr(error)  # how it began says most; str() quotes the row
        if not failure.retry or monotonic() + database.pause > give_up:
            log.warning("%s, %s: %s", failure.status, failure.meaning, reason)
            raise HTTPException(failure.status)
        await asyncio.sleep(database.pause)


# The statements


def compile_statement(query: Any, is_scan: bool = False) -> Statement:
    """Return a query ready to run; to compile it costs more than a request."""
    sql = query.compile(dialect=database.dialect)
    parameters = [(name, sql.params[name]) for name in sql.positiontup or ()]
    return Statement(str(sql), parameters, not query.is_select, is_scan)


def parameter(name: str, kind: Any = sa.BigInteger) -> Any:
    """Return a parameter, an integer unless said otherwise; NULL if run() lacks it."""
    return sa.bindparam(name, type_=kind)


# What is returned. The tutorial's table allows NULL, which is shown as "" and false.
SHOWN: dict[str, Any] = {str(column.name): column for column in notes.columns}
SHOWN["text"] = sa.func.coalesce(notes.c.text, sa.literal_column("''"))
SHOWN["completed"] = sa.func.coalesce(notes.c.completed, sa.false())
RETURNED = [column.label(name) for name, column in SHOWN.items()]

# What is stored.
VALUES = {name: parameter(name, notes.c[name].type) for name in NoteIn.model_fields}

HAS_ID = notes.c.id == parameter("id")
# For If-Match: the note has the values that were read.
AS_READ = [
    SHOWN[name].is_not_distinct_from(parameter(f"old_{name}", notes.c[name].type))
    for name in VALUES
]

CREATE = compile_statement(sa.insert(notes).values(VALUES).returning(*RETURNED))
READ = compile_statement(sa.select(*RETURNED).where(HAS_ID))


@cache
def write_statement(names: frozenset[str] | None, is_guarded: bool) -> Statement:
    """Return the statement that changes columns of a note, or, for None, deletes it."""
    query: Any = sa.delete(notes)
    if names is not None:
        # PATCH {}: the id to itself, as UPDATE sets at least one column.
        values = {name: VALUES[name] for name in names} or {"id": notes.c.id}
        query = sa.update(notes).values(values)
    query = query.where(HAS_ID)
    if is_guarded:
        query = query.where(*AS_READ)
    return compile_statement(query.returning(*RETURNED))


# The parameters that narrow a list, each with its condition. An extra may add to them.
FILTERS = {
    "completed": SHOWN["completed"] == parameter("completed", sa.Boolean),
    "q": database.contains(notes.c.text, parameter("q", sa.String)),
}


def find_filters(query: Any) -> frozenset[str]:
    """Return the names of the filters that a query has."""
    return frozenset(name for name in FILTERS if getattr(query, name, None) is not None)


@cache
def page_statement(
    sort: str, filters: frozenset[str], has_cursor: bool, is_scan: bool
) -> Statement:
    """Return the statement of a page, in an order and with these filters."""
    column, descending = SHOWN[sort.removeprefix("-")], sort.startswith("-")
    query = sa.select(*RETURNED).where(*(FILTERS[each] for each in filters))
    if has_cursor:
        after = parameter("after")
        query = query.where(notes.c.id < after if descending else notes.c.id > after)
    query = query.order_by(column.desc() if descending else column, notes.c.id)
    query = query.limit(parameter("take")).offset(parameter("skip"))
    return compile_statement(query, is_scan)


@cache
def count_statement(filters: frozenset[str]) -> Statement:
    """Return the statement that counts the notes of all pages with these filters."""
    count = sa.select(sa.func.count()).select_from(notes)
    query = count.where(*(FILTERS[each] for each in filters))
    return compile_statement(query, is_scan=True)


# The calls

NOTE_LIST = TypeAdapter(list[Note])


class Page(NamedTuple):
    """A page of a list, whether another follows, and how many notes all pages have."""

    items: list[Note]
    has_next: bool
    total: int | None


def to_notes(rows: Sequence[Any], written: bool = False) -> list[Note]:
    """Return rows as they are shown; 503 if one is no note, or 504 if it was written."""
    try:
        items = [dict(zip(SHOWN, row, strict=True)) for row in rows]
        return NOTE_LIST.validate_python(items)
    except ValidationError as error:
        place, name = error.errors()[0]["loc"]
        log.warning("the %s of note %s cannot be shown", name, rows[int(place)][0])
        if written:
            raise HTTPException(504, "It was written, but cannot be shown.") from None
        raise HTTPException(503, "A stored note cannot be shown.") from None


async def create(note: NoteIn) -> Note:
    """Store a new note and return it."""
    return to_notes(await run(CREATE, vars(note)))[0]


async def read(note_id: int) -> Note:
    """Return a note; 404 if it is missing."""
    rows = await run(READ, {"id": note_id})
    if not rows:
        raise HTTPException(404, f"There is no note with id {note_id}.")
    return to_notes(rows)[0]


async def write(
    note_id: int, values: Mapping[str, Any] | None, if_match: Sequence[str] = ()
) -> Note:
    """Change a note, or, for None, delete it; return it; 404 if it is missing.

    With If-Match it is read first, and written only if it is still what was read, so that
    nobody comes between; 412 if it is not, or has none of these tags (RFC 9110, 13.1.1).
    """
    tags = split_tags(if_match)
    is_guarded = bool(if_match) and "*" not in tags
    given = {**(values or {}), "id": note_id}
    if is_guarded:
        old = await read(note_id)
        if tag_of(to_json(old)) not in tags:
            raise HTTPException(412)
        given |= {f"old_{name}": value for name, value in old.items()}
    names = None if values is None else frozenset(values)
    rows = await run(write_statement(names, is_guarded), given)
    if not rows:
        await read(note_id)  # 404 if it is missing
        raise HTTPException(412)
    return to_notes(rows, written=True)[0]


async def read_page(query: NoteQuery) -> Page:
    """Return a page of notes."""
    filters = find_filters(query)
    # What is skipped is read, too; and a thousand of the longest notes are 65 MB.
    is_long = query.skip > 1_000 or query.take > 100
    is_scan = is_long or bool(filters) or not query.by_id
    statement = page_statement(query.sort, filters, query.after is not None, is_scan)
    # One too many tells that another page follows.
    values = {**vars(query), "take": query.take + 1}
    rows = await run(statement, values)
    total = None
    if query.count:
        total = (await run(count_statement(filters), values))[0][0]
    # A page of none has no last note that a next one could begin after.
    return Page(to_notes(rows[: query.take]), 0 < query.take < len(rows), total)


# Answers

# Where the raiser gives none.
DETAILS = {
    400: "The body is not JSON.",
    401: "Send one of the keys, as in Authorization: Bearer KEY.",
    404: "There is nothing at this path.",
    409: "The database already has a row in this place; nothing was changed.",
    412: "It is not what If-Match names, so nothing was done: read it again.",
    413: f"The body is over {settings.MAX_BODY_BYTES} bytes.",
    415: "The body must be JSON, uncompressed, and its Content-Type application/json.",
    422: "The table in the database refuses a value, by its type, its length or a rule.",
    500: "The service has a bug; see its log.",
    503: "The database is not available; nothing was changed, so try again.",
    504: "The database did not answer in time; a write may have been applied.",
}
NOSNIFF = {"X-Content-Type-Options": "nosniff"}


def problem(
    status: int,
    detail: str = "",
    headers: Mapping[str, str] = {},
    errors: dict[str, str] | None = None,
) -> Response:
    """Return an error in the one shape that all have (RFC 9457)."""
    title = HTTPStatus(status).phrase
    if detail in ("", title) or status == 413:  # whose words differ between versions
        detail = DETAILS.get(status, title)
    body = Problem(
        title=title, status=status, detail=detail, message=detail, errors=errors
    )
    content = body.model_dump_json(exclude_none=True)
    return Response(content, status, {**NOSNIFF, **headers}, "application/problem+json")


async def refuse(request: Request, error: Any) -> Response:
    """Answer what a handler, or Starlette, has refused."""
    status, headers = error.status_code, dict(error.headers or {})
    detail = str(error.detail)
    if status == 405:  # Starlette names the methods of the path's first route only
        methods: set[str] = set()
        for route in app.routes:
            if route.matches(request.scope)[0] is not Match.NONE:
                methods |= getattr(route, "methods", set())
        if "GET" in methods:
            methods.add("HEAD")
        headers["Allow"] = ", ".join(sorted(methods))
        detail = f"This path takes {headers['Allow']} only."
    if status == 503:
        headers["Retry-After"] = "1"
    return problem(status, detail, headers)


async def answer_bug(request: Request, error: Exception) -> Response:
    """Answer what nobody expected; the server logs it and closes the connection."""
    return problem(500, headers={"Connection": "close"})


async def refuse_input(request: Request, error: Any) -> Response:
    """Answer what is wrong with parameters or a body, ten things at most, by name."""
    errors: dict[str, str] = {}
    for each in error.errors()[:10]:
        where, *place = each["loc"]
        reason = each["msg"].removeprefix("Value error, ")
        if each.get("ctx") == {"pattern": NO_NUL}:
            reason = "must not contain U+0000"
        errors[".".join(map(str, place)) or where] = reason
    detail = "; ".join(f"{name}: {reason}" for name, reason in errors.items())
    return problem(422, f"{detail}.", errors=errors)


def split_tags(lines: Sequence[str]) -> list[str]:
    """Return the tags that a conditional header lists, in one line or in more."""
    # A proxy that compresses makes them weak; they are of the note and not of its bytes.
    return [tag.removeprefix("W/") for tag in split_list(",".join(lines))]


def tag_of(content: bytes) -> str:
    """Return the strong tag of what is sent (RFC 9110, 8.8.3)."""
    return f'"{hashlib.sha256(content).hexdigest()}"'


class Answer(Response):
    """JSON, ready to be sent. LeanRoute reads for the endpoints that return it."""

    media_type = "application/json"


def answer(
    item: Any,
    status: int = 200,
    if_none_match: Sequence[str] = (),
    headers: Mapping[str, str] = {},
) -> Answer:
    """Return an item with its tag; 304 if the client knows it (RFC 9110, 13.1.2)."""
    content = to_json(item)
    # A 304 leaves a client the Link that it has, so one that is gone changes the tag.
    tag = tag_of(content + headers.get("Link", "").encode())
    sent = {"ETag": tag, "Cache-Control": "no-cache", **NOSNIFF, **headers}
    if {tag, "*"}.intersection(split_tags(if_none_match)):
        return Answer(None, 304, sent)
    return Answer(content, status, sent)


def next_link(request: Request, query: NoteQuery, last: Note) -> str:
    """Return the link to the page that follows (RFC 8288)."""
    parameters: dict[str, Any] = dict(request.query_params.multi_items())
    parameters.pop("skip", None)
    if query.by_id:
        parameters["after"] = last["id"]
    else:
        parameters["skip"] = query.skip + query.take
    return f'<?{urlencode(parameters)}>; rel="next"'


# The app


class LeanRoute(APIRoute):
    """A route whose call pydantic alone validates, which saves 60 of some 200 us.

    An endpoint chooses it by returning an Answer, and may declare parameters of the path,
    one model of the query, lists of headers, one JSON body and the request. One that
    needs more returns a Response and has FastAPI's handler, as has one with dependencies.
    A path's last slash may be left out.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.path_regex = re.compile(self.path_regex.pattern.replace("/$", "/?$"))
        is_chosen = endpoint.__annotations__.get("return") is Answer
        if is_chosen and not self.dependant.dependencies:
            function: Any = endpoint  # whose arguments pydantic takes for a type, too
            config = ConfigDict(arbitrary_types_allowed=True)  # for Request
            self.validated_call = TypeAdapter(function, config=config)
            self.app = self.respond  # in place of FastAPI's handler

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; RequestValidationError if its arguments are wrong."""
        request, declared = Request(scope, receive, send), self.dependant
        arguments: dict[str, Any] = dict(request.path_params)
        for field in declared.query_params:
            arguments[field.name] = read_query(request, field.field_info.annotation)
        for field in declared.header_params:
            arguments[field.name] = request.headers.getlist(field.alias)
        for field in declared.body_params:
            arguments[field.name] = await read_json(request)
        if declared.request_param_name:
            arguments[declared.request_param_name] = request
        try:
            call = self.validated_call.validate_python(ArgsKwargs((), arguments))
        except ValidationError as error:
            raise RequestValidationError(error.errors()) from None
        try:
            # One bound for a request, whatever number of statements it takes.
            async with asyncio.timeout(settings.POOL_TIMEOUT + settings.DB_TIMEOUT):
                response = await call
        except TimeoutError:
            log.warning("504, too many statements in time: %s", request.url.path)
            raise HTTPException(504) from None
        await response(scope, receive, send)


def read_query(request: Request, model: Any) -> dict[str, str]:
    """Return a query's parameters, the last of each name; refuse unknown ones."""
    known = model.model_fields
    if len(request.scope["query_string"]) > 16_384:  # q takes 12,000 at most
        names = ", ".join(known)
        raise HTTPException(422, f"The query is too long; its parameters are: {names}.")
    query = dict(request.query_params.multi_items())
    unknown = [name for name in query if name not in known]
    if unknown:
        reason = f"is not a parameter here; these are: {', '.join(known)}"
        raise RequestValidationError(
            [{"type": "", "loc": ("query", name), "msg": reason} for name in unknown]
        )
    return query


# RFC 9110, 8.3.1; and RFC 6839, 3.1
JSON_TYPE = re.compile(r"application/([^/\s]+\+)?json\s*(;.*)?", re.IGNORECASE)


async def read_json(request: Request) -> Any:
    """Return a body's JSON; HTTPException 415 if it is declared as something else."""
    is_json = JSON_TYPE.fullmatch(request.headers.get("content-type", ""))
    encoding = request.headers.get("content-encoding", "identity")
    if not is_json or encoding.lower() != "identity":
        raise HTTPException(415)
    try:
        return await request.json()
    except (ValueError, RecursionError, ClientDisconnect) as error:
        raise HTTPException(400) from error


# These need no key.
OPEN_PATHS = {"/", "/livez", "/readyz", "/docs", "/redoc", "/openapi.json"}


class Edge:
    """The middleware for keys, large bodies, and HEAD, which is answered like GET."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.limited = RequestBodyLimitMiddleware(app, settings.MAX_BODY_BYTES)
        # Hashed, so that the time of a comparison tells nothing.
        self.keys = {hashlib.sha256(key.encode()).digest() for key in settings.API_KEYS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # the server leaves the body out
        headers = dict(scope["headers"])
        inner = self.app
        if b"transfer-encoding" in headers:  # so its length is not known yet
            inner = self.limited
        # Of a declared length the limit's own answer would be plain text.
        if int(headers.get(b"content-length", 0)) > settings.MAX_BODY_BYTES:
            inner = problem(413)
        if self.keys and not self.is_allowed(scope, headers):
            inner = problem(401, headers={"WWW-Authenticate": "Bearer"})
        await inner(scope, receive, send)

    def is_allowed(self, scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
        """Tell whether a request has a key, or needs none (RFC 6750, 2.1)."""
        path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
        scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
        is_key = hashlib.sha256(key.strip()).digest() in self.keys
        return path in OPEN_PATHS or (scheme.lower() == b"bearer" and is_key)


class CORS(CORSMiddleware):
    """Starlette's, which also logs the origins that it refuses, but not each time."""

    @lru_cache(maxsize=100)  # noqa: B019  # this object lives as long as the process
    def is_allowed_origin(self, origin: str) -> bool:  # pyright: ignore  # cached
        """Tell whether pages of an origin may read answers."""
        is_allowed = super().is_allowed_origin(origin)
        if not is_allowed:
            log.warning("CORS refuses pages of %r: add it to CORS_ORIGINS", origin)
        return is_allowed


def openapi() -> dict[str, Any]:
    """Return FastAPI's document, plus the shape of errors and, if set, that of keys."""
    document = FastAPI.openapi(app)
    document["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    if settings.API_KEYS:
        scheme = {"key": {"type": "http", "scheme": "bearer"}}
        document["components"]["securitySchemes"] = scheme
        document["security"] = [{"key": []}]
    return document


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Open the database; start without it while it cannot be used."""
    access = ""
    if not settings.API_KEYS and not IS_LOCAL:
        access = "; open to everybody who reaches it, as API_KEYS is unset"
    log.info("Notes %s on %s%s", app.version, database.title, access)
    async with database.open():
        with suppress(HTTPException):  # run() has logged it
            await run(READ, {"id": 0})  # makes the tables
        yield


ERROR = {
    "description": "An error",
    "content": {
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
    },
}
# Telemetry that is on, but not configured, takes 5 % of a read's CPU.
TELEMETRY = os.environ.get("FASTAPI_OTEL_AUTO_CONFIGURE", "").lower() == "true"

app = FastAPI(
    title="Notes",
    version="3.0.0",
    description=str(__doc__),
    lifespan=lifespan,
    redirect_slashes=False,
    openapi_url=None,  # its routes come last: see below
    responses={"4XX": ERROR, "5XX": ERROR},
    telemetry={"tracing": TELEMETRY, "metrics": TELEMETRY, "logs": TELEMETRY},
    generate_unique_id_function=attrgetter("name"),
    exception_handlers={
        HTTPException: refuse,
        RequestValidationError: refuse_input,
    },
)
app.router.route_class = LeanRoute
origins = settings.CORS_ORIGINS
if not (origins or settings.CORS_ORIGIN_REGEX):
    origins = ["*"]
app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation does it
app.add_middleware(Edge)
app.add_middleware(ServerErrorMiddleware, handler=answer_bug)
app.add_middleware(
    CORS,  # added last, so outermost: Edge's answers need its headers, too
    allow_origins=origins,
    allow_origin_regex=settings.CORS_ORIGIN_REGEX and settings.CORS_ORIGIN_REGEX.pattern,
    allow_credentials=origins != ["*"],
    allow_methods=["*"],
    allow_headers=["*"],
    allow_private_network=True,
    expose_headers=["Location", "Link", "ETag", "X-Total-Count", "Retry-After", "Allow"],
)


# The endpoints


@app.post("/notes/", status_code=201, response_model=Note)
async def create_note(note: NoteIn, request: Request) -> Answer:
    """Store a new note."""
    created = await create(note)
    location = f"{request.scope['root_path']}/notes/{created['id']}/"
    return answer(created, 201, headers={"Location": location})


@app.get("/notes/", response_model=list[Note])
async def read_notes(
    query: Annotated[NoteQuery, Query()],
    request: Request,
    if_none_match: ETags = (),
) -> Answer:
    """Return a page of the notes, oldest first unless `sort` is given."""
    page = await read_page(query)
    headers = {}
    if page.has_next:
        headers["Link"] = next_link(request, query, page.items[-1])
    if page.total is not None:
        headers["X-Total-Count"] = str(page.total)
    return answer(page.items, if_none_match=if_none_match, headers=headers)


@app.get("/notes/{note_id}/", response_model=Note)
async def read_note(note_id: Id, if_none_match: ETags = ()) -> Answer:
    """Return a note."""
    return answer(await read(note_id), if_none_match=if_none_match)


@app.put("/notes/{note_id}/", response_model=Note)
async def update_note(note_id: Id, note: NoteIn, if_match: ETags = ()) -> Answer:
    """Replace a note."""
    return answer(await write(note_id, vars(note), if_match))


@app.patch("/notes/{note_id}/", response_model=Note)
async def patch_note(note_id: Id, note: NotePatch, if_match: ETags = ()) -> Answer:
    """Change a part of a note (RFC 7396)."""
    return answer(await write(note_id, note, if_match))


@app.delete("/notes/{note_id}/", response_model=DeletedNote)
async def delete_note(note_id: Id, if_match: ETags = ()) -> Answer:
    """Delete a note and return it."""
    note = await write(note_id, None, if_match)
    return answer({**note, "message": f"Note with id: {note_id} deleted successfully!"})


@app.get("/livez")
async def livez() -> dict[str, str]:
    """Answer while the process runs."""
    return {"status": "ok"}


@app.get("/readyz")
async def readyz() -> dict[str, str]:
    """Answer while the database does, too."""
    await run(READ, {"id": 0})
    return {"status": "ok"}


@app.get("/", include_in_schema=False)
async def redirect_to_docs(request: Request) -> Response:
    """Redirect to the documentation."""
    return RedirectResponse(f"{request.scope['root_path']}/docs")


# FastAPI's own routes come last, as all before a request's own are tried: 4 % of a read.
app.openapi_url = "/openapi.json"
app.setup()


class Server(uvicorn.Server):
    """A server whose start ends with the address of the documentation."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        await super().startup(sockets)
        host = f"[{settings.HOST}]" if ":" in settings.HOST else settings.HOST
        log.info("Ctrl+C stops it; see http://%s:%s/docs", host, settings.PORT)


if __name__ == "__main__":
    family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
    try:
        listener = socket.create_server((settings.HOST, settings.PORT), family=family)
    except OSError as error:
        fail_start("HOST, PORT", str(error))
    # A request that is stuck delays the end by 5 s at most.
    server = Server(uvicorn.Config(app, timeout_graceful_shutdown=5))
    with suppress(KeyboardInterrupt):
        server.run([listener])
