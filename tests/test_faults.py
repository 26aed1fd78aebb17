"""Faults of whole services, alone and in a fleet: what is answered, and what is stored after."""

import csv
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from tests.fixtures import ORIGIN, connect, open_client, problem
from tests.linearizability import Clients
from tests.load import CUT_OFF, UNREACHABLE, WRITES, Callers, Load
from tests.proxy import Proxy
from tests.servers import (
    Postgres,
    Service,
    free_port,
    is_listening,
    require_programs,
    skip,
    start_postgres,
    wait_until,
)
from tests.test_broken_databases import count_waiting, locked_table
from tests.test_linearizability import CALLS, check, has_all_kinds
from tests.test_readme import OPERATIONS, read_blocks

PASSWORD = "correct-horse"  # the servers trust everybody: it only must not be logged
SLOTS = 10  # POOL_SIZE's default, times two workers
START, FAILURE = "Application startup complete", r"\[WARNING\] 50[34]\b"


def count_lines(service: Service, pattern: str) -> int:
    """Return how often a pattern is in what a service has logged."""
    return len(re.findall(pattern, service.log.read_text()))


@contextmanager
def serve(folder: Path, url: str, **settings: str) -> Iterator[Service]:
    """Lend the service under gunicorn when all its workers serve; its log has to stay clean."""
    number = int(settings.setdefault("WEB_CONCURRENCY", "2"))
    with Service.gunicorn(folder, DATABASE_URL=url, **settings) as service:
        wait_until(lambda: count_lines(service, START) == number, 60)
        yield service
    assert count_lines(service, f"Traceback|{PASSWORD}") == 0


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A Postgres server that a test may break, and leaves whole."""
    with start_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def service(
    server: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The service, which no fault may cost a slot of its pools."""
    with serve(tmp_path_factory.mktemp("service"), url(server.port)) as service:
        yield service
        check_slots(service, server.url())


def url(port: int, database: str = "postgres") -> str:
    """Return the URL of a database on Postgres, with a password in it."""
    return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/{database}"


def texts(url: str) -> list[str]:
    """Return all texts that are stored in a database."""
    with connect(url) as sql:
        return [text for (text,) in sql("SELECT text FROM notes").fetchall()]


def check_slots(service: Service, database_url: str) -> None:
    """Fail if a slot of the pools is lost: all of them can be busy at the same time."""
    with Callers(service, "/notes/", number=50), locked_table(database_url) as sql:
        wait_until(lambda: count_waiting(sql) == SLOTS)


def ask(service: Service, method: str = "POST", path: str = "/notes/") -> int:
    """Return the status of an answer; fail if it is an error of another shape than all."""
    body = {"text": "one"} if method == "POST" else None
    headers = {"Origin": ORIGIN}
    answer = httpx2.request(method, service.url + path, json=body, headers=headers)
    return answer.status_code if answer.is_success else problem(answer)


# Postgres stops, and workers do


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_restart_of_postgres_costs_no_read(
    mode: str, server: Postgres, service: Service
) -> None:
    """A restart of Postgres under load fails no read, and no answer to a write is untrue."""
    failures = count_lines(service, FAILURE)
    with Load(service) as load:
        load.wait_for_writes()
        server.restart(mode)
        load.wait_for_writes()
    assert not load.find_mismatches(texts(server.url()))
    assert load.reads.keys() == {"200"}
    assert load.writes.keys() <= {"201", "503", "504"}
    assert load.slowest < 7  # POOL_TIMEOUT and DB_TIMEOUT
    failures += load.answers["503"] + load.answers["504"]
    assert count_lines(service, FAILURE) == failures


def test_killed_worker_fails_only_its_own(server: Postgres, service: Service) -> None:
    """A worker killed under load cuts off at most one request for each connection that it held."""
    starts = count_lines(service, START)
    with Load(service) as load:
        load.wait_for_writes()

        def count_clients(worker: psutil.Process) -> int:
            links = [each for each in worker.net_connections() if each.raddr]
            return sum(each.laddr.port == service.port for each in links)

        victim = max(service.workers(), key=count_clients)
        clients = count_clients(victim)
        victim.kill()
        load.wait_for_writes()
        wait_until(lambda: count_lines(service, START) == starts + 1)
        load.wait_for_writes()
    assert not load.find_mismatches(texts(server.url()))
    assert load.answers.keys() <= {"200", "201", CUT_OFF}
    assert load.answers[CUT_OFF] <= clients


def test_hup_stores_no_write_that_it_cuts_off(server: Postgres, service: Service) -> None:
    """HUP under load replaces the workers; no write that is cut off is stored."""
    with Load(service) as load:
        load.wait_for_writes()
        old_workers = service.workers()
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not any(worker.is_running() for worker in old_workers))
        load.wait_for_writes()
    stored_texts = texts(server.url())
    assert not load.find_mismatches(stored_texts)
    assert load.answers.keys() <= {"200", "201", CUT_OFF}
    assert not load.texts_by_answer(CUT_OFF) & set(stored_texts)


def test_service_starts_and_lives_without_postgres(
    server: Postgres, tmp_path: Path
) -> None:
    """Without Postgres the service starts, replaces workers and says 503; with it, it serves."""
    database_url = server.create_database("late")
    settings = {"POOL_TIMEOUT": "0.5", "WEB_CONCURRENCY": "1"}
    server.stop()
    try:
        with serve(tmp_path, url(server.port, "late"), **settings) as service:
            assert ask(service) == ask(service, "GET", "/readyz") == 503
            service.workers()[0].kill()
            wait_until(lambda: count_lines(service, START) == 2)
            assert ask(service, "GET", "/livez") == 200
            server.start()
            wait_until(lambda: ask(service) == 201)
            assert texts(database_url) == ["one"]
    finally:
        server.restart()


# The end of the service


def test_sigterm_under_load_ends_in_order(empty_database: str, tmp_path: Path) -> None:
    """After SIGTERM no write that was cut off is stored, and the processes are gone soon."""
    with serve(tmp_path, empty_database) as service, Load(service) as load:
        load.wait_for_writes()
        old_workers = service.workers()
        for process in service.process, *old_workers:  # as on Heroku all get it
            process.terminate()
        assert service.process.wait(15) == 0
    stored_texts = texts(empty_database)
    assert not load.find_mismatches(stored_texts)
    assert not load.texts_by_answer(CUT_OFF) & set(stored_texts)
    assert load.answers.keys() <= {"200", "201", CUT_OFF, UNREACHABLE}
    assert not any(worker.is_running() for worker in old_workers)


def test_sigterm_waits_five_seconds_for_a_body(tmp_path: Path) -> None:
    """SIGTERM ends `python main.py` in five seconds, though a client never sends its body."""
    head = b"POST /notes/ HTTP/1.1\r\nHost: notes\r\nContent-Length: 9\r\n"
    with (
        Service.python(tmp_path) as service,
        socket.create_connection(("127.0.0.1", service.port)) as client,
    ):
        client.sendall(head + b"Content-Type: application/json\r\n\r\n{")
        service.wait()  # so the service has read what was sent before
        service.process.terminate()
        service.process.wait(8)


# The network stalls, and clients leave


def test_stalled_network_is_answered_in_time(server: Postgres, tmp_path: Path) -> None:
    """On a stalled network all are answered in time, /livez at once, and SIGTERM ends it."""
    database_url = server.create_database("stalled")
    timeouts = {"POOL_TIMEOUT": "1", "DB_TIMEOUT": "3"}
    with (
        Proxy(server.port) as proxy,
        serve(tmp_path, url(proxy.port, "stalled"), **timeouts) as service,
        httpx2.Client(base_url=service.url, timeout=30) as client,
        ThreadPoolExecutor() as threads,
    ):
        check_slots(service, database_url)
        failures = count_lines(service, FAILURE)

        def send(number: int) -> httpx2.Response:
            if number % 2:
                return client.get("/notes/")
            return client.post("/notes/", json={"text": f"stalled {number}"})

        with proxy.stall():
            futures = [threads.submit(send, number) for number in range(16)]
            while not all(future.done() for future in futures):
                probe = client.get("/livez")
                assert probe.status_code == 200
                assert probe.elapsed.total_seconds() < 1
                time.sleep(0.1)
            answers = [future.result() for future in futures]
            assert count_lines(service, FAILURE) == failures + len(answers)
        check_slots(service, database_url)
        with proxy.stall():
            service.process.terminate()
            assert service.process.wait(15) == 0
    stored_texts = texts(database_url)
    for number, answer in enumerate(answers):
        assert answer.elapsed.total_seconds() < 1 + 3 + 1  # POOL_TIMEOUT and DB_TIMEOUT
        assert answer.status_code in (503, 504)
        may_be_stored = "may have been applied" in answer.json()["detail"]
        assert may_be_stored == (answer.status_code == 504)
        assert stored_texts.count(f"stalled {number}") <= int(may_be_stored)


def test_clients_that_leave_cost_nothing(server: Postgres, service: Service) -> None:
    """Hundreds of clients that leave in the middle of a request cost no slot and cause no error."""
    errors = count_lines(service, "ERROR")
    body = b'{"text": "left behind"}'
    head = "POST /notes/ HTTP/1.1\r\nHost: notes\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    with locked_table(server.url()) as sql, ExitStack() as stack:

        def leave_some() -> bool:
            for number in range(100):
                client = socket.create_connection(("127.0.0.1", service.port))
                sent = request if number % 2 else request[:-5]
                stack.enter_context(client).sendall(sent)
            return count_waiting(sql) == SLOTS

        wait_until(leave_some)
    check_slots(service, server.url())
    assert count_lines(service, "ERROR") == errors


# SQLite's file


def test_four_workers_share_a_file_that_survives_their_end(tmp_path: Path) -> None:
    """Four workers write to one file and none gives up; when all are killed, nothing is lost."""
    database_url = f"sqlite:///{tmp_path}/notes.db"
    with serve(tmp_path, database_url, WEB_CONCURRENCY="4") as service:
        with Load(service) as load:
            load.wait_for_writes(2 * WRITES)
            for process in [*service.workers(), service.process]:
                process.kill()
            service.process.wait(15)
        assert count_lines(service, FAILURE) == 0
    with open_client(DATABASE_URL=database_url) as client, connect(database_url) as sql:
        assert client.get("/readyz").status_code == 200
        assert sql("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert not load.find_mismatches(texts(database_url))
    assert load.answers.keys() <= {"200", "201", CUT_OFF, UNREACHABLE}


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
        assert count_lines(service, "Traceback") == 0


def test_folder_that_cannot_be_used_is_named_at_the_start(tmp_path: Path) -> None:
    """Where the folder is read-only, or a link leads to none, the service does not start."""
    folder, link = tmp_path / "read-only", tmp_path / "notes.db"
    folder.mkdir(mode=0o500)
    link.symlink_to("/no/such/folder/notes.db")
    for file in folder / "notes.db", link:
        with start_as_user(tmp_path, file) as service:
            assert service.process.wait(15) == 4
            assert count_lines(service, "DATABASE_URL: must name a file") == 1


def test_files_of_another_user_beside_sqlites_are_503(tmp_path: Path) -> None:
    """With a -wal and -shm of another user nothing is ready, the log says why; chown mends it.

    A file that may be read but not written is not ready, either.
    """
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
        with start_as_user(tmp_path, file) as service:
            service.wait()
            assert ask(service) == ask(service, "GET", "/readyz") == 503
            assert count_lines(service, "open database file|readonly")
            for other in others:
                os.chown(other, 0, 0)
            assert ask(service) == 201
    assert texts(f"sqlite:///{file}") == ["one"]
    file.chmod(0o400)
    with start_as_user(tmp_path, file) as service:
        service.wait()
        assert ask(service, "GET", "/readyz") == 503
        assert count_lines(service, "readonly")


# A pooler

SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'notes'"
PGBOUNCER = """
[databases]
* = host=127.0.0.1 port={server} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
"""


@contextmanager
def pgbouncer(server: Postgres) -> Iterator[int]:
    """Lend the port of a pgbouncer in transaction mode, with three connections to a server."""
    port, file = free_port(), server.folder / "pgbouncer.ini"
    file.write_text(PGBOUNCER.format(server=server.port, port=port))
    uid, gid = server.user or (None, None)
    groups: list[int] | None = [] if server.user else None
    command = ["pgbouncer", "--quiet", str(file)]
    process = subprocess.Popen(command, user=uid, group=gid, extra_groups=groups)
    try:
        wait_until(lambda: is_listening(port), description="pgbouncer")
        yield port
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize("parameter", ["?statement_cache_size=0", ""])
def test_every_call_passes_behind_pgbouncer(
    parameter: str, server: Postgres, tmp_path: Path
) -> None:
    """In transaction mode every call is right under load; the log tells who did not set it up."""
    require_programs("pgbouncer")
    server.create_database("notes")
    with pgbouncer(server) as port:
        url = f"postgresql://postgres@127.0.0.1:{port}/notes{parameter}"
        variables = {"DATABASE_URL": url, "PYTHONWARNINGS": "always::ResourceWarning"}
        with (
            Service.gunicorn(tmp_path, **variables) as service,
            Clients(service, number=12) as clients,
        ):
            clients.wait_for_calls(CALLS)
            wait_until(lambda: has_all_kinds(clients), 60, "an answer of each kind")
            assert int(server.sql(SESSIONS, "template1")) <= 3
    check(clients)
    assert "503" not in {reply.status for reply in clients.replies}
    log = service.log.read_text()
    assert "ResourceWarning" not in log  # nothing is left open
    warnings = re.findall(r"\[WARNING\] (?!a search scans).+", log)
    assert bool(warnings) is (parameter == "")
    assert all("set statement_cache_size=0" in line for line in warnings)


# A failover


Pair = tuple[Postgres, Postgres, str]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A primary, its streaming standby, and the URL of a database on whichever is the primary."""
    second = Postgres()
    with start_postgres() as first:
        first.create_database("notes")
        source = ("-h", "127.0.0.1", "-p", str(first.port), "-U", "postgres")
        options = ("--write-recovery-conf", "--checkpoint=fast", "--no-sync")
        hosts = f"127.0.0.1:{first.port},127.0.0.1:{second.port}"
        url = f"postgresql://postgres@{hosts}/notes?target_session_attrs=read-write"
        try:
            target = f"--pgdata={second.data}"
            second.run_program("pg_basebackup", *source, target, *options)
            yield first, second.start(), url
        finally:
            second.remove()


def test_failover_loses_nothing(pair: Pair, tmp_path: Path) -> None:
    """The primary ends under load, the standby is promoted: nothing acknowledged is lost."""
    first, second, url = pair
    first.configure(synchronous_standby_names="*")
    first.control("reload")
    state = "SELECT sync_state FROM pg_stat_replication"
    wait_until(lambda: first.sql(state) == "sync\n", description="a synchronous standby")
    with Service.gunicorn(tmp_path, DATABASE_URL=url) as service, Load(service) as load:
        load.wait_for_writes()
        first.stop("immediate")
        second.control("promote")
        promoted_at = time.monotonic()
        load.wait_for_writes()
    assert not load.find_mismatches(texts(second.url("notes")))
    assert load.writes.keys() <= {"201", "503", "504"}
    assert load.reads.keys() <= {"200", "503"}
    # POOL_TIMEOUT is not for the time that Postgres itself takes.
    failed = [reply for reply in load.replies if reply.method + reply.status == "GET503"]
    assert all(reply.end < promoted_at + 2 for reply in failed)


def test_demoted_primary_is_left(pair: Pair, tmp_path: Path) -> None:
    """A primary that turns read-only and keeps its connections loses them all to the new one."""
    first, second, url = pair
    with Service.python(tmp_path, DATABASE_URL=url) as service:
        with Load(service) as load:
            load.wait_for_writes()
            first.configure(default_transaction_read_only="on")
            first.control("reload")
            second.control("promote")
            load.wait_for_writes()
        assert int(first.sql(SESSIONS, "template1")) == 0
    # What came before the failover is on both, and so stored twice.
    stored_texts = [*texts(second.url("notes")), *texts(first.url("notes"))]
    mismatches = load.find_mismatches(stored_texts)
    assert not {"lost", "refused but stored"} & mismatches.keys()
    # 404: of a new note, on a connection that has not been refused a write yet.
    assert load.reads.keys() <= {"200", "404"}
    assert load.writes.keys() <= {"201", "503"}


# Several instances


def test_rolling_deploy_fails_no_request(postgres: Postgres, tmp_path: Path) -> None:
    """Behind haproxy as printed an instance is replaced under load; every request succeeds."""
    require_programs("haproxy")
    url = postgres.create_database("rolling")
    port, old_port, new_port = free_port(), free_port(), free_port()
    admin, file = tmp_path / "haproxy.sock", tmp_path / "haproxy.cfg"
    (text,) = read_blocks(OPERATIONS, "A balancer", "haproxy")
    text = text.replace(":80\n", f"127.0.0.1:{port}\n")
    text = text.replace("10.0.0.1:8000", f"127.0.0.1:{old_port}")
    text = text.replace("10.0.0.2:8000", f"127.0.0.1:{new_port}")
    file.write_text(f"global\n    stats socket {admin} level admin\n{text}")

    def start(port: int) -> Service:
        variables = {"DATABASE_URL": url, "PORT": str(port), "WEB_CONCURRENCY": "1"}
        service = Service.gunicorn(tmp_path, **variables)
        return stack.enter_context(service).wait("/readyz")

    def ask_haproxy(line: str) -> str:
        with socket.socket(socket.AF_UNIX) as client, client.makefile("rw") as stream:
            client.connect(str(admin))
            stream.write(f"{line}\n")
            stream.flush()
            return stream.read()

    def await_column(name: str, column: str, value: str) -> None:
        def read() -> str:
            rows = csv.DictReader(ask_haproxy("show stat").lstrip("# ").splitlines())
            return next(row[column] for row in rows if row["svname"] == name)

        wait_until(lambda: read() == value, description=f"{column} {value} of {name}")

    with ExitStack() as stack:
        old_service = start(old_port)
        command = ["haproxy", "-f", str(file)]
        balancer = stack.enter_context(Service(command, tmp_path, PORT=str(port)))
        await_column("two", "status", "DOWN")  # haproxy begins with all UP
        with Load(balancer) as load:
            load.wait_for_writes()
            start(new_port)
            await_column("two", "status", "UP")
            ask_haproxy("set server notes/one state drain")
            await_column("one", "scur", "0")
            assert old_service.stop() == 0
            load.wait_for_writes()
    assert not load.find_mismatches(texts(url))
    assert load.writes.keys() == {"201"}
    assert load.reads.keys() == {"200"}


# OpenTelemetry


def test_traces_and_metrics_reach_a_collector_by_a_switch(tmp_path: Path) -> None:
    """A switch sends spans, in their callers' traces, and durations to a collector."""
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    posts = {"/v1/traces": b"", "/v1/metrics": b"", "/v1/logs": b""}

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posts[self.path] += self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
            "OTEL_SERVICE_NAME": "notes",
            "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
        }
        with Service.python(tmp_path, **variables) as service:
            headers = {"traceparent": f"00-{trace}-{parent}-01"}
            httpx2.post(f"{service.url}/notes", json={"text": "a"}, headers=headers)
        server.shutdown()
    for part in bytes.fromhex(trace), bytes.fromhex(parent), b"POST /notes/":
        assert part in posts["/v1/traces"]
    for part in b"http.server.request.duration", b"/notes/", b"/livez":
        assert part in posts["/v1/metrics"]
