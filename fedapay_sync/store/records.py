"""Records: what goes into the store and what comes out of it, as plain values."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Tuple

from fedapay_sync.common.computed_once import computed_once
from fedapay_sync.errors import InvalidArgument
from fedapay_sync.models.asked import Asked
from fedapay_sync.models.params.identifiers import checked_reference
from fedapay_sync.store.states import OPEN_STATES, EventKind, ListenState, PaymentState, WorkState

#: The source of events that we make ourselves, so that their callbacks go through the same queue; and their names.
LOCAL = "local"
PAYMENT_NAME = "local.payment"
RESTORED_NAME = "local.restored"

#: An event, and one of its calls; without one, the event itself is the work.
WorkKey = Tuple[int, Optional[int]]

#: After so long without being touched a payment is polled one last time, in seconds.
WATCHED = 48 * 3600.0


@dataclass(frozen=True)
class NewEvent:
    """
    An event on its way into the store.

    Attributes:
        entity: the object that it is about; a transaction is compared with what was asked.
        from_api: FedaPay's API has just said so, and decides between events that contradict each other.
        to_confirm: not to be believed before FedaPay's API has said so, too.
        work_state: ``ready`` if a callback is owed, ``dead`` for what was set aside unread.
        also_known_as: keys under which an earlier key of the API made the program store the same fact.
        accounts: labels of the program's accounts, whose merchant references are its own.
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
    entity: Mapping[str, Any] = field(default_factory=dict, repr=False)
    from_api: bool = False
    to_confirm: bool = False
    work_state: WorkState = WorkState.ready
    last_error: Optional[str] = None
    also_known_as: Tuple[str, ...] = ()
    kind: EventKind = EventKind.fact
    accounts: Tuple[str, ...] = ()

    @computed_once
    def reference(self) -> Optional[str]:
        """The merchant reference that the object bears."""
        reference = self.entity.get("merchant_reference")
        if not isinstance(reference, str):
            return None
        try:
            return checked_reference(reference)
        except InvalidArgument:
            # No payment of ours bears it, and not every database could look for it.
            return None

    @computed_once
    def unconfirmed_key(self) -> str:
        """The key that it has while it is merely said."""
        mark = f":{EventKind.unconfirmed}:"
        return hashlib.sha256(f"{mark}{self.dedup_key}{self.body_sha256}".encode()).hexdigest()

    def unconfirmed(self) -> "NewEvent":
        """
        The event as something merely said: it ends nothing, and has a key of its own.

        Under the true key it would make the true event, when that comes, a duplicate that no callback is told of.
        """
        return dataclasses.replace(
            self,
            dedup_key=self.unconfirmed_key,
            event_key=f"{self.event_key[:130]}:{EventKind.unconfirmed}:{self.body_sha256[:16]}",
            is_final=False,
            is_paid=False,
            also_known_as=(),
            kind=EventKind.unconfirmed,
        )


@dataclass(frozen=True)
class Accepted:
    """
    Whether the event was new, and whether it ends waits for its transaction.

    Attributes:
        taken_back: it says that what was told paid before is not what was asked.
        to_confirm: id of the transaction whose end FedaPay's API has still to confirm.
        fact: the key of what callbacks are to be told; None where that is nothing.
        calls: what was taken of it as it was stored; None where it was not given to callbacks yet.
    """

    new: bool
    is_final: bool
    late: bool = False
    suspect: bool = False
    taken_back: bool = False
    to_confirm: Optional[str] = None
    fact: Optional[str] = field(default=None, repr=False)
    calls: Optional[Tuple["StoredEvent", ...]] = field(default=None, repr=False)


@dataclass(frozen=True)
class StoredEvent:
    """
    An event as it lies in the store.

    Attributes:
        attempts: of the callback, where there is one; so is ``last_error``.
        callback: the number of the callback that is to be called with it; None of an event that has not been given to
            callbacks.
        call: the number of that call.
    """

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
    kind: EventKind = EventKind.fact
    known: bool = False
    dedup_key: str = ""
    callback: Optional[int] = None
    call: Optional[int] = None
    callback_name: Optional[str] = None

    @property
    def key(self) -> "WorkKey":
        """What tells this piece of work from all others of the database."""
        return self.id, self.call


@dataclass(frozen=True)
class Listen:
    """
    A stored wait: for which transaction, until when, and how it stands.

    Attributes:
        known: whether there was more of the transaction in this database when the wait was opened: a payment, an
            event, an open wait.
    """

    transaction_id: str
    account: str
    state: ListenState
    deadline: float
    timeout: float
    delete_at_deadline: bool
    owed: bool
    known: bool = field(default=True, compare=False)

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
    traits: Optional[str] = None
    accepted_at: Optional[float] = None

    @property
    def asked(self) -> Asked:
        """What a transaction is compared with."""
        return Asked(
            self.amount,
            self.currency,
            self.currency_id,
            self.merchant_reference,
            json.loads(self.traits) if self.traits else {},
        )


@dataclass(frozen=True)
class RecentPayment(Payment):
    """A payment that was asked for lately, so many seconds ago."""

    age: float = 0.0


class Priority(IntEnum):
    """How urgent a reading at FedaPay is; the lower, the sooner."""

    #: A page of a list, which decides many deadlines.
    listed = 0
    deadline = 1
    #: The first one of a payment that has just begun.
    begun = 2
    #: A thread or callback waits for the payment.
    waited = 3
    followed = 4


class Grant(NamedTuple):
    """
    Readings that may be made.

    Attributes:
        slots: in how many seconds each of them.
        refused: what they are not for, as something else is more urgent.
    """

    slots: Tuple[float, ...]
    refused: FrozenSet[Priority]


class DuePolls(NamedTuple):
    """
    Polls that are due.

    Attributes:
        begun: first polls of payments that have just begun, by account.
        followed: all others, by account.
        next_at: when the next one is due, where none is.
    """

    begun: Dict[str, int]
    followed: Dict[str, int]
    next_at: Optional[float]


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
