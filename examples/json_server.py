"""json-server's queries for every list of the app: `uvicorn examples.json_server:app`.

In production the Procfile's line names `examples.json_server:app`. docs/json-server.md
tells what json-server answers differently.
"""

import json
import re
from functools import cache
from math import ceil
from typing import Any, NamedTuple
from urllib.parse import urlencode

from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders, QueryParams
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import main
from main import app

PAGING = {
    "_page": "skip",
    "_start": "skip",
    "_end": "take",
    "_limit": "take",
    "_per_page": "take",
}
ORDER = {"_sort": "sort", "_order": "_order"}
FAR = 10**15  # JavaScript's whole numbers are exact up to there


# Lists
class Listing(NamedTuple):
    """What a list takes."""

    schemas: dict[str, Any]  # of its own parameters
    names: dict[str, str]  # that a client may use, each for a parameter
    most: int  # items that one answer may hold; 0 where there are no pages


def drop_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without its choice of null."""
    for choice in schema.get("anyOf", []):
        if choice.get("type") != "null":
            return dict(choice)
    return schema


def read_listing(operation: dict[str, Any], columns: dict[str, Any]) -> Listing:
    """Return what a list takes, by its operation and its items' properties."""
    schemas = {}
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "query":
            schemas[parameter["name"]] = drop_null(parameter["schema"])
    names: dict[str, str] = {}
    most = schemas.get("take", {}).get("maximum", 0)
    if most and "skip" in schemas:
        names |= PAGING
    if "sort" in schemas:
        names |= ORDER
    texts = []
    for name, schema in columns.items():
        if drop_null(schema).get("type") == "string":
            texts.append(name)
    if "q" in schemas and len(texts) == 1:  # so this is what q searches
        names[f"{texts[0]}_like"] = "q"
    return Listing(schemas, names | {name: name for name in schemas}, most)


@cache
def read_listings() -> dict[re.Pattern[str], Listing]:
    """Return what all lists take, by path: a list is where GET answers an array."""
    document = app.openapi()
    routes = [route for route in app.routes if isinstance(route, APIRoute)]
    listings = {}
    for route in routes:
        if "GET" not in (route.methods or []):
            continue
        operation = document["paths"].get(route.path_format, {}).get("get", {})
        success = operation.get("responses", {}).get("200", {})
        media = success.get("content", {}).get("application/json", {})
        schema = media.get("schema", {})
        if schema.get("type") == "array":
            item = schema["items"]
            if "$ref" in item:
                name = item["$ref"].rpartition("/")[2]
                item = document["components"]["schemas"][name]
            columns = item.get("properties", {})
            listings[route.endpoint] = read_listing(operation, columns)
    # By endpoint, as one that is documented may have a second path that is not.
    return {
        route.path_regex: listings[route.endpoint]
        for route in routes
        if route.endpoint in listings
    }


def find_listing(scope: Scope) -> Listing | None:
    """Return what the list of a request takes, if it is for a list."""
    if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        for pattern, listing in read_listings().items():
            if pattern.match(path):
                return listing
    return None


# Queries
class Translation:
    """What a query asks for in a list's own parameters, or what is wrong with it."""

    def __init__(self, query: QueryParams, listing: Listing) -> None:
        self.query = query
        self.listing = listing
        self.values: dict[str, list[Any]] = {}
        self.sources: dict[str, str] = {}  # what the client calls each of them
        self.errors: dict[str, str] = {}
        self.page = 0
        self.size = 10  # json-server's default
        self.read_names()
        if not self.errors:
            self.read_paging()
            self.read_order()

    def read_names(self) -> None:
        """Collect the values by the list's own names, one for each but ids."""
        for name, value in self.query.multi_items():
            own = self.listing.names.get(name, name)
            source = self.sources.setdefault(own, name)
            if name not in self.listing.names:
                self.errors[name] = "is not a parameter of this list"
            elif own in self.values and not self.is_repeatable(own):
                self.errors[name] = f"is one too many beside {source}"
            self.values.setdefault(own, []).append(value)
        if "_page" in self.query and {"_end", "after"} & self.query.keys():
            self.errors["_page"] = "goes with _limit or _per_page only"
        for name, other in {"_per_page": "_page", "_order": "_sort"}.items():
            if name in self.query and other not in self.query:
                self.errors[name] = f"goes with {other} only"

    def is_repeatable(self, own: str) -> bool:
        """Tell whether a parameter takes several values."""
        return bool(self.listing.schemas.get(own, {}).get("type") == "array")

    def read_paging(self) -> None:
        """Ask for the total, and for a page, a slice or as much as there may be."""
        most = self.listing.most
        if "count" in self.listing.schemas:
            self.values.setdefault("count", ["true"])
        if "_page" in self.query:
            self.page = self.read_number("_page", 1, FAR)
            if "take" in self.sources:
                self.size = self.read_number(self.sources["take"], 1, most)
            self.values["skip"] = [(self.page - 1) * self.size]
            self.values["take"] = [self.size]
        elif "_end" in self.query:
            size = self.read_number("_end", 0, FAR)
            if "skip" in self.sources:
                size -= self.read_number(self.sources["skip"], 0, FAR)
            if size > most:
                self.errors["_end"] = f"must be at most {most} after _start"
            self.values["take"] = [max(size, 0)]
        elif most and not {"skip", "take", "after", "_limit"} & self.query.keys():
            self.values["take"] = [most]

    def read_order(self) -> None:
        """Put the direction before the column."""
        order = self.values.pop("_order", ["asc"])[0].lower()
        if "," in self.query.get("_sort", ""):
            self.errors["_sort"] = "must be one column"
        elif order not in ("asc", "desc"):
            self.errors["_order"] = "must be asc or desc"
        elif "_order" in self.query and self.query["_sort"].startswith("-"):
            self.errors["_order"] = "does not go with a _sort that begins with -"
        elif order == "desc":
            self.values["sort"] = ["-" + self.query["_sort"]]

    def read_number(self, name: str, least: int, most: int) -> int:
        """Return a parameter's number; note an error if it is out of its bounds."""
        text = self.query[name]
        if re.fullmatch("[0-9]{1,16}", text) and least <= int(text) <= most:
            return int(text)
        self.errors[name] = f"must be a whole number from {least} to {most}"
        return least

    def link(self, headers: MutableHeaders) -> None:
        """Link a page as json-server does: not at all where one page holds all."""
        if not self.page or "X-Total-Count" not in headers:
            return
        last = ceil(int(headers["X-Total-Count"]) / self.size)
        pages = {"first": 1, "prev": self.page - 1, "next": self.page + 1, "last": last}
        others = {name: self.query.getlist(name) for name in self.query}
        links = []
        for relation, page in pages.items():
            if 1 <= page <= last:
                target = urlencode({**others, "_page": page}, doseq=True)
                links.append(f'<?{target}>; rel="{relation}"')
        if self.page <= last > 1:
            headers["Link"] = ", ".join(links)

    def rename(self, problem: dict[str, Any]) -> Response:
        """Return a 422 of the list's with the names that the client sent."""
        errors = problem.get("errors", {})
        if not errors:
            return main.problem(422, problem["detail"])
        renamed = {}
        for name, reason in errors.items():
            renamed[self.sources.get(name, name)] = reason
        return refuse(renamed, self.listing)


def refuse(errors: dict[str, str], listing: Listing) -> Response:
    """Return a 422 that names what is wrong, and what there is if a name is unknown."""
    detail = "; ".join(f"{name}: {reason}" for name, reason in errors.items())
    if not errors.keys() <= listing.names.keys():
        detail += f". The list takes {', '.join(listing.names)}"
    return main.problem(422, f"{detail}.", errors=errors)


class Translator:
    """ASGI middleware that asks lists in their own words, and answers in json-server's."""

    def __init__(self, inner: ASGIApp) -> None:
        self.inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Translate the query, and then Link or the names in a 422."""
        listing = find_listing(scope)
        if listing is None:
            await self.inner(scope, receive, send)
            return
        translation = Translation(QueryParams(scope["query_string"]), listing)
        if translation.errors:
            await refuse(translation.errors, listing)(scope, receive, send)
            return
        status = 200
        body = b""

        async def answer(message: Message) -> None:
            nonlocal status, body
            if message["type"] == "http.response.start":
                status = message["status"]
                translation.link(MutableHeaders(scope=message))
            if status != 422:
                await send(message)
            elif message["type"] == "http.response.body":
                body += message.get("body", b"")
                if not message.get("more_body"):
                    await translation.rename(json.loads(body))(scope, receive, send)

        query = urlencode(translation.values, doseq=True).encode()
        await self.inner({**scope, "query_string": query}, receive, answer)


# Innermost: CORS, keys, HEAD and paths without their last slash are seen to before it.
app.user_middleware.append(Middleware(Translator))
