"""A fleet: the service behind a pooler, a failover, a balancer and a platform, for real."""

import hashlib
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
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

from tests.fleet import (
    Balancer,
    Collector,
    TimedLoad,
    make_every_call,
    pgbouncer,
    standby,
)
from tests.load import Crowd, Load, slowest, statuses
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


def texts(server: Postgres, database: str) -> list[str]:
    """Return what all notes of a database say."""
    return server.sql("SELECT text FROM notes", database).splitlines()


def warnings(service: Service) -> list[str]:
    """Return what a service warned of, but for its open doors and a Postgres without pg_trgm."""
    known = re.compile("API_KEYS|A search scans all notes")
    lines = service.log.read_text().splitlines()
    return [line for line in lines if "[WARNING]" in line and not known.search(line)]


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
            calls = threads.map(lambda text: make_every_call(client, text), names)
            print(f"{sum(calls)} calls")
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
            with TimedLoad(service) as load:
                load.wait_for_writes(100)
                primary.stop("immediate")
                second.control("promote")
                promoted_at = time.monotonic()
                load.wait_for_writes(100)
            stored_texts = texts(second, "notes")
    failing = max(load.failed_reads, default=promoted_at) - promoted_at
    print(f"{load}, reads fail until {failing:.2f} s after the promotion")
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
                load.wait_for_writes(100)
                primary.configure(default_transaction_read_only="on")
                primary.control("reload")
                second.control("promote")
                load.wait_for_writes(100)
            query = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'notes'"
            connections = int(primary.sql(query, "template1"))
            stored_texts = texts(second, "notes") + texts(primary, "notes")
    print(load)
    assert connections == 0
    # What came before the failover is on both, and so stored twice.
    assert not {"lost", "refused but stored"} & load.find_mismatches(stored_texts).keys()
    assert load.reads.keys() == {"200"}
    assert load.writes.keys() <= {"201", "503"}


@pytest.mark.parametrize("queue_length", [0, 2], ids=["no answer", "no room"])
def test_silent_first_host_does_not_starve_the_second(
    queue_length: int, postgres: Postgres, tmp_path: Path
) -> None:
    """Beside a host that accepts and says nothing, or does not even accept, all are served."""
    postgres.create_database("beside")
    with socket.create_server(
        ("127.0.0.1", 0), backlog=0 if queue_length else 100
    ) as silent_server:
        address = silent_server.getsockname()
        sockets = [
            socket.socket() for _ in range(queue_length)
        ]  # one more than the backlog takes
        for queue_socket in sockets:
            queue_socket.setblocking(False)
            queue_socket.connect_ex(address)
        hosts = f"127.0.0.1:{address[1]},127.0.0.1:{postgres.port}"
        url = f"postgresql://postgres@{hosts}/beside"
        with Service.python(tmp_path, DATABASE_URL=url) as service, Load(service) as load:
            load.wait_for_writes(100)
        for queue_socket in sockets:
            queue_socket.close()
    print(load)
    assert load.writes.keys() == {"201"}
    assert load.reads.keys() == {"200"}


# Several instances


def test_any_instance_answers_any_request(postgres: Postgres, tmp_path: Path) -> None:
    """What one instance stores, another reads, lists and changes, under the same ETag."""
    url = postgres.create_database("shared")
    with (
        Service.python(tmp_path, DATABASE_URL=url) as first_service,
        Service.python(tmp_path, DATABASE_URL=url) as second_service,
        httpx2.Client(base_url=first_service.url) as first,
        httpx2.Client(base_url=second_service.url) as second,
    ):
        post_response = first.post("/notes/", json={"text": "a"})
        path, tag = post_response.headers["Location"], post_response.headers["ETag"]
        get_response = second.get(path)
        assert (get_response.json(), get_response.headers["ETag"]) == (
            post_response.json(),
            tag,
        )
        assert second.get(path, headers={"If-None-Match": tag}).status_code == 304
        patch_response = second.patch(path, json={"text": "b"}, headers={"If-Match": tag})
        assert patch_response.status_code == 200
        assert (
            first.put(
                path, json=post_response.json(), headers={"If-Match": tag}
            ).status_code
            == 412
        )
        new_note = first.post("/notes/", json={"text": "c"}).json()
        page = first.get("/notes/?take=1")
        assert page.json() == [patch_response.json()]
        link = page.links["next"]["url"]
        assert second.get(f"/notes/{link}").json() == [new_note]


def test_rolling_deploy_fails_no_request(postgres: Postgres, tmp_path: Path) -> None:
    """Behind haproxy, instances are replaced one by one under load, and every request succeeds."""
    require_programs("haproxy")
    url = postgres.create_database("rolling")
    ports = [free_port() for _ in range(4)]
    with ExitStack() as stack:

        def start(port: int) -> Service:
            variables = {"DATABASE_URL": url, "PORT": str(port), "WEB_CONCURRENCY": "1"}
            return stack.enter_context(Service.gunicorn(tmp_path, **variables))

        services = [start(port).wait("/readyz") for port in ports[:2]]
        balancer = stack.enter_context(Balancer(tmp_path, *ports))
        for port in ports[2:]:
            balancer.await_instance(port, "DOWN")
        with Load(balancer) as load:
            for port, old_service in zip(ports[2:], services, strict=True):
                load.wait_for_writes(100)
                start(port).wait("/readyz")
                balancer.await_instance(port)
                balancer.drain(old_service.port)
                assert old_service.stop() == 0
            load.wait_for_writes(100)
    print(load)
    assert not load.find_mismatches(texts(postgres, "rolling"))
    assert load.writes.keys() == {"201"}
    assert load.reads.keys() == {"200"}


def test_eight_workers_share_twenty_connections(tmp_path: Path) -> None:
    """Eight workers with POOL_SIZE=2 serve without an error where an application has 17 of 20."""
    with start_postgres(max_connections="20") as server:
        server.sql("CREATE ROLE application LOGIN")
        server.sql("CREATE DATABASE notes OWNER application")
        url = server.url("notes").replace("postgres@", "application@")
        variables = {"DATABASE_URL": url, "WEB_CONCURRENCY": "8", "POOL_SIZE": "2"}
        with Service.gunicorn(tmp_path, **variables) as service:
            with Crowd(service) as crowd:
                crowd.post(*[f"note {number}" for number in range(300)])
                crowd.get(*["/notes/"] * 300)
                answers = crowd.answers()
            sessions = (
                "SELECT count(*) FROM pg_stat_activity WHERE usename = 'application'"
            )
            connections = int(server.sql(sessions))
    print(
        f"{statuses(answers)}, slowest {slowest(answers):.2f} s, {connections} connections"
    )
    assert statuses(answers) == {201: 300, 200: 300}
    assert 8 < connections <= 16
    assert not warnings(service)


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
        for command in (
            ("venv", "--clear", "--without-pip", folder),
            (
                "pip",
                "--python",
                folder,
                "install",
                "-qq",
                "--no-compile",
                "-r",
                requirements,
            ),
        ):
            subprocess.run([sys.executable, "-m", *command], check=True)
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
            load.wait_for_writes(100)
            master = psutil.Process(service.process.pid)
            processes = [master, *master.children(recursive=True)]
            for process in processes:
                process.send_signal(signal.SIGTERM)
            assert service.process.wait(20) == 0
    print(load)
    assert len(processes) == 3
    assert not any(process.is_running() for process in processes)
    assert not load.find_mismatches(texts(postgres, "heroku"))
    assert "Traceback" not in service.log.read_text()
    assert "ERROR" not in service.log.read_text()


# OpenTelemetry


def test_traces_and_metrics_reach_a_collector(tmp_path: Path) -> None:
    """Three variables send a span for each request, in its caller's trace, and its duration."""
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    with Collector() as collector:
        variables = {
            "DATABASE_URL": f"sqlite:///{tmp_path}/notes.db",
            "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_SERVICE_NAME": "notes",
        }
        with Service.python(tmp_path, **variables) as service:
            headers = {"traceparent": f"00-{trace}-{parent}-01"}
            httpx2.post(f"{service.url}/notes", json={"text": "a"}, headers=headers)
    spans = {
        span.name: span
        for body in collector.posts["/v1/traces"]
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }
    span = spans["POST /notes/"]
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (trace, parent)
    metrics = {
        metric.name: {
            attribute.value.string_value
            for point in metric.histogram.data_points
            for attribute in point.attributes
            if attribute.key == "http.route"
        }
        for body in collector.posts["/v1/metrics"]
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert metrics["http.server.request.duration"] == {"/notes/", "/livez"}


def test_nothing_is_exported_without_the_switch(tmp_path: Path) -> None:
    """A collector's address alone, which other programs read as well, exports nothing."""
    with Collector() as collector:
        variables = {
            "DATABASE_URL": f"sqlite:///{tmp_path}/notes.db",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        }
        with Service.python(tmp_path, **variables) as service:
            assert httpx2.get(f"{service.url}/notes").status_code == 200
    assert collector.posts == {}
