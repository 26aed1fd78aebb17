"""Faults made for real: what the service answers while they last, and what is stored after."""

import asyncio
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from tests.fixtures import load_main, problem
from tests.load import (
    CUT_OFF,
    UNREACHABLE,
    Answers,
    Crowd,
    Load,
    are_refusals,
    slowest,
    statuses,
)
from tests.proxy import Proxy
from tests.servers import (
    Postgres,
    Service,
    is_listening,
    require_programs,
    skip,
    start_postgres,
    wait_until,
)

PASSWORD = "correct-horse"  # the servers trust everybody: it only must not be logged
SLOTS = 10  # POOL_SIZE's default, times two workers
WRITES = 100 * int(os.environ.get("SOAK", "1"))  # before and after each fault, under load

Report = Callable[[object], None]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A Postgres server that a test may break, and leaves whole."""
    with start_postgres(max_connections="40") as server:
        yield server


@pytest.fixture(scope="module")
def proxy(server: Postgres) -> Iterator[Proxy]:
    """A network to the server that a test may break, and leaves whole."""
    with Proxy(server.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def service(
    server: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The service, which has to outlive all faults."""
    folder = tmp_path_factory.mktemp("service")
    with Service.gunicorn(folder, DATABASE_URL=url(server.port)) as service:
        yield wait_for_workers(service)


@pytest.fixture(scope="module")
def short_timeout_service(
    server: Postgres, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The service behind the proxy and with short timeouts, which has to outlive all faults."""
    settings = {"POOL_TIMEOUT": "0.5", "DB_TIMEOUT": "3", "DATABASE_URL": url(proxy.port)}
    with Service.gunicorn(tmp_path_factory.mktemp("hasty"), **settings) as service:
        yield wait_for_workers(service)


class Figures:
    """What the tests saw; pytest -v prints it at the end."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the lines."""
        if terminalreporter.verbosity > 0:
            terminalreporter.section("faults")
            terminalreporter.line("\n".join(sorted(self.lines)))


@pytest.fixture(scope="module")
def figures(request: pytest.FixtureRequest) -> Figures:
    """The figures of all tests."""
    figures = Figures()
    request.config.pluginmanager.register(figures)
    return figures


@pytest.fixture
def report(request: pytest.FixtureRequest, figures: Figures) -> Report:
    """A function that keeps the figures of a test."""
    return lambda value: figures.lines.append(f"{request.node.name}: {value}")


class Log:
    """What a service logs from now on, or the whole of it."""

    def __init__(self, service: Service, *, from_start: bool = False) -> None:
        self.file = service.log
        self.start = 0 if from_start else len(self.file.read_text())

    def __str__(self) -> str:
        return self.file.read_text()[self.start :]

    @property
    def failures(self) -> list[str]:
        """The lines that tell what failed, after how long, and why."""
        return re.findall(r"\[WARNING\] .+ \d+\.\d\d s: \w.+", str(self))

    @property
    def is_clean(self) -> bool:
        """Whether there is no traceback and no password."""
        return not any(word in str(self) for word in ("Traceback", PASSWORD))

    @property
    def start_count(self) -> int:
        """How many workers have started."""
        return str(self).count("Application startup complete")


def url(port: int, database: str = "postgres") -> str:
    """Return the URL of a database on Postgres, with a password in it."""
    return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/{database}"


def wait_for_workers(service: Service, workers: int = 2) -> Service:
    """Wait until all workers serve."""
    wait_until(
        lambda: Log(service, from_start=True).start_count == workers,
        60,
        "the start of all workers",
    )
    return service


def workers(service: Service) -> list[psutil.Process]:
    """Return gunicorn's workers."""
    return list(psutil.Process(service.process.pid).children())


def processes(service: Service) -> list[psutil.Process]:
    """Return gunicorn's master and its workers."""
    return [psutil.Process(service.process.pid), *workers(service)]


def find_connections(worker: psutil.Process, service: Service) -> list[Any]:
    """Return the connections of clients that a worker holds."""
    return [
        c for c in worker.net_connections() if c.raddr and c.laddr.port == service.port
    ]


def query(server: Postgres, sql: str, database: str = "postgres") -> list[Any]:
    """Return the first column of what a statement returns on Postgres."""
    with psycopg.connect(server.url(database), autocommit=True) as session:
        return [row[0] for row in session.execute(sql.encode())]


def texts(server: Postgres, database: str = "postgres") -> list[str]:
    """Return all texts that are stored on Postgres."""
    return query(server, "SELECT text FROM notes", database)


def find_sessions(
    server: Postgres, condition: str, database: str = "postgres"
) -> set[int]:
    """Return the process ids of the sessions of a database for which a condition holds."""
    other_sessions = "datname = current_database() AND pid <> pg_backend_pid()"
    sql = f"SELECT pid FROM pg_stat_activity WHERE {other_sessions} AND {condition}"
    return set(query(server, sql, database))


def end_sessions(server: Postgres) -> None:
    """End all sessions of clients."""
    clients = "backend_type = 'client backend' AND pid <> pg_backend_pid()"
    sql = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {clients}"
    server.sql(sql, "template1")


@contextmanager
def locked_table(server: Postgres, database: str = "postgres") -> Iterator[None]:
    """Keep everybody else from the table of notes."""
    with psycopg.connect(server.url(database)) as session:
        session.execute("LOCK TABLE notes IN ACCESS EXCLUSIVE MODE")
        yield


def find_waiting_sessions(server: Postgres, database: str = "postgres") -> set[int]:
    """Return the sessions that wait for a lock."""
    return find_sessions(server, "wait_event_type = 'Lock'", database)


def lists(count: int) -> list[str]:
    """Return the paths of lists that differ, as equal ones would share a statement."""
    return [f"/notes/?skip={number}" for number in range(count)]


def fill_pools(server: Postgres, crowd: Crowd, database: str = "postgres") -> None:
    """Send reads until each connection of both workers' pools waits for the locked table."""

    def is_full() -> bool:
        crowd.get(*lists(SLOTS - len(find_waiting_sessions(server, database))))
        return len(find_waiting_sessions(server, database)) == SLOTS

    wait_until(is_full, description=f"{SLOTS} sessions that wait")


def check_slots(server: Postgres, service: Service, database: str = "postgres") -> None:
    """Fail if a slot of the pools is lost: all of them can be busy at the same time."""
    with Crowd(service) as crowd, locked_table(server, database):
        fill_pools(server, crowd, database)


# Postgres stops, and workers do


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_restart_of_postgres_costs_no_read(
    mode: str, server: Postgres, service: Service, report: Report
) -> None:
    """A restart of Postgres under load fails no read, and no answer to a write is untrue."""
    log = Log(service)
    with Load(service) as load:
        load.wait_for_writes(WRITES)
        server.restart(mode)
        load.wait_for_writes(WRITES)
    report(load)
    assert not load.find_mismatches(texts(server))
    assert load.reads.keys() == {"200"}
    assert load.writes.keys() <= {"201", "503", "504"}
    assert load.slowest < 7  # POOL_TIMEOUT and DB_TIMEOUT
    assert len(log.failures) == load.answers["503"] + load.answers["504"]
    assert log.is_clean
    check_slots(server, service)


def test_killed_worker_fails_only_its_own_requests(
    server: Postgres, service: Service, report: Report
) -> None:
    """A worker killed under load cuts off at most one request for each connection that it held."""
    log = Log(service)
    with Load(service) as load:
        load.wait_for_writes(WRITES)
        victim = max(
            workers(service), key=lambda worker: len(find_connections(worker, service))
        )
        connections = find_connections(victim, service)
        victim.kill()
        load.wait_for_writes(WRITES)
        wait_until(lambda: log.start_count == 1)
        load.wait_for_writes(WRITES)
    report(f"{load}, connections held {len(connections)}")
    assert not load.find_mismatches(texts(server))
    assert load.answers.keys() <= {"200", "201", CUT_OFF}
    assert load.answers[CUT_OFF] <= len(connections)
    assert log.is_clean
    check_slots(server, service)


def test_hup_stores_no_write_that_it_cuts_off(
    server: Postgres, service: Service, report: Report
) -> None:
    """HUP under load replaces the workers; no write that is cut off is stored."""
    log = Log(service)
    with Load(service) as load:
        load.wait_for_writes(WRITES)
        old_workers = workers(service)
        service.process.send_signal(signal.SIGHUP)
        wait_until(
            lambda: (
                log.start_count == 2
                and not any(worker.is_running() for worker in old_workers)
            )
        )
        load.wait_for_writes(WRITES)
    report(load)
    stored_texts = texts(server)
    assert not load.find_mismatches(stored_texts)
    assert load.answers.keys() <= {"200", "201", CUT_OFF}
    assert not load.texts_by_answer(CUT_OFF) & set(stored_texts)
    assert log.is_clean
    check_slots(server, service)


def test_service_starts_and_lives_without_postgres(
    tmp_path: Path, report: Report
) -> None:
    """Without Postgres the service starts, replaces workers and says 503; with it, it serves."""
    with ExitStack() as stack:
        server = Postgres().initialise()
        stack.callback(server.remove)
        service = stack.enter_context(
            Service.gunicorn(tmp_path, POOL_TIMEOUT="0.5", DATABASE_URL=url(server.port))
        )
        crowd = stack.enter_context(Crowd(service))
        crowd.get("/readyz", "/notes/")
        crowd.post("early")
        assert are_refusals(crowd.answers())
        victim = workers(service)[0]
        victim.kill()
        wait_until(lambda: len(workers(service)) == 2 and victim not in workers(service))
        crowd.get("/livez")
        assert statuses(crowd.answers()) == {200: 1}
        server.start()
        crowd.post("late")
        answers = crowd.answers()
        report(f"{statuses(answers)} {slowest(answers):.2f} s after Postgres accepted")
        assert statuses(answers) == {201: 1}
        assert slowest(answers) < 1
        assert texts(server) == ["late"]
        assert service.process.poll() is None
        assert Log(service, from_start=True).is_clean


# The end of the service


def terminate(service: Service, target: str) -> None:
    """Send SIGTERM to the master, as service managers do, or to all processes, as Heroku does."""
    for process in processes(service) if target == "all" else processes(service)[:1]:
        with suppress(psutil.NoSuchProcess):
            process.terminate()


@pytest.mark.parametrize("target", ["master", "all"])
def test_sigterm_under_load_ends_the_service_in_order(
    target: str, server: Postgres, tmp_path: Path, report: Report
) -> None:
    """After SIGTERM no write that was cut off is stored, and the processes are gone soon."""
    server.create_database("ending")
    with (
        Service.gunicorn(tmp_path, DATABASE_URL=url(server.port, "ending")) as service,
        Load(service) as load,
    ):
        wait_for_workers(service)
        load.wait_for_writes(WRITES)
        old_workers = workers(service)
        terminate(service, target)
        wait_until(lambda: not is_listening(service.port))
        service.process.terminate()  # a second one changes nothing
        assert service.process.wait(5) == 0
    report(load)
    stored_texts = texts(server, "ending")
    assert not load.find_mismatches(stored_texts)
    assert not load.texts_by_answer(CUT_OFF) & set(stored_texts)
    assert load.answers.keys() <= {"200", "201", CUT_OFF, UNREACHABLE}
    assert not any(process.is_running() for process in old_workers)
    wait_until(lambda: not find_sessions(server, "true", "ending"), 5)
    assert Log(service, from_start=True).is_clean


def test_sigterm_waits_for_answers_but_not_for_idle_connections(
    server: Postgres, tmp_path: Path
) -> None:
    """SIGTERM closes idle connections, and the others when their requests are answered."""
    server.create_database("ending")
    with (
        Service.gunicorn(tmp_path, DATABASE_URL=url(server.port, "ending")) as service,
        Crowd(service) as idle_clients,
        Crowd(service) as crowd,
    ):
        wait_for_workers(service)
        idle_clients.get(*["/livez"] * 10)
        assert statuses(idle_clients.answers()) == {200: 10}
        with locked_table(server, "ending"):
            crowd.post("1", "2", "3", "4")
            wait_until(lambda: len(find_waiting_sessions(server, "ending")) == 4)
            terminate(service, "all")
            wait_until(lambda: not is_listening(service.port))
        assert statuses(crowd.answers()) == {201: 4}
        assert service.process.wait(5) == 0
    assert sorted(texts(server, "ending")) == ["1", "2", "3", "4"]
    assert Log(service, from_start=True).is_clean


def test_sigterm_ends_the_service_while_the_network_is_stalled(
    server: Postgres, proxy: Proxy, tmp_path: Path
) -> None:
    """SIGTERM ends a service that cannot say goodbye to Postgres."""
    server.create_database("ending")
    with Service.gunicorn(tmp_path, DATABASE_URL=url(proxy.port, "ending")) as service:
        wait_for_workers(service)
        check_slots(server, service, "ending")
        with proxy.stall():
            service.process.terminate()
            assert service.process.wait(5) == 0
    assert Log(service, from_start=True).is_clean


def test_sigterm_waits_five_seconds_for_a_body(tmp_path: Path) -> None:
    """SIGTERM ends `python main.py` in five seconds, though a client never sends its body."""
    head = b"POST /notes/ HTTP/1.1\r\nHost: notes\r\nContent-Length: 9\r\n"
    with (
        Service.python(
            tmp_path, DATABASE_URL=f"sqlite:///{tmp_path}/notes.db"
        ) as service,
        socket.create_connection(("127.0.0.1", service.port)) as client,
    ):
        client.sendall(head + b"Content-Type: application/json\r\n\r\n{")
        service.wait()  # so the service has read what was sent before
        service.process.terminate()
        service.process.wait(8)


# Postgres is busy, slow or silent


def test_full_pool_refuses_and_recovers(
    server: Postgres, short_timeout_service: Service, report: Report
) -> None:
    """When all connections are busy for POOL_TIMEOUT the answer is 503, and nothing is written."""
    with Crowd(short_timeout_service) as first, Crowd(short_timeout_service) as second:
        with locked_table(server):
            fill_pools(server, first)
            log = Log(short_timeout_service)
            second.post(*["one too many"] * 20)
            answers = second.answers()
        assert are_refusals(answers)
        assert len(log.failures) >= len(answers)
        busy_answers = first.answers()
    report(
        f"busy {statuses(busy_answers)}, others {statuses(answers)} after {slowest(answers):.2f} s"
    )
    assert statuses(busy_answers)[200] >= SLOTS
    assert "one too many" not in texts(server)
    assert log.is_clean
    check_slots(server, short_timeout_service)


def test_locked_table_is_given_up(
    server: Postgres, short_timeout_service: Service, report: Report
) -> None:
    """A statement that waits longer than DB_TIMEOUT is 504, and cancelled on the server."""
    log = Log(short_timeout_service)
    with Crowd(short_timeout_service) as crowd, locked_table(server):
        crowd.post("locked out", "locked out")
        crowd.get("/notes/", "/notes/1/")
        wait_until(lambda: len(find_waiting_sessions(server)) == 4)
        pids = find_waiting_sessions(server)
        answers = crowd.answers()
        assert not find_waiting_sessions(server)
    report(f"{statuses(answers)} after {slowest(answers):.2f} s")
    assert [problem(answer) for answer in answers] == [504] * 4
    assert 3 <= slowest(answers) < 5  # DB_TIMEOUT, and room
    assert all(
        "may have been applied" in answer.json()["detail"] for answer in answers[:2]
    )
    assert "locked out" not in texts(server)
    assert pids <= find_sessions(server, "state = 'idle'")
    assert len(log.failures) == 4
    assert log.is_clean
    check_slots(server, short_timeout_service)


def test_slow_statement_is_given_up(
    server: Postgres, short_timeout_service: Service, report: Report
) -> None:
    """A statement that runs longer than DB_TIMEOUT is 504, and cancelled on the server."""
    server.sql(
        """
        CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql
            AS 'BEGIN PERFORM pg_sleep(60); RETURN new; END';
        CREATE TRIGGER slow BEFORE INSERT ON notes FOR EACH ROW
            WHEN (new.text = 'slow') EXECUTE FUNCTION sleep();
        """
    )
    log = Log(short_timeout_service)
    with Crowd(short_timeout_service) as crowd:
        crowd.post("slow", "quick")
        slow_answer, quick_answer = crowd.answers()
    server.sql("DROP FUNCTION sleep CASCADE")
    report(f"{slow_answer.status_code} after {slowest([slow_answer]):.2f} s")
    assert (slow_answer.status_code, quick_answer.status_code) == (504, 201)
    assert 3 <= slowest([slow_answer]) < 5  # DB_TIMEOUT, and room
    assert not find_sessions(server, "wait_event = 'PgSleep'")
    assert "slow" not in texts(server)
    assert len(log.failures) == 1
    assert log.is_clean
    check_slots(server, short_timeout_service)


def test_stalled_network_is_answered_within_eight_seconds(
    server: Postgres, proxy: Proxy, tmp_path: Path, report: Report
) -> None:
    """While the network stalls every request is answered in time, and the probe of life at once."""
    server.create_database("stalled")
    with (
        Service.gunicorn(tmp_path, DATABASE_URL=url(proxy.port, "stalled")) as service,
        Crowd(service) as crowd,
        Crowd(service) as probe,
    ):
        wait_for_workers(service)
        check_slots(server, service, "stalled")
        log = Log(service)
        write_texts = [f"stalled {number}" for number in range(8)]
        probe_answers: Answers = []

        def is_done() -> bool:
            probe.get("/livez")
            probe_answers.extend(probe.answers())
            return crowd.is_done

        with proxy.stall():
            crowd.post(*write_texts)
            crowd.get(*lists(8))
            wait_until(is_done)
            answers = crowd.answers()
            failures = log.failures
        report(
            f"writes {statuses(answers[:8])}, reads {statuses(answers[8:])}, slowest "
            f"{slowest(answers):.2f} s, {len(probe_answers)} x /livez, "
            f"slowest {slowest(probe_answers):.2f} s"
        )
        crowd.post("after")
        assert statuses(crowd.answers()) == {201: 1}
        check_slots(server, service, "stalled")
    assert statuses(probe_answers) == {200: len(probe_answers)}
    assert slowest(probe_answers) < 1
    assert slowest(answers) < 8
    assert set(statuses(answers)) == {503, 504}
    stored_texts = texts(server, "stalled")
    for text, answer in zip(write_texts, answers, strict=False):
        may_be_stored = "may have been applied" in answer.json()["detail"]
        assert may_be_stored == (answer.status_code == 504)
        assert stored_texts.count(text) <= int(may_be_stored)
    assert len(failures) == len(answers)
    assert log.is_clean


def test_write_whose_reply_is_cut_off_is_not_repeated(
    server: Postgres, proxy: Proxy, short_timeout_service: Service
) -> None:
    """A write that was sent when the connection broke is 504 and sent once; here it is stored."""
    log = Log(short_timeout_service)
    with Crowd(short_timeout_service) as crowd:
        proxy.cut_replies("reply cut off")
        crowd.post("reply cut off")
        (answer,) = crowd.answers()
    assert answer.status_code == 504
    assert "may have been applied" in answer.json()["detail"]
    assert proxy.marker_count == 1
    assert texts(server).count("reply cut off") == 1
    assert len(log.failures) == 1
    assert log.is_clean
    check_slots(server, short_timeout_service)


def test_read_whose_reply_is_cut_off_is_repeated(
    server: Postgres, proxy: Proxy, short_timeout_service: Service
) -> None:
    """A read that was sent when the connection broke is sent again, and nobody sees it."""
    log = Log(short_timeout_service)
    with Crowd(short_timeout_service) as crowd:
        proxy.cut_replies("to be found")
        crowd.get("/notes/?q=to+be+found")
        assert statuses(crowd.answers()) == {200: 1}
    assert proxy.marker_count == 2
    assert not str(log)
    check_slots(server, short_timeout_service)


def test_the_log_says_how_a_failure_began(server: Postgres, service: Service) -> None:
    """The line of a failure says how it began, and then why trying again was in vain."""
    log = Log(service)
    with Crowd(service) as crowd, closing(psycopg.connect(server.url())) as session:
        session.execute("LOCK TABLE notes IN ACCESS EXCLUSIVE MODE")
        crowd.get("/notes/")
        wait_until(lambda: len(find_waiting_sessions(server)) == 1)
        server.stop("immediate")
        try:
            answers = crowd.answers()
        finally:
            server.start()
    assert are_refusals(answers)
    (failure,) = log.failures
    assert re.search("closed in the middle.*; then ConnectionRefusedError", failure)
    check_slots(server, service)


def test_full_server_is_503_until_it_has_room(
    server: Postgres, short_timeout_service: Service, report: Report
) -> None:
    """While Postgres is at max_connections the answer is 503, and nothing is written."""
    end_sessions(server)
    log = Log(short_timeout_service)
    with Crowd(short_timeout_service) as crowd:
        with ExitStack() as stack:
            with suppress(psycopg.OperationalError):
                while True:
                    stack.enter_context(psycopg.connect(server.url()))
            crowd.post(*["no room"] * 10)
            crowd.get(*lists(10))
            answers = crowd.answers()
        assert are_refusals(answers)
        assert len(log.failures) == len(answers)
        crowd.post("room again")
        assert statuses(crowd.answers()) == {201: 1}
    report(f"{statuses(answers)} after {slowest(answers):.2f} s")
    assert "no room" not in texts(server)
    assert log.is_clean
    check_slots(server, short_timeout_service)


def test_server_that_is_read_only_is_left_for_a_writable_one(
    server: Postgres, short_timeout_service: Service, report: Report
) -> None:
    """Writes to a read-only server are 503, and connections to it are not kept for the next one."""
    alter = "ALTER DATABASE postgres {} default_transaction_read_only"  # holds for new sessions
    server.sql(alter.format("SET") + " = on", "template1")
    end_sessions(server)
    log = Log(short_timeout_service)
    with Crowd(short_timeout_service) as crowd:
        crowd.post(*["read-only"] * 20)
        refusals = crowd.answers()
        crowd.get(*["/notes/"] * 20)
        reads = crowd.answers()
        server.sql(alter.format("RESET"), "template1")
        crowd.post(*["writable"] * 20)
        writes = crowd.answers()
    report(f"{statuses(refusals)}, {statuses(reads)}, then {statuses(writes)}")
    assert are_refusals(refusals)
    assert statuses(reads) == {200: 20}
    assert statuses(writes) == {201: 20}
    assert "read-only" not in texts(server)
    assert len(log.failures) == len(refusals)
    assert log.is_clean
    check_slots(server, short_timeout_service)


def test_clients_that_leave_cost_nothing(
    server: Postgres, service: Service, report: Report
) -> None:
    """Two hundred clients that leave in the middle of a request cost no slot and cause no error."""
    log = Log(service)
    body = b'{"text": "left behind"}'
    head = "POST /notes/ HTTP/1.1\r\nHost: notes\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    with locked_table(server), ExitStack() as stack:
        for number in range(200):
            client = stack.enter_context(
                socket.create_connection(("127.0.0.1", service.port))
            )
            client.sendall(request if number % 2 else request[:-5])
        wait_until(lambda: len(find_waiting_sessions(server)) == SLOTS)
    check_slots(server, service)
    report(
        f"{texts(server).count('left behind')} of 100 writes done, {len(log.failures)} refused"
    )
    assert "[ERROR]" not in str(log)
    assert log.is_clean


# SQLite


@contextmanager
def sqlite(file: Path) -> Iterator[sqlite3.Connection]:
    """Lend a connection to the service's file."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        yield connection


def check_file(file: Path) -> list[str]:
    """Return all texts that a file holds, and fail if it is damaged."""
    with sqlite(file) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [text for (text,) in connection.execute("SELECT text FROM notes")]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])  # which Windows lacks
def test_four_workers_share_a_file_that_survives_their_end(
    name: str, tmp_path: Path, report: Report
) -> None:
    """Four workers write to one file and none gives up; when all end at once, nothing is lost."""
    file = tmp_path / "notes.db"
    variables = {"DATABASE_URL": f"sqlite:///{file}"}
    with Service.gunicorn(tmp_path, WEB_CONCURRENCY="4", **variables) as service:
        wait_for_workers(service, workers=4)
        log = Log(service)
        with Load(service) as load:
            load.wait_for_writes(2 * WRITES)
            for process in processes(service):
                process.send_signal(signal.Signals[name])
            service.process.wait(5)
    with (
        Service.python(tmp_path, **variables) as second_service,
        Crowd(second_service) as crowd,
    ):
        crowd.get("/readyz")
        assert statuses(crowd.answers()) == {200: 1}
        stored_texts = check_file(file)
    report(load)
    assert not load.find_mismatches(stored_texts)
    assert load.answers.keys() <= {"200", "201", CUT_OFF, UNREACHABLE}
    if name == "SIGTERM":
        assert not load.texts_by_answer(CUT_OFF) & set(stored_texts)
    assert not log.failures
    assert log.is_clean


def test_an_answer_to_a_write_is_given_when_the_disk_has_it(tmp_path: Path) -> None:
    """SQLite syncs each write (2 is FULL): no test pulls the plug to see that none is lost."""
    main = load_main(DATABASE_URL=f"sqlite:///{tmp_path}/notes.db")

    async def read_pragma() -> Any:
        async with main.lifespan(main.app):
            driver = main.database.main_connection.raw_connection
            return await driver.execute_fetchall("PRAGMA synchronous")

    assert [tuple(row) for row in asyncio.run(read_pragma())] == [(2,)]


def test_lock_of_another_process_is_waited_for(tmp_path: Path, report: Report) -> None:
    """A lock that is held for DB_TIMEOUT makes writes 503; reads and shorter waits go through."""
    file = tmp_path / "notes.db"
    variables = {"DATABASE_URL": f"sqlite:///{file}", "DB_TIMEOUT": "1"}
    variables["POOL_TIMEOUT"] = "0.3"  # which is another wait
    with Service.gunicorn(tmp_path, **variables) as service, Crowd(service) as crowd:
        wait_for_workers(service)
        log = Log(service)
        with sqlite(file) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            crowd.post(*["locked out"] * 4)
            crowd.get(*["/notes/"] * 4, "/readyz")
            answers = crowd.answers()
            crowd.post("patient")
            crowd.get(*["/readyz"] * 20)  # once these are answered, the write waits
            wait_until(lambda: sum(future.done() for future in crowd.futures) == 20)
            connection.execute("ROLLBACK")
        patient = crowd.answers()[:1]
    report(
        f"writes {statuses(answers[:4])} after {slowest(answers[:4]):.2f} s, "
        f"reads {statuses(answers[4:])} after {slowest(answers[4:]):.2f} s"
    )
    assert are_refusals(answers[:4])
    assert 0.9 <= slowest(answers[:4]) < 3  # DB_TIMEOUT less the last moment, and room
    assert statuses(answers[4:]) == {200: 5}
    assert slowest(answers[4:]) < 1  # they do not queue behind the writes that wait
    assert statuses(patient) == {201: 1}
    assert check_file(file) == ["patient"]
    assert len(log.failures) == 4
    assert log.is_clean


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Lend a disk of 1 MB; skip the test where this user must not mount one."""
    require_programs("mount")
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        skip(result.stderr.strip())
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_full_disk_stops_writes_alone(tmp_path: Path, report: Report) -> None:
    """On a full disk writes are 503 and reads go on; with room again, so do writes."""
    with small_disk(tmp_path / "disk") as disk:
        file, filler = disk / "notes.db", disk / "filler"
        with (
            Service.gunicorn(tmp_path, DATABASE_URL=f"sqlite:///{file}") as service,
            Crowd(service) as crowd,
        ):
            wait_for_workers(service)
            log = Log(service)
            crowd.post("before")
            assert statuses(crowd.answers()) == {201: 1}
            with filler.open("wb", buffering=0) as stream, suppress(OSError):
                while True:
                    stream.write(bytes(4096))
            crowd.post(*["no room" * 1000] * 8)
            crowd.get(*["/notes/", "/readyz"] * 4)
            answers = crowd.answers()
            filler.unlink()
            crowd.post("after")
            assert statuses(crowd.answers()) == {201: 1}
        report(f"writes {statuses(answers[:8])}, reads {statuses(answers[8:])}")
        assert are_refusals(answers[:8])
        assert statuses(answers[8:]) == {200: 8}
        assert check_file(file) == ["before", "after"]
        assert len(log.failures) == 8
        assert log.is_clean


@pytest.mark.parametrize("name", ["notes.db", "."], ids=["file", "folder"])
def test_read_only_file_or_folder_is_named_at_the_start(
    name: str, tmp_path: Path
) -> None:
    """With a read-only file or folder the service says so in place of starting."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    (folder / "notes.db").touch()
    (folder / name).chmod(0o500)
    command = [sys.executable, "main.py"]
    if os.geteuid() == 0:  # who may write everywhere, but for this
        require_programs("setpriv")
        command = ["setpriv", "--bounding-set=-dac_override", *command]
    service = Service(command, tmp_path, DATABASE_URL=f"sqlite:///{folder}/notes.db")
    try:
        status = service.process.wait(15)
    finally:
        service.stop()
    assert status != 0
    assert "DATABASE_URL" in service.log.read_text()
    assert Log(service, from_start=True).is_clean
