"""Chromium for the tests: the page in a window, and someone else who changes its notes."""

import contextlib
import re
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
from playwright.sync_api import Browser, BrowserContext, Locator, expect, sync_playwright

from tests.servers import ROOT, Service, require_programs

KEY = "correct-horse"
# The sandbox does not start as root; and Chromium stays off the network.
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
# Each rule that is broken, and where; animations are over before.
VIOLATIONS = """async () => {
    await Promise.all(document.getAnimations().map((animation) => animation.finished));
    return (await axe.run()).violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`);
}"""

expect.set_options(timeout=15_000)


@contextlib.contextmanager
def start_browser() -> Iterator[Browser]:
    """Lend a running Chromium."""
    require_programs("chromium")
    path = shutil.which("chromium")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=OPTIONS)


@contextlib.contextmanager
def serve_page() -> Iterator[str]:
    """Serve examples/ at an origin of its own, and lend that origin."""
    handler = partial(SimpleHTTPRequestHandler, directory=ROOT / "examples")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Api(NamedTuple):
    """The notes as someone else reads and changes them."""

    service: Service
    url: str
    database: Path
    client: httpx2.Client

    def add(self, *texts: str, completed: bool = False) -> list[int]:
        """Store notes, and return their ids."""
        notes = [{"text": text, "completed": completed} for text in texts]
        answers = [self.client.post("/notes/", json=note) for note in notes]
        return [answer.raise_for_status().json()["id"] for answer in answers]

    def notes(self) -> list[tuple[str, bool]]:
        """Return up to 20 notes without their ids, newest first."""
        notes = self.client.get("/notes/?sort=-id").raise_for_status().json()
        return [(note["text"], note["completed"]) for note in notes]

    def sql(self, statement: str) -> None:
        """Run a statement in the SQLite file, past the service."""
        with contextlib.closing(sqlite3.connect(self.database)) as connection:
            connection.execute(statement)
            connection.commit()


@contextlib.contextmanager
def start_api(
    folder: Path, start: Callable[..., Service] = Service.python, /, **variables: str
) -> Iterator[Api]:
    """Lend the notes of a service on SQLite."""
    database = folder / "notes.db"
    with (
        start(folder, DATABASE_URL=f"sqlite:///{database}", **variables) as service,
        httpx2.Client(base_url=service.url) as client,
    ):
        yield Api(service, service.url, database, client)


class Window:
    """A window that shows the page."""

    def __init__(self, context: BrowserContext, url: str, api_url: str = "") -> None:
        page = self.page = context.new_page()
        self.requests: list[Any] = []
        page.on("request", lambda request: self.requests.append(request))
        if api_url:
            page.add_init_script(f"localStorage.address ??= '{api_url}/'")
        page.goto(url)
        self.field = page.get_by_label("New note")
        self.search = page.get_by_label("Search")
        self.editor = page.get_by_label("Text of the note")
        self.texts = page.locator(".text")
        self.count = page.locator("#count")
        self.problem = page.locator("#problem")
        self.toggle = page.get_by_label("Mark all as completed")

    def button(self, name: str) -> Locator:
        """Return a button by its whole name."""
        return self.page.get_by_role("button", name=name, exact=True)

    def box(self, text: str) -> Locator:
        """Return the checkbox of a note."""
        return self.page.get_by_label(f"Completed: {text}", exact=True)

    def shows(self, *texts: str) -> None:
        """Wait until the list has these notes."""
        expect(self.texts).to_have_text(list(texts))

    def counts(self, text: str | re.Pattern[str]) -> None:
        """Wait until the number of notes is said in these words."""
        expect(self.count).to_have_text(text)

    def says(self, text: str) -> None:
        """Wait until something says this."""
        expect(self.page.get_by_text(text)).to_be_visible()

    def focuses(self, name: str) -> None:
        """Wait until a button has the focus."""
        expect(self.button(name)).to_be_focused()

    def reload(self, *texts: str) -> None:
        """Reload the page, and wait until it shows these notes."""
        self.page.reload()
        self.shows(*texts)

    def choose(self, view: str) -> None:
        """Choose which notes are shown."""
        self.page.get_by_role("radio", name=view).check(force=True)

    def add(self, text: str) -> None:
        """Type a new note."""
        self.field.fill(text)
        self.field.press("Enter")

    def edit(self, text: str, new_text: str, key: str = "") -> None:
        """Open the editor of a note, type another text, and press a key."""
        self.button(f"Edit: {text}").click()
        self.editor.fill(new_text)
        if key:
            self.editor.press(key)

    def connect(self, address: str, key: str = "") -> None:
        """Fill in the address and the key of the API."""
        self.page.get_by_label("Address").fill(address)
        self.page.get_by_label("Key", exact=True).fill(key)
        self.button("Connect").click()

    def writes(self) -> list[str]:
        """Return the method and path of each write that was sent."""
        sent = [each for each in self.requests if each.method not in ("GET", "OPTIONS")]
        return [f"{each.method} {each.url.partition('/notes/')[2]}" for each in sent]

    def violations(self) -> list[str]:
        """Return what axe finds wrong, in both themes on a phone and on a wide screen."""
        self.page.evaluate(AXE)
        violations: list[str] = []
        for width in (360, 1200):
            self.page.set_viewport_size({"width": width, "height": 800})
            for theme in ("light", "dark"):
                self.page.emulate_media(color_scheme=theme)
                violations += self.page.evaluate(VIOLATIONS)
        return violations
