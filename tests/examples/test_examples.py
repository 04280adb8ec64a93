"""The examples, run as a reader would: a process of their own, against an emulator in another."""

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
from typing import Any, Iterator

import pytest
import requests

from fedapay_sync.emulator import SANDBOX_SECRET_KEY, SANDBOX_WEBHOOK_SECRET

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
#: Seconds within which an example must have come to its end.
PATIENCE = 60


class Stage:
    """An emulator in its own process, and the environment that an example reads."""

    def __init__(self, folder: Path, port: int, endpoint: str) -> None:
        self.port = port
        self.database = folder / "example.db"
        webhook_url = f"http://127.0.0.1:{port}/{endpoint}"
        self.fedapay = subprocess.Popen(
            [sys.executable, "-m", "fedapay_sync.cli", "emulator", "--delay", "1", "--webhook-url", webhook_url],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.fedapay.stdout is not None
        self.url = self.fedapay.stdout.readline().split()[-1]
        self.environment = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "PYTHONIOENCODING": "utf-8",
            "PORT": str(self.port),
            "FEDAPAY_API_URL": self.url,
            "FEDAPAY_API_KEY": SANDBOX_SECRET_KEY,
            "FEDAPAY_AUTH_KEY": SANDBOX_WEBHOOK_SECRET,
            "FEDAPAY_DB_URL": f"sqlite:///{self.database}",
        }

    def start(self, example: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, str(EXAMPLES / example)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )

    def run(self, example: str) -> str:
        process = self.start(example)
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, output
        assert "Traceback" not in output
        return output

    def waits_for(self, number: str) -> bool:
        """Whether an example's wait for that transaction is on disk."""
        with contextlib.closing(sqlite3.connect(self.database)) as database:
            return bool(database.execute("SELECT 1 FROM fp_listen WHERE transaction_id = ?", (number,)).fetchone())

    def status_of(self, number: str) -> str:
        """Where that transaction stands at the emulator."""
        with requests.Session() as session:
            session.trust_env = False
            headers = {"Authorization": f"Bearer {SANDBOX_SECRET_KEY}"}
            answer = session.get(f"{self.url}/v1/transactions/{number}", headers=headers, timeout=10)
        return str(answer.json()["v1/transaction"]["status"])

    def close(self) -> None:
        self.fedapay.send_signal(signal.SIGTERM)
        assert self.fedapay.wait(10) == 0


@pytest.fixture
def stage(tmp_path: Path, free_port: int, request: Any) -> Iterator[Stage]:
    made = Stage(tmp_path, free_port, getattr(request, "param", "webhooks"))
    yield made
    made.close()


def test_example_1_follows_a_payment_by_reading_its_status(stage: Stage) -> None:
    """
    Without webhooks, by hand and by finalise.
    """
    output = stage.run("01_suivi_simple.py")

    assert "Statut lu : approved" in output
    assert output.rstrip().endswith("Payé")


def test_example_2_receives_its_webhooks_itself(stage: Stage) -> None:
    """
    Both callbacks run, and finalise ends by the webhook.
    """
    output = stage.run("02_serveur_integre.py")

    assert "Paiement lancé : " in output
    assert "Webhook reçu : transaction.approved, payé : True" in output
    assert "Payé : 1000 F CFA" in output


def test_example_3_takes_up_again_what_a_killed_process_waited_for(stage: Stage, eventually: Any) -> None:
    """
    Killed while it waits; the next start tells the end of that wait, and goes on with its own.
    """
    first = stage.start("03_reprise_apres_redemarrage.py")
    assert first.stdout is not None
    number = re.search(r"Transaction (\d+) en attente", first.stdout.readline() + first.stdout.readline())
    assert number is not None
    eventually(lambda: stage.waits_for(number.group(1)))
    first.kill()
    first.communicate(timeout=PATIENCE)
    eventually(lambda: stage.status_of(number.group(1)) == "approved")

    output = stage.run("03_reprise_apres_redemarrage.py")

    assert f"Reprise : transaction {number.group(1)}, transaction.approved" in output
    assert output.count("Reprise : ") == 1
    assert "Payé" in output


@pytest.mark.parametrize("stage", ["webhooks/fedapay"], indirect=True)
def test_example_4_marks_an_order_paid_in_an_existing_flask_application(stage: Stage, eventually: Any) -> None:
    """
    The web request answers at once; the webhook marks the order.
    """
    process = stage.start("04_application_flask.py")
    shop = f"http://127.0.0.1:{stage.port}"
    session = requests.Session()
    session.trust_env = False

    def answers() -> bool:
        assert process.poll() is None, process.communicate()[0]
        try:
            return session.get(f"{shop}/commandes/0", timeout=5).ok
        except requests.ConnectionError:
            return False

    try:
        eventually(answers, 30)
        order = session.post(f"{shop}/commandes", timeout=30).json()["commande"]
        state = eventually(
            lambda: session.get(f"{shop}/commandes/{order}", timeout=5).json()["etat"] != "en attente", 30
        )
        assert state
        assert session.get(f"{shop}/commandes/{order}", timeout=5).json()["etat"] == "payée"
        # The payer's browser comes back: what it says is not believed, what the shop knows is.
        for number, state in ((order, "payée"), ("999", "en cours de vérification")):
            back = session.get(f"{shop}/retour?id={number}&status=declined", timeout=30).json()
            assert back == {"commande": number, "etat": state}
    finally:
        process.terminate()
        process.communicate(timeout=10)


@pytest.fixture
def flask_shop(tmp_path: Path) -> Path:
    """The package of the Flask shop, in a folder that its databases may be written into."""
    return Path(shutil.copytree(EXAMPLES / "boutique_flask", tmp_path / "boutique_flask"))


def test_the_tests_of_the_flask_shop_pass(flask_shop: Path) -> None:
    """
    By a pytest that knows nothing of this project but its plugin.
    """
    _passes(flask_shop, flask_shop)


#: Where the shop's tests ask for their databases, in place of what its own conftest gives.
_ON_POSTGRESQL = """
import os, uuid
import psycopg2, pytest

@pytest.fixture
def bases():
    url, schema = os.environ["SHOP_POSTGRES"], f"t{uuid.uuid4().hex}"
    connection = psycopg2.connect(url)
    connection.autocommit = True
    connection.cursor().execute(f'CREATE SCHEMA "{schema}"')
    connection.close()
    found = f"{url}?options=-csearch_path%3D{schema}"
    return {"FEDAPAY_DB_URL": found, "SQLALCHEMY_DATABASE_URI": found.replace(":", "+psycopg2:", 1)}
"""


@pytest.mark.faults
@pytest.mark.long
def test_the_tests_of_the_flask_shop_pass_on_postgresql(flask_shop: Path, postgres_server: Any) -> None:
    """
    The same tests, with one database for the orders and the payments.
    """
    folder = flask_shop / "tests" / "postgresql"
    folder.mkdir()
    (folder / "conftest.py").write_text(_ON_POSTGRESQL, encoding="utf-8")
    shutil.move(flask_shop / "tests" / "test_boutique.py", folder)

    _passes(flask_shop, folder, SHOP_POSTGRES=postgres_server.url)

    tables = postgres_server.execute("SELECT DISTINCT tablename FROM pg_tables WHERE schemaname LIKE 't%'")
    assert {("commande",), ("fp_event",)} <= set(tables)


def _passes(flask_shop: Path, tests: Path, **environment: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(flask_shop), str(tests)],
        cwd=flask_shop,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )

    assert run.returncode == 0 and " passed" in run.stdout, run.stdout


def test_what_the_flask_shop_writes_about_payments_is_its_own_business() -> None:
    """
    At most twenty lines, and no connector, signature, retry or context in them.
    """
    source = (EXAMPLES / "boutique_flask" / "boutique" / "paiements.py").read_text(encoding="utf-8")

    assert len(source.splitlines()) <= 20
    assert not re.search(r"Connector\(|signature|app_context|environ|config", source)


@pytest.mark.faults
@pytest.mark.long
def test_the_flask_shop_starts_with_one_line_and_is_paid(flask_shop: Path, free_port: int, eventually: Any) -> None:
    """
    The order is made with the form and its token, paid at the emulator in its own process, and delivered; the payer's
    browser comes back to a page that says so. Ctrl-C ends both processes.
    """
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        fedapay_port = other.getsockname()[1]
    shop = f"http://127.0.0.1:{free_port}"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FEDAPAY_", "FLASK_"))}
    process = subprocess.Popen(
        [sys.executable, "demarrer.py"],
        cwd=flask_shop,
        env={
            **clean,
            "PYTHONPATH": str(EXAMPLES.parent),
            "PYTHONIOENCODING": "utf-8",
            "FLASK_RUN_PORT": str(free_port),
            "FEDAPAY_API_URL": f"http://127.0.0.1:{fedapay_port}",
        },
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
        token = re.search(r'csrf_token" value="([^"]+)"', eventually(lambda: page("/"), 60))
        assert token is not None
        form = {"csrf_token": token.group(1), "article": "panier", "telephone": "0164000001"}
        eventually(lambda: _listens(fedapay_port), 60)
        sent = session.post(f"{shop}/commandes", data=form, allow_redirects=False, timeout=30)
        assert sent.status_code == 302 and sent.headers["Location"].startswith(f"http://127.0.0.1:{fedapay_port}/")
        number = _number_of(flask_shop)
        eventually(lambda: "Payée, elle part." in page(f"/retour?id={number}"), 30)
        eventually(lambda: _is_delivered(flask_shop), 30)
    finally:
        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=30)[0]
    assert "Traceback" not in output.replace("KeyboardInterrupt", ""), output


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def _number_of(shop: Path) -> str:
    with contextlib.closing(sqlite3.connect(shop / "instance" / "boutique.db")) as database:
        return str(database.execute("SELECT id_transaction FROM commande").fetchone()[0])


def _is_delivered(shop: Path) -> bool:
    with contextlib.closing(sqlite3.connect(shop / "instance" / "boutique.db")) as database:
        return bool(database.execute("SELECT 1 FROM commande WHERE payee").fetchone())
