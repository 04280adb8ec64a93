"""The examples, run as a reader would: a process of their own, against an emulator in another."""

import contextlib
import os
import re
import signal
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
