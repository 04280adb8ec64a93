"""Currencies of the platform."""

from fedapay_sync.models import Currency
from fedapay_sync.resources.mixins import Listable, Retrievable


class Currencies(Retrievable[Currency], Listable[Currency]):
    """Devises de la plateforme, et les opérateurs de chacune. Le XOF a l'identifiant 1."""

    path = "currencies"
    model = Currency
