"""Front ends' ready-made clients, as npm has them, against the service."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import FOLDER, PACKAGES, install, program, run, serve, write_document
from tests.servers import Service


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    """The installed npm packages."""
    install()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service."""
    with serve(tmp_path_factory.mktemp("clients")) as service:
        yield service


@pytest.fixture(scope="module")
def json_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service with json-server's queries."""
    folder = tmp_path_factory.mktemp("json_server")
    with serve(folder, "examples.json_server:app") as service:
        yield service


@pytest.mark.parametrize("client", ["react_admin", "refine"])
def test_clients_of_json_server_work_unmodified(
    client: str, json_server: Service
) -> None:
    """A client published for json-server does all of its calls, and shows what a 422 says."""
    run_node_test(FOLDER / f"{client}.mjs", json_server)


def test_angulars_client_works(service: Service) -> None:
    """Angular's client does its calls, and shows the messages of a 404 and a 422."""
    run_node_test(FOLDER / "angular.mjs", service)


def test_generated_types_compile_and_work(tmp_path: Path, service: Service) -> None:
    """A strict program on the types of the OpenAPI document compiles, and does what they say."""
    (tmp_path / "node_modules").symlink_to(PACKAGES)
    (tmp_path / "typed.mts").write_bytes((FOLDER / "typed.mts").read_bytes())
    # Without the option a member with a default would have to be sent.
    options = ("--default-non-nullable", "false", "--output", "schema.mts")
    run(tmp_path, program("openapi-typescript"), write_document(tmp_path), *options)
    options = ("--strict", "--skipLibCheck", "--types", "node")
    target = ("--module", "nodenext", "--target", "es2022")
    run(tmp_path, program("tsc"), *options, *target, "typed.mts")
    run_node_test(tmp_path / "typed.mjs", service)


def run_node_test(file: Path, service: Service) -> None:
    """Run a file of Node's tests against the service."""
    run(FOLDER, "node", "--test-reporter=spec", file, NOTES_URL=service.url)
