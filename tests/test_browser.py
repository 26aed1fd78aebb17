"""What a page of another origin can read of the API, in Chromium."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Error, Page, expect

from tests.browser import KEY, Api, serve_page, start_api, start_browser

Tab = tuple[Page, str]
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
def tab() -> Iterator[Tab]:
    """A tab, and the address of a page that does nothing by itself."""
    with start_browser() as browser, serve_page() as origin:
        yield browser.new_page(), f"{origin}/nowhere"


@pytest.fixture
def page(tab: Tab) -> Page:
    """A page of another origin."""
    tab[0].goto(tab[1])
    return tab[0]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The service as it is without any configuration."""
    with start_api(tmp_path_factory.mktemp("api")) as api:
        yield api


@pytest.fixture(scope="module")
def guarded(tab: Tab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A service that wants KEY, takes pages of one origin only, and 1,000 bytes."""
    folder = tmp_path_factory.mktemp("guarded")
    origin = tab[1].removesuffix("/nowhere")
    variables = {"API_KEYS": KEY, "MAX_BODY_BYTES": "1000"}
    with start_api(folder, CORS_ORIGINS=origin, **variables) as api:
        yield api


def fetch(page: Page, url: str, **options: Any) -> Any:
    """Return the status, the readable headers and the JSON of an answer, as a page gets them."""
    return page.evaluate(FETCH, [url, options])


def test_headers_are_readable(page: Page, api: Api) -> None:
    """A page of any origin reads ETag, Location, Link and X-Total-Count."""
    url = f"{api.url}/notes/"
    created = fetch(
        page, url, method="POST", headers=JSON, body='{"text": "seen: fix tap"}'
    )
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


def test_a_cached_note_is_asked_for_again(page: Page, api: Api) -> None:
    """The browser's own cache sends If-None-Match, and the page gets the note by a 304."""
    (note_id,) = api.add("fix tap")
    url = f"{api.url}/notes/{note_id}/"
    first = fetch(page, url)
    assert fetch(page, url) == first
    assert f'"GET /notes/{note_id}/ HTTP/1.1" 304' in api.service.log.read_text()
    api.sql(f"UPDATE notes SET text = 'theirs' WHERE id = {note_id}")
    assert fetch(page, url)["body"]["text"] == "theirs"


def test_errors_are_readable(page: Page, guarded: Api) -> None:
    """A page reads every refusal, as a problem with a message."""
    url = f"{guarded.url}/notes/"
    note = httpx2.post(url, json={"text": "fix tap"}, headers=WITH_KEY).json()
    cases: list[tuple[int, str, str, dict[str, str], str | None]] = [
        (400, "POST", "/notes/", {}, "{"),
        (401, "GET", "/notes/", {"Authorization": "Bearer wrong"}, None),
        (404, "GET", "/nowhere", {}, None),
        (405, "PUT", "/notes/", {}, "{}"),
        (412, "PATCH", f"/notes/{note['id']}/", {"If-Match": '"another"'}, "{}"),
        (413, "POST", "/notes/", {}, " " * 1001),
        (415, "POST", "/notes/", {"Content-Type": "text/plain"}, "{}"),
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
    found = httpx2.get(f"{guarded.url}/notes/?q=from+elsewhere", headers=WITH_KEY)
    assert found.json() == []


def test_the_root_leads_to_the_documentation(page: Page, api: Api) -> None:
    """A browser that opens the service's address ends at the documentation of its API."""
    page.goto(api.url, wait_until="commit")  # its script comes from elsewhere
    expect(page).to_have_url(f"{api.url}/docs")
    expect(page).to_have_title("Notes - Swagger UI")
