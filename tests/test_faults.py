"""Faults made for real: what the service answers while they last, and what is stored after."""

import asyncio
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from tests.fixtures import load_main, open_client, problem
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


class Log:
    """What a service logs from now on."""

    def __init__(self, service: Service) -> None:
        self.file = service.log
        self.start = len(self.file.read_text())

    def __str__(self) -> str:
        return self.file.read_text()[self.start :]

    @property
    def failures(self) -> list[str]:
        """The lines that tell what failed, and why."""
        return re.findall(r"\[WARNING\] 50[34]\b.+", str(self))


def count_starts(log: object) -> int:
    """Return how many workers have started."""
    return str(log).count("Application startup complete")


def check_log(service: Service) -> None:
    """Fail if a service has logged a traceback or the password."""
    text = service.log.read_text()
    assert "Traceback" not in text
    assert PASSWORD not in text


@contextmanager
def serve(folder: Path, url: str, **settings: str) -> Iterator[Service]:
    """Lend the service under gunicorn when all its workers serve; its log has to stay clean."""
    workers = int(settings.setdefault("WEB_CONCURRENCY", "2"))
    with Service.gunicorn(folder, DATABASE_URL=url, **settings) as service:
        wait_until(lambda: count_starts(service.log.read_text()) == workers, 60)
        yield service
    check_log(service)


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
    """The service, which no fault may cost a slot of its pools."""
    with serve(tmp_path_factory.mktemp("service"), url(server.port)) as service:
        yield service
        check_slots(server, service)


@pytest.fixture(scope="module")
def hasty_service(
    server: Postgres, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The service with short timeouts behind the proxy, with the same aim."""
    timeouts = {"POOL_TIMEOUT": "0.5", "DB_TIMEOUT": "2"}
    with serve(tmp_path_factory.mktemp("hasty"), url(proxy.port), **timeouts) as service:
        yield service
        check_slots(server, service)


def url(port: int, database: str = "postgres") -> str:
    """Return the URL of a database on Postgres, with a password in it."""
    return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/{database}"


def workers(service: Service) -> list[psutil.Process]:
    """Return gunicorn's workers."""
    return list(psutil.Process(service.process.pid).children())


def processes(service: Service) -> list[psutil.Process]:
    """Return gunicorn's master and its workers."""
    return [psutil.Process(service.process.pid), *workers(service)]


def count_clients(worker: psutil.Process, service: Service) -> int:
    """Return how many connections of clients a worker holds."""
    connections = [each for each in worker.net_connections() if each.raddr]
    return sum(each.laddr.port == service.port for each in connections)


def texts(server: Postgres, database: str = "postgres") -> list[str]:
    """Return all texts that are stored on Postgres."""
    with psycopg.connect(server.url(database)) as session:
        return [text for (text,) in session.execute("SELECT text FROM notes")]


def find_sessions(
    server: Postgres, condition: str, database: str = "postgres"
) -> set[int]:
    """Return the process ids of the sessions of a database for which a condition holds."""
    others = f"datname = '{database}' AND pid <> pg_backend_pid()"
    sql = f"SELECT pid FROM pg_stat_activity WHERE {others} AND {condition}"
    with psycopg.connect(server.url()) as session:
        return {pid for (pid,) in session.execute(sql.encode())}


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


def fill_pools(server: Postgres, crowd: Crowd, database: str = "postgres") -> None:
    """Send reads until each connection of both workers' pools waits for the locked table."""

    def is_full() -> bool:
        missing = SLOTS - len(find_waiting_sessions(server, database))
        crowd.get(*["/notes/"] * missing)
        return missing == 0

    wait_until(is_full, description=f"{SLOTS} sessions that wait")


def check_slots(server: Postgres, service: Service, database: str = "postgres") -> None:
    """Fail if a slot of the pools is lost: all of them can be busy at the same time."""
    with Crowd(service) as crowd, locked_table(server, database):
        fill_pools(server, crowd, database)


# Postgres stops, and workers do


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_restart_of_postgres_costs_no_read(
    mode: str, server: Postgres, service: Service
) -> None:
    """A restart of Postgres under load fails no read, and no answer to a write is untrue."""
    log = Log(service)
    with Load(service) as load:
        load.wait_for_writes(WRITES)
        server.restart(mode)
        load.wait_for_writes(WRITES)
    assert not load.find_mismatches(texts(server))
    assert load.reads.keys() == {"200"}
    assert load.writes.keys() <= {"201", "503", "504"}
    assert load.slowest < 7  # POOL_TIMEOUT and DB_TIMEOUT
    assert len(log.failures) == load.answers["503"] + load.answers["504"]


def test_killed_worker_fails_only_its_own_requests(
    server: Postgres, service: Service
) -> None:
    """A worker killed under load cuts off at most one request for each connection that it held."""
    log = Log(service)
    with Load(service) as load:
        load.wait_for_writes(WRITES)
        victim = max(workers(service), key=lambda worker: count_clients(worker, service))
        clients = count_clients(victim, service)
        victim.kill()
        load.wait_for_writes(WRITES)
        wait_until(lambda: count_starts(log) == 1)
        load.wait_for_writes(WRITES)
    assert not load.find_mismatches(texts(server))
    assert load.answers.keys() <= {"200", "201", CUT_OFF}
    assert load.answers[CUT_OFF] <= clients


def test_hup_stores_no_write_that_it_cuts_off(server: Postgres, service: Service) -> None:
    """HUP under load replaces the workers; no write that is cut off is stored."""
    log = Log(service)
    with Load(service) as load:
        load.wait_for_writes(WRITES)
        old_workers = workers(service)
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: count_starts(log) == 2)
        wait_until(lambda: not any(worker.is_running() for worker in old_workers))
        load.wait_for_writes(WRITES)
    stored_texts = texts(server)
    assert not load.find_mismatches(stored_texts)
    assert load.answers.keys() <= {"200", "201", CUT_OFF}
    assert not load.texts_by_answer(CUT_OFF) & set(stored_texts)


def test_service_starts_and_lives_without_postgres(tmp_path: Path) -> None:
    """Without Postgres the service starts, replaces workers and says 503; with it, it serves."""
    with ExitStack() as stack:
        server = Postgres().initialise()
        stack.callback(server.remove)
        service = stack.enter_context(
            serve(tmp_path, url(server.port), POOL_TIMEOUT="0.5")
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
        assert statuses(answers) == {201: 1}
        assert slowest(answers) < 1
        assert texts(server) == ["late"]


# The end of the service


@pytest.mark.parametrize("target", ["master", "all"])  # the latter is Heroku's way
def test_sigterm_under_load_ends_the_service_in_order(
    target: str, server: Postgres, tmp_path: Path
) -> None:
    """After SIGTERM no write that was cut off is stored, and the processes are gone soon."""
    server.create_database("ending")
    with (
        serve(tmp_path, url(server.port, "ending")) as service,
        Load(service) as load,
    ):
        load.wait_for_writes(WRITES)
        old_workers = workers(service)
        for process in processes(service) if target == "all" else [service.process]:
            process.terminate()
        wait_until(lambda: not is_listening(service.port))
        service.process.terminate()  # a second one changes nothing
        assert service.process.wait(15) == 0
    stored_texts = texts(server, "ending")
    assert not load.find_mismatches(stored_texts)
    assert not load.texts_by_answer(CUT_OFF) & set(stored_texts)
    assert load.answers.keys() <= {"200", "201", CUT_OFF, UNREACHABLE}
    assert not any(process.is_running() for process in old_workers)
    wait_until(lambda: not find_sessions(server, "true", "ending"), 5)


def test_sigterm_waits_for_answers_but_not_for_idle_connections(
    server: Postgres, tmp_path: Path
) -> None:
    """SIGTERM closes idle connections, and the others when their requests are answered."""
    server.create_database("ending")
    with (
        serve(tmp_path, url(server.port, "ending")) as service,
        Crowd(service) as idle_clients,
        Crowd(service) as crowd,
    ):
        idle_clients.get(*["/livez"] * 10)
        assert statuses(idle_clients.answers()) == {200: 10}
        with locked_table(server, "ending"):
            crowd.post("1", "2", "3", "4")
            wait_until(lambda: len(find_waiting_sessions(server, "ending")) == 4)
            for process in processes(service):
                process.terminate()
            wait_until(lambda: not is_listening(service.port))
        assert statuses(crowd.answers()) == {201: 4}
        assert service.process.wait(15) == 0
    assert sorted(texts(server, "ending")) == ["1", "2", "3", "4"]


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


def test_full_pool_refuses_and_recovers(server: Postgres, hasty_service: Service) -> None:
    """When all connections are busy for POOL_TIMEOUT the answer is 503, and nothing is written."""
    with Crowd(hasty_service) as first, Crowd(hasty_service) as second:
        with locked_table(server):
            fill_pools(server, first)
            log = Log(hasty_service)
            second.post(*["one too many"] * 20)
            answers = second.answers()
        assert are_refusals(answers)
        assert len(log.failures) >= len(answers)
        assert statuses(first.answers())[200] >= SLOTS
    assert "one too many" not in texts(server)


def test_locked_table_is_given_up(server: Postgres, hasty_service: Service) -> None:
    """A statement that waits longer than DB_TIMEOUT is 504, and cancelled on the server."""
    log = Log(hasty_service)
    with Crowd(hasty_service) as crowd, locked_table(server):
        crowd.post("locked out", "locked out")
        crowd.get("/notes/", "/notes/1/")
        wait_until(lambda: len(find_waiting_sessions(server)) == 4)
        sessions = find_waiting_sessions(server)
        answers = crowd.answers()
        assert not find_waiting_sessions(server)
    assert [problem(answer) for answer in answers] == [504] * 4
    assert 2 <= slowest(answers) < 4  # DB_TIMEOUT, and room
    details = [answer.json()["detail"] for answer in answers[:2]]
    assert all("may have been applied" in detail for detail in details)
    assert "locked out" not in texts(server)
    assert sessions <= find_sessions(server, "state = 'idle'")
    assert len(log.failures) == 4


def test_stalled_network_is_answered_within_eight_seconds(
    server: Postgres, proxy: Proxy, tmp_path: Path
) -> None:
    """On a stalled network all are answered in time, /livez at once, and SIGTERM ends it."""
    server.create_database("stalled")
    with (
        serve(tmp_path, url(proxy.port, "stalled")) as service,
        Crowd(service) as crowd,
        Crowd(service) as probe,
    ):
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
            crowd.get(*["/notes/"] * 8)
            wait_until(is_done)
            answers = crowd.answers()
            failures = log.failures
        crowd.post("after")
        assert statuses(crowd.answers()) == {201: 1}
        check_slots(server, service, "stalled")
        stored_texts = texts(server, "stalled")
        with proxy.stall():
            service.process.terminate()
            assert service.process.wait(15) == 0
    assert statuses(probe_answers) == {200: len(probe_answers)}
    assert slowest(probe_answers) < 1
    assert slowest(answers) < 8
    assert set(statuses(answers)) == {503, 504}
    for text, answer in zip(write_texts, answers, strict=False):
        may_be_stored = "may have been applied" in answer.json()["detail"]
        assert may_be_stored == (answer.status_code == 504)
        assert stored_texts.count(text) <= int(may_be_stored)
    assert len(failures) == len(answers)


def test_what_was_sent_when_the_connection_broke_is_repeated_if_it_is_a_read(
    server: Postgres, proxy: Proxy, hasty_service: Service
) -> None:
    """A write whose reply is cut off is 504, and sent once; a read is sent again unseen."""
    log = Log(hasty_service)
    with Crowd(hasty_service) as crowd:
        proxy.cut_replies("reply cut off")
        crowd.post("reply cut off")
        (answer,) = crowd.answers()
        assert problem(answer) == 504
        assert "may have been applied" in answer.json()["detail"]
        assert proxy.marker_count == 1
        assert texts(server).count("reply cut off") == 1
        proxy.cut_replies("to be found")
        crowd.get("/notes/?q=to+be+found")
        assert statuses(crowd.answers()) == {200: 1}
        assert proxy.marker_count == 2
    assert len(log.failures) == 1


def test_write_after_a_goodbye_is_sent_on_another_connection(
    server: Postgres, proxy: Proxy
) -> None:
    """A connection on which the server has said good-bye costs no write, and none is sent twice."""
    server.create_database("goodbye")
    with open_client(DATABASE_URL=url(proxy.port, "goodbye")) as client:
        for number in range(5):
            assert client.post("/notes/", json={"text": f"{number}"}).status_code == 201
            proxy.say_goodbye()
            client.get("/livez")  # by now the good-bye is read
            assert client.post("/notes/", json={"text": f"{number}!"}).status_code == 201
    expected = [f"{number}{end}" for number in range(5) for end in ("", "!")]
    assert sorted(texts(server, "goodbye")) == expected


def test_full_server_is_503_until_it_has_room(
    server: Postgres, hasty_service: Service
) -> None:
    """While Postgres is at max_connections the answer is 503, and nothing is written."""
    end_sessions(server)
    log = Log(hasty_service)
    with Crowd(hasty_service) as crowd:
        with ExitStack() as stack:
            with suppress(psycopg.OperationalError):
                while True:
                    stack.enter_context(psycopg.connect(server.url()))
            crowd.post(*["no room"] * 10)
            crowd.get(*["/notes/"] * 10)
            answers = crowd.answers()
        assert are_refusals(answers)
        assert len(log.failures) == len(answers)
        crowd.post("room again")
        assert statuses(crowd.answers()) == {201: 1}
    assert "no room" not in texts(server)


def test_server_that_is_read_only_is_left_for_a_writable_one(
    server: Postgres, hasty_service: Service
) -> None:
    """Writes to a read-only server are 503, and connections to it are not kept for the next one."""
    alter = "ALTER DATABASE postgres {} default_transaction_read_only"  # of new sessions
    server.sql(alter.format("SET") + " = on", "template1")
    end_sessions(server)
    log = Log(hasty_service)
    with Crowd(hasty_service) as crowd:
        crowd.post(*["read-only"] * 20)
        refusals = crowd.answers()
        crowd.get(*["/notes/"] * 20)
        assert statuses(crowd.answers()) == {200: 20}
        server.sql(alter.format("RESET"), "template1")
        crowd.post(*["writable"] * 20)
        assert statuses(crowd.answers()) == {201: 20}
    assert are_refusals(refusals)
    assert "read-only" not in texts(server)
    assert len(log.failures) == len(refusals)


def test_wait_for_a_server_ends_at_pool_timeout_though_a_try_began_late() -> None:
    """A server that refuses at first and then is silent is 503 after POOL_TIMEOUT, not twice it."""
    with socket.socket() as late_server:
        late_server.bind(("127.0.0.1", 0))
        address = url(late_server.getsockname()[1])
        with open_client(DATABASE_URL=address, POOL_TIMEOUT="2") as client:
            timer = threading.Timer(1.8, late_server.listen)
            timer.start()
            answer = client.get("/notes/")
            timer.join()
    assert problem(answer) == 503
    assert 1.8 < answer.elapsed.total_seconds() < 3


def test_clients_that_leave_cost_nothing(server: Postgres, service: Service) -> None:
    """Hundreds of clients that leave in the middle of a request cost no slot and cause no error."""
    log = Log(service)
    body = b'{"text": "left behind"}'
    head = "POST /notes/ HTTP/1.1\r\nHost: notes\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    with locked_table(server), ExitStack() as stack:

        def leave_some() -> bool:
            for number in range(100):
                address = ("127.0.0.1", service.port)
                client = stack.enter_context(socket.create_connection(address))
                client.sendall(request if number % 2 else request[:-5])
            return len(find_waiting_sessions(server)) == SLOTS

        wait_until(leave_some)
    check_slots(server, service)
    assert "[ERROR]" not in str(log)


# SQLite


def check_file(file: Path) -> list[str]:
    """Return all texts that a file holds, and fail if it is damaged."""
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [text for (text,) in connection.execute("SELECT text FROM notes")]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])  # which Windows lacks
def test_four_workers_share_a_file_that_survives_their_end(
    name: str, tmp_path: Path
) -> None:
    """Four workers write to one file and none gives up; when all end at once, nothing is lost."""
    file = tmp_path / "notes.db"
    url = f"sqlite:///{file}"
    with serve(tmp_path, url, WEB_CONCURRENCY="4") as service:
        log = Log(service)
        with Load(service) as load:
            load.wait_for_writes(2 * WRITES)
            for process in processes(service):
                process.send_signal(signal.Signals[name])
            service.process.wait(15)
    with open_client(DATABASE_URL=url) as client:
        assert client.get("/readyz").status_code == 200
        stored_texts = check_file(file)
    assert not load.find_mismatches(stored_texts)
    assert load.answers.keys() <= {"200", "201", CUT_OFF, UNREACHABLE}
    if name == "SIGTERM":
        assert not load.texts_by_answer(CUT_OFF) & set(stored_texts)
    assert not log.failures


def test_an_answer_to_a_write_is_given_when_the_disk_has_it(tmp_path: Path) -> None:
    """SQLite syncs each write (2 is FULL): no test pulls the plug to see that none is lost."""
    main = load_main(DATABASE_URL=f"sqlite:///{tmp_path}/notes.db")

    async def read_pragma() -> Any:
        async with main.lifespan(main.app):
            driver = main.database.writes.raw_connection
            return await driver.execute_fetchall("PRAGMA synchronous")

    assert [tuple(row) for row in asyncio.run(read_pragma())] == [(2,)]


def test_lock_of_another_process_is_waited_for(tmp_path: Path) -> None:
    """A lock that is held for DB_TIMEOUT makes writes 503; reads and shorter waits go through."""
    file = tmp_path / "notes.db"
    timeouts = {"DB_TIMEOUT": "1", "POOL_TIMEOUT": "0.3"}  # the latter is another wait
    with (
        serve(tmp_path, f"sqlite:///{file}", **timeouts) as service,
        Crowd(service) as crowd,
    ):
        log = Log(service)
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            crowd.post(*["locked out"] * 4)
            crowd.get(*["/notes/"] * 4, "/readyz")
            answers = crowd.answers()
            crowd.post("patient")
            crowd.get(*["/readyz"] * 20)  # once these are answered, the write waits
            wait_until(lambda: sum(future.done() for future in crowd.futures) == 20)
            connection.execute("ROLLBACK")
        patient = crowd.answers()[:1]
    assert are_refusals(answers[:4])
    assert 0.9 <= slowest(answers[:4]) < 3  # DB_TIMEOUT less the last moment, and room
    assert statuses(answers[4:]) == {200: 5}
    assert slowest(answers[4:]) < 1  # they do not queue behind the writes that wait
    assert statuses(patient) == {201: 1}
    assert check_file(file) == ["patient"]
    assert len(log.failures) == 4


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


def test_full_disk_stops_writes_alone(tmp_path: Path) -> None:
    """On a full disk writes are 503 and reads go on; with room again, so do writes."""
    with small_disk(tmp_path / "disk") as disk:
        file, filler = disk / "notes.db", disk / "filler"
        with serve(tmp_path, f"sqlite:///{file}") as service, Crowd(service) as crowd:
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
        assert are_refusals(answers[:8])
        assert statuses(answers[8:]) == {200: 8}
        assert check_file(file) == ["before", "after"]
        assert len(log.failures) == 8


@contextmanager
def start_as_user(folder: Path, file: Path) -> Iterator[Service]:
    """Lend the service, started for a file by somebody who may not read and write everything."""
    command = [sys.executable, "main.py"]
    if os.geteuid() == 0:
        require_programs("setpriv")
        bounds = "--bounding-set=-dac_override,-dac_read_search"
        command = ["setpriv", bounds, *command]
    variables = {"DATABASE_URL": f"sqlite:///{file}", "DB_TIMEOUT": "0.5"}
    service = Service(command, folder, **variables)
    try:
        yield service
    finally:
        service.stop()
        check_log(service)


def test_read_only_folder_is_named_at_the_start(tmp_path: Path) -> None:
    """In a read-only folder the service says so in place of starting."""
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o500)
    with start_as_user(tmp_path, folder / "notes.db") as service:
        assert service.process.wait(15) == 4
        assert "DATABASE_URL" in service.log.read_text()


def test_files_of_another_user_beside_sqlites_are_503(tmp_path: Path) -> None:
    """With a -wal and -shm of another user nothing is ready, the log says why; chown mends it."""
    if os.geteuid() != 0:
        skip("only root can give files away")
    file = tmp_path / "notes.db"
    others = [tmp_path / f"notes.db-{name}" for name in ("wal", "shm")]
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text, completed)")
        for other in others:
            other.chmod(0o600)
            os.chown(other, 65_534, 65_534)
        with start_as_user(tmp_path, file) as service, Crowd(service) as crowd:
            service.wait()
            crowd.get("/readyz", "/notes/")
            crowd.post("not yet")
            assert are_refusals(crowd.answers())
            assert re.search("open database file|readonly", service.log.read_text())
            for other in others:
                os.chown(other, 0, 0)
            crowd.post("mended")
            assert statuses(crowd.answers()) == {201: 1}
    assert check_file(file) == ["mended"]
