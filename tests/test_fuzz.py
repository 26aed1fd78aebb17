"""Requests that nobody would write: none is answered by a 5xx, and both databases answer the same.

`make fuzz` sets FUZZ_REQUESTS to try many more of them than the tests do.
"""

import json
import os
import re
import socket
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any, NamedTuple
from urllib.parse import quote_from_bytes, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.servers import Postgres, Service

FUZZ_REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "300"))
fuzz = settings(
    max_examples=FUZZ_REQUESTS,
    derandomize="FUZZ_REQUESTS"
    not in os.environ,  # the tests try the same requests each time
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

# What requests are made of: most is nearly right, so that it gets far, and the rest is anything.


def prefer(
    default: st.SearchStrategy[Any], *others: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    """Draw from the first strategy nine times in ten."""
    return st.integers(0, 9).flatmap(lambda n: default if n < 9 else st.one_of(others))


def encode(text: str) -> bytes:
    """Return text in UTF-8, in which a lone surrogate is an error that stays."""
    return text.encode("utf-8", "surrogatepass")


LETTERS = st.characters() | st.sampled_from(
    "\0\"'\\%_/;-$\u0130\u0131\xdf\u03a3\u03c2\u2028\ud800"
)
TEXTS = st.text(LETTERS, max_size=20)
LONG_TEXTS = st.builds(
    str.__mul__,
    st.sampled_from(["a", "\0", "\u20ac", "\U0001f4a9"]),
    st.integers(65_530, 65_540),
)
NUMBERS = st.one_of(
    st.integers(-2, 120).map(str),
    st.sampled_from(
        [
            "2147483648",
            "9223372036854775807",
            "9223372036854775808",
            "1.0",
            "+1",
            "1_0",
            "1e3",
            "0x1",
            "01",
            "-0",
            "NaN",
        ]
    ),
    st.sampled_from(["", " 1", "\u0663", "1" * 20, "1" * 5_000]),
)
WORDS = st.sampled_from(
    [
        "id",
        "-id",
        "text",
        "-text",
        "completed",
        "-completed",
        "true",
        "false",
        "True",
        "1",
        "asc",
        "desc",
        "DESC",
        "id,text",
    ]
)
NAMES = st.sampled_from(
    [
        "skip",
        "take",
        "sort",
        "after",
        "count",
        "completed",
        "q",
        "id",
        "_start",
        "_end",
        "_sort",
        "_order",
        "text_like",
        "_page",
        "_limit",
        "_per_page",
        "_embed",
        "text",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
NOTES = st.fixed_dictionaries(
    {"text": prefer(TEXTS, JSON, LONG_TEXTS)},
    optional={"completed": prefer(st.booleans(), JSON), "id": JSON, "extra": JSON},
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Draw a body: a note, other JSON, or what only begins as JSON."""
    document = draw(prefer(NOTES, JSON))
    text = json.dumps(document, ensure_ascii=draw(st.booleans()))
    form = draw(prefer(st.none(), st.sampled_from(["cut", "deep", "huge", "twice"])))
    broken_texts = {
        "cut": text[: draw(st.integers(0, 30))],
        "deep": '{"text":' * 1_000 + text,
        "huge": '{"text": 1e999, "completed": ' + "1" * 5_000 + "}",
        "twice": '{"text": "a", "text": ' + text + "}",
    }
    encoding = draw(
        prefer(st.just("utf-8"), st.sampled_from(["utf-8-sig", "utf-16", "utf-32"]))
    )
    return str(broken_texts.get(form, text)).encode(encoding, "surrogatepass")


# Stand for the id of the newest note, and for the ETag that was last seen.
NEWEST, SEEN = b"-NEWEST-", b"-SEEN-"
NOTE = prefer(
    st.just(f"/notes/{NEWEST.decode()}/"),
    st.builds("/notes/{}{}".format, NUMBERS, st.sampled_from(["/", ""])),
)
LIST = st.sampled_from(["/notes/", "/notes", "/notes/batch/"])
ANY = st.sampled_from(
    ["/", "/livez", "/readyz", "/openapi.json", "//notes/", "/notes/1/2/"]
)
ANY |= TEXTS.map("/{}".format)
METHODS = st.sampled_from(
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "BREW"]
)
CALLS = prefer(
    st.one_of(
        st.tuples(st.just("GET"), LIST),
        st.tuples(st.just("POST"), LIST),
        st.tuples(st.sampled_from(["GET", "PUT", "PATCH", "DELETE"]), NOTE),
    ),
    st.tuples(METHODS, NOTE | LIST | ANY),
)


@st.composite
def request_lines(draw: st.DrawFn) -> bytes:
    """Draw a method, a path and a query: percent-encoded, or with bytes as they are."""
    method, path = draw(CALLS)
    values = prefer(NUMBERS | WORDS, TEXTS)
    parameters = draw(st.lists(st.tuples(prefer(NAMES, TEXTS), values), max_size=3))
    query = urlencode([(encode(name), encode(value)) for name, value in parameters])
    suffix: bytes = draw(prefer(st.just(b""), st.binary(max_size=20)))
    return f"{method} {quote_from_bytes(encode(path))}?{query}".encode() + suffix


CONTENT_TYPES = prefer(
    st.sampled_from(
        [*[b"application/json"] * 4, b"application/merge-patch+json", b"text/plain"]
    ),
    st.sampled_from([b"Application/JSON; charset=latin-1", b"json", b"/", b""]),
    st.binary(max_size=10),
)
OTHER_HEADERS = st.tuples(
    prefer(
        st.sampled_from(
            [b"If-Match", b"If-None-Match", b"Origin", b"Accept", b"Authorization"]
        ),
        st.sampled_from(
            [b"Access-Control-Request-Method", b"Content-Encoding", b"Cookie"]
        ),
        st.sampled_from(
            [b"X-HTTP-Method-Override", b"Range", b"Forwarded", b"X-Forwarded-For"]
        ),
        st.binary(min_size=1, max_size=10),
    ),
    prefer(
        st.sampled_from(
            [SEEN, SEEN, b"*", b'W/"a", "b"', b"null", b"https://app.example"]
        ),
        st.binary(max_size=20),
    ),
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Draw a request; its framing alone is always right."""
    headers = [(b"Content-Type", draw(CONTENT_TYPES))]
    headers += draw(st.lists(OTHER_HEADERS, max_size=2))
    body = draw(prefer(bodies(), st.binary(max_size=40)))
    if draw(st.booleans()):
        headers.append((b"Transfer-Encoding", b"chunked"))
        halves = [half for half in (body[:7], body[7:]) if half]
        body = (
            b"".join(b"%x\r\n%b\r\n" % (len(half), half) for half in halves)
            + b"0\r\n\r\n"
        )
    else:
        headers.append((b"Content-Length", b"%d" % len(body)))
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"%b HTTP/1.1\r\nHost: notes.example\r\n%b\r\n%b" % (
        draw(request_lines()),
        lines,
        body,
    )


class Answer(NamedTuple):
    """What a client sees of an answer."""

    status: int
    headers: dict[str, str]
    body: bytes


def ask(service: Service, request: bytes) -> Answer:
    """Return the answer to a request; the time of day is not a part of it."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        connection.sendall(request)
        method = request.split(b" ", 1)[0].decode()
        with HTTPResponse(connection, method=method) as response:
            response.begin()
            headers = {
                name: value for name, value in response.getheaders() if name != "date"
            }
            return Answer(response.status, headers, response.read())


APPS = ("main:app", "examples.bulk:app", "examples.json_server:app")


@pytest.fixture(scope="module", params=APPS)
def services(
    request: pytest.FixtureRequest,
    postgres: Postgres,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Service, Service]]:
    """The service on SQLite and on Postgres, alone and with an extra."""
    folder = tmp_path_factory.mktemp("fuzz")
    limits = {"MAX_BODY_BYTES": "300000", "POOL_TIMEOUT": "30", "DB_TIMEOUT": "30"}
    limits["WEB_CONCURRENCY"] = "1"
    urls = f"sqlite:///{folder}/notes.db", postgres.create_database("fuzz")
    with (
        Service.gunicorn(
            folder, request.param, DATABASE_URL=urls[0], **limits
        ) as sqlite_service,
        Service.gunicorn(
            folder, request.param, DATABASE_URL=urls[1], **limits
        ) as postgres_service,
    ):
        yield sqlite_service, postgres_service


NOT_THE_SERVICES_OWN = (b"Invalid HTTP request received.", b"Disallowed CORS ")


def test_no_request_breaks_the_service(services: tuple[Service, Service]) -> None:
    """Every answer is below 500, is the same on both databases, and tells no inside of them."""
    statuses: Counter[int] = Counter()
    values = {NEWEST: b"1", SEEN: b"*"}

    @fuzz
    @given(requests())
    def ask_both(request: bytes) -> None:
        for name, value in values.items():
            request = request.replace(name, value)
        on_sqlite, on_postgres = (ask(service, request) for service in services)
        assert on_sqlite == on_postgres
        status, headers, body = on_sqlite
        statuses[status] += 1
        if status == 201:
            document = json.loads(body)
            newest = document[-1] if isinstance(document, list) else document
            values[NEWEST] = str(newest["id"]).encode()
        values[SEEN] = headers.get("etag", "*").encode()
        assert status < 500
        if status >= 400 and body and not body.startswith(NOT_THE_SERVICES_OWN):
            members = {"type", "title", "status", "detail", "message"}
            assert json.loads(body).keys() - {"errors"} == members
            assert headers["content-type"] == "application/problem+json"
            assert headers["x-content-type-options"] == "nosniff"
            assert not re.search(rb"Traceback|SELECT|sqlite|asyncpg|pydantic|\.py", body)

    ask_both()
    print(
        f"{statuses.total()} requests to each database, by status: {sorted(statuses.items())}"
    )
    assert statuses.total() >= FUZZ_REQUESTS
    assert statuses.keys() >= {200, 201, 400, 404, 405, 415, 422}
    for service in services:
        log = service.log.read_text()
        assert "Traceback" not in log
        assert not re.search(r"[^\n -~]", log)
