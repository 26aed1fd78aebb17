"""The Makefile and its tools: what each kind of user meets, and lists that have to agree."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import main
from tests.servers import ROOT, require_programs
from tools import requirements

FILES = ["Makefile", "pyproject.toml", "requirements.txt", "requirements-dev.txt"]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of what the Makefile needs, with a program that ends at once for a service."""
    require_programs("make")
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    (tmp_path / "main.py").write_text('print("served")\n')
    return tmp_path


def run_make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make as from a shell, and return what it says."""
    make_variables = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHON"}
    variables = {
        name: value for name, value in os.environ.items() if name not in make_variables
    }
    command = ["make", *arguments]
    return subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, check=False
    )


def find_old_pythons() -> list[str]:
    """Return the Pythons of pyenv that are too old."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    folders = [*versions.glob("3.[6-9].*"), *versions.glob("3.10.*")]
    return [str(folder / "bin" / "python3") for folder in folders]


@pytest.mark.parametrize("arguments", [(), ("help",)], ids=["make", "make help"])
def test_make_lists_the_targets(copy: Path, arguments: tuple[str, ...]) -> None:
    """Make alone, and make help, say in one line each what the targets do."""
    lines = run_make(copy, *arguments).stdout.splitlines()
    (targets,) = re.findall(r"^\.PHONY: (help .*)", (copy / "Makefile").read_text(), re.M)
    assert [line.split()[1] for line in lines] == targets.split()
    assert all(len(line.split()) > 4 and len(line) < 90 for line in lines)


def test_an_old_python_is_refused_in_a_sentence(copy: Path) -> None:
    """A Python that is too old is named, with the oldest one that is taken and what to do."""
    project = (copy / "pyproject.toml").read_text()
    newer_project = project.replace(
        'requires-python = ">=3.11"', 'requires-python = ">=3.99"'
    )
    (copy / "pyproject.toml").write_text(newer_project)
    result = run_make(copy, "run", f"PYTHON={sys.executable}")
    version = ".".join(map(str, sys.version_info[:3]))
    sentence, last_words = result.stderr.splitlines()
    assert sentence.startswith(f"{sys.executable} is Python {version}")
    assert "3.99 or later is needed" in sentence
    assert last_words.startswith("make: ***")
    assert not (copy / ".venv").exists()


def test_real_old_pythons_are_refused_in_a_sentence(copy: Path) -> None:
    """Pythons from 3.6 to 3.10 read the tool well enough to say that they are too old."""
    pythons = find_old_pythons()
    if not pythons:
        pytest.skip("pyenv has no Python that is too old")  # which no package brings
    for python in pythons:
        result = run_make(copy, "run", f"PYTHON={python}")
        sentence, _ = result.stderr.splitlines()
        assert re.search("is Python 3[.0-9]+, and 3.11 or later is needed", sentence)


def test_a_half_made_environment_is_made_anew(copy: Path) -> None:
    """What an interrupted run left is made anew, and a whole environment is kept as it is."""
    (copy / "requirements.txt").write_text("# nothing\n")
    (copy / ".venv" / "bin").mkdir(parents=True)
    (copy / ".venv" / "bin" / "python").symlink_to("/nowhere/python")
    first = run_make(copy, "run", f"PYTHON={sys.executable}")
    assert "Making .venv" in first.stdout
    assert "was not made by make" in first.stdout
    assert first.stdout.endswith("served\n"), first.stderr
    second = run_make(copy, "run", f"PYTHON={sys.executable}")
    assert second.stdout == "served\n"


def test_the_demo_names_a_taken_port() -> None:
    """The demo does not start where another program listens, and says at which port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = subprocess.run(
            [sys.executable, "-m", "examples.demo"],
            cwd=ROOT,
            env={**os.environ, "PORT": str(port)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"Port {port} is taken")


def test_every_version_is_pinned() -> None:
    """Each line of a requirements file names one version."""
    for file in ROOT.glob("requirements*.txt"):
        _, direct_pins, other_pins = requirements.read(file)
        assert direct_pins
        for line in [*direct_pins, *other_pins]:
            assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9a-z.]+(; .+)?", line)


def test_uv_installs_what_pip_does(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pyproject.toml has the pins of requirements.txt, and the tool writes changed ones there."""
    monkeypatch.chdir(copy)
    assert requirements.render_project() == (copy / "pyproject.toml").read_text()
    pins = (copy / "requirements.txt").read_text()
    pins = pins.replace("anyio==", "anyio==9").replace("gunicorn==", "gunicorn==9")
    (copy / "requirements.txt").write_text(pins)
    project = tomllib.loads(requirements.render_project())
    changed_pins = [
        line
        for line in project["project"]["dependencies"]
        + project["tool"]["uv"]["constraint-dependencies"]
        if "==9" in line
    ]
    assert [line.split("==9")[0] for line in changed_pins] == ["gunicorn", "anyio"]
    assert changed_pins[0].endswith("; sys_platform != 'win32'")


def test_a_new_pin_keeps_its_marker() -> None:
    """What was chosen by hand gets its new version in its own spelling, with its marker."""
    pins = ["pip-audit==2.0; python_full_version < '3.15'", "six==1.0"]
    new_pin = requirements.pin('pip_audit==1.0; python_version < "3.15"', pins)
    assert new_pin == 'pip_audit==2.0; python_version < "3.15"'
    assert requirements.pin("six", pins) == "six==1.0"


def test_both_versions_are_one() -> None:
    """pyproject.toml and the service have the same version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert main.app.version == project["version"]
