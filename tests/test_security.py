"""Nobody gets in without a key, nothing leaks, and no request takes the service down."""

import json
import logging
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection
from itertools import islice, product
from pathlib import Path
from shutil import copyfile
from string import ascii_letters
from urllib.parse import quote

import httpx2
import psutil
import pytest
from fastapi.testclient import TestClient

from tests.fixtures import (
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
    free_port,
    require_programs,
    skip,
    start_postgres,
    wait_until,
)

KEYS = ("old-key", "new-key", "schlüssel")
JSON = b"Content-Type: application/json\r\n"
HEAD = b"GET /livez HTTP/1.1\r\nHost: notes.example\r\n"
MEGABYTE = 2**20


@pytest.fixture(scope="module")
def service_with_keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service with keys, whose database is away: what reaches the database is a 503."""
    address = f"postgresql://notes:secret@127.0.0.1:{free_port()}/notes"
    keys = " , ".join(KEYS)
    folder = tmp_path_factory.mktemp("guarded")
    with Service.python(
        folder, DATABASE_URL=address, API_KEYS=keys, POOL_TIMEOUT="0.1"
    ) as service:
        yield service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service, open to all."""
    folder = tmp_path_factory.mktemp("open")
    with Service.python(folder, DATABASE_URL=f"sqlite:///{folder}/notes.db") as service:
        yield service


@pytest.fixture(scope="module")
def http() -> Iterator[httpx2.Client]:
    """A client of either service."""
    with httpx2.Client() as client:
        yield client


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


def send_raw(service: Service, *pieces: bytes) -> int:
    """Return the status of the answer to the bytes of a request."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return read_status(connection)


# Keys


@pytest.mark.parametrize(
    "credentials",
    [
        None,
        b"",
        b"Bearer",
        b"Bearer wrong",
        b"Bearer old-key2",
        b"Bearer old-key, new-key",
        b"Bearer schl\xfcssel",
        b"old-key",
        b"Basic old-key",
    ],
)
def test_request_without_a_key_is_unauthorized(
    service_with_keys: Service, http: httpx2.Client, credentials: bytes | None
) -> None:
    """Credentials that are missing, wrong, empty, not UTF-8 or not a bearer's are 401."""
    headers: list[tuple[bytes, bytes]] = [(b"Origin", ORIGIN.encode())]
    if credentials is not None:
        headers.append((b"Authorization", credentials))
    response = http.get(f"{service_with_keys.url}/notes/", headers=headers)
    assert problem(response) == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "credentials", [f"Bearer {key}" for key in KEYS] + ["bearer  old-key"]
)
def test_each_key_opens_the_notes(
    service_with_keys: Service, http: httpx2.Client, credentials: str
) -> None:
    """While keys are rotated any of them reaches the database, which is away here."""
    headers = {b"Authorization": credentials.encode()}
    assert http.get(f"{service_with_keys.url}/notes/", headers=headers).status_code == 503


def test_every_method_needs_a_key(
    service_with_keys: Service, http: httpx2.Client
) -> None:
    """No method gets past the keys, but a browser's preflight, which can carry none."""
    url = f"{service_with_keys.url}/notes/1/"
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"):
        assert http.request(method, url).status_code == 401
    headers = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization",
    }
    response = http.options(url, headers=headers)
    assert response.status_code == 200
    assert "authorization" in response.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize(
    "path",
    [
        "/notes",
        "//notes/",
        "/livez/../notes/",
        "/livez%00",
        "/docs/notes/",
        "/notes/?path=/livez",
        "http://127.0.0.1/notes/",
        "/nothing",
    ],
)
def test_no_spelling_of_a_path_gets_past_the_keys(
    service_with_keys: Service, path: str
) -> None:
    """A path that is not one of the open ones is 401, whatever is there."""
    request = f"GET {path} HTTP/1.1\r\nHost: notes.example\r\n\r\n"
    assert send_raw(service_with_keys, request.encode()) == 401


def test_docs_and_probes_stay_open(
    service_with_keys: Service, http: httpx2.Client
) -> None:
    """The docs, the OpenAPI document and the probes need no key, for GET as for HEAD."""
    open_paths = {"/": 307, "/livez": 200, "/readyz": 503}
    open_paths |= dict.fromkeys(["/docs", "/redoc", "/openapi.json"], 200)
    for path, status in open_paths.items():
        for method in ("GET", "HEAD"):
            answer = http.request(method, service_with_keys.url + path)
            assert answer.status_code == status, path


@pytest.mark.parametrize(
    "framing", ["Content-Length: 100000000", "Transfer-Encoding: chunked"]
)
def test_key_is_decided_before_the_body(service_with_keys: Service, framing: str) -> None:
    """The 401 comes before a byte of the body is sent, and nothing invites to send it."""
    head = f"POST /notes/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n{framing}\r\n"
    assert send_raw(service_with_keys, head.encode() + JSON + b"\r\n") == 401


# TLS to Postgres


def make_certificate(folder: Path, name: str) -> None:
    """Make a key, and a certificate for 127.0.0.1 that is its own authority, by OpenSSL."""
    command = "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1"
    command += " -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
    files: list[str | Path]
    files = ["-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt"]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)


@pytest.fixture(scope="module")
def tls_postgres(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Postgres, Path]]:
    """A server with TLS, and a folder with its certificate and with another."""
    require_programs("openssl")
    if not postgres.sql("SHOW ssl_library").strip():
        skip("this Postgres was built without TLS")
    folder = tmp_path_factory.mktemp("certificates")
    make_certificate(folder, "right")
    make_certificate(folder, "wrong")
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


RIGHT = "sslmode=verify-full&sslrootcert={folder}/right.crt"
WRONG = "sslmode=verify-full&sslrootcert={folder}/wrong.crt"


@pytest.mark.parametrize(
    ("parameters", "ssl"),
    [("", "t"), ("sslmode=require", "t"), (RIGHT, "t"), ("sslmode=disable", "f")],
)
def test_connection_is_encrypted_as_the_url_asks(
    tls_postgres: tuple[Postgres, Path], parameters: str, ssl: str
) -> None:
    """Postgres itself sees TLS, or none with `disable`."""
    server, folder = tls_postgres
    url = server.create_database("tls")
    with open_client(DATABASE_URL=f"{url}?{parameters.format(folder=folder)}") as client:
        assert client.get("/notes/").status_code == 200
        sql = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname = 'tls'"
        assert server.sql(sql).split() == [ssl]


@pytest.mark.parametrize(
    ("has_tls", "host", "parameters", "reason"),
    [
        (False, "127.0.0.1", "sslmode=require", "rejected SSL"),
        (True, "127.0.0.1", WRONG, "verify failed"),
        (True, "localhost", RIGHT, "verify failed"),
    ],
    ids=["no TLS", "wrong authority", "wrong name"],
)
def test_connection_that_is_not_as_secure_as_asked_is_refused(
    has_tls: bool,
    host: str,
    parameters: str,
    reason: str,
    tls_postgres: tuple[Postgres, Path],
    postgres: Postgres,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is a 503 and a line in the log that tells why; nothing is sent in plain text."""
    tls_server, folder = tls_postgres
    server = tls_server if has_tls else postgres
    server.create_database("refused")
    query = parameters.format(folder=folder)
    url = f"postgresql://postgres@{host}:{server.port}/refused?{query}"
    with open_client(DATABASE_URL=url, POOL_TIMEOUT="0.3") as client:
        assert problem(client.get("/notes/")) == 503
    assert reason in caplog.text
    sessions = "SELECT sessions FROM pg_stat_database WHERE datname = 'refused'"
    assert server.sql(sessions) == "0\n"


# CORS


def read_allowed_origins(client: TestClient, origins: list[str]) -> dict[str, str | None]:
    """Return which origin each origin is told that it may read as, by GET and by preflight."""
    answers = {}
    for origin in origins:
        asks = {"Origin": origin, "Access-Control-Request-Method": "PATCH"}
        read = client.get("/livez", headers={"Origin": origin})
        preflight = client.options("/notes/1/", headers=asks)
        answers[origin] = read.headers.get("Access-Control-Allow-Origin")
        assert preflight.headers.get("Access-Control-Allow-Origin") == answers[origin]
        assert preflight.status_code == (200 if answers[origin] else 400)
        assert "Origin" in read.headers["Vary"].split(", ")
        assert "Origin" in preflight.headers["Vary"].split(", ")
    return answers


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    """The URL of a SQLite file that is not there yet."""
    return f"sqlite:///{tmp_path}/notes.db"


@pytest.mark.parametrize("regex", ["", r"https://.*"])
def test_star_never_allows_credentials(sqlite: str, regex: str) -> None:
    """With `*` every origin may read, and none with credentials, also if a client sends some."""
    variables = {"CORS_ORIGINS": "*", "CORS_ORIGIN_REGEX": regex}
    headers = {"Origin": ORIGIN, "Cookie": "a=1", "Access-Control-Request-Method": "GET"}
    with open_client(DATABASE_URL=sqlite, **variables) as client:
        for method in ("GET", "OPTIONS"):
            answer = client.request(method, "/livez", headers=headers)
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert "Access-Control-Allow-Credentials" not in answer.headers


REGEX = r"https://pr-\d+\.app\.example|https://staging\.example"
MATCHES = ["https://pr-7.app.example", "https://staging.example"]


@pytest.mark.parametrize(
    ("variables", "own"),
    [
        ({"CORS_ORIGINS": f"{ORIGIN} , file://"}, [ORIGIN, "file://"]),
        (
            {"CORS_ORIGINS": "null,capacitor://localhost"},
            ["null", "capacitor://localhost"],
        ),
        ({"CORS_ORIGIN_REGEX": REGEX}, MATCHES),
        ({"CORS_ORIGINS": ORIGIN, "CORS_ORIGIN_REGEX": REGEX}, [ORIGIN, *MATCHES]),
    ],
    ids=["listed", "null", "regex", "both"],
)
def test_listed_origins_may_read(
    sqlite: str, variables: dict[str, str], own: list[str]
) -> None:
    """Each origin that is listed, or matched as a whole, is allowed by name, and no other one."""
    others = [
        "https://app.example.evil.example",
        "https://app.example:8443",
        "http://app.example",
        f"{ORIGIN}, http://localhost:5173",
        "https://evil.example/https://pr-7.app.example",
        "https://pr-7.app.example.evil.example",
        "https://pr-7xapp.example",
        "*",
    ]
    allowed: dict[str, str | None] = dict.fromkeys([*others, ORIGIN, "null"])
    allowed |= {origin: origin for origin in own}
    with open_client(DATABASE_URL=sqlite, **variables) as client:
        assert read_allowed_origins(client, list(allowed)) == allowed
        headers = client.get("/livez", headers={"Origin": own[0]}).headers
        assert headers["Access-Control-Allow-Credentials"] == "true"
        assert "Origin" in TestClient(client.app).get("/livez").headers["Vary"]


# Input

SQL = [
    "'; DROP TABLE notes; --",
    '" OR ""="',
    "1) OR (1=1",
    "x' UNION SELECT 1, 'x', true --",
    "$1",
    ":text",
    "?",
    "%(text)s",
    "{0}",
    "\\'; --",
    "/_",
]


def test_sql_stays_data(client: TestClient) -> None:
    """SQL in a text is stored and found as it is, and in any parameter it changes nothing."""
    for sql in SQL:
        note = create_note(client, text=f"<{sql}>")
        assert client.put(f"/notes/{note['id']}/", json=note).json() == note
        assert client.get("/notes/", params={"q": f"<{sql}>"}).json() == [note]
    notes = read_notes(client)
    assert [note["text"] for note in notes] == [f"<{sql}>" for sql in SQL]
    names = ["skip", "take", "sort", "after", "count", "completed", "unknown"]
    for sql in SQL:
        for name in names:
            assert client.get("/notes/", params={name: sql}).status_code == 422
        path = f"/notes/{quote(sql, safe='')}/"
        assert client.delete(path).status_code in (404, 422)
        path = f"/notes/{notes[0]['id']}/"
        assert client.delete(path, headers={"If-Match": sql}).status_code == 412
        assert client.get(path, headers={"If-None-Match": sql}).status_code == 200
    assert read_notes(client) == notes


# Limits


def test_hundred_megabytes_leave_the_memory_as_it_was(service: Service) -> None:
    """A body of unknown length is 413 and dropped as it comes; its connection serves on."""
    process = psutil.Process(service.process.pid)
    start_memory, growth = process.memory_info().rss, 0
    head = b"POST /notes/ HTTP/1.1\r\nHost: notes\r\nTransfer-Encoding: chunked\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(head + JSON + b"\r\n")
        for _ in range(100):
            connection.sendall(b"%x\r\n%s\r\n" % (MEGABYTE, b" " * MEGABYTE))
            growth = max(growth, process.memory_info().rss - start_memory)
        connection.sendall(b"0\r\n\r\n")
        assert read_status(connection) == 413
        connection.sendall(HEAD + b"\r\n")
        assert read_status(connection) == 200
    assert growth < 16 * MEGABYTE


def make_query(number: int) -> str:
    """Return 12,000 names of four letters, 60 KB, that are in no query of another number."""
    names = islice(product(ascii_letters, repeat=4), number * 12_000, None)
    return "&".join("".join(name) for name in islice(names, 12_000))


def test_unknown_parameters_leave_the_memory_as_it_was(service: Service) -> None:
    """128 lists of 12,000 unknown parameters each are soon answered with ten, and forgotten."""
    process = psutil.Process(service.process.pid)
    start_memory, start_time = process.memory_info().rss, time.monotonic()
    # Not by httpx2, which would take seconds to parse these URLs.
    with closing(HTTPConnection("127.0.0.1", service.port)) as connection:
        for number in range(128):
            query = make_query(number)
            connection.request("GET", f"/notes/?{query}")
            response = connection.getresponse()
            body = json.load(response)
            assert response.status == body["status"] == 422
            assert list(body["errors"]) == query.split("&")[:10]
            assert "skip, take, sort, after, count, completed, q" in body["message"]
    assert time.monotonic() - start_time < 25
    assert process.memory_info().rss - start_memory < 30 * MEGABYTE


@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
def test_length_over_the_limit_is_refused_unread(service: Service, expect: bytes) -> None:
    """A declared length over the limit is 413 before a byte of the body is sent."""
    head = b"POST /notes/ HTTP/1.1\r\nHost: notes\r\nContent-Length: 1048577\r\n"
    assert send_raw(service, head + expect + JSON + b"\r\n") == 413


def test_slow_clients_hold_no_connection_to_the_database(
    postgres: Postgres, tmp_path: Path
) -> None:
    """While clients are silent, or send their headers or bodies slowly, others are served."""
    url = postgres.create_database("slow")
    head = b"POST /notes/ HTTP/1.1\r\nHost: notes\r\nContent-Length: 100\r\n"
    starts = (b"", b"GET /no", head, head + JSON + b'\r\n{"text": ')
    with (
        Service.python(tmp_path, DATABASE_URL=url, POOL_SIZE="1") as service,
        ExitStack() as stack,
    ):
        for start in starts * 25:
            connection = socket.create_connection(("127.0.0.1", service.port), timeout=10)
            stack.enter_context(connection).sendall(start)
        for _ in range(20):
            assert httpx2.get(f"{service.url}/notes/").status_code == 200


def test_no_other_address_than_host_is_served(service: Service) -> None:
    """The service listens at 127.0.0.1, which HOST is unless it is set, and nowhere else."""
    with pytest.raises(OSError, match=r"refused|timed out"):
        socket.create_connection(("127.0.0.2", service.port), timeout=1)


# Leaks


SECRET = "S3CRET"
PLACE = "127.0.0.1:1/notes"
URLS = [
    f"postgresql://notes:{SECRET}@{PLACE}",
    f"postgresql://notes:%25%40%2F%23{SECRET}@{PLACE}",
    f"postgresql://notes:%{SECRET}@{PLACE}",
    *[f"postgresql://notes:a{sign}{SECRET}@{PLACE}" for sign in "@/#?[]:"],
    f"postgresql://notes:1/{SECRET}@127.0.0.1",
    f"postgresql://{PLACE}?user=notes&password={SECRET}",
    f"postgresql://{PLACE}?user=notes&password=%40{SECRET}/@",
    f"postgresql://{PLACE}?user=notes&password=#{SECRET}",
    f"postgresql://notes:{SECRET}@{PLACE}?pgbouncer=true&sslmode=perhaps",
    f"postgresql://notes:{SECRET}@127.0.0.1:http/notes",
    f"postgresql://notes:{SECRET}@127.0.0.1:99999/notes",
    f"postgresql://notes:{SECRET}@127.0.0.1:1,notes:{SECRET}@127.0.0.2:1/notes",
    f"postgresql//notes:{SECRET}@{PLACE}",
    f"mysql://notes:{SECRET}@{PLACE}",
    f"postgresql://notes:{SECRET}@no such host/notes",
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
    variables: dict[str, str],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Whatever is wrong with a URL, its password is neither logged nor answered."""
    caplog.set_level(logging.INFO)
    answers = ""
    with suppress(SystemExit), open_client(**variables, POOL_TIMEOUT="0.1") as client:
        headers = {"Authorization": f"Bearer {SECRET}"}
        answers = client.get("/notes/", headers=headers).text + client.get("/readyz").text
    output = "".join(capfd.readouterr())
    assert caplog.text + output
    assert SECRET not in caplog.text + output + answers


def test_user_that_postgres_refuses_is_logged_without_a_password(
    postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    """Postgres' own refusal of a user is logged without the password."""
    caplog.set_level(logging.INFO)
    url = f"postgresql://nobody:{SECRET}@127.0.0.1:{postgres.port}/postgres"
    with open_client(DATABASE_URL=url, POOL_TIMEOUT="0.1") as client:
        assert problem(client.get("/notes/")) == 503
    assert "nobody" in caplog.text
    assert SECRET not in caplog.text


def test_no_note_is_logged(
    deployment: Deployment,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Neither what is stored nor what is refused, by the service or its database, is logged."""
    caplog.set_level(logging.INFO)
    client = deployment.client
    deployment.sql("CREATE UNIQUE INDEX once ON notes (text)")
    try:
        note = create_note(client, text=SECRET)
        client.patch(f"/notes/{note['id']}/", json={"completed": True})
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
