"""Measure how this service answers from a thousand, a hundred thousand and a million notes.

    python -m bench.scale [--sizes 1000 100000 1000000] [--calls 9] [--databases ...]

Each figure is the median of some calls, in milliseconds, as a client sees it that sends one after
the other over one connection. The last column says how many times as long the same call takes with
the most notes as with the fewest. The figures go to bench/results/scale.md.
"""

import argparse
import http.client
import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import median

from bench.notes import COMMON, MISSING, RARE, fill
from bench.report import DATABASES, machine, save, table
from tests.servers import Postgres, Service, own_postgres

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


def milliseconds(client: http.client.HTTPConnection, path: str, calls: int) -> float:
    """Return the median time of some calls, after two that warm up."""
    times = []
    for _ in range(calls + 2):
        start = time.perf_counter()
        get(client, path)
        times.append(time.perf_counter() - start)
    return 1000 * median(times[2:])


def measure(url: str, folder: Path, size: int, calls: int) -> list[float]:
    """Return the milliseconds of each of CALLS, with a database of that many notes."""
    with Service.gunicorn(folder, DATABASE_URL=url, WEB_CONCURRENCY="1") as service:
        fill(url, size)
        with closing(http.client.HTTPConnection("127.0.0.1", service.port)) as client:
            paths = [path.format(deep=size * 99 // 100) for path in CALLS.values()]
            return [milliseconds(client, path, calls) for path in paths]


def compared(database: str, options: argparse.Namespace, folder: Path, postgres: Postgres) -> str:
    """Return the table of a kind of database."""
    columns = []
    for size in options.sizes:
        if database == "sqlite":
            url = f"sqlite:///{folder}/{size}.db"
        else:
            url = postgres.create_database(str(size))
        columns.append(measure(url, folder, size, options.calls))
        print(database, size, flush=True)
    rows = [
        [call, *(f"{figure:.2f}" for figure in row), f"{row[-1] / row[0]:.1f}"]
        for call, *row in zip(CALLS, *columns, strict=True)
    ]
    sizes = [f"{size:,} notes" for size in options.sizes]
    return table([f"{DATABASES[database]}, ms", *sizes, "last / first"], rows)


def main() -> None:
    """Measure what the command line asks for, and write it down."""
    parser = argparse.ArgumentParser(description="Measure this service with many notes.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--calls", type=int, default=9)
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=[*DATABASES])
    options = parser.parse_args()
    with own_postgres(fsync="on") as postgres, tempfile.TemporaryDirectory() as folder:
        tables = [compared(name, options, Path(folder), postgres) for name in options.databases]
    save("scale.md", "\n".join(["# Scale\n", machine(), *tables]))


if __name__ == "__main__":
    main()
