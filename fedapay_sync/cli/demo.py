"""``fedapay-sync demo`` : un paiement complet, sans compte, sans tunnel, sans réseau."""

import sys
import tempfile
import threading
import time
from pathlib import Path

import click

from ..catalogue import SANDBOX_GOOD_NUMBER
from ..connector import Connector
from ..emulator import Emulator
from ..enums import MethodesPaiement, Pays
from ..errors import FedapayError
from ..models import Outcome, PaiementSetup, UserData, WebhookHistory

_AMOUNT = 1000
#: Seconds that the payer of the demonstration takes to agree.
_THINKING = 1.0
#: No demonstration lasts longer, in seconds.
_PATIENCE = 30.0


class _Story:
    """Tells what happens, when, in aligned lines."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._lock = threading.Lock()

    def tell(self, what: str, detail: str = "", *, good: bool = False) -> None:
        """One step, with the seconds since the start."""
        seconds = f"{time.monotonic() - self._start:5.2f} s".replace(".", ",")
        mark = click.style("✓" if good else "·", fg="green" if good else None)
        with self._lock:
            click.echo(f"  {click.style(seconds, dim=True)}  {mark} {what:<34}{detail}".rstrip())


@click.command("demo")
@click.help_option("--help", "-h", help="Montrer cette aide.")
def demo() -> None:
    """
    Essayer un paiement complet, sans compte ni réseau.

    Démarre un FedaPay sur cette machine, encaisse 1 000 F CFA et montre chaque étape. Rien ne reste après, et les
    variables FEDAPAY_* ne sont pas lues. Code de sortie : 0 si c'est payé.
    """
    _make_printable()
    click.echo(f"Un paiement de {_francs(_AMOUNT)} avec FedaPay, du début à la fin, sur cette machine.\n")
    try:
        with tempfile.TemporaryDirectory(prefix="fedapay_sync-demo-") as folder:
            outcome = _play(Path(folder), _Story())
    except FedapayError as error:
        raise click.ClickException(str(error)) from None
    if not outcome.paid:
        raise click.ClickException(f"le paiement n'a pas abouti : {outcome.reason}.")
    click.echo("\nPour vos propres essais : fedapay-sync emulator --port 8080, puis les dix lignes du README.")


def _play(folder: Path, story: _Story) -> Outcome:
    with Emulator(delay=_THINKING) as fedapay:
        connector = Connector(
            fedapay.url,
            use_listen_server=True,
            listen_server_endpoint_name="webhooks",
            listen_server_port=0,
            fedapay_webhooks_secret_key=fedapay.webhook_secret,
            db_url=f"sqlite:///{folder / 'demo.db'}",
            api_key=fedapay.secret_key,
        )
        with connector:
            return _pay_and_wait(connector, fedapay, story)


def _pay_and_wait(connector: Connector, fedapay: Emulator, story: _Story) -> Outcome:
    asked, paid = threading.Event(), threading.Event()

    def on_webhook(event: WebhookHistory) -> None:
        # The first webhook may be quicker than the answer to our own call; the story keeps its order.
        asked.wait(_PATIENCE)
        story.tell("Webhook reçu, signature vérifiée", event.name or "", good=True)
        if event.paid:
            paid.set()

    story.tell("FedaPay de démonstration prêt", fedapay.url)
    connector.on_webhook(on_webhook)
    connector.start_webhook_server()
    fedapay.webhook_url = connector.webhook_url
    story.tell("Serveur de webhooks prêt", connector.webhook_url)

    payment = connector.pay(
        PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test),
        UserData(nom="Hounkpatin", prenom="Ayaba", email="ayaba@example.bj", tel=SANDBOX_GOOD_NUMBER),
        _AMOUNT,
        description="Démonstration",
    )
    story.tell("Transaction créée", f"n° {payment.id_transaction}, {_francs(_AMOUNT)}", good=True)
    story.tell("Invitation envoyée au téléphone", f"{SANDBOX_GOOD_NUMBER}, en attente du client…", good=True)
    asked.set()

    outcome = connector.finalise(payment.id_transaction, timeout=_PATIENCE)
    # The callback runs on a thread of its own; its line belongs before the last one.
    paid.wait(_PATIENCE if outcome.paid else 0)
    transaction = outcome.transaction
    if transaction is not None and outcome.paid:
        fees = f", dont {_francs(transaction.fees)} de frais" if transaction.fees else ""
        story.tell("Payé", f"{_francs(transaction.amount_debited or _AMOUNT)} débités{fees}", good=True)
    return outcome


def _francs(amount: int) -> str:
    return f"{amount:,} F CFA".replace(",", " ")


def _make_printable() -> None:
    """A terminal that knows no accents shows ? instead of ending the demonstration."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
