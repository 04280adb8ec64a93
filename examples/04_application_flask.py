"""
Mode 4 : dans une application Flask existante.

L'application reçoit les webhooks sur sa propre route. Une requête web n'attend jamais la fin d'un paiement : elle
répond tout de suite, et c'est le webhook qui marque la commande comme payée.

Lit FEDAPAY_API_URL, FEDAPAY_API_KEY et FEDAPAY_AUTH_KEY dans l'environnement, et PORT (5000 par défaut).
"""

import os
from typing import Any, Dict, Tuple

from flask import Flask, request, url_for

from fedapay_sync import (
    FedapayConnector,
    FedapayError,
    MethodesPaiement,
    Outcome,
    PaiementSetup,
    Pays,
    SignatureError,
    UserData,
    WebhookHistory,
)

app = Flask(__name__)

#: Les commandes de la boutique ; une vraie boutique les garde dans sa base.
commandes: Dict[str, str] = {}


def webhook_callback(data: WebhookHistory) -> None:
    if data.suspect:
        # Payé, mais pas ce qui était demandé : une personne regarde avant de livrer.
        commandes[str(data.id_transaction)] = "à vérifier"
    elif data.paid and data.known:
        # known : demandé par cette base. Ce qui vient d'ailleurs n'est la commande de personne ici.
        commandes[str(data.id_transaction)] = "payée"


def run_after_finalise(outcome: Outcome) -> None:
    if outcome.paid:
        commandes[str(outcome.id_transaction)] = "payée"


fedapay = FedapayConnector(use_listen_server=False)
fedapay.on_webhook(webhook_callback)
fedapay.on_restored(run_after_finalise)
fedapay.restore()


@app.post("/commandes")
def commander() -> Tuple[Dict[str, Any], int]:
    resp = fedapay.fedapay_pay(
        setup=PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test),
        client_infos=UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001"),
        montant_paiement=1000,
        callback_url=url_for("retour", _external=True),
    )
    commandes.setdefault(str(resp.id_transaction), "en attente")
    # Rien d'autre à faire : si le webhook se perd, ou si l'application redémarre, le paiement est lu chez FedaPay et
    # sa fin parvient à webhook_callback.
    return {"commande": str(resp.id_transaction), "lien": resp.payment_link}, 201


@app.get("/commandes/<numero>")
def suivre(numero: str) -> Dict[str, str]:
    return {"commande": numero, "etat": commandes.get(numero, "inconnue")}


@app.get("/retour")
def retour() -> Dict[str, str]:
    # La page où FedaPay renvoie le navigateur (callback_url de pay). Le statut écrit dans l'adresse ne prouve rien :
    # returned l'ignore, et répond avec ce que la base ou FedaPay en sait.
    try:
        outcome = fedapay.returned(request.args)
    except FedapayError as error:
        return {"commande": str(error.id_transaction), "etat": "en cours de vérification"}
    return {"commande": str(outcome.id_transaction), "etat": "payée" if outcome.paid else "en attente"}


@app.post("/webhooks/fedapay")
def fedapay_webhook() -> Tuple[Dict[str, str], int]:
    # Ces lignes à la main, ou une seule : app.register_blueprint(fedapay_sync.flask.blueprint(fedapay)).
    payload = request.get_data()
    try:
        FedapayConnector().verify_signature(payload, request.headers.get("X-FEDAPAY-SIGNATURE"))
    except SignatureError:
        return {"status": "bad signature"}, 400
    FedapayConnector().fedapay_save_webhook_data(payload)
    return {"status": "success"}, 200


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ.get("PORT", "5000")))
