"""
What a person who interrupts a wait or ``pay`` (Ctrl-C, a notebook's stop button) is told, instead of a long traceback.

The error stays the ``KeyboardInterrupt`` that it was. Only in an interactive session it gets a text and, for IPython,
which asks an error whether it knows how to show itself, a note.
"""

from typing import List

from fedapay_sync.common.hosting import is_interactive
from fedapay_sync.display.words import id_text


def explain(error: KeyboardInterrupt, id_transaction: object) -> None:
    """Give that error, which has ended a wait for that transaction, a note and no frames, if a person reads it."""
    _annotate(error, note_lines(id_transaction))


def explain_many(error: KeyboardInterrupt, count: int) -> None:
    """The same for a wait for many, of which so many were still waited for."""
    lines = [
        f"l'attente est interrompue, pas les paiements : ils restent suivis (encore attendus : {count}).",
        "Pour reprendre : rappeler avec les mêmes identifiants ; ceux qui ont fini sont rendus aussitôt.",
    ]
    _annotate(error, lines)


def explain_asking(error: KeyboardInterrupt, has_reference: bool) -> None:
    """The same for ``pay``: whether the customer was asked is not known here."""
    again = "Relancer avec la même merchant_reference rend ce paiement : personne n'est sollicité deux fois."
    look = "Sans merchant_reference, le retrouver avant de relancer : connector.api.transactions.list(per_page=5)"
    _annotate(error, ["pay est interrompu : le client a peut-être été sollicité.", again if has_reference else look])


def _annotate(error: KeyboardInterrupt, lines: List[str]) -> None:
    if not is_interactive():
        return
    # For Python's own prompt, which shows no more of it than its text.
    error.args = (" ".join(lines[:2]),)
    # IPython calls it (since 1.0, for its own parallel errors), and shows the lines in the place of a traceback.
    error.__dict__["_render_traceback_"] = lambda: [f"KeyboardInterrupt: {lines[0]}", *lines[1:]]
    error.__traceback__ = None


def note_lines(id_transaction: object) -> List[str]:
    """The note."""
    number = id_text(id_transaction)
    return [
        f"l'attente est interrompue, pas le paiement {number} : il reste suivi.",
        f"Pour reprendre l'attente : connector.finalise({number})",
        f"Pour qu'il ne puisse plus être payé : connector.cancel({number})",
    ]
