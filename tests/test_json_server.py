"""json-server's queries for every list, compared with json-server itself."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.clients import install, program
from tests.fixtures import ORIGIN, connect, problem
from tests.servers import ROOT, Service, free_port, is_listening, wait_until

TEXTS = [
    "buy soap",
    "Call mum",
    "water the plants",
    "BUY A BIRTHDAY CARD",
    "fix tap",
    "call mum",
    "book a table for 4",
    "renew the passport",
    "Stra\u00dfe fegen",
    "pay 50% of the bill",
    "learn C++",
    "",
    "buy soap",
    "clean the oven",
    "defrost the freezer",
    "write to Zo\u00eb",
    "return the library books",
    "mend_the_fence",
    "sharpen knives",
    "buy stamps",
    "\u00c4pfel holen",
    "find the other sock",
    "plan the holiday",
    "back up the laptop",
    "call the plumber",
]
COMPLETED = [place % 3 == 0 for place in range(25)]


class Answer(NamedTuple):
    """A list's answer: its notes by their places among the 25, total and links."""

    status: int
    places: list[int]
    total: int | None
    links: dict[str | None, list[tuple[str, str]]]


class Pair(NamedTuple):
    """The service and json-server, with the same notes."""

    service: httpx2.Client
    json_server: httpx2.Client
    ids: list[int]

    def read(self, client: httpx2.Client, query: str) -> Answer:
        """Return what one of the two answers to a query."""
        response = client.get(f"/notes?{query}")
        places, total, links = [], None, {}
        if response.status_code == 200:
            places = [self.ids.index(note["id"]) + 1 for note in response.json()]
        if "X-Total-Count" in response.headers:
            total = int(response.headers["X-Total-Count"])
        for relation, link in response.links.items():
            links[relation] = sorted(parse_qsl(urlsplit(link["url"]).query))
        return Answer(response.status_code, places, total, links)

    def compare(self, query: str) -> None:
        """Require the same answer of both; json-server does not always tell the total."""
        service = self.read(self.service, query)
        json_server = self.read(self.json_server, query)
        assert (service.status, service.places) == (200, json_server.places)
        if json_server.total is None:
            assert service.total == len(service.places)
        else:
            assert service.total == json_server.total
        if "_page" in query:
            assert service.links == json_server.links


@pytest.fixture(scope="module")
def service(
    database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx2.Client]:
    """A client, from another origin, of the service with 25 notes."""
    folder = tmp_path_factory.mktemp("log")
    with (
        Service.gunicorn(
            folder, "examples.json_server:app", DATABASE_URL=database
        ) as server,
        httpx2.Client(base_url=server.url, headers={"Origin": ORIGIN}) as client,
    ):
        for text, completed in zip(TEXTS, COMPLETED, strict=True):
            client.post("/notes", json={"text": text, "completed": completed})
        yield client


@pytest.fixture(scope="module")
def pair(
    service: httpx2.Client, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    """The service and json-server, with the same 25 notes."""
    install()
    folder = tmp_path_factory.mktemp("npm")
    notes = service.get("/notes").json()
    (folder / "db.json").write_text(json.dumps({"notes": notes}))
    port = free_port()
    command = [
        str(program("json-server")),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "db.json",
    ]
    with (folder / "log").open("w") as log:
        devnull = subprocess.DEVNULL
        process = subprocess.Popen(
            command, cwd=folder, stdin=devnull, stdout=log, stderr=log
        )
    try:
        wait_until(lambda: is_listening(port), description="json-server")
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
            yield Pair(service, client, [note["id"] for note in notes])
    finally:
        process.terminate()
        process.wait(15)


# Beside json-server

SAME = [
    "",
    "_page=1",
    "_page=2",
    "_page=3",
    "_page=4",
    "_page=2&_limit=5",
    "_page=5&_limit=5",
    "_page=6&_limit=5",
    "_page=1&_limit=25",
    "_page=1&_limit=1000",
    "_limit=5",
    "_limit=0",
    "_limit=1000",
    "_start=20&_limit=10",
    "_start=0&_end=10",
    "_start=10&_end=20",
    "_start=20&_end=30",
    "_start=30&_end=40",
    "_start=5&_end=4",
    "_end=7",
    "_end=0",
    "_start=0&_end=1000",
    "_sort=id",
    "_sort=id&_order=desc",
    "_sort=text",
    "_sort=text&_order=DESC",
    "_sort=completed&_order=ASC",
    "_sort=completed&_order=desc",
    "_sort=text&_order=desc&_page=2&_limit=10",
    "q=buy",
    "q=BUY",
    "q=",
    "q=stra%C3%9Fe",
    "q=%C3%A4PFEL",
    "q=50%25",
    "q=mend_",
    "q=zzz",
    "q=the&_page=2&_limit=4",
    "text_like=call",
    "text_like=CALL&_sort=text",
    "text_like=",
    "id=3&id=5&id=9",
    "id=7",
    "id=999",
    "text=buy+soap",
    "text=buy%20soap&completed=false",
    "text=BUY+SOAP",
    "text=",
    "completed=true",
    "completed=false&_sort=text&_order=desc&_start=2&_end=8",
    "completed=true&q=call",
    "id=1&id=2&id=4&completed=true&_sort=id&_order=desc&_end=1",
]

ALL = list(range(1, 26))
TICKED = [place + 1 for place in range(25) if COMPLETED[place]]
REST = [place for place in ALL if place not in TICKED] + TICKED  # the others first
WITH_A_ONE = [1, *range(10, 20), 21]

# What json-server answers, and what the service does.
DIFFERENT = {
    "_start=5": ((200, ALL, None), (200, ALL[5:], 25)),
    "_sort=-id": ((200, ALL, None), (200, ALL[::-1], 25)),
    "_page=2&_per_page=5": ((200, ALL[10:20], 25), (200, ALL[5:10], 25)),
    "q=true": ((200, TICKED, None), (200, [], 0)),
    "q=1": ((200, WITH_A_ONE, None), (200, [], 0)),
    "text_like=^buy": ((200, [1, 4, 13, 20], None), (200, [], 0)),
    "text_like=C%2B%2B": ((500, [], None), (200, [11], 1)),
}

# What json-server answers where the service refuses, and the parameters that it blames.
REFUSED = {
    "_page=0": ((200, ALL[:10], 25), ["_page"]),
    "_page=": ((200, ALL, None), ["_page"]),
    "_page=99999999999999999999": ((200, [], 25), ["_page"]),
    "_page=1&_limit=0": ((200, ALL[:10], 25), ["_limit"]),
    "_limit=-5": ((200, ALL[:20], 25), ["_limit"]),
    "_limit=1001": ((200, ALL, 25), ["_limit"]),
    "_page=1&_limit=1001": ((200, ALL, 25), ["_limit"]),
    "_end=1001": ((200, ALL, 25), ["_end"]),
    "_start=-5&_end=25": ((200, ALL[20:], 25), ["_start"]),
    "_end=abc": ((200, [], 25), ["_end"]),
    "_end=5&_limit=3": ((200, ALL[:5], 25), ["_limit"]),
    "_page=1&_start=5": ((200, ALL[:10], 25), ["_start"]),
    "_page=1&_end=5": ((200, ALL[:10], 25), ["_page"]),
    "_per_page=5": ((200, ALL, None), ["_per_page"]),
    "_order=desc": ((200, ALL, None), ["_order"]),
    "_sort=id&_order=down": ((200, ALL, None), ["_order"]),
    "_sort=-id&_order=asc": ((200, ALL, None), ["_order"]),
    "_sort=bogus": ((200, ALL, None), ["_sort"]),
    "_sort=completed,id&_order=desc,desc": ((200, REST[::-1], None), ["_sort"]),
    "completed=yes": ((200, [], None), ["completed"]),
    "id=abc": ((200, [], None), ["id"]),
    "completed=true&completed=false": ((200, ALL, None), ["completed"]),
    "text=fix+tap&text=call+mum": ((200, [5, 6], None), ["text"]),
    "q=buy&text_like=soap": ((200, [1, 13], None), ["text_like"]),
    "id_like=1": ((200, WITH_A_ONE, None), ["id_like"]),
    "id_gte=20": ((200, ALL[19:], None), ["id_gte"]),
    "id_lte=3": ((200, ALL[:3], None), ["id_lte"]),
    "text_ne=fix+tap": ((200, ALL[:4] + ALL[5:], None), ["text_ne"]),
    "id:gt=5": ((200, ALL, None), ["id:gt"]),
    "_where={}": ((200, ALL, None), ["_where"]),
    "_embed=comments&_expand=user": ((200, ALL, None), ["_embed", "_expand"]),
    "colour=1": ((200, ALL, None), ["colour"]),
    "_=1763000000": ((200, ALL, None), ["_"]),
}


@pytest.mark.parametrize("query", SAME)
def test_a_query_has_json_servers_answer(pair: Pair, query: str) -> None:
    """Both answer the same notes in the same order, the same total and links."""
    pair.compare(query)


@pytest.mark.parametrize("query", DIFFERENT)
def test_some_queries_have_another_answer(pair: Pair, query: str) -> None:
    """Where the answers differ, each is the one that is written down."""
    answers = [
        pair.read(client, query)[:3] for client in (pair.json_server, pair.service)
    ]
    assert answers == [*DIFFERENT[query]]


@pytest.mark.parametrize("query", REFUSED)
def test_what_cannot_be_answered_is_422(pair: Pair, query: str) -> None:
    """What only json-server answers is 422 in the client's names, never another list."""
    answer, parameters = REFUSED[query]
    assert pair.read(pair.json_server, query)[:3] == answer
    assert problem(pair.service.get(f"/notes?{query}"), *parameters) == 422


def test_the_documentation_lists_every_difference() -> None:
    """The table of what differs has each query that is answered differently."""
    text = (ROOT / "docs" / "json-server.md").read_text()
    assert sorted(re.findall(r"`\?(.+?)`", text)) == sorted([*DIFFERENT, *REFUSED])


WORDS = st.sampled_from(
    ["buy", "CALL", "call mum", "soap", "\u00df", "\u00cb", "%", "_", "zzz", ""]
)
SMALL = st.integers(1, 9)
Part = dict[str, object]
Parts = st.SearchStrategy[Part]
FILTERS: Parts = st.fixed_dictionaries(
    {},
    optional={
        "completed": st.sampled_from(["true", "false"]),
        "text": st.sampled_from(TEXTS),
        "id": st.lists(st.integers(1, 30), min_size=1, max_size=9),
    },
)
SEARCHES: Parts = st.just({}) | st.fixed_dictionaries({"q": WORDS})
SEARCHES |= st.fixed_dictionaries({"text_like": WORDS})
ORDERS: Parts = st.just({}) | st.fixed_dictionaries(
    {"_sort": st.sampled_from(["id", "text", "completed"])},
    optional={"_order": st.sampled_from(["asc", "desc", "ASC", "DESC"])},
)
PAGES: Parts = st.fixed_dictionaries({"_page": SMALL}, optional={"_limit": SMALL})
PAGES |= st.fixed_dictionaries({"_limit": SMALL}, optional={"_start": SMALL})
PAGES |= st.fixed_dictionaries({"_end": st.integers(0, 30)}, optional={"_start": SMALL})
PAGES |= st.just({})


def test_any_query_that_both_know_has_json_servers_answer(pair: Pair) -> None:
    """Filters, a search, an order and a page have its answer in any combination."""

    @settings(
        max_examples=150,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(FILTERS, SEARCHES, ORDERS, PAGES)
    def compare(filters: Part, search: Part, order: Part, page: Part) -> None:
        pair.compare(urlencode({**filters, **search, **order, **page}, doseq=True))

    compare()


# Names and links


def test_an_unknown_name_is_told_those_that_there_are(service: httpx2.Client) -> None:
    """The message of a 422 names the unknown parameter, and all that the list takes."""
    response = service.get("/notes?completed=true&_embed=comments")
    assert problem(response, "_embed") == 422
    _, _, names = response.json()["message"].partition("The list takes ")
    json_server_names = {
        "_page",
        "_limit",
        "_per_page",
        "_start",
        "_end",
        "_sort",
        "_order",
    }
    own_names = {"skip", "take", "sort", "after", "count", "completed", "text", "q", "id"}
    assert json_server_names | own_names | {"text_like"} <= {
        *names.rstrip(".").split(", ")
    }


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("_limit=abc", "_limit"),
        (f"_page={'9' * 5_000}", "_page"),
        ("_start=9223372036854775808", "_start"),
        ("text_like=%00", "text_like"),
        (f"text_like={'a' * 1_001}", "text_like"),
        ("_limit=1001&text_like=%00", "_limit text_like"),
        ("_limit=5&take=5", "take"),
        ("_sort=id&sort=text", "sort"),
        ("_page=1&after=5", "_page"),
        ("q=a&q=b", "q"),
        ("=5", ""),
        ("%00=5", "\0"),
    ],
    ids=lambda value: value[:24],
)
def test_a_422_blames_what_was_sent(
    service: httpx2.Client, query: str, fields: str
) -> None:
    """Whoever finds the error, the names in it are those of the query."""
    response = service.get(f"/notes?{query}")
    assert problem(response, *(fields.split() or [fields])) == 422


@pytest.mark.parametrize(
    ("query", "places", "total"),
    [
        ("skip=5&take=2", ALL[5:7], "25"),
        ("take=1000&sort=-id", ALL[::-1], "25"),
        ("skip=3", ALL[3:23], "25"),
        ("take=3&count=false", ALL[:3], None),
        ("_sort=id&_order=desc&take=3", ALL[:21:-1], "25"),
        ("sort=-id&_limit=3", ALL[:21:-1], "25"),
        ("skip=5&_end=10", ALL[5:10], "25"),
    ],
)
def test_the_lists_own_parameters_still_work(
    service: httpx2.Client, query: str, places: list[int], total: str | None
) -> None:
    """A client of the service's own is answered as before, and is told the total."""
    ids = [note["id"] for note in service.get("/notes").json()]
    response = service.get(f"/notes?{query}")
    assert [ids.index(note["id"]) + 1 for note in response.json()] == places
    assert response.headers.get("X-Total-Count") == total


@pytest.mark.parametrize(
    "query", ["_page=1&_limit=7", "_start=3&_end=7", "take=4&sort=text"]
)
def test_links_are_relative_and_lead_on(service: httpx2.Client, query: str) -> None:
    """Whoever follows the links sees every note once, behind any proxy."""
    response = service.get(f"/notes?{query}")
    notes = response.json()
    while "next" in response.links:
        target = response.links["next"]["url"]
        assert target.startswith("?")
        response = service.get(f"/notes{target}")
        notes += response.json()
    all_notes = service.get("/notes").json()
    if "_start" in query:
        all_notes = all_notes[3:]
    assert sorted(note["id"] for note in notes) == [note["id"] for note in all_notes]


def test_a_known_page_is_304(service: httpx2.Client) -> None:
    """A page that If-None-Match names is 304, with its links and its total."""
    first = service.get("/notes?_page=2")
    second = service.get(
        "/notes?_page=2", headers={"If-None-Match": first.headers["ETag"]}
    )
    assert (second.status_code, second.content) == (304, b"")
    for name in ("ETag", "Link", "X-Total-Count"):
        assert second.headers[name] == first.headers[name]


@pytest.mark.parametrize("path", ["/notes", "/notes/"])
def test_head_and_both_paths_are_translated(service: httpx2.Client, path: str) -> None:
    """HEAD has the headers of GET, with the path's last slash and without it."""
    page = service.get(f"{path}?_page=2&_limit=5")
    head = service.head(f"{path}?_page=2&_limit=5")
    assert (head.status_code, head.content) == (200, b"")
    assert [note["text"] for note in page.json()] == TEXTS[5:10]
    for name in ("Link", "X-Total-Count", "ETag", "Access-Control-Expose-Headers"):
        assert head.headers[name] == page.headers[name]
    error_response = service.head(f"{path}?_embed=comments")
    assert (error_response.status_code, error_response.content) == (422, b"")


def test_only_lists_are_translated(service: httpx2.Client) -> None:
    """What is no list keeps its own ways with a query."""
    note = service.get("/notes?_limit=1").json()[0]
    assert service.get(f"/notes/{note['id']}?_embed=comments").json() == note
    assert service.get("/readyz?_limit=5").json() == {"status": "ok"}
    assert problem(service.post("/notes?_embed=comments", json={}), "text") == 422


def test_a_slice_that_is_too_long_says_from_where(service: httpx2.Client) -> None:
    """The bound of an end is told from its start on."""
    response = service.get("/notes?_start=2000&_end=3001")
    assert problem(response, "_end") == 422
    assert response.json()["errors"]["_end"] == "must be at most 1000 after _start"


def test_a_root_path_is_no_part_of_a_list(
    empty_database: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Lists are found below the path that a proxy leaves out."""
    port = str(free_port())
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "examples.json_server:app",
        "--port",
        port,
    ]
    folder = tmp_path_factory.mktemp("root")
    variables = {"DATABASE_URL": empty_database, "PORT": port}
    with Service([*command, "--root-path", "/api"], folder, **variables) as service:
        answer = httpx2.get(
            f"{service.url}/notes?_embed=comments", headers={"Origin": ORIGIN}
        )
        assert problem(answer, "_embed") == 422
        page = httpx2.get(f"{service.url}/notes?_page=1")
        assert page.headers["X-Total-Count"] == "0"


# Beside other resources

KEY = "a-key"


@pytest.fixture(scope="module")
def inventory(
    service: httpx2.Client,  # whose notes have the first ids
    database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[httpx2.Client]:
    """A client, with a key, of notes and products, both with json-server's queries."""
    folder = tmp_path_factory.mktemp("inventory")
    variables = {"DATABASE_URL": database, "API_KEYS": KEY}
    headers = {"Origin": ORIGIN, "Authorization": f"Bearer {KEY}"}
    with (
        Service.gunicorn(folder, "tests.inventory:app", **variables) as server,
        httpx2.Client(base_url=server.url, headers=headers) as client,
    ):
        yield client


def test_every_list_is_translated(inventory: httpx2.Client) -> None:
    """Products are paged and counted as notes are, and keep parameters of their own."""
    for price in range(5):
        lamp = {"name": "Lamp", "price": price, "quantity": 1, "description": None}
        assert inventory.post("/products", json=lamp).status_code == 201
    page = inventory.get("/products/filter/price?min_price=1&_page=2&_limit=3&_sort=id")
    assert [product["price"] for product in page.json()] == [4]
    assert page.headers["X-Total-Count"] == "4"
    assert set(page.links) == {"first", "prev", "last"}
    assert "min_price=1" in page.links["first"]["url"]
    assert len(inventory.get("/products").json()) == 5
    assert problem(inventory.get("/products?name_like=Lamp"), "name_like") == 422
    assert problem(inventory.get("/products?_embed=notes"), "_embed") == 422


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (
            "_page=2&_limit=3&name_like=red&tag=a&tag=b",
            "skip=3 take=3 tag=['a', 'b'] q=red",
        ),
        ("_start=4&_end=6", "skip=4 take=2 tag=None q="),
        ("", "skip=0 take=3 tag=None q="),
        ("skip=1", "skip=1 take=None tag=None q="),
    ],
)
def test_a_list_is_asked_in_its_own_words(
    inventory: httpx2.Client, query: str, words: str
) -> None:
    """What a list takes is read from its declaration, whatever its path."""
    labels = inventory.get(f"/shelves/7/labels?{query}").json()
    assert labels == [{"name": f"shelf=7 {words}"}]


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("shelves/7/labels?_sort=name", "_sort"),
        ("shelves/7/labels?_limit=4", "_limit"),
        ("shelves/x/labels?_limit=3", "shelf"),
        ("parcels?_page=1", "_page"),
        ("parcels?sender_like=Zoe", "sender_like"),
    ],
)
def test_a_list_takes_only_what_it_can_answer(
    inventory: httpx2.Client, query: str, fields: str
) -> None:
    """A list without an order, pages or a search of one text takes none of theirs."""
    assert problem(inventory.get(f"/{query}"), fields) == 422


def test_a_list_without_pages_holds_what_it_may(inventory: httpx2.Client) -> None:
    """A list that only knows take is asked for as much as it gives."""
    assert len(inventory.get("/parcels").json()) == 3
    assert inventory.get("/parcels?take=1&q=Zoe").json() == [
        {"sender": "Zoe", "address": None}
    ]


def test_a_422_that_blames_nothing_keeps_its_words(inventory: httpx2.Client) -> None:
    """A 422 without errors comes back as it is."""
    response = inventory.get("/shelves/7/labels?name_like=torn")
    assert problem(response) == 422
    assert response.json()["detail"] == "That label is torn."


def test_a_key_is_asked_for_first(inventory: httpx2.Client) -> None:
    """Without the key a query is not looked at."""
    query = "/notes?_embed=comments"
    assert problem(inventory.get(query, headers={"Authorization": ""})) == 401
    assert problem(inventory.get(query), "_embed") == 422


def test_without_paging_a_list_holds_a_thousand(
    inventory: httpx2.Client, database: str
) -> None:
    """A list without paging has up to 1,000 notes, tells the total and leads on."""
    with connect(database) as sql:
        sql(
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers"
            " WHERE n < 1001) INSERT INTO notes (text, completed)"
            " SELECT 'count to 1,001', false FROM numbers"
        )
        page = inventory.get("/notes", params={"text_like": "count to"})
        next_page = inventory.get(page.url.join(page.links["next"]["url"]))
        sql("DELETE FROM notes WHERE text = 'count to 1,001'")
    assert (len(page.json()), len(next_page.json())) == (1_000, 1)
    assert page.headers["X-Total-Count"] == next_page.headers["X-Total-Count"] == "1001"
