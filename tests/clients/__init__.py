"""Ready-made clients and linters from npm: how the tests install and run them."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from tests.servers import ROOT, Service, environment, require_programs

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


def write_document(folder: Path) -> Path:
    """Return a file with the service's OpenAPI document."""
    script = "import json, main; print(json.dumps(main.app.openapi(), indent=1))"
    file = folder / "openapi.json"
    file.write_text(run(ROOT, sys.executable, "-c", script))
    return file


@contextmanager
def serve(folder: Path, app: str = "main:app") -> Iterator[Service]:
    """Lend the service on an empty database in a folder."""
    url = f"sqlite:///{folder}/notes.db"
    with Service.gunicorn(folder, app, DATABASE_URL=url, WEB_CONCURRENCY="1") as service:
        yield service
