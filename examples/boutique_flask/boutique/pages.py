"""Les pages : l'accueil, la commande et son état, le retour de la page de FedaPay."""

from typing import Union

from flask import Blueprint, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from boutique.extensions import db, fedapay
from boutique.modeles import Commande
from boutique.paiements import demander
from fedapay_sync import FedapayError

pages = Blueprint("boutique", __name__)

PRIX = {"pagne": 1000, "panier": 2500}


@pages.get("/")
def accueil() -> str:
    return render_template("accueil.html", prix=PRIX)


@pages.post("/commandes")
def commander() -> Response:
    article = request.form.get("article", "")
    if article not in PRIX:
        abort(400)
    commande = Commande(article=article, montant=PRIX[article], telephone=request.form.get("telephone", ""))
    # Sur disque avant d'être payée : le webhook la trouvera toujours.
    db.session.add(commande)
    db.session.commit()
    paiement = demander(commande, url_for(".retour", _external=True))
    db.session.commit()
    return redirect(paiement.payment_link or url_for(".suivre", reference=commande.reference))


@pages.get("/retour")
def retour() -> Union[str, Response]:
    try:
        outcome = fedapay.returned(request.args)
    except FedapayError:
        # FedaPay ne répond pas, ou cette adresse a été écrite à la main : livrer() apprendra la fin du paiement.
        return render_template("verification.html")
    commande = db.session.scalar(db.select(Commande).filter_by(id_transaction=str(outcome.id_transaction)))
    if commande is None:
        # L'arrêt du serveur juste après la demande a pu empêcher de noter son identifiant ; livrer() cherche autrement.
        return render_template("verification.html")
    # La page ne livre rien : elle dit que c'est payé, parfois un instant avant que livrer() ne l'ait noté.
    return render_template("commande.html", commande=commande, payee=commande.payee or outcome.paid)


@pages.get("/commandes/<reference>")
def suivre(reference: str) -> str:
    commande = db.get_or_404(Commande, reference)
    return render_template("commande.html", commande=commande, payee=commande.payee)
