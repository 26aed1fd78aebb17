"""json-server's queries for the list of notes: `uvicorn examples.json_server:app`.

In production the Procfile's line names `examples.json_server:app`. A query with `skip`,
`take`, `sort`, `after` or `count` is for the core's own list, which answers it.
PUT changes the members that are sent and keeps the others, as react-admin's updateMany sends
only what changes; json-server itself would drop the others. docs/json-server.md has what
else differs.
"""

import json
import operator
from functools import lru_cache
from itertools import zip_longest
from math import ceil
from typing import Annotated, Any, NoReturn
from urllib.parse import urlencode

import sqlalchemy as sa
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import Field, TypeAdapter, ValidationError
from sqlalchemy.dialects.postgresql import ARRAY
from starlette.datastructures import QueryParams
from starlette.routing import Match
from starlette.types import Scope
from typing_extensions import TypedDict  # which pydantic needs before Python 3.12

import main
from main import SHOWN, Answer, ETags, Id, Note, NotePatch, Statement, app, notes

MOST = 1_000  # notes that one answer holds
MOST_IDS = 100  # that one query names
CORE_NAMES = {"skip", "take", "sort", "after", "count"}
ON_SQLITE = isinstance(main.database, main.SQLite)

# Parameters

Number = Annotated[int, Field(ge=0, le=10**15)]  # JavaScript's are exact up to there
COMPARISONS: dict[str, Any] = {
    "": operator.eq,
    "_ne": operator.ne,
    "_gte": operator.ge,
    "_lte": operator.le,
}
TYPES: dict[str, Any] = {
    "_page": Annotated[Number, Field(ge=1)],
    "_limit": Annotated[Number, Field(le=MOST)],
    "_per_page": Annotated[Number, Field(le=MOST)],
    "_start": Number,
    "_end": Number,
    "_sort": str,
    "_order": str,
    "q": main.Search,
    "text_like": main.Search,
}
like = main.database.contains(notes.c.text, main.parameter("text_like", sa.String))
# Those that narrow the list, each with its condition.
FILTERS: dict[str, Any] = {"q": main.FILTERS["q"], "text_like": like}
for field, kind in {"id": Id, **NotePatch.__annotations__}.items():
    for ending, compare in COMPARISONS.items():
        value = main.parameter(field + ending, notes.c[field].type)
        TYPES[field + ending] = kind
        FILTERS[field + ending] = compare(SHOWN[field], value)

TYPES["id"] = list[Id]
if ON_SQLITE:
    ids = sa.func.json_each(main.parameter("id", sa.String)).table_valued("value")
    FILTERS["id"] = notes.c.id.in_(sa.select(ids.c.value))
else:
    FILTERS["id"] = notes.c.id == sa.any_(main.parameter("id", ARRAY(sa.BigInteger)))

# A TypedDict, as no field of a model may begin with an underscore.
Parameters: Any = TypedDict("Parameters", TYPES, total=False)  # type: ignore[misc]
PARAMETERS = TypeAdapter(Parameters)

# The parameters of pages, and of slices, that go together.
PAGINGS: list[set[str]] = [{"_page"}, {"_page", "_limit"}, {"_page", "_per_page"}, set()]
PAGINGS += [{"_start"}, {"_end"}, {"_limit"}, {"_start", "_end"}, {"_start", "_limit"}]


def refuse(name: str, reason: str) -> NoReturn:
    """Answer 422 with what is wrong with a parameter."""
    raise RequestValidationError([{"type": "", "loc": ("query", name), "msg": reason}])


def read_values(query: QueryParams) -> dict[str, Any]:
    """Return the values of a query, by their types."""
    values: dict[str, Any] = dict(query)
    for name in values:
        if name not in TYPES:
            refuse(name, f"is not a parameter here; these are: {', '.join(TYPES)}")
        if name != "id" and len(query.getlist(name)) > 1:
            refuse(name, "is there more than once, as only id may be")
    if "id" in values:
        values["id"] = query.getlist("id")
        # Asked here, as pydantic would read all of them first.
        if len(values["id"]) > MOST_IDS:
            refuse("id", f"may be there {MOST_IDS} times")
    try:
        values = dict(PARAMETERS.validate_python(values))
    except ValidationError as error:
        errors = [{**each, "loc": ("query", each["loc"][0])} for each in error.errors()]
        raise RequestValidationError(errors) from None
    if "id" in values and ON_SQLITE:
        values["id"] = json.dumps(values["id"])
    return values


def read_range(values: dict[str, Any]) -> tuple[int, int]:
    """Return how many notes to leave out, and how many to return."""
    names = values.keys() & {"_page", "_limit", "_per_page", "_start", "_end"}
    if names not in PAGINGS:
        first, *others = sorted(names)
        reason = f"does not go with {' and '.join(others)}" if others else "needs _page"
        refuse(first, reason)
    if "_page" in values:
        take = values.get("_limit", values.get("_per_page", 10))
        if take == 0:
            refuse("_page", "goes with a page of at least one note only")
        return (values["_page"] - 1) * take, take
    skip, take = values.get("_start", 0), values.get("_limit", MOST)
    if "_end" in values:
        take = max(values["_end"] - skip, 0)
        if take > MOST:
            refuse("_end", f"must be at most {MOST} after _start")
    return skip, take


def read_sorters(values: dict[str, Any]) -> tuple[str, ...]:
    """Return the columns to sort by, with a minus sign in descending order."""
    if "_sort" not in values:
        if "_order" in values:
            refuse("_order", "goes with _sort only")
        return ()
    names = values["_sort"].split(",")
    orders = values.get("_order", "asc").lower().split(",")
    if len(set(names)) < len(names) or not SHOWN.keys() >= set(names):
        refuse("_sort", f"must be some of {', '.join(SHOWN)}, each once")
    if len(orders) > len(names) or not {"asc", "desc"}.issuperset(orders):
        refuse("_order", "must be asc or desc for each column of _sort")
    pairs = zip_longest(names, orders, fillvalue="asc")
    return tuple(f"-{name}" if order == "desc" else name for name, order in pairs)


# The list


# Not all are kept, as a client may combine filters and columns at will.
@lru_cache(100)
def list_statements(
    sorters: tuple[str, ...], filters: frozenset[str]
) -> tuple[Statement, Statement]:
    """Return the statement of a page, and that which counts the notes of all pages."""
    conditions = [FILTERS[name] for name in filters]
    page = sa.select(*main.RETURNED).where(*conditions)
    for sorter in sorters:
        column = SHOWN[sorter.removeprefix("-")]
        page = page.order_by(column.desc() if sorter.startswith("-") else column)
    page = page.order_by(notes.c.id)
    page = page.limit(main.parameter("take")).offset(main.parameter("skip"))
    count = sa.select(sa.func.count()).select_from(notes).where(*conditions)
    return main.compile_statement(page, True), main.compile_statement(count, True)


def page_links(query: QueryParams, page: int, last: int) -> str:
    """Return links to other pages, as json-server has them."""
    parameters: dict[str, Any] = {name: query.getlist(name) for name in query}
    links = []
    pages = {"first": 1, "prev": page - 1, "next": page + 1, "last": last}
    for relation, number in pages.items():
        if 1 <= number <= last:
            target = urlencode({**parameters, "_page": number}, doseq=True)
            links.append(f'<?{target}>; rel="{relation}"')
    return ", ".join(links)


class ListRoute(main.LeanRoute):
    """The route of the list, but for queries that are the core's."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Tell whether a request is for this route."""
        match, parameters = super().matches(scope)
        if match is Match.FULL and CORE_NAMES & QueryParams(scope["query_string"]).keys():
            match = Match.NONE
        return match, parameters


async def read_notes(request: Request, if_none_match: ETags = ()) -> Answer:
    """Return the notes that a query asks for, and how many there are on all pages."""
    values = read_values(request.query_params)
    skip, take = read_range(values)
    filters = frozenset(FILTERS.keys() & values.keys())
    page, count = list_statements(read_sorters(values), filters)
    rows = await main.run(page, {**values, "skip": skip, "take": take})
    counted = await main.run(count, values)
    total = counted[0][0]
    headers = {"X-Total-Count": str(total)}
    if "_page" in values and skip < total > take:
        last = ceil(total / take)
        headers["Link"] = page_links(request.query_params, values["_page"], last)
    items = main.to_notes(rows)
    return main.answer(items, if_none_match=if_none_match, headers=headers)


async def update_note(note_id: Id, note: NotePatch, if_match: ETags = ()) -> Answer:
    """Change the members of a note that are sent."""
    return main.answer(await main.write(note_id, note, if_match))


# Before the core's, as the first route that matches is taken.
app.router.routes[:0] = [
    ListRoute("/notes/", read_notes, response_model=list[Note], include_in_schema=False),
    main.LeanRoute(
        "/notes/{note_id}/", update_note, methods=["PUT"], include_in_schema=False
    ),
]
