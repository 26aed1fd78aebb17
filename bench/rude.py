"""Measure what a normal client waits for beside rude ones, and what the rude ones get.

    python -m bench.rude [--notes 1000000] [--seconds 5] [--databases ...]
                         [--parts beside shapes index]

The service has one worker. The figures go to bench/results/rude.md.

How to read the tables. The normal client makes each of its calls twenty times a second, each
kind over a connection of its own. A call's time counts from when it was due: where one call
waits for seconds, those that were due meanwhile have waited, too. The rude clients ask again
as soon as they are answered. The clients, the service and Postgres share all cores.
"""

import argparse
import itertools
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import httpx2
import psycopg

from bench.notes import execute, fill
from bench.report import DATABASES, machine, save, table
from bench.wrk import cpu_seconds, settled_cpu_seconds, worker_pid
from tests.servers import Postgres, Service, start_postgres, wait_until
from tests.test_starvation import (
    COUNT,
    EQUAL_LETTERS,
    EQUAL_SEARCH,
    LONG_RUNS,
    RUN_SEARCH,
    SEARCH,
    Clients,
    NormalClient,
    insert,
    large_text,
    receive,
    send,
    small_text,
    without_index,
)

PARTS = ("beside", "shapes", "index")
# The texts that a search for what almost matches is slow in, their number, and the search.
LONG = {
    "sqlite": (EQUAL_LETTERS, 300, EQUAL_SEARCH),
    "postgres": (LONG_RUNS, 100, RUN_SEARCH),
}
SORTS = ("id", "-id", "text", "-text", "completed", "-completed")
INDEXES = {
    "as the service makes it": "",
    "fastupdate = on": "ALTER INDEX {name} SET (fastupdate = on)",
    "fastupdate = on, list of 64 kB": (
        "ALTER INDEX {name} SET (fastupdate = on, gin_pending_list_limit = 64)"
    ),
    "fastupdate = off": "ALTER INDEX {name} SET (fastupdate = off)",
    "none": "DROP INDEX {name}",
}
INDEX = "notes_text_trgm"
INSERTS = 3_000  # to measure the CPU of one


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        description="Measure a normal client beside rude ones."
    )
    parser.add_argument("--notes", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=int, default=5, help="that each case takes")
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=[*DATABASES])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=[*PARTS])
    return parser.parse_args()


def format_waits(clients: Clients) -> str:
    """Return the median and the 99th percentile of the times to an answer, in ms."""
    seconds = clients.seconds
    if not seconds:
        return "-"
    median, percentile_99 = seconds[len(seconds) // 2], seconds[len(seconds) * 99 // 100]
    return f"{1000 * median:,.0f} / {1000 * percentile_99:,.0f}"


def format_statuses(clients: Clients) -> str:
    """Return how often each status was the answer."""
    counts = sorted(clients.statuses.items())
    return ", ".join(f"{status}: {number}" for status, number in counts) or "-"


def rude_clients(
    service: Service, database: str, notes: int
) -> dict[str, Clients | None]:
    """Return the clients of each case; those that store notes come last."""
    deep_page = f"/notes/?sort=-text&skip={notes * 9 // 10}"
    cases: dict[str, Clients | None] = {"nobody": None}
    for number in (4, 20):
        for path in (SEARCH, deep_page, COUNT):
            title = f"{number} x GET {path}"
            cases[title] = Clients(service, path, number=number)
    cases[f"20 x GET {SEARCH}, each once a second, leaving"] = Clients(
        service, SEARCH, number=20, pause=1, leave=True
    )
    _, _, search = LONG[database]
    cases["10 x GET /notes/?q=, a search that long texts almost match"] = Clients(
        service, f"/notes/?q={search}", number=10
    )
    cases["10 x POST /notes/, 65,536 random Chinese characters"] = Clients(
        service, "/notes/", large_text, number=10
    )
    return cases


def run_beside(service: Service, rude: Clients | None, seconds: float) -> NormalClient:
    """Return the normal client after some seconds beside rude clients."""
    with ExitStack() as stack:
        if rude:
            stack.enter_context(rude)
        with NormalClient(service, 1) as normal:
            time.sleep(seconds)
    return normal


def rows_beside(
    service: Service, database: str, options: argparse.Namespace
) -> Iterator[list[str]]:
    """Return a row a case."""
    for title, rude in rude_clients(service, database, options.notes).items():
        description = "the end of what those before have asked for"
        wait_until(
            lambda: httpx2.get(service.url + COUNT, timeout=300).is_success,
            300,
            description,
        )
        normal = run_beside(service, rude, options.seconds)
        calls = normal.calls.values()
        outcomes = [outcome for clients in calls for outcome in clients.outcomes]
        failures = sum(outcome.status not in (200, 201) for outcome in outcomes)
        row = [
            title,
            *map(format_waits, calls),
            f"{failures} of {len(outcomes)}",
            "-",
            "-",
        ]
        if rude:
            row[-2:] = [format_statuses(rude), format_waits(rude)]
        print(*row, sep=" | ", flush=True)
        yield row


def table_beside(
    database: str, folder: Path, postgres: Postgres, options: argparse.Namespace
) -> str:
    """Return what the normal client waited for, beside each kind of rude clients."""
    text, number, _ = LONG[database]
    with serve(database, folder, postgres) as (service, url):
        with without_index(url):
            fill(url, options.notes)
            insert(url, f"'{text}'", number)
        rows = list(rows_beside(service, database, options))
        calls = NormalClient(service, 1).calls
    head = [f"{DATABASES[database]}: beside", *calls, "not 2xx", "the rude get", "after"]
    return table(head, rows)


def send_in_turn(service: Service, paths: Sequence[str], seconds: float) -> list[str]:
    """Ask for paths one after the other, and return the requests per second and their CPU."""
    pid = worker_pid(service)
    with closing(HTTPConnection("127.0.0.1", service.port, timeout=60)) as client:
        start_cpu, start, number = settled_cpu_seconds(pid), time.monotonic(), 0
        for path in itertools.cycle(paths):
            send(client, path, None)
            status = receive(client)
            if status != 200:
                raise RuntimeError(f"{path} answered {status}")
            number += 1
            duration = time.monotonic() - start
            if duration > seconds:
                break
    cpu = (settled_cpu_seconds(pid) - start_cpu) / number
    return [f"{number / duration:,.0f}", f"{1e6 * cpu:,.0f}"]


def table_of_shapes(
    database: str, folder: Path, postgres: Postgres, options: argparse.Namespace
) -> str:
    """Return what lists cost of which each has another number of ids or another order."""
    ids = [
        "&".join(f"id={note_id}" for note_id in range(1, n + 1)) for n in range(1, 101)
    ]
    shapes = [f"/notes/?sort={sort}&{query}" for sort in SORTS for query in ids]
    with serve(database, folder, postgres) as (service, url):
        fill(url, 1_000)
        rows = [
            ["one shape, 50 ids", *send_in_turn(service, [shapes[49]], options.seconds)],
            [
                f"{len(shapes)} shapes in turn",
                *send_in_turn(service, shapes, options.seconds),
            ],
        ]
    return table([f"{DATABASES[database]}: lists", "requests/s", "CPU, us"], rows)


def cpu_of_small_insert(url: str) -> float:
    """Return the CPU that Postgres takes to store a small note, in us, with what it puts off."""
    with psycopg.connect(url, autocommit=True) as session:
        pid = session.info.backend_pid
        start_cpu = cpu_seconds(pid)
        for _ in range(INSERTS):
            values = [small_text(), False]
            session.execute("INSERT INTO notes (text, completed) VALUES (%s, %s)", values)
        session.execute(
            "SELECT gin_clean_pending_list(oid) FROM pg_class WHERE relname = %s", [INDEX]
        )
        return 1e6 * (cpu_seconds(pid) - start_cpu) / INSERTS


def table_of_indexes(
    folder: Path, postgres: Postgres, options: argparse.Namespace
) -> str:
    """Return what settings of the trigram index cost small notes, beside large ones and not."""
    rows = []
    for title, change in INDEXES.items():
        with serve("postgres", folder, postgres) as (service, url):
            with without_index(url):
                fill(url, 10_000)
            if change:
                execute(url, change.format(name=INDEX))
            cpu = f"{cpu_of_small_insert(url):,.0f}"
            alone_calls = run_beside(service, None, options.seconds).calls["small POST"]
            rude = Clients(service, "/notes/", large_text, number=10)
            crowded_calls = run_beside(service, rude, 2 * options.seconds).calls[
                "small POST"
            ]
            row = [
                title,
                cpu,
                format_waits(alone_calls),
                format_waits(crowded_calls),
                format_statuses(crowded_calls),
            ]
            rows.append([*row, format_statuses(rude), format_waits(rude)])
            print(*rows[-1], sep=" | ", flush=True)
    head = ["index on text", "CPU of a small INSERT, us", "small POST alone"]
    head += ["beside 10 large ones", "answers", "answers to the large ones", "after"]
    return table(head, rows)


@contextmanager
def serve(
    database: str, folder: Path, postgres: Postgres
) -> Iterator[tuple[Service, str]]:
    """Lend the service with one worker, and the URL of its new database."""
    if database == "sqlite":
        url = f"sqlite:///{folder}/{len(list(folder.iterdir()))}.db"
    else:
        url = postgres.create_database("rude")
    with Service.gunicorn(folder, DATABASE_URL=url, WEB_CONCURRENCY="1") as service:
        yield service, url


def main() -> None:
    """Measure what the command line asks for, and write it down."""
    options = arguments()
    heading = (
        f"{options.notes:,} notes, {options.seconds} s a case. Times in ms: p50 / p99.\n"
    )
    tables = ["# Rude clients\n", machine(), heading]
    with (
        start_postgres(fsync="on") as postgres,
        tempfile.TemporaryDirectory() as name,
    ):
        folder = Path(name)
        for database in options.databases:
            if "beside" in options.parts:
                tables += [table_beside(database, folder, postgres, options)]
            if "shapes" in options.parts:
                tables += [table_of_shapes(database, folder, postgres, options)]
            if "index" in options.parts and database == "postgres":
                tables += [table_of_indexes(folder, postgres, options)]
    save("rude.md", "\n".join(tables))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no server is left
    main()
