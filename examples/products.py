"""A product inventory beside the notes: `uvicorn examples.products:app`.

It is the tutorial's second resource, with the pages, the statuses and the errors of notes.
"""

import sqlite3
from decimal import Decimal
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import Query, Request, Response
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema
from typing_extensions import TypedDict  # which pydantic needs before Python 3.12

import main
from main import Id, IfMatch, IfNoneMatch, answer, answer_list, app

sqlite3.register_adapter(Decimal, str)  # the column's affinity makes it a number again
main.OPENAPI_TAGS.append({"name": "products", "description": "What is in store."})

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


def check_number(value: Any) -> Any:
    """Return a number of JSON; pydantic itself would take a text as well."""
    if type(value) not in (int, float):
        raise ValueError("must be a number")
    return value


SCHEMA = WithJsonSchema({"type": "number", "minimum": 0, "maximum": 99_999_999.99})
Cents = Annotated[Decimal, Field(ge=0, max_digits=10, decimal_places=2), SCHEMA]
Price = Annotated[Cents, BeforeValidator(check_number), SCHEMA]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
Description = Annotated[str, Field(max_length=255, pattern=r"^[^\x00]*$")]
Quantity = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]


class ProductIn(BaseModel):
    """A product to be stored."""

    name: Name
    price: Price
    quantity: Quantity
    description: Description | None = main.optional()


class ProductPatch(TypedDict, total=False):
    """What changes in a product; all else stays."""

    name: Name
    price: Price
    quantity: Quantity
    description: Description | None


class Stock(TypedDict):
    """How many of a product there are."""

    quantity: Quantity


class Product(ProductIn):
    """A product as it is stored."""

    id: Id


class DeletedProduct(Product):
    """The product that was deleted."""

    message: str


class ProductQuery(main.PageQuery):
    """Which products are asked for."""

    min_price: Cents = main.optional(description="The lowest price.")
    max_price: Cents = main.optional(description="The highest price.")


class ProductStore(main.Store):
    """The products, whose price is a number of JSON."""

    def to_items(self, rows: Any) -> list[dict[str, Any]]:
        """Return rows as they are shown."""
        items = super().to_items(rows)
        return [{**item, "price": float(item["price"])} for item in items]


product_store = ProductStore(
    "product",
    products,
    min_price=products.c.price >= main.parameter("min_price", sa.Numeric),
    max_price=products.c.price <= main.parameter("max_price", sa.Numeric),
)


@app.post("/products/", status_code=201, response_model=Product, responses=main.CREATED)
async def create_product(product: ProductIn, request: Request) -> Response:
    """Store a new product."""
    return main.answer_created(await product_store.create(vars(product)), request)


@app.get("/products/", response_model=list[Product], responses=main.LISTED)
@app.get("/products/filter/price/", include_in_schema=False)
async def read_products(
    query: Annotated[ProductQuery, Query()], request: Request, if_none_match: IfNoneMatch
) -> Response:
    """Return a page of the products, oldest first."""
    page = await product_store.read_page(query)
    return answer_list(page, query, request, if_none_match)


@app.get("/products/{product_id}/", response_model=Product)
async def read_product(product_id: Id, if_none_match: IfNoneMatch) -> Response:
    """Return a product."""
    item, tag = await product_store.read(product_id)
    return answer(item, tag, if_none_match=if_none_match)


@app.put("/products/{product_id}/", response_model=Product)
async def update_product(
    product_id: Id, product: ProductPatch, if_match: IfMatch
) -> Response:
    """Change what is given of a product."""
    return answer(*await product_store.update(product_id, product, if_match))


@app.patch("/products/{product_id}/stock/", response_model=Product)
async def update_stock(product_id: Id, stock: Stock, if_match: IfMatch) -> Response:
    """Set how many of a product there are."""
    return answer(*await product_store.update(product_id, stock, if_match))


@app.delete("/products/{product_id}/", response_model=DeletedProduct)
async def delete_product(product_id: Id, if_match: IfMatch) -> Response:
    """Delete a product and return it."""
    item, tag = await product_store.delete(product_id, if_match)
    return answer({**item, "message": "Product deleted successfully"}, tag)
