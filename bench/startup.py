"""The time that a server takes to its first answer, and the memory of its worker."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench.memory import megabytes
from bench.notes import SIZE, fill
from bench.subjects import Instance, Subject
from bench.wrk import CASES, OTHER_CORES, on_cores, worker_pid
from tests.servers import Service

FIRST = "/notes/1/"
LIMIT = 30  # seconds to the first answer
STARTS = 5  # that the median is of


@contextlib.contextmanager
def start(subject: Subject, folder: Path, url: str) -> Iterator[tuple[Service, float]]:
    """Lend a server that has just answered, and the seconds that it took to."""
    start_time = time.monotonic()
    service = subject.spawn(folder, url)
    try:
        with on_cores(OTHER_CORES):
            service.wait(FIRST, LIMIT)
        yield service, time.monotonic() - start_time
    finally:
        service.stop()


def send_requests(instance: Instance, requests: int) -> float:
    """Send at least so many requests, each case in turn, and return their number."""
    total = 0.0
    while total < requests:
        for case in CASES:
            total += instance.drive(case, 32, 1).rate
    return total


def measure(subject: Subject, folder: Path, url: str, requests: int) -> list[str]:
    """Return the seconds of a start, and the memory after it and after many requests."""
    fill(url, SIZE)
    times = []
    for _ in range(STARTS):
        with start(subject, folder, url) as (_, seconds):
            times.append(seconds)
    with start(subject, folder, url) as (service, _):
        pid = worker_pid(service)
        first = megabytes(pid, "VmRSS")
        total = send_requests(Instance(subject, service, url), requests)
        later = megabytes(pid, "VmRSS")
    return [f"{median(times):.2f}", f"{first:.1f}", f"{later:.1f} ({total:,.0f})"]
