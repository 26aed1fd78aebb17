"""A cluster of Patroni, etcd and haproxy in faults. It is for `make soak`, by this file's name."""

import signal
import uuid
from collections import Counter
from contextlib import suppress
from http.client import HTTPConnection
from itertools import pairwise
from pathlib import Path
from string import Template
from subprocess import Popen, run
from time import sleep
from typing import Self

import httpx2
import psutil
import psycopg
import pytest

from tests import load
from tests.servers import Postgres, Service, free_port, require_programs, wait_until
from tests.test_faults import serve

# docs/operations.md has what is under `dcs`, and haproxy's check.
PATRONI = """scope: notes
name: node-$port
restapi: {listen: &api "127.0.0.1:$api_port", connect_address: *api}
etcd3: {host: "127.0.0.1:$etcd_port"}
bootstrap: {initdb: [encoding: UTF8], dcs: {ttl: 10, loop_wait: 2, retry_timeout: 3,
    synchronous_mode: true, failsafe_mode: true, primary_start_timeout: 0,
    postgresql: {parameters: {wal_keep_size: 16GB}}}}
postgresql: {use_pg_rewind: true, listen: &sql "127.0.0.1:$port", connect_address: *sql,
    parameters: {unix_socket_directories: $folder}, pgpass: $folder/pgpass, bin_dir: $bin,
    authentication: {superuser: &user {username: postgres}, replication: *user}, data_dir: $data}
"""
HAPROXY = """listen primary
    bind 127.0.0.1:{port}
    option httpchk GET /primary
    default-server check inter 500ms fall 2 rise 1
"""
# It keeps each text that was stored, in the transaction that stored it.
AUDIT = """CREATE TABLE IF NOT EXISTS audit (text text);
CREATE OR REPLACE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN INSERT INTO audit VALUES (NEW.text); RETURN NULL; END';
CREATE OR REPLACE TRIGGER audit AFTER INSERT OR UPDATE ON notes
    FOR EACH ROW EXECUTE FUNCTION audit();
"""
STANDBYS = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'"


class Node(Postgres):
    """Patroni, and the Postgres that it starts, promotes and stops."""

    def __init__(self, etcd_port: int, folder: Path) -> None:
        super().__init__()
        self.api_port, self.log = free_port(), folder / f"{self.port}.log"
        self.file, values = self.folder / "patroni.yml", {"etcd_port": etcd_port}
        self.file.write_text(Template(PATRONI).substitute(vars(self), **values))

    def start(self) -> Self:
        """Start Patroni, as a user who may start Postgres."""
        line = f"patroni {self.file}"
        if self.user:
            line = f"setpriv --reuid={self.user[0]} --regid={self.user[1]} --init-groups {line}"
        with self.log.open("a") as log:
            self.patroni = Popen(line.split(), cwd=self.folder, stdout=log, stderr=log)
        return self

    def stop(self, mode: str = "fast") -> None:
        """Stop Patroni, which stops Postgres."""
        self.patroni.terminate()
        self.patroni.wait(60)

    def send_signal(self, number: int) -> None:
        """Send a signal to Patroni, and to each process of Postgres."""
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        children = psutil.Process(postmaster).children(recursive=True)
        for pid in (self.patroni.pid, postmaster, *(child.pid for child in children)):
            with suppress(psutil.NoSuchProcess):
                psutil.Process(pid).send_signal(number)


class Cluster:
    """Three nodes, their etcd, and a haproxy that leads to the primary."""

    def __init__(self, folder: Path, request: pytest.FixtureRequest) -> None:
        self.write_answers: dict[str, str] = {}  # of all tests
        etcd_port, port = free_port(), free_port()
        url = f"http://127.0.0.1:{etcd_port}"
        command = f"etcd --data-dir {folder}/etcd --listen-peer-urls http://127.0.0.1:0"
        command += f" --listen-client-urls {url} --advertise-client-urls {url}"
        self.etcd = Service(command.split(), folder, PORT=str(etcd_port))
        request.addfinalizer(self.etcd.stop)
        self.nodes = [Node(etcd_port, folder) for _ in range(3)]
        file, text = folder / "haproxy.cfg", HAPROXY.format(port=port)
        for node in self.nodes:
            request.addfinalizer(node.remove)
            request.addfinalizer(node.start().stop)
            text += f"    server {node.port} 127.0.0.1:{node.port} port {node.api_port}\n"
        file.write_text(text)
        request.addfinalizer(Service(["haproxy", "-f", str(file)], folder).stop)
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        self.hosts = {"hosts": hosts, "haproxy": f"127.0.0.1:{port}"}

    def wait(self) -> Node:
        """Wait for two standbys, one synchronous as etcd knows, and return their primary."""

        def find() -> Node | None:
            apis = [f"http://127.0.0.1:{node.api_port}/sync" for node in self.nodes]
            for node in self.nodes:
                with suppress(psycopg.Error, httpx2.HTTPError):
                    if sorted(node.sql(STANDBYS).split()) == ["async", "sync"]:
                        known = any(httpx2.get(api).status_code == 200 for api in apis)
                        return node if known else None
            return None

        primary: Node = wait_until(find, 120, "a whole cluster")
        return primary


class Load(load.Load):
    """Clients that write a note, replace it, and read it; each text is unique."""

    def make_calls(self, connection: HTTPConnection) -> None:
        """Write a note, replace it, and read it."""
        first, second, path = uuid.uuid4().hex, uuid.uuid4().hex, "/notes/"
        reply = self.call(connection, "POST", path, {"text": first})
        self.write_answers[first] = reply.status
        if reply.content:
            path = f"/notes/{reply.content['id']}/"
            reply = self.call(connection, "PUT", path, {"text": second})
            # By 201 find_mismatches() knows what was acknowledged.
            self.write_answers[second] = reply.status.replace("200", "201")
        self.call(connection, "GET", path)


def cause(event: str, cluster: Cluster, primary: Node, load: Load) -> None:
    """Cause an event, and wait for its end."""
    match event:
        case "switchover":
            run(["patronictl", "-c", primary.file, "switchover", "--force"], check=True)
        case "killed":
            primary.send_signal(signal.SIGKILL)
            load.wait_for_writes()
            primary.stop()
            primary.start()
        case "hung":
            primary.send_signal(signal.SIGSTOP)
            load.wait_for_writes()
            # As a watchdog would. Before 3.0.3 Patroni may take the lead back, and lose writes.
            primary.patroni.kill()
            primary.send_signal(signal.SIGCONT)
            primary.stop()
            primary.start()
        case "no etcd":
            cluster.etcd.process.send_signal(signal.SIGSTOP)
            sleep(20)
            cluster.etcd.process.send_signal(signal.SIGCONT)
        case "restarts":
            for node in sorted(cluster.nodes, key=lambda node: node is primary):
                node.stop()
                node.start()
                cluster.wait()


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """A cluster, which is whole again after each test."""
    require_programs("patroni", "patronictl", "etcd", "haproxy")
    return Cluster(request.getfixturevalue("tmp_path_factory").mktemp("cluster"), request)


@pytest.mark.parametrize("event", ["switchover", "killed", "hung", "no etcd", "restarts"])
@pytest.mark.parametrize("way", ["hosts", "haproxy"])
def test_cluster(way: str, event: str, cluster: Cluster, tmp_path: Path) -> None:
    """No acknowledged write is lost or stored twice, no answer is late, and none is 500."""
    primary = cluster.wait()
    url = f"postgresql://postgres@{cluster.hosts[way]}/postgres?target_session_attrs=read-write"
    with serve(tmp_path, url) as service:
        service.wait("/readyz")  # as the trigger needs the table
        primary.sql(AUDIT)
        with Load(service) as load:
            load.wait_for_writes()
            cause(event, cluster, primary, load)
            load.wait_for_writes()
            new_primary = cluster.wait()
    ends = sorted(r.end for r in load.replies if r.method != "GET" and r.status < "300")
    outage = max(end - start for start, end in pairwise(ends))
    print(way, event, f"out for {outage:.1f} s", Counter(load.write_answers.values()))
    load.write_answers |= cluster.write_answers
    cluster.write_answers = load.write_answers
    assert not load.find_mismatches(new_primary.sql("SELECT text FROM audit").split())
    assert (new_primary is primary) == (event == "no etcd")
    assert load.answers.keys() <= {"200", "201", "503", "504"}
    assert load.slowest < 8
