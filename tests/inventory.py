"""Notes, products, and lists that no extra has, all of them with json-server's queries."""

from typing import Annotated

from fastapi import HTTPException, Query
from typing_extensions import TypedDict  # which pydantic needs before Python 3.12

import examples.json_server
import examples.products  # noqa: F401  # both add themselves
from main import app


class Label(TypedDict):
    """An item with one text."""

    name: str


class Parcel(TypedDict):
    """An item with two texts."""

    sender: str
    address: str | None


@app.get("/shelves/{shelf}/labels/", response_model=list[Label])
async def read_labels(
    shelf: int,
    skip: int = 0,
    take: Annotated[int | None, Query(le=3)] = None,
    tag: Annotated[list[str] | None, Query()] = None,
    q: str = "",
) -> list[Label]:
    """Return one label, which tells what was asked for."""
    if q == "torn":
        raise HTTPException(422, "That label is torn.")
    return [{"name": f"shelf={shelf} skip={skip} take={take} tag={tag} q={q}"}]


@app.get("/parcels/", response_model=list[Parcel])
async def read_parcels(
    take: Annotated[int, Query(le=3)] = 1, q: str = ""
) -> list[Parcel]:
    """Return parcels, which tell what was asked for."""
    return [{"sender": q, "address": None}] * take
