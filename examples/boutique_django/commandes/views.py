"""Les pages : l'accueil, la commande et son état, le retour de la page de FedaPay."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from commandes.models import Commande
from commandes.paiements import demander
from fedapay_sync import FedapayError
from fedapay_sync.django import fedapay

PRIX = {"pagne": 1000, "panier": 2500}


@require_GET
def accueil(request: HttpRequest) -> HttpResponse:
    return render(request, "accueil.html", {"prix": PRIX})


@require_POST
def commander(request: HttpRequest) -> HttpResponse:
    article = request.POST.get("article", "")
    if article not in PRIX:
        return HttpResponseBadRequest("article inconnu")
    # Sur disque avant d'être payée : le webhook la trouvera toujours.
    commande = Commande.objects.create(
        article=article, montant=PRIX[article], telephone=request.POST.get("telephone", "")
    )
    paiement = demander(commande, request.build_absolute_uri(reverse("retour")))
    return redirect(paiement.payment_link or reverse("suivre", args=[commande.reference]))


@require_GET
def retour(request: HttpRequest) -> HttpResponse:
    try:
        outcome = fedapay.returned(request.GET)
    except FedapayError:
        # FedaPay ne répond pas, ou cette adresse a été écrite à la main : livrer() apprendra la fin du paiement.
        return render(request, "verification.html")
    commande = get_object_or_404(Commande, id_transaction=str(outcome.id_transaction))
    # La page ne livre rien : elle dit que c'est payé, parfois un instant avant que livrer() ne l'ait noté.
    return render(request, "commande.html", {"commande": commande, "payee": commande.payee or outcome.paid})


@require_GET
def suivre(request: HttpRequest, reference: UUID) -> HttpResponse:
    commande = get_object_or_404(Commande, reference=reference)
    return render(request, "commande.html", {"commande": commande, "payee": commande.payee})
