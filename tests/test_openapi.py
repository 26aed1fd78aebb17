"""The OpenAPI document is complete, clean to linters, and true of the running service."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from httplint import HttpResponseLinter, levels

import main
from tests.clients import FOLDER, install, program, run, serve, write_document
from tests.fixtures import GROCERIES
from tests.servers import ROOT, Service

KEY = "the-key-of-these-tests"
LARGEST_ID = 2**63 - 1
EXAMPLES = 10  # of Schemathesis for an operation, beside those of its coverage phase

OPERATIONS = {
    "livez": ("get", "/livez"),
    "readyz": ("get", "/readyz"),
    "create_note": ("post", "/notes/"),
    "read_notes": ("get", "/notes/"),
    "read_note": ("get", "/notes/{note_id}/"),
    "update_note": ("put", "/notes/{note_id}/"),
    "patch_note": ("patch", "/notes/{note_id}/"),
    "delete_note": ("delete", "/notes/{note_id}/"),
}
STATUSES = {
    "livez": "200 500",
    "readyz": "200 500 503 504",
    "create_note": "201 400 401 409 413 415 422 500 503 504",
    "read_notes": "200 304 401 422 500 503 504",
    "read_note": "200 304 401 404 422 500 503 504",
    "update_note": "200 400 401 404 409 412 413 415 422 500 503 504",
    "patch_note": "200 400 401 404 409 412 413 415 422 500 503 504",
    "delete_note": "200 401 404 409 412 422 500 503 504",
}
TAGGED = {"Cache-Control", "ETag"}
HEADERS_OF_SUCCESS = {
    "livez": set(),
    "readyz": set(),
    "create_note": {*TAGGED, "Location"},
    "read_notes": {*TAGGED, "Link", "X-Total-Count"},
    "read_note": TAGGED,
    "update_note": TAGGED,
    "patch_note": TAGGED,
    "delete_note": TAGGED,
}
HEADERS_OF_FAILURE = {"401": {"WWW-Authenticate"}, "503": {"Retry-After"}}
PARAMETERS_OF_LISTS = {
    "skip": {"type": "integer", "minimum": 0, "maximum": LARGEST_ID, "default": 0},
    "take": {"type": "integer", "minimum": 0, "maximum": 1000, "default": 20},
    "after": {"type": "integer", "minimum": 1, "maximum": LARGEST_ID},
    "count": {"type": "boolean", "default": False},
    "completed": {"type": "boolean"},
    "q": {"type": "string", "maxLength": 1000},
    "text": {"type": "string", "maxLength": 1000},
    "id": {"type": "array", "maxItems": 100},
    "sort": {"enum": main.SORTS},
}
JSON = {"Content-Type": "application/json"}
ANOTHER = {"If-Match": '"the tag of another version"'}
REQUESTS: dict[tuple[str, str], dict[str, Any]] = {
    ("create_note", "201"): {"json": GROCERIES},
    ("create_note", "400"): {"content": "{", "headers": JSON},
    ("create_note", "401"): {
        "json": GROCERIES,
        "headers": {"Authorization": "Bearer wrong"},
    },
    ("create_note", "413"): {"content": " " * 2**20 + "{}", "headers": JSON},
    ("create_note", "415"): {"content": "{}", "headers": {"Content-Type": "text/plain"}},
    ("create_note", "422"): {"json": {"text": 7}},
    ("read_notes", "200"): {"params": {"take": 1, "count": "true"}},
    ("read_notes", "422"): {"params": {"take": 1001}},
    ("read_note", "200"): {},
    ("read_note", "304"): {"headers": {"If-None-Match": "*"}},
    ("read_note", "404"): {},
    ("update_note", "200"): {"json": GROCERIES},
    ("update_note", "412"): {"json": GROCERIES, "headers": ANOTHER},
    ("patch_note", "200"): {"json": {"completed": True}},
    ("patch_note", "412"): {"json": {}, "headers": ANOTHER},
    ("delete_note", "200"): {},
    ("delete_note", "404"): {},
    ("delete_note", "412"): {"headers": ANOTHER},
}


@pytest.fixture(scope="module")
def file_with_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document of a service with keys, as a file."""
    return write_document(tmp_path_factory.mktemp("guarded"), KEY)


@pytest.fixture(scope="module")
def open_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document of a service without keys, as a file."""
    return write_document(tmp_path_factory.mktemp("open"))


@pytest.fixture(scope="module")
def document_with_keys(file_with_keys: Path) -> Any:
    """The document of a service with keys."""
    return json.loads(file_with_keys.read_text())


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The service with a key, on each of the two databases."""
    with serve(request, tmp_path_factory, KEY) as service:
        yield service


@pytest.fixture
def client(service: Service) -> Iterator[httpx2.Client]:
    """A client of the service that sends the key."""
    authorization = {"Authorization": f"Bearer {KEY}"}
    with httpx2.Client(base_url=service.url, headers=authorization) as client:
        yield client


def find_operation(document: Any, name: str) -> Any:
    """Return what a document says of an operation."""
    method, path = OPERATIONS[name]
    return document["paths"][path][method]


def test_operation_ids_are_the_function_names(document_with_keys: Any) -> None:
    """The document has every operation under its function's name, and no other."""
    operations_by_id = {
        operation["operationId"]: (method, path)
        for path, operations in document_with_keys["paths"].items()
        for method, operation in operations.items()
    }
    assert operations_by_id == OPERATIONS


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_status_and_header_is_documented(
    name: str, document_with_keys: Any
) -> None:
    """An operation documents each status that it can answer, and the headers of each."""
    responses = find_operation(document_with_keys, name)["responses"]
    assert sorted(responses) == STATUSES[name].split()
    for status, response in responses.items():
        failure_headers = HEADERS_OF_FAILURE.get(status, set())
        expected_headers = (
            failure_headers if status >= "400" else HEADERS_OF_SUCCESS[name]
        )
        assert set(response.get("headers", {})) == expected_headers, status


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_error_is_documented_as_a_problem(
    name: str, document_with_keys: Any
) -> None:
    """An answer of 400 and more has the schema of a problem, and a 304 has no content."""
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    for status, response in find_operation(document_with_keys, name)["responses"].items():
        if status >= "400":
            (media_type, content), *other_contents = response["content"].items()
            example, content = content["example"], {"schema": content["schema"]}
            assert (media_type, content, other_contents) == (
                "application/problem+json",
                problem,
                [],
            )
            assert (example["status"], example["title"]) == (
                int(status),
                response["description"],
            )
        else:
            assert ("content" in response) == (status != "304")


def test_a_problem_may_have_errors_and_has_all_other_members(
    document_with_keys: Any,
) -> None:
    """The schema of a problem requires every member but `errors`."""
    schema = document_with_keys["components"]["schemas"]["Problem"]
    members = ["detail", "message", "status", "title", "type"]
    assert sorted(schema["required"]) == members
    assert sorted(schema["properties"]) == sorted([*members, "errors"])


def test_only_a_service_with_keys_documents_them(
    document_with_keys: Any, open_file: Path
) -> None:
    """Every operation but the probes asks for a key, if there are keys, and else none does."""
    open_document = json.loads(open_file.read_text())
    assert document_with_keys["components"]["securitySchemes"]["key"] == {
        "type": "http",
        "scheme": "bearer",
    }
    assert "securitySchemes" not in open_document["components"]
    for name in OPERATIONS:
        security: list[dict[str, list[str]]] = (
            [] if name in ("livez", "readyz") else [{"key": []}]
        )
        assert find_operation(document_with_keys, name)["security"] == security
        assert find_operation(open_document, name)["security"] == []
        assert "401" not in find_operation(open_document, name)["responses"]


@pytest.mark.parametrize(
    ("name", "required_members", "media_types"),
    [
        ("create_note", ["text"], ["application/json"]),
        ("update_note", ["text"], ["application/json"]),
        ("patch_note", [], ["application/json", "application/merge-patch+json"]),
    ],
)
def test_bodies_require_what_the_service_requires(
    name: str,
    required_members: list[str],
    media_types: list[str],
    document_with_keys: Any,
) -> None:
    """A body's schema requires what must be sent, and no more: it has no defaults."""
    content = find_operation(document_with_keys, name)["requestBody"]["content"]
    assert sorted(content) == media_types
    for media in content.values():
        schema = document_with_keys["components"]["schemas"][
            media["schema"]["$ref"].rpartition("/")[2]
        ]
        assert schema.get("required", []) == required_members
        assert schema["properties"]["text"]["maxLength"] == 65_536
        assert not [p for p in schema["properties"].values() if "default" in p]


def find_parameters(document: Any, name: str, place: str) -> dict[str, Any]:
    """Return the schemas of an operation's parameters in its path, query or header."""
    parameters = find_operation(document, name).get("parameters", [])
    return {
        parameter["name"]: parameter["schema"]
        for parameter in parameters
        if parameter["in"] == place
    }


@pytest.mark.parametrize("parameter", PARAMETERS_OF_LISTS)
def test_parameters_of_lists_have_their_bounds(
    parameter: str, document_with_keys: Any
) -> None:
    """A list's parameter is documented with its type, bounds and default."""
    schemas = find_parameters(document_with_keys, "read_notes", "query")
    assert schemas.keys() == main.NoteQuery.model_fields.keys()
    assert schemas[parameter] | PARAMETERS_OF_LISTS[parameter] == schemas[parameter]


@pytest.mark.parametrize(
    "name", [name for name in OPERATIONS if "note_id" in OPERATIONS[name][1]]
)
def test_ids_in_paths_have_their_bounds(name: str, document_with_keys: Any) -> None:
    """An operation on a note takes an id from 1 to 2^63 - 1."""
    bounds = {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}
    schemas = find_parameters(document_with_keys, name, "path")
    assert schemas.keys() == {"note_id"}
    assert schemas["note_id"] | bounds == schemas["note_id"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_conditional_requests_are_documented(name: str, document_with_keys: Any) -> None:
    """Reading takes If-None-Match, and changing takes If-Match."""
    is_read, is_change = name.startswith("read_"), "412" in STATUSES[name]
    expected_headers = ["If-None-Match"] * is_read + ["If-Match"] * is_change
    assert list(find_parameters(document_with_keys, name, "header")) == expected_headers


def test_redocly_finds_nothing(file_with_keys: Path, open_file: Path) -> None:
    """The document passes Redocly's recommended rules, with the exceptions of redocly.yaml."""
    install()
    rules = FOLDER / "redocly.yaml"
    arguments = ("lint", "--format=stylish", "--config", rules, file_with_keys, open_file)
    problems = run(FOLDER, program("redocly"), *arguments, REDOCLY_TELEMETRY="off")
    assert problems == ""


def send_request(client: httpx2.Client, name: str, status: str) -> httpx2.Response:
    """Return an operation's real answer of a status, where there are at least two notes."""
    ids = [client.post("/notes/", json=GROCERIES).json()["id"] for _ in range(2)]
    method, path = OPERATIONS[name]
    url = path.format(note_id=LARGEST_ID if status == "404" else ids[0])
    response = client.request(method, url, **REQUESTS[name, status])
    assert response.status_code == int(status)
    return response


@pytest.mark.parametrize(("name", "status"), REQUESTS)
def test_answers_are_as_documented(
    name: str, status: str, client: httpx2.Client, document_with_keys: Any
) -> None:
    """A real answer has the documented headers, and a body of the documented media type."""
    response = send_request(client, name, status)
    documentation = find_operation(document_with_keys, name)["responses"][status]
    assert not [
        header
        for header in documentation.get("headers", [])
        if header not in response.headers
    ]
    media_types = [response.headers["Content-Type"]] if response.content else []
    assert list(documentation.get("content", [])) == media_types


@pytest.mark.parametrize(("name", "status"), [key for key in REQUESTS if key[1] != "400"])
def test_httplint_has_no_warning(name: str, status: str, client: httpx2.Client) -> None:
    """An answer gives httplint nothing to warn of; of a 400 it always does."""
    response = send_request(client, name, status)
    linter = HttpResponseLinter()
    linter.process_response_topline(
        b"HTTP/1.1", status.encode(), response.reason_phrase.encode()
    )
    linter.process_headers(response.headers.raw)
    linter.feed_content(response.content)
    linter.finish_content(complete=True)
    assert not [
        note.summary for note in linter.notes if note.level in (levels.WARN, levels.BAD)
    ]


def test_schemathesis_finds_nothing(service: Service, tmp_path: Path) -> None:
    """All checks of Schemathesis pass in all its phases, on valid and on invalid requests."""
    schemathesis = Path(sys.executable).with_name("schemathesis")
    config = ("--config-file", FOLDER / "schemathesis.toml")
    cases = ("--checks=all", "--mode=all", f"--max-examples={EXAMPLES}", "--seed=1")
    key = ("--header", f"Authorization: Bearer {KEY}")
    url = f"{service.url}/openapi.json"
    run(tmp_path, schemathesis, *config, "run", *cases, *key, url, PYTHONPATH=str(ROOT))
