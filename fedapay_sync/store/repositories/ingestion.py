"""
Storing events: many at once, each as if it came alone.

What waits together in the writer is taken together, in few statements of plain SQL: Peewee's query builder costs
fifteen times what the statement does, and each statement is a journey to a server.
"""

from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from fedapay_sync.enums import PAID_STATUSES
from fedapay_sync.store.database import Database
from fedapay_sync.store.records import Accepted, NewEvent
from fedapay_sync.store.repositories.rows import MAX_ROWS, EventFacts, close_listens, insert_events
from fedapay_sync.store.repositories.sql import placeholders
from fedapay_sync.store.states import OPEN_STATES, ListenState
from fedapay_sync.store.tables import LISTEN_COLUMNS

_EVENT = (
    f"SELECT 'event', environment, entity_id, id, is_final, dedup_key, status{', NULL' * (len(LISTEN_COLUMNS) - 6)}"
)
#: One journey instead of three. The first of the tables says what the columns hold, the others fill what they need.
_KNOWN_ROWS = f"""
SELECT 'listen', {", ".join(LISTEN_COLUMNS)} FROM fp_listen WHERE environment IN {{}} AND transaction_id IN {{}}
UNION ALL
SELECT 'payment', environment, transaction_id, amount, currency_id{", NULL" * (len(LISTEN_COLUMNS) - 4)}
FROM fp_payment WHERE transaction_id IN {{}}
UNION ALL {_EVENT} FROM fp_event WHERE dedup_key IN {{}}
UNION ALL {_EVENT} FROM fp_event WHERE entity_id IN {{}}
"""

#: Environment and id of a transaction.
_Subject = Tuple[str, str]


class _Known(NamedTuple):
    """What the store has on some events before they are in it."""

    keys: Set[str]
    paid: Set[_Subject]
    listens: Dict[_Subject, Dict[str, Any]]
    #: Amount and currency that were asked for.
    asked: Dict[_Subject, Tuple[int, Optional[int]]]


def accept_all(database: Database, events: Sequence[NewEvent]) -> List[Accepted]:
    """
    Store each event once and settle the listen of its transaction with it; what became of each, in their order.

    The rows are those that the same events would leave one by one.
    """
    return [accepted for group in _independent(events) for accepted in _accept(database, group)]


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


def _accept(database: Database, events: List[NewEvent]) -> List[Accepted]:
    known = _read_known(database, events)
    rows, ends, answers = [], [], []
    for event in events:
        listen = known.listens.get(_subject(event)) if event.is_final else None
        state = None if listen is None else listen["state"]
        late = state in (ListenState.timed_out, ListenState.cancelled)
        suspect = event.is_final and event.is_paid and _differs(event, known.asked)
        repeats = event.is_paid and _subject(event) in known.paid
        new = known.keys.isdisjoint((event.dedup_key, *event.also_known_as))
        if new:
            rows.append(EventFacts(event, late, suspect, repeats))
        # While we are deleting it ourselves at the deadline, the news of that deletion is not the end of the wait.
        # Told again it is: the process that was deleting has died meanwhile, or another program did it first.
        ours = new and state == ListenState.closing and event.name == "transaction.deleted"
        if listen is not None and state in OPEN_STATES and not ours:
            ends.append((listen, event.received_at))
        answers.append(Accepted(new, event.is_final, late=new and late, suspect=new and suspect))
    insert_events(database, rows)
    close_listens(database, ends, ListenState.resolved)
    return answers


def _read_known(database: Database, events: List[NewEvent]) -> _Known:
    """The caller holds the lock under which all others write: what is read stays true until the commit."""
    known = _Known(set(), set(), {}, {})
    keys = [key for event in events for key in (event.dedup_key, *event.also_known_as)]
    # All that was told of these transactions, which is little: which of it says "paid" is decided here.
    paid = [event.entity_id for event in events if event.is_paid]
    final = [event.entity_id for event in events if event.is_final]
    environments = list({event.environment for event in events})
    for table, *row in _select(database, _KNOWN_ROWS, environments, final, final, keys, paid):
        subject = row[0], row[1]
        if table == "listen":
            known.listens[subject] = dict(zip(LISTEN_COLUMNS, row))
        elif table == "payment":
            known.asked.setdefault(subject, (row[2], row[3]))
        else:
            known.keys.add(row[4])
            if row[3] and row[5] in PAID_STATUSES:
                known.paid.add(subject)
    return known


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


def _differs(event: NewEvent, asked: Dict[_Subject, Tuple[int, Optional[int]]]) -> bool:
    """Whether the event carries another amount or currency than was asked for, as far as both are known."""
    amount, currency_id = asked.get(_subject(event), (None, None))
    return any(
        None not in (said, wanted) and said != wanted
        for said, wanted in ((event.amount, amount), (event.currency_id, currency_id))
    )
