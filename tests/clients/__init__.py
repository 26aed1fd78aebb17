"""Ready-made clients and linters from npm: how the tests install and run them."""

import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

from tests.servers import environment, require_programs

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
