"""A fleet: the service behind a pooler, a failover, a balancer and a platform, for real."""

import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.fleet import Balancer, collector, make_every_call, pgbouncer, standby
from tests.load import Load
from tests.servers import (
    ROOT,
    Postgres,
    Service,
    free_port,
    require_programs,
    start_postgres,
    wait_until,
)

POOL_TIMEOUT = 2  # the default
WRITES = 100 * int(os.environ.get("SOAK", "1"))  # before and after each fault


def texts(server: Postgres, database: str) -> list[str]:
    """Return what all notes of a database say."""
    return server.sql("SELECT text FROM notes", database).splitlines()


def warnings(service: Service) -> list[str]:
    """Return what a service warned of, but for a Postgres without pg_trgm."""
    lines = re.findall(r"\[WARNING\] .+", service.log.read_text())
    return [line for line in lines if "a search scans all notes" not in line]


# A pooler


@pytest.mark.parametrize(
    "parameter", ["?statement_cache_size=0", ""], ids=["told", "not told"]
)
def test_every_call_passes_behind_pgbouncer(parameter: str, tmp_path: Path) -> None:
    """In transaction mode every call is right under load; the log tells who did not set it up."""
    require_programs("pgbouncer")
    names = [f"client {number}." for number in range(16)]
    with start_postgres() as postgres, pgbouncer(postgres, connections=3) as port:
        postgres.create_database("pooled")
        url = f"postgresql://postgres@127.0.0.1:{port}/pooled{parameter}"
        variables = {"DATABASE_URL": url, "PYTHONWARNINGS": "always::ResourceWarning"}
        with (
            Service.gunicorn(tmp_path, **variables) as service,
            httpx2.Client(base_url=service.url, timeout=10) as client,
            ThreadPoolExecutor(8) as threads,
        ):
            list(threads.map(lambda text: make_every_call(client, text), names))
            sessions = postgres.sql(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = 'pooled'",
                "template1",
            )
    assert 1 <= int(sessions) <= 3
    assert "ResourceWarning" not in service.log.read_text()  # nothing is left open
    log_lines = warnings(service)
    assert bool(log_lines) is (parameter == "")
    assert all("set statement_cache_size=0" in line for line in log_lines)


# A failover


def test_failover_loses_nothing(tmp_path: Path) -> None:
    """The primary ends under load, the standby is promoted: nothing acknowledged is lost."""
    with start_postgres() as primary, standby(primary) as second:
        primary.create_database("notes")
        primary.configure(synchronous_standby_names="*")
        primary.control("reload")
        state = "SELECT sync_state FROM pg_stat_replication"
        wait_until(
            lambda: primary.sql(state) == "sync\n", description="a synchronous standby"
        )
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{second.port}"
        url = f"postgresql://postgres@{hosts}/notes?target_session_attrs=read-write"
        with Service.gunicorn(tmp_path, DATABASE_URL=url) as service:
            with Load(service) as load:
                load.wait_for_writes(WRITES)
                primary.stop("immediate")
                second.control("promote")
                promoted_at = time.monotonic()
                load.wait_for_writes(WRITES)
            stored_texts = texts(second, "notes")
    failing = max(load.failed_reads, default=promoted_at) - promoted_at
    assert not load.find_mismatches(stored_texts)
    assert load.writes.keys() <= {"201", "503", "504"}
    assert load.reads.keys() <= {"200", "503"}
    assert failing < POOL_TIMEOUT  # which is not for the time that Postgres itself takes


def test_demoted_primary_is_left(tmp_path: Path) -> None:
    """A primary that turns read-only and keeps its connections loses them all to the new one."""
    with start_postgres() as primary, standby(primary) as second:
        primary.create_database("notes")
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{second.port}"
        url = f"postgresql://postgres@{hosts}/notes?target_session_attrs=read-write"
        wait_until(lambda: "notes" in second.sql("SELECT datname FROM pg_database"))
        with Service.python(tmp_path, DATABASE_URL=url) as service:
            with Load(service) as load:
                load.wait_for_writes(WRITES)
                primary.configure(default_transaction_read_only="on")
                primary.control("reload")
                second.control("promote")
                load.wait_for_writes(WRITES)
            query = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'notes'"
            connections = int(primary.sql(query, "template1"))
            stored_texts = texts(second, "notes") + texts(primary, "notes")
    assert connections == 0
    # What came before the failover is on both, and so stored twice.
    assert not {"lost", "refused but stored"} & load.find_mismatches(stored_texts).keys()
    assert load.reads.keys() == {"200"}
    assert load.writes.keys() <= {"201", "503"}


def test_silent_first_host_does_not_starve_the_second(
    postgres: Postgres, tmp_path: Path
) -> None:
    """Beside a host that accepts connections and says nothing, all are served."""
    postgres.create_database("beside")
    with socket.create_server(("127.0.0.1", 0)) as silent_server:
        hosts = f"127.0.0.1:{silent_server.getsockname()[1]},127.0.0.1:{postgres.port}"
        url = f"postgresql://postgres@{hosts}/beside"
        with Service.python(tmp_path, DATABASE_URL=url) as service, Load(service) as load:
            load.wait_for_writes(WRITES)
    assert load.writes.keys() == {"201"}
    assert load.reads.keys() == {"200"}


# Several instances


def test_rolling_deploy_fails_no_request(postgres: Postgres, tmp_path: Path) -> None:
    """Behind haproxy an instance is replaced under load, and every request succeeds."""
    require_programs("haproxy")
    url = postgres.create_database("rolling")
    old_port, new_port = free_port(), free_port()
    with ExitStack() as stack:

        def start(port: int) -> Service:
            variables = {"DATABASE_URL": url, "PORT": str(port), "WEB_CONCURRENCY": "1"}
            service = stack.enter_context(Service.gunicorn(tmp_path, **variables))
            return service.wait("/readyz")

        old_service = start(old_port)
        balancer = stack.enter_context(Balancer(tmp_path, old_port, new_port))
        balancer.await_instance(new_port, "DOWN")
        with Load(balancer) as load:
            load.wait_for_writes(WRITES)
            start(new_port)
            balancer.await_instance(new_port)
            balancer.drain(old_port)
            assert old_service.stop() == 0
            load.wait_for_writes(WRITES)
    assert not load.find_mismatches(texts(postgres, "rolling"))
    assert load.writes.keys() == {"201"}
    assert load.reads.keys() == {"200"}


# A platform


@pytest.fixture(scope="module")
def program_folder() -> Path:
    """A folder of programs that requirements.txt alone brings, kept until that file changes."""
    requirements = ROOT / "requirements.txt"
    version = hashlib.sha256(
        requirements.read_bytes() + sys.version.encode()
    ).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"notes-slug-{version}"
    if not (folder / "complete").exists():
        install = f"pip --python {folder} install -qq --no-compile -r {requirements}"
        for command in f"venv --clear --without-pip {folder}", install:
            subprocess.run([sys.executable, "-m", *command.split()], check=True)
        (folder / "complete").touch()
    return folder / "bin"


def test_procfile_serves_as_on_heroku(
    program_folder: Path, postgres: Postgres, tmp_path: Path
) -> None:
    """With what requirements.txt brings, the Procfile's line serves until SIGTERM ends it all."""
    url = postgres.create_database("heroku").replace("postgresql:", "postgres:")
    line = (ROOT / "Procfile").read_text().removeprefix("web:").strip()
    variables = {
        "PATH": f"{program_folder}:/usr/bin:/bin",
        "XDG_RUNTIME_DIR": str(tmp_path),
        "DATABASE_URL": url,
        "WEB_CONCURRENCY": "2",
    }
    with (
        Service(["/bin/sh", "-c", f"exec {line}"], tmp_path, **variables) as service,
        httpx2.Client(base_url=service.url) as idle_client,
    ):
        assert idle_client.get("/readyz").json() == {"status": "ok"}
        with Load(service) as load:
            load.wait_for_writes(WRITES)
            master = psutil.Process(service.process.pid)
            processes = [master, *master.children(recursive=True)]
            for process in processes:
                process.send_signal(signal.SIGTERM)
            assert service.process.wait(20) == 0
    assert len(processes) == 3
    assert not any(process.is_running() for process in processes)
    assert not load.find_mismatches(texts(postgres, "heroku"))
    assert "Traceback" not in service.log.read_text()
    assert "ERROR" not in service.log.read_text()


# OpenTelemetry


def test_traces_and_metrics_reach_a_collector_by_a_switch(tmp_path: Path) -> None:
    """A switch sends spans, in their callers' traces, and durations; an address alone none."""
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    headers = {"traceparent": f"00-{trace}-{parent}-01"}
    url = f"sqlite:///{tmp_path}/notes.db"
    with collector() as (address, posts):
        variables = {"DATABASE_URL": url, "OTEL_EXPORTER_OTLP_ENDPOINT": address}
        with Service.python(tmp_path, **variables) as service:
            httpx2.post(f"{service.url}/notes", json={"text": "a"}, headers=headers)
        assert posts == {}
        variables["OTEL_SERVICE_NAME"] = "notes"
        variables["FASTAPI_OTEL_AUTO_CONFIGURE"] = "true"
        with Service.python(tmp_path, **variables) as service:
            httpx2.post(f"{service.url}/notes", json={"text": "a"}, headers=headers)
    for part in bytes.fromhex(trace), bytes.fromhex(parent), b"POST /notes/":
        assert part in posts["/v1/traces"]
    for part in b"http.server.request.duration", b"/notes/", b"/livez":
        assert part in posts["/v1/metrics"]
