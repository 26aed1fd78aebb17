"""CONTRIBUTING.md's worked example is true: a field is added by it, and the contract holds."""

import os
import re
import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns

import httpx2

import main
from tests.servers import ROOT, Postgres, Service, skip

EDITS = [*["main.py"] * 5, "tests/fixtures.py"]


def apply(diff: str, file: Path) -> None:
    """Change a file as a diff says, whose lines must be there just once."""
    lines = diff.splitlines()
    old_lines = "\n".join(line[1:] for line in lines if not line.startswith("+"))
    new_lines = "\n".join(line[1:] for line in lines if not line.startswith("-"))
    text = file.read_text()
    assert text.count(old_lines) == 1, old_lines
    file.write_text(text.replace(old_lines, new_lines))


def test_a_field_is_added_as_contributing_shows(
    tmp_path: Path, postgres: Postgres
) -> None:
    """After the edits notes have the field, and the contract holds on both databases."""
    if "priority" in main.notes.columns:
        skip("notes have the field of CONTRIBUTING's example: take another one there")
    copy = tmp_path / "copy"
    ignore = ignore_patterns(".*", "node_modules", "__pycache__", "*.db*")
    copytree(ROOT, copy, ignore=ignore)
    text = (ROOT / "CONTRIBUTING.md").read_text()
    diffs = re.findall(r"```diff\n(.*?)```", text, re.DOTALL)
    for name, diff in zip(EDITS, diffs, strict=True):
        apply(diff, copy / name)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "test_main.py"]
    calls = "post or put or patch or delete or list or etag or if_match or dict"
    tests = subprocess.run(
        [*command, "-p", "no:cacheprovider", "-k", f"({calls}) and not fastapi"],
        cwd=copy,
        env={**os.environ, "TEST_DATABASE_URL": postgres.url()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert tests.returncode == 0, tests.stdout[-3000:]
    environment = {"DATABASE_URL": f"sqlite:///{tmp_path}/notes.db"}
    with Service(
        [sys.executable, str(copy / "main.py")], tmp_path, **environment
    ) as service:
        for priority in (3, 9, 0):
            note = {"text": "fix tap", "priority": priority}
            httpx2.post(f"{service.url}/notes/", json=note)
        page = httpx2.get(f"{service.url}/notes/", params={"sort": "-priority"}).json()
        assert [note["priority"] for note in page] == [9, 3, 0]
        page = httpx2.get(f"{service.url}/notes/", params={"priority": "9"}).json()
        assert [note["priority"] for note in page] == [9]
        response = httpx2.patch(f"{service.url}/notes/1/", json={"priority": 10})
        assert response.json()["errors"].keys() == {"priority"}
