"""The page of examples/index.html in Chromium, and what pages of other origins can read."""

import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect

from tests.browser import KEY, Api, Window, serve_page, start_api, start_browser
from tests.servers import ROOT, Service, free_port, wait_until

HEBREW = "לקנות חלב"
# A radio is by its label.
OUTLINED = "document.querySelector(':focus, label:has(:focus)')"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A running Chromium."""
    with start_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The service with the extras that the page uses, and the page; two workers."""
    start = partial(Service.gunicorn, app="examples.demo:app")
    with start_api(tmp_path_factory.mktemp("demo"), start) as api:
        yield api


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """What windows share; at its end, none has thrown an error that nobody caught."""
    errors: list[Error] = []
    permissions = ["clipboard-read", "clipboard-write"]
    with browser.new_context(permissions=permissions) as context:
        context.on("weberror", lambda error: errors.append(error.error))
        yield context
    assert errors == []


@pytest.fixture
def window(context: BrowserContext, api: Api) -> Window:
    """The demo's page, showing that there are no notes."""
    api.sql("DELETE FROM notes")
    window = Window(context, f"{api.url}/demo/")
    window.counts("No notes")
    return window


# TodoMVC's specification, point by point


def test_no_todos_new_todo_and_counter(window: Window, api: Api) -> None:
    """Without notes all about them is hidden; Enter and Add store a text trimmed; it counts."""
    heading = window.page.get_by_role("heading", level=1)
    controls = [window.toggle, window.search, window.count, window.page.locator("#find")]
    for control in controls:
        expect(control).to_be_hidden()
    expect(heading).to_have_text("A clean sheet")
    expect(window.field).to_be_focused()
    window.page.keyboard.type("  fix tap \n   \nbuy soap")
    window.counts("1 note, 1 left")
    for control in controls:
        expect(control).to_be_visible()
    window.page.evaluate("navigator.clipboard.writeText('\\nmilk ')")
    window.page.keyboard.press("Control+V")
    window.button("Add").click()
    window.counts("2 notes, 2 left")
    expect(window.count.locator("strong")).to_have_text("2")
    expect(window.field).to_have_value("")
    assert api.notes() == [("buy soap\nmilk", False), ("fix tap", False)]


def check_many(window: Window, api: Api) -> None:
    """Check what one box and one button do to many notes, and that it is undone."""
    api.add("buy soap")
    api.add("fix tap", completed=True)
    api.add("call Ana")
    window.reload("call Ana", "fix tap", "buy soap")
    window.toggle.click()
    window.counts("3 notes, none left")
    window.button("Undo: completed 2 notes").click()
    window.counts("3 notes, 2 left")
    expect(window.box("fix tap")).to_be_checked()
    window.box("call Ana").click()
    expect(window.toggle).not_to_be_checked()
    window.box("buy soap").click()
    expect(window.toggle).to_be_checked()
    window.toggle.click()
    window.counts("3 notes, 3 left")
    window.search.fill("p")
    window.shows("fix tap", "buy soap")
    window.toggle.click()
    window.counts("2 notes with “p”, none left")
    window.search.fill("")
    window.counts("3 notes, 1 left")
    window.button("Clear completed").click()
    window.focuses("Undo: deleted 2 notes")
    window.counts("1 note, 1 left")
    expect(window.toggle).not_to_be_checked()
    expect(window.button("Clear completed")).to_be_hidden()
    assert api.notes() == [("call Ana", False)]
    window.page.keyboard.press("Enter")
    window.shows("call Ana", "fix tap", "buy soap")
    assert sorted(api.notes())[0::2] == [("buy soap", True), ("fix tap", True)]


def test_mark_all_and_clear_completed(window: Window, api: Api) -> None:
    """A box ticks all notes that are found, or none, and follows them; a button clears."""
    check_many(window, api)
    assert [write for write in window.writes() if not re.match(r"PATCH \d", write)] == [
        "PATCH ?completed=false",
        "PATCH ?completed=true",
        "PATCH ?completed=false&q=p",
        "DELETE ?completed=true",
        "POST batch/",
    ]


def test_items(window: Window, api: Api) -> None:
    """A note's box strikes it out, the pointer shows the button that deletes, and Undo undoes."""
    api.add("buy soap", "fix tap")
    stroke = window.texts.first.locator("span")
    for completed, length in ((True, "^100% "), (False, "^0px "), (True, "^100% ")):
        window.box("fix tap").click()
        expect(stroke).to_have_css("background-size", re.compile(length))
        window.counts(f"2 notes, {2 - completed} left")
        assert api.notes() == [("fix tap", completed), ("buy soap", False)]
    window.field.click()
    expect(window.button("Delete: fix tap")).to_have_css("opacity", "0")
    window.texts.first.hover()
    expect(window.button("Delete: fix tap")).to_have_css("opacity", "1")
    window.button("Delete: fix tap").click()
    window.shows("buy soap")
    window.button("Undo: deleted fix tap").click()
    window.shows("fix tap", "buy soap")
    assert api.notes() == [("fix tap", True), ("buy soap", False)]


def test_editing(window: Window, api: Api) -> None:
    """Double click edits, Enter and leaving save what is trimmed, nothing deletes, Esc leaves."""
    api.add("fix tap")
    window.texts.dblclick()
    expect(window.editor).to_be_focused()
    expect(window.editor).to_have_value("fix tap")
    for control in (window.box("fix tap"), window.button("Delete: fix tap")):
        expect(control).to_be_hidden()
    window.editor.press("Enter")
    window.edit("fix tap", " fix tap ", "Enter")
    window.edit("fix tap", "another text", "Escape")
    window.edit("fix tap", "another text")
    window.button("Cancel").click()
    window.focuses("Edit: fix tap")
    assert window.writes() == []
    window.edit("fix tap", "  fix tap", "Shift+Enter")
    window.editor.press_sequentially("in the kitchen \n")
    window.edit("fix tap\nin the kitchen", " by leaving ")
    window.choose("Completed")
    window.button("Show all notes").click()
    window.edit("by leaving", "by typing")
    window.search.press_sequentially("typ")
    window.counts("1 note with “typ”, 1 left")
    window.edit("by typing", "  ", "Enter")
    window.button("Undo: deleted by typing").click()
    window.shows("by typing")
    window.add("buy soap")  # which the search would hide
    window.shows("buy soap", "by typing")
    assert api.notes() == [("buy soap", False), ("by typing", False)]


def test_persistence_and_routing(window: Window, api: Api) -> None:
    """The filter is in the URL, for a reload and for Back; a note that is ticked leaves."""
    api.add("fix tap", "buy soap")
    api.add("call Ana", completed=True)
    window.choose("Completed")
    window.counts("1 completed note, 2 left")
    window.choose("Active")
    window.box("buy soap").click()
    window.counts("1 active note")
    expect(window.box("fix tap")).to_be_focused()
    window.button("Edit: fix tap").click()
    window.reload("fix tap")  # with no editor, as nothing was typed
    expect(window.page.get_by_role("radio", name="Active")).to_be_checked()
    window.page.go_back()
    window.shows("call Ana", "buy soap")
    window.page.go_back()
    window.shows("call Ana", "buy soap", "fix tap")


# What is typed is never lost


def test_an_editor_outlives_the_list(window: Window, api: Api) -> None:
    """What cannot be stored yet stays in its editor, whatever is clicked, typed or reloaded."""
    api.add("fix tap", "buy soap")
    window.edit("fix tap", "mine")
    window.page.context.set_offline(True)
    # A slow click: what is said of the editor that is left moves nothing from under it.
    window.page.get_by_text("Completed", exact=True).click(delay=300)
    expect(window.problem).to_contain_text("cannot be reached. Is it running?")
    window.search.fill("soap")
    expect(window.page).to_have_url(re.compile("q=soap"))
    expect(window.editor).to_have_value("mine")
    window.page.context.set_offline(False)
    window.counts("No completed notes with “soap”, 1 left")
    expect(window.problem).to_be_empty()
    window.page.reload()
    expect(window.editor).to_have_value("mine")
    window.editor.press("Enter")
    expect(window.editor).to_be_hidden()
    assert api.notes() == [("buy soap", False), ("mine", False)]


def test_a_draft_survives(window: Window, api: Api) -> None:
    """What is typed as a new note, or was refused, is there after a reload and in all windows."""
    window.field.fill("half a thou")
    other = Window(window.page.context, window.page.url)
    expect(other.field).to_have_value("half a thou")
    too_long = "x" * 65_537
    window.add(too_long)
    refusal = api.client.post("/notes/", json={"text": too_long}).json()["message"]
    expect(window.problem).to_have_text(refusal)
    window.page.reload()
    expect(window.field).to_have_value(too_long)
    window.add("a thought")
    other.shows("a thought")
    for each in (window, other):
        expect(each.field).to_have_value("")


def test_an_edit_meets_another(window: Window, api: Api) -> None:
    """Who edits what someone else has changed or deleted sees that, and decides, also later."""
    changed = "Someone else changed this: it is now completed and says “theirs”."
    deleted = "Someone else deleted this."
    for choice, notice, notes in (
        ("Save mine", changed, [("mine", True)]),
        ("Keep theirs", changed, [("theirs", True)]),
        ("Save mine", deleted, [("mine", False)]),
        ("Drop mine", deleted, []),
    ):
        api.sql("DELETE FROM notes")
        api.add("fix tap")
        window.shows("fix tap")
        window.edit("fix tap", "mine")
        change = "UPDATE notes SET text = 'theirs', completed = 1"
        api.sql(change if notice == changed else "DELETE FROM notes")
        window.editor.press("Enter")
        window.says(notice)
        window.field.click()  # leaving decides nothing
        window.page.reload()
        window.says(notice)
        expect(window.editor).to_have_value("mine")
        window.button(choice).click()
        window.shows(*(text for text, _ in notes))
        assert api.notes() == notes


def test_addresses_are_links(window: Window, api: Api) -> None:
    """Web addresses are links that tell nothing of this page; all else is text as written."""
    text = "<img src=x onerror='document.body.remove()'><b>bold</b> & javascript:alert(1)"
    text += " (https://a.example/b?c=d), HTTP://E.example/f_(g). https://:0"
    window.add(text)
    window.shows(text)
    links = window.texts.locator("a")
    expect(links).to_have_text(["https://a.example/b?c=d", "HTTP://E.example/f_(g)"])
    expect(links.first).to_have_attribute("rel", "noopener noreferrer")
    api.add("http://" + "." * 60_000)  # which no rule for the end takes long to read
    expect(window.texts).to_have_count(2)


def test_time(window: Window, api: Api) -> None:
    """A search goes after 0.2 seconds, a busy sign comes after one, Undo stays for ten or more."""
    api.add("fix tap", "buy soap")
    window.shows("buy soap", "fix tap")
    clock = window.page.clock
    clock.install(time=0)
    clock.pause_at(1000)
    window.requests.clear()
    held: list[Callable[[], None]] = []
    window.page.route(re.compile("q=5"), lambda route: held.append(route.continue_))
    window.search.press_sequentially("50%")
    clock.run_for(199)
    assert window.requests == []
    with window.page.expect_request(re.compile("q=50%25$")):
        clock.run_for(1)
    sign = window.page.get_by_role("progressbar", name="Waiting for the API")
    clock.run_for(999)
    expect(sign).to_be_hidden()
    clock.run_for(1)
    expect(sign).to_be_visible()
    with window.page.expect_event("requestfailed", lambda r: r.url.endswith("q=50%25")):
        window.search.fill("soap")  # so that a late answer is dropped
        clock.run_for(200)
    window.shows("buy soap")
    expect(sign).to_be_hidden()
    window.button("Delete: buy soap").press("Enter")
    window.focuses("Undo: deleted buy soap")
    clock.run_for(60_000)
    window.focuses("Undo: deleted buy soap")
    window.field.focus()
    clock.run_for(1000)
    expect(window.button("Undo: deleted buy soap")).to_be_hidden()


def test_more_is_loaded_by_link(window: Window, api: Api) -> None:
    """A press shows up to 1,000 notes, the next as many more; the box for all ticks all."""
    numbers = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n)"
    rows = "SELECT 'note ' || i, 0 FROM n LIMIT 1010"
    api.sql(f"{numbers} INSERT INTO notes (text, completed) {rows}")
    for shown, focused in ((20, 990), (1000, 10)):
        window.counts(f"{shown} of 1010 notes, 1010 left")
        window.button("Show more").click()
        window.focuses(f"Edit: note {focused}")
    names = [f"note {number}" for number in range(1010, 0, -1)]
    assert window.texts.all_text_contents() == names
    expect(window.button("Show more")).to_be_hidden()
    window.toggle.click()
    window.focuses("Undo: completed 1010 notes")


def test_texts_of_all_kinds(window: Window, api: Api) -> None:
    """Long notes are cut and shown by a button, empty ones named, Hebrew runs from the right."""
    api.add("\n".join("abcdefghi"), "\n".join("abcdefgh"), "word " * 200, " \n", HEBREW)
    expect(window.texts).to_have_count(5)
    is_cut = "text => text.scrollHeight > text.clientHeight"
    cut = [text.evaluate(is_cut) for text in window.texts.all()]
    assert cut == [False, False, True, False, True]
    for name, still_cut in (("Show all", False), ("Show less", True)):
        window.page.get_by_role("button", name=name).last.click()
        assert window.texts.last.evaluate(is_cut) == still_cut
    window.edit("empty note", HEBREW)
    for text in (window.editor, window.texts.first):
        expect(text).to_have_css("direction", "rtl")


def test_the_keyboard_is_enough(window: Window, api: Api) -> None:
    """Ticking, editing, deleting and Undo need no pointer, and it is seen where the focus is."""
    window.add("fix tap")
    window.shows("fix tap")
    for _ in range(6):  # Add, the filters, the search, the box for all, the note's, edit
        window.page.keyboard.press("Tab")
        outline = window.page.evaluate(f"getComputedStyle({OUTLINED}).outlineStyle")
        assert outline == "solid"
    for keys, name in (
        ("Enter x Enter", "Edit: fix tapx"),
        ("Shift+Tab Space Tab Tab Enter", "Undo: deleted fix tapx"),
        ("Enter", "Edit: fix tapx"),
    ):
        for key in keys.split():
            window.page.keyboard.press(key)
        window.focuses(name)
    assert api.notes() == [("fix tapx", True)]


def test_a_click_meets_an_edit(window: Window, api: Api) -> None:
    """Who ticks or deletes what someone else has changed changes nothing, and sees it as it is."""
    api.add("fix tap", "buy soap")
    window.reload("buy soap", "fix tap")
    window.page.route("**/notes/?*", lambda route: route.abort())  # it hears of nothing
    api.sql("UPDATE notes SET text = text || ' today'")
    for name in ("Completed: fix tap", "Delete: buy soap"):
        window.page.get_by_label(name).click()
        window.focuses(f"Edit: {name.partition(' ')[2]} today")
    expect(window.page.get_by_text("Someone else changed this.")).to_have_count(2)
    assert api.notes() == [("buy soap today", False), ("fix tap today", False)]


def test_make_demo(context: BrowserContext, tmp_path: Path) -> None:
    """Its last line at the start is the page's address, / leads there, the API needs the key."""
    start = partial(Service, [sys.executable, "-m", "examples.demo"])
    with start_api(tmp_path, start, API_KEYS=KEY) as api:
        last_line = f"The page: {api.url}/demo/\n"
        wait_until(lambda: last_line in api.service.log.read_text())
        assert "Uvicorn running" in api.service.log.read_text().partition(last_line)[0]
        window = Window(context, api.url)
        refusal = api.client.get("/notes/").json()["message"]
        for key in ("", "wrong", KEY):
            expect(window.page.get_by_role("dialog").get_by_text(refusal)).to_be_visible()
            expect(window.page.get_by_label("Key", exact=True)).to_be_focused()
            window.connect(api.url, key)
        window.counts("No notes")
        api.client.headers["Authorization"] = f"Bearer {KEY}"
        api.add("fix tap")
        window.shows("fix tap")  # by a stream that has the key
        window.add("call Ana")
        window.shows("call Ana", "fix tap")
        api.sql("DELETE FROM notes WHERE text = 'call Ana'")
        window.shows("fix tap")  # which is what the stream told last
        window.reload("fix tap")
        urls = {request.url.partition("?")[0] for request in window.requests}
        assert urls == {f"{api.url}{path}" for path in ("/", "/demo/", "/notes/")}
        for name, path in (("API documentation", "/docs"), ("Source", "/demo/main.py")):
            link = window.page.get_by_role("link", name=name)
            expect(link).to_have_js_property("href", api.url + path)
            assert httpx2.get(api.url + path).status_code == 200


def test_nine_windows_stay_in_step(window: Window, api: Api) -> None:
    """More windows than a browser has connections show what is done in one of them, or beside."""
    windows = [window]
    for query in ("", "", "", "?q=a", "?q=t", "?q=ta", "?q=ap", "?view=active"):
        windows.append(Window(window.page.context, f"{api.url}/demo/{query}"))
        windows[-1].counts(re.compile("^No "))
    api.add("tap")
    for each in windows:
        each.shows("tap")
    for each in windows[:2]:  # so that others take their turn
        each.page.close()
    api.sql("UPDATE notes SET text = 'the tap'")
    for each in windows[2:]:
        each.shows("the tap")
    windows[2].edit("the tap", "a tap", "Enter")
    windows[3].box("a tap").click()
    windows[-1].counts("No active notes")
    windows[4].button("Clear completed").click()
    windows[5].shows()


def test_others_changes_leave_alone_what_one_does(window: Window, api: Api) -> None:
    """An editor keeps its text, and a control its focus, while others change the list."""
    api.add("edited", "focused")
    window.edit("edited", "mine")
    api.sql("UPDATE notes SET text = 'theirs' WHERE text = 'edited'")
    api.add("new")
    window.shows("new", "focused")
    expect(window.editor).to_be_focused()
    expect(window.editor).to_have_value("mine")
    window.editor.press("Escape")
    window.shows("new", "focused", "theirs")
    window.button("Delete: focused").focus()
    api.sql("UPDATE notes SET text = 'changed' WHERE text = 'focused'")
    window.focuses("Delete: changed")


def test_failures_are_noticed_and_survived(window: Window, api: Api) -> None:
    """The page says that the database is away, and follows again after that, or a crash."""
    api.add("fix tap")
    window.shows("fix tap")
    api.sql("ALTER TABLE notes RENAME TO others")
    expect(window.problem).not_to_be_empty()
    window.box("fix tap").click()
    expect(window.box("fix tap")).not_to_be_checked()
    api.sql("ALTER TABLE others RENAME TO notes")
    expect(window.problem).to_be_empty()
    for worker in api.service.workers():
        worker.kill()
    api.service.wait()
    api.sql("UPDATE notes SET completed = 1")
    window.counts("1 note, none left")
    expect(window.problem).to_be_empty()


def show_all(window: Window, api: Api) -> None:
    """Show notes of all kinds, an editor, a conflict, an Undo and a refusal."""
    api.add(*(f"note {number}" for number in range(15)), "", "word " * 200, HEBREW)
    api.add("fix https://tap.example/", "x" * 300, completed=True)
    api.add("edited", "open", "deleted")
    window.edit("edited", "mine")
    api.sql("UPDATE notes SET text = 'theirs' WHERE text = 'edited'")
    window.button("Save").click()
    window.says("Someone else changed this")
    window.button("Delete: deleted").click()
    window.page.get_by_role("button", name="Show all").click()
    window.field.fill("x" * 65_537)
    window.button("Add").click()
    expect(window.problem).not_to_be_empty()
    window.field.fill("x" * 300)
    window.button("Edit: open").click()
    expect(window.editor).to_have_count(2)


def test_axe_finds_nothing(window: Window, api: Api) -> None:
    """Names, roles, contrast and all that axe checks are right, small and large, light and dark."""
    window.says("Write the first one above.")
    assert window.violations() == []
    window.page.goto(f"{window.page.url}?q=nowhere")
    window.says("Nothing matches")
    assert window.violations() == []
    window.button("Show all notes").click()
    show_all(window, api)
    assert window.violations() == []
    window.page.locator("#connection").click()
    window.says("The key is only for an API that asks for one.")
    assert window.violations() == []


def test_phones(window: Window, browser: Browser, api: Api) -> None:
    """All fits in 320 pixels, what is pressed has 44; the system says how dark and how still."""
    with browser.new_context(
        has_touch=True, is_mobile=True, color_scheme="dark", reduced_motion="reduce"
    ) as context:
        window = Window(context, f"{api.url}/demo/")
        window.page.set_viewport_size({"width": 320, "height": 800})
        show_all(window, api)
        assert window.page.evaluate("document.getAnimations().length") == 0
        assert window.page.evaluate("document.scrollingElement.scrollWidth") == 320
        is_cut = "all => all.filter((text) => text.scrollWidth > text.clientWidth).length"
        assert window.texts.evaluate_all(is_cut) == 0
        expect(window.button("Edit: note 10")).to_have_css("opacity", "1")
        sizes = "all => all.map((e) => [e.offsetWidth, e.offsetHeight, e.outerHTML])"
        kinds = "button, input:not(.unseen), textarea, fieldset label, nav a"
        found = window.page.locator(f":is({kinds}):visible").evaluate_all(sizes)
        assert len(found) > 60
        assert [size for size in found if min(size[:2]) < 44] == []
        dark = "rgb(19, 22, 20)"
        expect(window.page.locator("html")).to_have_css("background-color", dark)


# Pages of other origins

# Readable without being exposed.
SAFELISTED = {"cache-control", "content-length", "content-type"}
JSON = {"Content-Type": "application/json"}
WITH_KEY = {**JSON, "Authorization": f"Bearer {KEY}"}
FETCH = """async ([url, options]) => {
    const answer = await fetch(url, options);
    const body = await answer.json();
    return { status: answer.status, headers: Object.fromEntries(answer.headers), body };
}"""


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """Where pages are served, apart from the API."""
    with serve_page() as origin:
        yield origin


@pytest.fixture
def page(context: BrowserContext, origin: str) -> Page:
    """A page of another origin, which does nothing by itself."""
    page = context.new_page()
    page.goto(f"{origin}/nowhere")
    return page


@pytest.fixture(scope="module")
def guarded(origin: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A service that wants KEY, takes pages of one origin only, and 1,000 bytes."""
    variables = {"API_KEYS": KEY, "CORS_ORIGINS": origin, "MAX_BODY_BYTES": "1000"}
    with start_api(tmp_path_factory.mktemp("guarded"), **variables) as api:
        api.client.headers.update(WITH_KEY)
        yield api


def fetch(page: Page, url: str, **options: Any) -> Any:
    """Return the status, the readable headers and the JSON of an answer, as a page gets them."""
    return page.evaluate(FETCH, [url, options])


def test_another_origin(context: BrowserContext, origin: str, tmp_path: Path) -> None:
    """What is wrong with an address is said; the right one is kept, and needs no extras."""
    dead = f"http://127.0.0.1:{free_port()}"
    with serve_page() as other, start_api(tmp_path) as api:
        window = Window(context, origin, dead)
        for url, says in (
            (dead, f"{dead}/ cannot be reached. Is it running?"),
            (origin, f"{origin}/ answers, but not with JSON. Is it the notes API?"),
            (other, f"{other}/ refuses pages from {origin}: its CORS_ORIGINS has to"),
        ):
            window.page.get_by_role("button", name=re.compile("not connected$")).click()
            window.connect(url)
            expect(window.problem).to_contain_text(says)
        window.button("API address and key").click()
        window.connect(api.url)
        window.counts("No notes")
        check_many(window, api)
        api.sql("UPDATE notes SET id = 100 WHERE text = 'fix tap'")
        window.box("fix tap").click()
        expect(window.problem).to_contain_text("There is no note with id")
        window.shows("fix tap", "call Ana", "buy soap")
    window = Window(context, (ROOT / "examples/index.html").as_uri())
    expect(window.page.locator("#connection")).to_have_text("127.0.0.1:8000")


def test_headers_are_readable(page: Page, api: Api) -> None:
    """A page of any origin reads ETag, Location, Link and X-Total-Count."""
    url, body = f"{api.url}/notes/", '{"text": "seen: fix tap"}'
    created = fetch(page, url, method="POST", headers=JSON, body=body)
    path = f"/notes/{created['body']['id']}/"
    note = fetch(page, api.url + path)
    assert created["headers"].keys() - SAFELISTED == {"etag", "location"}
    assert created["headers"]["etag"] == note["headers"]["etag"]
    assert created["headers"]["location"] == path
    api.add("seen: buy soap")
    first = fetch(page, f"{url}?q=seen&take=1&count=true")
    assert first["headers"].keys() - SAFELISTED == {"etag", "link", "x-total-count"}
    target = first["headers"]["link"].removeprefix("<").partition(">")[0]
    second = fetch(page, str(httpx2.URL(url).join(target)))
    assert [note["text"] for note in second["body"]] == ["seen: buy soap"]


def test_a_cached_note_is_asked_for_again(page: Page, guarded: Api) -> None:
    """The browser's own cache sends If-None-Match, and the page gets the note by a 304."""
    (note_id,) = guarded.add("fix tap")
    url = f"{guarded.url}/notes/{note_id}/"
    first = fetch(page, url, headers=WITH_KEY)
    assert fetch(page, url, headers=WITH_KEY) == first
    assert f'"GET /notes/{note_id}/ HTTP/1.1" 304' in guarded.service.log.read_text()
    guarded.sql(f"UPDATE notes SET text = 'theirs' WHERE id = {note_id}")
    assert fetch(page, url, headers=WITH_KEY)["body"]["text"] == "theirs"


def test_errors_are_readable(page: Page, guarded: Api) -> None:
    """A page reads every refusal, as a problem with a message."""
    path = f"/notes/{guarded.add('fix tap')[0]}/"
    cases: list[tuple[int, str, str, dict[str, str], str | None]] = [
        (401, "GET", path, {"Authorization": "Bearer wrong"}, None),
        (404, "GET", "/nowhere", {}, None),
        (412, "PATCH", path, {"If-Match": '"another"'}, "{}"),
        (413, "POST", "/notes/", {}, " " * 1001),
        (422, "POST", "/notes/", {}, '{"text": 1}'),
    ]
    for status, method, path, headers, body in cases:
        options = {"method": method, "headers": WITH_KEY | headers, "body": body}
        answer = fetch(page, guarded.url + path, **options)
        assert (answer["status"], answer["body"]["status"]) == (status, status)
        assert answer["headers"]["content-type"] == "application/problem+json"
        assert answer["body"]["message"] == answer["body"]["detail"] != ""


def test_other_origins_read_nothing(page: Page, api: Api, guarded: Api) -> None:
    """Credentials, and where origins are listed, answers and writes, are for these alone."""
    answer = fetch(page, f"{guarded.url}/livez", credentials="include")
    assert answer["body"] == {"status": "ok"}
    with pytest.raises(Error, match="Failed to fetch"):
        fetch(page, f"{api.url}/livez", credentials="include")
    write = {"method": "POST", "headers": WITH_KEY, "body": '{"text": "from elsewhere"}'}
    with serve_page() as origin:
        page.goto(f"{origin}/nowhere")
        for path, options in (("/livez", {}), ("/notes/", write)):
            with pytest.raises(Error, match="Failed to fetch"):
                fetch(page, guarded.url + path, **options)
    assert guarded.client.get("/notes/?q=from+elsewhere").json() == []
