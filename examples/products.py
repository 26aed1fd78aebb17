"""A product inventory beside the notes: `uvicorn examples.products:app` serves both.

What is added to main's `app` and `metadata` has its errors, limits, keys and OpenAPI, too.
"""

import sqlite3
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

import sqlalchemy as sa
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema
from starlette.exceptions import HTTPException
from typing_extensions import NotRequired, TypedDict  # noqa: UP035  # 3.11's do not go together

import main
from main import Id, app, coalesce, compiled, parameter

sqlite3.register_adapter(Decimal, str)  # the column's NUMERIC affinity makes it a number again

# Table
products = sa.Table(
    "products",
    main.metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("price", sa.Numeric(10, 2), sa.CheckConstraint("price >= 0"), nullable=False),
    sa.Column("quantity", sa.Integer, sa.CheckConstraint("quantity >= 0"), nullable=False),
    sa.Column("description", sa.String(255)),
    sqlite_autoincrement=True,
)

# Models
MOST = Decimal("99999999.99")  # the most that NUMERIC(10, 2) holds
PRICE = WithJsonSchema({"type": "number", "minimum": 0, "maximum": float(MOST)})
Cents = Annotated[Decimal, Field(ge=0, le=MOST, decimal_places=2), PRICE]
# In JSON a price is a number: pydantic itself would take text and booleans as well.
Number = BeforeValidator(lambda given: given if type(given) in (int, float) else None)
Price = Annotated[Cents, Number, PRICE]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
Words = Annotated[str, Field(max_length=255, pattern=r"^[^\x00]*$")]
Quantity = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]
Stock = TypedDict("Stock", {"quantity": Quantity})
Product = TypedDict(
    "Product",
    {"id": int, "name": str, "price": Price, "quantity": int, "description": str | None},
)
ProductIn = TypedDict(
    "ProductIn",
    {"name": Name, "price": Price, "quantity": Quantity, "description": NotRequired[Words | None]},
)
ProductUpdate = TypedDict(
    "ProductUpdate",
    {"name": Name, "price": Price, "quantity": Quantity, "description": Words | None},
    total=False,
)


class ProductPage(BaseModel):
    """Which part of a list is asked for."""

    skip: main.Whole = 0
    take: main.Take = 20
    after: Id = main.Absent
    sort: Literal["id"] = "id"
    count: ClassVar = False  # no total is given
    min_price: Cents = Decimal(0)
    max_price: Cents = MOST


# Queries
columns = products.c
this = columns.id == parameter("id")
given = {column.name: parameter(column.name, type_=column.type) for column in columns[1:]}
kept: Any = {name: coalesce(value, columns[name]) for name, value in given.items()}
described = parameter("described", type_=sa.Boolean)  # as a description may become NULL
kept["description"] = sa.case((described, given["description"]), else_=columns.description)
low, high = (parameter(name, type_=columns.price.type) for name in ("min_price", "max_price"))
wanted = columns.price.between(low, high) & (columns.id > coalesce(parameter("after"), 0))
page = sa.select(*columns).where(wanted).order_by(columns.id).limit(parameter("take"))
LIST = compiled(page.offset(parameter("skip")))
CREATE = compiled(sa.insert(products).values(given).returning(*columns))
READ = compiled(sa.select(*columns).where(this))
UPDATE = compiled(sa.update(products).values(kept).where(this).returning(*columns))
DELETE = compiled(sa.delete(products).where(this).returning(*columns))


def as_product(row: Sequence[Any]) -> dict[str, Any]:
    """Return a row as a product: its price a number of JSON, with two decimals at most."""
    product = dict(zip(columns.keys(), row, strict=True))
    return {**product, "price": float(product["price"])}


async def one(statement: main.Statement, product_id: int, **given: Any) -> dict[str, Any]:
    """Return the product that a statement finds, or answer 404."""
    if rows := await main.run(statement, id=product_id, **given):
        return as_product(rows[0])
    raise HTTPException(404, f"There is no product with id {product_id}.")


# Routes
STORES: Any = {"response_model": Product, "max_body_size": main.MAX_BODY_BYTES}


@app.post("/products/", status_code=201, **STORES)
async def create_product(product: ProductIn) -> Response:
    """Store a new product; 400, 413 or 415 when the body is none."""
    created = as_product((await main.run(CREATE, **product))[0])
    return main.answer(created, 201, Location=f"/products/{created['id']}/")


@app.get("/products/filter/price/", response_model=list[Product])
@app.get("/products/", response_model=list[Product])
async def read_products(request: Request) -> Response:
    """Return a page of the products, oldest first; 304 when it is known."""
    page = ProductPage.model_validate(dict(request.query_params))
    if page.min_price > page.max_price:
        wrong = {"loc": ("min_price",), "type": "order", "msg": "is above max_price"}
        raise RequestValidationError([wrong])
    rows = await main.run(LIST, **{**dict(page), "take": page.take + 1})
    items = [as_product(row) for row in rows]
    return main.answer(items[: page.take], 200, request, **main.link(items, page, request))


@app.get("/products/{product_id}/", response_model=Product)
async def read_product(product_id: Id, request: Request) -> Response:
    """Return a product; 404 when there is none, 304 when it is known."""
    return main.answer(await one(READ, product_id), 200, request)


@app.put("/products/{product_id}/", **STORES)
async def update_product(product_id: Id, product: ProductUpdate) -> Response:
    """Replace what is given of a product; 404, 400, 413 or 415."""
    described = "description" in product
    return main.answer(await one(UPDATE, product_id, described=described, **product))


@app.patch("/products/{product_id}/stock/", **STORES)
async def update_stock(product_id: Id, stock: Stock) -> Response:
    """Set how many of a product there are; 404, 400, 413 or 415."""
    return main.answer(await one(UPDATE, product_id, described=False, **stock))


@app.delete("/products/{product_id}/", response_model=Product)
async def delete_product(product_id: Id) -> Response:
    """Delete a product and return it; 404 when there is none."""
    deleted = await one(DELETE, product_id)
    return main.answer({**deleted, "message": "Product deleted successfully"})
