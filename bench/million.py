"""A million notes, one worker: how long a call takes, and what others get beside a rude client.

The rude one has twenty connections; the normal one makes each of its calls five times a second.
A call's time counts from when it was due: where one waits long, those due meanwhile have, too.
"""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import median

from bench import servers
from bench.servers import DATABASES, INSERT, Bar, Server

RARE = "INSERT INTO notes (text, completed) VALUES ('tune the xylophone', false)"
PATHS = {
    "first page": "/notes/?take=20",
    "deep page by after": "/notes/?after={deep}",
    "one note": "/notes/{deep}/",
    "search that finds little": "/notes/?q=xylophone",
}
REPEATS = 15
SECONDS, PAUSE = 20, 0.2
CALLS = [
    ("GET", "/notes/7/"),
    ("GET", "/notes/"),
    ("POST", "/notes/", '{"text":"fetch the parcel"}'),
    ("GET", "/readyz"),
]
# Of 65,536 letters, and a search that almost matches them.
LONG = {"SQLite": ("a" * 65_536, "a" * 999 + "b")}
LONG["Postgres"] = ("a" * 16 + ("a" * 519 + "b") * 126, "a" * 600 + "b")  # for its index


def measure(postgres: str, folder: Path, options: argparse.Namespace) -> list[Bar]:
    """Measure both on both databases."""
    bars = []
    for database in DATABASES:
        few_url, url = (
            servers.create_database(database, postgres, folder) for _ in range(2)
        )
        with Server("main:app", url, folder) as server:
            servers.fill(url, options.notes, RARE)
            with Server("main:app", few_url, folder) as server_of_few:
                servers.fill(few_url, 1_000, RARE)
                for call, path in PATHS.items():
                    few, many = [], []
                    for _ in range(REPEATS):
                        few.append(time_call(server_of_few, path.format(deep=900)))
                        deep = options.notes * 9 // 10
                        many.append(time_call(server, path.format(deep=deep)))
                    what = f"{database}, {options.notes:,} notes: {call}"
                    bar = Bar(f"{what}, of 1,000 notes", 2, median(many) / median(few))
                    if database == "SQLite" and "q=" in path:
                        bar = Bar(f"{what}, seconds", 0.6, median(many))
                    bars.append(bar)
            bars += measure_beside(server, database, options.notes)
    return bars


def time_call(server: Server, path: str) -> float:
    """Return the seconds that a call takes; RuntimeError if it finds nothing."""
    start = time.perf_counter()
    status, items = server.send("GET", path)
    if status != 200 or not items:
        raise RuntimeError(f"{path} answered {status}: {items}")
    return time.perf_counter() - start


def measure_beside(server: Server, database: str, notes: int) -> list[Bar]:
    """Measure beside each kind of rude client."""
    text, almost = LONG[database]
    servers.execute(server.url, INSERT.format(300, f"'{text}'"))
    paths = {
        "searches": "/notes/?q=zq&take={n}",
        "deep pages": f"/notes/?sort=-text&skip={notes * 9 // 10}&take={{n}}",
        "counts": "/notes/?count=true&take={n}",
        "searches that almost match": f"/notes/?q={almost}&take={{n}}",
        "60 KB of unknown parameters": "/notes/?{unknown}",
    }
    bars, failures = [], 0
    for title, path in paths.items():
        server.wait("/notes/?count=true")  # the end of what was asked before
        with server.load(SECONDS + 1, 20, "GET", path), ThreadPoolExecutor() as threads:
            time.sleep(1)
            results = list(threads.map(call_often, [server] * len(CALLS), CALLS))
        p99 = max(sorted(times)[len(times) * 99 // 100] for times in results)
        bars.append(Bar(f"{database}, beside {title}: p99, ms", 250, 1e3 * p99))
        failures += sum(times.count(float("inf")) for times in results)
    bars.append(Bar(f"{database}, beside all these: not 2xx", 0, failures))
    memory = int(server.read_process("status").partition("VmHWM:")[2].split()[0]) / 1024
    return [*bars, Bar(f"{database}, beside all these: memory, MB", 150, memory)]


def call_often(server: Server, call: tuple[str, ...]) -> list[float]:
    """Make a call over and over; return the seconds of each, infinite if it failed."""
    times = []
    start = time.monotonic()
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=60)) as client:
        for number in range(int(SECONDS / PAUSE)):
            due = start + number * PAUSE
            time.sleep(max(0, due - time.monotonic()))
            try:
                status, _ = servers.send(client, *call)
            except (OSError, HTTPException):
                client.close()
                status = 0
            is_good = status in (200, 201)
            times.append(time.monotonic() - due if is_good else float("inf"))
    return times
