"""The results as Markdown and as a plot."""

import platform
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import matplotlib.pyplot as plt

from bench.figures import Key, Results
from bench.subjects import (
    EXPRESS,
    FASTIFY,
    FLOOR,
    LITESTAR,
    ORM,
    SUBJECTS,
    THIS,
    TUTORIAL,
    Subject,
)
from bench.wrk import CASES, CORES
from tests.servers import postgres_binaries

FOLDER = Path(__file__).parent / "results"
DATABASES = {"postgres": "Postgres", "sqlite": "SQLite"}
LOAD = 32  # the connections that the summary, the bars and the plot are about


class Bar(NamedTuple):
    """The most CPU per request that this service may take, as a part of another's."""

    database: str
    case: str
    other: Subject
    most: float | None  # None: the figure is format_number, and there is no bar

    @property
    def title(self) -> str:
        """What is compared."""
        what = f"{DATABASES[self.database]}, {CASES[self.case].title}"
        return f"{what}: CPU of {self.other.title}"

    def figure(self, results: Results) -> float | None:
        """Return the part that was measured, None if there is none."""
        key = Key(self.database, LOAD, self.case, THIS.name)
        return results.ratio(key, self.other.name)

    def is_broken(self, results: Results) -> bool:
        """Tell whether the figure was measured and is above the bar."""
        figure = self.figure(results)
        return figure is not None and self.most is not None and figure > self.most


BARS = [
    Bar("postgres", "read", TUTORIAL, 0.45),
    Bar("postgres", "list", TUTORIAL, 0.48),
    Bar("postgres", "create", TUTORIAL, 0.52),
    Bar("postgres", "update", TUTORIAL, 0.52),
    Bar("sqlite", "read", TUTORIAL, 0.20),
    Bar("sqlite", "list", TUTORIAL, 0.22),
    Bar("sqlite", "create", TUTORIAL, 0.27),
    Bar("sqlite", "update", TUTORIAL, 0.22),
    Bar("sqlite", "search", TUTORIAL, 0.50),
    Bar("postgres", "read", LITESTAR, 1.05),
    Bar("postgres", "list", LITESTAR, 1.15),
    Bar("postgres", "read", EXPRESS, 0.95),
    Bar("postgres", "list", EXPRESS, 1.15),
    Bar("postgres", "create", EXPRESS, 0.95),
    Bar("postgres", "update", EXPRESS, 0.95),
    Bar("postgres", "read", FLOOR, 1.85),
    Bar("postgres", "read", ORM, 0.27),
    Bar("postgres", "read", FASTIFY, None),
    Bar("postgres", "list", FASTIFY, None),
    Bar("postgres", "create", FASTIFY, None),
    Bar("postgres", "update", FASTIFY, None),
]
PACKAGES = [
    "fastapi",
    "uvicorn",
    "databases",
    "sqlalchemy",
    "asyncpg",
    "sqlmodel",
    "psycopg",
    "litestar",
]


def format_number(number: float | None, digits: int = 0) -> str:
    """Return a number for a table."""
    return "-" if number is None else f"{number:,.{digits}f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    """Return a table in Markdown; the first columns hold texts, the others numbers."""
    line = ["---"] * texts + ["---:"] * (len(head) - texts)
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, line, *rows]) + "\n"


def read_output(*command: str) -> str:
    """Return what a program prints, or a dash where it is missing."""
    try:
        return subprocess.check_output(command, text=True).strip()
    except FileNotFoundError:
        return "-"


def machine() -> str:
    """Return when, on what and with what the figures were measured."""
    cpu = [
        s
        for s in Path("/proc/cpuinfo").read_text().splitlines()
        if s.startswith("model name")
    ]
    name = cpu[0].partition(": ")[2] if cpu else platform.machine()
    versions = [
        f"Python {platform.python_version()}",
        f"Node {read_output('node', '--version')}",
    ]
    versions += [read_output(str(postgres_binaries() / "postgres"), "--version")]
    versions += [
        f"{package} {version(package)}" for package in PACKAGES if find_spec(package)
    ]
    today = datetime.now(UTC).date().isoformat()
    return f"{today}, {len(CORES)} cores of {name}; {', '.join(versions)}.\n"


def summary(results: Results, database: str) -> str:
    """Return the CPU per request of each server, and its part of the tutorial's."""

    def rows() -> Iterator[list[str]]:
        for subject in SUBJECTS:
            keys = [Key(database, LOAD, case, subject.name) for case in CASES]
            if any(key in results.runs for key in keys):
                cpu = [format_number(results.median(key, "cpu")) for key in keys]
                parts = [
                    format_number(results.ratio(key, TUTORIAL.name), 2) for key in keys
                ]
                cells = [
                    f"{a} ({b})" if b != "-" else a
                    for a, b in zip(cpu, parts, strict=True)
                ]
                yield [subject.title, *cells]

    return table([DATABASES[database], *(case.title for case in CASES.values())], rows())


def bars(results: Results) -> str:
    """Return each bar with its figure, and whether it is held; a dash is for none."""
    rows = []
    for bar in BARS:
        figure = bar.figure(results)
        held = "-"
        if figure is not None and bar.most is not None:
            held = "no" if bar.is_broken(results) else "yes"
        rows.append(
            [bar.title, format_number(bar.most, 2), format_number(figure, 3), held]
        )
    return table(["this service, as a part of", "bar: at most", "is", "held"], rows)


def details(results: Results, database: str, connections: int) -> str:
    """Return all figures of a database and a number of connections."""

    def rows() -> Iterator[list[str]]:
        for case in CASES:
            for subject in SUBJECTS:
                key = Key(database, connections, case, subject.name)
                if key in results.runs:
                    ratio = format_number(results.ratio(key, TUTORIAL.name), 2)
                    cpu, rate = (
                        format_number(results.median(key, name))
                        for name in ("cpu", "rate")
                    )
                    waits = [
                        format_number(results.median(key, name), 1)
                        for name in ("p50", "p99")
                    ]
                    yield [CASES[case].title, subject.title, cpu, ratio, rate, *waits]

    head = [
        "case",
        "server",
        "CPU, us",
        "of the tutorial's",
        "requests/s",
        "p50, ms",
        "p99, ms",
    ]
    return table(head, rows(), texts=2)


def markdown(results: Results, how: str) -> str:
    """Return the whole report; `how` says how it came about."""
    loads = dict.fromkeys((key.connections, key.database) for key in results.runs)
    parts = ["# Load\n", machine(), f"{how}\n"]
    if at_load := [database for connections, database in loads if connections == LOAD]:
        parts += [
            f"CPU microseconds per request at {LOAD} connections "
            "(part of the tutorial's, the median of the rounds' ratios):\n"
        ]
        parts += [summary(results, database) for database in at_load]
        parts += ["## Bars\n", bars(results)]
    if results.startup:
        head = ["one worker", "database", "seconds to the first 200"]
        head += ["MB resident after the start", "MB after requests (how many)"]
        parts += ["## Start and memory\n", table(head, results.startup, texts=2)]
    if results.memory:
        head = ["this service, most MB resident", "while 100 MB come with their length"]
        head += ["while 100 MB come chunked"]
        parts += ["## Large bodies\n", table(head, results.memory)]
    for connections, database in sorted(loads, key=lambda load: load[0] != LOAD):
        parts += [f"## {DATABASES[database]}, connections: {connections}\n"]
        parts += [details(results, database, connections)]
    return "\n".join([*parts, *(f"{line}\n" for line in results.left_out)])


def plot(results: Results, path: Path) -> None:
    """Draw the CPU per request of each server, a field for each case and database."""
    mpl.use("Agg")
    databases = list(
        dict.fromkeys(key.database for key in results.runs if key.connections == LOAD)
    )
    if not databases:
        return
    figure, fields = plt.subplots(
        len(databases),
        len(CASES),
        figsize=(18, 3.2 * len(databases)),
        squeeze=False,
        sharey="row",
    )
    for row, database in zip(fields, databases, strict=True):
        for axes, (name, case) in zip(row, CASES.items(), strict=True):
            for subject in reversed(SUBJECTS):
                cpu = results.median(Key(database, LOAD, name, subject.name), "cpu")
                if database in subject.databases:
                    colour = "tab:red" if subject is THIS else "tab:gray"
                    bar = axes.barh(subject.title, cpu or 0, color=colour)
                    axes.bar_label(bar, [format_number(cpu)])
            axes.set_title(f"{DATABASES[database]}: {case.title}")
            axes.margins(x=0.35)
    figure.supxlabel(f"CPU microseconds per request of the server, {LOAD} connections")
    figure.tight_layout()
    figure.savefig(path, dpi=80)


def save(name: str, text: str) -> None:
    """Print a text, and write it to a file in the folder of the results."""
    print(text)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / name).write_text(text)
