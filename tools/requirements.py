"""Pin the newest versions in the requirements files (`update`), or list the packages (`names`).

A requirements file lists what was chosen by hand and then, below a line that says so, what that
needs. `update` pins the first and writes the second anew; pyproject.toml gets the same pins.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import NamedTuple

NEEDED = "# needed by the above"
PRODUCTION = Path("requirements.txt")
PROJECT = Path("pyproject.toml")


class Requirements(NamedTuple):
    """The lines of a requirements file: comments and -r, those chosen by hand, those needed."""

    head: list[str]
    chosen: list[str]
    needed: list[str]


def read(file: Path) -> Requirements:
    """Return the lines of a requirements file."""
    above, _, below = file.read_text(encoding="utf-8").partition(f"{NEEDED}\n")
    lines = above.splitlines()
    head = [line for line in lines if line.startswith(("#", "-"))]
    chosen = [line for line in lines if line not in head]
    return Requirements(head, chosen, below.splitlines())


def write(file: Path, requirements: Requirements) -> None:
    """Write a requirements file."""
    lines = [*requirements.head, *requirements.chosen, NEEDED, *requirements.needed]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def find_files() -> list[Path]:
    """Return the requirements files."""
    return sorted(Path().glob("requirements*.txt"))


def find_included(file: Path) -> list[Path]:
    """Return the requirements files that a file names by -r."""
    head = "\n".join(read(file).head)
    return [Path(name) for name in re.findall("^-r (.*)", head, re.MULTILINE)]


def find_name(line: str) -> str:
    """Return the normal form of a requirement's name (PEP 503)."""
    name = re.findall("^[A-Za-z0-9._-]+", line)[0]
    return re.sub("[-_.]+", "-", name).lower()


def list_names(file: Path) -> list[str]:
    """Return what was chosen by hand, without versions, in a file and in those that it names."""
    names = [re.sub("==[^; ]+", "", line) for line in read(file).chosen]
    for included in find_included(file):
        names += list_names(included)
    return names


def list_all_names() -> list[str]:
    """Return what was chosen by hand, without versions, in all files."""
    names = [name for file in find_files() for name in list_names(file)]
    return sorted(set(names))


def resolve(names: list[str], pins: list[str]) -> list[str]:
    """Return packages and what they need, pinned alike for each Python and system."""
    options = ["--universal", "--python-version", find_oldest_python()]
    options += ["--fork-strategy", "fewest"]  # one version for all Pythons
    options += ["--no-emit-package", "pip"]  # on Windows pip cannot replace itself
    options += ["--quiet", "--no-header", "--no-annotate"]
    # In a folder of its own, as uv would take the pins that pyproject.toml has now.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "names").write_text("\n".join(names), encoding="utf-8")
        Path(folder, "pins").write_text("\n".join(pins), encoding="utf-8")
        command = [sys.executable, "-m", "uv", "pip", "compile", *options]
        process = subprocess.run(
            [*command, "--constraints", "pins", "names"],
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return process.stdout.replace(" ; ", "; ").splitlines()


def find_oldest_python() -> str:
    """Return the oldest Python that the service takes."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    return str(project["requires-python"]).removeprefix(">=")


def pin(line: str, pins: list[str]) -> str:
    """Return a line that was chosen by hand with its new version, and its own marker."""
    versions = {find_name(pin): re.findall("==[^; ]+", pin)[0] for pin in pins}
    requirement, semicolon, marker = line.partition(";")
    name = requirement.partition("==")[0].strip()
    return f"{name}{versions[find_name(name)]}{semicolon}{marker}"


def update() -> None:
    """Write the newest versions that go together into all files."""
    pins = resolve(list_all_names(), [])
    for file in find_files():
        head, chosen, _ = read(file)
        above = {find_name(line) for line in chosen}
        for included in find_included(file):
            above |= {find_name(line) for line in resolve(list_names(included), pins)}
        everything = resolve(list_names(file), pins)
        needed = [line for line in everything if find_name(line) not in above]
        pinned = [pin(line, pins) for line in chosen]
        write(file, Requirements(head, pinned, needed))
    PROJECT.write_text(render_project(), encoding="utf-8")


def render_project() -> str:
    """Return pyproject.toml with the pins of production, for uv, which reads no other file."""
    text = PROJECT.read_text(encoding="utf-8")
    _, chosen, needed = read(PRODUCTION)
    text = replace_list(text, "dependencies", chosen)
    return replace_list(text, "constraint-dependencies", needed)


def replace_list(text: str, key: str, lines: list[str]) -> str:
    """Return a TOML text with other strings in one of its lists."""
    quoted = [line.replace('"', "'") for line in lines]
    items = "".join(f'    "{line}",\n' for line in quoted)
    found = rf"^{key} = \[[^\]]*\]"
    return re.sub(found, f"{key} = [\n{items}]", text, flags=re.MULTILINE)


if __name__ == "__main__":
    if sys.argv[1] == "names":
        print("\n".join(list_all_names()))
    elif sys.argv[1] == "update":
        update()
