"""
Mode 1 : suivi simple, sans webhooks.

Le programme demande lui-même où en est le paiement. À réserver aux scripts : sans webhooks, un paiement accepté
pendant que le programme est arrêté n'est vu qu'à la lecture suivante.

Lit FEDAPAY_API_URL et FEDAPAY_API_KEY dans l'environnement.
"""

import time

from fedapay_sync import (
    FedapayConnector,
    MethodesPaiement,
    PaiementSetup,
    Pays,
    TransactionStatus,
    UserData,
)


def main() -> None:
    fedapay = FedapayConnector(use_listen_server=False)

    setup = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
    client = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")

    resp = fedapay.fedapay_pay(setup=setup, client_infos=client, montant_paiement=1000, payment_contact="0164000001")
    print(f"Transaction {resp.id_transaction} : {resp.status}")

    # Le suivi à la main, une lecture par seconde, dix minutes au plus.
    for _ in range(600):
        transaction = fedapay.fedapay_check_transaction_status(resp.id_transaction)
        if transaction.status not in (TransactionStatus.created, TransactionStatus.pending):
            break
        time.sleep(1)
    print(f"Statut lu : {transaction.status}")

    # La même chose en une ligne : finalise lit le statut de temps en temps et s'arrête à l'échéance.
    resultat = fedapay.fedapay_finalise(resp.id_transaction, timeout=600)
    print("Payé" if resultat.paid else f"Non payé : {resultat.reason}")

    fedapay.shutdown_cleanup()


if __name__ == "__main__":
    main()
