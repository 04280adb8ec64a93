"""The cards of payments: a transaction, what ``pay`` gives, how a wait ended, a wait that goes on."""

from typing import Any, List, Optional, Tuple

from fedapay_sync.display.cards import Card, Row, badge, whole
from fedapay_sync.display.links import safe_url
from fedapay_sync.display.words import (
    State,
    clean,
    currency_of,
    duration_text,
    error_state,
    id_text,
    initials,
    moment_text,
    outcome_state,
    sentence,
    state_named,
    sum_text,
    transaction_state,
)
from fedapay_sync.errors import FedapayError

_PENDING = state_named("pending")
#: The columns of a list of transactions, and which of them hold numbers.
LIST_HEADS = ("Transaction", "Référence", "Montant", "État", "Opérateur", "Client", "Créée le")
LIST_NUMBERS = (0, 2)
#: The instants that a card tells, those of ends first.
_MOMENTS = (
    ("Remboursé le", "refunded_at"),
    ("Payé le", "approved_at"),
    ("Refusé le", "declined_at"),
    ("Expiré le", "expired_at"),
    ("Annulé le", "canceled_at"),
    ("Annulé le", "deleted_at"),
)


def state_of(transaction: Any) -> State:
    """The state of a transaction."""
    return transaction_state(transaction.status, is_deleted=transaction.deleted_at is not None)


def payment_state(payment: Any) -> State:
    """The state of what ``pay`` gives, as it was then."""
    transaction = payment.transaction_data
    status = transaction.status if payment.status is None else payment.status
    return transaction_state(status, is_deleted=transaction.deleted_at is not None)


def verdict_state(verdict: Any) -> State:
    """The state of a payment whose wait has ended so: by an outcome or an error; None while it goes on."""
    if verdict is None:
        return _PENDING
    return error_state(verdict) if isinstance(verdict, FedapayError) else outcome_state(verdict)


def transaction_html(transaction: Any) -> str:
    """The card of a ``Transaction``."""
    state = state_of(transaction)
    url = safe_url(transaction.payment_url) if state == _PENDING else None
    return Card(
        f"Transaction {id_text(transaction.id)}",
        state,
        _sum_of(transaction),
        _facts(transaction),
        link=url,
        shows_qr=True,
    ).html()


def payment_html(payment: Any) -> str:
    """The card of what ``pay`` gives: with the link, which the customer may be shown."""
    transaction, state = payment.transaction_data, payment_state(payment)
    is_pending = state == _PENDING
    number = id_text(transaction.id)
    return Card(
        f"Paiement {number}",
        state,
        _sum_of(transaction),
        _facts(transaction),
        link=safe_url(payment.payment_link) if is_pending else None,
        shows_qr=True,
        note=f"Rien n'est encore payé : connector.finalise({number}) attend la fin." if is_pending else "",
    ).html()


def outcome_html(outcome: Any) -> str:
    """The card of an ``Outcome``."""
    state, transaction = outcome_state(outcome), outcome.transaction
    number = id_text(outcome.id_transaction)
    note = ""
    if outcome.error is not None:
        note = sentence(outcome.error.message)
    elif state == _PENDING:
        note = f"{_sentence(outcome.reason)}Le paiement reste suivi : connector.finalise({number}) reprend l'attente."
    return Card(
        f"Paiement {number}",
        state,
        _sum_of(transaction) if transaction is not None else "",
        _facts(transaction) if transaction is not None else (),
        note=note,
    ).html()


def listen_html(id_transaction: Any, verdict: Any, remaining: float) -> str:
    """
    The card of a ``Listen``.

    Args:
        verdict: how the wait ended, an outcome or an error; None while it goes on.
        remaining: seconds until its deadline.
    """
    number = id_text(id_transaction)
    if isinstance(verdict, FedapayError):
        return Card(f"Attente du paiement {number}", error_state(verdict), note=sentence(verdict.message)).html()
    if verdict is not None:
        return outcome_html(verdict)
    rows: List[Row] = [("Échéance dans", duration_text(remaining))] if remaining > 0 else [("Échéance", "passée")]
    note = "L'attente ne bloque rien ; .result() attend sa fin."
    return Card(f"Attente du paiement {number}", _PENDING, rows=rows, note=note).html()


def list_row(transaction: Any) -> Tuple[object, ...]:
    """A transaction as a row of a list."""
    return (
        id_text(transaction.id),
        clean(transaction.merchant_reference or transaction.reference),
        _sum_of(transaction),
        badge(state_of(transaction)),
        whole(clean(transaction.mode)),
        whole(initials(transaction.customer)),
        whole(moment_text(transaction.created_at)),
    )


def _sum_of(transaction: Any) -> str:
    return sum_text(transaction.amount, currency_of(transaction))


def _facts(transaction: Any) -> List[Row]:
    moment: Optional[Row] = next(
        ((name, moment_text(getattr(transaction, field))) for name, field in _MOMENTS if getattr(transaction, field)),
        None,
    )
    fees = transaction.fees
    return [
        ("Référence", clean(transaction.merchant_reference or transaction.reference)),
        ("Opérateur", clean(transaction.mode)),
        ("Client", initials(transaction.customer)),
        ("Frais", sum_text(fees, currency_of(transaction)) if fees else ""),
        moment or ("Créé le", moment_text(transaction.created_at)),
    ]


def _sentence(reason: Any) -> str:
    text = sentence(reason) if reason else ""
    return f"{text[:1].upper()}{text[1:]}. " if text else ""
