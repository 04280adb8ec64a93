"""
A PostgreSQL server for tests: a throwaway cluster on a free loopback port, stopped, started and killed at will.

Not collected: ``pytest`` finds no ``test_`` in the name. Where Debian's binaries are missing the tests that need
them are skipped, unless ``REQUIRE_POSTGRES`` says that they must run.
"""

import contextlib
import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Iterator, List, Optional

import pytest

REQUIRED = "REQUIRE_POSTGRES"


def binaries() -> Optional[Path]:
    """Where initdb and postgres are, the newest of them; None if they are nowhere."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda path: float(path.split("/")[4]))
    known = found[-1] if found else shutil.which("initdb")
    return Path(known).parent if known else None


def _as_postgres() -> List[str]:
    # The server refuses to be root.
    return ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []


class PostgresServer:
    """One cluster, in a folder of its own."""

    user, password = "boutique", "motdepasse-secret"

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.folder = folder
        self._durable = durable
        self._bin = binaries()
        self._process: Optional[subprocess.Popen[bytes]] = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        if os.geteuid() == 0:
            import pwd  # not on Windows

            owner = pwd.getpwnam("postgres")
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        secret = folder / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)
        self._run("initdb", "-D", str(folder / "data"), "-U", self.user, "-A", "scram-sha-256",
                  f"--pwfile={secret}", "-E", "UTF8", "--locale=C.UTF-8", "-N")  # fmt: skip

    def _run(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [*_as_postgres(), str(self._bin / name), *arguments], cwd="/", capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> "PostgresServer":
        """Run it, and come back when it answers."""
        settings = {
            "port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": 200,
            "fsync": "on" if self._durable else "off", "shared_buffers": "16MB", "autovacuum": "off",
            "log_min_messages": "fatal",
        }  # fmt: skip
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_as_postgres(), str(self._bin / "postgres"), "-D", str(self.folder / "data"), *words],
                cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        end = time.monotonic() + 60
        while not self.answers():
            assert self._process.poll() is None and time.monotonic() < end, (self.folder / "log").read_text()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.05)
        return self

    def answers(self) -> bool:
        """Whether it takes connections."""
        import psycopg2

        try:
            psycopg2.connect(self.url, connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True

    @property
    def pid(self) -> int:
        """The first process of the server itself, whoever started it."""
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])

    def stop(self, how: int = signal.SIGINT) -> None:
        """End it: at once and tidily, or with SIGQUIT as if the power had failed."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                os.kill(self.pid, how)
            self._process.wait(30)

    def restart(self) -> None:
        """Away and back."""
        self.stop()
        self.start()

    @property
    def url(self) -> str:
        """The database as its owner reaches it."""
        return f"postgresql://{self.user}:{self.password}@127.0.0.1:{self.port}/postgres"

    def schema_url(self, schema: str) -> str:
        """A schema of its own in that database, made now."""
        self.execute(f'CREATE SCHEMA "{schema}"')
        return f"{self.url}?options=-csearch_path%3D{schema}"

    def execute(self, sql: str) -> list:
        """Run a statement, and what it gives."""
        import psycopg2

        connection = psycopg2.connect(self.url, connect_timeout=10)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()


@contextlib.contextmanager
def running_or_skipped(*, durable: bool = False) -> Iterator[PostgresServer]:
    """A server for a while, where there can be one."""
    why = why_not()
    if why:
        # Where it is promised, as in .ci/run, its absence must not look like success.
        (pytest.fail if os.environ.get(REQUIRED) else pytest.skip)(f"no PostgreSQL: {why}")
    with running(durable=durable) as server:
        yield server


def why_not() -> str:
    """What is missing here for a server of our own; empty if nothing is."""
    if binaries() is None:
        return "initdb is not installed (Debian: apt-get install postgresql)"
    try:
        import psycopg2  # noqa: F401
    except ImportError:
        return "psycopg2 is not installed (pip install psycopg2-binary)"
    return ""


@contextlib.contextmanager
def running(*, durable: bool = False) -> Iterator[PostgresServer]:
    """A server for a while."""
    # Not pytest's own temporary folder: that one is closed to the user postgres.
    folder = Path(tempfile.mkdtemp(prefix="fedapay-postgres-"))
    server = None
    try:
        server = PostgresServer(folder, durable=durable)
        yield server.start()
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
