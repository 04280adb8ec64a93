"""Du clic à la livraison."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient


def commander(client: FlaskClient, article: str = "pagne") -> str:
    """Une commande ; l'adresse où le client va payer."""
    return client.post("/commandes", data={"article": article, "telephone": "0164000001"}).location


def envoyer(client: FlaskClient, webhook: Any) -> int:
    return client.post("/webhooks/fedapay", data=webhook.body, headers=webhook.headers).status_code


def livrees(app: Flask) -> int:
    from boutique.modeles import Commande

    with app.app_context():
        return Commande.query.filter_by(payee=True).count()


def test_une_commande_payee_est_livree_une_fois(app: Flask, client: FlaskClient, payer: Any, webhook: Any) -> None:
    assert commander(client).startswith("http://127.0.0.1:")
    numero = payer.agrees()
    assert "Payée" in client.get(f"/retour?id={numero}").text

    assert [envoyer(client, webhook("transaction.approved", numero)) for _ in range(3)] == [200, 200, 200]
    assert livrees(app) == 1


@pytest.mark.parametrize("reponse", ["refuses", "ignores"])
def test_une_commande_sans_paiement_ne_part_pas(app: Flask, client: FlaskClient, payer: Any, reponse: str) -> None:
    commander(client)
    numero = getattr(payer, reponse)()

    # Le status de l'adresse n'est pas signé : n'importe qui peut l'écrire.
    assert "En attente" in client.get(f"/retour?id={numero}&status=approved").text
    assert livrees(app) == 0


def test_un_montant_qui_n_est_pas_celui_demande_ne_livre_rien(
    app: Flask, client: FlaskClient, payer: Any, webhook: Any
) -> None:
    commander(client)
    numero = payer.ignores()

    assert envoyer(client, webhook("transaction.approved", numero, status="approved", amount=1)) == 200
    assert livrees(app) == 0


def test_un_faux_webhook_est_refuse(app: Flask, client: FlaskClient, payer: Any, webhook: Any) -> None:
    commander(client)
    numero = payer.ignores()

    faux = webhook("transaction.approved", numero, status="approved", secret="wh_sandbox_autre")
    assert envoyer(client, faux) == 400
    assert livrees(app) == 0


@pytest.mark.parametrize("adresse", ["/retour", "/retour?id=1", "/retour?id=<script>"])
def test_un_retour_invente_ne_montre_rien(client: FlaskClient, adresse: str) -> None:
    assert "Nous vérifions" in client.get(adresse).text


def test_une_commande_payee_dont_l_identifiant_n_a_pas_ete_note_est_livree_et_son_client_n_est_pas_renvoye(
    app: Flask, client: FlaskClient, payer: Any
) -> None:
    from boutique.extensions import db
    from boutique.modeles import Commande

    commander(client)
    with app.app_context():
        Commande.query.one().id_transaction = None
        db.session.commit()
    numero = payer.agrees()

    page = client.get(f"/retour?id={numero}")
    assert page.status_code == 200 and "Nous vérifions" in page.text
    assert livrees(app) == 1


def test_les_formulaires_restent_proteges_et_les_webhooks_passent(app: Flask, payer: Any, webhook: Any) -> None:
    commander(app.test_client())
    numero = payer.agrees()
    app.config["WTF_CSRF_ENABLED"] = True

    assert app.test_client().post("/commandes", data={"article": "pagne"}).status_code == 400
    assert envoyer(app.test_client(), webhook("transaction.approved", numero)) == 200
