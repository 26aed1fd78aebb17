"""Measure how this service answers from a thousand, a hundred thousand and a million notes.

    python -m bench.scale [--sizes 1000 100000 1000000] [--calls 5] [--databases ...]

Each figure is the median of some calls, in milliseconds, as a client sees it that sends one after
the other over one connection; they go over the sizes in turn. The last column says how many times
as long the same call takes with the most notes as with the fewest. The figures go to
bench/results/scale.md.
"""

import argparse
import http.client
import signal
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median

from bench.notes import COMMON, MISSING, RARE, fill
from bench.report import DATABASES, machine, save, table
from tests.servers import Postgres, Service, start_postgres

# The deep page begins after 99 % of the notes.
CALLS = {
    "first page": "/notes/?take=20",
    "first page, count": "/notes/?take=20&count=true",
    "deep page by skip": "/notes/?skip={deep}",
    "deep page by skip, count": "/notes/?skip={deep}&count=true",
    "deep page by after": "/notes/?after={deep}",
    "deep page by after, count": "/notes/?after={deep}&count=true",
    "one note": "/notes/{deep}/",
    "search, finds many": f"/notes/?q={COMMON}",
    "search, finds many, count": f"/notes/?q={COMMON}&count=true",
    "search, finds one": f"/notes/?q={RARE}",
    "search, finds one, count": f"/notes/?q={RARE}&count=true",
    "search, finds none": f"/notes/?q={MISSING}",
    "search, finds none, count": f"/notes/?q={MISSING}&count=true",
}


def get(client: http.client.HTTPConnection, path: str) -> None:
    """Ask for a path; RuntimeError unless it answers with notes, or with none where none are."""
    client.request("GET", path)
    response = client.getresponse()
    body = response.read()
    if response.status != 200 or (body == b"[]") != (MISSING in path):
        raise RuntimeError(f"{path} answered {response.status}: {body.decode()}")


def milliseconds(
    clients: dict[int, http.client.HTTPConnection], path: str, calls: int
) -> list[float]:
    """Return the median time of some calls for each size, after two that warm up."""
    times: dict[int, list[float]] = {size: [] for size in clients}
    for _ in range(calls + 2):
        for size, client in clients.items():
            start = time.perf_counter()
            get(client, path.format(deep=size * 99 // 100))
            times[size].append(time.perf_counter() - start)
    return [1000 * median(seconds[2:]) for seconds in times.values()]


def make_table(
    database: str, options: argparse.Namespace, folder: Path, postgres: Postgres
) -> str:
    """Return the table of a kind of database."""
    with ExitStack() as stack:
        clients = {}
        for size in options.sizes:
            sqlite = database == "sqlite"
            url = (
                f"sqlite:///{folder}/{size}"
                if sqlite
                else postgres.create_database(str(size))
            )
            service = Service.gunicorn(folder, DATABASE_URL=url, WEB_CONCURRENCY="1")
            stack.enter_context(service)
            fill(url, size)
            client = http.client.HTTPConnection("127.0.0.1", service.port)
            clients[size] = stack.enter_context(closing(client))
            print(f"{DATABASES[database]}: {size:,} notes", flush=True)
        rows = []
        for call, path in CALLS.items():
            figures = milliseconds(clients, path, options.calls)
            ratio = f"{figures[-1] / figures[0]:.1f}"
            rows.append([call, *(f"{figure:.2f}" for figure in figures), ratio])
    sizes = [f"{size:,} notes" for size in options.sizes]
    return table([f"{DATABASES[database]}, ms", *sizes, "last / first"], rows)


def main() -> None:
    """Measure what the command line asks for, and write it down."""
    parser = argparse.ArgumentParser(description="Measure this service with many notes.")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[1_000, 100_000, 1_000_000]
    )
    parser.add_argument("--calls", type=int, default=5)
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=[*DATABASES])
    options = parser.parse_args()
    with start_postgres(fsync="on") as postgres, tempfile.TemporaryDirectory() as folder:
        tables = [
            make_table(name, options, Path(folder), postgres)
            for name in options.databases
        ]
    save("scale.md", "\n".join(["# Scale\n", machine(), *tables]))


if __name__ == "__main__":
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # so that no server is left behind
    main()
