"""
Les tests d'un projet Django contre un FedaPay à eux, sans compte et sans réseau : ``FedapayMixin``.

Avec pytest-django, les fixtures ``fedapay_emulator``, ``payer`` et ``webhook`` font de même.

Example::

    class Commandes(FedapayMixin, TestCase):
        def test_une_commande_payee_est_livree(self):
            self.client.post("/commandes", {"article": "pagne"})
            self.payer.agrees()
            assert Commande.objects.get().payee
"""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Dict, List, Optional, Sequence

from django.test import Client

from fedapay_sync.common.env import environment_changed, test_settings
from fedapay_sync.django.checks import has_route
from fedapay_sync.emulator import Emulator
from fedapay_sync.testing import fixtures
from fedapay_sync.testing.network import loopback_only
from fedapay_sync.testing.payer import Payer
from fedapay_sync.testing.webhooks import WebhookMaker

if TYPE_CHECKING:
    import unittest

__all__ = ["FedapayMixin"]


class FedapayMixin:
    """
    À mettre devant ``TestCase`` ou ``TransactionTestCase`` : chaque test a un FedaPay neuf, et une base des paiements
    neuve, dans un fichier à lui ; ni la base de la boutique ni le vrai FedaPay ne sont touchés.

    Le réglage ``FEDAPAY`` du projet y est remplacé. Les webhooks arrivent à la route du projet, et les callbacks sont
    appelés sur place, dans la transaction du test. Dans un bloc ``atomic`` du projet, ils attendent son
    ``on_commit``, que Django appelle dans un ``TestCase`` par ``captureOnCommitCallbacks(execute=True)``.

    Attributes:
        fedapay_emulator: le FedaPay de ce test.
        payer: le client, qui accepte ou refuse : ``self.payer.agrees()``.
        webhook: un webhook signé, à envoyer à la route : ``self.webhook("transaction.approved", id)``.
        fedapay_callbacks: ``"inline"``, à changer dans une ``TransactionTestCase`` : ``"here"`` ou ``"worker"``.
        fedapay_emulator_options: les arguments de l'émulateur.
        fedapay_allowed_hosts: les noms ou adresses que les tests peuvent joindre hors de cette machine.
    """

    fedapay_callbacks: str = "inline"
    fedapay_emulator_options: ClassVar[Dict[str, Any]] = {}
    fedapay_allowed_hosts: Sequence[str] = ()

    fedapay_emulator: Emulator
    payer: Payer
    webhook: WebhookMaker

    def run(self, result: "Optional[unittest.TestResult]" = None) -> "Optional[unittest.TestResult]":
        """Run the test with an emulator of its own, from before ``setUp`` to after the last cleanup."""
        with ExitStack() as stack:
            self._start_emulator(stack)
            # As a cleanup: what it raises, of a callback that has failed, is this test's failure.
            self.addCleanup(stack.close)  # type: ignore[attr-defined]
            ran: Optional[unittest.TestResult] = super().run(result)  # type: ignore[misc]
            return ran

    def _start_emulator(self, stack: ExitStack) -> None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fedapay-")))
        options = dict(self.fedapay_emulator_options)
        emulator = stack.enter_context(fixtures.running_emulator(_ports, options))
        stack.enter_context(loopback_only(self.fedapay_allowed_hosts))
        stack.enter_context(environment_changed(fixtures.environment(emulator, folder, self.fedapay_callbacks)))
        test_settings.update(fixtures.settings(emulator, folder, self.fedapay_callbacks))
        stack.callback(test_settings.clear)
        stack.callback(fixtures.close_connectors, emulator)
        if has_route():
            emulator.deliver_to(Client())
        self.fedapay_emulator = emulator
        self.payer = stack.enter_context(Payer(emulator))
        self.webhook = WebhookMaker(emulator)


#: The port of the emulators of this process.
_ports: List[int] = []
