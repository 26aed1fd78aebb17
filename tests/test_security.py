"""Nobody gets in without a key, nothing leaks, and no request takes the service down."""

import logging
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi.testclient import TestClient

from tests.fixtures import added, deployed, everything, problem
from tests.servers import NO_SKIPS, Postgres, Service, free_port, own_postgres, until

KEYS = ("old-key", "new-key", "schlüssel")
ORIGIN = "https://app.example"
JSON = b"Content-Type: application/json\r\n"
MEGABYTE = 2**20


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service with keys, whose database is away: what reaches the database is a 503."""
    address = f"postgresql://notes:secret@127.0.0.1:{free_port()}/notes"
    folder = tmp_path_factory.mktemp("guarded")
    with Service.python(
        folder, DATABASE_URL=address, API_KEYS=" , ".join(KEYS), POOL_TIMEOUT="0.1"
    ) as service:
        yield service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service on SQLite, open to all."""
    folder = tmp_path_factory.mktemp("open")
    with Service.python(folder, DATABASE_URL=f"sqlite:///{folder}/notes.db") as service:
        yield service


def answer(connection: socket.socket) -> bytes:
    """Return the next answer of a connection, which is empty if the server has closed it."""
    received = b""
    while piece := connection.recv(65_536):
        received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if length and len(body) >= int(length[1]):
            break
    return received


def raw(service: Service, *pieces: bytes) -> bytes:
    """Return the answer to the bytes of a request."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return answer(connection)


def status(received: bytes) -> int:
    """Return the status of an answer."""
    return int(received.split(b" ", 2)[1])


# Keys


@pytest.mark.parametrize(
    "credentials",
    [
        None,
        b"",
        b"Bearer",
        b"Bearer ",
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
def test_request_without_a_key_is_unauthorized(guarded: Service, credentials: bytes | None) -> None:
    """Credentials that are missing, wrong, empty, not ASCII or not a bearer's are 401."""
    headers: list[tuple[bytes, bytes]] = [(b"Origin", ORIGIN.encode())]
    if credentials is not None:
        headers.append((b"Authorization", credentials))
    response = httpx2.get(f"{guarded.url}/notes/", headers=headers)
    assert problem(response) == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
@pytest.mark.parametrize("key", KEYS)
def test_each_key_opens_the_notes(guarded: Service, scheme: str, key: str) -> None:
    """Any of the keys reaches the database, which is away here."""
    headers = {b"Authorization": f"{scheme} {key}".encode()}
    assert httpx2.get(f"{guarded.url}/notes/", headers=headers).status_code == 503


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"]
)
def test_every_method_needs_a_key(guarded: Service, method: str) -> None:
    """No method gets past the keys."""
    assert httpx2.request(method, f"{guarded.url}/notes/1/").status_code == 401


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
def test_no_spelling_of_a_path_gets_past_the_keys(guarded: Service, path: str) -> None:
    """A path that is not one of the open ones is 401, whatever is there."""
    request = f"GET {path} HTTP/1.1\r\nHost: notes.example\r\n\r\n"
    assert status(raw(guarded, request.encode())) == 401


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/", 307), ("/docs", 200), ("/openapi.json", 200), ("/livez", 200), ("/readyz", 503)],
)
def test_docs_and_probes_stay_open(guarded: Service, path: str, expected: int) -> None:
    """The docs, the OpenAPI document and the probes need no key."""
    assert httpx2.get(guarded.url + path).status_code == expected


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_preflight_stays_open(guarded: Service, method: str) -> None:
    """A browser's preflight carries no key and may ask to send one."""
    headers = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    response = httpx2.options(f"{guarded.url}/notes/1/", headers=headers)
    assert response.status_code == 200
    assert "authorization" in response.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize("framing", ["Content-Length: 100000000", "Transfer-Encoding: chunked"])
def test_key_is_decided_before_the_body(guarded: Service, framing: str) -> None:
    """The 401 comes before a byte of the body is sent, and nothing invites to send it."""
    head = f"POST /notes/ HTTP/1.1\r\nHost: notes\r\nExpect: 100-continue\r\n{framing}\r\n"
    assert status(raw(guarded, head.encode() + JSON + b"\r\n")) == 401


def test_openapi_document_tells_where_a_key_is_needed(guarded: Service) -> None:
    """The docs page has its Authorize button, and asks for a key where one is needed."""
    document = httpx2.get(f"{guarded.url}/openapi.json").json()
    [(name, scheme)] = document["components"]["securitySchemes"].items()
    assert scheme == {"type": "http", "scheme": "bearer"}
    needed = {
        path: {method: operation.get("security") or None for method, operation in methods.items()}
        for path, methods in document["paths"].items()
    }
    key = [{name: []}]
    assert needed == {
        "/livez": {"get": None},
        "/readyz": {"get": None},
        "/notes/": {"get": key, "post": key},
        "/notes/{note_id}/": dict.fromkeys(("get", "put", "patch", "delete"), key),
    }


@pytest.mark.parametrize(
    ("database", "keys", "warnings"),
    [("postgres", "", 1), ("postgres", "a-key", 0), ("sqlite", "", 0)],
)
def test_open_service_on_postgres_warns(
    database: str,
    keys: str,
    warnings: int,
    postgres: Postgres,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A start on Postgres without keys says once that the service is open to all."""
    url = postgres.url() if database == "postgres" else f"sqlite:///{tmp_path}/notes.db"
    with deployed(DATABASE_URL=url, API_KEYS=keys):
        assert caplog.text.count("API_KEYS") == warnings


# TLS to Postgres


class Authority:
    """A certificate authority that lives as long as the test."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "The tests")])
        self.certificate = self.sign(self.name, self.key.public_key())

    def sign(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, address: str | None = None
    ) -> bytes:
        """Return a certificate: of the server at an address, or else of the authority."""
        issuer = self.key.public_key()
        uses = dict.fromkeys(
            (
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        builder = (
            x509.CertificateBuilder(self.name, subject, key, x509.random_serial_number())
            .not_valid_before(datetime.now(UTC) - timedelta(hours=1))
            .not_valid_after(datetime.now(UTC) + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(address is None, None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False
            )
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True, key_cert_sign=not address, crl_sign=not address, **uses
                ),
                critical=True,
            )
        )
        if address:
            names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
            builder = builder.add_extension(names, critical=False)
        signed = builder.sign(self.key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)
