"""The index that spares `q` on Postgres a scan, and the service without it."""

import psycopg
import pytest

from tests.fixtures import connect, create_note, create_role, open_client, split_url
from tests.servers import Postgres, skip

INDEXES = "SELECT indexname FROM pg_indexes WHERE tablename = 'notes' ORDER BY indexname"


@pytest.fixture
def trigrams(postgres: Postgres) -> None:
    """A server that has pg_trgm, or a skip: the wheel's has none."""
    if not postgres.has_trigrams():
        skip("this Postgres has no pg_trgm")


@pytest.mark.usefixtures("trigrams")
def test_a_search_uses_the_index(postgres: Postgres) -> None:
    """The table comes with a trigram index, and a search uses it."""
    url = postgres.create_database("search")
    with open_client(DATABASE_URL=url) as client, connect(url) as sql:
        sql(
            "INSERT INTO notes (text, completed)"
            " SELECT md5(n::text), false FROM generate_series(1, 20000) n"
        )
        sql("VACUUM ANALYZE notes")
        note = create_note(client, text="Needle in a haystack")
        assert client.get("/notes/?q=NEEDLE").json() == [note]
    assert postgres.sql(INDEXES, "search").split() == ["notes_pkey", "notes_text_trgm"]
    scans = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname ~ 'trgm'"
    assert int(postgres.sql(scans, "search"))


def test_a_search_scans_where_the_index_is_refused(
    postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    """A user who may not create the extension gets one line in the log, and finds notes."""
    admin_url = postgres.create_database("scan")
    _, host, name = split_url(admin_url)
    with create_role(admin_url, "scanner", "scanner", "CREATE ON SCHEMA public"):
        with open_client(
            DATABASE_URL=f"postgresql://scanner:scanner@{host}/{name}"
        ) as client:
            note = create_note(client, text="Needle in a haystack")
            assert client.get("/notes/?q=NEEDLE").json() == [note]
        assert caplog.text.count("without an index") == 1
        assert postgres.sql(INDEXES, "scan").split() == ["notes_pkey"]


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
    assert caplog.text.count("without an index") == 1
