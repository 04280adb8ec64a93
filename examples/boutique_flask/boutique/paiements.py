"""Ce que la boutique demande à FedaPay, et ce qu'elle fait quand c'est payé."""

from boutique.extensions import db, fedapay
from boutique.modeles import Commande
from fedapay_sync import FedapayPay, MethodesPaiement, PaiementSetup, Pays, UserData, WebhookHistory

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)


def demander(commande: Commande, retour: str) -> FedapayPay:
    client = UserData(nom="Doe", prenom="Awa", email="awa@example.com", tel=commande.telephone)
    paiement = fedapay.pay(SETUP, client, commande.montant, retour, merchant_reference=commande.reference)
    commande.id_transaction = str(paiement.id_transaction)
    return paiement


@fedapay.on_paid(name="livrer")
def livrer(event: WebhookHistory) -> None:
    db.session.get_one(Commande, event.entity.merchant_reference).payee = True
    db.session.commit()
