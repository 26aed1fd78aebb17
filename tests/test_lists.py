"""Lists: their pages, filters, order and links."""

import re
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from tests.fixtures import (
    Deployment,
    connect,
    create_note,
    insert,
    open_client,
    problem,
    read_notes,
)
from tests.servers import Postgres, skip

ORDERS = ["id", "-id", "text", "-text", "completed", "-completed"]
HUGE = "9" * 5_000

Notes = list[dict[str, Any]]


def texts(response: Response) -> list[str]:
    """Return the texts of a list of notes."""
    assert response.status_code == 200
    return [note["text"] for note in response.json()]


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
    pairs = zip(["b", "a", "B", "ä", "b", "", "a"], [1, 0, 1, 0, 0, 1, 1], strict=True)
    return [
        create_note(client, text=text, completed=bool(completed))
        for text, completed in pairs
    ]


# Pages


@pytest.mark.parametrize("skip", [0, 1, 6, 7, 2**31, 2**63 - 1])
def test_a_page_is_a_slice(client: TestClient, seven_notes: Notes, skip: int) -> None:
    """A page is the slice of the list that skip and take name; past the end it is empty."""
    for take in (0, 1, 7, 100):
        page = client.get("/notes/", params={"skip": skip, "take": take})
        assert (page.status_code, page.json()) == (200, seven_notes[skip : skip + take])


def test_a_page_has_twenty_notes(client: TestClient) -> None:
    """Without take a page has the twenty oldest notes."""
    notes = [create_note(client, text=str(number)) for number in range(21)]
    assert client.get("/notes/").json() == notes[:20]


@pytest.mark.parametrize("sort", ["id", "-id"])
def test_after_is_exclusive(client: TestClient, seven_notes: Notes, sort: str) -> None:
    """A page after an id begins with the next note in its order, whether the id is there or not."""
    line = sort_notes(seven_notes, sort)
    client.delete(f"/notes/{line[2]['id']}/")
    for last_id in (1, 2):
        page = client.get(
            "/notes/", params={"after": line[last_id]["id"], "sort": sort, "take": 2}
        )
        assert page.json() == line[3:5]
    beyond = 2**63 - 1 if sort == "id" else 1
    assert client.get("/notes/", params={"after": beyond, "sort": sort}).json() == []


@pytest.mark.parametrize("sort", ORDERS)
def test_a_list_has_the_order_that_sort_names(
    client: TestClient, seven_notes: Notes, sort: str
) -> None:
    """Notes are ordered by id, by the code points of their text or by completed; ties by id."""
    assert client.get("/notes/", params={"sort": sort}).json() == sort_notes(
        seven_notes, sort
    )


@pytest.mark.parametrize("sort", ["text", "-text"])
def test_texts_are_ordered_by_code_point(postgres: Postgres, sort: str) -> None:
    """Texts are ordered by code point, also where Postgres would follow a language."""
    url = postgres.create_database("collated")
    with connect(url) as sql:
        if not sql("SELECT 1 FROM pg_collation WHERE collname = 'en-x-icu'").fetchone():
            skip("this Postgres was built without ICU")
        with open_client(DATABASE_URL=url) as client:
            sql('ALTER TABLE notes ALTER text TYPE VARCHAR COLLATE "en-x-icu"')
            text_order = [
                create_note(client, text=text)["text"]
                for text in ("A", "B", "_", "a", "b", "\u00e4")
            ]
            notes = client.get("/notes/", params={"sort": sort}).json()
    assert [note["text"] for note in notes] == (
        text_order if sort == "text" else text_order[::-1]
    )


BOUNDS = [
    *[
        (name, value)
        for name in ("skip", "take")
        for value in ("-1", "1.5", "abc", "", HUGE)
    ],
    *[
        ("skip", str(2**63)),
        ("take", "1001"),
        ("take", "1_0"),
        ("skip", "+1"),
        ("skip", "\u0663"),
    ],
    *[("after", value) for value in ("0", "-1", "abc", "", str(2**63), HUGE)],
    *[("id", value) for value in ("0", "-1", "abc", "", str(2**63), HUGE)],
    *[("sort", value) for value in ("", "bogus", "-", "--id", "ID", "id;")],
    *[("completed", value) for value in ("", "yes", "1", "True", "null")],
    *[("count", value) for value in ("", "yes", "1", "True")],
    *[("q", "\0"), ("q", "a" * 1_001)],
    ("text", "\0"),
]


@pytest.mark.parametrize(
    ("name", "value"), [pytest.param(*bound, id="=".join(bound)[:24]) for bound in BOUNDS]
)
def test_a_parameter_out_of_bounds_is_422(
    client: TestClient, name: str, value: str
) -> None:
    """A parameter out of its type or bounds is 422 and named; it is never clamped."""
    assert problem(client.get("/notes/", params={name: value}), name) == 422


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("after=1&sort=text", "after"),
        ("after=1&sort=-completed", "after"),
        ("id=1&id=abc", "id"),
        ("&".join(f"id={number}" for number in range(1, 102)), "id"),
    ],
    ids=lambda value: value[:24],
)
def test_parameters_that_do_not_go_together_are_422(
    client: TestClient, query: str, field: str
) -> None:
    """Parameters that are out of bounds only together are 422, and one of them is named."""
    assert problem(client.get(f"/notes/?{query}"), field) == 422


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("skip=-1&take=1001&completed=yes&sort=text", ["skip", "take", "completed"]),
        ("after=1&sort=bogus", ["sort"]),
    ],
)
def test_every_wrong_parameter_is_named(
    client: TestClient, query: str, fields: list[str]
) -> None:
    """All parameters out of bounds are named at once, and no others."""
    assert problem(client.get(f"/notes/?{query}"), *fields) == 422


@pytest.mark.parametrize("name", ["limit", "_page", "completed_ne", "Skip", "ids", ""])
def test_an_unknown_parameter_is_422(client: TestClient, name: str) -> None:
    """A parameter that the list does not have is 422; the message names those that it has."""
    create_note(client)
    response = client.get("/notes/", params={"take": 1, name: "5"})
    assert problem(response, name) == 422
    for parameter in (
        "skip",
        "take",
        "sort",
        "after",
        "count",
        "id",
        "text",
        "completed",
        "q",
    ):
        assert parameter in response.json()["errors"][name]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("skip=0&skip=0", "skip"),
        ("take=1&take=2", "take"),
        ("sort=id&q=a&sort=-id", "sort"),
        ("after=1&%61fter=2", "after"),
        ("count=true&count=false", "count"),
        ("text=a&text=b", "text"),
        ("completed=true&completed=", "completed"),
        ("q=a&q=b&id=1&id=2", "q"),
    ],
)
def test_a_repeated_parameter_is_422(client: TestClient, query: str, name: str) -> None:
    """A parameter that takes one value is 422 where it is repeated; none of them is chosen."""
    response = client.get(f"/notes/?{query}")
    assert problem(response, name) == 422
    assert "once" in response.json()["errors"][name]


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


@pytest.mark.parametrize("sort", ["id", "-id"])
def test_a_walk_by_id_outlives_deletions(
    client: TestClient, seven_notes: Notes, sort: str
) -> None:
    """A walk ordered by id misses no note when those that it has seen are deleted."""
    page, notes = client.get(f"/notes/?sort={sort}&take=2"), []
    while True:
        notes += page.json()
        for note in page.json():
            client.delete(f"/notes/{note['id']}/")
        if "next" not in page.links:
            break
        page = client.get(page.url.join(page.links["next"]["url"]))
    assert notes == sort_notes(seven_notes, sort)


@pytest.mark.parametrize(
    "query",
    [
        "take=7",
        "take=8",
        "skip=5&take=2",
        "skip=7",
        "take=0",
        "completed=true&take=4",
        "q=zz",
    ],
)
@pytest.mark.usefixtures("seven_notes")
def test_the_last_page_has_no_link(client: TestClient, query: str) -> None:
    """A page that nothing follows, and an empty one, has no Link."""
    assert "Link" not in client.get(f"/notes/?{query}").headers


@pytest.mark.parametrize(
    "other_parameters",
    ["", "sort=-id", "sort=text", "q=%25+%C3%A4&count=true", "{ids}"],
    ids=lambda other_parameters: other_parameters[:12],
)
def test_a_link_keeps_the_other_parameters(
    client: TestClient, other_parameters: str
) -> None:
    """A Link is relative, keeps the other parameters, and goes by after when ordered by id."""
    notes = [create_note(client, text=f"{letter}% \u00e4") for letter in "Abcd"]
    other_parameters = other_parameters.format(
        ids="&".join(f"id={note['id']}" for note in notes)
    )
    for page_parameters in ("take=2", "skip=1&take=2"):
        target = client.get(f"/notes/?{page_parameters}&{other_parameters}").links[
            "next"
        ]["url"]
        link_parameters = parse_qsl(urlsplit(target).query)
        assert not urlsplit(target).netloc
        assert set(parse_qsl(other_parameters)) <= set(link_parameters)
        assert ("after" in dict(link_parameters)) is (other_parameters != "sort=text")


def test_a_link_replaces_a_start_however_it_is_spelled(
    client: TestClient, seven_notes: Notes
) -> None:
    """The Link of a page that began at a skip or an after that is encoded goes on after it."""
    for start in ("%73kip=1", f"a%66ter={seven_notes[0]['id']}"):
        path = f"/notes/?{start}&take=2"
        assert [page.json() for page in read_pages(client, path)] == [
            seven_notes[1:3],
            seven_notes[3:5],
            seven_notes[5:],
        ]


def test_a_link_is_a_uri(client: TestClient, seven_notes: Notes) -> None:
    """What a URI may not have is encoded in a Link (RFC 3986), and all else is as it was."""
    first, second = (f"a>\u00e4 {number}%" for number in (1, 2))
    for text in (first, second):
        create_note(client, text=text)
    query = "take=1&q=%3E\u00e4+&"
    link = client.get(f"/notes/?{query}").headers["Link"]
    assert re.fullmatch(r'<\?[\w%=&+;,.:/?@!$\'()*~-]+>; rel="next"', link, re.ASCII)
    (second_note,) = client.get(f"/notes/{link[1 : link.index('>')]}").json()
    assert second_note["text"] == second


def test_a_link_replaces_after(client: TestClient, seven_notes: Notes) -> None:
    """The Link of a page that began after an id goes on after the page's last one."""
    path = f"/notes/?after={seven_notes[0]['id']}&skip=1&take=2"
    assert [page.json() for page in read_pages(client, path)] == [
        seven_notes[2:4],
        seven_notes[4:6],
        seven_notes[6:],
    ]


@pytest.mark.parametrize("query", ["take=2&count=true", "sort=text&take=3&count=true"])
def test_a_link_leads_to_the_same_total(
    client: TestClient, seven_notes: Notes, query: str
) -> None:
    """Who is told the total on one page is told it on the next, too."""
    pages = read_pages(client, f"/notes/?{query}")
    assert len(pages) > 1
    assert [page.headers["X-Total-Count"] for page in pages] == [
        str(len(seven_notes))
    ] * len(pages)


# Filters


@pytest.mark.parametrize("completed", [True, False])
def test_completed_filters(
    client: TestClient, seven_notes: Notes, completed: bool
) -> None:
    """A list of the completed notes has these alone, and so has one of the others."""
    page = client.get("/notes/", params={"completed": str(completed).lower()})
    assert page.json() == [note for note in seven_notes if note["completed"] is completed]


CASES_OF_LETTERS = ["\u00c4RGER", "\u00e4rger", "\u0416\u0423\u041a", "\u212aILO\u0130"]
STORED = ["100%", "a_b", "axb", "c:\\d", "c:/d", *CASES_OF_LETTERS, ""]


@pytest.mark.parametrize(
    ("part", "matches"),
    [
        ("", STORED),
        ("%", ["100%"]),
        ("0%", ["100%"]),
        ("0%%", []),
        ("_", ["a_b"]),
        ("A_B", ["a_b"]),
        ("\\", ["c:\\d"]),
        ("\\D", ["c:\\d"]),
        ("/", ["c:/d"]),
        ("XB", ["axb"]),
        ("\u00e4R", ["\u00c4RGER", "\u00e4rger"]),
        ("\u00c4r", ["\u00c4RGER", "\u00e4rger"]),
        ("\u0436\u0443\u043a", ["\u0416\u0423\u041a"]),
        ("kiloi", ["\u212aILO\u0130"]),
        ("'; --", []),
        ("\ufffd", []),
    ],
)
def test_a_search_finds_a_part_in_any_case(
    client: TestClient, part: str, matches: list[str]
) -> None:
    """A search finds the texts with that part, whatever its case; no character is a wildcard."""
    for text in STORED:
        create_note(client, text=text)
    assert texts(client.get("/notes/", params={"q": part})) == matches


def test_a_search_finds_a_part_of_a_word_as_it_is_written(client: TestClient) -> None:
    """A part is found in its own text also where its last letter has a form for a word's end."""
    create_note(client, text="\u039f\u0394\u039f\u03a3\u0391")
    assert texts(client.get("/notes/", params={"q": "\u039f\u03a3"})) == [
        "\u039f\u0394\u039f\u03a3\u0391"
    ]


def test_a_text_is_found_as_a_whole(client: TestClient, seven_notes: Notes) -> None:
    """A list of a text has the notes with just that text, letter for letter."""
    assert client.get("/notes/", params={"text": "b"}).json() == [
        seven_notes[0],
        seven_notes[4],
    ]
    assert client.get("/notes/", params={"text": ""}).json() == [seven_notes[5]]


def test_a_page_has_up_to_a_thousand_notes(deployment: Deployment) -> None:
    """A page of a thousand notes has all of them, and a link to the thousand and first."""
    insert(deployment.sql, *({"text": str(number)} for number in range(1001)))
    page = deployment.client.get("/notes/", params={"take": 1000})
    assert len(page.json()) == 1000
    next_page = deployment.client.get(page.url.join(page.links["next"]["url"]))
    assert len(next_page.json()) == 1


def test_ids_choose_notes(client: TestClient, seven_notes: Notes) -> None:
    """A repeated id chooses these notes in the list's order; what is missing is left out."""
    ids = [seven_notes[5]["id"], seven_notes[1]["id"], 2**63 - 1, seven_notes[1]["id"]]
    assert client.get("/notes/", params={"id": ids}).json() == [
        seven_notes[1],
        seven_notes[5],
    ]


def test_a_hundred_ids_are_one_page(deployment: Deployment) -> None:
    """A list of up to 100 ids has all of them on its first page, unless take says less."""
    client = deployment.client
    insert(deployment.sql, *({"text": str(number)} for number in range(100)))
    notes = read_notes(client)
    ids = [note["id"] for note in notes]
    assert client.get("/notes/", params={"id": ids}).json() == notes
    page = client.get("/notes/", params={"id": ids, "take": 20})
    assert (page.json(), "next" in page.links) == (notes[:20], True)


def test_filters_narrow_each_other(client: TestClient, seven_notes: Notes) -> None:
    """A note is in a list when every filter lets it pass."""
    ids = [note["id"] for note in seven_notes[1:]]
    params = {"q": "B", "completed": "true", "id": ids, "sort": "-id", "count": "true"}
    page = client.get("/notes/", params=params)
    assert (page.json(), page.headers["X-Total-Count"]) == ([seven_notes[2]], "1")


# The total


@pytest.mark.parametrize(
    ("query", "total"),
    [
        ("count=true", 7),
        ("count=true&take=0", 7),
        ("count=true&take=2&sort=text", 7),
        ("count=true&skip=100", 7),
        (f"count=true&after={2**63 - 1}", 7),
        ("count=true&completed=true", 4),
        ("count=true&q=b&skip=100", 3),
        ("count=true&q=zz", 0),
        ("count=true&id=9223372036854775807", 0),
    ],
)
@pytest.mark.usefixtures("seven_notes")
def test_the_total_is_exact(client: TestClient, query: str, total: int) -> None:
    """Who asks for the total gets that of all pages, also past the end."""
    page = client.get(f"/notes/?{query}")
    assert (page.status_code, page.headers["X-Total-Count"]) == (200, str(total))


@pytest.mark.parametrize(
    "query", ["", "count=false", "q=b", "completed=true", "sort=text", "id=1"]
)
def test_nobody_pays_for_a_total_unasked(client: TestClient, query: str) -> None:
    """A list without the question has no total."""
    assert "X-Total-Count" not in client.get(f"/notes/?{query}").headers


# Conditional reads


@pytest.mark.parametrize("query", ["take=2&count=true", "take=2&sort=text", "skip=5"])
def test_a_known_list_is_304(client: TestClient, seven_notes: Notes, query: str) -> None:
    """A list that If-None-Match names is 304, with its Link and total, until a note changes."""
    first = client.get(f"/notes/?{query}")
    headers = {"If-None-Match": first.headers["ETag"]}
    second = client.get(f"/notes/?{query}", headers=headers)
    names = ("ETag", "Cache-Control", "Link", "X-Total-Count")
    assert (second.status_code, second.content) == (304, b"")
    assert [second.headers.get(name) for name in names] == [
        first.headers.get(name) for name in names
    ]
    for note in seven_notes:
        client.patch(f"/notes/{note['id']}/", json={"text": "changed"})
    assert client.get(f"/notes/?{query}", headers=headers).status_code == 200
