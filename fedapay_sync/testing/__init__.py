"""
Le plugin pytest : une boutique testée contre un FedaPay à elle, sans compte et sans réseau.

Installé avec le paquet, il n'a pas à être déclaré. Les fixtures :

* ``fedapay_emulator`` : un FedaPay neuf pour ce test ; les variables ``FEDAPAY_*`` y mènent ;
* ``fedapay_connector`` : un connecteur qui lui parle et en reçoit les webhooks ;
* ``fedapay_config`` : les réglages qui y mènent une boutique faite par une fonction, ``create_app`` ;
* ``payer`` : le client, qui accepte ou refuse ;
* ``webhook`` : un webhook signé, à envoyer à sa propre route ;
* ``fedapay_clock`` : l'heure de FedaPay, qui avance d'un jour si l'on veut.

Une boutique qui construit son connecteur elle-même reçoit ses webhooks par ``fedapay_emulator.deliver_to(app)``. Où
courent les callbacks se choisit par ``fedapay_callbacks``. Au bout du test, tout connecteur est fermé, et aucun thread
ne reste.

``payer`` et ``webhook`` s'appellent aussi ``fedapay_payer`` et ``fedapay_webhook``. Tant que l'une d'elles sert, rien
ne sort de cette machine.

Example:
    >>> def test_une_commande_payee_est_livree(fedapay_connector, payer):
    ...     paiement = fedapay_connector.pay(setup, client, 1000)
    ...     payer.agrees()
    ...     assert fedapay_connector.finalise(paiement.id_transaction).paid
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Sequence

from fedapay_sync.common import env
from fedapay_sync.testing.network import NetworkForbidden, loopback_only
from fedapay_sync.testing.payer import Payer
from fedapay_sync.testing.receipt import CallbackFailed, PaymentRequestMissing, WebhookNotReceived

if TYPE_CHECKING:
    import pytest
    from pytest import fixture

    # pytest imports this module at every start; what a fixture needs is imported by the fixture.
    from fedapay_sync.connector.connector import Connector
    from fedapay_sync.emulator import Emulator, EmulatorClock
    from fedapay_sync.testing.webhooks import WebhookMaker

else:
    try:
        from pytest import fixture
    except ImportError:
        # The tests of a Django project may be run by Django alone, and its mixin has what the fixtures use.
        def fixture(function=None, **options):
            """What stands for pytest's decorator where there is no pytest."""
            return function or fixture


__all__ = ["CallbackFailed", "NetworkForbidden", "Payer", "PaymentRequestMissing", "WebhookNotReceived"]


@fixture
def fedapay_allowed_hosts() -> Sequence[str]:
    """Les noms ou adresses que les tests peuvent joindre hors de cette machine ; à redéfinir, comme ``["db"]``."""
    return ()


@fixture
def fedapay_emulator_options() -> Dict[str, Any]:
    """Les arguments de l'émulateur ; à redéfinir, comme ``{"secret_key": "sk_live_essai"}``."""
    return {}


@fixture
def fedapay_callbacks(request: "pytest.FixtureRequest") -> str:
    """
    Où courent les callbacks, ``"here"`` ; à redéfinir : ``"inline"``, dans le thread qui a reçu le webhook. Sous
    pytest-django, ``"inline"`` : les autres threads ne voient pas la transaction d'un test.
    """
    is_django = request.config.pluginmanager.hasplugin("django") and "fedapay_sync.django" in sys.modules
    return "inline" if is_django else "here"


@fixture(scope="session")
def _fedapay_ports() -> List[int]:
    """The port of this session's emulators, once there is one: a shop made at import has its address for good."""
    return []


@fixture
def fedapay_emulator(
    tmp_path: Path,
    monkeypatch: "pytest.MonkeyPatch",
    fedapay_allowed_hosts: Sequence[str],
    fedapay_emulator_options: Dict[str, Any],
    fedapay_callbacks: str,
    _fedapay_ports: List[int],
) -> Iterator["Emulator"]:
    """Un FedaPay neuf, où rien n'arrive tant que le test ne le dit pas."""
    from fedapay_sync.testing.fixtures import close_connectors, environment, running_emulator, settings

    with running_emulator(_fedapay_ports, fedapay_emulator_options) as emulator, loopback_only(fedapay_allowed_hosts):
        # The test's own patches are undone with these, in their order: none of ours outlives the test.
        for name, value in environment(emulator, tmp_path, fedapay_callbacks).items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        env.test_settings.update(settings(emulator, tmp_path, fedapay_callbacks))
        try:
            yield emulator
        finally:
            close_connectors(emulator)
            env.test_settings.clear()


@fixture
def fedapay_config(fedapay_emulator: "Emulator", tmp_path: Path, fedapay_callbacks: str) -> Dict[str, str]:
    """Les réglages ``FEDAPAY_*`` d'une boutique, à joindre aux siens : ``create_app({…, **fedapay_config})``."""
    from fedapay_sync.testing.fixtures import settings

    return settings(fedapay_emulator, tmp_path, fedapay_callbacks)


@fixture
def fedapay_connector(fedapay_emulator: "Emulator", tmp_path: Path, fedapay_callbacks: str) -> "Connector":
    """Un connecteur à ``fedapay_emulator``, sur une base du test ; son serveur reçoit les webhooks."""
    from fedapay_sync.testing.fixtures import open_connector

    return open_connector(fedapay_emulator, tmp_path, fedapay_callbacks)


@fixture
def fedapay_payer(fedapay_emulator: "Emulator") -> Iterator[Payer]:
    """Le client de la boutique : ``payer.agrees()``, ``payer.refuses()``…"""
    with Payer(fedapay_emulator) as payer:
        yield payer


@fixture
def payer(fedapay_payer: Payer) -> Payer:
    """``fedapay_payer``, en plus court."""
    return fedapay_payer


@fixture
def fedapay_webhook(fedapay_emulator: "Emulator") -> "WebhookMaker":
    """``webhook("transaction.approved", id)`` : un webhook signé, corps et en-têtes."""
    from fedapay_sync.testing.webhooks import WebhookMaker

    return WebhookMaker(fedapay_emulator)


@fixture
def webhook(fedapay_webhook: "WebhookMaker") -> "WebhookMaker":
    """``fedapay_webhook``, en plus court."""
    return fedapay_webhook


@fixture
def fedapay_clock(fedapay_emulator: "Emulator") -> "EmulatorClock":
    """L'heure de FedaPay : ``fedapay_clock.advance(hours=24)``."""
    return fedapay_emulator.clock
