"""The OpenAPI document says what generators of clients need, and is true of the service."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients import FOLDER, run
from tests.fixtures import load_app
from tests.servers import ROOT, Service

EXAMPLES = 10  # of Schemathesis for an operation, beside those of its coverage phase

OPERATIONS = {
    "create_note": ("post", "/notes/"),
    "read_notes": ("get", "/notes/"),
    "read_note": ("get", "/notes/{note_id}/"),
    "update_note": ("put", "/notes/{note_id}/"),
    "patch_note": ("patch", "/notes/{note_id}/"),
    "delete_note": ("delete", "/notes/{note_id}/"),
    "livez": ("get", "/livez"),
    "readyz": ("get", "/readyz"),
}
PARAMETERS: dict[str, dict[str, Any]] = {
    "skip": {"type": "integer", "minimum": 0, "default": 0},
    "take": {"type": "integer", "minimum": 0, "maximum": 1000, "default": 20},
    "sort": {"default": "id"},
    "after": {"type": "integer", "format": "int64", "minimum": 1},
    "count": {"type": "boolean", "default": False},
    "completed": {"type": "boolean"},
    "q": {"type": "string", "maxLength": 1000},
}


def load_document(keys: str = "") -> Any:
    """Return the document of a service that has these keys."""
    return json.loads(json.dumps(load_app(API_KEYS=keys).openapi()))


@pytest.fixture(scope="module")
def document() -> Any:
    """The document of a service without keys."""
    return load_document()


def find_objects(value: Any) -> Iterator[dict[str, Any]]:
    """Return a value's objects, itself among them."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from find_objects(item)


def test_operation_ids_are_the_function_names(document: Any) -> None:
    """The document has every operation under its function's name, and no other."""
    operations_by_id = {
        operation["operationId"]: (method, path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert operations_by_id == OPERATIONS


def test_every_error_is_documented_as_a_problem(document: Any) -> None:
    """Every operation documents its success, and its errors once, as 4XX and 5XX."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    for method, path in OPERATIONS.values():
        responses = document["paths"][path][method]["responses"]
        errors = {code: responses.pop(code)["content"] for code in ("4XX", "5XX")}
        assert errors == {key: {"application/problem+json": schema} for key in errors}
        assert list(responses) == ["201" if method == "post" else "200"]
    problem = document["components"]["schemas"]["Problem"]
    members = {"type", "title", "status", "detail", "message", "errors"}
    assert problem["properties"].keys() == members


def test_every_id_has_64_bits(document: Any) -> None:
    """Ids are int64, and no bound is a float that a generator of clients cannot read."""
    schemas = document["components"]["schemas"]
    ids = [schemas[name]["properties"]["id"] for name in ("Note", "DeletedNote")]
    objects = list(find_objects(document))
    ids += [each["schema"] for each in objects if each.get("name") == "note_id"]
    assert len(ids) == 2 + 4
    assert {(each["type"], each["format"]) for each in ids} == {("integer", "int64")}
    names = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    for bound in [each[name] for each in objects for name in names if name in each]:
        assert isinstance(bound, int) or (bound.is_integer() and abs(bound) <= 2**53)


def test_parameters_of_lists_are_documented(document: Any) -> None:
    """A list's parameters have their types, bounds and defaults, and all have a description."""
    parameters = document["paths"]["/notes/"]["get"]["parameters"]
    assert all(parameter["description"] for parameter in parameters)
    found = {each["name"]: each["schema"] for each in parameters if each["in"] == "query"}
    assert list(found) == list(PARAMETERS)
    for name, expected in PARAMETERS.items():
        # What may be left out is this or null.
        schema = found[name] | found[name].get("anyOf", [{}])[0]
        assert schema | expected == schema, name


def test_bodies_and_answers_are_as_a_person_would_write_them(document: Any) -> None:
    """What must be sent is required, what is answered is whole, and a text has an example."""
    schemas = document["components"]["schemas"]
    required = {name: schemas[name].get("required", []) for name in schemas}
    note = ["id", "text", "completed"]
    del required["Problem"]
    assert required == {
        "NoteIn": ["text"],
        "NotePatch": [],
        "Note": note,
        "DeletedNote": [*note, "message"],
    }
    for name in required:
        text = schemas[name]["properties"]["text"]
        assert text["examples"] == ["fix tap in kitchen sink"]


def test_only_a_service_with_keys_documents_them(document: Any) -> None:
    """Where keys are set, the document says that they are sent as Bearer tokens."""
    document_with_keys = load_document("one,two")
    schemes = document_with_keys["components"]["securitySchemes"]
    assert schemes == {"key": {"type": "http", "scheme": "bearer"}}
    assert document_with_keys["security"] == [{"key": []}]
    assert "security" not in str(document)


def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    """All checks of Schemathesis pass in all its phases, on valid and on invalid requests."""
    url = f"sqlite:///{tmp_path}/notes.db"
    schemathesis = Path(sys.executable).with_name("schemathesis")
    config = ("--config-file", FOLDER / "schemathesis.toml")
    cases = ("--checks=all", "--mode=all", f"--max-examples={EXAMPLES}", "--seed=1")
    with Service.gunicorn(tmp_path, DATABASE_URL=url, WEB_CONCURRENCY="1") as service:
        place = f"{service.url}/openapi.json"
        options = (*config, "run", *cases, place)
        run(tmp_path, schemathesis, *options, PYTHONPATH=str(ROOT))
