"""Nobody gets in without a key, nothing leaks, and no request takes the service down."""

import logging
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from shutil import copyfile
from urllib.parse import quote

import httpx2
import psutil
import pytest
from fastapi.testclient import TestClient

from tests.fixtures import (
    ONCE,
    ORIGIN,
    Deployment,
    create_note,
    open_client,
    problem,
    read_notes,
)
from tests.servers import (
    Postgres,
    Service,
    require_programs,
    skip,
    start_postgres,
    wait_until,
)

Log = pytest.LogCaptureFixture
TLS = tuple[Postgres, Path]

KEYS = ("old-key", "new-key", "schlüssel")
POST = b"POST /notes/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
WITH_KEY = b"Authorization: Bearer old-key\r\n"
MEGABYTE = 2**20


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service with keys."""
    folder = tmp_path_factory.mktemp("security")
    with Service.python(folder, API_KEYS=" , ".join(KEYS)) as service:
        yield service


def connect(service: Service) -> socket.socket:
    """Return a connection to the service."""
    return socket.create_connection(("127.0.0.1", service.port), timeout=30)


def read_status(connection: socket.socket) -> int:
    """Return the status of the next answer of a connection, once all of it has come."""
    data = b""
    while piece := connection.recv(65_536):
        data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if length and len(body) >= int(length[1]):
            break
    return int(data.split(b" ", 2)[1])


# Keys


@pytest.mark.parametrize(
    ("credentials", "status"),
    [
        *[(credentials, 401) for credentials in ("", "Bearer", "Bearer old-key2")],
        *[(credentials, 401) for credentials in ("old-key", "Basic old-key")],
        *[(f"Bearer {key}", 200) for key in KEYS],
        ("bearer  old-key", 200),
    ],
)
def test_any_key_opens_it(visitor: httpx2.Client, credentials: str, status: int) -> None:
    """Any key may be used, as a Bearer token; all other credentials are 401."""
    headers = {b"Authorization": credentials.encode()}
    assert visitor.get("/notes/", headers=headers).status_code == status


def test_every_method_needs_a_key(visitor: httpx2.Client) -> None:
    """No method gets past the keys, but a browser's preflight, which can carry none."""
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"):
        response = visitor.request(method, "/notes/1/")
        assert problem(response) == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
    assert visitor.head("/notes/1/").status_code == 401
    headers = {"Access-Control-Request-Method": "PUT"}
    assert visitor.options("/notes/1/", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/notes", "//notes/", "/livez/../notes/", "/livez%00", "/docs/notes/", "/nothing"],
)
def test_no_spelling_of_a_path_gets_past_the_keys(service: Service, path: str) -> None:
    """A path that is not one of the open ones is 401, whatever is there."""
    with connect(service) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert read_status(connection) == 401


def test_docs_and_probes_stay_open(visitor: httpx2.Client) -> None:
    """The docs, the OpenAPI document and the probes need no key, for GET as for HEAD."""
    for path in ("/", "/livez", "/readyz", "/docs", "/redoc", "/openapi.json"):
        for method in ("GET", "HEAD"):
            status = visitor.request(method, path).status_code
            assert status == (307 if path == "/" else 200), path


# TLS to Postgres


@pytest.fixture(scope="module")
def tls_postgres(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TLS]:
    """A server with TLS, and a folder with its certificate and with another."""
    require_programs("openssl")
    if not postgres.sql("SHOW ssl_library").strip():
        skip("this Postgres was built without TLS")
    folder = tmp_path_factory.mktemp("certificates")
    command = "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1"
    command += " -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
    for name in ("right", "wrong"):
        files = f"-keyout {folder}/{name}.key -out {folder}/{name}.crt"
        subprocess.run(f"{command} {files}".split(), check=True, capture_output=True)
    with start_postgres() as server:
        for ending in ("key", "crt"):
            file = copyfile(folder / f"right.{ending}", server.data / f"server.{ending}")
            file.chmod(0o600)
            if server.user:
                os.chown(file, *server.user)
        server.configure(ssl="on")
        server.control("reload")
        wait_until(lambda: server.sql("SHOW ssl").strip() == "on")
        yield server, folder


VERIFY = "sslmode=verify-full&sslrootcert={folder}"


@pytest.mark.parametrize(
    ("host", "parameters", "ssl"),
    [
        ("127.0.0.1", "sslmode=require", "True"),
        ("127.0.0.1", "ssl=require", "True"),
        ("127.0.0.1", "sslmode=disable", "False"),
        ("127.0.0.1", f"{VERIFY}/right.crt", "True"),
        ("127.0.0.1", f"{VERIFY}/wrong.crt", ""),
        ("localhost", f"{VERIFY}/right.crt", ""),
    ],
)
def test_a_connection_is_as_secure_as_the_url_asks(
    tls_postgres: TLS, host: str, parameters: str, ssl: str, caplog: Log
) -> None:
    """Postgres sees TLS if the URL asks for it; a wrong certificate is 503, and the log says so."""
    server, folder = tls_postgres
    url = server.create_database("tls").replace("127.0.0.1", host)
    url += f"?{parameters.format(folder=folder)}"
    with open_client(DATABASE_URL=url, POOL_TIMEOUT="0.5") as client:
        response = client.get("/notes/")
        if ssl:
            assert response.status_code == 200
            sql = "SELECT ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)"
            assert server.sql(f"{sql} WHERE datname = 'tls'").split() == [ssl]
        else:
            assert problem(response) == 503
            assert "verify failed" in caplog.text


# CORS


@ONCE
def test_any_origin_may_send_anything_without_credentials(client: TestClient) -> None:
    """With `*` a page of any origin and network may use every method and header, and no cookies."""
    headers = {
        "Access-Control-Request-Headers": "content-type, if-match, x-anything",
        "Access-Control-Request-Private-Network": "true",
        "Cookie": "a=1",
    }
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        headers["Access-Control-Request-Method"] = method
        preflight = client.options("/notes/", headers=headers)
        assert preflight.status_code == 200
        assert method in preflight.headers["Access-Control-Allow-Methods"].split(", ")
        allowed_headers = preflight.headers["Access-Control-Allow-Headers"].split(", ")
        assert {"content-type", "if-match", "x-anything"} <= set(allowed_headers)
        assert preflight.headers["Access-Control-Allow-Private-Network"] == "true"
    for answer in (preflight, client.get("/notes/", headers={"Cookie": "a=1"})):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers


REGEX = r"https://pr-\d+\.app\.example|https://staging\.example"
MATCHES = ["https://pr-7.app.example", "https://staging.example"]


@pytest.mark.parametrize(
    ("variables", "own"),
    [
        ({"CORS_ORIGINS": f"{ORIGIN} , file://, null"}, [ORIGIN, "file://", "null"]),
        ({"CORS_ORIGIN_REGEX": REGEX}, MATCHES),
        ({"CORS_ORIGINS": ORIGIN, "CORS_ORIGIN_REGEX": REGEX}, [ORIGIN, *MATCHES]),
    ],
    ids=["listed", "regex", "both"],
)
def test_listed_origins_may_read(
    tmp_path: Path, variables: dict[str, str], own: list[str], caplog: Log
) -> None:
    """Origins that are listed, or match as a whole, may read; each other one is logged once."""
    others = ["https://app.example.evil.example", "https://app.example:8443"]
    others += ["https://pr-7.app.example.evil.example", "https://pr-7xapp.example"]
    url = f"sqlite:///{tmp_path}/notes.db"
    with open_client(DATABASE_URL=url, **variables) as client:
        for origin in [*own, *others]:
            headers = {"Origin": origin, "Access-Control-Request-Method": "PATCH"}
            preflight = client.options("/notes/1/", headers=headers)
            assert preflight.status_code == (200 if origin in own else 400)
            for answer in (preflight, client.get("/livez", headers={"Origin": origin})):
                allowed = answer.headers.get("Access-Control-Allow-Origin")
                assert allowed == (origin if origin in own else None)
                assert "Origin" in answer.headers["Vary"].split(", ")
                if origin in own:
                    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert all(caplog.text.count(f"refuses pages of {each!r}") == 1 for each in others)


# Input

SQL = ["'; DROP TABLE notes; --", '" OR ""="', "1) OR (1=1", "$1 :a ? %(a)s", "\\'/_"]


def test_sql_stays_data(client: TestClient) -> None:
    """SQL in a text is stored and found as it is, and in any parameter it changes nothing."""
    for sql in SQL:
        note = create_note(client, text=f"<{sql}>")
        assert client.put(f"/notes/{note['id']}/", json=note).json() == note
        assert client.get("/notes/", params={"q": f"<{sql}>"}).json() == [note]
    notes = read_notes(client)
    assert [note["text"] for note in notes] == [f"<{sql}>" for sql in SQL]
    path = f"/notes/{notes[0]['id']}/"
    for sql in SQL:
        for name in ("skip", "take", "sort", "after", "count", "completed", "unknown"):
            assert client.get("/notes/", params={name: sql}).status_code == 422
        assert client.delete(f"/notes/{quote(sql, safe='')}/").status_code in (404, 422)
        assert client.delete(path, headers={"If-Match": sql}).status_code == 412
    assert read_notes(client) == notes


# Limits


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"Content-Length: 100000000\r\n", 401),
        (b"Transfer-Encoding: chunked\r\n", 401),
        (WITH_KEY + b"Content-Length: 1048577\r\n", 413),
    ],
)
def test_a_body_is_refused_unread(service: Service, headers: bytes, status: int) -> None:
    """A 401, and a 413 of a declared length, come before a byte of the body is sent."""
    with connect(service) as connection:
        connection.sendall(POST + headers + b"Expect: 100-continue\r\n\r\n")
        assert read_status(connection) == status


def test_hundred_megabytes_leave_the_memory_as_it_was(service: Service) -> None:
    """A body of unknown length is 413 and dropped as it comes; its connection serves on."""
    process = psutil.Process(service.process.pid)
    start_memory, growth = process.memory_info().rss, 0
    with connect(service) as connection:
        connection.sendall(POST + WITH_KEY + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"%x\r\n%s\r\n" % (MEGABYTE, b" " * MEGABYTE))
            growth = max(growth, process.memory_info().rss - start_memory)
        connection.sendall(b"0\r\n\r\n")
        assert read_status(connection) == 413
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_status(connection) == 200
    assert growth < 16 * MEGABYTE


def test_unknown_parameters_leave_the_memory_as_it_was(service: Service) -> None:
    """128 lists of 12,000 unknown parameters each are soon refused, and forgotten."""
    process = psutil.Process(service.process.pid)
    start_memory, start_time = process.memory_info().rss, time.monotonic()
    names = "&".join(f"{number:04x}" for number in range(12_000))
    # Not by httpx2, which would take seconds to parse these URLs.
    with closing(HTTPConnection("127.0.0.1", service.port)) as connection:
        for number in range(128):
            headers = {"Authorization": "Bearer old-key"}
            connection.request("GET", f"/notes/?x{number}&{names}", headers=headers)
            response = connection.getresponse()
            assert response.status == 422
            assert b"skip, take, sort, after, count, completed, q" in response.read(1_000)
    assert time.monotonic() - start_time < 25
    assert process.memory_info().rss - start_memory < 30 * MEGABYTE


def test_slow_clients_hold_no_connection(postgres: Postgres, tmp_path: Path) -> None:
    """While clients are silent, or send their headers or bodies slowly, others are served."""
    url = postgres.create_database("slow")
    head = POST + b"Content-Length: 100\r\n\r\n"
    with (
        Service.python(tmp_path, DATABASE_URL=url, POOL_SIZE="1") as service,
        ExitStack() as stack,
    ):
        for start in (b"", b"GET /no", head, head + b'{"text": ') * 25:
            stack.enter_context(connect(service)).sendall(start)
        for _ in range(20):
            assert httpx2.get(f"{service.url}/notes/").status_code == 200


# Leaks

SECRET = "S3CRET"
PLACE = "127.0.0.1:1/notes"
URLS = [
    f"postgresql://notes:%25%40%2F%23{SECRET}@{PLACE}",
    f"postgresql://notes:%{SECRET}@{PLACE}",
    *[f"postgresql://notes:a{sign}{SECRET}@{PLACE}" for sign in "@/#?[]:"],
    f"postgresql://{PLACE}?user=notes&password=%40{SECRET}/@",
    f"postgresql://{PLACE}?user=notes&password=#{SECRET}",
    f"postgresql://notes:{SECRET}@{PLACE}?pgbouncer=true&sslmode=perhaps",
    f"postgresql://notes:{SECRET}@127.0.0.1:99999/notes",
    f"postgresql://notes:{SECRET}@127.0.0.1:1,notes:{SECRET}@127.0.0.2:1/notes",
    f"mysql://notes:{SECRET}@{PLACE}",
]


@pytest.mark.parametrize(
    "variables",
    [
        *[{"DATABASE_URL": url} for url in URLS],
        {"host_server": "127.0.0.1:1", "db_password": f"@/#:%?{SECRET}"},
        {"DATABASE_URL": f"postgresql://notes@{PLACE}", "API_KEYS": SECRET},
    ],
    ids=lambda variables: " ".join(variables.values()),
)
def test_no_secret_is_logged(
    variables: dict[str, str], caplog: Log, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever is wrong with a URL, its password is neither logged nor answered."""
    caplog.set_level(logging.INFO)
    answers = ""
    with suppress(SystemExit), open_client(**variables, POOL_TIMEOUT="0.1") as client:
        headers = {"Authorization": f"Bearer {SECRET}"}
        answers = client.get("/notes/", headers=headers).text + client.get("/readyz").text
    assert caplog.text
    assert SECRET not in "".join([caplog.text, answers, *capfd.readouterr()])


def test_no_note_is_logged(
    deployment: Deployment, caplog: Log, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither what is stored nor what is refused, by the service or its database, is logged."""
    caplog.set_level(logging.INFO)
    client = deployment.client
    deployment.sql("CREATE UNIQUE INDEX once ON notes (text)")
    try:
        create_note(client, text=SECRET)
        client.get("/notes/", params={"q": SECRET})
        client.post("/notes/", json={"text": SECRET + "\0"})
        assert problem(client.post("/notes/", json={"text": SECRET})) == 409
    finally:
        deployment.sql("DROP INDEX once")
    # All but the lines of the client itself.
    records = [record for record in caplog.records if record.name != "httpx2"]
    lines = [logging.Formatter().format(record) for record in records]
    assert any("IntegrityError" in line or "UniqueViolation" in line for line in lines)
    assert SECRET not in "".join([*lines, *capfd.readouterr()])
