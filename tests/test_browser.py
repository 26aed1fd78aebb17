"""The page of examples/ in Chromium, and what any page of another origin can read of the API."""

import contextlib
import re
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import psycopg
import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Error,
    Page,
    Request,
    WebError,
    expect,
    sync_playwright,
)

from tests.browser import (
    OPTIONS,
    Api,
    connect,
    fetch,
    filter_by,
    find_button,
    find_texts,
    find_violations,
    reload_to,
    run_sql,
    serve_page,
)
from tests.servers import ROOT, Postgres, Service, free_port, require_programs

KEY = "correct-horse"
LIMIT = 1000  # bytes of a body, on the service with a key
HIGHEST = 2**63 - 1
# Readable without being exposed.
SAFELISTED = {"cache-control", "content-length", "content-type"}
JSON = {"Content-Type": "application/json"}
FAULTY = """
import os, uvicorn
from main import app

@app.get("/bug/")
async def fail() -> None:
    raise ZeroDivisionError

uvicorn.run(app, port=int(os.environ["PORT"]))
"""


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """The origin of the page."""
    with serve_page() as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A running Chromium."""
    require_programs("chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium
        with chromium.launch(
            executable_path=shutil.which("chromium"), args=OPTIONS
        ) as browser:
            yield browser


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SQLite file of the service."""
    return tmp_path_factory.mktemp("service") / "notes.db"


@pytest.fixture(scope="module")
def service(database: Path) -> Iterator[Service]:
    """The service as it is without any configuration."""
    with Service.python(database.parent, DATABASE_URL=f"sqlite:///{database}") as service:
        yield service


@pytest.fixture(scope="module")
def database_with_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SQLite file of the service with a key."""
    return tmp_path_factory.mktemp("guarded") / "notes.db"


@pytest.fixture(scope="module")
def service_with_key(origin: str, database_with_key: Path) -> Iterator[Service]:
    """A service that wants a key, takes pages of one origin only, and bodies of LIMIT bytes."""
    with Service.python(
        database_with_key.parent,
        DATABASE_URL=f"sqlite:///{database_with_key}",
        CORS_ORIGINS=origin,
        API_KEYS=KEY,
        MAX_BODY_BYTES=str(LIMIT),
        DB_TIMEOUT="1",
    ) as service:
        yield service


@pytest.fixture(scope="module")
def faulty_database(postgres: Postgres) -> str:
    """The URL of the Postgres database of the faulty service."""
    return postgres.create_database("browser")


@pytest.fixture(scope="module")
def faulty(
    faulty_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service with a bug, which waits for its database but a moment."""
    command = [sys.executable, "-c", FAULTY]
    folder = tmp_path_factory.mktemp("faulty")
    with Service(
        command, folder, DATABASE_URL=faulty_database, DB_TIMEOUT="0.2"
    ) as service:
        yield service


@pytest.fixture(scope="module")
def demo_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SQLite file of the demo."""
    return tmp_path_factory.mktemp("demo") / "notes.db"


@pytest.fixture(scope="module")
def demo(demo_database: Path) -> Iterator[Service]:
    """The service with the extras that the page uses, which serves the page too; two workers."""
    url = f"sqlite:///{demo_database}"
    folder = demo_database.parent
    with Service.gunicorn(folder, app="examples.demo:app", DATABASE_URL=url) as service:
        yield service


@pytest.fixture
def api(service: Service, database: Path) -> Iterator[Api]:
    """The notes of the service, none at first."""
    run_sql(database, "DELETE FROM notes")
    with httpx2.Client(base_url=service.url) as client:
        yield Api(client)


@pytest.fixture
def demo_api(demo: Service, demo_database: Path) -> Iterator[Api]:
    """The notes of the demo, none at first."""
    run_sql(demo_database, "DELETE FROM notes")
    with httpx2.Client(base_url=demo.url) as client:
        yield Api(client)


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """What the pages share: a new one for each test would take twice as long."""
    permissions = ["clipboard-read", "clipboard-write"]
    with browser.new_context(permissions=permissions) as context:
        context.new_page()  # keeps a process ready for the others
        yield context


@pytest.fixture
def visit(context: BrowserContext, origin: str) -> Iterator[Callable[..., Page]]:
    """Open the page for an API; at the end, no page has thrown an error that nobody caught."""
    initial_pages = context.pages
    errors: list[Error] = []

    def note_error(error: WebError) -> None:
        errors.append(error.error)

    def open_page(
        api_url: str | None, page_url: str = origin, context: BrowserContext = context
    ) -> Page:
        page = context.new_page()
        address = f"localStorage.address = '{api_url}/'" if api_url else ""
        page.add_init_script(
            "if (!sessionStorage.visited) {"
            f" localStorage.clear(); {address}; sessionStorage.visited = true }}"
        )
        page.goto(page_url)
        return page

    context.on("weberror", note_error)
    yield open_page
    context.remove_listener("weberror", note_error)
    context.set_offline(False)
    for page in context.pages:
        if page not in initial_pages:
            page.close()
    assert errors == []


@pytest.fixture
def page(visit: Callable[..., Page], service: Service, api: Api) -> Page:
    """The page, showing that there are no notes."""
    page = visit(service.url)
    expect(page.get_by_role("status")).to_have_text("No notes")
    return page


@pytest.fixture
def timed_page(
    browser: Browser, visit: Callable[..., Page], service: Service, api: Api
) -> Iterator[Page]:
    """The page, showing three notes, where time passes only as the test says."""
    api.add("fix tap", "buy soap", "50% off")
    with (
        browser.new_context() as context
    ):  # whose clock would stand still for other pages too
        page = visit(service.url, context=context)
        expect(find_texts(page)).to_have_text(["50% off", "buy soap", "fix tap"])
        page.clock.install(time=0)
        page.clock.pause_at(1000)
        yield page


@pytest.fixture
def window(visit: Callable[..., Page], demo: Service, demo_api: Api) -> Page:
    """The demo's page, showing that there are no notes."""
    page = visit(None, f"{demo.url}/demo/")
    expect(page.get_by_role("status")).to_have_text("No notes")
    return page


@pytest.fixture(scope="module")
def other_origin_page(context: BrowserContext, origin: str) -> Page:
    """A page of another origin that does nothing by itself."""
    page = context.new_page()
    page.goto(f"{origin}/nowhere")
    return page


# The page, used as intended


def test_a_note_is_added(page: Page, api: Api) -> None:
    """A new note is stored and counted, and the field is ready at once, and for the next one."""
    field = page.get_by_label("New note")
    expect(field).to_be_focused()
    page.keyboard.type("fix tap")
    field.press("Enter")
    expect(find_texts(page)).to_have_text(["fix tap"])
    field.fill("buy soap")
    find_button(page, "Add").click()
    expect(find_texts(page)).to_have_text(["buy soap", "fix tap"])
    expect(page.get_by_role("status")).to_have_text("2 notes, 2 left")
    expect(field).to_have_value("")
    assert api.notes() == [("buy soap", False), ("fix tap", False)]


def test_notes_are_added_as_fast_as_one_types(page: Page, api: Api) -> None:
    """The next note can be typed while the one before is on its way."""
    page.keyboard.type("fix tap\nbuy soap\ncall Ana\n")
    expect(find_texts(page)).to_have_text(["call Ana", "buy soap", "fix tap"])
    expect(page.get_by_label("New note")).to_have_value("")


def test_a_new_note_is_seen_under_any_filter(page: Page, api: Api) -> None:
    """Adding a note leaves a filter or a search that would hide it."""
    filter_by(page, "Completed")
    page.get_by_label("Search").fill("soap")
    expect(page.get_by_role("status")).to_have_text("No completed notes with “soap”")
    page.get_by_label("New note").fill("fix tap")
    find_button(page, "Add").click()
    expect(find_texts(page)).to_have_text(["fix tap"])
    expect(page.get_by_role("radio", name="All")).to_be_checked()
    expect(page.get_by_label("Search")).to_have_value("")


def test_a_note_is_edited_in_place(page: Page, api: Api) -> None:
    """Enter stores the edited text and returns to the note; lines stay lines."""
    api.add("fix tap")
    reload_to(page, "fix tap")
    find_button(page, "Edit: fix tap").click()
    editor = page.get_by_label("Text of the note")
    expect(editor).to_be_focused()
    editor.fill("fix tap")
    editor.press("Shift+Enter")
    editor.press_sequentially("in the kitchen")
    editor.press("Enter")
    expect(find_texts(page)).to_have_text(["fix tap\nin the kitchen"])
    expect(page.get_by_role("button", name="Edit: fix tap")).to_be_focused()
    assert api.notes() == [("fix tap\nin the kitchen", False)]


def test_an_edit_is_left(page: Page, api: Api) -> None:
    """Escape leaves a note as it was."""
    api.add("fix tap")
    reload_to(page, "fix tap")
    find_button(page, "Edit: fix tap").click()
    editor = page.get_by_label("Text of the note")
    editor.fill("something else")
    editor.press("Escape")
    expect(find_button(page, "Edit: fix tap")).to_be_focused()
    assert api.notes() == [("fix tap", False)]


def test_a_note_is_ticked(page: Page, api: Api) -> None:
    """The box of a note stores that it is completed, and that it is not, and what is left."""
    api.add("buy soap", "fix tap")
    reload_to(page, "fix tap", "buy soap")
    box = page.get_by_role("checkbox", name="Completed: fix tap")
    for completed, count_text in ((True, "1 left"), (False, "2 left")):
        box.click()
        expect(page.get_by_role("status")).to_have_text(f"2 notes, {count_text}")
        expect(box).to_be_checked(checked=completed)
        assert api.notes() == [("fix tap", completed), ("buy soap", False)]


def test_a_note_is_deleted_and_brought_back(page: Page, api: Api) -> None:
    """Undo stores a deleted note again, as it was and where it was."""
    api.add("buy soap")
    api.add("fix tap", completed=True)
    api.add("call Ana")
    reload_to(page, "call Ana", "fix tap", "buy soap")
    find_button(page, "Delete: fix tap").click()
    undo = find_button(page, "Undo: delete fix tap")
    expect(undo).to_be_focused()
    expect(page.get_by_role("status")).to_have_text("2 notes, 2 left")
    assert api.notes() == [("call Ana", False), ("buy soap", False)]
    undo.click()
    expect(find_texts(page)).to_have_text(["call Ana", "fix tap", "buy soap"])
    expect(page.get_by_role("checkbox", name="Completed: fix tap")).to_be_checked()
    expect(page.get_by_role("status")).to_have_text("3 notes, 2 left")
    assert ("fix tap", True) in api.notes()


def test_the_list_is_filtered(page: Page, api: Api) -> None:
    """All, active and completed notes are shown and counted; a note that is ticked leaves."""
    api.add("fix tap", "buy soap")
    api.add("call Ana", completed=True)
    reload_to(page, "call Ana", "buy soap", "fix tap")
    status = page.get_by_role("status")
    filter_by(page, "Completed")
    expect(find_texts(page)).to_have_text(["call Ana"])
    expect(status).to_have_text("1 completed note")
    filter_by(page, "Active")
    expect(find_texts(page)).to_have_text(["buy soap", "fix tap"])
    expect(status).to_have_text("2 active notes")
    page.get_by_role("checkbox", name="Completed: buy soap").click()
    expect(find_texts(page)).to_have_text(["fix tap"])
    expect(status).to_have_text("1 active note")
    expect(page.get_by_role("checkbox", name="Completed: fix tap")).to_be_focused()
    filter_by(page, "All")
    expect(find_texts(page)).to_have_text(["call Ana", "buy soap", "fix tap"])


def test_the_url_keeps_the_filter_and_the_search(page: Page, api: Api) -> None:
    """A reload shows the same notes, and Back what was shown before, a search as one step."""
    api.add("fix tap", "buy soap")
    api.add("call Ana", completed=True)
    reload_to(page, "call Ana", "buy soap", "fix tap")
    filter_by(page, "Active")
    expect(find_texts(page)).to_have_text(["buy soap", "fix tap"])
    search = page.get_by_label("Search")
    for text, texts in (("a", ["buy soap", "fix tap"]), ("ap", ["buy soap", "fix tap"])):
        search.fill(text)
        expect(page).to_have_url(re.compile(rf"/\?view=active&q={text}$"))
        expect(find_texts(page)).to_have_text(texts)
    search.fill("tap & ü")
    expect(page).to_have_url(re.compile(r"/\?view=active&q=tap\+%26\+%C3%BC$"))
    expect(page.get_by_text("Nothing matches.")).to_be_visible()
    page.reload()
    expect(search).to_have_value("tap & ü")
    expect(page.get_by_role("radio", name="Active")).to_be_checked()
    expect(page.get_by_role("status")).to_have_text("No active notes with “tap & ü”")
    page.go_back()
    expect(find_texts(page)).to_have_text(["buy soap", "fix tap"])
    expect(search).to_have_value("")
    page.go_back()
    expect(find_texts(page)).to_have_text(["call Ana", "buy soap", "fix tap"])
    expect(page.get_by_role("radio", name="All")).to_be_checked()
    page.go_forward()
    expect(find_texts(page)).to_have_text(["buy soap", "fix tap"])


def test_completed_notes_are_cleared_and_brought_back(page: Page, api: Api) -> None:
    """One button deletes what is completed, also where the API deletes one note at a time."""
    check_clearing(page, api)


def test_what_is_cleared_is_what_is_shown(page: Page, api: Api) -> None:
    """The button is there where it would clear something, and clears what the search finds."""
    api.add("fix tap")
    reload_to(page, "fix tap")
    clear = find_button(page, "Clear completed")
    expect(clear).to_be_hidden()
    api.add("buy soap", "call Ana", completed=True)
    reload_to(page, "call Ana", "buy soap", "fix tap")
    expect(clear).to_be_visible()
    filter_by(page, "Active")
    expect(find_texts(page)).to_have_text(["fix tap"])
    expect(clear).to_be_hidden()
    filter_by(page, "Completed")
    page.get_by_label("Search").fill("soap")
    expect(page.get_by_role("status")).to_have_text("1 completed note with “soap”")
    clear.click()
    expect(page.get_by_text("Deleted: buy soap")).to_be_visible()
    expect(clear).to_be_hidden()
    assert api.notes() == [("call Ana", True), ("fix tap", False)]


def test_undo_goes_away(timed_page: Page) -> None:
    """The place of a deleted note is kept for ten seconds, and longer for who is at it."""
    page, clock = timed_page, timed_page.clock
    find_button(page, "Delete: buy soap").click()
    find_button(page, "Delete: 50% off").click()
    undo = page.get_by_role("button", name=re.compile("^Undo"))
    expect(undo).to_have_count(2)
    clock.run_for(9_999)
    expect(undo).to_have_count(2)
    clock.run_for(1)
    expect(undo).to_have_count(1)  # under the pointer
    page.mouse.move(0, 0)
    clock.run_for(1000)
    expect(undo).to_have_count(0)
    find_button(page, "Delete: fix tap").focus()
    page.keyboard.press("Enter")
    expect(undo).to_be_focused()
    clock.run_for(60_000)
    expect(undo).to_be_focused()
    page.keyboard.press("Shift+Tab")
    clock.run_for(1000)
    expect(undo).to_have_count(0)
    expect(page.get_by_text("Write the first one above.")).to_be_visible()


def test_text_can_be_selected(page: Page, api: Api) -> None:
    """A note's text is selected and copied as any text, and stays so when the list is new."""
    api.add("fix tap\nin the kitchen")
    reload_to(page, "fix tap\nin the kitchen")
    find_texts(page).click(click_count=3, position={"x": 20, "y": 10})
    page.keyboard.press("Shift+ArrowDown")
    api.add("buy soap")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(find_texts(page)).to_have_text(["buy soap", "fix tap\nin the kitchen"])
    page.keyboard.press("Control+C")
    clipboard = page.evaluate("navigator.clipboard.readText()")
    assert clipboard.startswith("fix tap\n")
    expect(page.get_by_label("Text of the note")).to_have_count(0)


def test_a_long_note_is_read_in_place(page: Page, api: Api) -> None:
    """What is longer than eight lines is cut, and shown as a whole by a button."""
    long_text, short_text = "\n".join("abcdefghi"), "\n".join("abcdefgh")
    api.add(long_text, short_text, "word " * 200)
    reload_to(page, "word " * 200, short_text, long_text)
    is_cut_script = "text => text.scrollHeight > text.clientHeight"
    notes = find_texts(page)
    assert [note.evaluate(is_cut_script) for note in notes.all()] == [True, False, True]
    buttons = page.get_by_role("button", name="Show all")
    expect(buttons).to_have_count(2)
    buttons.last.click()
    assert not notes.last.evaluate(is_cut_script)
    page.get_by_role("button", name="Show less").click()
    assert notes.last.evaluate(is_cut_script)


def test_an_empty_note_shows_as_such(page: Page, api: Api) -> None:
    """A note without a text is seen, named, edited and deleted."""
    api.add("", " \n")
    reload_to(page, "Empty note", "Empty note")
    find_button(page, "Edit: empty note").first.click()
    editor = page.get_by_label("Text of the note")
    expect(editor).to_have_value(" \n")
    editor.fill("fix tap")
    editor.press("Enter")
    expect(find_texts(page)).to_have_text(["fix tap", "Empty note"])
    find_button(page, "Delete: empty note").click()
    expect(page.get_by_text("Deleted: empty note")).to_be_visible()


def test_a_paste_keeps_its_lines(page: Page, api: Api) -> None:
    """Lines that are pasted into a new note stay lines; Enter adds it."""
    page.evaluate("navigator.clipboard.writeText('milk\\nbread\\n\\nsoap')")
    page.get_by_label("New note").press("Control+V")
    expect(page.get_by_label("New note")).to_have_value("milk\nbread\n\nsoap")
    page.keyboard.press("Enter")
    expect(find_texts(page)).to_have_text(["milk\nbread\n\nsoap"])
    page.keyboard.type("fix")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("tap")
    page.keyboard.press("Enter")
    expect(find_texts(page)).to_have_text(["fix\ntap", "milk\nbread\n\nsoap"])
    assert api.notes() == [("fix\ntap", False), ("milk\nbread\n\nsoap", False)]


def test_direction_follows_the_text(page: Page, api: Api) -> None:
    """Hebrew runs from right to left, where it is read and where it is written."""
    hebrew = "לקנות חלב"
    api.add("fix tap", hebrew, hebrew[::-1])
    reload_to(page, hebrew[::-1], hebrew, "fix tap")
    page.get_by_label("New note").fill(hebrew)
    page.get_by_label("Search").fill("ל")
    expect(page.get_by_role("status")).to_have_text(re.compile("^2 notes"))
    find_button(page, f"Edit: {hebrew}").click()
    expect(page.get_by_label("Text of the note")).to_be_focused()
    find_button(page, f"Delete: {hebrew[::-1]}").click()
    expect(page.locator("bdi")).to_be_visible()
    selectors = ("#new", "[name=q]", ".editor textarea", ".gone bdi")
    for selector in selectors:
        assert (
            page.locator(selector).evaluate("e => getComputedStyle(e).direction") == "rtl"
        )
    page.get_by_label("Search").fill("tap")
    expect(find_texts(page)).to_have_text(["fix tap"])
    assert find_texts(page).evaluate("e => getComputedStyle(e).direction") == "ltr"


def test_search_waits_for_a_pause(timed_page: Page) -> None:
    """Three letters typed at once are one request, 200 ms after the last of them."""
    searches: list[str] = []

    def note_search(request: Request) -> None:
        parameters = httpx2.URL(request.url).params
        # Not the one that only counts, nor the one that asks for a stream.
        if parameters["take"] != "0" and request.resource_type == "fetch":
            searches.append(parameters["q"])

    timed_page.on("request", note_search)
    timed_page.get_by_label("Search").press_sequentially("50%")
    timed_page.clock.run_for(199)
    assert searches == []
    timed_page.clock.run_for(1)
    expect(find_texts(timed_page)).to_have_text(["50% off"])
    expect(timed_page.get_by_role("status")).to_have_text("1 note with “50%”, 1 left")
    assert searches == ["50%"]


def test_a_late_answer_is_dropped(page: Page, api: Api) -> None:
    """A search that was typed over is given up, and only the last one is shown."""
    api.add("fix tap", "buy soap")
    reload_to(page, "buy soap", "fix tap")

    def first(request: Request) -> bool:
        return request.url.endswith("q=tap")

    page.route(re.compile("q=tap$"), lambda _: None)  # never answered
    with page.expect_request(first):
        page.get_by_label("Search").fill("tap")
    with page.expect_event("requestfailed", first):
        page.get_by_label("Search").fill("soap")
    expect(find_texts(page)).to_have_text(["buy soap"])
    expect(page.get_by_role("alert")).to_be_hidden()


def test_more_is_loaded_by_link(page: Page, api: Api, database: Path) -> None:
    """A press shows up to 1,000 notes of the same filter, and the next as many more."""
    names = [f"note {number}" for number in range(1010, 0, -1)]
    run_sql(
        database,
        "WITH RECURSIVE numbers(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM numbers LIMIT 1010) "
        "INSERT INTO notes (text, completed) SELECT 'note ' || n, 0 FROM numbers",
    )
    api.add("fix tap", completed=True)
    filter_by(page, "Active")
    status = page.get_by_role("status")
    more_button = find_button(page, "Show more")
    expect(status).to_have_text("20 of 1010 active notes")
    expect(find_texts(page)).to_have_text(names[:20])
    more_button.click()
    expect(status).to_have_text("1000 of 1010 active notes")
    expect(find_button(page, f"Edit: {names[20]}")).to_be_focused()
    more_button.click()
    expect(status).to_have_text("1010 active notes")
    expect(find_button(page, f"Edit: {names[1000]}")).to_be_focused()
    assert find_texts(page).all_text_contents() == names
    expect(more_button).to_be_hidden()


def test_markup_is_text(page: Page, api: Api) -> None:
    """What looks like HTML in a note is shown as it was written."""
    markup = "<img src=x onerror='document.body.remove()'><b>bold</b> & “quoted”"
    page.get_by_label("New note").fill(markup)
    find_button(page, "Add").click()
    expect(find_texts(page)).to_have_text([markup])
    reload_to(page, markup)
    find_button(page, f"Delete: {markup}").click()
    expect(page.get_by_text(f"Deleted: {markup}")).to_be_visible()


def test_the_keyboard_is_enough(page: Page, api: Api) -> None:
    """Adding, ticking, editing, deleting and undo need no pointer, and focus is never lost."""
    page.keyboard.type("fix tap")
    page.keyboard.press("Enter")
    box = page.get_by_role("checkbox", name="Completed: fix tap")
    expect(box).to_be_visible()
    for key in ["Tab"] * 4:  # over the button, the filters and the search
        page.keyboard.press(key)
    expect(box).to_be_focused()
    page.keyboard.press("Space")
    expect(page.get_by_role("status")).to_have_text("1 note, none left")
    for key in ("Shift+Tab", "Tab", "Tab"):  # to the button that clears, and back
        page.keyboard.press(key)
    expect(find_button(page, "Edit: fix tap")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Text of the note")).to_be_focused()
    page.keyboard.type(" today")
    page.keyboard.press("Enter")
    expect(find_button(page, "Edit: fix tap today")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(find_button(page, "Undo: delete fix tap today")).to_be_focused()
    assert api.notes() == []
    page.keyboard.press("Enter")
    expect(find_button(page, "Edit: fix tap today")).to_be_focused()
    assert api.notes() == [("fix tap today", True)]


# The page, when someone else is at work or something is wrong


def check_clearing(page: Page, api: Api) -> None:
    """Check that completed notes are cleared and brought back, as they were and where they were."""
    api.add("buy soap")
    api.add("fix tap", "call Ana", completed=True)
    api.add("book train")
    api.add("water plants", completed=True)
    names = ["water plants", "book train", "call Ana", "fix tap", "buy soap"]
    reload_to(page, *names)
    notes = api.notes()
    find_button(page, "Clear completed").click()
    expect(page.get_by_text("Deleted: 3 completed notes")).to_be_visible()
    expect(find_texts(page)).to_have_text(["book train", "buy soap"])
    expect(page.get_by_role("status")).to_have_text("2 notes, 2 left")
    expect(find_button(page, "Clear completed")).to_be_hidden()
    assert api.notes() == [("book train", False), ("buy soap", False)]
    undo = page.get_by_role("button", name="Undo")
    expect(undo).to_be_focused()
    undo.click()
    expect(find_texts(page)).to_have_text(names)
    expect(page.get_by_role("status")).to_have_text("5 notes, 2 left")
    expect(find_button(page, "Edit: water plants")).to_be_focused()
    assert sorted(api.notes()) == sorted(notes)


@pytest.mark.parametrize(
    ("choice", "final_text"),
    [("Save mine", "mine"), ("Keep theirs", "theirs")],
    ids=["mine", "theirs"],
)
def test_an_edit_meets_another(
    page: Page, api: Api, choice: str, final_text: str
) -> None:
    """Who edits what someone else has changed is told so, sees both texts, and decides."""
    (note_id,) = api.add("fix tap")
    reload_to(page, "fix tap")
    find_button(page, "Edit: fix tap").click()
    editor = page.get_by_label("Text of the note")
    editor.fill("mine")
    api.change(note_id, text="theirs", completed=True)
    editor.press("Enter")
    notice = page.get_by_text(
        "Someone else changed this: it is now completed and says “theirs”."
    )
    expect(notice).to_be_visible()
    expect(editor).to_have_value("mine")
    assert api.notes() == [("theirs", True)]
    find_button(page, choice).click()
    expect(find_texts(page)).to_have_text([final_text])
    expect(notice).to_be_hidden()
    assert api.notes() == [(final_text, True)]


@pytest.mark.parametrize(
    "has_tag", [False, True], ids=["from a list", "from an earlier write"]
)
@pytest.mark.parametrize(
    "name", ["Completed: fix tap", "Delete: fix tap"], ids=["tick", "delete"]
)
def test_a_click_meets_an_edit(page: Page, api: Api, name: str, has_tag: bool) -> None:
    """Who ticks or deletes what someone else has changed changes nothing, and sees it as it is."""
    if has_tag:
        page.get_by_label("New note").fill("fix tap")
        find_button(page, "Add").click()
    else:
        api.add("fix tap")
        page.reload()
    expect(find_texts(page)).to_have_text(["fix tap"])
    api.change(api.client.get("/notes/").json()[0]["id"], text="theirs")
    page.get_by_label(name).click()
    expect(
        page.get_by_text("Someone else changed this. It is now as you see.")
    ).to_be_visible()
    expect(find_button(page, "Edit: theirs")).to_be_focused()
    expect(page.get_by_role("checkbox", name="Completed: theirs")).not_to_be_checked()
    assert api.notes() == [("theirs", False)]


def test_a_note_is_gone(page: Page, api: Api) -> None:
    """Ticking what someone else deleted shows the API's words, and the note leaves."""
    (note_id,) = api.add("fix tap")
    reload_to(page, "fix tap")
    api.delete(note_id)
    page.get_by_role("checkbox", name="Completed: fix tap").click()
    expect(page.get_by_role("alert")).to_contain_text(
        [f"There is no note with id {note_id}."]
    )
    expect(page.get_by_role("status")).to_have_text("No notes")
    expect(find_texts(page)).to_have_count(0)
    expect(page.get_by_label("New note")).to_be_focused()
    expect(page.get_by_role("alert")).to_contain_text(
        [f"There is no note with id {note_id}."]
    )


def test_a_refusal_is_readable(page: Page, api: Api) -> None:
    """What the API says against a value is shown, and what was typed stays."""
    too_long = "x" * 65_537
    page.get_by_label("New note").fill(too_long)
    find_button(page, "Add").click()
    refusal = api.client.post("/notes/", json={"text": too_long}).json()["message"]
    expect(page.get_by_role("alert")).to_have_text(refusal)
    expect(page.get_by_label("New note")).to_have_value(too_long)
    for name in ("API address and key", "Reload"):  # neither would help
        expect(find_button(page, name)).to_be_hidden()
    assert api.notes() == []


def test_the_api_is_away(visit: Callable[..., Page], service: Service, api: Api) -> None:
    """An address where nobody answers is named; the right one is kept for the next visit."""
    api.add("fix tap")
    dead_url = f"http://127.0.0.1:{free_port()}"
    page = visit(dead_url)
    alert = page.get_by_role("alert")
    expect(alert).to_have_text(f"{dead_url}/ cannot be reached. Is it running?")
    expect(
        page.get_by_role("button", name=re.compile("^API: .*, not connected$"))
    ).to_be_visible()
    connect(page, "API address and key", service.url)
    expect(find_texts(page)).to_have_text(["fix tap"])
    expect(
        page.get_by_role("button", name=re.compile("^API: .*, connected$"))
    ).to_be_visible()
    reload_to(page, "fix tap")


def test_the_network_goes_away(page: Page, api: Api) -> None:
    """What cannot be sent is undone on the page and said, until there is a network again."""
    api.add("fix tap")
    reload_to(page, "fix tap")
    page.context.set_offline(True)
    box = page.get_by_role("checkbox", name="Completed: fix tap")
    box.click()
    problem = page.get_by_text("cannot be reached. Is it running?")
    expect(problem).to_be_visible()
    expect(box).not_to_be_checked()
    page.get_by_label("New note").fill("buy soap")
    api.add("call Ana")
    page.context.set_offline(False)
    expect(problem).to_be_hidden()
    expect(find_texts(page)).to_have_text(["call Ana", "fix tap"])
    expect(page.get_by_label("New note")).to_have_value("buy soap")
    box.click()
    expect(page.get_by_role("status")).to_have_text("2 notes, 1 left")
    assert api.notes() == [("call Ana", False), ("fix tap", True)]


def test_another_server_answers(visit: Callable[..., Page], origin: str) -> None:
    """An address where something else answers is told apart from one where nobody does."""
    with serve_page() as other_url:
        page = visit(origin)
        expect(page.get_by_role("alert")).to_contain_text("Is it the notes API?")
        connect(page, "API address and key", other_url)
        expect(page.get_by_role("alert")).to_contain_text(
            f"{other_url}/ refuses pages from {origin}"
        )


def test_the_origin_is_refused(
    visit: Callable[..., Page], service_with_key: Service
) -> None:
    """A page whose origin is not listed says which one CORS_ORIGINS has to name."""
    with serve_page() as other_origin:
        page = visit(service_with_key.url, other_origin)
        expect(page.get_by_role("alert")).to_have_text(
            f"{service_with_key.url}/ refuses pages from {other_origin}: "
            "its CORS_ORIGINS has to name that origin."
        )


def test_a_key_is_asked_for(
    visit: Callable[..., Page], service_with_key: Service
) -> None:
    """Without its key the API's refusal is shown; with it all works, also at the next visit."""
    page = visit(service_with_key.url)
    alert = page.get_by_role("alert")
    expect(alert).to_have_text(
        httpx2.get(f"{service_with_key.url}/notes/").json()["message"]
    )
    connect(page, "API address and key", service_with_key.url, KEY)
    page.get_by_label("New note").fill("fix tap")
    find_button(page, "Add").click()
    expect(find_texts(page).first).to_have_text("fix tap")
    page.reload()
    expect(find_texts(page).first).to_have_text("fix tap")
    connect(page, re.compile("^API: "), service_with_key.url, "wrong")
    expect(alert).to_contain_text("key")
    expect(find_texts(page).first).to_be_hidden()


def test_a_busy_database_is_no_end(
    visit: Callable[..., Page], service_with_key: Service, database_with_key: Path
) -> None:
    """A write that the database was too busy for is undone and said, until one is done."""
    page = visit(service_with_key.url)
    connect(page, "API address and key", service_with_key.url, KEY)
    page.get_by_label("New note").fill("fix tap")
    page.keyboard.press("Enter")
    box = page.get_by_role("checkbox").first
    problem = page.get_by_role("alert").first
    with contextlib.closing(sqlite3.connect(database_with_key)) as connection:
        expect(box).to_be_visible()
        connection.execute("BEGIN IMMEDIATE")
        box.click()
        expect(problem).to_contain_text("nothing was changed")
    expect(box).not_to_be_checked()
    expect(find_button(page, "Reload")).to_be_hidden()  # the list is as it is
    box.click()
    expect(problem).to_be_hidden()
    expect(box).to_be_checked()


# The page, with the extras that it makes use of


def test_the_demo_serves_the_page(window: Page, demo: Service, demo_api: Api) -> None:
    """The demo's page uses the API that it came from."""
    expect(find_button(window, f"API: 127.0.0.1:{demo.port}, connected")).to_be_visible()
    demo_api.add("fix tap")
    reload_to(window, "fix tap")


@pytest.mark.parametrize(
    "folder", ["", "demo/"], ids=["file", "file in a folder named demo"]
)
def test_any_other_page_expects_the_usual_port(
    visit: Callable[..., Page], tmp_path: Path, folder: str
) -> None:
    """A page that is opened as a file expects the API where `make run` serves it."""
    file = tmp_path / folder / "index.html"
    file.parent.mkdir(exist_ok=True)
    shutil.copy(ROOT / "examples/index.html", file)
    page = visit(None, file.as_uri())
    expect(
        page.get_by_role("button", name=re.compile("^API: 127.0.0.1:8000, "))
    ).to_be_visible()
    filter_by(page, "Completed")
    expect(page).to_have_url(re.compile("^file:.*view=completed$"))


def test_completed_notes_are_cleared_at_once(window: Page, demo_api: Api) -> None:
    """Where the API deletes and stores many notes at once, the page sends one request for each."""
    calls: list[str] = []

    def note_write(request: Request) -> None:
        if request.method != "GET":
            path = request.url.partition("/notes/")[2]
            calls.append(f"{request.method} {path}")

    window.on("request", note_write)
    check_clearing(window, demo_api)
    assert calls == ["DELETE ?completed=true", "POST batch/"]


def test_two_windows_stay_in_step(window: Page) -> None:
    """What is added, ticked, edited or deleted in one window is seen in the other by itself."""
    other_window = window.context.new_page()
    other_window.goto(window.url)
    expect(other_window.get_by_role("status")).to_have_text("No notes")
    window.get_by_label("New note").focus()
    window.keyboard.type("fix tap\nbuy soap\ncall Ana\n")
    expect(find_texts(other_window)).to_have_text(["call Ana", "buy soap", "fix tap"])
    other_window.get_by_role("checkbox", name="Completed: fix tap").click()
    find_button(window, "Edit: buy soap").click()
    window.get_by_label("Text of the note").fill("buy milk")
    window.keyboard.press("Enter")
    expect(find_texts(other_window)).to_have_text(["call Ana", "buy milk", "fix tap"])
    expect(window.get_by_role("checkbox", name="Completed: fix tap")).to_be_checked()
    expect(window.get_by_role("status")).to_have_text("3 notes, 2 left")
    find_button(other_window, "Clear completed").click()
    find_button(window, "Delete: call Ana").click()
    for page in (window, other_window):
        expect(find_texts(page)).to_have_text(["buy milk"])
        expect(page.get_by_role("status")).to_have_text("1 note, 1 left")


def test_others_changes_leave_alone_what_one_does(window: Page, demo_api: Api) -> None:
    """An editor keeps its text and a control its focus while others change the list."""
    (first_id, second_id, third_id) = demo_api.add("edited", "focused", "deleted")
    reload_to(window, "deleted", "focused", "edited")
    find_button(window, "Edit: edited").click()
    window.get_by_label("Text of the note").fill("mine")
    find_button(window, "Delete: focused").focus()
    demo_api.change(first_id, text="theirs")
    demo_api.change(second_id, text="changed")
    demo_api.delete(third_id)
    demo_api.add("new")
    expect(find_texts(window)).to_have_text(["new", "changed"])
    expect(find_button(window, "Delete: changed")).to_be_focused()
    expect(window.get_by_label("Text of the note")).to_have_value("mine")
    window.get_by_label("Text of the note").press("Enter")
    expect(window.get_by_text("it is now active and says “theirs”.")).to_be_visible()
    find_button(window, "Keep theirs").click()
    demo_api.delete(second_id)
    expect(find_texts(window)).to_have_text(["new", "theirs"])


def test_a_database_that_comes_back_is_noticed(
    window: Page, demo_api: Api, demo_database: Path
) -> None:
    """While the database is away the page says so by itself, and no longer."""
    demo_api.add("fix tap")
    expect(find_texts(window)).to_have_text(["fix tap"])
    run_sql(demo_database, "ALTER TABLE notes RENAME TO others")
    try:
        expect(window.get_by_role("alert").first).to_be_visible()
        expect(find_texts(window)).to_have_text(["fix tap"])
    finally:
        run_sql(demo_database, "ALTER TABLE others RENAME TO notes")
    expect(window.get_by_role("alert").first).to_be_hidden()
    demo_api.add("buy soap")
    expect(find_texts(window)).to_have_text(["buy soap", "fix tap"])


def test_a_crash_is_survived(window: Page, demo: Service) -> None:
    """A page that follows a list follows it again when the workers were killed."""
    for worker in psutil.Process(demo.process.pid).children():
        worker.kill()
    demo.wait()
    with httpx2.Client(base_url=demo.url) as client:
        Api(client).add("fix tap")
        expect(find_texts(window)).to_have_text(["fix tap"])
        Api(client).add("buy soap")
        expect(find_texts(window)).to_have_text(["buy soap", "fix tap"])
    expect(window.get_by_role("alert").first).to_be_hidden()


# The page, as it looks and sounds


def show_notes(page: Page, api: Api) -> None:
    """Show notes of all kinds, more than one page of them."""
    api.add(*(f"note {number}" for number in range(20)))
    api.add("", "word " * 200, "לקנות חלב")
    api.add("fix tap", completed=True)
    page.reload()
    page.get_by_role("button", name="Show all").click()
    expect(page.get_by_role("status")).to_have_text("20 of 24 notes, 23 left")


def show_editors(page: Page, api: Api) -> None:
    """Show an editor, and another that has met someone else's change."""
    (note_id, _) = api.add("edited", "open")
    reload_to(page, "open", "edited")
    find_button(page, "Edit: open").click()
    find_button(page, "Edit: edited").click()
    areas = page.get_by_label("Text of the note")
    expect(areas).to_have_count(2)
    areas.last.fill("mine")
    api.change(note_id, text="theirs")
    areas.last.press("Enter")
    expect(page.get_by_text("Someone else")).to_be_visible()


def show_remains(page: Page, api: Api) -> None:
    """Show a deleted note, and one that someone else has changed."""
    (note_id, _) = api.add("changed", "deleted")
    reload_to(page, "deleted", "changed")
    find_button(page, "Delete: deleted").click()
    expect(page.get_by_role("button", name="Undo")).to_be_focused()
    api.change(note_id, text="theirs")
    page.get_by_role("checkbox").click()
    expect(page.get_by_text("Someone else")).to_be_visible()


def show_refusal(page: Page, _: Api) -> None:
    """Show what the API says against a value."""
    page.get_by_label("New note").fill("x" * 65_537)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()


def show_nothing_found(page: Page, api: Api) -> None:
    """Show a search and a filter that match nothing."""
    api.add("fix tap")
    filter_by(page, "Completed")
    page.get_by_label("Search").fill("soap")
    expect(page.get_by_text("Nothing matches.")).to_be_visible()


def show_no_notes(page: Page, _: Api) -> None:
    """Show that there are no notes."""
    expect(page.get_by_text("Write the first one above.")).to_be_visible()


def show_no_server(page: Page, _: Api) -> None:
    """Show that the API cannot be reached."""
    page.context.set_offline(True)
    filter_by(page, "Active")
    expect(find_button(page, "Reload")).to_be_visible()


def show_settings(page: Page, _: Api) -> None:
    """Show the settings."""
    page.get_by_role("button", name=re.compile("^API: ")).click()
    expect(page.get_by_role("dialog")).to_be_visible()


STATES = (
    show_no_notes,
    show_notes,
    show_nothing_found,
    show_editors,
    show_remains,
    show_refusal,
    show_no_server,
    show_settings,
)


@pytest.mark.parametrize("show", STATES, ids=[show.__name__ for show in STATES])
def test_axe_finds_nothing(
    page: Page, api: Api, show: Callable[[Page, Api], None]
) -> None:
    """Names, roles, contrast and all else that axe checks are right in every state and theme."""
    show(page, api)
    assert find_violations(page) == []


def test_placeholders_are_as_readable_as_text(page: Page, api: Api) -> None:
    """A placeholder has the colours of an empty note, whose contrast axe does check."""
    api.add("")
    reload_to(page, "Empty note")
    colours = """(ids) => ids.map(([selector, part]) =>
        getComputedStyle(document.querySelector(selector), part).color)"""
    parts = [[".text", ""], ["#new", "::placeholder"], ["[name=q]", "::placeholder"]]
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        assert len(set(page.evaluate(colours, parts))) == 1


def test_controls_are_large_enough(page: Page, api: Api) -> None:
    """Whatever is clicked is at least 24 pixels wide and high (WCAG 2.2, 2.5.8)."""
    show_notes(page, api)
    find_button(page, "Delete: note 10").click()
    find_button(page, "Edit: note 9").click()
    expect(page.get_by_label("Text of the note")).to_be_focused()
    page.set_viewport_size({"width": 320, "height": 800})
    controls = page.locator(
        ":is(button, input:not(.unseen), textarea, fieldset label):visible"
    )
    sizes = controls.evaluate_all(
        "all => all.map((e) => [e.offsetWidth, e.offsetHeight])"
    )
    assert len(sizes) > 60
    assert [size for size in sizes if min(size) < 24] == []


def test_themes_follow_the_system(page: Page) -> None:
    """The page is dark where the system is, and light elsewhere."""
    background = "getComputedStyle(document.documentElement).backgroundColor"
    lightness = f"Number({background}.match(/\\d+/)[0])"
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(lightness)
    page.emulate_media(color_scheme="light")
    assert dark < 50 < 200 < page.evaluate(lightness)


def test_focus_is_visible(page: Page, api: Api) -> None:
    """Whatever has the focus of the keyboard has an outline, a radio button by its label."""
    api.add("fix tap")
    reload_to(page, "fix tap")
    outline = """() => {
        const focused = document.activeElement;
        const shown = focused.type === "radio" ? focused.parentElement : focused;
        return [focused.tagName, getComputedStyle(shown).outlineStyle];
    }"""
    page.keyboard.press("Shift+Tab")
    tags = ["BUTTON", "TEXTAREA", "BUTTON", "INPUT", "INPUT", "INPUT", "BUTTON", "BUTTON"]
    for tag in tags:  # connection, text, add, filter, search, tick, edit, delete
        assert page.evaluate(outline) == [tag, "solid"]
        page.keyboard.press("Tab")


def test_the_page_fits(page: Page, api: Api) -> None:
    """Nothing is wider than the window or cut off, however long a word and narrow the window."""
    word = "x" * 300
    api.add(word, f"{word}edited", f"{word}deleted")
    page.reload()
    page.get_by_label("New note").fill(word)
    page.locator(".delete").nth(0).click()
    page.locator(".edit").nth(0).click()
    expect(page.get_by_label("Text of the note")).to_be_focused()
    for width in (320, 390, 1200):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.scrollingElement.scrollWidth") == width
        count_script = (
            "all => all.filter((text) => text.scrollWidth > text.clientWidth).length"
        )
        assert find_texts(page).evaluate_all(count_script) == 0


def test_the_page_is_one_file(page: Page, service: Service, origin: str) -> None:
    """The page loads nothing but itself and the notes."""
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    page.reload()
    expect(page.get_by_role("status")).to_have_text("No notes")
    assert {url.split("?")[0] for url in urls} == {f"{origin}/", f"{service.url}/notes/"}


# Any page of another origin


def read_exposed(answer: Any) -> dict[str, str]:
    """Return the headers that a page can read because the service exposes them."""
    return {
        name: value for name, value in answer["headers"].items() if name not in SAFELISTED
    }


def test_headers_are_readable(
    other_origin_page: Page, service: Service, api: Api
) -> None:
    """A page of any origin reads ETag, Location, Link and X-Total-Count."""
    url = f"{service.url}/notes/"
    post_answer = fetch(
        other_origin_page, url, method="POST", headers=JSON, body='{"text": "fix tap"}'
    )
    path = f"/notes/{post_answer['body']['id']}/"
    get_answer = fetch(other_origin_page, service.url + path)
    assert read_exposed(post_answer) == read_exposed(get_answer) | {"location": path}
    assert read_exposed(get_answer).keys() == {"etag"}
    api.add("buy soap")
    list_answer = fetch(other_origin_page, f"{url}?take=1&count=true")
    assert read_exposed(list_answer)["x-total-count"] == "2"
    target = list_answer["headers"]["link"].removeprefix("<").partition(">")[0]
    next_answer = fetch(other_origin_page, str(httpx2.URL(url).join(target)))
    assert [note["text"] for note in next_answer["body"]] == ["buy soap"]


def test_a_cached_note_is_asked_for_again(
    other_origin_page: Page, service: Service, api: Api
) -> None:
    """The browser's own cache sends If-None-Match, and the page gets the note by a 304."""
    (note_id,) = api.add("fix tap")
    url = f"{service.url}/notes/{note_id}/"
    first = fetch(other_origin_page, url)
    assert fetch(other_origin_page, url) == first
    assert f'"GET /notes/{note_id}/ HTTP/1.1" 304' in service.log.read_text()
    api.change(note_id, text="theirs")
    assert fetch(other_origin_page, url)["body"]["text"] == "theirs"


@pytest.mark.parametrize(
    ("status", "method", "path", "headers", "body"),
    [
        (400, "POST", "/notes/", JSON, "{"),
        (401, "GET", "/notes/", {"Authorization": "Bearer wrong"}, None),
        (404, "GET", f"/notes/{HIGHEST}/", {}, None),
        (404, "GET", "/nowhere", {}, None),
        (405, "PUT", "/notes/", JSON, "{}"),
        (412, "PATCH", "/notes/{note_id}/", {**JSON, "If-Match": '"another"'}, "{}"),
        (413, "POST", "/notes/", JSON, " " * (LIMIT + 1)),
        (415, "POST", "/notes/", {"Content-Type": "text/plain"}, "{}"),
        (422, "POST", "/notes/", JSON, '{"text": 1}'),
    ],
    ids=["400", "401", "404-note", "404-path", "405", "412", "413", "415", "422"],
)
def test_errors_are_readable(
    other_origin_page: Page,
    service_with_key: Service,
    status: int,
    method: str,
    path: str,
    headers: dict[str, str],
    body: str | None,
) -> None:
    """A page reads every refusal, as a problem with a message."""
    key_headers = {"Authorization": f"Bearer {KEY}"}
    note = httpx2.post(
        f"{service_with_key.url}/notes/", json={"text": "fix tap"}, headers=key_headers
    ).json()
    url = service_with_key.url + path.format(note_id=note["id"])
    answer = fetch(
        other_origin_page, url, method=method, headers=key_headers | headers, body=body
    )
    check_problem(answer, status)


def check_problem(answer: Any, status: int) -> None:
    """Check that a page got a problem of a status."""
    assert (answer["status"], answer["body"]["status"]) == (status, status)
    assert answer["headers"]["content-type"] == "application/problem+json"
    assert answer["body"]["message"] == answer["body"]["detail"] != ""


def test_a_busy_database_is_readable(
    other_origin_page: Page, service_with_key: Service, database_with_key: Path
) -> None:
    """A page reads a 503, and when to try again."""
    with contextlib.closing(sqlite3.connect(database_with_key)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        headers = {**JSON, "Authorization": f"Bearer {KEY}"}
        options = {"method": "POST", "headers": headers, "body": '{"text": "fix tap"}'}
        answer = fetch(other_origin_page, f"{service_with_key.url}/notes/", **options)
    check_problem(answer, 503)
    assert read_exposed(answer) == {"retry-after": "1"}


def test_a_bug_is_readable(other_origin_page: Page, faulty: Service) -> None:
    """A page reads a 500."""
    check_problem(fetch(other_origin_page, f"{faulty.url}/bug/"), 500)


def test_a_slow_database_is_readable(
    other_origin_page: Page, faulty: Service, faulty_database: str
) -> None:
    """A page reads a 504."""
    faulty.wait("/readyz")
    with psycopg.connect(faulty_database) as connection:
        connection.execute("LOCK TABLE notes")
        answer = fetch(other_origin_page, f"{faulty.url}/notes/")
    check_problem(answer, 504)


def test_credentials_need_a_listed_origin(
    other_origin_page: Page, service: Service, service_with_key: Service
) -> None:
    """Credentials are for the origins that are listed, and never for any origin at all."""
    answer = fetch(
        other_origin_page, f"{service_with_key.url}/livez", credentials="include"
    )
    assert answer["body"] == {"status": "ok"}
    with pytest.raises(Error, match="Failed to fetch"):
        fetch(other_origin_page, f"{service.url}/livez", credentials="include")


def test_other_origins_read_nothing(
    context: BrowserContext, service_with_key: Service
) -> None:
    """A page whose origin is not listed reads no answer and sends no write, key or not."""
    headers = {**JSON, "Authorization": f"Bearer {KEY}"}
    write = {"method": "POST", "headers": headers, "body": '{"text": "from elsewhere"}'}
    with serve_page() as other_origin, context.new_page() as page:
        page.goto(f"{other_origin}/nowhere")
        for path, options in (("/livez", {}), ("/notes/", write)):
            with pytest.raises(Error, match="Failed to fetch"):
                fetch(page, service_with_key.url + path, **options)
    response = httpx2.get(
        f"{service_with_key.url}/notes/", params={"q": "from elsewhere"}, headers=headers
    )
    assert response.json() == []


def test_docs_lead_on_without_their_script(browser: Browser, service: Service) -> None:
    """Where the CDN cannot be reached, /docs has a link to the document."""
    with browser.new_context() as context:
        page = context.new_page()
        page.route("**/cdn.jsdelivr.net/**", lambda route: route.abort())
        page.goto(service.url)
        page.get_by_role("link", name="openapi.json").click()
        expect(page.locator("body")).to_contain_text('"title":"Notes"')
