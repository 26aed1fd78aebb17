"""Ready-made clients and linters from npm: how the tests install and run them."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from tests.servers import ROOT, Postgres, Service, environment, require_programs

FOLDER = Path(__file__).parent
PACKAGES = FOLDER / "node_modules"


def run(folder: Path, *command: str | Path, **variables: str) -> str:
    """Return the output of a command; the calling test fails with all of it if the command does."""
    environ = environment(**variables)
    result = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True
    )
    if result.returncode:
        status = f"{Path(command[0]).name}: exit status {result.returncode}"
        pytest.fail(f"{status}\n{result.stdout}\n{result.stderr}", pytrace=False)
    return result.stdout


def install() -> None:
    """Install the packages that package-lock.json pins, if they are not installed yet."""
    require_programs("node", "npm")
    installed_lock = PACKAGES / "installed-lock.json"
    content = (FOLDER / "package-lock.json").read_text()
    # Against another process of the same tests.
    with FileLock(FOLDER / "package-lock.json.lock"):
        if not installed_lock.exists() or installed_lock.read_text() != content:
            run(FOLDER, "npm", "ci")
            installed_lock.write_text(content)


def program(name: str) -> Path:
    """Return the path of a program that one of the packages brings."""
    return PACKAGES / ".bin" / name


def write_document(folder: Path, keys: str = "") -> Path:
    """Return a file with the OpenAPI document of a service that has these keys."""
    script = "import json, main; print(json.dumps(main.app.openapi(), indent=1))"
    file = folder / "openapi.json"
    file.write_text(run(ROOT, sys.executable, "-c", script, API_KEYS=keys))
    return file


@contextmanager
def serve(
    request: pytest.FixtureRequest,
    paths: pytest.TempPathFactory,
    keys: str = "",
    app: str = "main:app",
) -> Iterator[Service]:
    """Lend the service on an empty database of the kind that a fixture's parameter names."""
    folder = paths.mktemp("served")
    database = f"sqlite:///{folder}/notes.db"
    if request.param == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        database = server.create_database(folder.name)
    variables = {"DATABASE_URL": database, "API_KEYS": keys, "WEB_CONCURRENCY": "1"}
    with Service.gunicorn(folder, app, **variables) as service:
        yield service
