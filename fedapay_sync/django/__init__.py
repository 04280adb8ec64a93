"""
FedaPay dans un projet Django : ``"fedapay_sync.django"`` dans ``INSTALLED_APPS``, le réglage ``FEDAPAY``, et la route
``path("webhooks/", include("fedapay_sync.django.urls"))``.

Example::

    from fedapay_sync.django import fedapay
    @fedapay.on_paid                     # dans fedapay_callbacks.py d'une application
    def livrer(event):
        commande = event.entity.merchant_reference
    paiement = fedapay.pay(setup, client, 1000, merchant_reference="CMD-17")   # dans une vue
"""

from fedapay_sync.django.project_connector import ProjectConnector

__all__ = ["ProjectConnector", "fedapay"]

#: Le connecteur de ce projet, fait à la première utilisation.
fedapay = ProjectConnector()
