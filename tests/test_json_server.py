"""json-server's queries, compared with json-server itself."""

import json
import random
import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from tests.clients import install, program
from tests.fixtures import connect, problem
from tests.servers import ROOT, Service, free_port

NOTES = (
    "buy soap|Call mum|water the plants|BUY A BIRTHDAY CARD|fix tap|call mum|"
    "book a table for 4|renew the passport|Straße fegen|pay 50% of the bill|learn C++||"
    "buy soap|clean the oven|defrost the freezer|write to Zoë|return the library books|"
    "mend_the_fence|sharpen knives|buy stamps|Äpfel holen|find the other sock|"
    "plan the holiday|back up the laptop|call the plumber"
)
TEXTS = NOTES.split("|")
APP = "examples.json_server:app"
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
        if json_server.total is None:
            json_server = json_server._replace(total=len(json_server.places))
        assert service == json_server


@pytest.fixture(scope="module")
def client(visitor: httpx2.Client) -> httpx2.Client:
    """A client, from another origin, of the service with 25 notes."""
    for text, completed in zip(TEXTS, COMPLETED, strict=True):
        visitor.post("/notes", json={"text": text, "completed": completed})
    return visitor


@pytest.fixture(scope="module")
def pair(
    client: httpx2.Client, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    """The service and json-server, with the same 25 notes."""
    install()
    folder = tmp_path_factory.mktemp("npm")
    notes = client.get("/notes").json()
    (folder / "db.json").write_text(json.dumps({"notes": notes}))
    port = str(free_port())
    command = [str(program("json-server")), "--host", "127.0.0.1", "--port", port]
    server = Service([*command, f"{folder}/db.json"], folder, PORT=port)
    try:
        server.wait("/notes")
        with httpx2.Client(base_url=server.url) as json_server:
            yield Pair(client, json_server, [note["id"] for note in notes])
    finally:
        server.stop()


# Beside json-server

QUERIES = """
_page=1 _page=2 _page=3 _page=4 _page=2&_limit=5 _page=5&_limit=5 _page=6&_limit=5
_page=1&_limit=25 _page=1&_limit=1000 _limit=5 _limit=0 _limit=1000 _start=20&_limit=10
_start=0&_end=10 _start=10&_end=20 _start=20&_end=30 _start=30&_end=40 _start=5&_end=4
_end=7 _end=0 _start=0&_end=1000
_sort=id _sort=id&_order=desc _sort=text _sort=text&_order=DESC _sort=completed&_order=ASC
_sort=completed&_order=desc _sort=text&_order=desc&_page=2&_limit=10
_sort=completed,id&_order=desc,desc _sort=completed,text&_order=desc _sort=text,id
_sort=completed,text,id&_order=asc,desc,desc&_start=3&_end=9
q=buy q=BUY q= q=stra%C3%9Fe q=%C3%A4PFEL q=50%25 q=mend_ q=zzz q=the&_page=2&_limit=4
text_like=call text_like=CALL&_sort=text text_like= q=buy&text_like=soap
id=3&id=5&id=9 id=7 id=999 id=1&id=2&id=4&completed=true&_sort=id&_order=desc&_end=1
id_ne=7 id_gte=20 id_lte=3 id_gte=5&id_lte=9&id_ne=7 id_gte=9&id_lte=5
text=buy+soap text=buy%20soap&completed=false text=BUY+SOAP text= text_ne=fix+tap
text_gte=call text_lte=call+mum text_gte=b&text_lte=c&_sort=text
completed=true completed_ne=true completed=true&q=call
completed=false&_sort=text&_order=desc&_start=2&_end=8
"""

ALL = list(range(1, 26))
# What json-server answers, and what the service does.
DIFFERENT = {
    "_start=5": ((200, ALL, None), (200, ALL[5:], 25)),
    "_page=2&_per_page=5": ((200, ALL[10:20], 25), (200, ALL[5:10], 25)),
    "q=true": ((200, ALL[::3], None), (200, [], 0)),
    "q=1": ((200, [1, *range(10, 20), 21], None), (200, [], 0)),
    "text_like=^buy": ((200, [1, 4, 13, 20], None), (200, [], 0)),
    "text_like=C%2B%2B": ((500, [], None), (200, [11], 1)),
    "completed_gte=true": ((200, [], None), (200, ALL[::3], 9)),
}
# What json-server answers and the service refuses, by the parameters that it blames.
BLAMED = {
    "_page": "_page=0 _page= _page=99999999999999999999 _page=1&_limit=0 _page=1&_start=5",
    "_limit": "_limit=-5 _limit=1001",
    "_end": "_end=1001 _end=5&_limit=3",
    "_start _end": "_start=-5&_end=abc",
    "_per_page": "_per_page=5",
    "_order": "_order=desc _sort=id&_order=down _sort=id&_order=asc,asc",
    "_sort": "_sort=-id _sort=bogus _sort=id,id",
    "completed": "completed=maybe",
    "id": "id=abc",
    "text": "text=fix+tap&text=call+mum",
    "q": "q=buy&q=soap",
    "id_like": "id_like=1",
    "_where": "_where={}",
    "_embed": "_embed=comments",
    "_": "_=1763000000",
}
REFUSED = {query: names for names, them in BLAMED.items() for query in them.split()}


@pytest.mark.parametrize("query", ["", *QUERIES.split()])
def test_a_query_has_json_servers_answer(pair: Pair, query: str) -> None:
    """Both answer the same notes in the same order, the same total and links."""
    pair.compare(query)


@pytest.mark.parametrize("query", DIFFERENT)
def test_some_queries_have_another_answer(pair: Pair, query: str) -> None:
    """Where the answers differ, each is the one that is written down."""
    answers = pair.read(pair.json_server, query)[:3], pair.read(pair.service, query)[:3]
    assert answers == DIFFERENT[query]


@pytest.mark.parametrize("query", REFUSED)
def test_what_cannot_be_answered_is_422(pair: Pair, query: str) -> None:
    """What only json-server answers is 422 in the client's names, never another list."""
    assert pair.read(pair.json_server, query).status == 200
    assert problem(pair.service.get(f"/notes?{query}"), *REFUSED[query].split()) == 422


def test_the_documentation_lists_every_difference() -> None:
    """The table of what differs has each query that is answered differently."""
    text = (ROOT / "docs" / "json-server.md").read_text()
    assert sorted(re.findall(r"`\?(.+?)`", text)) == sorted([*DIFFERENT, *REFUSED])


CHOICES = [
    "completed=true completed=false completed_ne=true",
    "text_ne=buy+soap text_gte=call text_lte=c text=call+mum",
    "id=1&id=2&id=9&id=12&id=30 id_gte=4 id_lte=20&id_ne=5 id_gte=9&id_lte=12",
    "q=the q=BUY q=straße q=Ë q=%25 q= text_like=call text_like=_ q=a&text_like=e",
    "_sort=text,id&_order=desc,desc _sort=completed,text,id&_order=ASC,desc",
    "_sort=id&_order=desc _sort=completed,id _sort=text&_order=DESC",
    "_page=1&_limit=3 _page=2&_limit=4 _page=3&_limit=2 _limit=5 _start=2&_limit=5",
    "_start=3&_end=9 _end=7 _page=1",
]


def test_any_query_that_both_know_has_json_servers_answer(pair: Pair) -> None:
    """Filters, an order and a page have its answer in any combination."""
    chance = random.Random(7)
    for _ in range(200):
        *filters, order_1, order_2, page_1, page_2 = [
            chance.choice(["", *choices.split()]) for choices in CHOICES
        ]
        parts = [*filters, order_1 or order_2, page_1 or page_2]
        pair.compare("&".join(part for part in parts if part))


# Names and links


def test_a_422_blames_what_was_sent(client: httpx2.Client) -> None:
    """Whatever is sent, the names in a short 422 are those of the query."""
    for query, fields in {
        f"_page={'9' * 5_000}": "_page",
        f"text_like={'a' * 1_001}&id_gte=0&id=0&id=1": "text_like id_gte id",
        "text_like=%00": "text_like",
        "id=1&" * 9_000: "id",
        "&".join(f"a{number}=" for number in range(7_000)): "a0",
        "_start=2000&_end=3001": "_end",
        "_page=1&after=5": "_page",
        "take=5&id=3": "id",
    }.items():
        response = client.get(f"/notes?{query}")
        assert problem(response, *fields.split()) == 422
        assert len(response.content) < 2_000
        head = client.head(f"/notes/?{query}")
        assert (head.status_code, head.content) == (422, b"")


def test_pages_are_linked_and_known(client: httpx2.Client) -> None:
    """Links are relative; a page that is known is 304, with its links."""
    first = client.get("/notes?_page=1&_limit=7&id_gte=1")
    second = client.get(f"/notes{first.links['next']['url']}")
    assert [note["text"] for note in second.json()] == TEXTS[7:14]
    known = client.get(second.url, headers={"If-None-Match": second.headers["ETag"]})
    assert (known.status_code, known.content) == (304, b"")
    assert known.headers["Link"] == second.headers["Link"]


def test_without_paging_a_list_holds_a_thousand(
    client: httpx2.Client, database: str
) -> None:
    """A list without paging has up to 1,000 notes, and tells how many there are."""
    with connect(database) as sql:
        sql(
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers"
            " WHERE n < 1001) INSERT INTO notes (text, completed)"
            " SELECT 'count to 1,001', false FROM numbers"
        )
        page = client.get("/notes", params={"text_like": "count to"})
        sql("DELETE FROM notes WHERE text = 'count to 1,001'")
    assert (len(page.json()), page.headers["X-Total-Count"]) == (1_000, "1001")


# PUT


def test_put_keeps_what_is_left_out(client: httpx2.Client) -> None:
    """PUT changes the members that it is sent, under the core's bounds and conditions."""
    created = client.post("/notes", json={"text": "fix sink", "completed": False})
    note, path = created.json(), created.headers["Location"]
    ticked = client.put(path, json={"completed": True, "id": 7})
    assert ticked.json() == {**note, "completed": True}
    assert client.put(path, json={}).json() == ticked.json()
    whole = client.put(path.rstrip("/"), json=note)
    assert (whole.status_code, whole.json()) == (200, note)
    tag = {"If-Match": ticked.headers["ETag"]}
    assert problem(client.put(path, json={"text": "a"}, headers=tag)) == 412
    assert problem(client.put(path, json={"text": None}), "text") == 422
    assert client.delete(path).json()["text"] == "fix sink"
    assert problem(client.put(path, json={"text": "a"})) == 404
