"""The OpenAPI document is true of the service, and ready-made clients work with it."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest

from tests.clients import FOLDER, PACKAGES, install, program, run
from tests.fixtures import load_main
from tests.servers import ROOT, Service

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


@pytest.fixture(scope="module")
def document() -> Any:
    """The document of a service without keys."""
    return load_main().app.openapi()


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
        assert list(responses) == ["201" if method == "post" else "200", "4XX", "5XX"]
        for code in ("4XX", "5XX"):
            content = responses[code]["content"]
            assert content == {"application/problem+json": schema}
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
    note = ["id", "text", "completed"]
    required = {"NoteIn": ["text"], "NotePatch": []}
    required |= {"Note": note, "DeletedNote": [*note, "message"]}
    schemas = document["components"]["schemas"]
    assert schemas.keys() == {*required, "Problem"}
    for name, members in required.items():
        assert schemas[name].get("required", []) == members
        text = schemas[name]["properties"]["text"]
        assert text["examples"] == ["fix tap in kitchen sink"]


def test_only_a_service_with_keys_documents_them(document: Any) -> None:
    """Where keys are set, the document says that they are sent as Bearer tokens."""
    document_with_keys = load_main(API_KEYS="one,two").app.openapi()
    schemes = document_with_keys["components"]["securitySchemes"]
    assert schemes == {"key": {"type": "http", "scheme": "bearer"}}
    assert document_with_keys["security"] == [{"key": []}]
    assert "security" not in str(document)


# Clients


@pytest.fixture(scope="module")
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The service, or an app that a test names."""
    app = getattr(request, "param", "main:app")
    with Service.uvicorn(tmp_path_factory.mktemp("clients"), app) as service:
        yield service


def test_schemathesis_finds_nothing(service: Service, tmp_path: Path) -> None:
    """All checks of Schemathesis pass in all its phases, on valid and on invalid requests."""
    schemathesis = Path(sys.executable).with_name("schemathesis")
    config = ("--config-file", FOLDER / "schemathesis.toml")
    cases = ("--checks=all", "--mode=all", "--max-examples=6", "--seed=1")
    options = (*config, "run", *cases, f"{service.url}/openapi.json")
    run(tmp_path, schemathesis, *options, PYTHONPATH=str(ROOT))


@pytest.mark.parametrize(
    ("service", "client"),
    [
        ("main:app", "angular"),
        ("examples.json_server:app", "react_admin"),
        ("examples.json_server:app", "refine"),
    ],
    indirect=["service"],
)
def test_published_clients_work_unmodified(service: Service, client: str) -> None:
    """A client as npm has it does all of its calls, and shows what a 404 and a 422 say."""
    install()
    run(FOLDER, "node", FOLDER / f"{client}.mjs", NOTES_URL=service.url)


def test_generated_types_compile_and_work(
    tmp_path: Path, service: Service, document: Any
) -> None:
    """A strict program on the types of the OpenAPI document compiles, and does what they say."""
    install()
    (tmp_path / "node_modules").symlink_to(PACKAGES)
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    copyfile(FOLDER / "typed.mts", tmp_path / "typed.mts")
    # Without the option a member with a default would have to be sent.
    options = ("--default-non-nullable", "false", "--output", "schema.mts")
    run(tmp_path, program("openapi-typescript"), "openapi.json", *options)
    options = ("--strict", "--skipLibCheck", "--types", "node")
    target = ("--module", "nodenext", "--target", "es2022")
    run(tmp_path, program("tsc"), *options, *target, "typed.mts")
    run(tmp_path, "node", "typed.mjs", NOTES_URL=service.url)
