"""A product inventory beside the notes: `uvicorn examples.products:app`.

It is the tutorial's second resource, under the tutorial's paths, with these differences: a
list is ordered by id and bounded (`skip`, `take`, `after`; a Link leads to the next page),
what is out of its type or bounds is 422, a missing product is 404 for every call, POST is 201
with a Location, and tags, errors and keys are those of the notes, but without If-Match.
"""

from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any
from urllib.parse import urlencode

import sqlalchemy as sa
from fastapi import Query, Request
from pydantic import AfterValidator, BaseModel, Field, TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from typing_extensions import TypedDict  # which pydantic needs before Python 3.12

import main
from main import Answer, ETags, Id, answer, app, parameter

products = sa.Table(
    "products",
    main.metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("price", sa.Numeric(10, 2), nullable=False),
    sa.Column("quantity", sa.Integer, nullable=False),
    sa.Column("description", sa.String(255)),
    sa.CheckConstraint("price >= 0 AND quantity >= 0"),
    sqlite_autoincrement=True,
)


def check_cents(price: float) -> float:
    """Refuse a price that the table would round."""
    if round(price, 2) != price:
        raise ValueError("must have at most two decimals")
    return price


Price = Annotated[float, Field(ge=0, le=99_999_999.99), AfterValidator(check_cents)]
Number = Annotated[Price, Field(strict=True)]  # pydantic would take a text as well
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
Description = Annotated[str, Field(max_length=255, pattern=r"^[^\x00]*$")]
Quantity = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]


class ProductIn(BaseModel):
    """A product to be stored."""

    name: Name
    price: Number
    quantity: Quantity
    description: Description | None = None


class ProductPatch(TypedDict, total=False):
    """What changes in a product; all else stays."""

    name: Name
    price: Number
    quantity: Quantity
    description: Description | None


class Stock(TypedDict):
    """How many of a product there are."""

    quantity: Quantity


class Product(TypedDict):
    """A product as it is stored."""

    id: Id
    name: str
    price: float
    quantity: int
    description: str | None


class DeletedProduct(Product):
    """The product that was deleted."""

    message: str


class ProductQuery(BaseModel, extra="forbid"):
    """Which products are asked for."""

    skip: int = Field(0, ge=0, le=2**31 - 1, description="How many to leave out first.")
    take: int = Field(20, ge=0, le=1_000, description="At most this many.")
    after: int = Field(0, ge=0, le=main.MAX_ID, description="The id to begin after.")
    min_price: Price = Field(0, description="The lowest price.")
    max_price: Price = Field(99_999_999.99, description="The highest price.")


PRODUCTS = TypeAdapter(list[Product])
VALUES = {name: parameter(name, products.c[name].type) for name in ProductIn.model_fields}
CREATE = main.compile_statement(sa.insert(products).values(VALUES).returning(products))
THIS = products.c.id == parameter("id")
READ = main.compile_statement(sa.select(products).where(THIS))
DELETE = main.compile_statement(sa.delete(products).where(THIS).returning(products))
price = products.c.price
page = sa.select(products).where(
    products.c.id > parameter("after"),
    price.between(parameter("min_price", price.type), parameter("max_price", price.type)),
)
page = page.order_by(products.c.id).limit(parameter("take")).offset(parameter("skip"))
PAGE = main.compile_statement(page, is_scan=True)


@cache
def update_statement(names: frozenset[str]) -> main.Statement:
    """Return the statement that changes columns of a product."""
    # {}: the id to itself, as UPDATE sets at least one column.
    values = {name: VALUES[name] for name in names} or {"id": products.c.id}
    query = sa.update(products).values(values).where(THIS)
    return main.compile_statement(query.returning(products))


def to_products(rows: Sequence[Any]) -> list[Product]:
    """Return rows as they are shown; 503 if somebody has stored what is no product."""
    items = [dict(zip(products.c.keys(), row, strict=True)) for row in rows]
    try:
        return PRODUCTS.validate_python(items)
    except ValidationError:
        raise HTTPException(503, "A stored product cannot be shown.") from None


async def run_for(
    product_id: int, statement: main.Statement, if_match: ETags = (), **values: Any
) -> Product:
    """Return the product that a statement finds by its id; 404 if it is missing."""
    if if_match:
        raise HTTPException(412, "Products take no If-Match; nothing was done.")
    rows = await main.run(statement, {**values, "id": product_id})
    if not rows:
        raise HTTPException(404, f"There is no product with id {product_id}.")
    return to_products(rows)[0]


@app.post("/products/", status_code=201, response_model=Product)
async def create_product(product: ProductIn, request: Request) -> Answer:
    """Store a new product."""
    created = to_products(await main.run(CREATE, vars(product)))[0]
    location = f"{request.scope['root_path']}/products/{created['id']}/"
    return answer(created, 201, headers={"Location": location})


@app.get("/products/", response_model=list[Product])
@app.get("/products/filter/price/", include_in_schema=False)
async def read_products(
    query: Annotated[ProductQuery, Query()], request: Request, if_none_match: ETags = ()
) -> Answer:
    """Return a page of the products, oldest first."""
    # One too many tells that another page follows.
    rows = await main.run(PAGE, {**vars(query), "take": query.take + 1})
    items = to_products(rows[: query.take])
    headers = {}
    if 0 < query.take < len(rows):
        parameters = {**request.query_params, "after": items[-1]["id"], "skip": 0}
        headers["Link"] = f'<?{urlencode(parameters)}>; rel="next"'
    return answer(items, if_none_match=if_none_match, headers=headers)


@app.get("/products/{product_id}/", response_model=Product)
async def read_product(product_id: Id, if_none_match: ETags = ()) -> Answer:
    """Return a product."""
    return answer(await run_for(product_id, READ), if_none_match=if_none_match)


@app.put("/products/{product_id}/", response_model=Product)
async def update_product(
    product_id: Id, product: ProductPatch, if_match: ETags = ()
) -> Answer:
    """Change what is given of a product."""
    statement = update_statement(frozenset(product))
    return answer(await run_for(product_id, statement, if_match, **product))


@app.patch("/products/{product_id}/stock/", response_model=Product)
async def update_stock(product_id: Id, stock: Stock, if_match: ETags = ()) -> Answer:
    """Set how many of a product there are."""
    statement = update_statement(frozenset(stock))
    return answer(await run_for(product_id, statement, if_match, **stock))


@app.delete("/products/{product_id}/", response_model=DeletedProduct)
async def delete_product(product_id: Id, if_match: ETags = ()) -> Answer:
    """Delete a product and return it."""
    product = await run_for(product_id, DELETE, if_match)
    return answer({**product, "message": "Product deleted successfully"})
