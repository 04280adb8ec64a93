"""Model of how a wait ended."""

from typing import Any, Callable, Dict, List, Optional, Tuple

from fedapay_sync.display.payments import outcome_html
from fedapay_sync.display.words import outcome_state
from fedapay_sync.enums import EventFutureStatus
from fedapay_sync.errors import FedapayError, TransactionId
from fedapay_sync.models.event import WebhookHistory
from fedapay_sync.models.schema import to_plain
from fedapay_sync.models.transaction import Transaction


class Outcome(Tuple[EventFutureStatus, Optional[List[WebhookHistory]]]):
    """
    Résultat de ``finalise`` : une paire ``(status, webhooks)`` qui sait aussi dire si c'est payé.

    ``RESOLVED`` veut dire « statut final connu », pas « payé ». La vérité du paiement est ``paid``,
    et un ``Outcome`` est vrai (``if outcome:``) quand le client a payé.

    Attributes:
        status: comment l'attente a pris fin.
        webhooks: événements finals connus de la transaction, dans l'ordre d'arrivée, ou ``None``.
        paid: vrai si le client a payé.
        transaction: dernier état connu de la transaction, ou ``None``.
        id_transaction: identifiant FedaPay.
        reason: le statut FedaPay qui a mis fin à l'attente, ou ce qui l'a interrompue.
        error: pour un callback, l'erreur que ``finalise`` aurait levée (``AmountMismatch``, ``NotFound``), ou ``None``.

    Example:
        >>> status, webhooks = Outcome(EventFutureStatus.TIMEOUT)
        >>> status.name
        'TIMEOUT'
    """

    status: EventFutureStatus
    webhooks: Optional[List[WebhookHistory]]
    paid: bool
    transaction: Optional[Transaction]
    id_transaction: Optional[TransactionId]
    reason: str
    error: Optional[FedapayError]

    def __new__(
        cls,
        status: EventFutureStatus,
        webhooks: Optional[List[WebhookHistory]] = None,
        *,
        paid: bool = False,
        transaction: Optional[Transaction] = None,
        id_transaction: Optional[TransactionId] = None,
        reason: str = "",
        error: Optional[FedapayError] = None,
    ) -> "Outcome":
        made = super().__new__(cls, (status, webhooks))
        made.status = status
        made.webhooks = webhooks
        made.paid = paid
        made.transaction = transaction
        made.id_transaction = id_transaction
        made.reason = reason
        made.error = error
        return made

    @property
    def amount(self) -> Optional[int]:
        """Montant de la transaction en francs entiers, ou ``None`` si elle n'a pas été lue."""
        return self.transaction.amount if self.transaction else None

    def to_dict(self) -> Dict[str, Any]:
        """Le résultat en types simples que JSON sait écrire."""
        facts = {**self.__dict__, "error": None if self.error is None else self.error.code}
        return {str(name): to_plain(value) for name, value in facts.items()}

    model_dump = to_dict

    def __bool__(self) -> bool:
        return self.paid

    def __repr__(self) -> str:
        return (
            f"Outcome({self.status.name}, paid={self.paid}, id_transaction={self.id_transaction}, "
            f"amount={self.amount}, reason={self.reason!r}, state={outcome_state(self).word!r})"
        )

    def _repr_html_(self) -> str:
        return outcome_html(self)

    def __reduce__(self) -> Tuple[Callable[..., Any], Tuple[Any, ...]]:
        return _rebuild, (dict(self.__dict__),)


def _rebuild(values: Dict[str, Any]) -> Outcome:
    return Outcome(values.pop("status"), values.pop("webhooks"), **values)
