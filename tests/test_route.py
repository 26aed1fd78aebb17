"""The route class: what it reads itself, what it leaves to FastAPI, and that both are the same."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import (
    APIRouter,
    BackgroundTasks,
    Body,
    Cookie,
    Depends,
    FastAPI,
    Form,
    Header,
    Query,
    Request,
)
from fastapi import Response as Answer
from fastapi.testclient import TestClient
from httpx2 import Response
from pydantic import BaseModel

import main
from tests.fixtures import ORIGIN, load_app, use_fastapis_handlers
from tests.servers import Postgres

JSON = {"Content-Type": "application/json"}
REQUESTS: list[tuple[str, str, Any, dict[str, str]]] = [
    ("POST", "/notes/", b'{"text": "a"}', JSON),
    ("POST", "/notes", b'{"text": "b", "completed": true, "x": 1}', JSON),
    ("POST", "/notes/", b'{"text": 5, "completed": 0}', JSON),
    ("POST", "/notes/", b'{"text": "a\\u0000", "completed": null}', JSON),
    ("POST", "/notes/", b'{"text": "\\ud800"}', JSON),
    ("POST", "/notes/", b"[1]", JSON),
    ("POST", "/notes/", b"null", JSON),
    ("POST", "/notes/", b"", JSON),
    ("POST", "/notes/", b"{", JSON),
    ("POST", "/notes/", b'"\xff"', JSON),
    ("POST", "/notes/", '{"text": "utf-16"}'.encode("utf-16"), JSON),
    ("POST", "/notes/", b"[" * 100_000, JSON),
    ("POST", "/notes/", b"9" * 5_000, JSON),
    ("POST", "/notes/", b"{}", {"Content-Type": "text/plain"}),
    ("POST", "/notes/", b"{}", {**JSON, "Content-Encoding": "gzip"}),
    ("POST", "/notes/", b"x" * 1_048_577, JSON),
    ("PUT", "/notes/1/", b'{"text": "c"}', {**JSON, "If-Match": "*"}),
    ("PUT", "/notes/1/", b'{"text": "c"}', {**JSON, "If-Match": '"x"'}),
    ("PUT", "/notes/0/", b'{"text": 5}', JSON),
    ("PATCH", "/notes/1/", b"{}", {"Content-Type": "application/merge-patch+json"}),
    ("PATCH", "/notes/1/", b'{"text": null}', JSON),
    ("GET", "/notes/", None, {}),
    ("GET", "/notes/?take=1&count=true", None, {"If-None-Match": "*"}),
    ("GET", "/notes/?take=1&take=2&sort=-text&completed=false&q=A", None, {}),
    ("GET", "/notes/?id=1&id=2&id=1", None, {}),
    (
        "GET",
        "/notes/?id=1&id=x&skip=-1&take=1.0&sort=up&after=0&limit=5&limit=6",
        None,
        {},
    ),
    ("GET", "/notes/?sort=text&after=1", None, {}),
    ("GET", "/notes/?", None, {}),
    ("GET", "/notes/?q", None, {}),
    ("GET", "/notes/1/", None, {"If-None-Match": 'W/"x"'}),
    ("GET", "/notes/1_0/", None, {}),
    ("GET", "/notes/99/", None, {}),
    ("HEAD", "/notes/1/", None, {}),
    ("DELETE", "/notes/1/", None, {"If-Match": '"x"'}),
    ("DELETE", "/notes/1/", None, {}),
    ("TRACE", "/notes/1/", None, {}),
    ("GET", "/livez", None, {}),
    ("GET", "/readyz", None, {}),
    ("GET", "/", None, {}),
]


def test_answers_are_those_of_fastapis_handler(
    tmp_path: Path, postgres: Postgres
) -> None:
    """With the class and without it every answer is the same, on both databases."""
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("with", "without")]
    urls += [postgres.create_database(f"route {name}") for name in ("with", "without")]
    with ExitStack() as stack:
        clients = []
        for number, url in enumerate(urls):
            app = load_app(DATABASE_URL=url)
            if number % 2:
                use_fastapis_handlers(app)
            client = TestClient(app, headers={"Origin": ORIGIN}, follow_redirects=False)
            clients.append(stack.enter_context(client))
        for method, path, content, headers in REQUESTS:
            answers = [
                client.request(method, path, content=content, headers=headers)
                for client in clients
            ]
            results = [
                (answer.status_code, answer.headers, answer.content) for answer in answers
            ]
            assert results == [results[0]] * 4, f"{method} {path} {content!r:.40}"


class Parameters(BaseModel, frozen=True):
    """A model of a query, with a list."""

    name: str = "nobody"
    number: list[int] = []


class Item(BaseModel):
    """A body."""

    name: str


def get_dependency() -> str:
    """Return what a dependency gives."""
    return "dependency"


@pytest.fixture
def app() -> FastAPI:
    """An app of routes of the class only."""
    app = FastAPI(exception_handlers=dict(main.app.exception_handlers))
    app.router.route_class = main.Route
    return app


def ask(app: FastAPI, method: str, path: str, **options: Any) -> Response:
    """Return the answer of an app."""
    return TestClient(app).request(method, path, **options)


def is_plain(app: FastAPI) -> bool:
    """Tell whether the class reads for the newest route of an app."""
    route = app.routes[-1]
    assert isinstance(route, main.Route)
    return route.is_plain()


def test_a_plain_endpoint_is_read_by_the_class(app: FastAPI) -> None:
    """Path, query model, lists of headers, JSON body and request come to the endpoint."""

    @app.post("/plain/{number}/")
    async def plain(
        number: int,
        query: Annotated[Parameters, Query()],
        item: Item,
        x_tag: Annotated[list[str], Header(default_factory=list)],
        request: Request,
    ) -> Answer:
        return Answer(
            f"{number} {query.name} {query.number} {item.name} {x_tag} {request.method}"
        )

    headers = [("X-Tag", "a"), ("X-Tag", "b")]
    answer = ask(
        app,
        "POST",
        "/plain/7/?name=me&number=1&number=2",
        json={"name": "it"},
        headers=headers,
    )
    assert is_plain(app)
    assert answer.text == "7 me [1, 2] it ['a', 'b'] POST"


def test_a_route_without_a_docstring_works(app: FastAPI) -> None:
    """An endpoint needs no docstring, neither to answer nor to be documented."""

    @app.get("/bare/")
    async def bare() -> Answer:
        return Answer("bare")

    assert ask(app, "GET", "/bare/").text == "bare"
    assert "/bare/" in app.openapi()["paths"]


def get_parameters(name: str = "", words: Annotated[list[str], Query()] = []) -> str:  # noqa: B006
    """Return what a dependency reads of the query."""
    return f"{name} {words}"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("name=a", "a []"),
        ("name=a&name=b", 422),
        ("size=1&size=2", 422),
        ("name=a&words=b&words=c", "a ['b', 'c']"),
        ("other=1&other=2&name=a", "a []"),
    ],
)
def test_fastapis_handler_refuses_repeated_parameters_too(
    app: FastAPI, query: str, expected: str | int
) -> None:
    """Also of a dependency, a parameter that is no list is 422 where it is repeated."""

    @app.get("/dependency/")
    async def endpoint(
        parameters: Annotated[str, Depends(get_parameters)], size: int = 0
    ) -> Answer:
        return Answer(parameters)

    assert not is_plain(app)
    answer = ask(app, "GET", f"/dependency/?{query}")
    assert expected in (answer.status_code, answer.text)


def add_dependency(app: FastAPI) -> None:
    """Add an endpoint with a dependency."""

    @app.post("/other/")
    async def endpoint(value: Annotated[str, Depends(get_dependency)]) -> Answer:
        return Answer(value)


def add_cookie(app: FastAPI) -> None:
    """Add an endpoint with a cookie."""

    @app.post("/other/")
    async def endpoint(session: Annotated[str, Cookie()]) -> Answer:
        return Answer(session)


def add_two_bodies(app: FastAPI) -> None:
    """Add an endpoint with two bodies."""

    @app.post("/other/")
    async def endpoint(first: Item, second: Item) -> Answer:
        return Answer(first.name + second.name)


def add_embedded_body(app: FastAPI) -> None:
    """Add an endpoint whose body is a member of an object."""

    @app.post("/other/")
    async def endpoint(first: Annotated[Item, Body(embed=True)]) -> Answer:
        return Answer(first.name)


def add_optional_body(app: FastAPI) -> None:
    """Add an endpoint whose body may be left out."""

    @app.post("/other/")
    async def endpoint(item: Item | None = None) -> Answer:
        return Answer("none" if item is None else item.name)


def add_form(app: FastAPI) -> None:
    """Add an endpoint that reads a form."""

    @app.post("/other/")
    async def endpoint(name: Annotated[str, Form()]) -> Answer:
        return Answer(name)


def add_scalar_query(app: FastAPI) -> None:
    """Add an endpoint with a parameter of the query that is no model."""

    @app.post("/other/")
    async def endpoint(name: str = "default") -> Answer:
        return Answer(name)


def add_changeable_model(app: FastAPI) -> None:
    """Add an endpoint that changes the model of its query."""

    class Changeable(BaseModel):
        name: str

    @app.post("/other/")
    async def endpoint(query: Annotated[Changeable, Query()]) -> Answer:
        query.name += "!"
        return Answer(query.name)


def add_aliases(app: FastAPI) -> None:
    """Add an endpoint whose query has other names than its model's fields."""

    class Aliases(BaseModel):
        name: Annotated[str, Query(alias="n")] = "default"

    @app.post("/other/")
    async def endpoint(query: Annotated[Aliases, Query()]) -> Answer:
        return Answer(query.name)


def add_scalar_header(app: FastAPI) -> None:
    """Add an endpoint with a header that is no list."""

    @app.post("/other/")
    async def endpoint(x_number: Annotated[int, Header()]) -> Answer:
        return Answer(str(x_number))


def add_background_task(app: FastAPI) -> None:
    """Add an endpoint that is given background tasks."""

    @app.post("/other/")
    async def endpoint(tasks: BackgroundTasks) -> Answer:
        tasks.add_task(get_dependency)
        return Answer("tasks")


def add_response_parameter(app: FastAPI) -> None:
    """Add an endpoint that sets a header of the response that it is given."""

    @app.post("/other/")
    async def endpoint(response: Answer) -> dict[str, str]:
        response.headers["X-Set"] = "yes"
        return {"name": "dictionary"}


def add_returned_model(app: FastAPI) -> None:
    """Add an endpoint that returns no Response."""

    @app.post("/other/")
    async def endpoint() -> Item:
        return Item(name="model")


def add_function(app: FastAPI) -> None:
    """Add an endpoint that is no coroutine."""

    @app.post("/other/")
    def endpoint() -> Answer:
        return Answer("function")


@pytest.mark.parametrize(
    ("add", "options", "text"),
    [
        (add_dependency, {}, "dependency"),
        (add_cookie, {"headers": {"Cookie": "session=7"}}, "7"),
        (
            add_two_bodies,
            {"json": {"first": {"name": "a"}, "second": {"name": "b"}}},
            "ab",
        ),
        (add_embedded_body, {"json": {"first": {"name": "a"}}}, "a"),
        (add_optional_body, {"json": {"name": "a"}}, "a"),
        (add_form, {"data": {"name": "a"}}, "a"),
        (add_scalar_query, {"params": {"name": "a"}}, "a"),
        (add_changeable_model, {"params": {"name": "a"}}, "a!"),
        (add_aliases, {"params": {"n": "a"}}, "a"),
        (add_scalar_header, {"headers": {"X-Number": "7"}}, "7"),
        (add_background_task, {}, "tasks"),
        (add_response_parameter, {}, '{"name":"dictionary"}'),
        (add_returned_model, {}, '{"name":"model"}'),
        (add_function, {}, "function"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_any_other_endpoint_gets_fastapis_handler(
    app: FastAPI, add: Any, options: dict[str, Any], text: str
) -> None:
    """What the class does not know works as FastAPI has it, each time."""
    add(app)
    assert not is_plain(app)
    for _ in range(2):
        answer = ask(app, "POST", "/other/", **options)
        assert (answer.status_code, answer.text) == (200, text)


def test_dependencies_of_a_router_are_kept() -> None:
    """A route with the dependency of its router or its app gets FastAPI's handler."""
    calls = []
    app = FastAPI(dependencies=[Depends(lambda: calls.append("app"))])
    app.router.route_class = main.Route

    @app.get("/guarded/")
    async def endpoint() -> Answer:
        return Answer("guarded")

    assert ask(app, "GET", "/guarded/").text == "guarded"
    assert calls == ["app"]


def test_dependencies_of_an_included_router_are_kept(app: FastAPI) -> None:
    """A plain endpoint of a router that is included with a dependency has it, too."""
    calls = []
    router = APIRouter(route_class=main.Route)

    @router.get("/guarded/")
    async def endpoint() -> Answer:
        return Answer("guarded")

    dependency = Depends(lambda: calls.append("router"))
    app.include_router(router, prefix="/included", dependencies=[dependency])
    assert ask(app, "GET", "/included/guarded/").text == "guarded"
    assert calls == ["router"]
