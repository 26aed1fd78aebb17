"""Make .venv, unless a good one is there, and install what a requirements file lists.

Run as `python3 -m tools.environment requirements.txt`: .venv gets the Python that runs this.
Python 3.6 can read this file, so that one that is too old is refused in a sentence.
"""

import re
import shutil
import signal
import subprocess
import sys
import venv
from pathlib import Path

VENV = Path(".venv")
PYTHON = VENV / "bin" / "python"
# Copies of the requirements files that are installed, written last: what was interrupted has none.
INSTALLED = VENV / "installed"


def main(requirements: Path) -> None:
    """Bring .venv to where the requirements are installed, and say what takes a while."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends this without a traceback
    check_version()
    if not (VENV.exists() or VENV.is_symlink()):
        make_venv("")
    elif find_fault():
        make_venv(f", as the one that is there {find_fault()}")
    if not is_installed(requirements):
        install(requirements)


def check_version() -> None:
    """End with one sentence where this Python is too old."""
    project = Path("pyproject.toml").read_text(encoding="utf-8")
    major, minor = re.findall(r'requires-python = ">=(\d+)\.(\d+)"', project)[0]
    if sys.version_info[:2] < (int(major), int(minor)):
        version = sys.version.split()[0]
        sys.exit(
            f"{sys.executable} is Python {version}, and {major}.{minor} or later is needed: "
            "name one, as in `make run PYTHON=python3.13`."
        )


def find_fault() -> str:
    """Return why the .venv that is there cannot be kept; nothing where it can."""
    if not INSTALLED.is_dir():
        return "is not finished, or was not made by make"
    try:
        command = [str(PYTHON), "-c", "import sys; print(sys.version)"]
        found = subprocess.check_output(command, text=True).strip()
    except (OSError, subprocess.CalledProcessError):
        return "lost its Python"
    if found != sys.version:
        return f"has Python {found.split()[0]}"
    return ""


def make_venv(reason: str) -> None:
    """Make .venv in place of what is there."""
    print(f"Making .venv with Python {sys.version.split()[0]}{reason}", flush=True)
    if VENV.is_symlink():
        VENV.unlink()  # what it leads to is not ours to change
    elif VENV.exists():
        shutil.rmtree(str(VENV))
    venv.create(str(VENV), symlinks=True, with_pip=True)
    INSTALLED.mkdir()


def is_installed(requirements: Path) -> bool:
    """Tell whether a requirements file, and those that it names, are installed as they are."""
    for file in list_files(requirements):
        copy = INSTALLED / file.name
        if not copy.exists() or copy.read_bytes() != file.read_bytes():
            return False
    return True


def install(requirements: Path) -> None:
    """Install what a requirements file lists, and the files that it names."""
    files = list_files(requirements)
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    number = len(set(re.findall(r"^\w.*", text, re.MULTILINE)))
    print(f"Installing {number} packages, once: {requirements} ", end="", flush=True)
    shutil.rmtree(str(INSTALLED))
    pip = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check"]
    if run_with_dots([*pip, "--requirement", str(requirements)]) != 0:
        sys.exit(1)  # pip has said why
    INSTALLED.mkdir()
    for file in files:
        shutil.copy(str(file), str(INSTALLED))


def run_with_dots(pip: "list[str]") -> int:
    """Return pip's exit status, once it has ended; print a dot for each package it takes."""
    process = subprocess.Popen(pip, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    for line in process.stdout:
        if line.startswith("Collecting "):
            print(".", end="", flush=True)
    print(flush=True)
    return process.wait()


def list_files(requirements: Path) -> "list[Path]":
    """Return a requirements file after those that it names by -r."""
    text = requirements.read_text(encoding="utf-8")
    named = re.findall(r"^-r (\S+)$", text, re.MULTILINE)
    files = [file for name in named for file in list_files(requirements.with_name(name))]
    return [*files, requirements]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
