"""The Django shop of the examples: its tests on both databases, and its start by one line."""

import contextlib
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from support.postgres_server import PostgresServer

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def django_shop(tmp_path: Path) -> Path:
    """The project, in a folder that its databases may be written into."""
    pytest.importorskip("django")
    return Path(shutil.copytree(EXAMPLES / "boutique_django", tmp_path / "boutique_django"))


def environment(**more: str) -> "dict[str, str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FEDAPAY_", "DJANGO_", "PG"))}
    path = os.pathsep.join([str(EXAMPLES.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**clean, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", **more}


def run(shop: Path, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=shop,
        env=environment(**more),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )


def test_the_tests_of_the_django_shop_pass(django_shop: Path) -> None:
    """
    By Django's own runner; its checks and its migrations are in order, and no database of the payments is left.
    """
    tested = run(django_shop, "-W", "error::RuntimeWarning", "manage.py", "test")

    assert tested.returncode == 0 and "OK" in tested.stderr, tested.stderr
    made = run(django_shop, "manage.py", "makemigrations", "--check", "--dry-run")
    assert made.returncode == 0, made.stdout
    assert [each.name for each in django_shop.glob("*fedapay*")] == []


def test_the_tests_of_the_django_shop_pass_on_postgresql(django_shop: Path, postgres_server: PostgresServer) -> None:
    """
    No connection of ours is in the way as the test database is dropped, and the shop's own gets no table.
    """
    where = {
        "BOUTIQUE_POSTGRES": "1",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(postgres_server.port),
        "PGUSER": postgres_server.user,
        "PGPASSWORD": postgres_server.password,
        "PGDATABASE": "postgres",
    }
    before = postgres_server.execute("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'fp_%'")
    tested = run(django_shop, "manage.py", "test", "--noinput", **where)

    assert tested.returncode == 0 and "OK" in tested.stderr, tested.stderr
    assert postgres_server.execute("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'fp_%'") == before
    assert postgres_server.execute("SELECT count(*) FROM pg_database WHERE datname = 'test_postgres'") == [(0,)]


def test_what_the_django_shop_writes_about_payments_is_its_own_business() -> None:
    """
    At most twenty-five lines, and no connector, signature, retry or connection in them.
    """
    folder = EXAMPLES / "boutique_django" / "commandes"
    source = "".join((folder / name).read_text(encoding="utf-8") for name in ("paiements.py", "fedapay_callbacks.py"))

    assert len([line for line in source.splitlines() if line]) <= 25
    assert not re.search(r"Connector\(|signature|csrf|environ|connection", source)


@pytest.mark.faults
@pytest.mark.long
def test_the_django_shop_starts_with_one_line_and_is_paid(django_shop: Path, free_port: int, eventually: Any) -> None:
    """
    The order is made with the form and its token, paid at the emulator in its own process, and delivered by the process
    that serves; the one that only watches files has no database of ours open.
    """
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        fedapay_port = other.getsockname()[1]
    shop = f"http://127.0.0.1:{free_port}"
    process = subprocess.Popen(
        [sys.executable, "demarrer.py"],
        cwd=django_shop,
        env=environment(BOUTIQUE_PORT=str(free_port), FEDAPAY_API_URL=f"http://127.0.0.1:{fedapay_port}"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    session = requests.Session()
    session.trust_env = False

    def page(path: str) -> str:
        assert process.poll() is None, process.communicate()[0]
        try:
            return session.get(f"{shop}{path}", timeout=20).text
        except requests.ConnectionError:
            return ""

    try:
        token = re.search(r'csrfmiddlewaretoken" value="([^"]+)"', eventually(lambda: page("/"), 60))
        assert token is not None
        form = {"csrfmiddlewaretoken": token.group(1), "article": "panier", "telephone": "0164000001"}
        eventually(lambda: _listens(fedapay_port), 60)
        sent = session.post(f"{shop}/commandes", data=form, allow_redirects=False, timeout=30)
        assert sent.status_code == 302 and sent.headers["Location"].startswith(f"http://127.0.0.1:{fedapay_port}/")
        number = _value(django_shop, "SELECT id_transaction FROM commandes_commande")
        eventually(lambda: "Payée, elle part." in page(f"/retour?id={number}"), 30)
        eventually(lambda: _value(django_shop, "SELECT payee FROM commandes_commande"), 30)
        assert (django_shop / "db.fedapay.sqlite3").stat().st_mode & 0o077 == 0
        if Path("/proc").is_dir():
            assert len(_processes_with(django_shop / "db.fedapay.sqlite3")) == 1
    finally:
        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=30)[0]
    assert "Traceback" not in output.replace("KeyboardInterrupt", ""), output


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def _value(shop: Path, sql: str) -> Any:
    with contextlib.closing(sqlite3.connect(shop / "db.sqlite3")) as database:
        return database.execute(sql).fetchone()[0]


def _processes_with(file: Path) -> "set[str]":
    found = set()
    for each in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if each.resolve() == file.resolve():
                found.add(each.parts[2])
    return found
