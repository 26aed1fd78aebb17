"""docs/operations.md and deploy/ say what is true: their commands are run on real servers."""

import importlib.util
import json
import logging
import re
import runpy
import shlex
import socket
import sys
import tomllib
from pathlib import Path
from typing import Any

import httpx2
import pytest

import main
from tests.fixtures import connect, create_note, open_client, problem, read_notes
from tests.load import Load
from tests.servers import ROOT, Postgres, Service, free_port, skip
from tests.servers import require_programs as require
from tests.test_readme import (
    ADDRESS,
    OPERATIONS,
    README,
    check_session,
    find_codes,
    read_blocks,
    read_document,
    read_rows,
    read_session,
    run_shell,
)

START = read_document("Procfile").removeprefix("web: ").strip()
DOCKERFILE = read_document("deploy/Dockerfile").replace("\\\n  ", "")


def store(url: str, *texts: str) -> list[Any]:
    """Return the notes that the service makes of texts in a database."""
    with open_client(DATABASE_URL=url) as client:
        return [create_note(client, text=text) for text in texts]


def run_sql_tools(command: str, folder: Path, url: str = "") -> str:
    """Return what a command prints that uses programs of SQLite or of Debian's Postgres."""
    require("sqlite3", "pg_dump")  # and so pg_trgm is there, too
    return run_shell(command, folder, DATABASE_URL=url)


# deploy/


def test_all_files_start_and_stop_alike() -> None:
    """Each starts the service as the Procfile does, and waits long enough after SIGTERM."""
    (docker,) = re.findall(r"^CMD (.*)", DOCKERFILE, re.MULTILINE)
    assert json.loads(docker) == shlex.split(START)
    render = re.sub(r"\s+", " ", read_document("deploy/render.yaml"))
    assert f"startCommand: >- {START} healthCheckPath" in render
    unit = read_document("deploy/notes.service").replace("\\\n  ", "")
    assert f"ExecStart=/srv/notes/.venv/bin/{START}\nTimeoutStopSec=25\n" in unit
    fly = tomllib.loads(read_document("deploy/fly.toml"))
    assert (fly["kill_signal"], fly["kill_timeout"]) == ("SIGTERM", "25s")
    assert "\n    stop_grace_period: 25s\n" in read_document("deploy/compose.yaml")


def test_compose_meets_its_schema() -> None:
    """compose.yaml is what the published schema of Compose's files allows."""
    if not importlib.util.find_spec("check_jsonschema"):
        skip("not installed: check-jsonschema")
    check = "-m check_jsonschema --builtin-schema vendor.compose-spec compose.yaml"
    run_shell(f"{sys.executable} {check}", ROOT / "deploy")


# From a clone


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of this repository, and in it what requirements.txt alone brings, by make."""
    require("git", "make")
    if not (ROOT / ".git").exists():
        skip("this is no clone of a repository")
    folder = tmp_path_factory.mktemp("clone") / "notes"
    run_shell(f"git clone --quiet {shlex.quote(str(ROOT))} {folder}", ROOT)
    run_shell("make .venv/requirements.txt", folder, PIP_NO_COMPILE="1")
    return folder


def test_each_way_from_a_clone_leads_to_an_answer(clone: Path, tmp_path: Path) -> None:
    """A clone serves by make and without, prints what is shown, and answers."""
    make, start = read_session(README, "Notes")[0]
    (block,) = read_blocks(README, "Notes", "sh")
    lines = [each for each in block.splitlines() if not each.startswith("uv ")]
    lines = [line.partition(" #")[0] for line in lines]
    for *steps, line in ([make], lines):
        for step in steps:
            run_shell(step, clone)
        command = ["bash", "-c", f"cd {clone} && exec {line}"]
        with Service(command, tmp_path, MAKEFLAGS="") as service:
            check_session(README, "Notes", service)
        start = start.replace("/home/ada/notes", str(clone))
        log = service.log.read_text().replace(service.url, ADDRESS)
        assert all(each in log for each in start.splitlines())
        (clone / "notes.db").unlink()


def test_the_dockerfiles_steps_lead_to_a_service(
    clone: Path, tmp_path: Path, postgres: Postgres
) -> None:
    """What it copies and runs makes a folder that serves, is healthy, and ends on SIGTERM.

    It has what requirements.txt alone brings, as on Heroku, and so has its Postgres.
    """
    folder = tmp_path / "srv"
    variables = {"PATH": f"{clone}/.venv/bin:/usr/bin:/bin", "PORT": str(free_port())}
    for step, words in re.findall(r"^(COPY|RUN) (.*)", DOCKERFILE, re.MULTILINE):
        if step == "COPY":
            *sources, target = words.split()
            paths = [f"{each}/." if (ROOT / each).is_dir() else each for each in sources]
            target = str(folder / target)
            run_shell(f"mkdir -p {target} && cp -r {' '.join(paths)} {target}", ROOT)
        else:
            run_shell(words.replace("--owner=nobody ", ""), folder, **variables)
    (url,) = re.findall(r"DATABASE_URL=(\S+)", DOCKERFILE)
    heroku_url = postgres.create_database("heroku").replace("postgresql:", "postgres:")
    (check,) = re.findall(r"^HEALTHCHECK .*CMD (.*)", DOCKERFILE, re.MULTILINE)
    command = ["sh", "-c", f"cd {folder} && exec {START}"]
    for database_url in (url.replace("/srv/notes", str(folder)), heroku_url):
        variables["DATABASE_URL"] = database_url
        with Service(command, tmp_path, **variables) as service:
            run_shell(shlex.join(json.loads(check)), folder, **variables)
            service.wait("/readyz")
            assert service.stop() == 0
        assert not re.search("Traceback|ERROR", service.log.read_text())


# What is before the service, and its log


def test_a_private_network_of_ipv6_alone_is_served(tmp_path: Path) -> None:
    """With the arguments of the table gunicorn listens on IPv6, and on IPv4 as well."""
    if not socket.has_dualstack_ipv6():
        skip("this machine has no IPv6")
    (bind,) = re.findall(r"`GUNICORN_CMD_ARGS=(--bind\S+)`", read_document(OPERATIONS))
    port = str(free_port())
    bind = bind.replace("8000", port)
    with Service.gunicorn(
        tmp_path, GUNICORN_CMD_ARGS=bind, PORT=port, WEB_CONCURRENCY="1"
    ):
        assert httpx2.get(f"http://[::1]:{port}/readyz").status_code == 200


def test_haproxy_answers_as_the_service_would(tmp_path: Path) -> None:
    """Without a ready instance it sends a problem document that a page can read."""
    require("haproxy")
    (lines,) = read_blocks(OPERATIONS, "A balancer", "haproxy")
    port = str(free_port())
    lines = lines.replace("bind :80", f"bind 127.0.0.1:{port}")
    lines = re.sub(r"10\.0\.0\.\d:8000", "127.0.0.1:1", lines)
    (tmp_path / "haproxy.cfg").write_text(lines)
    assert "WARNING" not in run_shell("haproxy -c -f haproxy.cfg", tmp_path)
    balancer = Service(["haproxy", "-f", f"{tmp_path}/haproxy.cfg"], tmp_path, PORT=port)
    with httpx2.Client(transport=httpx2.HTTPTransport(retries=5)) as client:
        response = client.get(f"{balancer.url}/notes/")
    balancer.stop()
    assert response.status_code == 503
    headers = {"content-type": "application/problem+json", "retry-after": "1"}
    headers["access-control-allow-origin"] = "*"
    assert headers.items() <= response.headers.items()
    assert response.json().keys() == main.Problem.model_fields.keys() - {"errors"}


@pytest.mark.parametrize("row", [0, 1, 2], ids=["plain", "with time", "JSON"])
def test_gunicorn_logs_each_request_once(row: int, tmp_path: Path) -> None:
    """With each row of the table a search is in the log, in the form that the row says."""
    (arguments,) = find_codes(read_rows(OPERATIONS, "Logs")[row][0])
    settings = {"GUNICORN_CMD_ARGS": arguments, "WEB_CONCURRENCY": "1"}
    with Service.gunicorn(tmp_path, **settings) as service:
        httpx2.get(f"{service.url}/notes/?q=tap")
    lines = service.log.read_text().splitlines()
    (line,) = (line for line in lines if "q=tap" in line)
    if row == 2:
        request = json.loads(line)
        assert request.items() >= {"method": "GET", "http": "1.1", "status": 200}.items()
        names = {"time", "level", "process"}
        assert all(names <= json.loads(line).keys() for line in lines)
    else:
        (shown,) = find_codes(read_rows(OPERATIONS, "Logs")[0][1])
        time = r"\[[-\d]+ [:\d]+ [+\d]+\] \[\d+\] \[INFO\] " if row else ""
        assert re.fullmatch(time + re.escape(shown).replace("37806", r"\d+"), line)


def test_json_lines_hold_tracebacks() -> None:
    """A bug is one line of JSON, with its traceback."""
    formatter = runpy.run_path(str(ROOT / "docs/json_lines.py"))["JSONFormatter"]()
    bug = (ValueError, ValueError("seven"), None)
    record = logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, "a bug", (), bug)
    assert json.loads(formatter.format(record))["traceback"] == "ValueError: seven"


# The bad day


def test_a_backup_is_made_and_restored_under_load(
    empty_database: str, tmp_path: Path
) -> None:
    """It brings back what was acknowledged, and no request fails meanwhile."""
    kind = "SQLite" if empty_database.startswith("sqlite") else "Postgres"
    back_up, *restore = read_blocks(OPERATIONS, kind, "sh")[0].splitlines()
    (note,) = store(empty_database, "kept")
    with Service.gunicorn(tmp_path, DATABASE_URL=empty_database) as service:
        with Load(service) as load:
            for command in (back_up, *restore, back_up):
                load.wait_for_writes(50)
                if command == back_up:
                    (tmp_path / "backup.db").unlink(missing_ok=True)
                run_sql_tools(command, tmp_path, empty_database)
        assert load.answers.keys() <= {"201", "200", "404"}  # 404: restored away
        httpx2.delete(f"{service.url}/notes/{note['id']}/")
        for command in restore:
            run_sql_tools(command, tmp_path, empty_database)
        assert httpx2.get(f"{service.url}/notes/{note['id']}/").json() == note


def test_a_file_is_put_in_the_place_of_sqlites(tmp_path: Path) -> None:
    """Beside the service it is noticed, and after the printed commands it is whole."""
    back_up, by_hand = read_blocks(OPERATIONS, "SQLite", "sh")
    url = f"sqlite:///{tmp_path}/notes.db"
    with open_client(DATABASE_URL=url) as client:
        note = create_note(client)
        run_sql_tools(back_up.splitlines()[0], tmp_path)
        (tmp_path / "backup.db").replace(tmp_path / "notes.db")
        assert client.post("/notes/", json={"text": "lost"}).status_code == 503
        run_sql_tools("sqlite3 notes.db '.backup backup.db'", tmp_path)
    run_sql_tools(by_hand, tmp_path)
    assert run_sql_tools("sqlite3 notes.db 'PRAGMA integrity_check'", tmp_path) == "ok\n"
    with open_client(DATABASE_URL=url) as client:
        assert read_notes(client) == [note]


def test_a_dump_is_restored_into_an_empty_database(
    postgres: Postgres, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The printed lines bring the notes, and the setval() what the sequence has lost.

    Until then POST is 409, and the log names setval().
    """
    back_up, *restore = read_blocks(OPERATIONS, "Postgres", "sh")[0].splitlines()
    url = postgres.create_database("dumped")
    (note,) = store(url, "kept")
    run_sql_tools(back_up, tmp_path, url)
    url = postgres.create_database("empty")
    for command in restore:
        run_sql_tools(command, tmp_path, url)
    with open_client(DATABASE_URL=url) as client, connect(url) as sql:
        assert read_notes(client) == [note]
        sql("SELECT setval('notes_id_seq', 1, false)")  # as if the data alone came
        assert problem(client.post("/notes/", json={"text": "next"})) == 409
        assert "setval()" in caplog.text
        sql(read_blocks(OPERATIONS, "Postgres", "sql")[0])
        assert create_note(client)["id"] == note["id"] + 1


def test_each_night_there_is_a_backup(postgres: Postgres, tmp_path: Path) -> None:
    """The script for cron leaves a backup of either database, which holds its notes."""
    (script,) = read_blocks(OPERATIONS, "Every night", "sh")
    for folder in ("/etc", "/var/backups/notes", "/var/lib/notes"):
        script = script.replace(folder, str(tmp_path))
    show_rows = {
        postgres.create_database("nightly"): "pg_restore --data-only --file=- [1-7].*",
        f"sqlite:///{tmp_path}/notes.db": "sqlite3 [1-7].* 'SELECT * FROM notes'",
    }
    for url, command in show_rows.items():
        store(url, "kept")
        (tmp_path / "notes.env").write_text(f"DATABASE_URL='{url}'\n")
        run_sql_tools(script, tmp_path)
        row = run_sql_tools(command, tmp_path).replace("|", "\t")
        assert re.search(r"^1\tkept\t[f0]$", row, re.MULTILINE)


def test_sqlite_moves_to_postgres(postgres: Postgres, tmp_path: Path) -> None:
    """All notes come with their ids, whatever their texts hold, and ids go on from there."""
    (script,) = read_blocks(OPERATIONS, "From SQLite to Postgres", "sh")
    texts = ["plain", "", "two\nlines\r\n", "a|b,c;'\"\\.\\N\\x41", "\x1b[31m \t", "é 🚰"]
    url = f"sqlite:///{tmp_path}/notes.db"
    store(url, "deleted", *texts)
    with open_client(DATABASE_URL=url) as client:
        client.delete("/notes/1/")
        client.patch("/notes/2/", json={"completed": True})
        notes = read_notes(client)
    assert [note["text"] for note in notes] == texts
    url = postgres.create_database("moved")
    with open_client(DATABASE_URL=url) as client:
        run_sql_tools(script, tmp_path, url)
        assert read_notes(client) == notes
        assert create_note(client)["id"] == notes[-1]["id"] + 1


def test_searches_on_a_database_of_ones_own(postgres: Postgres, tmp_path: Path) -> None:
    """As printed it knows the cases of all letters, and gets its index later."""
    (command,) = re.findall(r"`(createdb .*) notes`", read_document(OPERATIONS))
    postgres.sql("DROP DATABASE IF EXISTS printed")
    run_sql_tools(f"{command} --maintenance-db={postgres.url()} printed", tmp_path)
    (statements,) = read_blocks(OPERATIONS, "When things break", "sql")
    with connect(postgres.url("printed")) as sql:
        assert sql("SELECT 'ÉTÉ' ILIKE 'été'").fetchone() == (True,)
        sql("CREATE TABLE notes (id bigserial PRIMARY KEY, text text)")
        for statement in statements.strip().rstrip(";").split(";"):
            sql(statement)
