"""Records of what retention has erased."""

from typing import NamedTuple


class Purged(NamedTuple):
    """
    Ce que ``purge`` a effacé.

    Attributes:
        listens: attentes finies.
        payments: paiements finis.
        bodies: corps d'événements.
    """

    listens: int
    payments: int
    bodies: int


class Erased(NamedTuple):
    """
    What was erased of one payment.

    Attributes:
        known: whether there was anything of it.
        bodies: bodies of events that were erased.
        kept: bodies that their callbacks still need.
    """

    known: bool
    bodies: int
    kept: int
