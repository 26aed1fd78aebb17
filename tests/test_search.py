"""The index that spares `q` on Postgres a scan, and the service without it."""

from pathlib import Path

import httpx2
import psycopg
import pytest

from tests.fixtures import open_client
from tests.servers import Postgres, Service, skip

INDEXES = "SELECT indexname FROM pg_indexes WHERE tablename = 'notes' ORDER BY indexname"


@pytest.fixture
def trigrams(postgres: Postgres) -> None:
    """A server that has pg_trgm, or a skip: the wheel's has none."""
    if not postgres.has_trigrams():
        skip("this Postgres has no pg_trgm")


def search_texts(service: Service, q: str) -> list[str]:
    """Return the texts that a search finds."""
    return [
        note["text"]
        for note in httpx2.get(service.url + "/notes", params={"q": q}).json()
    ]


@pytest.mark.usefixtures("trigrams")
def test_a_search_uses_the_index(postgres: Postgres, tmp_path: Path) -> None:
    """The table comes with a trigram index, and a search uses it."""
    with Service.gunicorn(
        tmp_path, DATABASE_URL=postgres.create_database("search")
    ) as service:
        postgres.sql(
            "INSERT INTO notes (text, completed)"
            " SELECT md5(n::text), false FROM generate_series(1, 20000) n;",
            "search",
        )
        postgres.sql("VACUUM ANALYZE notes", "search")
        httpx2.post(service.url + "/notes", json={"text": "Needle in a haystack"})
        assert search_texts(service, "NEEDLE") == ["Needle in a haystack"]
    assert postgres.sql(INDEXES, "search").split() == ["notes_pkey", "notes_text_trgm"]
    scans = (
        "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'notes_text_trgm'"
    )
    assert int(postgres.sql(scans, "search"))


def test_a_search_scans_where_the_index_is_refused(
    postgres: Postgres, tmp_path: Path
) -> None:
    """A user who may not create the extension gets one line in the log, and finds notes."""
    postgres.create_database("scan")
    postgres.sql("DROP ROLE IF EXISTS scanner; CREATE ROLE scanner LOGIN")
    postgres.sql("GRANT CREATE ON SCHEMA public TO scanner", "scan")
    url = postgres.url("scan").replace("postgres@", "scanner@")
    with Service.gunicorn(tmp_path, DATABASE_URL=url) as service:
        httpx2.post(service.url + "/notes", json={"text": "Needle in a haystack"})
        assert search_texts(service, "NEEDLE") == ["Needle in a haystack"]
        assert service.log.read_text().count("A search scans all notes") == 1
    assert postgres.sql(INDEXES, "scan").split() == ["notes_pkey"]
    postgres.sql("DROP DATABASE scan")
    postgres.sql("DROP ROLE scanner")


@pytest.mark.usefixtures("trigrams")
def test_a_search_scans_where_the_index_would_have_to_wait(
    postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    """A start beside somebody who makes the extension does without, and says so in a line."""
    url = postgres.create_database("extension")
    with psycopg.connect(url) as other:
        other.execute("CREATE EXTENSION pg_trgm")
        with open_client(DATABASE_URL=url) as client:
            assert client.get("/notes/?q=a").json() == []
    assert caplog.text.count("A search scans all notes") == 1
