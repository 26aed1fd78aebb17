"""Reads that come in at the same time, and share a statement."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import sqlalchemy as sa

from tests.fixtures import Deployment, create_note, load_main, problem


def test_each_read_gets_its_own_note(deployment: Deployment) -> None:
    """Many reads at once, of notes and of none, are answered as if each were alone."""
    notes = [create_note(deployment.client, text=f"note {number}") for number in range(5)]
    paths = [f"/notes/{note['id']}/" for note in notes] + ["/notes/999999999/"]
    expected = [deployment.client.get(path) for path in paths]
    with ThreadPoolExecutor(24) as pool:
        responses = list(pool.map(deployment.client.get, paths * 20))
    for response, alone in zip(responses, expected * 20, strict=True):
        assert response.status_code == alone.status_code
        assert response.json() == alone.json()
        assert response.headers.get("ETag") == alone.headers.get("ETag")


def test_reads_of_the_same_time_share_a_statement(tmp_path: Path) -> None:
    """A read that is alone has a statement of its own; those that come meanwhile share one."""
    main = load_main(DATABASE_URL=f"sqlite:///{tmp_path}/notes.db")
    statements: list[str] = []

    async def read_together() -> None:
        async with main.lifespan(main.app):
            rows = [await main.note_store.create({"text": "a", "completed": False})]
            rows += [await main.note_store.create({"text": "b", "completed": True})]
            driver = main.database.main_connection.raw_connection
            await driver.set_trace_callback(statements.append)
            reads = [main.note_store.read(row.item["id"]) for row in rows * 20]
            assert await asyncio.gather(*reads) == rows * 20

    asyncio.run(read_together())
    assert len(statements) == 2


def test_an_id_may_be_any_column(tmp_path: Path) -> None:
    """Rows that are read together are told apart by their ids, wherever the table has them."""
    main = load_main(DATABASE_URL=f"sqlite:///{tmp_path}/notes.db")
    words = sa.Table(
        "words",
        main.metadata,
        sa.Column("word", sa.String, nullable=False),
        sa.Column("id", sa.Integer, primary_key=True),
    )
    store = main.Store("word", words)

    async def read_together() -> None:
        async with main.lifespan(main.app):
            rows = [await store.create({"word": word}) for word in "abc"]
            reads = [store.read(row.item["id"]) for row in rows * 3]
            assert await asyncio.gather(*reads) == rows * 3

    asyncio.run(read_together())


def test_a_read_sees_what_was_written_before_it(tmp_path: Path) -> None:
    """A read that begins while others are under way does not share what these have sent."""
    main = load_main(DATABASE_URL=f"sqlite:///{tmp_path}/notes.db")

    async def write_and_read() -> None:
        async with main.lifespan(main.app):
            store = main.note_store
            note_id = (await store.create({"text": "0", "completed": False})).item["id"]
            for number in range(1, 50):
                before = [asyncio.create_task(store.read(note_id)) for _ in range(3)]
                await store.update(note_id, {"text": str(number)})
                assert (await store.read(note_id)).item["text"] == str(number)
                await asyncio.gather(*before)

    asyncio.run(write_and_read())


def test_who_leaves_takes_nobody_with_him(tmp_path: Path) -> None:
    """Where one of those who share a statement is cancelled, the others have their answer."""
    main = load_main(DATABASE_URL=f"sqlite:///{tmp_path}/notes.db")

    async def leave() -> None:
        async with main.lifespan(main.app):
            store, query = main.note_store, main.NoteQuery()
            created = await store.create({"text": "a", "completed": False})
            page = main.Page([created.item], has_next=False, total=None)
            for read, argument, expected in (
                (store.read, created.item["id"], created),
                (store.read_page, query, page),
            ):
                _, leaver, other = [asyncio.create_task(read(argument)) for _ in range(3)]
                await asyncio.sleep(0)  # now two of them wait for what they share
                leaver.cancel()
                assert await other == expected
                assert leaver.cancelled()

    asyncio.run(leave())


def test_equal_lists_of_the_same_time_share_a_statement(tmp_path: Path) -> None:
    """A list that is alone has a statement of its own; equal ones that come meanwhile share one."""
    main = load_main(DATABASE_URL=f"sqlite:///{tmp_path}/notes.db")
    statements: list[str] = []

    async def read_together() -> None:
        async with main.lifespan(main.app):
            items = [
                (await main.note_store.create({"text": text, "completed": False})).item
                for text in "ab"
            ]
            driver = main.database.main_connection.raw_connection
            await driver.set_trace_callback(statements.append)
            queries = [
                main.NoteQuery(),
                main.NoteQuery(skip=1),
                main.NoteQuery(id=[1], take=1),
            ]
            lists = [main.note_store.read_page(query) for query in queries * 20]
            pages = await asyncio.gather(*lists)
            expected = [items, items[1:], items[:1]] * 20
            assert [page.items for page in pages] == expected

    asyncio.run(read_together())
    assert len(statements) == 1 + 3


def test_a_list_has_what_was_written_before_it(tmp_path: Path) -> None:
    """A list that begins while equal ones are under way does not share what these have sent."""
    main = load_main(DATABASE_URL=f"sqlite:///{tmp_path}/notes.db")

    async def write_and_list() -> None:
        async with main.lifespan(main.app):
            store, query = main.note_store, main.NoteQuery(take=1_000)
            for number in range(50):
                before = [asyncio.create_task(store.read_page(query)) for _ in range(3)]
                await store.create({"text": str(number), "completed": False})
                assert len((await store.read_page(query)).items) == number + 1
                await asyncio.gather(*before)

    asyncio.run(write_and_list())


def test_lists_that_share_a_failure_are_all_refused(deployment: Deployment) -> None:
    """Where the statement that equal lists share is refused, each of them is answered so."""
    deployment.sql("ALTER TABLE notes RENAME TO gone")
    try:
        with ThreadPoolExecutor(24) as pool:
            responses = list(pool.map(deployment.client.get, ["/notes/"] * 48))
    finally:
        deployment.sql("ALTER TABLE gone RENAME TO notes")
    assert {problem(response) for response in responses} == {503}
    assert deployment.client.get("/notes/").status_code == 200
