"""README.md and docs/ say what is true: their commands are run, their tables compared."""

import http.client
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

import main
from tests.fixtures import create_role
from tests.load import Load
from tests.servers import (
    MAIN_VARIABLES,
    ROOT,
    Postgres,
    Service,
    postgres_binaries,
    require_programs,
    skip,
)

ADDRESS = "http://127.0.0.1:8000"
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
README = "README.md"
OPERATIONS = "docs/operations.md"
DOCUMENTS = sorted(
    str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
)


def read_document(document: str) -> str:
    """Return the text of a document."""
    return (ROOT / document).read_text(encoding="utf-8")


def read_sections(document: str) -> dict[str, str]:
    """Return the text below each heading of a document, up to the next heading."""
    prose = FENCE.sub(
        lambda block: block[0].replace("\n#", "\n\x00"), read_document(document)
    )
    parts = re.split(r"^#+ (.*)\n", prose, flags=re.MULTILINE)[1:]
    texts = [part.replace("\x00", "#") for part in parts[1::2]]
    return dict(zip(parts[::2], texts, strict=True))


def read_blocks(document: str, heading: str, language: str) -> list[str]:
    """Return the blocks of a language below a heading."""
    text = read_sections(document)[heading]
    return [block for name, block in FENCE.findall(text) if name == language]


def read_sessions(*headings: str) -> Iterator[tuple[str, str]]:
    """Yield each command of the README's sessions, and what it prints there."""
    for heading in headings:
        for block in read_blocks(README, heading, "console"):
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                yield command, output


def read_rows(document: str, heading: str) -> list[list[str]]:
    """Return the cells of all tables below a heading, without those of their heads."""
    cells: list[list[str]] = []
    for table in re.findall(
        r"(?:^\|.*\n)+", read_sections(document)[heading], re.MULTILINE
    ):
        lines = [row.strip("|").split("|") for row in table.splitlines()[2:]]
        cells += [[cell.strip() for cell in line] for line in lines]
    assert cells, f"no table below {heading}"
    return cells


def find_codes(cell: str) -> list[str]:
    """Return what a cell has in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def run_shell(
    command: str, folder: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command as it would be typed into a shell, and return how it ended."""
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def run_curl(command: str, service: Service) -> str:
    """Return what a command with curl prints, asked of a service."""
    command = command.replace(ADDRESS, service.url).replace("curl ", "curl -sS ", 1)
    answer = run_shell(command, ROOT)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


# README.md


@pytest.fixture
def service(empty_database: str, tmp_path: Path) -> Iterator[Service]:
    """The service, started as the README says, on an empty database."""
    start = Service.python if empty_database.startswith("sqlite") else Service.gunicorn
    with start(tmp_path, DATABASE_URL=empty_database) as service:
        yield service


def test_every_command_prints_what_the_readme_shows(service: Service) -> None:
    """The sessions, in their order, print the same on a fresh database of either kind."""
    require_programs("bash", "curl", "python3")
    _, _, *first = read_sessions("Run")
    commands = [*first, *read_sessions("Endpoints", "Errors")]
    assert len(commands) == 6
    for command, output in commands:
        assert run_curl(command, service).strip() == output.strip(), command


def test_each_way_from_a_clone_leads_to_an_answer(tmp_path: Path) -> None:
    """A clone serves by make, and by the lines without make, and answers the first request."""
    require_programs("bash", "git", "make", "python3", "curl")
    (clone, _), (make, _), (post, output) = read_sessions("Run")
    if not (ROOT / ".git").exists():
        skip("this is no clone of a repository")
    assert run_shell(clone.replace("URL", shlex.quote(str(ROOT))), tmp_path).stderr == (
        "Cloning into 'notes'...\ndone.\n"
    )
    folder = tmp_path / "notes"
    (block,) = read_blocks(README, "Run", "sh")
    environment, install, serve, _ = (
        line.partition(" #")[0] for line in block.splitlines()
    )
    for *commands, serve_command in ([make], [environment, install, serve]):
        for command in commands:
            result = run_shell(command, folder)
            assert result.returncode == 0, result.stderr
        line = f"cd {shlex.quote(str(folder))} && exec {serve_command}"
        service = Service(["bash", "-c", line], tmp_path, MAKEFLAGS="")
        try:
            service.wait(seconds=300)
            assert run_curl(post, service).strip() == output.strip()
        finally:
            service.stop()
        (folder / "notes.db").unlink()


def test_the_lines_for_windows_say_the_same() -> None:
    """Each line without make has its form for Windows, and uv has one line."""
    (block,) = read_blocks(README, "Run", "sh")
    *lines, uv = block.splitlines()
    for line in lines:
        unix_line, _, windows_line = line.partition("# Windows: ")
        if "-m venv" not in unix_line:
            unix_line = unix_line.replace(".venv/bin/", ".venv\\Scripts\\")
        assert windows_line == unix_line.replace("python3 ", "py ").strip()
    assert uv.startswith("uv run main.py ")


def test_the_table_of_variables_is_complete() -> None:
    """Each variable that main.py reads is in the table and in .env.example, and no other."""
    names = [
        name for row in read_rows(README, "Configuration") for name in find_codes(row[0])
    ]
    assert sorted(names) == sorted(MAIN_VARIABLES) == sorted(main.Settings.model_fields)
    sample = (ROOT / ".env.example").read_text()
    assert set(re.findall(r"^(?:# )?(\w+)=", sample, re.MULTILINE)) == set(names)


def test_the_table_of_variables_has_the_defaults() -> None:
    """The defaults of the table are those that main.py uses."""
    settings = main.Settings.model_validate({})
    for row in read_rows(README, "Configuration"):
        table_values = [value.strip(" `") for value in row[1].split(",") if value.strip()]
        names = find_codes(row[0])
        if names == ["DATABASE_URL"]:
            assert table_values == [settings.chosen_url]
        elif names == ["CORS_ORIGINS"]:
            assert table_values == settings.allowed_origins
        else:
            defaults = [getattr(settings, name) for name in names]
            assert table_values == [
                str(value) for value in defaults if value not in (None, [])
            ]


def test_the_table_of_endpoints_is_complete() -> None:
    """Each route that the service documents is in the table, and no other but `/`."""
    endpoints = {
        f"{method.upper()} {path}"
        for path, operations in main.app.openapi()["paths"].items()
        for method in operations
    }
    table_endpoints = {find_codes(row[0])[0] for row in read_rows(README, "Endpoints")}
    assert table_endpoints == endpoints | {"GET /"}


def test_the_table_of_parameters_is_complete() -> None:
    """Each parameter of a list is in its table, with its default, and no other."""
    fields = main.NoteQuery.model_fields
    table_defaults = {
        find_codes(row[0])[0]: row[1] for row in read_rows(README, "List parameters")
    }
    assert table_defaults.keys() == fields.keys()
    for name, default in table_defaults.items():
        if default:
            value = json.dumps(fields[name].default).strip('"')
            assert default.strip("`") == value


def test_every_status_is_explained() -> None:
    """Each status of an error that is documented is in the table of errors."""
    paths: Any = main.app.openapi()["paths"]
    statuses = {
        status
        for operations in paths.values()
        for operation in operations.values()
        for status in operation["responses"]
        if status >= "400"
    }
    table_statuses = [row[0] for row in read_rows(README, "Errors")]
    assert sorted(statuses | {"401", "405"}) == sorted(table_statuses)


def test_what_the_page_fetches_is_there(service: Service, tmp_path: Path) -> None:
    """The lines for front ends read the notes and their number."""
    require_programs("node")
    httpx2.post(f"{service.url}/notes/", json={"text": "fix tap"})
    (script,) = read_blocks(README, "Front ends", "js")
    page = tmp_path / "page.mjs"
    print_line = "console.log(notes.length, total)"
    page.write_text(f"{script.replace(ADDRESS, service.url)}\n{print_line}\n")
    result = subprocess.run(["node", page], capture_output=True, text=True, check=True)
    assert result.stdout == "1 1\n"


def test_the_table_of_extras_is_complete() -> None:
    """Each extra is in the table, with the number of its lines."""
    table_lines = {}
    for name, lines, _ in read_rows(README, "Extras"):
        target = re.search(r"\]\((.*)\)", name)
        assert target
        table_lines[target[1]] = int(lines)
    extras = sorted(ROOT.glob("examples/[!_]*.py"))
    assert table_lines == {
        f"examples/{path.name}": len(path.read_text().splitlines()) for path in extras
    }


# All documents


def test_the_readme_is_short() -> None:
    """The README has less than 200 lines."""
    assert len(read_document(README).splitlines()) < 200


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_line_is_long(document: str) -> None:
    """No line is over 130 columns wide, and no row of a table of docs/ over 140."""
    lines = enumerate(read_document(document).splitlines(), 1)
    long_lines = [(number, line) for number, line in lines if len(line) > 130]
    if document != README:
        long_lines = [
            (number, line)
            for number, line in long_lines
            if not line.startswith("|") or len(line) > 140
        ]
    assert long_lines == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files_and_headings(document: str) -> None:
    """Each file and each heading that a document links to is there."""
    for target in re.findall(r"\]\(([^)]+)\)", FENCE.sub("", read_document(document))):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / document).parent / path if path else ROOT / document
        assert file.exists(), target
        if anchor:
            headings = read_sections(str(file.resolve().relative_to(ROOT.resolve())))
            slugs = [re.sub(r"[^\w -]", "", name).lower() for name in headings]
            assert anchor in [slug.replace(" ", "-") for slug in slugs], target


def test_every_command_is_run() -> None:
    """A block of commands that no test here runs is not in a document."""
    headings = {
        (document, heading)
        for document in DOCUMENTS
        for heading in read_sections(document)
        for language in ("console", "sh")
        if read_blocks(document, heading, language)
    }
    assert headings == {
        (README, "Run"),
        (README, "Endpoints"),
        (README, "Errors"),
        (README, "Test"),  # these run this
        (OPERATIONS, "SQLite"),
        (OPERATIONS, "Postgres"),
        ("CONTRIBUTING.md", "Run one test on one database"),
    }


def test_the_changelog_begins_with_this_version() -> None:
    """The newest version of the changelog is the service's."""
    newest = [*read_sections("CHANGELOG.md")][1]
    assert newest.split()[0] == main.app.version


def test_the_benchmarks_are_those_that_were_measured() -> None:
    """Each row of the tables of load is in the report of the last run."""
    report = (ROOT / "bench" / "results" / "load.md").read_text()
    for heading in ("Postgres", "SQLite"):
        for row in read_rows("docs/benchmarks.md", heading):
            assert f"| {' | '.join(row)} |\n" in report


# docs/operations.md


def test_the_start_command_is_the_procfiles() -> None:
    """The systemd unit and the Dockerfile start the service as the Procfile does."""
    line = (ROOT / "Procfile").read_text().removeprefix("web: ").strip()
    (unit,) = read_blocks(OPERATIONS, "A server of your own", "ini")
    (docker,) = read_blocks(OPERATIONS, "Docker", "dockerfile")
    for command, text in ((f"CMD exec {line}\n", docker), (f"/bin/{line}\n", unit)):
        assert command in re.sub(r"\s*\\\n\s*", " ", text)


def test_haproxy_takes_its_configuration(tmp_path: Path) -> None:
    """Haproxy finds no fault in the configuration."""
    require_programs("haproxy")
    (lines,) = read_blocks(OPERATIONS, "A balancer", "haproxy")
    file = tmp_path / "haproxy.cfg"
    file.write_text(lines)
    result = subprocess.run(
        ["haproxy", "-c", "-f", file], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "WARNING" not in result.stderr


def log_request(row: int, folder: Path) -> list[str]:
    """Return what the service logs of its life and a search, with a row of the table of logs."""
    (arguments,) = find_codes(read_rows(OPERATIONS, "Logs")[row][0])
    variables = {"DATABASE_URL": f"sqlite:///{folder}/notes.db"}
    with Service.gunicorn(folder, GUNICORN_CMD_ARGS=arguments, **variables) as service:
        client = http.client.HTTPConnection("127.0.0.1", service.port)
        client.request("GET", '/notes/?q="tap')
        client.getresponse().read()
        client.close()
    return service.log.read_text().splitlines()


def test_gunicorn_logs_each_request_where_it_is_told_to(tmp_path: Path) -> None:
    """With the first row there is the line that it shows, for each request."""
    log_line = find_codes(read_rows(OPERATIONS, "Logs")[0][1])[0].replace(
        "q=tap", 'q="tap'
    )
    pattern = re.escape(log_line).replace("37806", r"\d+")
    lines = log_request(0, tmp_path)
    assert len([line for line in lines if re.fullmatch(pattern, line)]) == 1


def test_gunicorn_logs_each_request_with_its_time(tmp_path: Path) -> None:
    """With the second row each line of the log is there once, and begins with the time."""
    lines = log_request(1, tmp_path)
    time = r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[\d+\] \[[A-Z]+\] "
    assert all(re.match(time, line) for line in lines)
    requests = [line for line in lines if re.search('GET /notes/.*" 200$', line)]
    assert len(requests) == len([line for line in lines if "Starting" in line]) == 1


def test_gunicorn_logs_lines_of_json(tmp_path: Path) -> None:
    """With the third row each line of the log is JSON, is there once, and has a time."""
    lines = [json.loads(line) for line in log_request(2, tmp_path)]
    assert all({"time", "level", "process"} <= line.keys() for line in lines)
    (request,) = (line for line in lines if line.get("path") == '/notes/?q="tap')
    assert (request["method"], request["http"], request["status"]) == ("GET", "1.1", 200)
    assert request["client"].startswith("127.0.0.1:")
    starts = [line for line in lines if "Starting" in line.get("message", "")]
    assert len(starts) == 1


def test_json_lines_hold_tracebacks(tmp_path: Path) -> None:
    """A bug is one line of JSON, with its traceback."""
    folder = str(ROOT / "docs")
    script = (
        f"import sys; sys.path.insert(0, {folder!r}); import logging, json_lines\n"
        "handler = logging.StreamHandler()\n"
        "handler.setFormatter(json_lines.JSONFormatter())\n"
        "try: 1 / 0\n"
        "except ZeroDivisionError:\n"
        "    logging.basicConfig(handlers=[handler]); logging.exception('a bug')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    (line,) = result.stderr.splitlines()
    assert json.loads(line)["message"] == "a bug"
    assert "ZeroDivisionError" in json.loads(line)["traceback"]


def test_sqlite_is_backed_up_and_restored_while_it_serves(tmp_path: Path) -> None:
    """The backup holds what was acknowledged, and brings it back; no request fails."""
    require_programs("bash", "sqlite3")
    (lines,) = read_blocks(OPERATIONS, "SQLite", "sh")
    back_up, restore = lines.splitlines()
    url = f"sqlite:///{tmp_path}/notes.db"
    with Service.gunicorn(tmp_path, DATABASE_URL=url) as service:
        note = httpx2.post(f"{service.url}/notes/", json={"text": "kept"}).json()
        with Load(service) as load:
            load.wait_for_writes(50)
            for command in (back_up, restore, back_up):
                result = run_shell(command, tmp_path)
                assert (result.returncode, result.stderr) == (0, "")
                load.wait_for_writes(50)
        print(load)
        assert load.answers.keys() <= {"201", "200", "404"}  # 404: restored away
        httpx2.delete(f"{service.url}/notes/{note['id']}/")
        assert run_shell(restore, tmp_path).returncode == 0
        assert httpx2.get(f"{service.url}/notes/{note['id']}/").json() == note
        assert httpx2.get(f"{service.url}/readyz").status_code == 200


def test_postgres_is_backed_up_and_restored_while_it_serves(
    postgres: Postgres, tmp_path: Path
) -> None:
    """The dump holds what was acknowledged, and brings it back; no request fails."""
    require_programs("bash")
    (lines,) = read_blocks(OPERATIONS, "Postgres", "sh")
    dump, restore = lines.splitlines()
    admin_url = postgres.create_database("backup")
    if postgres.has_trigrams():
        postgres.sql("CREATE EXTENSION pg_trgm", "backup")  # which the user does not own
    url = admin_url.replace("postgres@", "backup:backup@")
    path = f"{postgres_binaries()}:{os.environ['PATH']}"
    variables = {"DATABASE_URL": url, "PATH": path}
    with (
        create_role(admin_url, "backup", "backup", "CREATE ON SCHEMA public"),
        Service.gunicorn(tmp_path, DATABASE_URL=url) as service,
    ):
        note = httpx2.post(f"{service.url}/notes/", json={"text": "kept"}).json()
        with Load(service) as load:
            load.wait_for_writes(50)
            for command in (dump, restore, restore):
                result = run_shell(command, tmp_path, **variables)
                if "not found" in result.stderr or "server version" in result.stderr:
                    skip(result.stderr.strip())
                assert (result.returncode, result.stderr) == (0, "")
                load.wait_for_writes(50)
        print(load)
        assert load.answers.keys() <= {"201", "200", "404"}
        httpx2.delete(f"{service.url}/notes/{note['id']}/")
        assert run_shell(restore, tmp_path, **variables).returncode == 0
        assert httpx2.get(f"{service.url}/notes/{note['id']}/").json() == note
        # As after a restore of the data alone.
        postgres.sql("SELECT setval('notes_id_seq', 1, false)", "backup")
        assert httpx2.post(f"{service.url}/notes/", json={"text": "a"}).status_code == 409
        (repair,) = read_blocks(OPERATIONS, "Postgres", "sql")
        postgres.sql(repair, "backup")
        assert httpx2.post(f"{service.url}/notes/", json={"text": "a"}).status_code == 201


def test_the_index_for_searches_can_be_made_later(postgres: Postgres) -> None:
    """The statements that make it are those that a database takes once."""
    url = postgres.create_database("later")
    postgres.sql("CREATE TABLE notes (id bigserial PRIMARY KEY, text text)", "later")
    (statements,) = read_blocks(OPERATIONS, "Growing", "sql")
    for statement in statements.strip().rstrip(";").split(";"):
        try:
            postgres.sql(statement, url.rpartition("/")[2])
        except subprocess.CalledProcessError as error:
            if "pg_trgm" in error.stderr:
                skip("this Postgres has no pg_trgm")
            raise


def test_contributing_names_tests_that_there_are() -> None:
    """The command for one test on one database finds tests, all of that database."""
    (lines,) = read_blocks("CONTRIBUTING.md", "Run one test on one database", "sh")
    words = shlex.split(lines.splitlines()[0])
    assert words[:3] == [".venv/bin/python", "-m", "pytest"]
    result = subprocess.run(
        [sys.executable, *words[1:], "--collect-only", "-q", "-p", "no:cacheprovider"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = re.findall(r"::\S+", result.stdout)
    assert names
    assert all("postgres" in name for name in names)
