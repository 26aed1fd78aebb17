"""Measure this service and its peers under load: what a request costs the server.

    python -m bench.bench [--rounds 3] [--seconds 2] [--connections 1 32 256]
                          [--databases ...] [--peers ...] [--cases ...] [--requests 100000]

It needs Linux and wrk; Node's peers need `npm ci` in bench/peers. The figures go to
bench/results/load.md, and those of the summary to load.png.

How to read the table. Each server is one worker process that has a core for itself; wrk and
Postgres have the others. All servers of a database run at once, with 1,000 notes each in a database
of their own, and the rounds go over them in turn, so that a noisy minute hits all of them. Each
figure is the median of the rounds.

- CPU is what the worker takes per request, in user and in system mode, in microseconds. It hardly
  depends on what else the machine does, so it is the figure to compare; the CPU of Postgres is not
  in it, but SQLite's is, as SQLite runs in the worker.
- "of the tutorial's" is this CPU divided by that of the tutorial's way for the same case.
- requests/s, p50 and p99 (of the time to an answer) depend on the machine, on Postgres and on the
  disk as well. With more connections than the server can serve at once, p50 is little more than the
  connections divided by requests/s.

A server has a figure only where every answer was a 2xx, and the first one the same as this
service's. What is left out has a line that says why. With other than 32 connections, only this
service and the tutorial's way are measured, and only reading one note and creating one, unless
--peers or --cases name others.
"""

import argparse
import contextlib
import shutil
import tempfile
from pathlib import Path

from bench import memory
from bench.load import CASES, OTHER_CORES, RefusedError, answer, drive, on_cores
from bench.notes import SIZE, tidy
from bench.report import DATABASES, LOAD, markdown, plot, save
from bench.results import Key, Results
from bench.subjects import SUBJECTS, THIS, TUTORIAL, Subject
from tests.servers import Postgres, Service, own_postgres

FEW_CASES, FEW_PEERS = ["read", "create"], [TUTORIAL.name]


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    peers = [subject.name for subject in SUBJECTS if subject is not THIS]
    parser = argparse.ArgumentParser(description="Measure this service and its peers under load.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2, help="of each run")
    parser.add_argument("--connections", type=int, nargs="+", default=[LOAD, 1, 256])
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=[*DATABASES])
    parser.add_argument("--peers", nargs="*", choices=peers)
    parser.add_argument("--cases", nargs="+", choices=CASES)
    parser.add_argument("--requests", type=int, default=100_000, help="of the memory, 0 for none")
    options = parser.parse_args()
    options.all_peers, options.all_cases = peers, [*CASES]
    return options
