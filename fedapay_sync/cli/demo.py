"""``fedapay-sync demo``: a complete payment between an emulator and a connector of this process."""

import tempfile
from pathlib import Path

import click

from fedapay_sync.cli import demo_page
from fedapay_sync.cli.progress import ProgressPrinter, francs, make_printable
from fedapay_sync.common.countries import SANDBOX_GOOD_NUMBER
from fedapay_sync.concurrency.wake_event import WakeEvent
from fedapay_sync.connector.connector import Connector
from fedapay_sync.emulator import Emulator
from fedapay_sync.enums import MethodesPaiement, Pays
from fedapay_sync.errors import FedapayError
from fedapay_sync.models import Outcome, PaiementSetup, UserData, WebhookHistory

_AMOUNT = 1000
#: Seconds that the payer of the demonstration takes to agree.
_THINKING = 1.0
#: No demonstration lasts longer, in seconds.
_PATIENCE = 30.0


@click.command("demo")
@click.option("--page", is_flag=True, help="Payer soi-même, sur la page de paiement et le téléphone du client.")
@click.option("--no-browser", is_flag=True, help="Avec --page : écrire les adresses sans les ouvrir.")
@click.help_option("--help", "-h", help="Montrer cette aide.")
def demo(page: bool, no_browser: bool) -> None:
    """
    Essayer un paiement complet, sans compte ni réseau.

    Démarre un FedaPay sur cette machine, encaisse 1 000 F CFA et montre chaque étape. Rien ne reste après, et les
    variables FEDAPAY_* ne sont pas lues. Code de sortie : 0 si c'est payé.

    Avec --page, c'est vous qui payez : la page de paiement et le téléphone s'ouvrent dans un navigateur, ou leurs
    adresses s'écrivent s'il n'y en a pas, et la boutique montre ce qu'elle en voit.
    """
    make_printable()
    click.echo(f"Un paiement de {francs(_AMOUNT)} avec FedaPay, du début à la fin, sur cette machine.\n")
    try:
        with tempfile.TemporaryDirectory(prefix="fedapay_sync-demo-") as folder:
            if page:
                outcome = demo_page.play(Path(folder), ProgressPrinter(), _AMOUNT, browser=not no_browser)
            else:
                outcome = _play(Path(folder), ProgressPrinter())
    except FedapayError as error:
        raise click.ClickException(str(error)) from None
    if not outcome.paid:
        raise click.ClickException(f"le paiement n'a pas abouti : {outcome.reason}.")
    click.echo("\nPour vos propres essais : fedapay-sync emulator --port 8080, puis les dix lignes du README.")


def _play(folder: Path, progress: ProgressPrinter) -> Outcome:
    with Emulator(delay=_THINKING) as fedapay, demo_page.connector_to(fedapay, folder) as connector:
        return _pay_and_wait(connector, fedapay, progress)


def _pay_and_wait(connector: Connector, fedapay: Emulator, progress: ProgressPrinter) -> Outcome:
    asked, paid = WakeEvent(), WakeEvent()

    def on_webhook(event: WebhookHistory) -> None:
        # The first webhook may come before the answer to our own call; the lines keep their order.
        asked.wait(_PATIENCE)
        progress.step("Webhook reçu, signature vérifiée", event.name or "", good=True)
        if event.paid:
            paid.set()

    progress.step("FedaPay de démonstration prêt", fedapay.url)
    connector.on_webhook(on_webhook)
    connector.start_webhook_server()
    fedapay.webhook_url = connector.webhook_url
    progress.step("Serveur de webhooks prêt", connector.webhook_url)

    payment = connector.pay(
        PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test),
        UserData(nom="Hounkpatin", prenom="Ayaba", email="ayaba@example.bj", tel=SANDBOX_GOOD_NUMBER),
        _AMOUNT,
        description="Démonstration",
    )
    progress.step("Transaction créée", f"n° {payment.id_transaction}, {francs(_AMOUNT)}", good=True)
    progress.step("Invitation envoyée au téléphone", f"{SANDBOX_GOOD_NUMBER}, en attente du client…", good=True)
    asked.set()

    outcome = connector.finalise(payment.id_transaction, timeout=_PATIENCE, progress=False)
    # The callback runs on a thread of its own; its line belongs before the last one.
    paid.wait(_PATIENCE if outcome.paid else 0)
    transaction = outcome.transaction
    if transaction is not None and outcome.paid:
        fees = f", dont {francs(transaction.fees)} de frais" if transaction.fees else ""
        progress.step("Payé", f"{francs(transaction.amount_debited or _AMOUNT)} débités{fees}", good=True)
    return outcome
