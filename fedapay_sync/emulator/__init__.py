"""
Un FedaPay à soi, pour essayer et pour tester sans compte, sans tunnel et sans réseau.

::

    from fedapay_sync.emulator import Emulator

    with Emulator(webhook_url="http://127.0.0.1:5000/webhooks") as emulator:
        ...  # donner emulator.url, emulator.secret_key et emulator.webhook_secret au connecteur
        emulator.approve(id_transaction)

Il ne partage avec le reste du paquet que le vocabulaire, la signature et le serveur : il ne peut pas hériter
de ses erreurs.
"""

from fedapay_sync.common.published import (
    LIVE_SECRET_KEY,
    LIVE_WEBHOOK_SECRET,
    SANDBOX_SECRET_KEY,
    SANDBOX_WEBHOOK_SECRET,
)
from fedapay_sync.emulator.delivery.sender import Delivery
from fedapay_sync.emulator.domain.clock import EmulatorClock
from fedapay_sync.emulator.domain.settings import Settings
from fedapay_sync.emulator.emulator import Emulator
from fedapay_sync.emulator.faults.faults import Fault, Faults
from fedapay_sync.emulator.middleware import ApiRequest
from fedapay_sync.emulator.resources.oauth import OAUTH_CLIENT_ID, OAUTH_CLIENT_SECRET
from fedapay_sync.emulator.resources.phones import Phone, Prompt
from fedapay_sync.emulator.shop import Shop, SignedWebhook

__all__ = [
    "LIVE_SECRET_KEY",
    "LIVE_WEBHOOK_SECRET",
    "OAUTH_CLIENT_ID",
    "OAUTH_CLIENT_SECRET",
    "SANDBOX_SECRET_KEY",
    "SANDBOX_WEBHOOK_SECRET",
    "ApiRequest",
    "Delivery",
    "Emulator",
    "EmulatorClock",
    "Fault",
    "Faults",
    "Phone",
    "Prompt",
    "Settings",
    "Shop",
    "SignedWebhook",
]
