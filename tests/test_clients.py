"""Front ends' ready-made clients, as npm has them, against the service on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import FOLDER, PACKAGES, install, program, run, serve, write_document
from tests.servers import Service

STRICT = [
    "--strict",
    "--skipLibCheck",
    "--module",
    "nodenext",
    "--target",
    "es2022",
    "--types",
    "node",
]


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    """The installed npm packages."""
    install()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The service, on each of the two databases."""
    with serve(request, tmp_path_factory) as service:
        yield service


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def json_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The service with json-server's queries, on each of the two databases."""
    with serve(request, tmp_path_factory, app="examples.json_server:app") as service:
        yield service


@pytest.fixture(scope="module")
def typed_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program typed.mts, compiled with the types that the OpenAPI document gives."""
    folder = tmp_path_factory.mktemp("typed")
    (folder / "node_modules").symlink_to(PACKAGES)
    (folder / "typed.mts").write_bytes((FOLDER / "typed.mts").read_bytes())
    run(
        folder,
        program("openapi-typescript"),
        write_document(folder),
        "--output",
        "schema.mts",
    )
    run(folder, program("tsc"), *STRICT, "typed.mts")
    return folder / "typed.mjs"


def run_node_test(file: Path, service: Service) -> None:
    """Run a file of Node's tests against the service."""
    run(FOLDER, "node", "--test-reporter=spec", file, NOTES_URL=service.url)


@pytest.mark.parametrize("client", ["react_admin", "refine"])
def test_clients_of_json_server_work_unmodified(
    client: str, json_server: Service
) -> None:
    """A client published for json-server does all of its calls, and shows what a 422 says."""
    run_node_test(FOLDER / f"{client}.mjs", json_server)


def test_angulars_client_works(service: Service) -> None:
    """Angular's client does its calls, and shows the messages of a 404 and a 422."""
    run_node_test(FOLDER / "angular.mjs", service)


def test_generated_types_compile_and_work(typed_program: Path, service: Service) -> None:
    """A strict program on generated types compiles, and does what its types say."""
    run_node_test(typed_program, service)
