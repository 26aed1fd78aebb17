"""Requests that nobody would write: none is a 5xx, and both databases answer all alike."""

import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes, urlencode

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures import open_client
from tests.servers import Postgres

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "300"))

# What requests are made of: most is nearly right, so that it gets far, and the rest is anything.


def prefer(
    default: st.SearchStrategy[Any], *others: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    """Draw from the first strategy nine times in ten."""
    return st.integers(0, 9).flatmap(lambda n: default if n < 9 else st.one_of(others))


def choose(words: str) -> st.SearchStrategy[str]:
    """Draw one of these words."""
    return st.sampled_from(words.split())


def encode(text: str) -> bytes:
    """Return text in UTF-8, in which a lone surrogate is an error that stays."""
    return text.encode("utf-8", "surrogatepass")


# Stand for the id of the newest note, and for the ETag that was last seen.
NEWEST, SEEN = "-NEWEST-", b"-SEEN-"

LETTERS = st.characters() | st.sampled_from("\0\"'\\%_/;-$\u0130\xdf\u03c2\u2028\ud800")
TEXTS = st.text(LETTERS, max_size=20)
NUMBERS = st.integers(-2, 120).map(str)
NUMBERS |= choose("1.0 +1 1_0 1e3 01 -0 NaN 2147483648 9223372036854775808 \u0663")
WORDS = choose("id -id text -text completed true false True 1 id,text")
NAMES = choose("skip take sort after count completed q id text")
PARAMETERS = st.tuples(prefer(NAMES, TEXTS), prefer(NUMBERS | WORDS, TEXTS))

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=5)
NOTES = st.fixed_dictionaries(
    {"text": prefer(TEXTS, JSON)},
    optional={"completed": prefer(st.booleans(), JSON), "id": JSON, "extra": JSON},
)
DOCUMENTS = st.builds(json.dumps, prefer(NOTES, JSON), ensure_ascii=st.booleans())
BODIES = prefer(
    DOCUMENTS.map(encode),
    DOCUMENTS.map(lambda text: encode(text)[:-3]),
    DOCUMENTS.map(lambda text: text.encode("utf-16", "surrogatepass")),
    st.binary(max_size=40),
)

METHODS = choose("GET HEAD POST PUT PATCH DELETE OPTIONS TRACE QUERY BREW")
LISTS = choose("/notes/ /notes")
NOTE_PATHS = prefer(st.just(NEWEST), NUMBERS).map("/notes/{}/".format)
PATHS = choose("/ /livez /readyz /openapi.json /notes/1/2/") | TEXTS.map("/{}".format)
CALLS = prefer(
    st.tuples(choose("GET POST"), LISTS)
    | st.tuples(choose("GET PUT PATCH DELETE"), NOTE_PATHS),
    st.tuples(METHODS, NOTE_PATHS | LISTS | PATHS),
)
HEADERS = st.tuples(
    choose("If-Match If-None-Match Origin Accept Content-Encoding Authorization Range"),
    prefer(st.sampled_from([SEEN, b"*", b'W/"a", "b"', b"null"]), st.binary(max_size=20)),
)
TYPES = prefer(
    st.just(b"application/json"), st.just(b"text/plain"), st.binary(max_size=9)
)
CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")  # which would end a header


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a request."""
    method, path = draw(CALLS)
    parameters = draw(st.lists(PARAMETERS, max_size=3))
    query = urlencode([(encode(name), encode(value)) for name, value in parameters])
    headers = [("Content-Type", draw(TYPES)), *draw(st.lists(HEADERS, max_size=2))]
    return {
        "method": method,
        "url": f"http://testserver{quote_from_bytes(encode(path))}?{query}",
        "headers": [(name.encode(), CONTROLS.sub(b"", value)) for name, value in headers],
        "content": draw(BODIES),
    }


def test_no_request_breaks_the_service(tmp_path: Path, postgres: Postgres) -> None:
    """Every answer is below 500, is the same on both databases, and tells no inside of them."""
    statuses: Counter[int] = Counter()
    newest, seen = "1", b"*"

    # Derandomized, so that each run tries the same.
    @settings(max_examples=REQUESTS, derandomize=True, database=None, deadline=None)
    @given(requests())
    def ask_both(request: dict[str, Any]) -> None:
        nonlocal newest, seen
        request["url"] = request["url"].replace(NEWEST, newest)
        request["headers"] = [(k, v.replace(SEEN, seen)) for k, v in request["headers"]]
        response, other = [
            client.request(**request) for client in (on_sqlite, on_postgres)
        ]
        assert response.status_code == other.status_code
        assert response.headers == other.headers
        assert response.content == other.content
        statuses[response.status_code] += 1
        if response.status_code == 201:
            newest = str(response.json()["id"])
        seen = response.headers.get("ETag", "*").encode()
        assert response.status_code < 500
        body = response.text
        if body and response.status_code >= 400 and body[:15] != "Disallowed CORS":
            members = {"type", "title", "status", "detail", "message"}
            assert json.loads(body).keys() - {"errors"} == members
            assert not re.search(r"Traceback|SELECT|sqlite|asyncpg|pydantic", body)

    with (
        open_client(DATABASE_URL=f"sqlite:///{tmp_path}/notes.db") as on_sqlite,
        open_client(DATABASE_URL=postgres.create_database("fuzz")) as on_postgres,
    ):
        ask_both()
    assert statuses.keys() >= {200, 201, 400, 404, 405, 415, 422}
