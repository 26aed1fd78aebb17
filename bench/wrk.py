"""The load on a server, and what it costs the server's process."""

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from bench.notes import COMMON, SIZE
from tests.servers import Service

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORES, OTHER_CORES = CORES[:1], CORES[1:] or CORES
BODY = '{"text":"fetch the parcel in the hall with Greta, no. 4711","completed":false}'
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Case:
    """A call that is measured."""

    title: str
    method: str
    path: str
    body: str | None = None


CASES = {
    "read": Case("read one", "GET", "/notes/{id}/"),
    "list": Case("list of 20", "GET", "/notes/?skip=0&take=20"),
    "pages": Case("pages of 20", "GET", "/notes/?skip={id}&take=20"),
    "count": Case("list with count", "GET", "/notes/?skip=0&take=20&count=true"),
    "search": Case("search", "GET", f"/notes/?q={COMMON}"),
    "create": Case("create", "POST", "/notes/", BODY),
    "update": Case("update", "PUT", "/notes/{id}/", BODY),
}


@dataclass(frozen=True)
class Run:
    """What came of a case: CPU microseconds per request, requests per second, milliseconds."""

    cpu: float
    rate: float
    p50: float
    p99: float


class RefusedError(Exception):
    """A server answered otherwise than it has to, so that its figures mean nothing."""


@contextlib.contextmanager
def on_cores(cores: list[int]) -> Iterator[None]:
    """Start processes on these cores."""
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, CORES)


def worker_pid(service: Service) -> int:
    """Return the id of the process that answers: gunicorn's one worker, or the server itself."""
    pid = service.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else pid


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that a process has taken, in user and in system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def settled_cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that a process has taken, once it is done with what was sent."""
    current = cpu_seconds(pid)
    while True:
        time.sleep(0.05)
        previous, current = current, cpu_seconds(pid)
        if current - previous <= 2 / TICK:
            return current


def send_case(service: Service, case: Case) -> tuple[int, Any, str | None]:
    """Return the status, the body and the total that a server answers to a case."""
    response = httpx2.request(
        case.method,
        service.url + case.path.format(id=SIZE // 2),
        content=case.body,
        headers={"Content-Type": "application/json"},
        timeout=10,
    )
    if not response.is_success:
        raise RefusedError(f"answered {response.status_code}")
    return response.status_code, response.json(), response.headers.get("X-Total-Count")


def drive(service: Service, case: Case, connections: int, seconds: int) -> Run:
    """Send a case over and over, and return what it cost; RefusedError if anything went wrong."""
    command = [
        "wrk",
        "--threads=1",
        f"--connections={connections}",
        f"--duration={seconds}s",
    ]
    options = [
        "--timeout=10s",
        f"--script={Path(__file__).with_name('wrk.lua')}",
        service.url,
    ]
    script_arguments = [case.method, case.path, *([case.body] if case.body else [])]
    pid = worker_pid(service)
    start_cpu = cpu_seconds(pid)
    with on_cores(OTHER_CORES[:1]):
        wrk = subprocess.run(
            [*command, *options, "--", *script_arguments],
            capture_output=True,
            text=True,
            check=False,
        )
    if wrk.returncode:
        raise RefusedError(wrk.stdout.strip() or wrk.stderr.strip())
    report = json.loads(wrk.stdout.splitlines()[-1])
    if report["refused"] or report["broken"]:
        message = f"{report['refused']} errors and {report['broken']} broken connections"
        raise RefusedError(f"{message} in {report['answers']} answers")
    # When wrk leaves, one more request is under way on each connection.
    cpu = (settled_cpu_seconds(pid) - start_cpu) / (report["answers"] + connections)
    return Run(
        1e6 * cpu, report["answers"] / report["seconds"], report["p50"], report["p99"]
    )
