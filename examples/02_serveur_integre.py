"""
Mode 2 : serveur de webhooks intégré.

Le programme reçoit lui-même les webhooks. En production, un serveur mandataire (nginx, Caddy) les lui transmet
depuis l'adresse publique donnée dans le tableau de bord FedaPay.

Lit FEDAPAY_API_URL, FEDAPAY_API_KEY et FEDAPAY_AUTH_KEY dans l'environnement, et PORT (3000 par défaut).
"""

import os

from fedapay_sync import (
    EventFutureStatus,
    FedapayConnector,
    MethodesPaiement,
    PaiementSetup,
    PaymentHistory,
    Pays,
    UserData,
    WebhookHistory,
)


def payment_callback(data: PaymentHistory) -> None:
    # Après chaque appel réussi de fedapay_pay().
    print(f"Paiement lancé : {data.id_transaction}")


def webhook_callback(data: WebhookHistory) -> None:
    # Une fois par événement, quoi que FedaPay répète.
    # paid : payé, et ce qui était demandé. known : demandé par cette base. suspect : payé, mais autre chose.
    print(f"Webhook reçu : {data.name}, payé : {data.paid and data.known}, suspect : {data.suspect}")


def main() -> None:
    fedapay = FedapayConnector(use_listen_server=True, listen_server_port=int(os.environ.get("PORT", "3000")))
    fedapay.set_payment_callback_function(payment_callback)
    fedapay.set_webhook_callback_function(webhook_callback)
    fedapay.start_webhook_server()

    setup = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
    client = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
    resp = fedapay.fedapay_pay(setup=setup, client_infos=client, montant_paiement=1000)

    status, webhooks = resultat = fedapay.fedapay_finalise(resp.id_transaction, timeout=600)

    if status == EventFutureStatus.RESOLVED:
        # Un statut final est connu ; ce n'est pas forcément un paiement accepté.
        print(f"Payé : {resultat.amount} F CFA" if resultat.paid else f"Non payé : {resultat.reason}")
        print(f"Événements : {[webhook.name for webhook in webhooks or []]}")
    elif status == EventFutureStatus.TIMEOUT:
        print("Pas de réponse du client ; le lien reste payable.")
    elif status == EventFutureStatus.CANCELLED:
        print("Paiement annulé.")
    elif status == EventFutureStatus.CANCELLED_INTERNALLY:
        print("Le programme s'arrête ; l'attente reprendra au prochain démarrage.")

    fedapay.shutdown_cleanup()


if __name__ == "__main__":
    main()
