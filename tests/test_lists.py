"""Lists: their pages, filters, order and links."""

import re
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from tests.fixtures import ONCE, Deployment, create_note, insert, problem

ORDERS = ["id", "-id", "text", "-text", "completed", "-completed"]
LARGEST = 2**63 - 1
HUGE = "9" * 5_000

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
    pairs = zip(["b", "a", "d", "c", "b", "", "a"], [1, 0, 1, 0, 0, 1, 1], strict=True)
    return [
        create_note(client, text=text, completed=bool(completed))
        for text, completed in pairs
    ]


# Pages


@pytest.mark.parametrize("skip", [0, 1, 6, 7, LARGEST])
def test_a_page_is_a_slice(client: TestClient, seven_notes: Notes, skip: int) -> None:
    """A page is the slice of the list that skip and take name; past the end it is empty."""
    for take in (0, 1, 7, 100):
        page = client.get("/notes/", params={"skip": skip, "take": take})
        assert (page.status_code, page.json()) == (200, seven_notes[skip : skip + take])


def test_a_page_has_twenty_notes_and_up_to_a_thousand(deployment: Deployment) -> None:
    """Without take a page has twenty notes, with it up to a thousand; a link leads to the next."""
    insert(deployment.sql, *({"text": str(number)} for number in range(1001)))
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


@pytest.mark.parametrize("sort", ORDERS)
def test_a_list_has_the_order_that_sort_names(
    client: TestClient, seven_notes: Notes, sort: str
) -> None:
    """Notes are ordered by id, by their text or by completed; ties by id."""
    page = client.get("/notes/", params={"sort": sort})
    assert page.json() == sort_notes(seven_notes, sort)


BOUNDS = [
    *[("skip", value) for value in ("-1", "1.5", "abc", "", str(LARGEST + 1), HUGE)],
    *[("take", value) for value in ("-1", "1001", "")],
    *[("after", value) for value in ("0", "abc", str(LARGEST + 1))],
    *[("sort", value) for value in ("", "bogus", "-", "--id", "ID", "id;")],
    *[("completed", ""), ("completed", "null"), ("count", "2")],
    *[("q", "\0"), ("q", "a" * 1_001)],
    *[(name, "5") for name in ("limit", "_page", "Skip", "id", "text")],
]


@ONCE
@pytest.mark.parametrize(
    ("name", "value"), [pytest.param(*bound, id="=".join(bound)[:24]) for bound in BOUNDS]
)
def test_a_parameter_out_of_bounds_is_422(
    client: TestClient, name: str, value: str
) -> None:
    """A parameter that is unknown, or out of its type or bounds, is 422; it is never clamped."""
    assert problem(client.get("/notes/", params={name: value}), name) == 422


@ONCE
def test_every_wrong_parameter_is_named(client: TestClient) -> None:
    """All parameters that are out of bounds are named at once, and no others."""
    query = "skip=-1&take=1001&completed=maybe&sort=text"
    response = client.get(f"/notes/?{query}")
    assert problem(response, "skip", "take", "completed") == 422


@ONCE
@pytest.mark.parametrize("sort", ["text", "-completed"])
def test_a_cursor_goes_with_an_order_by_id_only(client: TestClient, sort: str) -> None:
    """`after` is 422 where another order than by id is asked for."""
    response = client.get(f"/notes/?after=1&sort={sort}")
    assert problem(response, *response.json()["errors"]) == 422
    assert "after" in response.json()["detail"]


@ONCE
def test_an_unknown_parameter_is_told_the_known_ones(client: TestClient) -> None:
    """The 422 of a parameter that the list does not have names those that it has, in order."""
    response = client.get("/notes/?take=1&limit=5")
    assert problem(response, "limit") == 422
    names = "skip, take, sort, after, count, completed, q"
    assert response.json()["errors"]["limit"].endswith(names)


@ONCE
def test_the_last_of_a_repeated_parameter_counts(
    client: TestClient, seven_notes: Notes
) -> None:
    """Of a parameter that is repeated the last value is taken, by the page and by its link."""
    pages = read_pages(client, "/notes/?take=x&take=5&completed=true&completed=false")
    expected = [note for note in seven_notes if not note["completed"]]
    assert [page.json() for page in pages] == [expected]
    pages = read_pages(client, "/notes/?take=1&take=5")
    assert [page.json() for page in pages] == [seven_notes[:5], seven_notes[5:]]


# Links


@pytest.mark.parametrize("sort", ORDERS)
def test_a_walk_sees_each_note_once(
    client: TestClient, seven_notes: Notes, sort: str
) -> None:
    """Whoever follows Link from page to page sees every note once, in order, on full pages."""
    for take in (1, 3, 7):
        pages = [
            page.json() for page in read_pages(client, f"/notes/?sort={sort}&take={take}")
        ]
        assert [note for page in pages for note in page] == sort_notes(seven_notes, sort)
        assert all(len(page) == take for page, _ in pairwise(pages))


URI_LINK = r'<\?[\w%=&+;,.:/?@!$\'()*~-]+>; rel="next"'
LAST_PAGES = ["take=7", "skip=5&take=2", "skip=7", "take=0", "completed=true&take=4"]


@pytest.mark.parametrize("query", [*LAST_PAGES, "q=zz"])
@pytest.mark.usefixtures("seven_notes")
def test_the_last_page_has_no_link(client: TestClient, query: str) -> None:
    """A page that nothing follows, and an empty one, has no Link."""
    assert "Link" not in client.get(f"/notes/?{query}").headers


@ONCE
@pytest.mark.parametrize(
    "other", ["", "sort=-id", "sort=text", "q=%25+%C3%A4&count=true"]
)
def test_a_link_keeps_the_other_parameters(client: TestClient, other: str) -> None:
    """A Link is a relative URI (RFC 3986) with all other parameters, and by id with `after`."""
    for letter in "abcd":
        create_note(client, text=f"{letter}% \u00e4")
    for start in ("take=2", "skip=1&take=2"):
        response = client.get(f"/notes/?{start}&{other}")
        assert re.fullmatch(URI_LINK, response.headers["Link"], re.ASCII)
        target = response.links["next"]["url"]
        parameters = parse_qsl(urlsplit(target).query)
        assert not urlsplit(target).netloc
        assert set(parse_qsl(other)) <= set(parameters)
        assert ("after" in dict(parameters)) is (other != "sort=text")


@ONCE
@pytest.mark.parametrize("start", ["skip=1", "%73kip=1", "a%66ter={}", "after={}&skip=0"])
def test_a_link_goes_on_from_any_start(
    client: TestClient, seven_notes: Notes, start: str
) -> None:
    """The pages after one that began at a skip or an after are those that follow it."""
    start = start.format(seven_notes[0]["id"])
    pages = [page.json() for page in read_pages(client, f"/notes/?{start}&take=2")]
    assert pages == [seven_notes[1:3], seven_notes[3:5], seven_notes[5:]]


# Filters


def test_filters_narrow_each_other(client: TestClient, seven_notes: Notes) -> None:
    """A note is in a list when every filter lets it pass, and the cursor and the order, too."""
    for completed in (True, False):
        page = client.get("/notes/", params={"completed": completed})
        expected = [note for note in seven_notes if note["completed"] is completed]
        assert page.json() == expected
    query = f"q=B&completed=false&after={seven_notes[0]['id']}&sort=-id&count=true"
    assert client.get(f"/notes/?{query}").json() == []
    page = client.get(f"/notes/?{query.replace('&sort=-id', '')}")
    assert (page.json(), page.headers["X-Total-Count"]) == ([seven_notes[4]], "1")


CASES_OF_LETTERS = ["\u00c4RGER", "\u00e4rger", "\u0416\u0423\u041a", "\u212aILO"]
STORED = ["100%", "a_b", "axb", "c:\\d", "c:/d", *CASES_OF_LETTERS, ""]


@pytest.mark.parametrize(
    ("part", "matches"),
    [
        ("", STORED),
        ("%", ["100%"]),
        ("0%", ["100%"]),
        ("0%%", []),
        ("A_B", ["a_b"]),
        ("\\D", ["c:\\d"]),
        ("/", ["c:/d"]),
        ("XB", ["axb"]),
        ("\u00e4R", ["\u00c4RGER", "\u00e4rger"]),
        ("\u0436\u0443\u043a", ["\u0416\u0423\u041a"]),
        ("kilo", ["\u212aILO"]),
        ("'; --", []),
    ],
)
def test_a_search_finds_a_part_in_any_case(
    client: TestClient, part: str, matches: list[str]
) -> None:
    """A search finds the texts with that part, whatever its case; no character is a wildcard."""
    for text in STORED:
        create_note(client, text=text)
    page = client.get("/notes/", params={"q": part})
    assert page.status_code == 200
    assert [note["text"] for note in page.json()] == matches


# The total


@pytest.mark.parametrize(
    ("query", "total"),
    [
        ("take=0", 7),
        ("take=2&sort=text", 7),
        ("skip=100", 7),
        (f"after={LARGEST}", 7),
        ("completed=true", 4),
        ("q=b&skip=100", 2),
        ("q=zz", 0),
    ],
)
@pytest.mark.usefixtures("seven_notes")
def test_the_total_is_exact(client: TestClient, query: str, total: int) -> None:
    """Who asks for the total gets that of all pages, also past the end; nobody else pays for it."""
    page = client.get(f"/notes/?{query}&count=true")
    assert (page.status_code, page.headers["X-Total-Count"]) == (200, str(total))
    assert "X-Total-Count" not in client.get(f"/notes/?{query}").headers


# Conditional reads


@pytest.mark.parametrize("query", ["take=2&count=true", "take=2&sort=text", "skip=5"])
def test_a_known_list_is_304(client: TestClient, seven_notes: Notes, query: str) -> None:
    """A list that If-None-Match names is 304, with its Link and total, until a note changes."""
    first = client.get(f"/notes/?{query}")
    headers = {"If-None-Match": first.headers["ETag"]}
    second = client.get(f"/notes/?{query}", headers=headers)
    assert (second.status_code, second.content) == (304, b"")
    for name in ("ETag", "Cache-Control", "Link", "X-Total-Count"):
        assert second.headers.get(name) == first.headers.get(name)
    for note in seven_notes:
        client.patch(f"/notes/{note['id']}/", json={"text": "changed"})
    assert client.get(f"/notes/?{query}", headers=headers).status_code == 200
