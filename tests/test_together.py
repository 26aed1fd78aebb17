"""Reads that come in at the same time and share a statement, by examples/together.py."""

import asyncio
import importlib.util
import random
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx2
import pytest

from tests.fixtures import GROCERIES, ORIGIN, connect, load_main, problem
from tests.servers import ROOT, Service


@pytest.fixture
async def main(empty_database: str) -> AsyncIterator[ModuleType]:
    """A main.py whose reads share statements, with its database open."""
    module = load_main(DATABASE_URL=empty_database)
    path = ROOT / "examples" / "together.py"
    spec = importlib.util.spec_from_file_location("together", path)
    assert spec
    assert spec.loader
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "main", module)
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    async with module.lifespan(module.app):
        yield module


async def count_statements(main: ModuleType, *calls: Any) -> tuple[int, list[Any]]:
    """Return how many statements the database is sent for calls at once, and their results."""
    fetch, sent = main.database.fetch, []

    async def note_and_fetch(*arguments: Any) -> Any:
        sent.append(arguments)
        return await fetch(*arguments)

    main.database.fetch = note_and_fetch
    results = await asyncio.gather(*calls)
    return len(sent), results


@pytest.mark.anyio
async def test_reads_of_the_same_time_share_a_statement(main: ModuleType) -> None:
    """A note that is read alone has a statement; those that come meanwhile share one.

    It has room for a hundred; the others, and probes of readiness, have their own.
    """
    notes = [await main.create(main.NoteIn(text=text)) for text in "abc"]
    reads = [main.read(note["id"]) for note in notes * 20]
    assert await count_statements(main, *reads) == (2, notes * 20)
    many = [main.create(main.NoteIn(text=str(number))) for number in range(250)]
    notes = await asyncio.gather(*many)
    reads = [main.read(note["id"]) for note in notes]
    assert await count_statements(main, *reads) == (1 + 1 + 149, notes)
    probes = [main.run(main.READ, {"id": 0}) for _ in range(3)]
    assert await count_statements(main, *probes) == (3, [[], [], []])


@pytest.mark.anyio
async def test_equal_pages_of_the_same_time_share_a_statement(main: ModuleType) -> None:
    """Equal pages and equal counts share a statement; others have their own."""
    notes = [await main.create(main.NoteIn(text=text)) for text in "abc"]
    queries = [main.NoteQuery(), main.NoteQuery(skip=1), main.NoteQuery(q="C")]
    pages = [main.read_page(query) for query in queries * 20]
    number, results = await count_statements(main, *pages)
    assert [page.items for page in results] == [notes, notes[1:], notes[2:]] * 20
    assert number == 2 * 3
    counts = [main.run(main.count_statement(frozenset()), {}) for _ in range(20)]
    number, results = await count_statements(main, *counts)
    assert [rows[0][0] for rows in results] == [3] * 20
    assert number == 2


@pytest.mark.anyio
async def test_a_read_sees_what_was_written_before_it(main: ModuleType) -> None:
    """What begins while others are under way does not share what these have sent."""
    query = main.NoteQuery(take=1_000)
    note = await main.create(main.NoteIn(text="0"))
    for number in range(1, 100):
        calls = [main.read(note["id"]) for _ in range(3)]
        calls += [main.read_page(query) for _ in range(3)]
        before = [asyncio.create_task(call) for call in calls]
        note = await main.write(note["id"], {"text": str(number)})
        assert await main.read(note["id"]) == note
        assert (await main.read_page(query)).items == [note]
        await asyncio.gather(*before)


@pytest.mark.anyio
async def test_who_leaves_takes_nobody_with_him(main: ModuleType) -> None:
    """Where some that share a statement are cancelled, the others have their answer."""
    note = await main.create(main.NoteIn(text="a"))
    page = main.Page([note], has_next=False, total=None)
    for turn in range(100):
        calls = [main.read(note["id"]) for _ in range(6)]
        calls += [main.read_page(main.NoteQuery()) for _ in range(6)]
        tasks = [asyncio.create_task(call) for call in calls]
        for _ in range(turn % 5):  # they come further each time
            await asyncio.sleep(0)
        leavers = random.sample(tasks, 6)
        for task in leavers:
            task.cancel()
        await asyncio.wait(tasks)
        for task, expected in zip(tasks, [note] * 6 + [page] * 6, strict=True):
            assert task in leavers or task.result() == expected


def test_a_shared_failure_is_tried_again_alone(tmp_path: Path) -> None:
    """Beside a note that cannot be read, and one that is gone, all others are read."""
    url = f"sqlite:///{tmp_path}/notes.db"
    with (
        Service.uvicorn(tmp_path, "examples.together:app") as service,
        httpx2.Client(base_url=service.url, headers={"Origin": ORIGIN}) as client,
        ThreadPoolExecutor(24) as pool,
    ):
        paths = [client.post("/notes/", json=GROCERIES).headers["Location"]] * 6
        for place in range(5):
            response = client.post("/notes/", json={"text": f"note {place}"})
            paths[place] = response.headers["Location"]
        client.delete(paths[0])
        with connect(url) as sql:
            sql("UPDATE notes SET text = CAST(x'ff' AS TEXT) WHERE text = 'note 1'")
        alone = [client.get(path) for path in paths]
        assert [problem(response) for response in alone[:2]] == [404, 503]
        for place, response in enumerate(pool.map(client.get, paths * 20)):
            expected = alone[place % 6]
            assert response.status_code == expected.status_code
            assert response.json() == expected.json()
            assert response.headers.get("ETag") == expected.headers.get("ETag")
