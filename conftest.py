"""What all tests share: a Postgres server of their own, and the databases to run on."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import ExternalPostgres, Postgres

pytest_plugins = ["tests.fixtures"]


# Where several files run at a time, these begin, so that no worker waits for one at the end.
LONGEST = ["faults", "live", "page", "broken_databases", "starvation", "operations"]
LONGEST += ["openapi", "agents", "readme", "json_server", "configuration", "security"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, in whatever order the rest comes."""
    places = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running Postgres server, shared: tests make databases in it, and never stop it."""
    url = os.environ.get("TEST_DATABASE_URL")
    server = ExternalPostgres(url) if url else Postgres().start()
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, on each of the two."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/notes.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.create_database(
        "".join(c if c.isalnum() else "_" for c in tmp_path.name)
    )
