"""
Mode 3 : serveur intégré, avec reprise après un redémarrage.

Si le programme meurt pendant une attente, l'attente est sur disque. Au démarrage suivant elle est reprise, FedaPay
est interrogé, et le résultat arrive à run_after_finalise.

Lit FEDAPAY_API_URL, FEDAPAY_API_KEY et FEDAPAY_AUTH_KEY dans l'environnement, et PORT (3000 par défaut).
"""

import os
from typing import List, Optional

from fedapay_sync import (
    EventFutureStatus,
    FedapayConnector,
    MethodesPaiement,
    PaiementSetup,
    Pays,
    UserData,
    WebhookHistory,
)


def webhook_callback(data: WebhookHistory) -> None:
    print(f"Webhook reçu : {data.name} ({data.event_key})")


def run_after_finalise(status: EventFutureStatus, data: Optional[List[WebhookHistory]]) -> None:
    # La fin d'une attente qu'un démarrage précédent avait laissée ouverte.
    if status == EventFutureStatus.RESOLVED and data:
        print(f"Reprise : transaction {data[-1].id_transaction}, {data[-1].name}")
    else:
        print(f"Reprise : {status}")


def main() -> None:
    fedapay = FedapayConnector(use_listen_server=True, listen_server_port=int(os.environ.get("PORT", "3000")))
    fedapay.set_webhook_callback_function(webhook_callback)
    fedapay.set_on_persited_listening_processes_loading_finished_callback(run_after_finalise)

    fedapay.load_persisted_listening_processes()
    fedapay.start_webhook_server()

    setup = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
    client = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
    resp = fedapay.fedapay_pay(setup=setup, client_infos=client, montant_paiement=1000)
    print(f"Transaction {resp.transaction.id} en attente", flush=True)

    resultat = fedapay.fedapay_finalise(resp.transaction.id)
    print("Payé" if resultat.paid else f"Non payé : {resultat.reason}")

    fedapay.shutdown_cleanup()


if __name__ == "__main__":
    main()
