"""The CPU that a request costs the server, beside other ways to write the same service.

All servers run at once, each with one worker, on the same core and with a database of its own;
wrk and Postgres have the other cores. Each round goes over the servers in another order, so that
a noisy moment hits all. Notes, pages and words differ from one request to the next.
"""

import argparse
import random
import re
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from bench import servers
from bench.servers import DATABASES, Bar, Server

SIZE = 1_100  # notes; a page begins after one of the first thousand
CONNECTIONS = 32
WARM_UP = 8  # seconds of each case for Node, which compiles while it runs
BODY = '{"text":"fetch parcel no. {n} from the hall","completed":false}'
CASES = {
    "one note": ("GET", "/notes/{n}/"),
    "a page of 20": ("GET", "/notes/?skip={n}&take=20"),
    "search": ("GET", "/notes/?q=shelf%20{shelf}"),  # on SQLite
    "create": ("POST", "/notes/", BODY),
    "update": ("PUT", "/notes/{n}/", BODY),
}
# As this service has it, without its index for searches.
TABLE = "CREATE TABLE notes (id {}, text varchar NOT NULL, completed boolean NOT NULL)"
IDS = {"Postgres": "bigserial PRIMARY KEY", "SQLite": "integer PRIMARY KEY AUTOINCREMENT"}
THIS, TOGETHER, TUTORIAL = "this service", "with together.py", "the tutorial's way"
LITESTAR, EXPRESS = "Litestar + asyncpg", "Express + pg"
ON_SQLITE = [THIS, TOGETHER, TUTORIAL]
APPS = {
    THIS: "main:app",
    TOGETHER: "examples.together:app",
    TUTORIAL: "bench.peers.tutorial:app",
    "FastAPI + SQLAlchemy's ORM": "bench.peers.sqlalchemy_orm:app",
    LITESTAR: "bench.peers.litestar_asyncpg:app",
    EXPRESS: "bench/peers/express_pg.mjs",
    "bare ASGI + asyncpg": "bench.peers.asgi_asyncpg:app",
}
# The most CPU: where, whose, and the most as a part of another server's, by case.
BARS = [
    ("Postgres", THIS, TUTORIAL, {"one note": 0.45, "a page of 20": 0.48}),
    ("Postgres", THIS, TUTORIAL, {"create": 0.52, "update": 0.52}),
    ("Postgres", TOGETHER, TUTORIAL, {"one note": 0.27}),
    ("SQLite", THIS, TUTORIAL, {"one note": 0.20, "a page of 20": 0.33, "search": 0.60}),
    ("SQLite", THIS, TUTORIAL, {"create": 0.28, "update": 0.25}),
    ("Postgres", THIS, LITESTAR, {"one note": 1.20, "a page of 20": 1.15}),
    ("Postgres", TOGETHER, LITESTAR, {"one note": 0.70}),
    ("Postgres", THIS, EXPRESS, {"one note": 1.00, "create": 1.00, "update": 1.00}),
]
runs: dict[tuple[str, str, str], list[float]] = defaultdict(list)


def drive(server: Server, case: str, seconds: int = 1) -> float:
    """Return the microseconds of CPU that a request costs, and delete what was created."""
    start = server.cpu()
    output, _ = server.load(seconds, CONNECTIONS, *CASES[case]).communicate()
    answers, failed = map(int, output.splitlines()[-1].split())
    if failed:
        raise RuntimeError(f"{case}: {failed} failures\n{server.log.read_text()}")
    # When wrk leaves, one more request is under way on each connection.
    cpu = (server.cpu() - start) / (answers + CONNECTIONS)
    if case in ("create", "update"):
        servers.execute(server.url, f"DELETE FROM notes WHERE id > {SIZE}", "VACUUM")
    return 1e6 * cpu


def measure(postgres: str, folder: Path, options: argparse.Namespace) -> list[Bar]:
    """Measure all cases of all servers on both databases."""
    for database in DATABASES:
        names = list(APPS) if database == "Postgres" else ON_SQLITE
        cases = [case for case in CASES if case != "search" or database == "SQLite"]
        with ExitStack() as stack:
            running = {}
            for name in names:
                url = servers.create_database(database, postgres, folder)
                if "peers" in APPS[name]:
                    servers.execute(url, TABLE.format(IDS[database]))
                running[name] = stack.enter_context(Server(APPS[name], url, folder))
                servers.fill(url, SIZE)
            for case in cases:
                call = [re.sub("{[a-z]+}", "7", part) for part in CASES[case]]
                answers = {name: running[name].send(*call) for name in names}
                if any(answer != answers[THIS] for answer in answers.values()):
                    raise RuntimeError(f"{case}: they do not answer the same: {answers}")
                if EXPRESS in running:
                    drive(running[EXPRESS], case, WARM_UP)
                for _ in range(options.rounds):
                    for name in random.sample(names, len(names)):
                        runs[database, name, case].append(drive(running[name], case))
        rows = []
        for name in names:
            keys = [(database, name, case) for case in cases]
            parts = [f"{median(runs[key]):.0f} ({ratio(*key):.2f})" for key in keys]
            rows.append([name, *parts])
        servers.print_table([f"{database}, us a request", *cases], rows)
    bars = []
    for database, name, other, limits in BARS:
        for case, most in limits.items():
            what = f"CPU on {database}, {case}: {name}, of {other}"
            bars.append(Bar(what, most, ratio(database, name, case, other)))
    return bars


def ratio(database: str, name: str, case: str, other: str = TUTORIAL) -> float:
    """Return the CPU as a part of another server's: the median of the rounds' ratios."""
    pairs = zip(runs[database, name, case], runs[database, other, case], strict=True)
    return median(ours / theirs for ours, theirs in pairs)
