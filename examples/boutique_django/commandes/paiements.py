"""Ce que la boutique demande à FedaPay."""

from commandes.models import Commande
from fedapay_sync import FedapayPay, MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.django import fedapay

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)


def demander(commande: Commande, retour: str) -> FedapayPay:
    client = UserData(nom="Doe", prenom="Awa", email="awa@example.com", tel=commande.telephone)
    paiement = fedapay.pay(SETUP, client, commande.montant, retour, merchant_reference=str(commande.reference))
    commande.id_transaction = str(paiement.id_transaction)
    commande.save(update_fields=["id_transaction"])
    return paiement
