"""The page of examples/ in Chromium, and what any page of another origin can read of the API."""

import contextlib
import functools
import re
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from playwright.sync_api import (
    Browser,
    Error,
    Locator,
    Page,
    Request,
    expect,
    sync_playwright,
)

from tests.servers import ROOT, Postgres, Service, free_port, needs

KEY = "correct-horse"
LIMIT = 1000  # bytes of a body, on the guarded service
HIGHEST = 2**63 - 1
SAFELISTED = {
    "cache-control",
    "content-length",
    "content-type",
}  # readable without being exposed
JSON = {"Content-Type": "application/json"}
# --no-sandbox: the sandbox does not start as root; the rest keeps Chromium off the network.
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FETCH = """async ([url, options]) => {
    const answer = await fetch(url, options);
    const body = await answer.json();
    return { status: answer.status, headers: Object.fromEntries(answer.headers), body };
}"""
# The texts that are shown, and the contrast (WCAG 2.2, 1.4.3) of each with what is behind it.
CONTRASTS = """() => {
    const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const luminance = (colour) => channels(colour).slice(0, 3)
        .map((c) => c / 255)
        .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = (element) => {
        const colour = getComputedStyle(element).backgroundColor;
        return channels(colour)[3] === 0 ? behind(element.parentElement) : colour;
    };
    const contrast = (element, pseudo) => {
        const both = [getComputedStyle(element, pseudo).color, behind(element)].map(luminance);
        return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    };
    const found = {};
    for (const element of document.querySelectorAll("body *")) {
        if (!element.checkVisibility()) continue;
        const own = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE);
        const text = own.map((node) => node.data.trim()).join("") || element.value;
        if (text) found[text] = contrast(element);
        if (element.placeholder) found[element.placeholder] = contrast(element, "::placeholder");
    }
    return found;
}"""

expect.set_options(timeout=15_000)


class QuietHandler(SimpleHTTPRequestHandler):
    """A handler of files that logs nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's
        """Log nothing."""


@contextlib.contextmanager
def serving_page() -> Iterator[str]:
    """Serve examples/ at an origin of its own, and lend that origin."""
    handler = functools.partial(QuietHandler, directory=ROOT / "examples")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.02}
        )
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """The origin of the page."""
    with serving_page() as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A running Chromium."""
    needs("chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium
        with chromium.launch(
            executable_path=shutil.which("chromium"), args=OPTIONS
        ) as browser:
            yield browser


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service as it is without any configuration."""
    folder = tmp_path_factory.mktemp("service")
    with Service.python(folder, DATABASE_URL=f"sqlite:///{folder}/notes.db") as service:
        yield service


@pytest.fixture(scope="module")
def guarded_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SQLite file of the guarded service."""
    return tmp_path_factory.mktemp("guarded") / "notes.db"


@pytest.fixture(scope="module")
def guarded(origin: str, guarded_database: Path) -> Iterator[Service]:
    """A service that wants a key, takes pages of one origin only, and bodies of LIMIT bytes."""
    with Service.python(
        guarded_database.parent,
        DATABASE_URL=f"sqlite:///{guarded_database}",
        CORS_ORIGINS=origin,
        API_KEYS=KEY,
        MAX_BODY_BYTES=str(LIMIT),
        DB_TIMEOUT="0.2",
    ) as service:
        yield service


class Api:
    """The notes as someone else reads and changes them."""

    def __init__(self, client: httpx2.Client) -> None:
        self.client = client

    def add(self, *texts: str, completed: bool = False) -> list[int]:
        """Store notes, and return their ids."""
        answers = [
            self.client.post("/notes/", json={"text": text, "completed": completed})
            for text in texts
        ]
        return [answer.raise_for_status().json()["id"] for answer in answers]

    def change(self, note_id: int, **members: Any) -> None:
        """Change a note."""
        self.client.patch(f"/notes/{note_id}/", json=members).raise_for_status()

    def delete(self, note_id: int) -> None:
        """Delete a note."""
        self.client.delete(f"/notes/{note_id}/").raise_for_status()

    def notes(self) -> list[tuple[str, bool]]:
        """Return up to 100 notes without their ids, newest first."""
        answer = self.client.get("/notes/", params={"take": 100, "sort": "-id"})
        return [
            (note["text"], note["completed"]) for note in answer.raise_for_status().json()
        ]


@pytest.fixture
def api(service: Service) -> Iterator[Api]:
    """The notes of the service, none at first."""
    with httpx2.Client(base_url=service.url) as client:
        api = Api(client)
        while notes := client.get("/notes/").json():
            for note in notes:
                api.delete(note["id"])
        yield api


@pytest.fixture
def visit(browser: Browser, origin: str) -> Iterator[Callable[..., Page]]:
    """Open the page for an API; at the end, no page has thrown an error that nobody caught."""
    errors: list[Error] = []
    with contextlib.ExitStack() as stack:

        def opened(api_url: str, page_origin: str = origin) -> Page:
            context = stack.enter_context(browser.new_context())
            context.add_init_script(f"localStorage.address ??= '{api_url}/'")
            page = context.new_page()
            page.on("pageerror", lambda error: errors.append(error))
            page.goto(page_origin)
            return page

        yield opened
    assert errors == []


@pytest.fixture
def page(visit: Callable[..., Page], service: Service, api: Api) -> Page:
    """The page, showing that there are no notes."""
    page = visit(service.url)
    expect(page.get_by_role("status")).to_have_text("No notes")
    return page


@pytest.fixture(scope="module")
def elsewhere(browser: Browser, origin: str) -> Iterator[Page]:
    """A page of another origin that does nothing by itself."""
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{origin}/nowhere")
        yield page


def texts(page: Page) -> Locator:
    """Return the texts of the notes in the list."""
    return page.get_by_role("button", name=re.compile("^Edit: "))


def show(page: Page, *wanted: str) -> None:
    """Reload the page, and wait until it shows these notes."""
    page.reload()
    expect(texts(page)).to_have_text(list(wanted))


def control(page: Page, name: str) -> Locator:
    """Return a button by its whole name."""
    return page.get_by_role("button", name=name, exact=True)


def connect(
    page: Page, opener: str | re.Pattern[str], address: str, key: str = ""
) -> None:
    """Fill in the address and the key of the API."""
    page.get_by_role("button", name=opener).click()
    page.get_by_label("Address").fill(address)
    page.get_by_label("Key", exact=True).fill(key)
    control(page, "Connect").click()


def fetch(page: Page, url: str, **options: Any) -> Any:
    """Return the status, the readable headers and the JSON of an answer, as a page gets them."""
    return page.evaluate(FETCH, [url, options])


# The page, used as intended


def test_a_note_is_added(page: Page, api: Api) -> None:
    """A new note is stored and counted, and the field is ready for the next one."""
    field = page.get_by_label("New note")
    field.fill("fix tap")
    field.press("Enter")
    expect(texts(page)).to_have_text(["fix tap"])
    field.fill("buy soap")
    control(page, "Add").click()
    expect(texts(page)).to_have_text(["buy soap", "fix tap"])
    expect(page.get_by_role("status")).to_have_text("2 notes")
    expect(field).to_have_value("")
    assert api.notes() == [("buy soap", False), ("fix tap", False)]


def test_a_new_note_is_seen_under_any_filter(page: Page, api: Api) -> None:
    """Adding a note leaves a filter or a search that would hide it."""
    page.get_by_role("radio", name="Completed").check(force=True)
    page.get_by_label("Search").fill("soap")
    expect(page.get_by_role("status")).to_have_text("No completed notes with “soap”")
    page.get_by_label("New note").fill("fix tap")
    control(page, "Add").click()
    expect(texts(page)).to_have_text(["fix tap"])
    expect(page.get_by_role("radio", name="All")).to_be_checked()
    expect(page.get_by_label("Search")).to_have_value("")


def test_a_note_is_edited_in_place(page: Page, api: Api) -> None:
    """Enter stores the edited text and returns to the note; lines stay lines."""
    api.add("fix tap")
    show(page, "fix tap")
    control(page, "Edit: fix tap").click()
    editor = page.get_by_label("Text of the note")
    expect(editor).to_be_focused()
    editor.fill("fix tap")
    editor.press("Shift+Enter")
    editor.press_sequentially("in the kitchen")
    editor.press("Enter")
    expect(texts(page)).to_have_text(["fix tap\nin the kitchen"])
    expect(texts(page)).to_be_focused()
    assert api.notes() == [("fix tap\nin the kitchen", False)]


def test_an_edit_is_left(page: Page, api: Api) -> None:
    """Escape leaves a note as it was."""
    api.add("fix tap")
    show(page, "fix tap")
    control(page, "Edit: fix tap").click()
    editor = page.get_by_label("Text of the note")
    editor.fill("something else")
    editor.press("Escape")
    expect(control(page, "Edit: fix tap")).to_be_focused()
    assert api.notes() == [("fix tap", False)]


def test_a_note_is_ticked(page: Page, api: Api) -> None:
    """The box of a note stores that it is completed, and that it is not."""
    api.add("fix tap")
    show(page, "fix tap")
    box = page.get_by_role("checkbox", name="Completed: fix tap")
    for completed in (True, False):
        with page.expect_response(lambda answer: answer.request.method == "PATCH"):
            box.click()
        expect(box).to_be_checked(checked=completed)
        assert api.notes() == [("fix tap", completed)]


def test_a_note_is_deleted_and_brought_back(page: Page, api: Api) -> None:
    """Undo stores a deleted note again, as it was and where it was."""
    api.add("buy soap")
    api.add("fix tap", completed=True)
    api.add("call Ana")
    show(page, "call Ana", "fix tap", "buy soap")
    control(page, "Delete: fix tap").click()
    undo = control(page, "Undo: delete fix tap")
    expect(undo).to_be_focused()
    expect(page.get_by_role("status")).to_have_text("2 notes")
    assert api.notes() == [("call Ana", False), ("buy soap", False)]
    undo.click()
    expect(texts(page)).to_have_text(["call Ana", "fix tap", "buy soap"])
    expect(page.get_by_role("checkbox", name="Completed: fix tap")).to_be_checked()
    expect(page.get_by_role("status")).to_have_text("3 notes")
    assert ("fix tap", True) in api.notes()


def test_the_list_is_filtered(page: Page, api: Api) -> None:
    """All, active and completed notes are shown and counted; a note that is ticked leaves."""
    api.add("fix tap", "buy soap")
    api.add("call Ana", completed=True)
    show(page, "call Ana", "buy soap", "fix tap")
    status = page.get_by_role("status")
    page.get_by_role("radio", name="Completed").check(force=True)
    expect(texts(page)).to_have_text(["call Ana"])
    expect(status).to_have_text("1 completed note")
    page.get_by_role("radio", name="Active").check(force=True)
    expect(texts(page)).to_have_text(["buy soap", "fix tap"])
    expect(status).to_have_text("2 active notes")
    page.get_by_role("checkbox", name="Completed: buy soap").click()
    expect(texts(page)).to_have_text(["fix tap"])
    expect(status).to_have_text("1 active note")
    expect(page.get_by_role("checkbox", name="Completed: fix tap")).to_be_focused()
    page.get_by_role("radio", name="All").check(force=True)
    expect(texts(page)).to_have_text(["call Ana", "buy soap", "fix tap"])


def test_search_waits_for_a_pause(page: Page, api: Api) -> None:
    """Three letters typed at once are one request, 200 ms after the last of them."""
    api.add("50% off soap", "fix 50 taps")
    show(page, "fix 50 taps", "50% off soap")
    searches: list[str] = []
    page.on("request", lambda request: searches.append(request.url))
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    page.get_by_label("Search").press_sequentially("50%")
    page.clock.run_for(199)
    assert searches == []
    page.clock.run_for(1)
    expect(texts(page)).to_have_text(["50% off soap"])
    expect(page.get_by_role("status")).to_have_text("1 note with “50%”")
    assert [httpx2.URL(url).params["q"] for url in searches] == ["50%"]


def test_a_late_answer_is_dropped(page: Page, api: Api) -> None:
    """A search that was typed over is given up, and only the last one is shown."""
    api.add("fix tap", "buy soap")
    show(page, "buy soap", "fix tap")

    def first(request: Request) -> bool:
        return request.url.endswith("q=tap")

    page.route(re.compile("q=tap$"), lambda _: None)  # never answered
    with page.expect_request(first):
        page.get_by_label("Search").fill("tap")
    with page.expect_event("requestfailed", first):
        page.get_by_label("Search").fill("soap")
    expect(texts(page)).to_have_text(["buy soap"])
    expect(page.get_by_role("alert")).to_be_hidden()


def test_more_is_loaded_by_link(page: Page, api: Api) -> None:
    """Each press shows one more page, of the same filter, until every note is there once."""
    names = [f"note {number}" for number in range(45, 0, -1)]
    api.add(*reversed(names))
    api.add("fix tap", completed=True)
    page.get_by_role("radio", name="Active").check(force=True)
    more = control(page, "Show more")
    expect(texts(page)).to_have_text(names[:20])
    more.click()
    expect(texts(page)).to_have_text(names[:40])
    expect(control(page, f"Edit: {names[20]}")).to_be_focused()
    more.click()
    expect(texts(page)).to_have_text(names)
    expect(more).to_be_hidden()
    expect(page.get_by_role("status")).to_have_text("45 active notes")


def test_markup_is_text(page: Page, api: Api) -> None:
    """What looks like HTML in a note is shown as it was written."""
    markup = "<img src=x onerror='document.body.remove()'><b>bold</b> & “quoted”"
    page.get_by_label("New note").fill(markup)
    control(page, "Add").click()
    expect(texts(page)).to_have_text([markup])
    show(page, markup)
    control(page, f"Delete: {markup}").click()
    expect(page.get_by_text(f"Deleted: {markup}")).to_be_visible()


def test_the_keyboard_is_enough(page: Page, api: Api) -> None:
    """Adding, ticking, editing, deleting and undo need no pointer, and focus is never lost."""
    for key in ("Tab", "Tab"):  # over the connection
        page.keyboard.press(key)
    page.keyboard.type("fix tap")
    page.keyboard.press("Enter")
    box = page.get_by_role("checkbox", name="Completed: fix tap")
    expect(box).to_be_visible()
    for key in (
        "Tab",
        "Tab",
        "Tab",
        "Tab",
    ):  # over the button, the filters and the search
        page.keyboard.press(key)
    expect(box).to_be_focused()
    with page.expect_response(lambda answer: answer.request.method == "PATCH"):
        page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Text of the note")).to_be_focused()
    page.keyboard.type(" today")
    page.keyboard.press("Enter")
    expect(control(page, "Edit: fix tap today")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(control(page, "Undo: delete fix tap today")).to_be_focused()
    assert api.notes() == []
    page.keyboard.press("Enter")
    expect(control(page, "Edit: fix tap today")).to_be_focused()
    assert api.notes() == [("fix tap today", True)]


# The page, when someone else is at work or something is wrong


@pytest.mark.parametrize(
    ("choice", "stored"),
    [("Save mine", "mine"), ("Keep theirs", "theirs")],
    ids=["mine", "theirs"],
)
def test_an_edit_meets_another(page: Page, api: Api, choice: str, stored: str) -> None:
    """Who edits what someone else has changed is told so, sees both texts, and decides."""
    (note_id,) = api.add("fix tap")
    show(page, "fix tap")
    control(page, "Edit: fix tap").click()
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
    control(page, choice).click()
    expect(texts(page)).to_have_text([stored])
    expect(notice).to_be_hidden()
    assert api.notes() == [(stored, True)]


@pytest.mark.parametrize(
    "tagged", [False, True], ids=["from a list", "from an earlier write"]
)
@pytest.mark.parametrize(
    "name", ["Completed: fix tap", "Delete: fix tap"], ids=["tick", "delete"]
)
def test_a_click_meets_an_edit(page: Page, api: Api, name: str, tagged: bool) -> None:
    """Who ticks or deletes what someone else has changed changes nothing, and sees it as it is."""
    if tagged:
        page.get_by_label("New note").fill("fix tap")
        control(page, "Add").click()
    else:
        api.add("fix tap")
        page.reload()
    expect(texts(page)).to_have_text(["fix tap"])
    api.change(api.client.get("/notes/").json()[0]["id"], text="theirs")
    page.get_by_label(name).click()
    expect(
        page.get_by_text("Someone else changed this. It is now as you see.")
    ).to_be_visible()
    expect(control(page, "Edit: theirs")).to_be_focused()
    expect(page.get_by_role("checkbox", name="Completed: theirs")).not_to_be_checked()
    assert api.notes() == [("theirs", False)]


def test_a_note_is_gone(page: Page, api: Api) -> None:
    """Ticking what someone else deleted shows the API's words; reloading the list removes it."""
    (note_id,) = api.add("fix tap")
    show(page, "fix tap")
    api.delete(note_id)
    page.get_by_role("checkbox", name="Completed: fix tap").click()
    expect(page.get_by_role("alert")).to_contain_text(
        [f"There is no note with id {note_id}."]
    )
    expect(page.get_by_role("checkbox", name="Completed: fix tap")).not_to_be_checked()
    control(page, "Reload").click()
    expect(page.get_by_role("status")).to_have_text("No notes")
    expect(page.get_by_role("main")).to_be_focused()


def test_a_refusal_is_readable(page: Page, api: Api) -> None:
    """What the API says against a value is shown, and what was typed stays."""
    too_long = "x" * 65_537
    page.get_by_label("New note").fill(too_long)
    control(page, "Add").click()
    refusal = api.client.post("/notes/", json={"text": too_long}).json()["message"]
    expect(page.get_by_role("alert")).to_have_text(refusal)
    expect(page.get_by_label("New note")).to_have_value(too_long)
    expect(control(page, "API address and key")).to_be_hidden()
    assert api.notes() == []


def test_the_api_is_away(visit: Callable[..., Page], service: Service, api: Api) -> None:
    """An address where nobody answers is named; the right one is kept for the next visit."""
    api.add("fix tap")
    nobody = f"http://127.0.0.1:{free_port()}"
    page = visit(nobody)
    alert = page.get_by_role("alert")
    expect(alert).to_have_text(f"{nobody}/ cannot be reached. Is it running?")
    expect(
        page.get_by_role("button", name=re.compile("^API: .*, not connected$"))
    ).to_be_visible()
    connect(page, "API address and key", service.url)
    expect(texts(page)).to_have_text(["fix tap"])
    expect(
        page.get_by_role("button", name=re.compile("^API: .*, connected$"))
    ).to_be_visible()
    show(page, "fix tap")


def test_the_network_goes_away(page: Page, api: Api) -> None:
    """What cannot be sent is undone on the page and said; it works again with the network."""
    api.add("fix tap")
    show(page, "fix tap")
    page.context.set_offline(True)
    box = page.get_by_role("checkbox", name="Completed: fix tap")
    box.click()
    expect(page.get_by_text("cannot be reached. Is it running?")).to_be_visible()
    expect(box).not_to_be_checked()
    page.context.set_offline(False)
    with page.expect_response(lambda answer: answer.request.method == "PATCH"):
        box.click()
    expect(page.get_by_text("cannot be reached. Is it running?")).to_be_hidden()
    assert api.notes() == [("fix tap", True)]


def test_another_server_answers(visit: Callable[..., Page], origin: str) -> None:
    """An address where something else answers is told apart from one where nobody does."""
    with serving_page() as other:
        page = visit(origin)
        expect(page.get_by_role("alert")).to_contain_text("Is it the notes API?")
        connect(page, "API address and key", other)
        expect(page.get_by_role("alert")).to_contain_text(
            f"{other}/ refuses pages from {origin}"
        )


def test_the_origin_is_refused(visit: Callable[..., Page], guarded: Service) -> None:
    """A page whose origin is not listed says which one CORS_ORIGINS has to name."""
    with serving_page() as other:
        page = visit(guarded.url, page_origin=other)
        expect(page.get_by_role("alert")).to_have_text(
            f"{guarded.url}/ refuses pages from {other}: its CORS_ORIGINS has to name that origin."
        )


def test_a_key_is_asked_for(visit: Callable[..., Page], guarded: Service) -> None:
    """Without its key the API's refusal is shown; with it all works, also at the next visit."""
    page = visit(guarded.url)
    alert = page.get_by_role("alert")
    expect(alert).to_have_text(httpx2.get(f"{guarded.url}/notes/").json()["message"])
    connect(page, "API address and key", guarded.url, KEY)
    page.get_by_label("New note").fill("fix tap")
    control(page, "Add").click()
    expect(texts(page).first).to_have_text("fix tap")
    page.reload()
    expect(texts(page).first).to_have_text("fix tap")
    connect(page, re.compile("^API: "), guarded.url, "wrong")
    expect(alert).to_contain_text("key")
    expect(texts(page).first).to_be_hidden()


# The page, as it looks and sounds


@pytest.fixture
def everything(page: Page, api: Api) -> Page:
    """The page, showing all that it can show."""
    _, edited, lost = api.add("deleted", "edited", "lost")
    api.add("done", completed=True)
    show(page, "done", "lost", "edited", "deleted")
    control(page, "Delete: deleted").click()
    control(page, "Edit: edited").click()
    page.get_by_label("Text of the note").fill("mine")
    api.change(edited, text="theirs")
    page.get_by_label("Text of the note").press("Enter")
    expect(page.get_by_text("Someone else")).to_be_visible()
    api.delete(lost)
    page.get_by_role("checkbox", name="Completed: lost").click()
    expect(control(page, "Reload")).to_be_visible()
    page.get_by_role("button", name=re.compile("^API: ")).click()
    return page


def test_text_has_contrast(everything: Page) -> None:
    """Every text has a contrast of at least 4.5 to 1 in both themes."""
    for theme in ("light", "dark"):
        everything.emulate_media(color_scheme=theme)
        shown = everything.evaluate(CONTRASTS)
        assert {
            "done",
            "Deleted: deleted",
            "Save mine",
            "Search",
            "Connect",
        } <= shown.keys()
        assert {
            text: contrast for text, contrast in shown.items() if contrast < 4.5
        } == {}


def test_themes_follow_the_system(page: Page) -> None:
    """The page is dark where the system is, and light elsewhere."""
    lightness = "Number(getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/)[0])"
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(lightness)
    page.emulate_media(color_scheme="light")
    assert dark < 50 < 200 < page.evaluate(lightness)


def test_every_control_has_a_name(everything: Page) -> None:
    """A screen reader has a name for every control."""
    controls = everything.locator(":is(button, input, textarea):visible").all()
    assert len(controls) > 15
    for each in controls:
        expect(each).to_have_accessible_name(re.compile(r"\w"))


def test_focus_is_visible(page: Page, api: Api) -> None:
    """Whatever has the focus of the keyboard has an outline, a radio button by its label."""
    api.add("fix tap")
    show(page, "fix tap")
    outline = """() => {
        const focused = document.activeElement;
        const shown = focused.type === "radio" ? focused.parentElement : focused;
        return [focused.tagName, getComputedStyle(shown).outlineStyle];
    }"""
    tags = ["BUTTON", "INPUT", "BUTTON", "INPUT", "INPUT", "INPUT", "BUTTON", "BUTTON"]
    for tag in tags:  # connection, text, add, filter, search, tick, edit, delete
        page.keyboard.press("Tab")
        assert page.evaluate(outline) == [tag, "solid"]


def test_the_page_fits(page: Page, api: Api) -> None:
    """Nothing is wider than the window or cut off, however long a word and narrow the window."""
    word = "x" * 300
    api.add(word, f"{word}edited", f"{word}deleted")
    page.reload()
    control(page, f"Delete: {word}deleted").click()
    control(page, f"Edit: {word}edited").click()
    expect(page.get_by_label("Text of the note")).to_be_focused()
    for width in (320, 390, 1200):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.scrollingElement.scrollWidth") == width
        cut = "all => all.filter((text) => text.scrollWidth > text.clientWidth).length"
        assert texts(page).locator("span").evaluate_all(cut) == 0


def test_the_page_is_one_file(page: Page, service: Service, origin: str) -> None:
    """The page loads nothing but itself and the notes."""
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    page.reload()
    expect(page.get_by_role("status")).to_have_text("No notes")
    assert {url.split("?")[0] for url in urls} == {f"{origin}/", f"{service.url}/notes/"}


# Any page of another origin


def exposed(answer: Any) -> dict[str, str]:
    """Return the headers that a page can read because the service exposes them."""
    return {
        name: value for name, value in answer["headers"].items() if name not in SAFELISTED
    }


def test_headers_are_readable(elsewhere: Page, service: Service, api: Api) -> None:
    """A page of any origin reads ETag, Location, Link and X-Total-Count."""
    url = f"{service.url}/notes/"
    created = fetch(
        elsewhere, url, method="POST", headers=JSON, body='{"text": "fix tap"}'
    )
    path = f"/notes/{created['body']['id']}/"
    again = fetch(elsewhere, service.url + path)
    assert exposed(created) == exposed(again) | {"location": path}
    assert exposed(again).keys() == {"etag"}
    api.add("buy soap")
    listed = fetch(elsewhere, f"{url}?take=1&count=true")
    assert exposed(listed)["x-total-count"] == "2"
    target = listed["headers"]["link"].removeprefix("<").partition(">")[0]
    following = fetch(elsewhere, str(httpx2.URL(url).join(target)))
    assert [note["text"] for note in following["body"]] == ["buy soap"]


def test_a_cached_note_is_asked_for_again(
    elsewhere: Page, service: Service, api: Api
) -> None:
    """The browser's own cache sends If-None-Match, and the page gets the note by a 304."""
    (note_id,) = api.add("fix tap")
    url = f"{service.url}/notes/{note_id}/"
    first = fetch(elsewhere, url)
    assert fetch(elsewhere, url) == first
    assert f'"GET /notes/{note_id}/ HTTP/1.1" 304' in service.log.read_text()
    api.change(note_id, text="theirs")
    assert fetch(elsewhere, url)["body"]["text"] == "theirs"


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
    elsewhere: Page,
    guarded: Service,
    status: int,
    method: str,
    path: str,
    headers: dict[str, str],
    body: str | None,
) -> None:
    """A page reads every refusal, as a problem with a message."""
    keyed = {"Authorization": f"Bearer {KEY}"}
    note = httpx2.post(
        f"{guarded.url}/notes/", json={"text": "fix tap"}, headers=keyed
    ).json()
    url = guarded.url + path.format(note_id=note["id"])
    answer = fetch(elsewhere, url, method=method, headers=keyed | headers, body=body)
    assert_problem(answer, status)


def assert_problem(answer: Any, status: int) -> None:
    """Check that a page got a problem of a status."""
    assert (answer["status"], answer["body"]["status"]) == (status, status)
    assert answer["headers"]["content-type"] == "application/problem+json"
    assert answer["body"]["message"] == answer["body"]["detail"] != ""


def test_a_busy_database_is_readable(
    elsewhere: Page, guarded: Service, guarded_database: Path
) -> None:
    """A page reads a 503, and when to try again."""
    with contextlib.closing(sqlite3.connect(guarded_database)) as other:
        other.execute("BEGIN IMMEDIATE")
        headers = {**JSON, "Authorization": f"Bearer {KEY}"}
        options = {"method": "POST", "headers": headers, "body": '{"text": "fix tap"}'}
        answer = fetch(elsewhere, f"{guarded.url}/notes/", **options)
    assert_problem(answer, 503)
    assert exposed(answer) == {"retry-after": "1"}


def test_a_bug_is_readable(
    elsewhere: Page, guarded: Service, guarded_database: Path
) -> None:
    """A page reads a 500, here of a table that someone took away."""
    with contextlib.closing(sqlite3.connect(guarded_database)) as other:
        other.execute("ALTER TABLE notes RENAME TO others")
        try:
            headers = {"Authorization": f"Bearer {KEY}"}
            answer = fetch(elsewhere, f"{guarded.url}/notes/", headers=headers)
        finally:
            other.execute("ALTER TABLE others RENAME TO notes")
    assert_problem(answer, 500)


def test_a_slow_database_is_readable(
    elsewhere: Page, postgres: Postgres, tmp_path: Path
) -> None:
    """A page reads a 504."""
    url = postgres.create_database("browser")
    with (
        Service.python(tmp_path, DATABASE_URL=url, DB_TIMEOUT="0.2") as service,
        psycopg.connect(url) as other,
    ):
        service.wait("/readyz")
        other.execute("LOCK TABLE notes")
        answer = fetch(elsewhere, f"{service.url}/notes/")
    assert_problem(answer, 504)


def test_credentials_need_a_listed_origin(
    elsewhere: Page, service: Service, guarded: Service
) -> None:
    """Credentials are for the origins that are listed, and never for any origin at all."""
    listed = fetch(elsewhere, f"{guarded.url}/livez", credentials="include")
    assert listed["body"] == {"status": "ok"}
    with pytest.raises(Error, match="Failed to fetch"):
        fetch(elsewhere, f"{service.url}/livez", credentials="include")


def test_other_origins_read_nothing(browser: Browser, guarded: Service) -> None:
    """A page whose origin is not listed reads no answer and sends no write, key or not."""
    headers = {**JSON, "Authorization": f"Bearer {KEY}"}
    write = {"method": "POST", "headers": headers, "body": '{"text": "from elsewhere"}'}
    with serving_page() as other, browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{other}/nowhere")
        for path, options in (("/livez", {}), ("/notes/", write)):
            with pytest.raises(Error, match="Failed to fetch"):
                fetch(page, guarded.url + path, **options)
    found = httpx2.get(
        f"{guarded.url}/notes/", params={"q": "from elsewhere"}, headers=headers
    )
    assert found.json() == []
