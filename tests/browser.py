"""A page in Chromium: how the tests serve it, find what it shows, and change notes beside it."""

import contextlib
import functools
import re
import sqlite3
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any

import httpx2
from playwright.sync_api import Locator, Page, expect

from tests.servers import ROOT

# The sandbox does not start as root; fewer processes open pages faster; the rest keeps
# Chromium off the network.
OPTIONS = [
    "--no-sandbox",
    "--disable-site-isolation-trials",
    "--disable-gpu",
    "--in-process-gpu",
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
AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
# Each element that breaks a rule, with the rule; animations are over before.
VIOLATIONS = """async () => {
    await Promise.all(document.getAnimations().map((animation) => animation.finished));
    const { violations } = await axe.run({ resultTypes: ["violations"] });
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
}"""

expect.set_options(timeout=15_000)


class QuietHandler(SimpleHTTPRequestHandler):
    """A handler of files that logs nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's
        """Log nothing."""


@contextlib.contextmanager
def serve_page() -> Iterator[str]:
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


def run_sql(database: Path, statement: str) -> None:
    """Run a statement in an SQLite file, past the service."""
    with contextlib.closing(
        sqlite3.connect(database, isolation_level=None)
    ) as connection:
        connection.execute(statement)


def find_texts(page: Page) -> Locator:
    """Return the texts of the notes in the list."""
    return page.locator(".text")


def reload_to(page: Page, *texts: str) -> None:
    """Reload the page, and wait until it shows these notes."""
    page.reload()
    expect(find_texts(page)).to_have_text(list(texts))


def find_button(page: Page, name: str) -> Locator:
    """Return a button by its whole name."""
    return page.get_by_role("button", name=name, exact=True)


def connect(
    page: Page, opener: str | re.Pattern[str], address: str, key: str = ""
) -> None:
    """Fill in the address and the key of the API."""
    page.get_by_role("button", name=opener).click()
    page.get_by_label("Address").fill(address)
    page.get_by_label("Key", exact=True).fill(key)
    find_button(page, "Connect").click()


def fetch(page: Page, url: str, **options: Any) -> Any:
    """Return the status, the readable headers and the JSON of an answer, as a page gets them."""
    return page.evaluate(FETCH, [url, options])


def filter_by(page: Page, view: str) -> None:
    """Choose which notes are shown."""
    page.get_by_role("radio", name=view).check(force=True)


def find_violations(page: Page) -> list[str]:
    """Return what axe finds wrong, in both themes."""
    page.evaluate(AXE)
    violations: list[str] = []
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        violations += page.evaluate(VIOLATIONS)
    return violations
