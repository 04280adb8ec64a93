"""Model of how a wait ended."""

from typing import Any, Callable, Dict, List, Optional, Tuple, Union

from fedapay_sync.display.payments import outcome_html
from fedapay_sync.enums import STATUS_STATES, EventFutureStatus, OutcomeState, TransactionStatus, UnknownState
from fedapay_sync.errors import AmountMismatch, FedapayError, NotFound, TransactionId
from fedapay_sync.models.event import WebhookHistory
from fedapay_sync.models.schema import to_plain
from fedapay_sync.models.transaction import Transaction


class Outcome(Tuple[EventFutureStatus, Optional[List[WebhookHistory]]]):
    """
    Résultat de ``finalise`` : une paire ``(status, webhooks)`` qui sait aussi dire si c'est payé.

    ``RESOLVED`` veut dire « statut final connu », pas « payé ». La vérité du paiement est ``paid``,
    et un ``Outcome`` est vrai (``if outcome:``) quand le client a payé. ``state`` dit tout en un mot.

    Redemander à un client dépend de ce mot :

    - ``declined``, ``canceled`` : lui redonner le même lien (``pay`` avec la même ``merchant_reference`` le rend,
      dans ``payment_link``, sans le solliciter) ; ou ``pay`` avec une référence neuve (``CMD-17-2``), qui le sollicite
      à nouveau. Le premier lien peut rester payable : si les deux sont payés, les deux parviennent au callback.
    - ``expired`` : ``pay`` avec une référence neuve.
    - ``pending`` : ne pas redemander, il peut payer à tout instant. ``finalise`` attend encore ; ou bien ``cancel``
      d'abord, puis ``pay`` avec une référence neuve.
    - ``paid``, ``refunded``, ``suspect`` : il a payé. Ne pas redemander.

    Attributes:
        status: comment l'attente a pris fin.
        state: où en est le paiement, un ``OutcomeState`` ; son ``label`` est le mot français à montrer. Un statut
            inconnu de cette version est un texte (``UnknownState``), avec un ``label`` lui aussi.
        webhooks: événements finals connus de la transaction, dans l'ordre d'arrivée, ou ``None``.
        paid: vrai si le client a payé.
        transaction: dernier état connu de la transaction, ou ``None``.
        id_transaction: identifiant FedaPay.
        reason: le statut FedaPay qui a mis fin à l'attente, ou ce qui l'a interrompue.
        error: pour un callback, ou parmi plusieurs, l'erreur que ``finalise`` aurait levée (``AmountMismatch``,
            ``NotFound``, ``StatusUnknown``), ou ``None``.

    Example:
        >>> resultat = connector.finalise(paiement.id_transaction)
        >>> resultat.state.value, resultat.state.label
        ('paid', 'payé')
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
    state: Union[OutcomeState, UnknownState]

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
        state: Union[OutcomeState, UnknownState, None] = None,
    ) -> "Outcome":
        made = super().__new__(cls, (status, webhooks))
        made.status = status
        made.webhooks = webhooks
        made.paid = paid
        made.transaction = transaction
        made.id_transaction = id_transaction
        made.reason = reason
        made.error = error
        made.state = made._state() if state is None else state
        return made

    def _state(self) -> Union[OutcomeState, UnknownState]:
        """The one word, out of everything else. In doubt it is ``pending``: the payer is not to be asked again then."""
        if isinstance(self.error, AmountMismatch):
            return OutcomeState.suspect
        if isinstance(self.error, NotFound):
            return UnknownState("not_found")
        if self.status == EventFutureStatus.CANCELLED and self.webhooks:
            # FedaPay said that it is deleted. A wait that was merely given up says nothing of the payment.
            return OutcomeState.canceled
        if self.status != EventFutureStatus.RESOLVED:
            return OutcomeState.pending
        if self.reason in STATUS_STATES:
            return STATUS_STATES[self.reason]
        if self.paid:
            is_refunded = self.transaction is not None and self.transaction.status == TransactionStatus.refunded
            return OutcomeState.refunded if is_refunded else OutcomeState.paid
        return UnknownState(self.reason) if self.reason else OutcomeState.pending

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
            f"amount={self.amount}, reason={self.reason!r}, state={self.state.label!r})"
        )

    def _repr_html_(self) -> str:
        return outcome_html(self)

    def __reduce__(self) -> Tuple[Callable[..., Any], Tuple[Any, ...]]:
        return _rebuild, (dict(self.__dict__),)


def _rebuild(values: Dict[str, Any]) -> Outcome:
    return Outcome(values.pop("status"), values.pop("webhooks"), **values)
