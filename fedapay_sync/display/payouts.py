"""The card of a payout, and its row in a list."""

from typing import Any, List, Tuple

from fedapay_sync.display.cards import Card, Row, badge, whole
from fedapay_sync.display.words import clean, currency_of, id_text, initials, moment_text, payout_state, sum_text

LIST_HEADS = ("Dépôt", "Référence", "Montant", "État", "Opérateur", "Bénéficiaire", "Créé le")
LIST_NUMBERS = (0, 2)


def payout_html(payout: Any) -> str:
    """The card of a ``Payout``."""
    currency, fees = currency_of(payout), payout.fees
    rows: List[Row] = [
        ("Référence", clean(payout.merchant_reference or payout.reference)),
        ("Opérateur", clean(payout.mode)),
        ("Bénéficiaire", initials(payout.customer)),
        ("Frais", sum_text(fees, currency) if fees else ""),
        ("Prévu le", moment_text(payout.scheduled_at) if payout.scheduled_at and not payout.sent_at else ""),
        ("Envoyé le", moment_text(payout.sent_at) if payout.sent_at else ""),
        ("Échoué le", moment_text(payout.failed_at) if payout.failed_at else ""),
        ("Raison", clean(payout.last_error_code) if payout.failed_at else ""),
        ("Créé le", moment_text(payout.created_at)),
    ]
    title, state = f"Dépôt {id_text(payout.id)}", payout_state(payout.status)
    return Card(title, state, sum_text(payout.amount, currency), rows).html()


def list_row(payout: Any) -> Tuple[object, ...]:
    """A payout as a row of a list."""
    return (
        id_text(payout.id),
        clean(payout.merchant_reference or payout.reference),
        sum_text(payout.amount, currency_of(payout)),
        badge(payout_state(payout.status)),
        whole(clean(payout.mode)),
        whole(initials(payout.customer)),
        whole(moment_text(payout.created_at)),
    )
