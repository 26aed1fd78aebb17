"""Nobody gets in without a key, nothing leaks, and no request takes the service down."""

import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote

import httpx2
import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi.testclient import TestClient

from tests.fixtures import (
    ORIGIN,
    Deployment,
    create_note,
    open_client,
    problem,
    read_notes,
)
from tests.servers import Postgres, Service, free_port, skip, start_postgres, wait_until

KEYS = ("old-key", "new-key", "schlüssel")
JSON = b"Content-Type: application/json\r\n"
MEGABYTE = 2**20


@pytest.fixture(scope="module")
def service_with_keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service with keys, whose database is away: what reaches the database is a 503."""
    address = f"postgresql://notes:secret@127.0.0.1:{free_port()}/notes"
    folder = tmp_path_factory.mktemp("guarded")
    with Service.python(
        folder, DATABASE_URL=address, API_KEYS=" , ".join(KEYS), POOL_TIMEOUT="0.1"
    ) as service:
        yield service


@pytest.fixture(scope="module")
def service(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The service, open to all, with one connection to its database."""
    url = postgres.create_database("security")
    with Service.python(
        tmp_path_factory.mktemp("open"), DATABASE_URL=url, POOL_SIZE="1"
    ) as service:
        yield service


@pytest.fixture(scope="module")
def http() -> Iterator[httpx2.Client]:
    """A client of either service."""
    with httpx2.Client() as client:
        yield client


def read_answer(connection: socket.socket) -> bytes:
    """Return the next answer of a connection, which is empty if the server has closed it."""
    data = b""
    while piece := connection.recv(65_536):
        data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if length and len(body) >= int(length[1]):
            break
    return data


def send_raw(service: Service, *pieces: bytes) -> bytes:
    """Return the answer to the bytes of a request."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return read_answer(connection)


def parse_status(data: bytes) -> int:
    """Return the status of an answer."""
    return int(data.split(b" ", 2)[1])


# Keys


@pytest.mark.parametrize(
    "credentials",
    [
        None,
        b"",
        b"Bearer",
        b"Bearer ,",
        b"Bearer wrong",
        b"Bearer old-ke",
        b"Bearer old-key2",
        b"Bearer OLD-KEY",
        b"Bearer old-key, new-key",
        b"Bearer old-key new-key",
        b"Bearer schl\xfcssel",
        b"Bearer \xff\xfe",
        b"old-key",
        b"Basic b2xkLWtleTo=",
        b"Basic old-key",
    ],
)
def test_request_without_a_key_is_unauthorized(
    service_with_keys: Service, http: httpx2.Client, credentials: bytes | None
) -> None:
    """Credentials that are missing, wrong, empty, not ASCII or not a bearer's are 401."""
    headers: list[tuple[bytes, bytes]] = [(b"Origin", ORIGIN.encode())]
    if credentials is not None:
        headers.append((b"Authorization", credentials))
    response = http.get(f"{service_with_keys.url}/notes/", headers=headers)
    assert problem(response) == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
@pytest.mark.parametrize("key", KEYS)
def test_each_key_opens_the_notes(
    service_with_keys: Service, http: httpx2.Client, scheme: str, key: str
) -> None:
    """Any of the keys reaches the database, which is away here."""
    headers = {b"Authorization": f"{scheme} {key}".encode()}
    assert http.get(f"{service_with_keys.url}/notes/", headers=headers).status_code == 503


@pytest.mark.parametrize(
    "method",
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"],
)
def test_every_method_needs_a_key(
    service_with_keys: Service, http: httpx2.Client, method: str
) -> None:
    """No method gets past the keys."""
    assert http.request(method, f"{service_with_keys.url}/notes/1/").status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/notes",
        "/notes/1",
        "//notes/",
        "/%6eotes/",
        "/livez/../notes/",
        "/livez/..%2Fnotes/",
        "/livez;/notes/",
        "/livez%00",
        "/livez%2F",
        "/LIVEZ",
        "/docs/notes/",
        "/openapi.json/",
        "/notes/?path=/livez",
        "http://127.0.0.1/notes/",
        "*",
        "/nothing",
    ],
)
def test_no_spelling_of_a_path_gets_past_the_keys(
    service_with_keys: Service, path: str
) -> None:
    """A path that is not one of the open ones is 401, whatever is there."""
    request = f"GET {path} HTTP/1.1\r\nHost: notes.example\r\n\r\n"
    assert parse_status(send_raw(service_with_keys, request.encode())) == 401


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 307),
        ("/docs", 200),
        ("/redoc", 200),
        ("/openapi.json", 200),
        ("/livez", 200),
        ("/readyz", 503),
    ],
)
def test_docs_and_probes_stay_open(
    service_with_keys: Service, http: httpx2.Client, path: str, status: int
) -> None:
    """The docs, the OpenAPI document and the probes need no key."""
    assert http.get(service_with_keys.url + path).status_code == status


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_preflight_stays_open(
    service_with_keys: Service, http: httpx2.Client, method: str
) -> None:
    """A browser's preflight carries no key and may ask to send one."""
    headers = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    response = http.options(f"{service_with_keys.url}/notes/1/", headers=headers)
    assert response.status_code == 200
    assert "authorization" in response.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize(
    "framing", ["Content-Length: 100000000", "Transfer-Encoding: chunked"]
)
def test_key_is_decided_before_the_body(service_with_keys: Service, framing: str) -> None:
    """The 401 comes before a byte of the body is sent, and nothing invites to send it."""
    head = (
        f"POST /notes/ HTTP/1.1\r\nHost: notes\r\nExpect: 100-continue\r\n{framing}\r\n"
    )
    assert (
        parse_status(send_raw(service_with_keys, head.encode() + JSON + b"\r\n")) == 401
    )


@pytest.mark.parametrize(
    ("database", "keys", "warnings"),
    [("postgres", "", 1), ("postgres", "a-key", 0), ("sqlite", "", 1)],
)
def test_open_service_warns(
    database: str,
    keys: str,
    warnings: int,
    postgres: Postgres,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A start without keys says once that the service is open to all."""
    url = postgres.url() if database == "postgres" else f"sqlite:///{tmp_path}/notes.db"
    with open_client(DATABASE_URL=url, API_KEYS=keys):
        assert caplog.text.count("API_KEYS") == warnings


# TLS to Postgres


def make_name(common_name: str) -> x509.Name:
    """Return a name as certificates have it."""
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


def make_certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> bytes:
    """Return a certificate that is good for an hour."""
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .issuer_name(make_name(issuer))
        .subject_name(make_name(subject))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(extension, critical=False)
        .sign(issuer_key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


@pytest.fixture(scope="module")
def tls_postgres(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Postgres, Path]]:
    """A server with TLS for 127.0.0.1, and a folder with its authority and with another."""
    if not postgres.sql("SHOW ssl_library").strip():
        skip("this Postgres was built without TLS")
    folder = tmp_path_factory.mktemp("authorities")
    server_key, right_key, wrong_key = (
        ec.generate_private_key(ec.SECP256R1()) for _ in range(3)
    )
    for name, key in (("right", right_key), ("wrong", wrong_key)):
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        pem = make_certificate("Authority", key, "Authority", key, constraints)
        (folder / f"{name}.crt").write_bytes(pem)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    with start_postgres() as server:
        key_file, certificate_file = (
            server.data / "server.key",
            server.data / "server.crt",
        )
        certificate_file.write_bytes(
            make_certificate("Server", server_key, "Authority", right_key, address)
        )
        key_file.write_bytes(
            server_key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        key_file.chmod(0o600)
        if server.user:
            os.chown(key_file, *server.user)
        server.configure(ssl="on")
        server.control("reload")
        wait_until(lambda: server.sql("SHOW ssl").strip() == "on")
        yield server, folder


@pytest.mark.parametrize(
    ("parameters", "ssl"),
    [
        ("", "t"),
        ("sslmode=require", "t"),
        ("ssl=require", "t"),
        ("sslmode=verify-full&sslrootcert={folder}/right.crt", "t"),
        ("sslmode=disable", "f"),
    ],
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
    ("server_has_tls", "host", "parameters", "reason"),
    [
        (False, "127.0.0.1", "sslmode=require", "rejected SSL"),
        (
            False,
            "127.0.0.1",
            "sslmode=verify-full&sslrootcert={folder}/right.crt",
            "rejected SSL",
        ),
        (
            True,
            "127.0.0.1",
            "sslmode=verify-full&sslrootcert={folder}/wrong.crt",
            "verify failed",
        ),
        (
            True,
            "localhost",
            "sslmode=verify-full&sslrootcert={folder}/right.crt",
            "verify failed",
        ),
    ],
    ids=[
        "server without TLS",
        "verified server without TLS",
        "wrong authority",
        "wrong name",
    ],
)
def test_connection_that_is_not_as_secure_as_asked_is_refused(
    server_has_tls: bool,
    host: str,
    parameters: str,
    reason: str,
    tls_postgres: tuple[Postgres, Path],
    postgres: Postgres,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is a 503 and one line in the log that tells why; nothing is sent in plain text."""
    tls_server, folder = tls_postgres
    server = tls_server if server_has_tls else postgres
    server.create_database("refused")
    query = parameters.format(folder=folder)
    url = f"postgresql://postgres@{host}:{server.port}/refused?{query}"
    with open_client(DATABASE_URL=url, API_KEYS="key", POOL_TIMEOUT="0.3") as client:
        caplog.clear()
        response = client.get("/notes/", headers={"Authorization": "Bearer key"})
        [line] = [
            record.getMessage()
            for record in caplog.records
            if record.name == "uvicorn.error"
        ]
    assert problem(response) == 503
    assert reason in line
    assert (
        server.sql("SELECT sessions FROM pg_stat_database WHERE datname = 'refused'")
        == "0\n"
    )


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


def test_every_origin_may_read_by_default(sqlite: str) -> None:
    """Without configuration every origin may read, null too."""
    with open_client(DATABASE_URL=sqlite) as client:
        origins = [ORIGIN, "http://localhost:5173", "null"]
        assert read_allowed_origins(client, origins) == dict.fromkeys(origins, "*")


@pytest.mark.parametrize("regex", ["", r"https://.*"])
def test_star_never_allows_credentials(sqlite: str, regex: str) -> None:
    """With `*` no answer and no preflight allows credentials, even to a client that sends some."""
    variables = {"CORS_ORIGINS": "*", "CORS_ORIGIN_REGEX": regex}
    headers = {
        "Origin": ORIGIN,
        "Cookie": "session=1",
        "Access-Control-Request-Method": "GET",
    }
    with open_client(DATABASE_URL=sqlite, **variables) as client:
        for method in ("GET", "OPTIONS"):
            answer_headers = client.request(method, "/livez", headers=headers).headers
            assert answer_headers["Access-Control-Allow-Origin"] == "*"
            assert "Access-Control-Allow-Credentials" not in answer_headers


def test_listed_origins_may_read(sqlite: str) -> None:
    """Each listed origin is allowed by its own name, and nothing that only resembles one."""
    own_origins = [ORIGIN, "http://localhost:5173"]
    other_origins = [
        "https://app.example.evil.example",
        "https://evil-app.example",
        "https://app.exampl",
        "https://app.example:8443",
        "http://app.example",
        "https://APP.example",
        "https://app.example, http://localhost:5173",
        "*",
        "null",
    ]
    with open_client(DATABASE_URL=sqlite, CORS_ORIGINS=" , ".join(own_origins)) as client:
        allowed_origins = {origin: origin for origin in own_origins} | dict.fromkeys(
            other_origins
        )
        assert (
            read_allowed_origins(client, own_origins + other_origins) == allowed_origins
        )
        headers = client.get("/livez", headers={"Origin": ORIGIN}).headers
        assert headers["Access-Control-Allow-Credentials"] == "true"
        assert "Origin" in TestClient(client.app).get("/livez").headers["Vary"]


def test_null_may_read_only_when_listed(sqlite: str) -> None:
    """A page of no origin (a file, a sandbox) is allowed by the word `null`."""
    with open_client(DATABASE_URL=sqlite, CORS_ORIGINS="null") as client:
        assert read_allowed_origins(client, ["null", ORIGIN]) == {
            "null": "null",
            ORIGIN: None,
        }


@pytest.mark.parametrize("listed_origin", ["", ORIGIN])
def test_regex_matches_whole_origins(sqlite: str, listed_origin: str) -> None:
    """A regex for preview deployments matches an origin from its first letter to its last."""
    regex = r"https://pr-\d+\.app\.example|https://staging\.example"
    own_origins = ["https://pr-7.app.example", "https://staging.example"]
    other_origins = [
        "https://pr-7.app.example.evil.example",
        "https://evil.example/https://pr-7.app.example",
        "https://pr-7xapp.example",
        "https://pr-.app.example",
        "https://staging.example.evil.example",
        "null",
    ]
    variables = {"CORS_ORIGINS": listed_origin, "CORS_ORIGIN_REGEX": regex}
    with open_client(DATABASE_URL=sqlite, **variables) as client:
        allowed_origins = {origin: origin for origin in own_origins} | dict.fromkeys(
            other_origins
        )
        allowed_origins[ORIGIN] = listed_origin or None
        assert (
            read_allowed_origins(client, [*own_origins, *other_origins, ORIGIN])
            == allowed_origins
        )


# Input

SQL = [
    "'; DROP TABLE notes; --",
    "' OR '1'='1",
    '" OR ""="',
    "1; DELETE FROM notes",
    "1) OR (1=1",
    "x' UNION SELECT 1, 'x', true --",
    "id; UPDATE notes SET text = ''",
    "$1",
    ":text",
    "?",
    "%s",
    "%(text)s",
    "{0}",
    "\\'; --",
    "/* */",
    "%",
    "_",
    "\\",
]


def test_sql_stays_data(client: TestClient) -> None:
    """SQL in a text is stored and found as it is, and in any parameter it changes nothing."""
    for sql in SQL:
        note = create_note(client, text=f"<{sql}>")
        assert client.put(f"/notes/{note['id']}/", json=note).json() == note
        assert (
            client.patch(f"/notes/{note['id']}/", json={"text": note["text"]}).json()
            == note
        )
        for name in ("q", "text"):
            response = client.get("/notes/", params={name: f"<{sql}>"})
            assert response.json() == [note]
    notes = read_notes(client)
    assert [note["text"] for note in notes] == [f"<{sql}>" for sql in SQL]
    names = ["skip", "take", "sort", "after", "count", "completed", "id"]
    names += ["unknown", "q", "text"]
    answers = {
        client.get("/notes/", params={n: sql}).status_code for n in names for sql in SQL
    }
    assert answers <= {200, 422}
    answers = {client.delete(f"/notes/{quote(sql, safe='')}/").status_code for sql in SQL}
    assert answers <= {404, 422}
    for sql in SQL:
        url = f"/notes/{notes[0]['id']}/"
        assert client.delete(url, headers={"If-Match": sql}).status_code == 412
        assert client.get(url, headers={"If-None-Match": sql}).status_code == 200
    assert read_notes(client) == notes


HEAD = b"GET /livez HTTP/1.1\r\nHost: notes.example\r\n"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 50,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"BREW / HTTP/1.1\r\n\r\n",
        b"CONNECT notes.example:80 HTTP/1.1\r\n\r\n",
        b"GET /notes/ HTTP/9.9\r\n\r\n",
        b"GET /notes/?q=\xff HTTP/1.1\r\n\r\n",
        b"GET /\x1b[31m HTTP/1.1\r\n\r\n",
        HEAD + b"X: \x1b[31m\r\n\r\n",
        HEAD + b"X: a\rY: b\r\n\r\n",
        HEAD + b"X: a\nY: b\r\n\r\n",
        HEAD + b"X\x00: a\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: ten\r\n\r\n",
        HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n",
        HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nten\r\n",
    ],
    ids=repr,
)
def test_bytes_that_are_not_http_are_refused(
    service: Service, request_bytes: bytes
) -> None:
    """What is not HTTP is a 400, and the next client is served."""
    assert parse_status(send_raw(service, request_bytes)) == 400
    assert parse_status(send_raw(service, HEAD + b"\r\n")) == 200


# Limits


@pytest.mark.parametrize("is_chunked", [False, True], ids=["with a length", "chunked"])
def test_hundred_megabytes_leave_the_memory_as_it_was(
    service: Service, is_chunked: bool
) -> None:
    """A body over the limit is 413 and dropped as it comes; its connection serves on."""
    process = psutil.Process(service.process.pid)
    start_memory = process.memory_info().rss
    piece = b" " * 65_536
    framing = (
        b"Transfer-Encoding: chunked"
        if is_chunked
        else b"Content-Length: %d" % (100 * MEGABYTE)
    )
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(b"POST /notes/ HTTP/1.1\r\nHost: notes\r\n%s\r\n" % framing)
        connection.sendall(JSON + b"\r\n")
        growth = 0
        for _ in range(100 * MEGABYTE // len(piece)):
            connection.sendall(
                b"%x\r\n%s\r\n" % (len(piece), piece) if is_chunked else piece
            )
            growth = max(growth, process.memory_info().rss - start_memory)
        if is_chunked:
            connection.sendall(b"0\r\n\r\n")
        assert parse_status(read_answer(connection)) == 413
        connection.sendall(HEAD + b"\r\n")
        assert parse_status(read_answer(connection)) == 200
    assert growth < 16 * MEGABYTE


@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
def test_length_over_the_limit_is_refused_unread(service: Service, expect: bytes) -> None:
    """A declared length over the limit is 413 before a byte of the body is sent."""
    head = b"POST /notes/ HTTP/1.1\r\nHost: notes\r\nContent-Length: 1048577\r\n"
    assert parse_status(send_raw(service, head + expect + JSON + b"\r\n")) == 413


@pytest.mark.parametrize(("length", "status"), [(65_000, 200), (66_000, 400)])
def test_url_has_a_bound(service: Service, length: int, status: int) -> None:
    """A URL of 65,000 bytes is read, and one of 66,000 is a 400."""
    request = b"GET /livez?%s HTTP/1.1\r\nHost: notes\r\n\r\n" % (b"a" * length)
    assert parse_status(send_raw(service, request)) == status


def test_headers_have_no_bound_of_their_own(service: Service) -> None:
    """A megabyte of headers is read: to refuse it is the router's part, as SECURITY.md says."""
    assert (
        parse_status(
            send_raw(service, HEAD, b"X: %s\r\n" % (b"a" * 1_000) * 1_000, b"\r\n")
        )
        == 200
    )


def test_slow_clients_hold_no_connection_to_the_database(
    service: Service, http: httpx2.Client
) -> None:
    """While clients are silent, or send their headers or bodies slowly, others are served."""
    head = b"POST /notes/ HTTP/1.1\r\nHost: notes\r\nContent-Length: 100\r\n"
    with ExitStack() as stack:
        for start in (b"", b"GET /no", head, head + JSON + b'\r\n{"text": ') * 25:
            connection = socket.create_connection(("127.0.0.1", service.port), timeout=10)
            stack.enter_context(connection).sendall(start)
        for _ in range(20):
            assert http.get(f"{service.url}/notes/").status_code == 200


def test_no_other_address_than_host_is_served(service: Service) -> None:
    """The service listens at 127.0.0.1, which HOST is unless it is set, and nowhere else."""
    with pytest.raises(OSError, match=r"refused|timed out"):
        socket.create_connection(("127.0.0.2", service.port), timeout=1)


# Leaks


def test_server_header_says_no_version(service: Service, http: httpx2.Client) -> None:
    """No header tells which version of anything answers."""
    headers = http.get(f"{service.url}/notes/").headers
    assert headers["Server"] == "uvicorn"
    assert "X-Powered-By" not in headers


@pytest.mark.parametrize(
    ("target", "header"),
    [
        ("/%0d%0aINFO:forged", ""),
        ("/%1b[31mforged%1b[0m", ""),
        ("/?%0d%0aforged", ""),
        ("/%E2%80%A8forged%C2%85", ""),
        ("/", "X-Forwarded-For: 10.0.0.1%0d%0aforged"),
        ("/", "User-Agent: %0aforged"),
        ("/\x1b[31mforged", ""),
        ("/", "X-Forwarded-For: \x1b[31mforged"),
        ("/", "X-Forwarded-For: 10.0.0.1\rforged"),
        ("/", "X-Forwarded-For: 10.0.0.1\x85forged\x9b31m"),
    ],
)
def test_log_lines_are_not_forged(service: Service, target: str, header: str) -> None:
    """A request is one line of the log, of printable ASCII alone."""
    log_size = len(service.log.read_bytes())
    lines = [f"GET {target} HTTP/1.1", "Host: notes", *filter(None, [header]), "", ""]
    send_raw(service, "\r\n".join(lines).encode("latin-1"))
    log_line = wait_until(lambda: service.log.read_bytes()[log_size:])
    assert re.fullmatch(rb"[ -~]+\n", log_line)


SECRET = "S3CRET"
PLACES = "127.0.0.1:1/notes"


@pytest.mark.parametrize(
    "variables",
    [
        {"DATABASE_URL": f"postgresql://notes:{SECRET}@{PLACES}"},
        {"DATABASE_URL": f"postgresql://notes:%25%40%2F%23{SECRET}@{PLACES}"},
        {"DATABASE_URL": f"postgresql://notes:%{SECRET}@{PLACES}"},
        {"DATABASE_URL": f"postgresql://notes:a@{SECRET}@{PLACES}"},
        {"DATABASE_URL": f"postgresql://notes:a/{SECRET}@{PLACES}"},
        {"DATABASE_URL": f"postgresql://notes:1/{SECRET}@127.0.0.1"},
        {"DATABASE_URL": f"postgresql://notes:a#{SECRET}@{PLACES}"},
        {"DATABASE_URL": f"postgresql://notes:a?{SECRET}@{PLACES}"},
        {"DATABASE_URL": f"postgresql://{PLACES}?user=notes&password={SECRET}"},
        {"DATABASE_URL": f"postgresql://{PLACES}?user=notes&password=%40{SECRET}/@"},
        {"DATABASE_URL": f"postgresql://{PLACES}?user=notes&password=#{SECRET}"},
        {
            "DATABASE_URL": f"postgresql://notes:{SECRET}@{PLACES}?pgbouncer=true&sslmode=require"
        },
        {"DATABASE_URL": f"postgresql://notes:{SECRET}@{PLACES}?sslmode=perhaps"},
        {"DATABASE_URL": f"postgresql://notes:{SECRET}@127.0.0.1:http/notes"},
        {"DATABASE_URL": f"postgresql://notes:{SECRET}@127.0.0.1:99999/notes"},
        {"DATABASE_URL": f"postgresql//notes:{SECRET}@{PLACES}"},
        {"DATABASE_URL": f"mysql://notes:{SECRET}@{PLACES}"},
        {"DATABASE_URL": f"postgresql://notes:{SECRET}@no such host/notes"},
        {
            "host_server": "127.0.0.1",
            "db_server_port": "1",
            "db_password": f"@/#:%?{SECRET}",
        },
        {"host_server": "127.0.0.1:1", "db_password": SECRET},
        {"DATABASE_URL": f"postgresql://notes@{PLACES}", "API_KEYS": SECRET},
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
    records = [
        record for record in caplog.records if record.name != "httpx2"
    ]  # the client's own
    log_lines = [logging.Formatter().format(record) for record in records]
    assert any(
        "IntegrityError" in line or "UniqueViolation" in line for line in log_lines
    )
    assert SECRET not in "".join([*log_lines, *capfd.readouterr()])
