"""README.md and docs/ say what is true: their commands are run, their tables compared."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

import main
from tests.clients import FOLDER, install
from tests.fixtures import connect, load_main
from tests.servers import MAIN_VARIABLES, ROOT, Postgres, Service, require_programs

ADDRESS = "http://127.0.0.1:8000"
README, OPERATIONS, TUTORIAL = "README.md", "docs/operations.md", "docs/tutorial.md"
DOCUMENTS = [
    str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
]


def read_document(document: str) -> str:
    """Return the text of a document."""
    return (ROOT / document).read_text(encoding="utf-8")


def read_sections(document: str) -> dict[str, str]:
    """Return the text below each heading of a document, up to the next heading."""
    parts = re.split(r"^#+ ([A-Z0-9].*)\n", read_document(document), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def read_blocks(document: str, heading: str, language: str) -> list[str]:
    """Return the blocks of a language below a heading."""
    fence = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return fence.findall(read_sections(document)[heading])


def read_session(document: str, heading: str) -> list[tuple[str, str]]:
    """Return each command of the sessions below a heading, and what it prints there."""
    text = "".join(read_blocks(document, heading, "console"))
    parts = re.split(r"^\$ (.*)\n", text, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def read_rows(document: str, heading: str) -> list[list[str]]:
    """Return the cells of all tables below a heading, without those of their heads."""
    tables = re.findall(r"(?:^\|.*\n)+", read_sections(document)[heading], re.MULTILINE)
    rows = [row for table in tables for row in table.splitlines()[2:]]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def find_codes(cell: str) -> list[str]:
    """Return what a cell has in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def run_shell(command: str, folder: Path, **variables: str) -> str:
    """Return what a command prints to either stream; it has to succeed."""
    require_programs("bash")
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


def check_session(document: str, heading: str, service: Service) -> None:
    """Run the requests of a session; each prints what the document shows."""
    require_programs("curl", "python3")
    for command, output in read_session(document, heading):
        if command.startswith("curl"):
            command = command.replace("curl ", "curl -sS ", 1)
            answer = run_shell(command.replace(ADDRESS, service.url), ROOT)
            assert answer.strip() == output.strip(), command


# README.md


def test_every_command_prints_what_the_readme_shows(
    empty_database: str, tmp_path: Path
) -> None:
    """The sessions, in their order, print the same on a fresh database of either kind."""
    variables = {"DATABASE_URL": empty_database}
    with Service.python(tmp_path, **variables) as service:
        for heading in ("Notes", "Endpoints", "Errors"):
            check_session(README, heading, service)
    with Service.python(tmp_path, API_KEYS="KEY", **variables) as service:
        assert httpx2.get(f"{service.url}/notes/").status_code == 401
        check_session(README, "Configuration", service)


def test_the_tables_of_variables_are_complete() -> None:
    """Each variable is in a table, with its default, and in .env.example; no other is."""
    settings = load_main().settings
    rows = read_rows(README, "Configuration") + read_rows(TUTORIAL, "Variables")
    names = [name for row in rows for name in find_codes(row[0])]
    assert sorted(names) == sorted(MAIN_VARIABLES) == sorted(main.Settings.model_fields)
    sample = read_document(".env.example")
    assert set(re.findall(r"^(?:# )?(\w+)=", sample, re.MULTILINE)) == set(names)
    for row in rows:
        values = [value.strip(" `") for value in row[1].split(",") if value.strip()]
        defaults = [getattr(settings, name) for name in find_codes(row[0])]
        if row[0] != "`CORS_ORIGINS`":  # where a pattern is set, none
            assert values == [str(value) for value in defaults if value not in (None, [])]


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("Endpoints", {"GET /"}.union(*(
            {f"{method.upper()} {path}" for method in operations}
            for path, operations in main.app.openapi()["paths"].items()
        ))),
        ("List parameters", main.NoteQuery.model_fields.keys()),
        ("Errors", {"405"} | {str(status) for status in main.DETAILS}),
        ("Extras", {path.name for path in ROOT.glob("examples/[!_]*.py")}),
    ],
)  # fmt: skip
def test_the_other_tables_are_complete(heading: str, names: set[str]) -> None:
    """Each endpoint, parameter, status of an error and extra has a row, and nothing else."""
    cells = [re.sub(r"`|\[|\].*", "", row[0]) for row in read_rows(README, heading)]
    assert sorted(cells) == sorted(names)


def test_what_a_front_end_takes_is_there(tmp_path: Path) -> None:
    """The lines for front ends read the notes and their number, and make types of the API."""
    install()
    (script,) = read_blocks(README, "Front ends", "js")
    (types,) = read_blocks(README, "Front ends", "sh")
    with Service.uvicorn(tmp_path, "main:app") as service:
        httpx2.post(f"{service.url}/notes/", json={"text": "fix tap"})
        page = script.replace(ADDRESS, service.url)
        page += "console.log(notes.length, total)"
        (tmp_path / "page.mjs").write_text(page)
        assert run_shell("node page.mjs", tmp_path) == "1 1\n"
        types = types.replace(ADDRESS, service.url)
        run_shell(types.replace("notes.d.ts", f"{tmp_path}/notes.d.ts"), FOLDER)
    assert "completed?: boolean" in (tmp_path / "notes.d.ts").read_text()


# All documents


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files_and_headings(document: str) -> None:
    """Each file and each heading that a document links to is there."""
    text = re.sub(r"^ *```.*?^ *```$", "", read_document(document), flags=re.M | re.S)
    for link, picture in re.findall(r'\]\(([^)]+)\)|src\w*="([^"]+)"', text):
        path, _, anchor = (link or picture).partition("#")
        if "://" not in path:
            file = (ROOT / document).parent / path if path else ROOT / document
            assert file.exists(), path
            if anchor:
                headings = read_sections(str(file.resolve()))
                slugs = [re.sub(r"[^\w -]", "", name).lower() for name in headings]
                assert anchor in [slug.replace(" ", "-") for slug in slugs], link


def test_every_command_is_run() -> None:
    """A block of commands that no test runs is in none of the three documents."""
    assert [
        heading
        for document in (README, OPERATIONS, TUTORIAL)
        for heading in read_sections(document)
        if any(read_blocks(document, heading, kind) for kind in ("console", "sh", "sql"))
    ] == [
        *["Notes", "Endpoints", "Errors", "Configuration", "Front ends"],
        *["SQLite", "Postgres", "Every night", "From SQLite to Postgres"],
        *["When things break", "What keeps working"],
    ]  # fmt: skip


# docs/tutorial.md


@pytest.mark.parametrize("start", [0, 1], ids=["development", "production"])
def test_what_the_tutorial_has_keeps_working(
    start: int, postgres: Postgres, tmp_path: Path
) -> None:
    """Its start commands serve its table, by its variables, and its curls get what they got."""
    url = httpx2.URL(postgres.create_database("tutorial"))
    with connect(str(url)) as sql:
        sql("CREATE TABLE notes (id serial PRIMARY KEY, text varchar, completed boolean)")
        sql("INSERT INTO notes (text) VALUES (NULL)")
    variables = {
        "host_server": url.host,
        "db_server_port": str(url.port),
        "database_name": "tutorial",
        "db_username": url.username,
        "db_password": url.password or "secret",
    }
    line = read_session(TUTORIAL, "What keeps working")[start][0]
    line = line.replace("--port 8000", "--port $PORT").replace(" --reload", "")
    command = ["bash", "-c", f"exec {Path(sys.executable).parent}/{line}"]
    with Service(command, tmp_path, HOME=str(tmp_path), **variables) as service:
        check_session(TUTORIAL, "What keeps working", service)


def test_what_differs_from_the_tutorial(tmp_path: Path) -> None:
    """Each request of the table of differences gets the status that it names."""
    with Service.uvicorn(tmp_path, "main:app") as service:
        for row in read_rows(TUTORIAL, "What differs"):
            request, *media_type = find_codes(row[0]) or [""]
            if re.match("[A-Z]+ /", request):
                method, path, *body = request.split(maxsplit=2)
                headers = {"Content-Type": (media_type or ["application/json"])[0]}
                response = httpx2.request(
                    method, service.url + path, content="".join(body), headers=headers
                )
                assert str(response.status_code) == row[2], row
