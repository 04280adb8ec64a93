"""Ce que la boutique fait quand une commande est payée ; ``fedapay_sync.django`` trouve ce fichier par son nom."""

from commandes.models import Commande
from fedapay_sync import WebhookHistory
from fedapay_sync.django import fedapay


@fedapay.on_paid(name="livrer", atomic=True)
def livrer(event: WebhookHistory) -> None:
    if not Commande.objects.filter(reference=event.entity.merchant_reference).update(payee=True):
        raise LookupError(f"pas de commande {event.entity.merchant_reference}")
