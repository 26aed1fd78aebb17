"""Notes: a complete notes service over HTTP, on SQLite or on Postgres, in one module."""

import asyncio
import hashlib
import hmac
import inspect
import json
import logging
import os
import re
import sqlite3
from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Coroutine,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, nullcontext, suppress
from enum import Enum
from functools import cache, lru_cache
from http import HTTPStatus
from operator import attrgetter
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, Literal, NamedTuple, NoReturn
from urllib.parse import parse_qsl, quote, unquote, unquote_to_bytes, urlencode, urlsplit

import asyncpg
import sqlalchemy as sa
import uvicorn
from databases import Database
from dotenv import dotenv_values
from fastapi import FastAPI, Header, Query, Request, Response, params
from fastapi._compat import field_annotation_is_sequence  # private; FastAPI reads by it
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.routing import APIRoute
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    UrlConstraints,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import MultiHostUrl, to_json
from starlette.datastructures import Headers, QueryParams
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import TypedDict  # which pydantic needs before Python 3.12

# The logger that both uvicorn and gunicorn's uvicorn worker configure.
log = logging.getLogger("uvicorn.error")


# Settings

SSLMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
DEFAULT_URL = "sqlite:///./notes.db"  # in the working directory
ORIGIN = re.compile(r"null|[\w.+-]+://[^\s,/*]+")


def split_list(value: str) -> list[str]:
    """Return the items of a comma-separated list."""
    return [item.strip() for item in value.split(",") if item.strip()]


def check_key(key: str) -> str:
    """Return a key; ValueError if it has white space, as probably a comma is missing."""
    if re.search(r"\s", key):
        raise ValueError("must be keys without blanks, with commas between")
    return key


Key = Annotated[str, AfterValidator(check_key)]


def check_origins(origins: list[str]) -> list[str]:
    """Return origins (RFC 6454, 6.2) as they are; ValueError if one is not an origin."""
    if origins == ["*"] or (origins and all(map(ORIGIN.fullmatch, origins))):
        return origins
    raise ValueError(
        "must be * alone, or origins such as https://app.example with commas between"
    )


class TutorialSettings(BaseModel):
    """The tutorial's variables, of which a URL can be made: see README.md."""

    host_server: str = Field("localhost", pattern=r"^[\w.-]+$")
    db_server_port: int = Field(5432, ge=1, le=65_535)
    database_name: str = "fastapi"
    db_username: str = "postgres"
    db_password: str = "secret"  # noqa: S105  # the tutorial's own default
    # `required` is the tutorial's word.
    ssl_mode: SSLMode | Literal["required"] = "prefer"

    @property
    def tutorial_url(self) -> str:
        """The URL that the tutorial would make of its variables."""
        login = f"{quote(self.db_username, '')}:{quote(self.db_password, '')}"
        server = f"{login}@{self.host_server}:{self.db_server_port}"
        ssl_mode = self.ssl_mode.replace("required", "require")
        return f"postgresql://{server}/{quote(self.database_name, '')}?sslmode={ssl_mode}"


class Settings(TutorialSettings):
    """What the environment sets: a row for each variable, under the variable's name."""

    DATABASE_URL: str = ""
    POOL_SIZE: int = Field(5, ge=1, le=1_000)
    MAX_OVERFLOW: int = Field(0, ge=0, le=1_000)
    POOL_TIMEOUT: float = Field(2, gt=0, le=3_600)
    DB_TIMEOUT: float = Field(5, gt=0, le=3_600)
    CORS_ORIGINS: Annotated[
        list[str], BeforeValidator(split_list), AfterValidator(check_origins)
    ] = []
    CORS_ORIGIN_REGEX: re.Pattern[str] | None = None
    # Unset is []; but what is set must have a key.
    API_KEYS: Annotated[list[Key], BeforeValidator(split_list), Field(min_length=1)] = []
    MAX_BODY_BYTES: int = Field(1_048_576, ge=1, le=2**30)
    HOST: str = Field("127.0.0.1", pattern=r"^[\w.:%-]+$")
    PORT: int = Field(8000, ge=0, le=65_535)

    @property
    def chosen_url(self) -> str:
        """DATABASE_URL, or else the tutorial's if one of its variables is set."""
        if self.DATABASE_URL:
            return self.DATABASE_URL
        if self.model_fields_set & TutorialSettings.model_fields.keys():
            return self.tutorial_url
        return DEFAULT_URL

    @property
    def allowed_origins(self) -> list[str]:
        """The origins that are listed; `*` where neither these nor a pattern are set."""
        if self.CORS_ORIGINS or self.CORS_ORIGIN_REGEX:
            return self.CORS_ORIGINS
        return ["*"]


def fail_start(name: str, reason: str) -> NoReturn:
    """End the process before it serves, with one line that names a variable."""
    log.critical("%s: %s", name, reason)
    # gunicorn gives up on this status; after 1 it would start workers for ever.
    raise SystemExit(4)


def read_settings(env_file: Path) -> Settings:
    """Return the settings of the environment, and for what it lacks those of a .env file.

    An empty variable means the default, also where the file has a value. A value that
    makes no sense ends the start with one line, which never holds the value.
    """
    try:
        variables = {**dotenv_values(env_file, encoding="utf-8-sig"), **os.environ}
    except UnicodeDecodeError:
        fail_start(".env", "must be a text in UTF-8")
    values = {}
    for name in Settings.model_fields:
        value = (variables.get(name) or "").strip()
        if value and value[0] == value[-1] and value[0] in "\"'":
            fail_start(name, "must not have quotes around it")
        if value:
            values[name] = value
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        fail_start(str(first["loc"][0]), first["msg"].removeprefix("Value error, "))


settings = read_settings(Path(__file__).with_name(".env"))


# The database's URL

URL_FORM = (
    "must be sqlite:///FILE, or postgresql://USER:PASSWORD@HOST:PORT/NAME percent-encoded"
)
POSTGRES_SCHEMES = ["postgresql", "postgres", "postgresql+asyncpg"]
PostgresURL = Annotated[
    MultiHostUrl, UrlConstraints(allowed_schemes=POSTGRES_SCHEMES, host_required=False)
]


class PostgresParameters(BaseModel):
    """The parameters of a URL that take certain values only.

    asyncpg itself would check them with the first request.
    """

    sslmode: SSLMode = "prefer"
    # Not prefer-standby, which would have to try all hosts before it takes one.
    target_session_attrs: Literal[
        "any", "primary", "standby", "read-write", "read-only"
    ] = "any"
    statement_cache_size: int = Field(100, ge=0, le=9_999)


# asyncpg's own, and three settings of the server. asyncpg would send any other as one,
# and the server refuses those that it does not know, as libpq's channel_binding.
ASYNCPG_PARAMETERS = {
    *PostgresParameters.model_fields,
    *["host", "port", "user", "password", "passfile", "dbname", "database", "service"],
    *["sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "sslnegotiation"],
    *["ssl_min_protocol_version", "ssl_max_protocol_version", "krbsrvname", "gsslib"],
    *["application_name", "search_path", "options"],
}


def postgres_parameters(query: str) -> dict[str, str]:
    """Return the parameters that asyncpg knows; ValueError if one makes no sense."""
    parameters = dict(parse_qsl(query))
    if "ssl" in parameters:
        parameters["sslmode"] = parameters.pop("ssl")  # SQLAlchemy's spelling
    for name in parameters.keys() - ASYNCPG_PARAMETERS:
        log.warning("DATABASE_URL: asyncpg has no parameter %r; it is dropped", name)
        del parameters[name]
    PostgresParameters.model_validate(parameters)  # only to check them
    return parameters


def sqlite_file(url: str) -> Path:
    """Return the file that a URL names; ValueError if it cannot be written."""
    path = url.removeprefix("sqlite:///")
    if not url.startswith("sqlite:///") or path in ("", ":memory:"):
        raise ValueError(URL_FORM)
    if "?" in path or "#" in path:
        raise ValueError(URL_FORM)
    file = Path(unquote(path)).absolute()
    written = [file.parent]  # its journal lies beside it
    if file.exists():
        written.append(file)
    if file.is_dir() or not all(os.access(each, os.W_OK) for each in written):
        raise ValueError("must name a writable file in a writable folder")
    return file


# The table

metadata = sa.MetaData()
notes = sa.Table(
    "notes",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("text", sa.String, nullable=False),
    sa.Column("completed", sa.Boolean, nullable=False),
    # As on Postgres, the id of a deleted note never comes back.
    sqlite_autoincrement=True,
)


# The models

MAX_ID = 2**63 - 1
MAX_IDS = 100  # of a list that is asked for by ids


def check_digits(value: Any) -> Any:
    """Check that a number is in digits; pydantic itself also takes 1.0, +1 and 1_000."""
    if not re.fullmatch("-?[0-9]{1,20}", str(value)):
        raise ValueError("must be a whole number")
    return value


def check_flag(value: Any) -> bool:
    """Return what is true or false; pydantic itself would take yes, 1 and on as well."""
    if value not in ("true", "false"):
        raise ValueError("must be true or false")
    return bool(value == "true")


Digits = BeforeValidator(check_digits)
Id = Annotated[int, Field(ge=1, le=MAX_ID, examples=[7]), Digits]
QueryBoolean = Annotated[bool, BeforeValidator(check_flag)]
JSONBoolean = Annotated[bool, Field(strict=True, examples=[False])]
# Postgres stores no U+0000.
Text = Annotated[
    str,
    Field(max_length=65_536, pattern=r"^[^\x00]*$", examples=["fix tap in kitchen sink"]),
]
Search = Annotated[str, Field(max_length=1_000, pattern=r"^[^\x00]*$", examples=["tap"])]
# A list, because the header may be repeated (RFC 9110, 5.3).
ETags = Annotated[list[str], WithJsonSchema({"type": "string", "examples": ['"5c1e"']})]
IfMatch = Annotated[
    ETags,
    Header(
        alias="If-Match",
        default_factory=list,
        description="Change it only if its ETag is one of these.",
    ),
]
IfNoneMatch = Annotated[
    ETags,
    Header(
        alias="If-None-Match",
        default_factory=list,
        description="The ETags that the client has: 304 if one of them is current.",
    ),
]


def optional(**documentation: Any) -> Any:
    """Return a field that may be left out, and is then None, whatever its type.

    Its annotation leaves the None out. With it, clients would send null, and OpenAPI
    would have it as the default.
    """
    return Field(default_factory=lambda: None, **documentation)


class NoteIn(BaseModel):
    """A note to be stored.

    Other members of the body are ignored, as clients send back what they were sent.
    """

    text: Text
    # With a plain default, types that are generated from OpenAPI would require it.
    completed: JSONBoolean = Field(
        default_factory=lambda: False, description="false unless given"
    )


class NotePatch(TypedDict, total=False):
    """The members of a note that change; all others stay (RFC 7396)."""

    text: Text
    completed: JSONBoolean


class Note(BaseModel):
    """A note as it is stored."""

    id: Id
    text: str = Field(examples=["fix tap in kitchen sink"])
    completed: bool = Field(examples=[False])


class DeletedNote(Note):
    """The note that was deleted, and a sentence that says so."""

    message: str = Field(examples=["Note with id: 7 deleted successfully!"])


class Problem(BaseModel):
    """An error (RFC 9457), as OpenAPI shows it.

    Its `message` is its `detail`, as many clients look there.
    """

    type: str
    title: str
    status: int
    detail: str
    message: str
    errors: dict[str, str] = optional(
        description="for 422: what is wrong with each parameter or member"
    )


class Lane(Enum):
    """What a statement does. `database.lanes` bounds how many of some run at once."""

    QUICK = "reads or writes by the primary key, a thousand rows at most"
    PROBE = "asks whether the database, or its file, is there"
    SCAN = "may read more than that"
    LARGE = "writes a large text"


class PageQuery(BaseModel):
    """Which part of a list is asked for, and in what order.

    A subclass adds filters, and may sort by more columns.
    """

    # Frozen, as many requests are given the same object (Route.read_query), and those for
    # an equal one share a statement (Store.read_page()).
    model_config = ConfigDict(extra="forbid", frozen=True)

    skip: Annotated[int, Digits] = Field(
        0, ge=0, le=MAX_ID, description="How many to leave out from the beginning."
    )
    take: Annotated[int, Digits] = Field(
        20,
        ge=0,
        le=1_000,
        description="At most this many: 20 unless given, or 100 with `id`.",
    )
    sort: Literal["id", "-id"] = Field(
        "id", description="The order; `-id` is the newest first."
    )
    after: Id = optional(
        description="The id that the page begins after, in an order by id only."
    )
    count: QueryBoolean = Field(
        False, description="Whether `X-Total-Count` is to tell how many there are."
    )
    id: tuple[Id, ...] = Field(
        (), max_length=MAX_IDS, description="The ids to choose from, one or more."
    )

    @field_validator("after")
    @classmethod
    def check_after(cls, after: int, info: ValidationInfo) -> int:
        """Refuse a cursor in an order that is not by id."""
        # `sort` is missing here if it was refused already.
        if info.data.get("sort", "id") not in ("id", "-id"):
            raise ValueError("goes with sort=id or sort=-id only")
        return after

    @model_validator(mode="after")
    def take_all_ids(self) -> "PageQuery":
        """Take as many as there may be ids, unless `take` is given."""
        if "id" in self.model_fields_set and "take" not in self.model_fields_set:
            return self.model_copy(update={"take": MAX_IDS})
        return self

    @property
    def filters(self) -> set[str]:
        """The names of the filters that are given."""
        return {
            name
            for name, value in vars(self).items()
            if name not in PAGING and value not in (None, ())
        }

    @property
    def by_id(self) -> bool:
        """Whether it is ordered by id, so that a cursor can continue it."""
        return self.sort in ("id", "-id")

    @property
    def lane(self) -> Lane:
        """The lane of its statement: QUICK for a short one by the index of ids."""
        other_filters = self.filters - {"id"}
        # What is skipped is read, too; and a thousand of the longest notes are 65 MB.
        is_long = self.skip > 1_000 or self.take > 100
        if other_filters or is_long or not self.by_id:
            return Lane.SCAN
        return Lane.QUICK


PAGING = PageQuery.model_fields.keys() - {"id"}  # what is no filter

# A column in ascending or, with a minus sign, in descending order.
COLUMNS = notes.columns.keys()
SORTS = [*COLUMNS, *(f"-{name}" for name in COLUMNS)]


class NoteQuery(PageQuery):
    """Which notes are asked for, and in what order."""

    sort: Literal[*SORTS] = Field(  # type: ignore[valid-type]  # known at run time only
        "id", description="A column, with a minus sign in descending order; ties by id."
    )
    text: Search = optional(description="The whole text, of at most 1,000 characters.")
    completed: QueryBoolean = optional(description="Whether they are completed.")
    q: Search = optional(description="A part of the text, in upper or lower case.")


# The two databases


Values = Mapping[str, Any]


class Statement(NamedTuple):
    """SQL in the driver's own form, and its parameters in order.

    A parameter is its name, and the default for where run() is given no value.
    """

    sql: str
    parameters: Sequence[tuple[str, Any]]
    writes: bool


class UnusableError(Exception):
    """The database cannot be used until somebody repairs it; the message says how."""


DATABASE_ERRORS = (
    OSError,  # TimeoutError is one
    sqlite3.DatabaseError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    UnusableError,
)


def table_definitions(dialect: Any) -> list[str]:
    """Return the SQL that makes what is missing of metadata's tables."""
    make = [
        sa.schema.CreateTable(each, if_not_exists=True) for each in metadata.sorted_tables
    ]
    return [str(each.compile(dialect=dialect)) for each in make]


def column_definition(column: sa.Column[Any], dialect: Any) -> str:
    """Return a column as SQL declares it."""
    return str(sa.schema.CreateColumn(column).compile(dialect=dialect))


def type_error(column: sa.Column[Any], kind: str, dialect: Any) -> UnusableError:
    """Return the error about a column whose stored type does not fit."""
    place = f"the column {column.name} of the table {column.table.name}"
    definition = column_definition(column, dialect)
    return UnusableError(f"{place} is {kind}, and must be as in: {definition}")


def check_names(table: sa.Table, stored: Collection[str], dialect: Any) -> None:
    """Raise UnusableError, with what mends it, if a stored table lacks a column."""
    for column in table.columns:
        if column.name not in stored:
            # Without NOT NULL, which the rows that are there could not satisfy.
            added = column_definition(column, dialect).removesuffix(" NOT NULL")
            mend = f"ALTER TABLE {table.name} ADD COLUMN {added}"
            raise UnusableError(f"the table {table.name} lacks a column: {mend}")


# `database` is an object of one of two classes. The rest of this module uses what both
# have: title, dialect, converters; patience, pause, must_be_up; open(), lanes, ready,
# prepare(), check_file(), connection(), fetch(); contains(), among(), by_code_point(),
# tag().


class SQLite:
    """A file, with one connection for scans and one for all else.

    A connection for each request would cost three times as much.
    """

    dialect: Any = sa.make_url("sqlite+aiosqlite://").get_dialect()()
    patience = settings.DB_TIMEOUT  # seconds to try again for, while it is locked
    pause = 0.005  # seconds between tries
    must_be_up = True  # else the start fails, as a file does not mend itself
    converters: Mapping[type, Callable[[Any], Any]] = {bool: bool}  # it has 0 and 1
    columns_query = "SELECT name, upper(type), pk FROM pragma_table_info(?)"

    def __init__(self, url: str) -> None:
        self.file = sqlite_file(url)
        self.title = f"SQLite, {self.file}"
        path = f"sqlite:///{quote(str(self.file))}"
        # No timeout, as SQLite would wait for a lock on the thread that all others need;
        # run() tries again instead.
        self.for_scans = Database(path, timeout=0)
        self.for_all_else = Database(path, timeout=0)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Hold the file open."""
        # LARGE, too: beside ten clients that write large texts a note took 1.8 s, and not
        # 11 ms.
        self.lanes = {lane: asyncio.Semaphore(1) for lane in (Lane.SCAN, Lane.LARGE)}
        self.ready = False
        async with (
            self.for_scans,
            self.for_all_else,
            self.for_scans.connection() as self.scan_connection,
            self.for_all_else.connection() as self.main_connection,
        ):
            self.stat_at_open = self.file.stat()
            yield

    def check_file(self) -> None:
        """Raise UnusableError if the file is no longer the one that was opened."""
        try:
            same = os.path.samestat(self.stat_at_open, self.file.stat())
        except OSError:
            same = False
        if not same:
            raise UnusableError(f"{self.file} was replaced: start the service again")

    def connection(self, lane: Lane) -> Any:
        """Return a connection. It stays open when it is left: open() is in it, too."""
        if lane is Lane.SCAN:
            return self.scan_connection
        return self.main_connection

    async def prepare(self, raw: Any) -> None:
        """Make the tables that are missing; UnusableError where one does not fit."""
        for connection in (self.main_connection, self.scan_connection):
            await self.configure(connection.raw_connection)
        for sql in ("PRAGMA journal_mode=WAL", *table_definitions(self.dialect)):
            await raw.execute_fetchall(sql)
        for table in metadata.sorted_tables:
            rows = await raw.execute_fetchall(self.columns_query, [table.name])
            stored_key = [(name, kind) for name, kind, is_key in rows if is_key]
            for column in table.primary_key:
                # SQLite makes ids for this type only, and ALTER TABLE cannot add a key.
                if stored_key != [(column.name, "INTEGER")]:
                    raise type_error(column, "no INTEGER PRIMARY KEY", self.dialect)
            check_names(table, {name for name, *_ in rows}, self.dialect)
        self.ready = True

    async def configure(self, raw: Any) -> None:
        """Give a connection the functions of our SQL, and have it write to the disk."""
        await raw.create_function("tag", -1, make_tag, deterministic=True)
        await raw.create_function("has_part", 2, has_part, deterministic=True)
        await raw.create_function("like_pattern", 1, like_pattern, deterministic=True)
        await raw.execute_fetchall("PRAGMA synchronous=FULL")

    async def fetch(self, raw: Any, sql: str, values: list[Any], seconds: float) -> Any:
        """Return a statement's rows; interrupt a scan that takes too many seconds."""
        # Requests share this connection: an interrupt could hit another one's statement.
        # So nothing bounds these, which take milliseconds while the disk works.
        if raw is self.main_connection.raw_connection:
            return await raw.execute_fetchall(sql, values)
        try:
            async with asyncio.timeout(seconds):
                return await raw.execute_fetchall(sql, values)
        except (TimeoutError, asyncio.CancelledError):
            await raw.interrupt()
            raise

    def contains(self, column: Any, part: Any) -> Any:
        """Return the condition that a text holds a part, in upper or lower case.

        LIKE with the part's first letters rejects most texts, at a fifth of the cost of
        has_part(), which then decides. LIKE with all of it would cost text times part.
        """
        return column.like(sa.func.like_pattern(part)) & sa.func.has_part(column, part)

    def among(self, column: Any, name: str) -> Any:
        """Return the condition that a number is in the list that a parameter names."""
        array = sa.bindparam(name, type_=sa.String)
        return column.in_(
            sa.select(sa.func.json_each(array).table_valued("value").c.value)
        )

    def by_code_point(self, column: Any) -> Any:
        """Return a text that is ordered by its characters' numbers."""
        return sa.collate(column, "BINARY")

    def tag(self, columns: Sequence[Any]) -> Any:
        """Return the strong tag of a row (RFC 9110, 8.8.3)."""
        return sa.func.tag(*columns)


sqlite3.register_adapter(tuple, json.dumps)  # for json_each()


def make_tag(*values: Any) -> str:
    """Return the tag of a row, the same as Postgres makes from these values."""
    row = json.dumps(values, ensure_ascii=False)
    return f'"{hashlib.sha256(row.encode()).hexdigest()}"'


def has_part(text: str | None, part: str) -> bool:
    """Tell whether a text holds a part in any case, also beyond ASCII."""
    return lower_letters(part) in lower_letters(text or "")


def like_pattern(part: str) -> str:
    """Return a LIKE pattern with a part's first letters, which all texts with it match.

    SQLite's LIKE knows the cases of ASCII only, so other letters become wildcards. So do
    i and k: they are the lower case of U+0130 and of U+212A (the Kelvin sign), too.
    """
    letters = [
        letter if letter.isascii() and letter not in "%_IKik" else "_"
        for letter in part[:6]
    ]
    return f"%{''.join(letters)}%"


def lower_letters(text: str) -> str:
    """Return a text in lower case, each letter on its own as Postgres does it."""
    if text.isascii():
        return text.lower()
    # Python lowers a final sigma in another way, and makes two letters of a Turkish I.
    small_sigma = text.replace(
        "\N{GREEK CAPITAL LETTER SIGMA}", "\N{GREEK SMALL LETTER SIGMA}"
    )
    return small_sigma.replace("\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}", "i").lower()


class Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    """asyncpg's, but its __del__ also works where __init__ has failed."""

    _source_traceback = None  # which __init__ sets last


class Postgres:
    """A pool of connections, each to the first host that gives one."""

    dialect: Any = sa.make_url("postgresql+asyncpg://").get_dialect()()
    patience = settings.POOL_TIMEOUT  # seconds to try again for, while it is away
    pause = 0.05  # seconds between tries
    must_be_up = False  # the start goes on without it, as it may come up later
    converters: Mapping[type, Callable[[Any], Any]] = {}
    # IF NOT EXISTS alone fails when workers race. The number is our own.
    lock = "SELECT pg_advisory_xact_lock(730314)"
    # For searches of notes. With fastupdate a small write would have to merge what large
    # ones have left.
    trigrams = """CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX IF NOT EXISTS notes_text_trgm ON notes
    USING gin (text gin_trgm_ops) WITH (fastupdate = off)"""
    columns_query = """SELECT attname, format_type(atttypid, atttypmod), typcategory::text,
    atthasdef OR attidentity <> '' FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
    WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped"""
    categories: Mapping[type, str] = {bool: "B", int: "N", str: "S"}  # of pg_type

    def __init__(self, url: str) -> None:
        normal = TypeAdapter[MultiHostUrl](PostgresURL).validate_python(url)
        address = urlsplit(str(normal))  # pydantic has percent-encoded what is not plain
        login, at, hosts = address.netloc.rpartition("@")
        # A password ends at a / or a ? that is not encoded. An @ is left in the login
        # where a second host has one, too.
        ends_early = not (at or address.path) and "@" in address.query
        if (
            not re.fullmatch("(/[^/@]*)?", address.path)
            or ends_early
            or "@" in login
            or address.fragment
        ):
            raise ValueError(URL_FORM)
        parameters = postgres_parameters(address.query)
        self.options: dict[str, Any] = {
            "command_timeout": 1,  # second, for asyncpg's queries and self.prepare()'s
            "connection_class": Connection,
        }
        if "statement_cache_size" in parameters:
            self.options["statement_cache_size"] = int(
                parameters.pop("statement_cache_size")
            )
        rest = f"{address.path}?{urlencode(parameters)}"
        self.urls = [f"postgresql://{login}{at}{host}{rest}" for host in hosts.split(",")]
        self.title = f"Postgres, {hosts}{unquote(address.path)}"
        self.size = settings.POOL_SIZE + settings.MAX_OVERFLOW
        # The URL is a placeholder: connect() opens the connections, from self.urls.
        hooks: dict[str, Any] = {"connect": self.connect, "reset": self.skip_reset}
        self.pool = Database("postgres://", min_size=0, max_size=self.size, **hooks)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Hold the pool open, whether Postgres is there or not."""
        # From a pool of three on, the two lanes together leave one to all others.
        share = max(1, (self.size - 1) // 2)
        self.lanes = {lane: asyncio.Semaphore(share) for lane in (Lane.SCAN, Lane.LARGE)}
        self.ready = False
        await self.pool.connect()
        try:
            yield
        finally:
            # A stalled network is no reason for a traceback.
            with suppress(*DATABASE_ERRORS):
                await self.pool.disconnect()

    def connection(self, _: Lane) -> Any:
        """Return a connection of the pool, which is taken when it is entered."""
        return self.pool.connection()

    async def connect(self, *_: Any, **__: Any) -> Any:
        """Return a connection to the first host that gives one, in its share of time."""
        failures = []
        for url in self.urls:
            try:
                async with asyncio.timeout(settings.POOL_TIMEOUT / len(self.urls)):
                    return await self.connect_to(url)
            except DATABASE_ERRORS as error:
                failures.append(error)
        raise failures[-1]

    async def connect_to(self, url: str) -> Any:
        """Return a connection to a host; without prepared statements to a pooler."""
        try:
            raw = await asyncpg.connect(url, **self.options)
        except DATABASE_ERRORS:  # some of which are ValueErrors, too
            raise
        except (AttributeError, ValueError) as error:  # of asyncpg's parser of messages
            raise ConnectionError(f"this is no Postgres: {error}") from None
        if "statement_cache_size" in self.options or not await self.is_pooler(raw):
            return raw
        raw.terminate()
        log.warning("DATABASE_URL leads to a pooler: set statement_cache_size=0 in it")
        self.options["statement_cache_size"] = 0
        return await asyncpg.connect(url, **self.options)

    async def is_pooler(self, raw: Any) -> bool:
        """Tell whether a connection leads to a pooler."""
        try:
            query = await raw.prepare("SELECT pg_backend_pid()", name="")
            # A pooler gives an id of its own at first, and runs this in another process.
            return bool(await query.fetchval() != raw.get_server_pid())
        except BaseException:
            raw.terminate()
            raise

    async def skip_reset(self, _: Any) -> None:
        """Leave a connection as it is: no request sets state; a reset is a round trip."""

    async def prepare(self, raw: Any) -> None:
        """Make the tables that are missing; UnusableError where one does not fit.

        It runs until it has succeeded once. A table that is dropped later is not made
        again, as a restore may be under way.
        """
        for table in metadata.sorted_tables:
            stored = await self.read_columns(raw, table)
            if not stored:
                await self.make_tables(raw)
                stored = await self.read_columns(raw, table)
            check_names(table, stored, self.dialect)
        self.ready = True

    async def read_columns(self, raw: Any, table: sa.Table) -> set[str]:
        """Return the names of a stored table's columns; none where it is missing.

        UnusableError if a type does not fit.
        """
        rows = await raw.fetch(self.columns_query, table.name)
        for name, kind, category, has_default in rows:
            column = table.columns.get(name)
            if column is None:
                continue
            expected = self.categories.get(column.type.python_type, category)
            if category != expected or (column.primary_key and not has_default):
                raise type_error(column, kind, self.dialect)
        return {name for name, *_ in rows}

    async def make_tables(self, raw: Any) -> None:
        """Make the missing tables, and, if the user may, the index for searches.

        A table that was there already is not given one: that could take long.
        """
        # What one execute() sends is one transaction, to whose end the lock is held.
        await raw.execute(";".join([self.lock, *table_definitions(self.dialect)]))
        try:
            await raw.execute(f"{self.lock};{self.trigrams}")
        except (asyncpg.PostgresError, TimeoutError) as error:
            log.warning("A search scans all notes, without an index: %s", describe(error))

    def check_file(self) -> None:
        """Do nothing, as there is none."""

    async def fetch(self, raw: Any, sql: str, values: list[Any], seconds: float) -> Any:
        """Return a statement's rows; cancel one that takes too many seconds."""
        try:
            return await raw.fetch(sql, *values, timeout=seconds)
        except asyncpg.ReadOnlySQLTransactionError:
            raw.terminate()  # a demoted primary; the next connection finds the new one
            raise

    def contains(self, column: Any, part: Any) -> Any:
        """Return the condition that a text holds a part, in a form the index serves."""
        wildcards: list[Any] = [
            sa.literal_column(sql) for sql in ("'([%_/])'", r"'/\1'", "'g'")
        ]
        return column.icontains(sa.func.regexp_replace(part, *wildcards), escape="/")

    def among(self, column: Any, name: str) -> Any:
        """Return the condition that a number is in the list that a parameter names."""
        return column == sa.any_(sa.bindparam(name, type_=sa.ARRAY(sa.BigInteger)))

    def by_code_point(self, column: Any) -> Any:
        """Return a text that is ordered by its characters' numbers, not by a language."""
        return sa.collate(column, "C")

    def tag(self, columns: Sequence[Any]) -> Any:
        """Return the strong tag of a row (RFC 9110, 8.8.3), which FIPS allows: no md5."""
        values = [
            # SQLite has numbers for booleans.
            sa.cast(column, sa.Integer) if isinstance(column.type, sa.Boolean) else column
            for column in columns
        ]
        row = sa.cast(sa.func.json_build_array(*values), sa.Text)
        content = sa.func.convert_to(row, sa.literal_column("'UTF8'"))
        digest = sa.func.encode(sa.func.sha256(content), sa.literal_column("'hex'"))
        quote_mark: Any = sa.literal_column("'\"'")
        return sa.func.concat(quote_mark, digest, quote_mark)


def choose_database(url: str) -> SQLite | Postgres:
    """Return the database that a URL names; end the start if it makes no sense."""
    try:
        return SQLite(url) if url.startswith("sqlite") else Postgres(url)
    except ValidationError as error:  # whose own text would hold the password
        first = error.errors()[0]
        fail_start(
            "DATABASE_URL", ": ".join([*map(str, first["loc"]), first["msg"], URL_FORM])
        )
    except ValueError as error:
        fail_start("DATABASE_URL", str(error))


database = choose_database(settings.chosen_url)


# Running a statement


class Failure(NamedTuple):
    """What a group of failures means to a client, and whether to try again first."""

    status: int
    codes: tuple[str, ...]  # how SQLSTATEs, or SQLite's names of errors, begin
    retry: bool = False
    advice: str = ""


# What codes mean; the first row that matches holds.
FAILURES = [
    # A row with this key is there; or the ids' sequence is behind, as after a restore.
    Failure(
        409,
        ("23505",),
        advice="; if it is the id: setval() its sequence to the largest id",
    ),
    Failure(409, ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY")),
    # The sequence of ids is at its end; a stored text is not in the database's encoding.
    Failure(503, ("2200H", "22021")),
    # A type, a length, a check, NOT NULL or a trigger of the table refuses a value.
    Failure(422, ("22", "23", "P0001", "SQLITE_CONSTRAINT", "SQLITE_MISMATCH")),
    # statement_completion_unknown
    Failure(504, ("40003",)),
    # Busy: a server that is read-only (25), has rolled back (40), has no room (53), waits
    # for a lock (55) or cancels (57014); SQLite's file is locked.
    Failure(
        503,
        ("25", "40", "53", "55", "57014", "SQLITE_BUSY", "SQLITE_LOCKED"),
        retry=True,
    ),
    # A prepared statement that a pooler has lost, or has already.
    Failure(503, ("26", "42P05"), retry=True),
    # No privilege; a table or a column that is missing or has changed its type.
    Failure(503, ("42501", "42P01", "42703", "42804", "42883")),
    # SQL that makes no sense: a bug.
    Failure(500, ("42",)),
]
# Corrupt, full, moved, over a limit. On SQLite also a table that is missing and SQL that
# makes no sense, as both are SQLITE_ERROR.
OTHER_FAILURE = Failure(503, ())
LARGE_TEXT = 8_192  # characters; the search index takes long for a longer text
LOST_CODES = ("08", "57P")  # the connection is gone, or the server is going


def classify(error: Any, sent: bool, writes: bool) -> Failure:
    """Return what an error means; `sent` is whether the statement was on its way."""
    code = getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None)
    if code and not code.startswith(LOST_CODES):  # the database's own answer
        for row in FAILURES:
            if code.startswith(row.codes):
                return row
        return OTHER_FAILURE
    if isinstance(error, UnusableError | sqlite3.DatabaseError):
        return OTHER_FAILURE
    # Without an answer: too late, or the connection is lost.
    timed_out = isinstance(error, TimeoutError)
    if sent and (writes or timed_out):
        return Failure(504, ())  # a write may have been done; a read took too long
    return Failure(503, (), retry=not timed_out)


def describe(error: Any) -> str:
    """Return an error as one line, and take out of it the values that it quotes."""
    error.detail = None  # asyncpg adds it to the message, and it quotes the row
    words = str(error).partition(" with text ")[0]  # SQLite quotes what it cannot decode
    return " ".join([type(error).__name__, *words.split()])


def has_large_text(values: Sequence[Any]) -> bool:
    """Tell whether one is a large text, which takes the search index long to store."""
    return any(isinstance(each, str) and len(each) > LARGE_TEXT for each in values)


class StatementError(Exception):
    """A statement failed: what that means, and the line that says why."""

    def __init__(self, failure: Failure, reason: str) -> None:
        super().__init__(failure, reason)
        self.failure, self.reason = failure, reason


async def attempt(
    statement: Statement, values: list[Any], lane: Lane, deadline: float
) -> Any:
    """Return a statement's rows before a deadline.

    StatementError if it fails; but where the SQL is wrong, the driver's own error, as
    whoever mends this needs its traceback.
    """
    sent = False
    try:
        async with (
            asyncio.timeout(min(settings.POOL_TIMEOUT, deadline - monotonic())) as limit,
            database.lanes.get(lane, nullcontext()),
            database.connection(lane) as connection,
        ):
            raw = connection.raw_connection
            if not database.ready:
                await database.prepare(raw)
            if statement.writes or lane is Lane.PROBE:
                database.check_file()
            # The limit was for the wait; fetch() has that of the statement itself.
            limit.reschedule(None)
            seconds = min(settings.DB_TIMEOUT, deadline - monotonic())
            if seconds <= 0:
                raise TimeoutError("no time is left for this statement")
            sent = True
            return await database.fetch(raw, statement.sql, values, seconds)
    except DATABASE_ERRORS as error:
        failure, reason = classify(error, sent, statement.writes), describe(error)
        if failure.status == 500:
            raise
        raise StatementError(failure, reason) from None


def next_deadline() -> float:
    """Return the time by which all statements of a new request must be done."""
    return monotonic() + settings.POOL_TIMEOUT + settings.DB_TIMEOUT


async def run(
    statement: Statement,
    given: Values,
    lane: Lane = Lane.QUICK,
    deadline: float | None = None,
) -> Any:
    """Return a statement's rows, for values by the names of its parameters.

    Where a request runs several statements, give all of them the deadline that
    next_deadline() returned before the first one.

    HTTPException 503 if nothing was changed; 504 if that is not known, or a read took too
    long; 409 or 422 if the table refuses a value. The log says why. A write is sent again
    only if the database says that it was not done. On SQLite only scans take too long:
    see SQLite.fetch(). Wrong SQL is the driver's own error: see attempt().
    """
    values = [given.get(name, default) for name, default in statement.parameters]
    if statement.writes and has_large_text(values):
        lane = Lane.LARGE
    started = monotonic()
    deadline = deadline or next_deadline()
    first_reason = ""
    while True:
        try:
            return await attempt(statement, values, lane, deadline)
        except StatementError as error:
            failure, reason = error.failure, error.reason
        first_reason = first_reason or reason
        waited = monotonic() - started
        # There must be time for a pause, and for a try, if that takes as long as a pause.
        if not failure.retry or waited + 2 * database.pause > database.patience:
            log_failure(failure, waited, first_reason, reason)
            raise HTTPException(failure.status)
        await asyncio.sleep(database.pause)


def log_failure(failure: Failure, waited: float, first: str, last: str) -> None:
    """Log how it began that a statement failed, and, if that differs, how it ended."""
    reason = first
    if last != first:
        reason += f"; then {last}"
    line = "%s after %.2f s: %s%s"
    log.warning(line, failure.status, waited, reason, failure.advice)


# The statements


def compile_statement(query: Any) -> Statement:
    """Return a query ready to run; to compile it costs more than a request."""
    sql = query.compile(dialect=database.dialect)
    parameters = [(name, sql.params[name]) for name in sql.positiontup or ()]
    return Statement(str(sql), parameters, writes=not query.is_select)


def parameter(name: str, kind: Any = sa.BigInteger) -> Any:
    """Return a parameter, an integer unless said otherwise; NULL if run() lacks it."""
    return sa.bindparam(name, type_=kind)


def without_null(column: sa.Column[Any]) -> Any:
    """Return a column, and '', 0 or false in place of NULL where it is to be NOT NULL.

    The tutorial's table has NULLs there, and ALTER TABLE leaves them in others.
    """
    empty = {str: "''", bool: "false", int: "0"}.get(column.type.python_type)
    if column.nullable or column.primary_key or empty is None:
        return column
    value = sa.func.coalesce(column, sa.literal_column(empty), type_=column.type)
    return value.label(column.name)


class Tagged(NamedTuple):
    """A row as it is shown, and its tag."""

    item: dict[str, Any]
    tag: str


class Page(NamedTuple):
    """A page of a list, whether another one follows, and how many rows all pages have."""

    items: list[dict[str, Any]]
    has_next: bool
    total: int | None


class Store:
    """The rows of a table, whose statements are compiled once. Errors call a row `name`.

    Its lists are filtered by the value of any column, by a list of ids, and by `filters`:
    further parameters of the query, each with its condition.
    """

    def __init__(self, name: str, table: sa.Table, **filters: Any) -> None:
        self.name = name
        self.table = table
        # SQLAlchemy's names are a subclass of str, and slow to write as JSON.
        self.columns = {str(each.name): without_null(each) for each in table.columns}
        self.converters = {
            name: database.converters[column.type.python_type]
            for name, column in self.columns.items()
            if column.type.python_type in database.converters
        }
        self.filters = {
            name: column == self.value_parameter(name)
            for name, column in self.columns.items()
        }
        self.filters["id"] = database.among(table.c.id, "id")
        self.filters |= filters
        tag = database.tag([*self.columns.values()])
        self.returned = [*self.columns.values(), tag]
        self.id_place = [*self.columns].index("id")
        self.where_id = table.c.id == parameter("id")
        self.reads_under_way = 0
        self.next_ids: list[int] = []  # that the next batch of reads is for
        self.next_batch: asyncio.Task[dict[int, list[Any]]]  # set by the first of them
        self.pages_under_way = 0
        self.next_pages: dict[PageQuery, asyncio.Task[Page]] = {}
        # The parameter has all tags of If-Match in one text (see strong_tags()). If that
        # changes without the row's, it is among them. A tag's quotes keep it from being
        # found within another; LIKE would ignore case on SQLite.
        tags = parameter("if_match", sa.String)
        without_this = sa.func.replace(tags, tag, sa.literal_column("''"))
        self.where_expected = tags.is_(None) | (tags != without_this)

    def value_parameter(self, name: str) -> Any:
        """Return the parameter for a column's value."""
        return parameter(name, self.table.c[name].type)

    @cache  # noqa: B019  # a store lives as long as the process
    def insert_statement(self, names: frozenset[str]) -> Statement:
        """Return the statement that stores these columns of a new row."""
        values = {name: self.value_parameter(name) for name in names}
        return compile_statement(
            sa.insert(self.table).values(values).returning(*self.returned)
        )

    @cache  # noqa: B019
    def select_statement(self) -> Statement:
        """Return the statement that reads a row."""
        return compile_statement(sa.select(*self.returned).where(self.where_id))

    @cache  # noqa: B019
    def select_many_statement(self) -> Statement:
        """Return the statement that reads rows with these ids."""
        this = database.among(self.table.c.id, "ids")
        return compile_statement(sa.select(*self.returned).where(this))

    @cache  # noqa: B019
    def update_statement(self, names: frozenset[str]) -> Statement:
        """Return the statement that changes columns of a row that is as expected."""
        values = {name: self.value_parameter(name) for name in names}
        if not values:  # PATCH {}: set each column to itself, as UPDATE sets at least one
            values = {
                each.name: each for each in self.table.columns if not each.primary_key
            }
        query = sa.update(self.table).where(self.where_id, self.where_expected)
        return compile_statement(query.values(values).returning(*self.returned))

    @cache  # noqa: B019
    def delete_statement(self) -> Statement:
        """Return the statement that deletes a row that is as expected."""
        query = sa.delete(self.table).where(self.where_id, self.where_expected)
        return compile_statement(query.returning(*self.returned))

    @cache  # noqa: B019
    def page_statement(
        self, sort: str, filters: frozenset[str], has_cursor: bool
    ) -> Statement:
        """Return the statement of a page, in an order and with these filters."""
        name = sort.removeprefix("-")
        descending = sort.startswith("-")
        column = self.columns[name]
        row_id = self.table.c.id
        after = parameter("after")
        if isinstance(column.type, sa.String):
            column = database.by_code_point(column)
        query = sa.select(*self.columns.values())
        query = query.where(*(self.filters[each] for each in filters))
        if has_cursor:
            query = query.where(row_id < after if descending else row_id > after)
        query = query.order_by(column.desc() if descending else column)
        if name != "id":
            query = query.order_by(row_id)
        return compile_statement(query.limit(parameter("take")).offset(parameter("skip")))

    @cache  # noqa: B019
    def count_statement(self, filters: frozenset[str]) -> Statement:
        """Return the statement that counts the rows of all pages with these filters."""
        query = sa.select(sa.func.count()).select_from(self.table)
        return compile_statement(query.where(*(self.filters[each] for each in filters)))

    def to_items(self, rows: Sequence[Any]) -> list[dict[str, Any]]:
        """Return rows of the database as they are shown."""
        # Not strict: the tag may be left over.
        items = [dict(zip(self.columns, row, strict=False)) for row in rows]
        for name, convert in self.converters.items():
            for item in items:
                item[name] = convert(item[name])
        return items

    def to_tagged(self, row: Sequence[Any]) -> Tagged:
        """Return a row of the database as it is shown, and its tag, its last value."""
        return Tagged(self.to_items([row])[0], row[-1])

    async def create(self, values: Values) -> Tagged:
        """Store a row."""
        rows = await run(self.insert_statement(frozenset(values)), values)
        return self.to_tagged(rows[0])

    async def read(self, row_id: int) -> Tagged:
        """Return a row; 404 where there is none.

        A read that is alone has a statement of its own. While it is under way, those that
        come in the same turn of the event loop share one, for 40 % less CPU if 32 clients
        read at once.
        """
        rows, deadline = None, next_deadline()
        self.reads_under_way += 1
        try:
            if self.reads_under_way > 1:
                # If it fails, perhaps by another row that is damaged, this is read alone.
                with suppress(StatementError):
                    rows = await self.read_together(row_id)
            if rows is None:
                rows = await self.read_alone(row_id, deadline)
        finally:
            self.reads_under_way -= 1
        return self.existing(rows, row_id)

    async def read_alone(self, row_id: int, deadline: float) -> Any:
        """Return the rows with an id."""
        return await run(self.select_statement(), {"id": row_id}, deadline=deadline)

    async def read_together(self, row_id: int) -> list[Any]:
        """Return the rows with an id, by the next statement.

        By none that was sent already: it could miss what this client has just written.
        """
        if not self.next_ids:
            self.next_batch = asyncio.create_task(self.read_batch())
        self.next_ids.append(row_id)  # before that task begins, as nothing awaits here
        rows_by_id = await asyncio.shield(self.next_batch)
        return rows_by_id.get(row_id, [])

    async def read_batch(self) -> dict[int, list[Any]]:
        """Return the rows of all reads that came in before this task begins, by id."""
        ids, self.next_ids = tuple(self.next_ids), []
        statement = self.select_many_statement()
        # Not run(): whoever finds this failed tries again alone, and that is logged if it
        # fails, too.
        rows = await attempt(statement, [ids], Lane.QUICK, next_deadline())
        return {row[self.id_place]: [row] for row in rows}

    def existing(self, rows: Sequence[Any], row_id: int) -> Tagged:
        """Return the row that a statement found; 404 where it found none."""
        if not rows:
            raise HTTPException(404, f"There is no {self.name} with id {row_id}.")
        return self.to_tagged(rows[0])

    async def update(
        self, row_id: int, values: Values, if_match: Sequence[str] = ()
    ) -> Tagged:
        """Change columns of a row; 404 if it is missing, 412 if If-Match forbids it."""
        return await self.write(
            self.update_statement(frozenset(values)), row_id, values, if_match
        )

    async def delete(self, row_id: int, if_match: Sequence[str] = ()) -> Tagged:
        """Delete a row; 404 where there is none, 412 where If-Match forbids."""
        return await self.write(self.delete_statement(), row_id, {}, if_match)

    async def write(
        self,
        statement: Statement,
        row_id: int,
        values: Values,
        if_match: Sequence[str],
    ) -> Tagged:
        """Run a statement that writes to a row; if none comes back, 404 or 412."""
        tags, deadline = strong_tags(if_match), next_deadline()
        given = {**values, "id": row_id, "if_match": tags}
        rows = await run(statement, given, deadline=deadline)
        if not rows and tags is not None and await self.read_alone(row_id, deadline):
            what = f"The {self.name} with id {row_id}"
            raise HTTPException(412, f"{what} is no longer as If-Match names it.")
        return self.existing(rows, row_id)

    async def read_page(self, query: PageQuery) -> Page:
        """Return a page.

        While a page is being read, requests for an equal page that come in the same turn
        of the event loop share a statement, as those for rows do, and so its failure.
        """
        self.pages_under_way += 1
        try:
            if self.pages_under_way == 1:
                return await self.read_page_alone(query)
            if query not in self.next_pages:
                self.next_pages[query] = asyncio.create_task(self.read_next_page(query))
            return await asyncio.shield(self.next_pages[query])
        finally:
            self.pages_under_way -= 1

    async def read_next_page(self, query: PageQuery) -> Page:
        """Return a page for all that asked for it before this task begins."""
        del self.next_pages[query]
        return await self.read_page_alone(query)

    async def read_page_alone(self, query: PageQuery) -> Page:
        """Return a page."""
        filters = frozenset(query.filters)
        # One too many tells that another page follows.
        values = {**vars(query), "take": query.take + 1}
        has_cursor = query.after is not None
        statement = self.page_statement(query.sort, filters, has_cursor)
        deadline = next_deadline()
        rows = await run(statement, values, query.lane, deadline)
        total = None
        if query.count:
            count = self.count_statement(filters)
            counted = await run(count, values, Lane.SCAN, deadline)
            total = counted[0][0]
        items = self.to_items(rows[: query.take])
        # A page of none has no last item that a next one could begin after.
        return Page(items, 0 < query.take < len(rows), total)


note_store = Store(
    "note", notes, q=database.contains(notes.c.text, parameter("q", sa.String))
)


# Answers

NOSNIFF = {"X-Content-Type-Options": "nosniff"}
# Where the raiser gives none; and OpenAPI's examples, but for that of 422.
DETAILS = {
    400: "The body is not JSON.",
    401: "Send a key, as a Bearer token.",
    404: "There is nothing at this path.",
    405: "This path takes only the methods that Allow names.",
    409: "The database already has a row in this place; nothing was changed.",
    412: "It is no longer as If-Match names it.",
    413: f"The body is over {settings.MAX_BODY_BYTES} bytes.",
    415: "The body must be JSON, and its Content-Type application/json.",
    422: "The table in the database refuses a value, by its type, its length or a rule.",
    500: "The service has a bug; see its log.",
    503: "The database is not available; nothing was changed, so try again.",
    504: "The database did not answer in time; a write may have been applied.",
}
# Starlette's and FastAPI's own words. Python's phrase for 413 is another one before 3.13.
FOREIGN_DETAILS = ("Content Too Large", "There was an error parsing the body")
REASONS = {  # where pydantic says too much
    "string_pattern_mismatch": "must not contain U+0000",  # our models' one pattern
    "string_unicode": "must not contain a lone surrogate",
}


def problem_members(status: int, detail: str) -> dict[str, Any]:
    """Return the members that all errors have (RFC 9457)."""
    title = HTTPStatus(status).phrase
    members = {"type": "about:blank", "title": title, "status": status}
    return {**members, "detail": detail, "message": detail}


def problem(
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
) -> Response:
    """Return an error in the one shape that all have, but for a preflight's."""
    body = problem_members(status, detail)
    if errors:
        body["errors"] = errors
    sent = {**NOSNIFF, **(headers or {})}
    return Response(to_json(body), status, sent, "application/problem+json")


async def refuse(request: Request, error: Any) -> Response:
    """Answer what a handler, or Starlette, has refused."""
    status, detail, headers = error.status_code, error.detail, dict(error.headers or {})
    if detail in FOREIGN_DETAILS or detail == HTTPStatus(status).phrase:
        detail = DETAILS.get(status, detail)
    if isinstance(error.__cause__, UnicodeDecodeError):  # of FastAPI or read_json()
        detail = "The body is not UTF-8."
    if status == 405:
        headers["Allow"] = ", ".join(sorted(methods_of(request.scope)))
    if status == 503:
        headers["Retry-After"] = "1"
    return problem(status, str(detail), headers)


def methods_of(scope: Scope) -> set[str]:
    """Return all methods of a path; Starlette names those of its first route only."""
    routes: Any = [
        route for route in app.routes if route.matches(scope)[0] is not Match.NONE
    ]
    # What is mounted has no methods of its own.
    methods = {method for route in routes for method in getattr(route, "methods", [])}
    if "GET" in methods:
        methods.add("HEAD")
    return methods


async def refuse_input(request: Request, error: Any) -> Response:
    """Answer what is wrong with parameters or a body, each under its name."""
    errors: dict[str, str] = {}
    for each in error.errors():
        kind = each["type"]
        where, *place = each["loc"]
        # No JSON, or no body at all.
        if kind == "json_invalid" or (kind == "missing" and not place):
            return problem(400, DETAILS[400])
        if where != "body":
            place = place[:1]  # a list of parameters has one name
        name = ".".join(map(str, place)) if place else where
        reason = REASONS.get(kind, each["msg"].removeprefix("Value error, "))
        if kind == "extra_forbidden" and where == "query":
            known = ", ".join(query_types(request.scope["route"].dependant))
            reason = f"is not a parameter here; these are: {known}"
        errors.setdefault(name, str(reason))
    detail = "; ".join(f"{name}: {reason}" for name, reason in errors.items())
    return problem(422, f"{detail}.", errors=errors)


def is_model(annotation: Any) -> bool:
    """Tell whether a type is a model of pydantic."""
    return inspect.isclass(annotation) and issubclass(annotation, BaseModel)


def query_types(declared: Dependant) -> dict[str, Any]:
    """Return the parameters of a query by their names, each with its type."""
    types: dict[str, Any] = {}
    for field in declared.query_params:
        annotation: Any = field.field_info.annotation
        if is_model(annotation):
            for name, member in annotation.model_fields.items():
                types[member.alias or name] = member.annotation
        else:
            types[field.alias] = annotation
    for dependency in declared.dependencies:
        types |= query_types(dependency)
    return types


def split_tags(lines: Sequence[str]) -> list[str]:
    """Return the tags that a conditional header lists, in one line or in more."""
    return [tag.strip() for line in lines for tag in line.split(",")]


def strong_tags(if_match: Sequence[str]) -> str | None:
    """Return the tags that a row may have; None if it may have any (RFC 9110, 13.1.1)."""
    tags = split_tags(if_match)
    if not tags or "*" in tags:
        return None
    return ",".join(tag for tag in tags if not tag.startswith("W/"))


def answer(
    item: Any,
    tag: str = "",
    status: int = 200,
    if_none_match: Sequence[str] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an item with its tag, by default a hash; 304 if known (RFC 9110, 13.1.2)."""
    content = to_json(item)
    tag = tag or f'"{hashlib.sha256(content).hexdigest()}"'
    sent = {"ETag": tag, "Cache-Control": "no-cache", **NOSNIFF, **(headers or {})}
    known = [each.removeprefix("W/") for each in split_tags(if_none_match)]
    if tag in known or "*" in known:
        return Response(None, 304, sent)
    return Response(content, status, sent, "application/json")


def answer_created(created: Tagged, request: Request) -> Response:
    """Answer 201 with a new row, and its Location."""
    path = request.scope["root_path"] + request.scope["route"].path
    headers = {"Location": f"{path}{created.item['id']}/"}
    return answer(*created, status=201, headers=headers)


def next_query(query: bytes, start: str) -> str:
    """Return a query without its `skip` and `after`, and with `start` at the end."""
    kept = []
    for part in query.split(b"&"):
        name = unquote_to_bytes(part.partition(b"=")[0])
        if part and name not in (b"skip", b"after"):
            kept.append(part)
    # A query may have these as they are (RFC 3986, 3.4), and % where it came encoded.
    return quote(b"&".join([*kept, start.encode()]), safe="!$&'()*+,;=:@/?%")


def answer_list(
    page: Page, query: PageQuery, request: Request, if_none_match: Sequence[str]
) -> Response:
    """Return a page, with the link to the next one, and the total if it is asked for."""
    headers = {}
    if page.has_next:
        start = f"skip={query.skip + query.take}"
        if query.by_id:
            start = f"after={page.items[-1]['id']}"
        target = next_query(request.scope["query_string"], start)
        headers["Link"] = f'<?{target}>; rel="next"'
    if page.total is not None:
        headers["X-Total-Count"] = str(page.total)
    return answer(page.items, if_none_match=if_none_match, headers=headers)


# The app

# They need no key, and, but for the first one, have no slash at the end. Of their errors
# Route documents 500 alone.
OPEN_PATHS = {
    "/",
    "/livez",
    "/readyz",
    "/docs",
    "/redoc",
    "/openapi.json",
}
# Telemetry that is on, but not configured, takes 5 % of a read's CPU.
TELEMETRY = any(name.startswith(("OTEL_", "FASTAPI_OTEL_")) for name in os.environ)
Responses = dict[int | str, dict[str, Any]]
# Route tags an operation with its path's first part, unless it is given a tag.
OPENAPI_TAGS = [
    {"name": "notes", "description": "What is to be remembered or done."},
    {"name": "health", "description": "For a balancer or a platform."},
]


def document_headers(*names: str) -> dict[str, Any]:
    """Document the headers of an answer."""
    return {"headers": {name: {"schema": {"type": "string"}} for name in names}}


def document_problems(*statuses: int) -> Responses:
    """Document errors, each with an example."""
    responses: Responses = {}
    for status in statuses:
        detail = DETAILS.get(status, HTTPStatus(status).phrase)
        example = problem_members(status, detail)
        if status == 422:
            example = problem_members(422, "text: must not contain U+0000.")
            example["errors"] = {"text": "must not contain U+0000"}
        content = {
            "schema": {"$ref": "#/components/schemas/Problem"},
            "example": example,
        }
        responses[status] = {"content": {"application/problem+json": content}}
    if 401 in responses:
        responses[401] |= document_headers("WWW-Authenticate")
    if 503 in responses:
        responses[503] |= document_headers("Retry-After")
    return responses


class Route(APIRoute):
    """A route that reads requests by pydantic alone, not by FastAPI's dependencies.

    That takes 25 % less CPU. It does so where the endpoint returns a Response, and
    declares nothing but parameters of the path, a frozen model of the query, lists of
    headers, a JSON body and the request. All others, here only those that declare
    nothing, get FastAPI's own handler, which would answer the plain ones the same. What
    all routes share is here, too: the media type of bodies, and the errors.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if path not in OPEN_PATHS:
            options["tags"] = options.get("tags") or [path.split("/")[1]]
        super().__init__(path, endpoint, **options)
        types = query_types(self.dependant)
        self.list_names = {
            name
            for name, annotation in types.items()
            if field_annotation_is_sequence(annotation)
        }
        self.single_names = types.keys() - self.list_names
        # To remember the last queries takes 10 % off a list's CPU, as clients ask for the
        # same few pages over and over.
        self.read_query = lru_cache(maxsize=128)(self.parse_query)
        self.responses = {**self.implied_responses(), **self.responses}
        if self.is_plain():
            self.app = self.respond  # in place of FastAPI's handler

    def implied_responses(self) -> Responses:
        """Document what the path and the declared parameters imply."""
        if self.path in OPEN_PATHS:
            return document_problems(500)
        headers = {field.alias for field in self.dependant.header_params}
        with_etag = document_headers("ETag", "Cache-Control")
        implied = {
            self.status_code or 200: with_etag,
            **document_problems(422, 500, 503, 504),
        }
        if settings.API_KEYS:
            implied |= document_problems(401)
        if self.dependant.path_params:
            implied |= document_problems(404)
        if self.body_field:
            implied |= document_problems(400, 409, 413, 415)
        if "If-Match" in headers:  # so it writes; a trigger may then break a unique key
            implied |= document_problems(409, 412)
        if "If-None-Match" in headers:
            implied[304] = with_etag
        return implied

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's own handler, after what it does not check itself."""
        handle, reads_json = super().get_route_handler(), self.reads_json()

        async def check_and_handle(request: Request) -> Response:
            errors = self.find_repeated(request.query_params)
            if errors:
                raise RequestValidationError(errors)
            if reads_json:
                check_media_type(request)
            return await handle(request)

        return check_and_handle

    def reads_json(self) -> bool:
        """Tell whether the endpoint declares a JSON body."""
        info = self.body_field and self.body_field.field_info
        return isinstance(info, params.Body) and not isinstance(info, params.Form)

    def is_plain(self) -> bool:
        """Tell whether the endpoint declares nothing but what read() reads."""
        declared = self.dependant
        signature = inspect.signature(self.endpoint)
        headers = declared.header_params
        queries = declared.query_params
        bodies = declared.body_params
        fields = [*declared.path_params, *headers, *queries, *bodies]
        names = {declared.request_param_name, *(field.name for field in fields)}
        has_plain_headers = all(
            header.field_info.annotation == list[str] for header in headers
        )
        has_plain_query = len(queries) <= 1 and all(
            is_plain_model(query.field_info.annotation) for query in queries
        )
        # Of several bodies FastAPI makes one JSON object, with a member for each.
        has_plain_body = not bodies or (
            bodies == [self.body_field]
            and self.reads_json()
            and bodies[0].field_info.is_required()
        )
        return (
            inspect.iscoroutinefunction(self.endpoint)
            and signature.return_annotation is Response  # and not a text that names it
            and signature.parameters.keys() <= names
            and not declared.dependencies
            and has_plain_headers
            and has_plain_query
            and has_plain_body
        )

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        request = Request(scope, receive, send)
        response = await self.endpoint(**await self.read(request))
        await response(scope, receive, send)

    async def read(self, request: Request) -> dict[str, Any]:
        """Return the endpoint's arguments; RequestValidationError if some are wrong."""
        values: dict[str, Any] = {}
        errors: list[Any] = []

        def validate(field: Any, value: Any, *location: str) -> None:
            values[field.name], failures = field.validate(value, loc=location)
            errors.extend(failures)

        declared = self.dependant
        for field in declared.path_params:
            validate(field, request.path_params[field.alias], "path", field.alias)
        for field in declared.query_params:
            values[field.name], failures = self.read_query(request.scope["query_string"])
            errors.extend(failures)
        for field in declared.header_params:
            validate(field, request.headers.getlist(field.alias), "header", field.alias)
        for field in declared.body_params:
            validate(field, await read_json(request), "body")
        if errors:
            raise RequestValidationError(errors)
        if declared.request_param_name:
            values[declared.request_param_name] = request
        return values

    def parse_query(self, query: bytes) -> tuple[Any, list[Any]]:
        """Return the model of a query, and what is wrong with it."""
        (field,) = self.dependant.query_params
        parameters = QueryParams(query)
        errors = self.find_repeated(parameters)
        if errors:
            return None, errors
        values: dict[str, Any] = dict(parameters)
        for name in self.list_names & values.keys():
            values[name] = parameters.getlist(name)
        return field.validate(values, loc=("query",))

    def find_repeated(self, parameters: QueryParams) -> list[Any]:
        """Return an error for each parameter that is repeated, but is no list.

        pydantic and FastAPI would take the last, and say nothing.
        """
        return [
            {"type": "repeated", "loc": ("query", name), "msg": "must be given once"}
            for name in parameters
            if name in self.single_names and len(parameters.getlist(name)) > 1
        ]


def is_plain_model(model: Any) -> bool:
    """Tell whether a query's parameter is a frozen model whose fields have no aliases."""
    if not is_model(model) or not model.model_config.get("frozen"):
        return False
    return not any(field.validation_alias for field in model.model_fields.values())


def check_media_type(request: Request) -> None:
    """Refuse a body that is not declared as JSON, or that is compressed."""
    headers = dict(request.scope["headers"])
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        detail = "The body must not be compressed: send it without Content-Encoding."
        raise HTTPException(415, detail, {"Accept-Encoding": "identity"})
    media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if not re.fullmatch(rb"application/([^/\s]+\+)?json", media_type):
        raise HTTPException(415)


async def read_body(request: Request) -> bytes:
    """Return a body, as Request.body() does, for 4 % less of a write's CPU."""
    parts, is_complete = [], False
    while not is_complete:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        is_complete = not message.get("more_body", False)
    body = b"".join(parts)
    # Where Request.body() finds it, if the endpoint asks for it, too.
    request._body = body
    return body


async def read_json(request: Request) -> Any:
    """Return a body's JSON; HTTPException 400 if it is none."""
    check_media_type(request)
    try:
        return json.loads(await read_body(request))
    except (ValueError, RecursionError, ClientDisconnect) as error:
        raise HTTPException(400) from error


class Edge:
    """The middleware around the app, within that of CORS.

    It asks for a key, refuses large bodies, adds the last slash to a path, answers HEAD
    like GET, and 500 where there is a bug.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.bounded = RequestBodyLimitMiddleware(app, settings.MAX_BODY_BYTES)
        self.keys = [key.encode() for key in settings.API_KEYS]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered."""
        if scope["type"] != "http":
            return await self.app(scope, receive, without_traceback(send))
        path, root_path = scope["path"], scope.get("root_path", "")
        if path.removeprefix(root_path) not in OPEN_PATHS and not path.endswith("/"):
            path += "/"
        is_open = path.removeprefix(root_path) in OPEN_PATHS  # or has become "/" just now
        method = scope["method"]
        if method == "HEAD":
            method = "GET"  # the server knows, and leaves the body out
        inner_scope = {**scope, "path": path, "method": method}
        try:
            headers = dict(scope["headers"])
            inner = self.reject(headers, is_open) or self.choose_app(headers)
            await inner(inner_scope, receive, send)
        except Exception:
            log.exception("500 for %s %r", scope["method"], scope["path"])
            await problem(500, DETAILS[500])(scope, receive, send)

    def reject(self, headers: Mapping[bytes, bytes], is_open: bool) -> Response | None:
        """Return the error of a request without a key, or with too large a body."""
        if self.keys and not is_open:
            # RFC 6750, 2.1
            scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
            # Compared with all of them, so that the time tells nothing.
            same = [hmac.compare_digest(key.strip(), each) for each in self.keys]
            if scheme.lower() != b"bearer" or not any(same):
                sent = {"WWW-Authenticate": "Bearer"}
                return problem(401, DETAILS[401], sent)
        if int(headers.get(b"content-length", 0)) > settings.MAX_BODY_BYTES:
            return problem(413, DETAILS[413])
        return None

    def choose_app(self, headers: Mapping[bytes, bytes]) -> ASGIApp:
        """Return the app; for a body of unknown length one that stops at the limit."""
        if b"transfer-encoding" in headers:  # that is how HTTP/1.1 sends one
            return self.bounded
        return self.app


def without_traceback(send: Send) -> Send:
    """Return a send without the traceback of a failed start; the log says why."""

    async def send_message(message: Message) -> None:
        # Starlette puts the traceback into lifespan.startup.failed.
        if "SystemExit" in message.get("message", ""):
            message = {**message, "message": ""}
        await send(message)

    return send_message


class CORS(CORSMiddleware):
    """Starlette's, less its work where there is no Origin: 4 % of a read's CPU."""

    async def simple_response(
        self, scope: Scope, receive: Receive, send: Send, request_headers: Headers
    ) -> None:
        """Answer a request that is no preflight."""
        if "origin" in request_headers:
            await super().simple_response(scope, receive, send, request_headers)
            return

        async def send_with_vary(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.get("headers", ())
                message["headers"] = [*headers, (b"vary", b"Origin")]
            await send(message)

        await self.app(scope, receive, send_with_vary)


def openapi() -> dict[str, Any]:
    """Return FastAPI's document, plus the shape of errors and, if set, that of keys."""
    document = FastAPI.openapi(app)
    document["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    if settings.API_KEYS:
        document["components"]["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer"}
        }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["security"] = []  # says that none is needed
            if settings.API_KEYS and path not in OPEN_PATHS:
                operation["security"] = [{"key": []}]
    return document


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Open the database; start without it while Postgres is away."""
    log.info("The database: %s", database.title)
    if not settings.DATABASE_URL and settings.chosen_url == DEFAULT_URL:
        log.info("DATABASE_URL is unset; many platforms delete that file at each deploy")
    async with database.open():
        try:
            # The first statement also makes the tables: see attempt().
            await run(note_store.select_statement(), {"id": 0})
        except HTTPException:  # run() has logged it
            if database.must_be_up:
                raise SystemExit(3) from None  # uvicorn's own status of a failed start
        if not settings.API_KEYS:
            log.warning(
                "API_KEYS is unset: whoever reaches this service can change all notes"
            )
        yield


app = FastAPI(
    title="Notes",
    version="2.0.0",
    description=str(__doc__),
    contact={"name": "The operator of this service"},
    license_info={"name": "MIT", "identifier": "MIT"},
    openapi_tags=OPENAPI_TAGS,
    docs_url=None,  # the one below says something where its script does not load, too
    lifespan=lifespan,
    redirect_slashes=False,
    telemetry={"tracing": TELEMETRY, "metrics": TELEMETRY, "logs": TELEMETRY},
    generate_unique_id_function=attrgetter("name"),
    exception_handlers={
        HTTPException: refuse,
        RequestValidationError: refuse_input,
    },
)
app.router.route_class = Route
app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation does it
app.add_middleware(Edge)
app.add_middleware(
    CORS,  # added last, so outermost: Edge's answers need its headers, too
    allow_origins=settings.allowed_origins,
    allow_origin_regex=settings.CORS_ORIGIN_REGEX and settings.CORS_ORIGIN_REGEX.pattern,
    allow_credentials=settings.allowed_origins != ["*"],
    allow_methods=["*"],
    allow_headers=["*"],
    allow_private_network=True,
    expose_headers=["Location", "Link", "ETag", "X-Total-Count", "Retry-After"],
)


# The routes

CREATED: Responses = {201: document_headers("ETag", "Cache-Control", "Location")}
LIST_HEADERS = document_headers("ETag", "Cache-Control", "Link", "X-Total-Count")
LISTED: Responses = {200: LIST_HEADERS, 304: LIST_HEADERS}
MERGE_PATCH = {"schema": {"$ref": "#/components/schemas/NotePatch"}}
PATCH_BODY = {"requestBody": {"content": {"application/merge-patch+json": MERGE_PATCH}}}

# The script is not served from here, as no package that is kept up to date has it.
WITHOUT_SCRIPT = b"""<p>This page needs a script from cdn.jsdelivr.net.
Without it, there is <a href="openapi.json">openapi.json</a>.</p>"""


@app.post("/notes/", status_code=201, response_model=Note, responses=CREATED)
async def create_note(note: NoteIn, request: Request) -> Response:
    """Store a new note."""
    return answer_created(await note_store.create(vars(note)), request)


@app.get("/notes/", response_model=list[Note], responses=LISTED)
async def read_notes(
    query: Annotated[NoteQuery, Query()], request: Request, if_none_match: IfNoneMatch
) -> Response:
    """Return a page of the notes, oldest first unless `sort` is given."""
    page = await note_store.read_page(query)
    return answer_list(page, query, request, if_none_match)


@app.get("/notes/{note_id}/", response_model=Note)
async def read_note(note_id: Id, if_none_match: IfNoneMatch) -> Response:
    """Return a note."""
    item, tag = await note_store.read(note_id)
    return answer(item, tag, if_none_match=if_none_match)


@app.put("/notes/{note_id}/", response_model=Note)
async def update_note(note_id: Id, note: NoteIn, if_match: IfMatch) -> Response:
    """Replace a note."""
    return answer(*await note_store.update(note_id, vars(note), if_match))


@app.patch("/notes/{note_id}/", response_model=Note, openapi_extra=PATCH_BODY)
async def patch_note(note_id: Id, note: NotePatch, if_match: IfMatch) -> Response:
    """Change a part of a note (RFC 7396)."""
    return answer(*await note_store.update(note_id, note, if_match))


@app.delete("/notes/{note_id}/", response_model=DeletedNote)
async def delete_note(note_id: Id, if_match: IfMatch) -> Response:
    """Delete a note and return it."""
    item, tag = await note_store.delete(note_id, if_match)
    message = f"Note with id: {note_id} deleted successfully!"
    return answer({**item, "message": message}, tag)


@app.get("/livez", tags=["health"], summary="Is the process alive?")
async def livez() -> dict[str, str]:
    """Answer while the process runs."""
    return {"status": "ok"}


@app.get(
    "/readyz",
    tags=["health"],
    summary="Does the database answer?",
    responses=document_problems(503, 504),
)
async def readyz() -> dict[str, str]:
    """Answer while the database does, too."""
    await run(note_store.select_statement(), {"id": 0}, Lane.PROBE)
    return {"status": "ok"}


def is_documented(route: Any) -> bool:
    """Tell whether a route is in OpenAPI's document; what is mounted never is."""
    return getattr(route, "include_in_schema", False)


@app.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """Show Swagger UI, or a line with a link while its script is not there."""
    url = f"{request.scope['root_path']}/openapi.json"
    page = get_swagger_ui_html(openapi_url=url, title=app.title)
    place = b'<div id="swagger-ui">'  # whose content the script replaces
    content = bytes(page.body).replace(place, place + WITHOUT_SCRIPT)
    return Response(content, media_type="text/html")


@app.get("/", include_in_schema=False)
async def redirect_to_docs(request: Request) -> Response:
    """Redirect to the documentation."""
    return Response(None, 307, {"Location": f"{request.scope['root_path']}/docs"})


# FastAPI's own routes are the first ones, and would be tried with each request. To have
# them last takes 4 % off a read's CPU.
app.router.routes.sort(key=is_documented, reverse=True)

if __name__ == "__main__":
    # By hand there is no proxy to trust; a stuck request delays shutdown by 5 s at most.
    uvicorn.run(
        app,
        host=settings.HOST,
        port=settings.PORT,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )
