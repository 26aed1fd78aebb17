"""Measure this service and its peers under load: what a request costs the server.

    python -m bench.bench [--rounds 7] [--seconds 1] [--connections 1 32 256]
                          [--databases ...] [--peers ...] [--cases ...] [--requests 50000]

It needs Linux and wrk; Node's peers need `npm ci` in bench/peers. The figures go to
bench/results/load.md, and those of the summary to load.png. Where a bar that was measured is not
held, the exit status is 1, and the last lines name it.

How to read the table. Each server is one worker process that has a core for itself; wrk and
Postgres have the others. All servers of a database run at once, with 1,000 notes each in a database
of their own, and each round goes over them in another order, so that a noisy minute hits all of
them. Each figure is the median of the rounds. Node's peers first get 8 s of each case, as V8
compiles while it runs: until then they take a tenth to a third more.

- CPU is what the worker takes per request, in user and in system mode, in microseconds. It is the
  figure to compare, within one run: a busy machine can double it, for all alike. The CPU of
  Postgres is not in it, but SQLite's is, as SQLite runs in the worker.
- "of the tutorial's" is this CPU divided by that of the tutorial's way for the same case in the
  same round: the median of the rounds' ratios. The bars compare other servers in the same way.
- requests/s, p50 and p99 (of the time to an answer) depend on the machine, on Postgres and on the
  disk as well. With more connections than the server can serve at once, p50 is little more than the
  connections divided by requests/s.
- A start counts from the process to its first 200 for a note, from a database that is filled, and
  is the median of five. The memory is that of the worker, after a start and after --requests.

A server has a figure only where every answer was a 2xx, and the first one the same as this
service's. What is left out has a line that says why. With other than 32 connections, only this
service and the tutorial's way are measured, and only reading one note and creating one, unless
--peers or --cases name others.
"""

import argparse
import os
import random
import shutil
import signal
import tempfile
from contextlib import ExitStack, suppress
from operator import itemgetter
from pathlib import Path
from typing import Any

from bench import memory, startup
from bench.figures import Key, Results
from bench.notes import SIZE, tidy
from bench.report import BARS, DATABASES, FOLDER, LOAD, markdown, plot, save
from bench.subjects import ALONE, EXPRESS, SUBJECTS, THIS, TUTORIAL, Instance, Subject
from bench.wrk import CASES, OTHER_CORES, RefusedError, on_cores, send_case
from tests.servers import Postgres, start_postgres

PEERS = [subject.name for subject in SUBJECTS if subject is not THIS]
WARM_UP = 8  # seconds of a case


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        description="Measure this service and its peers under load."
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=1, help="that each run takes")
    parser.add_argument("--connections", type=int, nargs="+", default=[LOAD, 1, 256])
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=[*DATABASES])
    parser.add_argument("--peers", nargs="+", choices=PEERS)
    parser.add_argument("--cases", nargs="+", choices=CASES)
    parser.add_argument(
        "--requests", type=int, default=50_000, help="before the memory is read"
    )
    return parser.parse_args()


def create_database(database: str, name: str, folder: Path, postgres: Postgres) -> str:
    """Return the URL of a database that is new and empty."""
    if database == "sqlite":
        return f"sqlite:///{folder}/{name}.db"
    return postgres.create_database(name)


def start(
    stack: ExitStack,
    database: str,
    peers: list[str],
    postgres: Postgres,
    results: Results,
) -> list[Instance]:
    """Return this service and the peers that start, each on a new database; `stack` ends them."""
    folder, servers = Path(stack.enter_context(tempfile.TemporaryDirectory())), []
    for subject in SUBJECTS:
        if database not in subject.databases or subject.name not in [THIS.name, *peers]:
            continue
        url = create_database(database, subject.name, folder, postgres)
        try:
            servers.append(subject.start(folder, url))
        except (RuntimeError, TimeoutError, FileNotFoundError) as error:
            if subject is THIS:
                raise
            lines = [line.strip() for line in str(error).splitlines() if "Error" in line]
            results.leave_out(subject.title, (lines or [str(error)])[-1])
        else:
            stack.callback(servers[-1].service.stop)
    return servers


def compare(
    servers: list[Instance], cases: list[str], results: Results
) -> list[tuple[Instance, str]]:
    """Return the servers and their cases, without those they answer otherwise than this service."""
    same = []
    for case in cases:
        expected: Any = None
        for each in servers:
            if case not in each.subject.cases:
                continue
            try:
                response = send_case(each.service, CASES[case])
                expected = expected or response
                if each.subject.stores and response != expected:
                    raise RefusedError(f"answered {response}, not {expected}")
                same.append((each, case))
            except RefusedError as error:
                results.leave_out(
                    f"{each.subject.title}, {CASES[case].title}", str(error)
                )
            tidy(each.url, SIZE)
    return same


def measure(each: Instance, key: Key, seconds: int, results: Results) -> None:
    """Add a run to the results, or take the server out of this case."""
    try:
        run = each.drive(key.case, key.connections, seconds)
    except RefusedError as error:
        results.refuse(key, str(error))
    else:
        results.runs[key].append(run)
        print(
            *key, f"{run.cpu:.0f} us, {run.rate:.0f}/s, p99 {run.p99:.1f} ms", flush=True
        )


def measure_starts(
    database: str,
    subjects: list[Subject],
    requests: int,
    postgres: Postgres,
    results: Results,
) -> None:
    """Measure how long servers take to start, and the memory of their workers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for subject in subjects:
            url = create_database(database, subject.name, folder, postgres)
            try:
                row = startup.measure(subject, folder, url, requests)
            except (RefusedError, RuntimeError, TimeoutError) as error:
                results.leave_out(f"{subject.title}, its start", str(error))
            else:
                results.startup.append([subject.title, DATABASES[database], *row])
                print(*results.startup[-1], flush=True)


def measure_all(
    database: str, options: argparse.Namespace, postgres: Postgres, results: Results
) -> None:
    """Run all rounds on one kind of database, and then measure starts and memory."""
    with ExitStack() as stack:
        servers = start(stack, database, options.peers or PEERS, postgres, results)
        same = compare(servers, options.cases or [*CASES], results)
        for each, case in same:
            if each.subject.compiles:
                with suppress(RefusedError):  # it is told when it is measured
                    each.drive(case, LOAD, WARM_UP)
        for connections in options.connections:
            few = connections != LOAD
            names = [THIS.name, *(options.peers or ([TUTORIAL.name] if few else PEERS))]
            cases = options.cases or (["read", "create"] if few else [*CASES])
            for _ in range(options.rounds):
                # Another order in each round, as who comes first may be at a disadvantage.
                random.shuffle(same)
                same.sort(key=itemgetter(1))  # case by case
                for each, case in same:
                    key = Key(database, connections, case, each.subject.name)
                    if (
                        key.subject in names
                        and case in cases
                        and key not in results.refused
                    ):
                        measure(each, key, options.seconds, results)
    if options.requests:
        measured = [each.subject for each in servers]
        peers = [subject for subject in (TUTORIAL, EXPRESS) if subject in measured]
        measure_starts(
            database, [THIS, ALONE, *peers], options.requests, postgres, results
        )
        with ExitStack() as stack:
            (this,) = start(stack, database, [], postgres, results)
            row = memory.measure(this.service)
            results.memory.append([DATABASES[database], *row])


def main() -> None:
    """Measure what the command line asks for, and write it down."""
    options, results = arguments(), Results()
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not installed: it makes the load (apt-get install wrk)")
    how = f"Rounds of {options.seconds} s: {options.rounds}."
    how += f" Load average of the machine before: {os.getloadavg()[0]:.1f}."
    with ExitStack() as stack:
        with on_cores(OTHER_CORES):
            # With fsync as in production. The runs clean up after themselves.
            server = start_postgres(fsync="on", autovacuum="off", max_connections="200")
            postgres = stack.enter_context(server)
        for database in options.databases:
            measure_all(database, options, postgres, results)
    save("load.md", markdown(results, how))
    plot(results, FOLDER / "load.png")
    if broken := [bar.title for bar in BARS if bar.is_broken(results)]:
        raise SystemExit("\n".join(["Bars that are not held:", *broken]))


if __name__ == "__main__":
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # so that no server is left behind
    main()
