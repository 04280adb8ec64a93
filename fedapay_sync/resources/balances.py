"""Balances: what the merchant has."""

from ..models import Balance
from .verbs import Listable, Retrievable


class Balances(Retrievable[Balance], Listable[Balance]):
    """Soldes du compte marchand, un par opérateur, en francs entiers."""

    path = "balances"
    model = Balance
