"""
The states of stored rows. The tables' constraints, their partial indexes and all queries are built from these.

A member is its text: it compares and hashes like what a row holds, and prints as it on every Python from 3.9 on.
"""

from enum import Enum


class _State(str, Enum):
    __str__ = str.__str__
    __format__ = str.__format__  # type: ignore[assignment]


class WorkState(_State):
    """Work that is owed: an event that callbacks are still to be given, or the call of one callback with one event."""

    #: Of an event that callbacks have been given: what is left of it are their calls.
    none = "none"
    ready = "ready"
    running = "running"
    done = "done"
    #: Parked: it failed for good, or could not be read.
    dead = "dead"


class CallbackKind(_State):
    """Which events a callback is called with."""

    #: Every event that FedaPay tells.
    webhook = "webhook"
    #: Those that say that a payment of this database is paid.
    paid = "paid"
    #: The same of any payment.
    paid_unknown = "paid_unknown"
    #: Payments that ``pay`` has begun.
    payment = "payment"
    #: Ends of waits that were restored.
    restored = "restored"


class EventKind(_State):
    """What a stored event is, whatever name it bears: names are written by others."""

    #: Believed, or made by ourselves.
    fact = "fact"
    #: Told, and to be read at FedaPay before it is believed: it ends nothing until then.
    unconfirmed = "unconfirmed"
    #: A well signed message that could not be read.
    unreadable = "unreadable"


class ListenState(_State):
    """A wait for the end of a transaction."""

    pending = "pending"
    #: Its deadline has come, and a process is deciding.
    closing = "closing"
    resolved = "resolved"
    timed_out = "timed_out"
    cancelled = "cancelled"
    #: FedaPay could not be asked at the deadline.
    unknown = "unknown"


class PaymentState(_State):
    """What was asked for under a merchant reference; :mod:`fedapay_sync.store.payment_record` moves it on."""

    intent = "intent"
    created = "created"
    sent = "sent"
    unknown = "unknown"
    failed = "failed"


#: Callbacks of what FedaPay tells.
TOLD_KINDS = (CallbackKind.webhook, CallbackKind.paid, CallbackKind.paid_unknown)
#: States of work that is not over.
OWED_STATES = (WorkState.ready, WorkState.running)
#: States of a listen in which the payment is still watched.
OPEN_STATES = (ListenState.pending, ListenState.closing, ListenState.unknown)


def literals(*states: _State) -> str:
    """These states as a list in SQL text."""
    return ",".join(f"'{state.value}'" for state in states)
