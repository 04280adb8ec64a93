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

from .clockwork import EmulatorClock
from .emulator import Emulator
from .faults import Fault, Faults
from .front import ApiRequest
from .letters import SignedWebhook
from .oauth import OAUTH_CLIENT_ID, OAUTH_CLIENT_SECRET
from .phones import Phone, Prompt
from .rules import (
    LIVE_SECRET_KEY,
    LIVE_WEBHOOK_SECRET,
    SANDBOX_SECRET_KEY,
    SANDBOX_WEBHOOK_SECRET,
)
from .sender import Delivery
from .settings import Settings
from .shop import Shop

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
