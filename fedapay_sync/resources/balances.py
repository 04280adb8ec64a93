"""Balances of the merchant account."""

from fedapay_sync.models import Balance
from fedapay_sync.resources.mixins import Listable, Retrievable


class Balances(Retrievable[Balance], Listable[Balance]):
    """Soldes du compte marchand, un par opérateur, en francs entiers."""

    path = "balances"
    model = Balance
