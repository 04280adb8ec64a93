"""``fedapay-sync demo --page``: a person pays, on the payment page and the phone in a browser."""

import os
import sys
import webbrowser
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterable, List
from urllib.parse import parse_qs

import click

from fedapay_sync.cli.progress import ProgressPrinter, francs
from fedapay_sync.common.countries import SANDBOX_GOOD_NUMBER
from fedapay_sync.concurrency.wake_event import WakeEvent
from fedapay_sync.connector.connector import Connector
from fedapay_sync.emulator import Emulator
from fedapay_sync.enums import Pays, TypesPaiement
from fedapay_sync.models import Outcome, PaiementSetup, UserData, WebhookHistory
from fedapay_sync.server.web_server import WebServer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

#: Seconds that a person may take to pay.
_PATIENCE = 1800.0
#: Seconds that the way back to the shop may take, once it is paid.
_WAY_BACK = 15.0
#: Seconds for what needs no person.
_MOMENT = 30.0

_THANKS = """<!doctype html>
<html lang="fr"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Boutique</title>
<h1>De retour à la boutique</h1>
<p>FedaPay vous a renvoyé ici. Ce que la boutique a vu est dans le terminal.</p>
</html>
"""


class _Shop:
    """The shop that the payer is sent back to: one page, which reports the query of its address."""

    def __init__(self, progress: ProgressPrinter) -> None:
        self._progress = progress
        self._back = WakeEvent()
        self._paid = WakeEvent()
        self.server = WebServer(self, name="fedapay-demo-shop")

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ.get("PATH_INFO") != "/retour":
            start_response("404 Not Found", [])
            return []
        query = parse_qs(environ.get("QUERY_STRING", ""))
        said = ", ".join(f"{name}={query[name][0]!r}" for name in ("id", "status") if name in query)
        self._progress.step("Le navigateur est revenu", said, good=True)
        self._back.set()
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [_THANKS.encode("utf-8")]

    def hear(self, event: WebhookHistory) -> None:
        """The callback ``on_webhook`` of the connector."""
        self._progress.step("Webhook reçu, signature vérifiée", event.name or "", good=True)
        if event.paid:
            self._paid.set()

    def wait_for_payment(self, seconds: float) -> bool:
        """Until the webhook has said so."""
        return _wait(self._paid, seconds)

    def wait_for_return(self) -> None:
        """Wait a moment, so that the page that the payer is sent to is still served."""
        _wait(self._back, _WAY_BACK)


def play(folder: Path, progress: ProgressPrinter, amount: int, *, browser: bool) -> Outcome:
    """
    Let a person pay.

    Args:
        folder: for the database.
        browser: open the pages, where there is a screen.
    """
    shop = _Shop(progress)
    with ExitStack() as running:
        running.enter_context(shop.server)
        fedapay = running.enter_context(Emulator())
        connector = running.enter_context(connector_to(fedapay, folder))
        connector.on_webhook(shop.hear)
        connector.start_webhook_server()
        fedapay.webhook_url = connector.webhook_url
        payment = connector.pay(
            PaiementSetup(pays=Pays.benin, type_paiement=TypesPaiement.AVEC_REDIRECTION),
            UserData(nom="Hounkpatin", prenom="Ayaba", email="ayaba@example.bj", tel=SANDBOX_GOOD_NUMBER),
            amount,
            callback_url=f"{shop.server.url}/retour",
            description="Démonstration",
        )
        progress.step("Transaction créée", f"n° {payment.id_transaction}, {francs(amount)}", good=True)
        phone = f"{fedapay.url}/telephone/{SANDBOX_GOOD_NUMBER}"
        _show([str(payment.payment_link), phone], fedapay.desk_url, browser=browser and _has_screen())
        return _follow(connector, shop, progress, payment.id_transaction)


def _follow(connector: Connector, shop: _Shop, progress: ProgressPrinter, id_transaction: Any) -> Outcome:
    outcome = connector.finalise(id_transaction, timeout=_PATIENCE, progress=False)
    if not outcome.paid and outcome.reason in ("declined", "canceled"):
        progress.step("Pas payé", f"{outcome.reason} ; réessayer sur la page, ou Ctrl-C pour finir")
        if shop.wait_for_payment(_PATIENCE):
            outcome = connector.finalise(id_transaction, timeout=_MOMENT, progress=False)
    if outcome.paid:
        # The callback runs on a thread of its own; its line belongs before the last ones.
        shop.wait_for_payment(_MOMENT)
        debited = outcome.transaction.amount_debited if outcome.transaction else None
        progress.step("Payé", f"{francs(debited or outcome.amount or 0)} débités", good=True)
        shop.wait_for_return()
    return outcome


def connector_to(fedapay: Emulator, folder: Path) -> Connector:
    """A connector to that emulator; it reads no variable, and its database is in that folder."""
    return Connector(
        fedapay.url,
        use_listen_server=True,
        listen_server_endpoint_name="webhooks",
        listen_server_port=0,
        fedapay_webhooks_secret_key=fedapay.webhook_secret,
        db_url=f"sqlite:///{folder / 'demo.db'}",
        api_key=fedapay.secret_key,
    )


def _show(pages: List[str], desk: str, *, browser: bool) -> None:
    opened = browser and all(list(map(webbrowser.open, pages)))
    click.echo("")
    click.echo("À vous de payer, dans le navigateur :" if opened else "À vous de payer. Ouvrir dans un navigateur :")
    for name, address in zip(("Page de paiement", "Téléphone du client", "Tableau de bord"), (*pages, desk)):
        click.echo(f"  {name:<20} {address}")
    click.echo("")


def _has_screen() -> bool:
    """Whether a browser would be seen: one in a terminal would only be in the way."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _wait(event: WakeEvent, seconds: float) -> bool:
    """In slices: on Windows a long wait cannot be interrupted by Ctrl-C."""
    return any(event.wait(0.2) for _ in range(int(seconds / 0.2) + 1))
