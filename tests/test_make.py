"""The Makefile: what each kind of user meets, and lists that have to agree."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import main
from tests.servers import ROOT, require_programs

REQUIREMENTS = ["requirements.txt", "requirements-dev.txt", "bench/requirements.txt"]
FILES = [ROOT / name for name in [*REQUIREMENTS, "examples/requirements-agents.txt"]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the Makefile, a program that ends at once, and nothing to install."""
    require_programs("make")
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.txt").write_text("# nothing\n")
    (tmp_path / "main.py").write_text('print("served")\n')
    return tmp_path


def run_make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make as from a shell, and return what it says."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    command = ["make", *arguments, f"PYTHON={sys.executable}"]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("arguments", [(), ("help",)], ids=["make", "make help"])
def test_make_lists_the_targets(folder: Path, arguments: tuple[str, ...]) -> None:
    """Make alone, and make help, say in one line each what the targets do."""
    lines = run_make(folder, *arguments).stdout.splitlines()
    (targets,) = re.findall(r"^\.PHONY: (.*)", (folder / "Makefile").read_text(), re.M)
    assert [line.split()[1] for line in lines] == targets.split()
    assert all(len(line.split()) > 4 and len(line) < 90 for line in lines)


def test_an_environment_is_adopted_and_installed_into_once(folder: Path) -> None:
    """A .venv made by hand, by uv without pip, stays, and gets what is new alone."""
    venv = [sys.executable, "-m", "venv", "--without-pip", ".venv"]
    subprocess.run(venv, cwd=folder, check=True)
    (folder / ".venv" / "mine").touch()
    installing = "Installing requirements.txt into .venv\n"
    assert run_make(folder, "run").stdout == f"{installing}served\n"
    assert run_make(folder, "run").stdout == "served\n"
    (folder / "requirements.txt").write_text("# changed\n")
    assert run_make(folder, "run").stdout == f"{installing}served\n"
    assert (folder / ".venv" / "mine").exists()


def test_an_environment_that_lost_its_python_is_named(folder: Path) -> None:
    """A .venv whose Python was removed is left as it is, with a line that says what to do."""
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "python").symlink_to("/nowhere/python")
    result = run_make(folder, "run")
    assert result.stdout == ".venv has lost its Python: delete it, and try again\n"
    assert result.returncode == 2


def test_an_old_python_is_refused_in_a_line(folder: Path) -> None:
    """A Python that is too old is named, with the oldest one that is taken and what to do."""
    makefile = (folder / "Makefile").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    oldest = project["requires-python"].removeprefix(">=")
    assert makefile.count(oldest) == makefile.count(oldest.replace(".", ", ")) == 1
    newer = makefile.replace(oldest.replace(".", ", "), "3, 99")
    (folder / "Makefile").write_text(newer)
    line, end = run_make(folder, "run").stderr.splitlines()
    assert line.startswith(f"Python {oldest} or later is needed, and {sys.executable} is")
    assert end.startswith("make: ***")
    assert not (folder / ".venv").exists()


def test_versions_agree() -> None:
    """All requirements are pinned, alike in all files, and the service's version is one."""
    pins: dict[str, set[str]] = {}
    for file in FILES:
        for line in re.findall(r"^\w.*", file.read_text(), re.MULTILINE):
            pin = re.fullmatch(r"([\w.-]+)==([\w.]+)( ;.*)?", line)
            assert pin, line
            pins.setdefault(pin[1], set()).add(pin[2])
    assert [name for name, versions in pins.items() if len(versions) > 1] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.findall(r"[\w-]+", line)[0] for line in project["dependencies"]}
    assert needed <= set(re.findall(r"^([\w-]+)==", FILES[0].read_text(), re.MULTILINE))
    assert main.app.version == project["version"]
