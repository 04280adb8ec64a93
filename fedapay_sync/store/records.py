"""Records: what goes into the store and what comes out of it, as plain values."""

from dataclasses import dataclass, field
from typing import List, NamedTuple, Optional, Tuple

from fedapay_sync.store.states import OPEN_STATES, ListenState, PaymentState, WorkState

#: The source of events that we make ourselves, so that their callbacks go through the same queue; and their names.
LOCAL = "local"
PAYMENT_NAME = "local.payment"
RESTORED_NAME = "local.restored"
#: The name under which a well signed message is set aside that we cannot read.
UNREADABLE = "unreadable"

#: After so long without being touched a payment is polled one last time, in seconds.
WATCHED = 48 * 3600.0


@dataclass(frozen=True)
class NewEvent:
    """
    An event on its way into the store.

    Attributes:
        amount: francs that the transaction carries, if it says so; compared with what was asked.
        work_state: ``ready`` if a callback is owed, ``dead`` for what was set aside unread.
        also_known_as: keys under which an earlier key of the API made the program store the same fact.
    """

    dedup_key: str
    event_key: str
    environment: str
    account: str
    name: str
    object: str
    entity_id: str
    status: Optional[str]
    is_final: bool
    is_paid: bool
    source: str
    body: bytes = field(repr=False)
    body_sha256: str
    received_at: float
    amount: Optional[int] = None
    currency_id: Optional[int] = None
    work_state: WorkState = WorkState.ready
    last_error: Optional[str] = None
    also_known_as: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Accepted:
    """
    Whether the event was new, and whether it ends waits for its transaction.

    Attributes:
        to_confirm: id of the transaction whose end FedaPay's API has still to confirm.
    """

    new: bool
    is_final: bool
    late: bool = False
    suspect: bool = False
    to_confirm: Optional[str] = None


@dataclass(frozen=True)
class StoredEvent:
    """An event as it lies in the store."""

    id: int
    event_key: str
    environment: str
    name: str
    entity_id: str
    status: Optional[str]
    late: bool
    suspect: bool
    repeats: bool
    source: str
    body: bytes = field(repr=False)
    received_at: float
    attempts: int
    object: str = ""
    last_error: Optional[str] = None


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


@dataclass(frozen=True)
class Listen:
    """A stored wait: for which transaction, until when, and how it stands."""

    transaction_id: str
    account: str
    state: ListenState
    deadline: float
    timeout: float
    delete_at_deadline: bool
    owed: bool

    @property
    def is_open(self) -> bool:
        """Whether the payment is still being watched."""
        return self.state in OPEN_STATES


class Ending(NamedTuple):
    """A listen, if there is one, and the final events of its transaction, oldest first."""

    listen: Optional[Listen]
    events: List[StoredEvent]


@dataclass(frozen=True)
class Payment:
    """What was asked for under a merchant reference."""

    merchant_reference: str
    account: str
    amount: int
    currency: str
    currency_id: Optional[int]
    transaction_id: Optional[str]
    state: PaymentState


@dataclass(frozen=True)
class Poll:
    """
    One poll of FedaPay that is ours to make.

    Attributes:
        merchant_reference: what a payment of ours is looked up by while it has no transaction; None for a transaction
            that we did not create, whose wait had timed out.
        run_after: with ``polls``, what tells this poll from a later one.
        since: when the payment, or the end of the wait, was written down.
        absent_at: when FedaPay said first that it does not know the reference.
    """

    row: int
    account: str
    merchant_reference: Optional[str]
    transaction_id: Optional[str]
    run_after: float
    polls: int
    since: float
    absent_at: Optional[float] = None
