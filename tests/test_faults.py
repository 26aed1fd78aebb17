"""Faults made for real: what the service answers while they last, and what is stored after."""

import os
import signal
import socket
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Self

import httpx2
import psutil
import psycopg
import pytest

from tests.load import CUT_OFF, Load
from tests.proxy import Proxy
from tests.servers import Postgres, Service, free_port, needs, own_postgres, until

PASSWORD = "correct-horse"  # noqa: S105  # the servers trust everybody: it only must not be logged
SLOTS = 10  # POOL_SIZE's default, times two workers
WRITES = 100 * int(os.environ.get("SOAK", "1"))  # before and after each fault, under load

Report = Callable[[object], None]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A Postgres server that a test may break, and leaves running."""
    with own_postgres(max_connections="40") as server:
        yield server


@pytest.fixture(scope="module")
def proxy(server: Postgres) -> Iterator[Proxy]:
    """A network to the server that a test may break, and leaves whole."""
    with Proxy(server.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def running(server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service, which has to outlive all faults."""
    with Service.gunicorn(tmp_path_factory.mktemp("s"), DATABASE_URL=url(server)) as service:
        yield complete(service)


@pytest.fixture(scope="module")
def hurried(
    server: Postgres, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The service behind the proxy, with short timeouts, which has to outlive all faults."""
    settings = {"POOL_TIMEOUT": "0.5", "DB_TIMEOUT": "3", "DATABASE_URL": url(server, proxy.port)}
    with Service.gunicorn(tmp_path_factory.mktemp("h"), **settings) as service:
        yield complete(service)


class Figures:
    """What each row saw, printed at the end with -v."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the lines."""
        if terminalreporter.verbosity > 0:
            terminalreporter.section("faults")
            terminalreporter.line("\n".join(sorted(self.lines)))


@pytest.fixture(scope="module")
def figures(request: pytest.FixtureRequest) -> Figures:
    """The figures of all rows."""
    figures = Figures()
    request.config.pluginmanager.register(figures)
    return figures


@pytest.fixture
def report(request: pytest.FixtureRequest, figures: Figures) -> Report:
    """A function that keeps a row's figures."""
    return lambda seen: figures.lines.append(f"{request.node.name}: {seen}")


class Log:
    """What a service logs from now on."""

    def __init__(self, service: Service) -> None:
        self.file = service.log
        self.start = len(self.file.read_text())

    def __str__(self) -> str:
        return self.file.read_text()[self.start :]

    @property
    def warnings(self) -> int:
        """How many warnings there are: in a service that runs, one for each failure."""
        return str(self).count("[WARNING]")

    @property
    def calm(self) -> bool:
        """Whether the log has no traceback and never shows the password."""
        return not any(word in self.file.read_text() for word in ("Traceback", PASSWORD))


class Crowd:
    """Requests that are under way together, each on a connection of its own."""

    def __init__(self, service: Service) -> None:
        self.client = httpx2.Client(
            base_url=service.url, timeout=30, limits=httpx2.Limits(max_connections=None)
        )
        self.threads = ThreadPoolExecutor(300)
        self.sent: list[Future[httpx2.Response]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.threads.shutdown()
        self.client.close()

    def post(self, *texts: str) -> None:
        """Send a POST for each text."""
        for text in texts:
            self.sent.append(self.threads.submit(self.client.post, "/notes/", json={"text": text}))

    def get(self, *paths: str) -> None:
        """Send a GET for each path."""
        for path in paths:
            self.sent.append(self.threads.submit(self.client.get, path))

    def answers(self) -> list[httpx2.Response]:
        """Wait for all answers, and return them in the order of their requests."""
        answers = [future.result() for future in self.sent]
        self.sent = []
        return answers


def url(server: Postgres, port: int | None = None, database: str = "postgres") -> str:
    """Return a database's URL with a password in it."""
    return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port or server.port}/{database}"


def texts(server: Postgres) -> list[str]:
    """Return all texts that are stored."""
    return server.sql("SELECT text FROM notes").splitlines()


def statuses(answers: list[httpx2.Response]) -> Counter[int]:
    """Return how often each status was the answer."""
    return Counter(answer.status_code for answer in answers)


def seconds(answers: list[httpx2.Response]) -> float:
    """Return how long the slowest answer took."""
    return max(answer.elapsed.total_seconds() for answer in answers)


def complete(service: Service) -> Service:
    """Wait until all workers serve."""
    until(lambda: service.log.read_text().count("startup complete") == 2)
    return service


def workers(service: Service) -> list[psutil.Process]:
    """Return gunicorn's workers."""
    return psutil.Process(service.process.pid).children()


@contextmanager
def locked_table(server: Postgres) -> Iterator[None]:
    """Keep everybody else from the table of notes."""
    with psycopg.connect(server.url()) as session:
        session.execute("LOCK TABLE notes IN ACCESS EXCLUSIVE MODE")
        yield


def sessions(server: Postgres, condition: str, database: str = "postgres") -> set[int]:
    """Return the process ids of the sessions in a database for which a condition holds."""
    query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    with psycopg.connect(server.url(database), autocommit=True) as session:
        return {pid for (pid,) in session.execute(f"{query} AND {condition}")}


def waiting(server: Postgres) -> set[int]:
    """Return the sessions that wait for a lock."""
    return sessions(server, "wait_event_type = 'Lock'")


def fill(server: Postgres, crowd: Crowd) -> None:
    """Send reads until each connection of both workers' pools waits for the locked table."""

    def full() -> bool:
        crowd.get(*["/notes/"] * (SLOTS - len(waiting(server))))
        return len(waiting(server)) == SLOTS

    until(full, what=f"{SLOTS} sessions that wait")


def check_slots(server: Postgres, service: Service) -> None:
    """Fail if a connection of the pools is lost: all of them can be busy at the same time."""
    with Crowd(service) as crowd, locked_table(server):
        fill(server, crowd)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_restart_of_postgres_costs_no_read(
    mode: str, server: Postgres, running: Service, report: Report
) -> None:
    """A restart of Postgres under load is seen by writes alone, and every answer stays true."""
    running.wait("/readyz")
    log = Log(running)
    with Load(running.url) as load:
        load.proceed(WRITES)
        server.restart(mode)
        load.proceed(WRITES)
    report(load)
    assert not load.untrue(texts(server))
    assert load.reads.keys() == {"200"}
    assert load.writes.keys() <= {"201", "503", "504"}
    assert load.slowest < 7
    assert log.warnings == load.failures
    assert log.calm


def test_killed_worker_costs_only_what_it_was_doing(
    server: Postgres, running: Service, report: Report
) -> None:
    """A worker that is killed under load takes the requests on its connections with it, no more."""
    log = Log(running)
    with Load(running.url) as load:
        load.proceed(WRITES)
        victim = workers(running)[0]
        held = [c for c in victim.net_connections() if c.laddr.port == running.port and c.raddr]
        victim.kill()
        load.proceed(WRITES)
        until(lambda: len(workers(running)) == 2 and victim not in workers(running))
        load.proceed(WRITES)
    report(load)
    assert not load.untrue(texts(server))
    assert load.reads.keys() | load.writes.keys() <= {"200", "201", CUT_OFF}
    assert (load.reads + load.writes)[CUT_OFF] <= len(held)
    assert log.calm
    check_slots(server, running)


def test_hup_cuts_off_no_request_that_was_begun(
    server: Postgres, running: Service, report: Report
) -> None:
    """HUP under load replaces the workers; a request that meets a closing connection does nothing."""
    log = Log(running)
    with Load(running.url) as load:
        load.proceed(WRITES)
        old = workers(running)
        running.process.send_signal(signal.SIGHUP)
        until(lambda: not any(worker.is_running() for worker in old))
        load.proceed(WRITES)
    report(load)
    stored = texts(server)
    assert not load.untrue(stored)
    assert load.reads.keys() | load.writes.keys() <= {"200", "201", CUT_OFF}
    assert not {text for text in stored if load.written.get(text) == CUT_OFF}
    assert log.calm
    check_slots(server, running)


def test_service_starts_and_lives_without_postgres(tmp_path: Path, report: Report) -> None:
    """Without Postgres the service starts, replaces a killed worker, answers 503, and recovers."""
    with ExitStack() as stack:
        server = Postgres().initialise()
        stack.callback(server.remove)
        service = stack.enter_context(Service.gunicorn(tmp_path, DATABASE_URL=url(server)))
        crowd = stack.enter_context(Crowd(service))
        crowd.get("/readyz", "/notes/")
        crowd.post("early")
        assert [answer.status_code for answer in crowd.refusals()] == [503] * 3
        victim = workers(service)[0]
        victim.kill()
        until(lambda: len(workers(service)) == 2 and victim not in workers(service))
        crowd.get("/livez", "/readyz")
        assert [answer.status_code for answer in crowd.answers()] == [200, 503]
        server.start()
        crowd.post("late")
        late = crowd.answers()
        report(f"first 201 {seconds(late):.2f} s after Postgres accepted")
        assert statuses(late) == {201: 1}
        assert seconds(late) < 1
        assert texts(server) == ["late"]
        assert service.process.poll() is None
        assert Log(service).calm
        check_slots(server, service)
