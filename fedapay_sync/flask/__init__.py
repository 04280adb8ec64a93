"""
FedaPay dans une application Flask : l'extension ``FedaPay``, ou la seule route des webhooks, ``blueprint``.

Example:
    >>> from fedapay_sync.flask import FedaPay
    >>> fedapay = FedaPay()
    >>> @fedapay.on_paid
    ... def livrer(event):
    ...     commande = event.entity.merchant_reference
    >>> fedapay.init_app(app)
    >>> with app.app_context():
    ...     paiement = fedapay.pay(setup, client, 1000, merchant_reference="CMD-17")
"""

from fedapay_sync.flask.extension import FedaPay
from fedapay_sync.flask.routes import blueprint

__all__ = ["FedaPay", "blueprint"]
