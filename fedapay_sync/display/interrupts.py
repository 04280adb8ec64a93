"""
What a person who interrupts a wait (Ctrl-C, the stop button of a notebook) is told, instead of a long traceback.

The error stays the ``KeyboardInterrupt`` that it was. Only in an interactive session it gets a text and, for IPython,
which asks an error whether it knows how to show itself, a note.
"""

from typing import List

from fedapay_sync.common.hosting import is_interactive
from fedapay_sync.display.words import id_text


def explain(error: KeyboardInterrupt, id_transaction: object) -> None:
    """Give that error, which has ended a wait for that transaction, a note and no frames, if a person reads it."""
    if not is_interactive():
        return
    lines = note_lines(id_transaction)
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
