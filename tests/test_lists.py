"""Lists: their pages, filters, order and links, and the index that searches use."""

import re
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from tests.fixtures import (
    ONCE,
    Deployment,
    connect,
    create_note,
    create_role,
    open_client,
    problem,
)
from tests.servers import Postgres, skip

LARGEST = 2**63 - 1
NAMES = "skip, take, sort, after, count, completed, q"

Notes = list[dict[str, Any]]


def read_pages(client: TestClient, path: str) -> list[Response]:
    """Return a page of a list and all that follow by its Link."""
    pages = [client.get(path)]
    while "next" in pages[-1].links:
        pages.append(client.get(pages[-1].url.join(pages[-1].links["next"]["url"])))
        assert pages[-1].json(), "a link leads to a page without notes"
        assert len(pages) < 20, "the links go round"
    return pages


def sort_notes(notes: Notes, sort: str) -> Notes:
    """Return notes, oldest first, in an order with ties by id."""
    column = sort.removeprefix("-")
    return sorted(notes, key=lambda note: note[column], reverse=sort.startswith("-"))


@pytest.fixture
def seven_notes(client: TestClient) -> Notes:
    """Seven notes, oldest first: some texts and some ticks are the same."""
    texts = ["b", "a", "d", "c", "b", "", "a"]
    return [
        create_note(client, text=text, completed=place in (0, 2, 5, 6))
        for place, text in enumerate(texts)
    ]


# Pages


@pytest.mark.parametrize("first", [0, 1, 6, 7, LARGEST])
def test_a_page_is_a_slice(client: TestClient, seven_notes: Notes, first: int) -> None:
    """A page is the slice that skip and take name; it has a Link if a note follows it."""
    for take in (0, 1, 7, 100):
        page = client.get(f"/notes/?skip={first}&take={take}")
        assert (page.status_code, page.json()) == (200, seven_notes[first : first + take])
        assert ("next" in page.links) is (0 < take < 7 - first)


def test_a_page_has_twenty_notes_and_up_to_a_thousand(deployment: Deployment) -> None:
    """Without take a page has twenty notes, with it up to a thousand; a link leads to the next."""
    rows = ", ".join(f"('{number}', false)" for number in range(1001))
    deployment.sql(f"INSERT INTO notes (text, completed) VALUES {rows}")
    pages = read_pages(deployment.client, "/notes/?take=1000")
    assert [len(page.json()) for page in pages] == [1000, 1]
    assert deployment.client.get("/notes/").json() == pages[0].json()[:20]


@pytest.mark.parametrize("sort", ["id", "-id"])
def test_after_is_exclusive(client: TestClient, seven_notes: Notes, sort: str) -> None:
    """A page after an id begins with the next note in its order, whether the id is there or not."""
    line = sort_notes(seven_notes, sort)
    client.delete(f"/notes/{line[2]['id']}/")
    for last in (line[1], line[2]):
        page = client.get(f"/notes/?after={last['id']}&sort={sort}&take=2")
        assert page.json() == line[3:5]
    beyond = LARGEST if sort == "id" else 1
    assert client.get("/notes/", params={"after": beyond, "sort": sort}).json() == []


BOUNDS = [
    *[("skip", value) for value in ("-1", "1.5", "", str(LARGEST + 1), "9" * 5_000)],
    *[("take", value) for value in ("-1", "1001", "abc")],
    *[("after", value) for value in ("0", str(LARGEST + 1))],
    *[("sort", value) for value in ("", "bogus", "--id", "ID")],
    *[("completed", ""), ("completed", "null"), ("count", "2")],
    *[("q", "\0"), ("q", "a" * 1_001)],
    *[(name, "5") for name in ("Skip", "id", "text")],
]


@ONCE
@pytest.mark.parametrize(
    ("name", "value"), [pytest.param(*bound, id="=".join(bound)[:24]) for bound in BOUNDS]
)
def test_a_wrong_parameter_is_422(client: TestClient, name: str, value: str) -> None:
    """A parameter that is unknown, or out of its type or bounds, is 422; it is never clamped."""
    assert problem(client.get("/notes/", params={name: value}), name) == 422


@ONCE
@pytest.mark.parametrize(
    ("query", "names", "words"),
    [
        ("skip=-1&take=1001&completed=maybe&sort=text", "skip take completed", "1000"),
        ("after=1&sort=text", "query", "after goes with sort=id or sort=-id only"),
        ("after=1&sort=-completed", "query", "after goes with sort=id or sort=-id only"),
        ("take=x&limit=5", "limit", f"these are: {NAMES}"),
        ("&".join("abcdefghijklm"), "a b c d e f g h i j", f"these are: {NAMES}"),
    ],
)
def test_a_422_says_what_is_wrong(
    client: TestClient, query: str, names: str, words: str
) -> None:
    """All wrong parameters are named, up to ten; unknown ones are told which there are."""
    response = client.get(f"/notes/?{query}")
    assert problem(response, *names.split()) == 422
    assert words in response.json()["detail"]


@ONCE
def test_the_last_parameter_counts(client: TestClient, seven_notes: Notes) -> None:
    """Of a parameter that is repeated the last value is taken, by the page and by its link."""
    pages = read_pages(client, "/notes/?take=x&take=1&take=5")
    assert [page.json() for page in pages] == [seven_notes[:5], seven_notes[5:]]


# Links


@pytest.mark.parametrize(
    "sort", ["id", "-id", "text", "-text", "completed", "-completed"]
)
def test_a_walk_by_link(client: TestClient, seven_notes: Notes, sort: str) -> None:
    """Whoever follows Link from any skip on sees every note once, in order, on full pages."""
    for take, first in ((1, 0), (3, 0), (7, 0), (2, 1)):
        path = f"/notes/?sort={sort}&skip={first}&take={take}"
        pages = [page.json() for page in read_pages(client, path)]
        expected = sort_notes(seven_notes, sort)[first:]
        assert [note for page in pages for note in page] == expected
        assert all(len(page) == take for page, _ in pairwise(pages))


@ONCE
@pytest.mark.parametrize(
    "other", ["", "sort=-id", "sort=text", "q=%25+%C3%A4&count=true"]
)
def test_a_link_keeps_the_other_parameters(client: TestClient, other: str) -> None:
    """A Link is a relative URI (RFC 3986) with all other parameters, and by id with `after`."""
    for letter in "abcd":
        create_note(client, text=f"{letter}% \u00e4")
    response = client.get(f"/notes/?skip=1&take=2&{other}")
    uri_link = r'<\?[\w%=&+;,.:/?@!$\'()*~-]+>; rel="next"'
    assert re.fullmatch(uri_link, response.headers["Link"], re.ASCII)
    parameters = parse_qsl(urlsplit(response.links["next"]["url"]).query)
    assert {("take", "2"), *parse_qsl(other)} <= set(parameters)
    assert ("after" in dict(parameters)) is (other != "sort=text")


# Filters


def test_filters_narrow_each_other(client: TestClient, seven_notes: Notes) -> None:
    """A note is in a list when every filter lets it pass, and the cursor and the order, too."""
    for completed in (True, False):
        page = client.get("/notes/", params={"completed": completed})
        expected = [note for note in seven_notes if note["completed"] is completed]
        assert page.json() == expected
    query = f"q=B&completed=false&after={seven_notes[0]['id']}&count=true"
    page = client.get(f"/notes/?{query}")
    assert (page.json(), page.headers["X-Total-Count"]) == ([seven_notes[4]], "1")
    assert client.get(f"/notes/?{query}&sort=-id").json() == []


CASES_OF_LETTERS = ["\u00c4RGER", "\u00e4rger", "\u0416\u0423\u041a", "\u212aILO"]
STORED = ["100%", "a_b", "axb", "c:\\d", "c:/d", *CASES_OF_LETTERS, ""]


@pytest.mark.parametrize(
    ("part", "matches"),
    [
        ("", STORED),
        ("%", ["100%"]),
        ("0%%", []),
        ("A_B", ["a_b"]),
        ("\\D", ["c:\\d"]),
        ("/", ["c:/d"]),
        ("\u00e4R", ["\u00c4RGER", "\u00e4rger"]),
        ("\u0436\u0443\u043a", ["\u0416\u0423\u041a"]),
        ("kilo", ["\u212aILO"]),
        pytest.param("\U0001f34b" * 1_000, [], id="the longest"),
    ],
)
def test_a_search_ignores_case(client: TestClient, part: str, matches: list[str]) -> None:
    """A search finds the texts with that part, whatever its case; no character is a wildcard."""
    for text in STORED:
        create_note(client, text=text)
    page = client.get("/notes/", params={"q": part})
    assert [note["text"] for note in page.json()] == matches


INDEXES = "SELECT indexname FROM pg_indexes WHERE tablename = 'notes' ORDER BY indexname"


def test_a_search_on_postgres_uses_the_index(postgres: Postgres) -> None:
    """The table comes with a trigram index, and a search uses it."""
    if not postgres.sql("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'"):
        skip("this Postgres has no pg_trgm")
    url = postgres.create_database("search")
    with open_client(DATABASE_URL=url) as client, connect(url) as sql:
        rows = "SELECT md5(n::text), false FROM generate_series(1, 20000) n"
        sql(f"INSERT INTO notes (text, completed) {rows}")
        sql("VACUUM ANALYZE notes")
        note = create_note(client, text="Needle in a haystack")
        assert client.get("/notes/?q=NEEDLE").json() == [note]
    assert postgres.sql(INDEXES, "search").split() == ["notes_pkey", "notes_text_trgm"]
    scans = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname ~ 'trgm'"
    assert int(postgres.sql(scans, "search"))


def test_a_search_on_postgres_scans_where_the_index_is_refused(
    postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    """A user who may not create the extension gets one line in the log, and finds notes."""
    url = postgres.create_database("scan")
    with create_role(url, "scanner", "scanner", "CREATE ON SCHEMA public") as scanner_url:
        with open_client(DATABASE_URL=scanner_url) as client:
            note = create_note(client, text="Needle in a haystack")
            assert client.get("/notes/?q=NEEDLE").json() == [note]
        assert caplog.text.count("without an index") == 1
        assert postgres.sql(INDEXES, "scan").split() == ["notes_pkey"]


# The total


@pytest.mark.parametrize(
    ("query", "total"),
    [("take=2&sort=text", 7), (f"after={LARGEST}", 7), ("q=b&skip=100", 2), ("q=zz", 0)],
)
@pytest.mark.usefixtures("seven_notes")
def test_the_total_is_exact(client: TestClient, query: str, total: int) -> None:
    """Who asks for the total gets that of all pages, also past the end; nobody else pays for it."""
    page = client.get(f"/notes/?{query}&count=true")
    assert (page.status_code, page.headers["X-Total-Count"]) == (200, str(total))
    assert "X-Total-Count" not in client.get(f"/notes/?{query}").headers


# Conditional reads


def test_a_known_list_is_304(client: TestClient, seven_notes: Notes) -> None:
    """A list that If-None-Match names is 304, with its Link and total, until a note changes.

    One whose Link is gone is sent anew, as a browser would keep the Link of before.
    """
    path = "/notes/?take=6&count=true"
    first = client.get(path)
    headers = {"If-None-Match": first.headers["ETag"]}
    second = client.get(path, headers=headers)
    assert (second.status_code, second.content) == (304, b"")
    for name in ("ETag", "Cache-Control", "Link", "X-Total-Count"):
        assert second.headers[name] == first.headers[name]
    client.delete(f"/notes/{seven_notes[6]['id']}/")
    third = client.get(path, headers=headers)
    assert (third.status_code, third.json()) == (200, seven_notes[:6])
    assert "Link" not in third.headers
    headers = {"If-None-Match": third.headers["ETag"]}
    client.patch(f"/notes/{seven_notes[1]['id']}/", json={"text": "changed"})
    assert client.get(path, headers=headers).status_code == 200
