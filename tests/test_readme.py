"""README.md says what is true: its sessions are run, its tables compared with the service."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

import main
from tests.fixtures import ORIGIN
from tests.servers import MAIN_VARIABLES, ROOT, Service, needs

README = (ROOT / "README.md").read_text()
ADDRESS = "http://127.0.0.1:8000"


def sessions() -> Iterator[tuple[str, str]]:
    """Yield each command of the README's sessions, and what it prints there."""
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            yield command, printed


def table(heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading."""
    below = README.split(f"\n{heading}\n", 1)[1]
    rows = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert rows, f"no table below {heading}"
    return [
        [cell.strip() for cell in row.strip("|").split("|")]
        for row in rows[0].splitlines()[2:]
    ]


@pytest.fixture
def service(empty_database: str, tmp_path: Path) -> Iterator[Service]:
    """The service, started as the README says, on an empty database."""
    start = Service.python if empty_database.startswith("sqlite") else Service.gunicorn
    with start(tmp_path, DATABASE_URL=empty_database) as running:
        yield running


def test_every_command_prints_what_the_readme_shows(service: Service) -> None:
    """The sessions, in their order, print the same on a fresh database of either kind."""
    needs("curl")
    commands = [
        (command, printed) for command, printed in sessions() if command != "make run"
    ]
    assert len(commands) > 5
    for command, printed in commands:
        words = shlex.split(command.replace(ADDRESS, service.url))
        assert words[0] == "curl"
        shown = subprocess.run(
            [*words, "-sS"], capture_output=True, text=True, check=True
        )
        assert shown.stdout.strip() == printed.strip(), command


def test_the_first_session_starts_with_make_run() -> None:
    """The first command is the one that starts the service, and the second gets an answer."""
    (first, _), (second, printed) = [*sessions()][:2]
    assert first == "make run"
    assert "/notes/" in second
    assert printed


def test_the_table_of_variables_is_complete() -> None:
    """Each variable that main.py reads is in the table, and no other."""
    rows = {
        name: row
        for row in table("## Configuration")
        for name in re.findall(r"`(\w+)`", row[0])
    }
    assert sorted(rows) == sorted(MAIN_VARIABLES)
    assert set(re.findall(r'setting\(\s*"(\w+)"', (ROOT / "main.py").read_text())) <= set(
        rows
    )
    sample = (ROOT / ".env.example").read_text()
    assert set(re.findall(r"^#? ?(\w+)=", sample, re.MULTILINE)) <= set(rows)


def test_the_table_of_calls_is_complete() -> None:
    """Each route that the service documents is in the table of calls, and no other but `/`."""
    documented = {
        f"{method.upper()} {path}"
        for path, operations in main.app.openapi()["paths"].items()
        for method in operations
    }
    shown = {
        call
        for row in table("## Calls")
        for call in re.findall(r"`([A-Z]+ /\S*)`", row[0])
    }
    assert shown == documented | {"GET /"}


def test_the_table_of_parameters_is_complete() -> None:
    """Each parameter of a list is in its table."""
    shown = {
        name for row in table("A list takes:") for name in re.findall(r"`(\w+)`", row[0])
    }
    assert shown == set(main.NotePage.model_fields)


def test_every_status_is_explained() -> None:
    """Each status of an error that is documented is in the table of errors."""
    paths: Any = main.app.openapi()["paths"]
    documented = {
        status
        for operations in paths.values()
        for operation in operations.values()
        for status in operation["responses"]
        if status >= "400"
    }
    below = README.split("Every error is", 1)[1]
    assert documented | {"401", "405"} == set(
        re.findall(r"^\| (\d{3}) \|", below, re.MULTILINE)
    )


def test_links_lead_to_files() -> None:
    """Each file that the README links to is there."""
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_examples_of_requests_are_answered(service: Service) -> None:
    """What the section on front ends fetches is there, with the header that it reads."""
    address = re.search(rf'fetch\("{ADDRESS}(.*?)"\)', README)
    assert address
    answer = httpx2.get(service.url + address[1], headers={"Origin": ORIGIN})
    assert (answer.status_code, answer.headers["X-Total-Count"]) == (200, "0")
