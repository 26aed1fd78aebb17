"""The product inventory of examples/products.py, beside the notes and on the same terms."""

import json
from sqlite3 import IntegrityError
from typing import Any

import httpx2
import pytest
from psycopg.errors import CheckViolation

from tests.fixtures import connect, problem

APP = "examples.products:app"
JSON = {"Content-Type": "application/json"}
LAMP = {"name": "Lamp", "price": 9.99, "quantity": 100, "description": "brass"}


@pytest.fixture
def products(visitor: httpx2.Client, database: str) -> httpx2.Client:
    """A client, from another origin, of the service without a product."""
    with connect(database) as sql:
        sql("DELETE FROM products")
    return visitor


def create_product(client: httpx2.Client, **members: Any) -> dict[str, Any]:
    """Return a product that is made by POST."""
    response = client.post("/products", json=LAMP | members)
    assert response.status_code == 201
    product: dict[str, Any] = response.json()
    return product


def test_a_session_is_answered_word_for_word(products: httpx2.Client) -> None:
    """Create, read, put, patch, filter and delete answer the product as it then is.

    The 201 has the product's path and the tag that reading it gives.
    """
    created = products.post("/products/", json=LAMP)
    lamp, path = created.json(), created.headers["Location"].rstrip("/")
    assert lamp == {"id": lamp["id"], **LAMP}
    assert products.get("/products").json() == [lamp]
    read = products.get(created.headers["Location"])
    assert (read.json(), read.headers["ETag"]) == (lamp, created.headers["ETag"])
    tag = {"If-None-Match": created.headers["ETag"]}
    assert products.get(path, headers=tag).status_code == 304
    torch = {"name": "Torch", "price": 12.99, "quantity": 150}
    assert products.put(path, json=torch).json() == lamp | torch
    stock = {"quantity": 200}
    torch = lamp | torch | stock
    assert products.patch(f"{path}/stock", json=stock).json() == torch
    bounds = {"min_price": "5.00", "max_price": "15.00"}
    assert products.get("/products/filter/price", params=bounds).json() == [torch]
    message = "Product deleted successfully"
    assert products.delete(path).json() == {**torch, "message": message}
    assert problem(products.get(path)) == 404


@pytest.mark.parametrize("price", [0, 0.01, 0.1, 9.99, 1_000_000.01, 99_999_999.99, 15])
def test_a_price_comes_back_as_it_went_in(products: httpx2.Client, price: float) -> None:
    """A price is a number of JSON with at most two decimals, exactly the one that was sent."""
    assert create_product(products, price=price)["price"] == price
    bounds = {"min_price": price, "max_price": price}
    response = products.get("/products/filter/price", params=bounds)
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
    conditional = products.put(path, json={"price": 2}, headers={"If-Match": '"a"'})
    assert problem(conditional) == 412
    assert products.get(path).json() == product


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
    after = {"after": all_products[3]["id"]}
    assert products.get("/products", params=after).json() == all_products[4:]
    assert products.get("/products?max_price=1").json() == all_products[:2]


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
