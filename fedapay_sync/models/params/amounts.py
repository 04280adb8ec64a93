"""Checks an amount that a caller gives, before it is sent."""

from typing import Any

from fedapay_sync.common.masking import safe_repr
from fedapay_sync.errors import InvalidArgument
from fedapay_sync.models.schema import read_francs

#: More francs than that, the database cannot write down.
MAX_AMOUNT = 10**15


def checked_amount(amount: Any, field: str = "montant_paiement") -> int:
    """
    An amount that we may send: a whole number of francs above zero, and of a size that can be meant.

    Raises:
        InvalidArgument: anything else.
    """
    try:
        if isinstance(amount, str):
            raise ValueError("un texte n'est pas un montant")
        francs = read_francs(amount)
        if francs <= 0:
            raise ValueError("il doit être plus grand que 0")
        if francs > MAX_AMOUNT:
            raise ValueError(f"plus de {MAX_AMOUNT} francs, vérifier l'unité")
    except (ValueError, TypeError, ArithmeticError) as error:
        # An ArithmeticError's own text is made for programmers.
        reason = "ce n'est pas un nombre" if isinstance(error, ArithmeticError) else error
        raise InvalidArgument(
            f"{field}={safe_repr(amount)} est refusé : {reason}. Donner un nombre entier de francs, par exemple 1000 "
            "(le XOF et le GNF n'ont pas de centimes).",
            field=field,
        ) from None
    return francs
