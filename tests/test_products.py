"""The product inventory of examples/products.py, beside the notes and on the same terms."""

import json
from collections.abc import Iterator
from sqlite3 import IntegrityError
from typing import Any

import httpx2
import pytest
from psycopg.errors import CheckViolation

from tests.fixtures import ORIGIN, connect, problem
from tests.servers import Service

JSON = {"Content-Type": "application/json"}
LAMP = {"name": "Lamp", "price": 9.99, "quantity": 100, "description": "brass"}


@pytest.fixture(scope="module")
def client(
    database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx2.Client]:
    """A client, from another origin, of both resources."""
    log = tmp_path_factory.mktemp("log")
    with (
        Service.gunicorn(
            log, app="examples.products:app", DATABASE_URL=database
        ) as service,
        httpx2.Client(base_url=service.url, headers={"Origin": ORIGIN}) as http,
    ):
        yield http


@pytest.fixture
def products(client: httpx2.Client) -> httpx2.Client:
    """A client of the service without a product."""
    while page := client.get("/products?take=100").json():
        for product in page:
            client.delete(f"/products/{product['id']}")
    return client


def create_product(client: httpx2.Client, **members: Any) -> dict[str, Any]:
    """Return a product that is made by POST."""
    response = client.post("/products", json=LAMP | members)
    assert response.status_code == 201
    product: dict[str, Any] = response.json()
    return product


def test_a_session_is_answered_word_for_word(products: httpx2.Client) -> None:
    """Create, read, put, patch, filter and delete answer the product as it then is."""
    lamp = create_product(products)
    assert lamp == {"id": lamp["id"], **LAMP}
    path = f"/products/{lamp['id']}"
    assert products.get("/products").json() == [lamp]
    assert products.get(path).json() == lamp
    torch = {**lamp, "name": "Torch", "price": 12.99, "quantity": 150}
    body = {"name": "Torch", "price": 12.99, "quantity": 150}
    assert products.put(path, json=body).json() == torch
    torch_in_stock = {**torch, "quantity": 200}
    assert (
        products.patch(f"{path}/stock", json={"quantity": 200}).json() == torch_in_stock
    )
    bounds = {"min_price": "5.00", "max_price": "15.00"}
    assert products.get("/products/filter/price", params=bounds).json() == [
        torch_in_stock
    ]
    message = "Product deleted successfully"
    assert products.delete(path).json() == {**torch_in_stock, "message": message}
    assert problem(products.get(path)) == 404


def test_location_leads_to_the_product(products: httpx2.Client) -> None:
    """The 201 has the product's path and the tag that reading it gives."""
    post_response = products.post("/products/", json=LAMP)
    get_response = products.get(post_response.headers["Location"])
    assert get_response.json() == post_response.json()
    assert get_response.headers["ETag"] == post_response.headers["ETag"]
    second_response = products.get(
        post_response.headers["Location"],
        headers={"If-None-Match": post_response.headers["ETag"]},
    )
    assert (second_response.status_code, second_response.content) == (304, b"")


@pytest.mark.parametrize("price", [0, 0.01, 0.1, 9.99, 1_000_000.01, 99_999_999.99, 15])
def test_a_price_comes_back_as_it_went_in(products: httpx2.Client, price: float) -> None:
    """A price is a number of JSON with at most two decimals, exactly the one that was sent."""
    assert create_product(products, price=price)["price"] == price
    response = products.get(
        "/products/filter/price", params={"min_price": price, "max_price": price}
    )
    assert [product["price"] for product in response.json()] == [price]


WRONG: dict[str, list[Any]] = {
    "name": ["", "x" * 101, "a\0b"],
    "price": [-0.01, 9.999, 10_000_000.001, 100_000_000, "9.99", True, float("nan")],
    "quantity": [-1, 2**31, 1.5, True],
    "description": ["x" * 256, 1],
}


@pytest.mark.parametrize("member", WRONG)
def test_a_wrong_member_is_named_and_nothing_is_stored(
    products: httpx2.Client, member: str
) -> None:
    """422 blames the member, and the list stays as it was."""
    lamp = create_product(products)
    for value in WRONG[member]:
        body = json.dumps(LAMP | {member: value})  # httpx would not send nan
        for method, path in (("POST", "/products"), ("PUT", f"/products/{lamp['id']}")):
            answer = products.request(method, path, content=body, headers=JSON)
            assert problem(answer, member) == 422
    assert products.get("/products").json() == [lamp]


def test_put_keeps_what_is_left_out(products: httpx2.Client) -> None:
    """PUT changes what it names; a description becomes null only when null is sent."""
    lamp = create_product(products)
    path = f"/products/{lamp['id']}"
    assert products.put(path, json={}).json() == lamp
    assert products.put(path, json={"price": 1}).json() == {**lamp, "price": 1}
    product = products.put(path, json={"description": None}).json()
    assert product == {**lamp, "price": 1, "description": None}


def test_a_missing_product_is_named(products: httpx2.Client) -> None:
    """404 for every verb names the id."""
    path = f"/products/{create_product(products)['id']}"
    products.delete(path)
    for answer in (
        products.get(path),
        products.put(path, json={"price": 1}),
        products.patch(f"{path}/stock", json={"quantity": 1}),
        products.delete(path),
    ):
        assert problem(answer) == 404
        detail = f"There is no product with id {path.rpartition('/')[2]}."
        assert answer.json()["detail"] == detail


def test_pages_follow_each_other_by_link(products: httpx2.Client) -> None:
    """Walking by Link sees each product once; other parameters are kept."""
    all_products = [create_product(products, price=number) for number in range(5)]
    page = products.get("/products/filter/price?min_price=1&take=2")
    products_on_pages = page.json()
    while "next" in page.links:
        page = products.get(page.url.join(page.links["next"]["url"]))
        products_on_pages += page.json()
    assert products_on_pages == all_products[1:]
    assert products.get("/products?skip=3&take=2").json() == all_products[3:]
    assert (
        products.get("/products", params={"after": all_products[3]["id"]}).json()
        == all_products[4:]
    )
    assert products.get("/products", params={"max_price": 1}).json() == all_products[:2]


def test_a_bound_is_named(products: httpx2.Client) -> None:
    """A parameter out of its bounds is 422."""
    for query in ("take=1001", "skip=-1", "after=-1", "min_price=-1", "max_price=0.001"):
        answer = products.get(f"/products/filter/price?{query}")
        assert problem(answer, query.partition("=")[0]) == 422


def test_the_table_itself_refuses_less_than_nothing(
    products: httpx2.Client, database: str
) -> None:
    """A negative price or quantity meets a CHECK, past the service too."""
    create_product(products)
    with connect(database) as sql:
        for column in ("price", "quantity"):
            with pytest.raises((IntegrityError, CheckViolation)):
                sql(f"UPDATE products SET {column} = -1")
