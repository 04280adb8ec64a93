"""
Storing events: many at once, each as if it came alone.

What waits together in the writer is taken together, in few statements of plain SQL: Peewee's query builder costs
fifteen times what the statement does, and each statement is a journey to a server.
"""

import dataclasses
import json
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from fedapay_sync.enums import PAID_STATUSES
from fedapay_sync.models.asked import Asked
from fedapay_sync.models.entity import TRANSACTION
from fedapay_sync.store.database import Database
from fedapay_sync.store.records import Accepted, NewEvent
from fedapay_sync.store.repositories.rows import MAX_ROWS, EventFacts, close_listens, insert_events
from fedapay_sync.store.repositories.sql import placeholders
from fedapay_sync.store.repositories.verdicts import settle
from fedapay_sync.store.states import OPEN_STATES, ListenState, PaymentState, WorkState, literals
from fedapay_sync.store.tables import LISTEN_COLUMNS

_WIDTH = len(LISTEN_COLUMNS)
_EVENT = (
    f"SELECT 'event', environment, entity_id, id, is_final, dedup_key, status, NULL, suspect{', NULL' * (_WIDTH - 8)}"
)
_PAYMENT = (
    "SELECT 'payment', environment, transaction_id, amount, currency_id, currency || account, merchant_reference, "
    f"traits, accepted_at{', NULL' * (_WIDTH - 8)} FROM fp_payment WHERE"
)
#: One journey instead of four. The first of the tables says what the columns hold, the others fill what they need.
_KNOWN_ROWS = f"""
SELECT 'listen', {", ".join(LISTEN_COLUMNS)} FROM fp_listen WHERE environment IN {{}} AND transaction_id IN {{}}
UNION ALL {_PAYMENT} transaction_id IN {{}}
UNION ALL {_PAYMENT} merchant_reference IN {{}}
UNION ALL {_EVENT} FROM fp_event WHERE dedup_key IN {{}}
UNION ALL {_EVENT} FROM fp_event WHERE entity_id IN {{}}
"""
#: Payments whose transaction is not known yet, and may be on its way.
_INTENTS = f"""
SELECT environment FROM fp_payment
WHERE transaction_id IS NULL AND run_after IS NOT NULL
AND state IN ({literals(PaymentState.intent, PaymentState.unknown)})
"""

#: Environment and id of a transaction.
_Subject = Tuple[str, str]


class _Payment(NamedTuple):
    """A payment as it was asked for, the transaction that it has, and whether a person accepted what was paid."""

    asked: Asked
    account: str
    transaction_id: Optional[str]
    accepted: bool


class _Known(NamedTuple):
    """What the store has on some events before they are in it."""

    keys: Set[str]
    #: Transactions of which a callback was told, or will be, that they are paid.
    told: Set[_Subject]
    #: Transactions that are said to be paid, but not what was asked.
    doubted: Set[_Subject]
    listens: Dict[_Subject, Dict[str, Any]]
    payments: Dict[_Subject, _Payment]
    #: Payments by environment and merchant reference: of several accounts, one each.
    references: Dict[Tuple[str, str], List[_Payment]]
    #: Environments in which a creation is under way.
    creating: Set[str]


class _Judgement(NamedTuple):
    """
    What an event is beside what was asked.

    Attributes:
        known: this database asked for that payment.
        suspect: it says paid, and it is not what was asked.
        doubtful: FedaPay's API is to be asked before it is believed.
        contradicts: so it is also if the same was told before, of another sum.
        agrees: FedaPay's API has decided; None where it has not.
    """

    known: bool
    suspect: bool = False
    doubtful: bool = False
    contradicts: bool = False
    agrees: Optional[bool] = None


def accept_all(database: Database, events: Sequence[NewEvent], now: float) -> List[Accepted]:
    """
    Store each event once and settle the listen of its transaction with it; what became of each, in their order.

    The rows are those that the same events would leave one by one.

    Args:
        now: what leases are compared with; when an event came is said by the process that took it.
    """
    return [accepted for group in _independent(events) for accepted in _accept(database, group, now)]


def _independent(events: Sequence[NewEvent]) -> Iterator[List[NewEvent]]:
    """The events in their order, in groups: cut wherever one could see what an earlier one has changed."""
    met: Set[Any] = set()
    together: List[NewEvent] = []
    for event in events:
        marks = {_subject(event), event.dedup_key, *event.also_known_as}
        if marks & met or len(together) == MAX_ROWS:
            yield together
            met, together = set(), []
        met |= marks
        together.append(event)
    if together:
        yield together


def _accept(database: Database, events: List[NewEvent], now: float) -> List[Accepted]:
    known = _read_known(database, events)
    rows: List[EventFacts] = []
    ended: List[Dict[str, Any]] = []
    answers = []
    for event in events:
        judged = _judge(event, known)
        is_new = known.keys.isdisjoint((event.dedup_key, *event.also_known_as))
        is_doubtful = event.to_confirm or judged.doubtful
        if event.is_final and ((is_new and is_doubtful) or judged.contradicts):
            answers.append(_put_off(event, judged, known, rows))
        else:
            answers.append(_take(database, event, judged, known, is_new, rows, ended))
    insert_events(database, rows)
    owed = close_listens(database, ended, ListenState.resolved, now)
    # Where another callback is to be called just now, too, both calls are acquired together.
    return [
        dataclasses.replace(answer, fact=None) if _subject(event) in owed else answer
        for event, answer in zip(events, answers)
    ]


def _put_off(event: NewEvent, judged: _Judgement, known: _Known, rows: List[EventFacts]) -> Accepted:
    """Store the event as something merely said, until FedaPay's API has said so, too."""
    is_new = event.unconfirmed_key not in known.keys
    if is_new:
        rows.append(EventFacts(event.unconfirmed(), known=judged.known))
    return Accepted(is_new, False, to_confirm=event.entity_id)


def _take(
    database: Database,
    event: NewEvent,
    judged: _Judgement,
    known: _Known,
    is_new: bool,
    rows: List[EventFacts],
    ended: List[Dict[str, Any]],
) -> Accepted:
    """Store the event as a fact, and end the wait for its transaction."""
    listen = known.listens.get(_subject(event)) if event.is_final else None
    state = None if listen is None else listen["state"]
    late = state in (ListenState.timed_out, ListenState.cancelled)
    if judged.agrees is not None:
        facts, taken_back = settle(database, event, judged.agrees, is_new=is_new, late=late)
    else:
        repeats = event.is_paid and _subject(event) in known.told
        facts, taken_back = EventFacts(event, late, judged.suspect, repeats) if is_new else None, False
    if facts is not None:
        rows.append(facts._replace(known=judged.known))
    # While we are deleting it ourselves at the deadline, the news of that deletion is not the end of the wait.
    # Told again it is: the process that was deleting has died meanwhile, or another program did it first.
    ours = is_new and state == ListenState.closing and event.name == "transaction.deleted"
    if listen is not None and state in OPEN_STATES and not ours:
        ended.append(listen)
    suspect = facts is not None and facts.suspect
    # What is told once more may have been told so before, and its calls may be running.
    may_be_taken = facts is not None and facts.event is event and event.work_state == WorkState.ready
    fact = event.dedup_key if may_be_taken else None
    return Accepted(facts is not None, event.is_final, facts is not None and late, suspect, taken_back, fact=fact)


def _judge(event: NewEvent, known: _Known) -> _Judgement:
    """Whose payment the event is about, and whether it is to be believed."""
    subject = _subject(event)
    payment = known.payments.get(subject)
    if payment is not None:
        return _judge_known(event, payment, subject in known.told, subject in known.doubted)
    if event.object != TRANSACTION:
        return _Judgement(False)
    if subject in known.doubted:
        # What made it suspect need not be shown in each of its events.
        return _Judgement(False, suspect=event.is_paid)
    if event.reference is None:
        # It may be the payment whose creation has not been answered yet; the API shows what it is called.
        is_expected = event.is_paid and event.environment in known.creating
        return _Judgement(False, doubtful=is_expected and not event.from_api)
    under = [
        each
        for each in known.references.get((event.environment, event.reference), ())
        if not event.accounts or each.account in event.accounts
    ]
    waiting = [each for each in under if each.transaction_id is None]
    if not under:
        return _Judgement(False)
    if event.from_api or all(each.asked.compare(event.entity).different for each in waiting):
        # A reference of ours counts like an id: this is another transaction than the one that it belongs to. Had the
        # API shown the one that was asked for, it would have been adopted, and known by its id.
        return _Judgement(False, suspect=event.is_paid)
    # That it is ours is told by its reference alone, and the payer by nothing: the API shows whom it belongs to.
    return _Judgement(True, doubtful=event.is_paid)


def _judge_known(event: NewEvent, payment: _Payment, was_told: bool, was_doubted: bool) -> _Judgement:
    """
    An event about a payment of ours. Another sum is suspect at once; what cannot be read, and what contradicts an
    earlier event, is for FedaPay's API to decide.
    """
    if not event.is_paid:
        return _Judgement(True)
    comparison = payment.asked.compare_sum(event.entity)
    agrees = comparison.agrees or (payment.accepted and not comparison.different)
    if event.from_api:
        return _Judgement(True, agrees=agrees)
    if agrees:
        return _Judgement(True, doubtful=was_doubted, contradicts=was_doubted and not was_told)
    if comparison.different:
        return _Judgement(True, suspect=True, doubtful=was_told, contradicts=was_told)
    return _Judgement(True, doubtful=True)


def _read_known(database: Database, events: List[NewEvent]) -> _Known:
    """The caller holds the lock under which all others write: what is read stays true until the commit."""
    known = _Known(set(), set(), set(), {}, {}, {}, set())
    keys = [key for event in events for key in (event.dedup_key, *event.also_known_as)]
    keys += [event.unconfirmed_key for event in events if event.is_final and not event.from_api]
    # All that was told of these transactions, which is little: which of it says "paid" is decided here.
    paid = [event.entity_id for event in events if event.is_paid]
    final = [event.entity_id for event in events if event.is_final]
    transactions = [event.entity_id for event in events if event.object == TRANSACTION]
    references = [event.reference for event in events if event.object == TRANSACTION and event.reference]
    environments = list({event.environment for event in events})
    for table, *row in _select(database, _KNOWN_ROWS, environments, final, transactions, references, keys, paid):
        subject = row[0], row[1]
        if table == "listen":
            known.listens[subject] = dict(zip(LISTEN_COLUMNS, row))
        elif table == "payment":
            payment = _payment_of(row)
            under = known.references.setdefault((row[0], payment.asked.reference), [])
            if payment not in under:
                under.append(payment)
            if payment.transaction_id is not None:
                known.payments.setdefault(subject, payment)
        else:
            known.keys.add(row[4])
            if row[3] and row[5] in PAID_STATUSES:
                (known.doubted if row[7] else known.told).add(subject)
    if any(event.is_paid and event.reference is None and _subject(event) not in known.payments for event in events):
        known.creating.update(row[0] for row in database.execute_sql(_INTENTS).fetchall())
    return known


def _payment_of(row: List[Any]) -> _Payment:
    _, transaction_id, amount, currency_id, currency_and_account, reference, traits, accepted_at = row[:8]
    asked = Asked(amount, currency_and_account[:3], currency_id, reference, json.loads(traits) if traits else {})
    return _Payment(asked, currency_and_account[3:], transaction_id, accepted_at is not None)


def _select(database: Database, query: str, *lists: List[str]) -> List[Any]:
    """The rows of a query, with each ``{}`` in it the next of the lists."""
    # PostgreSQL takes no empty list; nothing is in a list of NULL.
    filled: List[Sequence[Optional[str]]] = [values or [None] for values in lists]
    places = [placeholders(database, values) for values in filled]
    found: List[Any] = database.execute_sql(
        query.format(*places), [value for values in filled for value in values]
    ).fetchall()
    return found


def _subject(event: NewEvent) -> _Subject:
    return event.environment, event.entity_id
