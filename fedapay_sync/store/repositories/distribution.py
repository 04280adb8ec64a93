"""
Gives events to callbacks: one row of fp_call for each callback that is to be called with the event.

An event lies in the store before any process says which callbacks there are, so it is given to them by the process that
takes it up, in that transaction. Each event is given out once.
"""

import functools
from typing import Sequence, Tuple

from fedapay_sync.store.callback_records import Claim
from fedapay_sync.store.database import Database
from fedapay_sync.store.records import LOCAL, PAYMENT_NAME, RESTORED_NAME
from fedapay_sync.store.repositories.disputed_calls import PAID, SAYS_PAID, hold_disputed_calls
from fedapay_sync.store.repositories.sql import chunks, placeholders
from fedapay_sync.store.states import TOLD_KINDS, CallbackKind, EventKind, WorkState, literals

#: Callback ``c`` is to be called with event ``e``, if it came after the callback was known.
IS_FOR = f"""
c.environment = e.environment AND c.account = e.account AND c.same_as IS NULL AND
CASE WHEN e.source <> '{LOCAL}' THEN
    c.kind = {literals(CallbackKind.webhook)}
    OR (c.kind = {literals(CallbackKind.paid_unknown)} AND {SAYS_PAID})
    OR (c.kind = {literals(CallbackKind.paid)} AND {SAYS_PAID} AND e.known = 1)
WHEN e.name = '{PAYMENT_NAME}' THEN c.kind = {literals(CallbackKind.payment)}
WHEN e.name = '{RESTORED_NAME}' THEN c.kind = {literals(CallbackKind.restored)}
ELSE 1 = 0 END
"""
# What was tried before the event was given out counts on, unless FedaPay was asked and not a callback.
_TRIED = f"CASE WHEN e.kind = {literals(EventKind.fact)} THEN e.attempts ELSE 0 END, e.run_after, e.last_error, NULL"
# What was tried with others is nothing to a callback that is given the event after them.
_UNTRIED = "0, 0, NULL, NULL"
_GIVE = f"""
INSERT INTO fp_call (event_id, callback_id, work_state, attempts, run_after, last_error, lease_owner)
SELECT e.id, c.id, {{state}}, {{tried}}
FROM fp_event e JOIN fp_callback c ON {IS_FOR}
WHERE {{condition}} AND NOT EXISTS (SELECT 1 FROM fp_call WHERE event_id = e.id AND callback_id = c.id)
"""
_HAS_CALLS = f"EXISTS (SELECT 1 FROM fp_call WHERE event_id = fp_event.id AND work_state <> {literals(WorkState.done)})"
_ENDED = f"""
UPDATE fp_event SET work_state = {literals(WorkState.done)}, finished_at = ?
WHERE id IN {{}} AND work_state = {literals(WorkState.none)} AND NOT {_HAS_CALLS}
"""
#: A callback is known that may be called with events of that kind: the event is not for the first that comes.
IS_CLAIMED = f"""
EXISTS (SELECT 1 FROM fp_callback c WHERE c.same_as IS NULL AND c.environment = e.environment AND c.account = e.account
        AND CASE WHEN e.source <> '{LOCAL}' THEN c.kind IN ({literals(*TOLD_KINDS)})
            ELSE e.name = 'local.' || c.kind END)
"""
# Without a callback that wants it, it is done. Where none is known, a fact waits for the first; FedaPay would be asked
# again about what it has denied.
_GIVEN = f"""
UPDATE fp_event
SET work_state = CASE WHEN {_HAS_CALLS} THEN {literals(WorkState.none)} ELSE {literals(WorkState.done)} END,
    finished_at = CASE WHEN {_HAS_CALLS} THEN finished_at ELSE ? END, lease_owner = NULL
WHERE {{}} AND (kind <> {literals(EventKind.fact)} OR {_HAS_CALLS} OR {IS_CLAIMED.replace(" e.", " fp_event.")})
"""
# What is paid may yet be found to be a payment of this database: it is compared then, and told.
_ERASE = f"""
UPDATE fp_event SET body = ? WHERE {{}} AND work_state = {literals(WorkState.done)}
AND (known = 1 OR object <> 'transaction' OR status IS NULL OR status NOT IN ({PAID}))
"""
#: An event that has been given out is owed again.
_REOPEN = f"""
UPDATE fp_event SET work_state = {literals(WorkState.none)}
WHERE work_state = {literals(WorkState.done)} AND {{}} AND {_HAS_CALLS}
"""
_PARKED_GIVEN = f"""
UPDATE fp_event SET work_state = {literals(WorkState.none)}
WHERE work_state = {literals(WorkState.dead)} AND {_HAS_CALLS}
"""
_GIVEN_OUT = f"e.work_state IN ({literals(WorkState.none, WorkState.done)})"
_FACT = f"e.kind = {literals(EventKind.fact)}"


def distribute(database: Database, events: Sequence[int], now: float, *, erase_bodies: bool = False) -> None:
    """
    Give these events, which have no calls yet, to the callbacks that were known when they came.

    Args:
        erase_bodies: forget the bodies of those that no callback wants.
    """
    places = placeholders(database, events)
    _give(database, WorkState.ready, _TRIED, f"e.id IN {places} AND c.after_event < e.id", events)
    database.execute_sql(_GIVEN.format(f"id IN {places}").replace("?", database.param), [now, *events])
    if erase_bodies:
        erase_bodies_of(database, events)


def distribute_and_take(database: Database, keys: Sequence[str], claim: Claim, now: float) -> None:
    """Give the facts of these keys, stored in this transaction, to all callbacks; what is claimed runs from now on."""
    give, given, erase = _of_new(database.param, len(keys), len(claim.callbacks))
    mine = claim.callbacks
    database.execute_sql(give, [*mine, *mine, *mine, now + claim.lease, *mine, claim.owner, *keys])
    database.execute_sql(given, [now, *keys])
    if claim.erase_bodies:
        database.execute_sql(erase, [b"", *keys])


@functools.lru_cache(maxsize=64)
def _of_new(param: str, events: int, callbacks: int) -> Tuple[str, str, str]:
    """The texts of these statements; with so many events and callbacks they are always the same."""
    mine = f"c.id IN ({', '.join('?' * callbacks)})"
    state = f"CASE WHEN {mine} THEN {literals(WorkState.running)} ELSE {literals(WorkState.ready)} END"
    tried = (
        f"CASE WHEN {mine} THEN 1 ELSE 0 END, CASE WHEN {mine} THEN ? ELSE e.run_after END, NULL, "
        f"CASE WHEN {mine} THEN ? END"
    )
    keys = f"dedup_key IN ({', '.join('?' * events)})"
    ready = f"e.{keys} AND e.work_state = {literals(WorkState.ready)} AND {_FACT} AND c.after_event < e.id"
    texts = _GIVE.format(state=state, tried=tried, condition=ready), _GIVEN.format(keys), _ERASE.format(keys)
    give, given, erase = (each.replace("?", param) for each in texts)
    return give, given, erase


def erase_bodies_of(database: Database, events: Sequence[int]) -> None:
    """Forget the bodies of those of these events that are done, but of what may still be found to be a payment."""
    text = _ERASE.format(f"id IN {placeholders(database, events)}").replace("?", database.param)
    database.execute_sql(text, [b"", *events])


def end_events(database: Database, events: Sequence[int], now: float) -> None:
    """These events are done, as far as no call of theirs is left."""
    for chunk in chunks(events):
        text = _ENDED.format(placeholders(database, chunk)).replace("?", database.param)
        database.execute_sql(text, [now, *chunk])


def distribute_parked(database: Database, callbacks: Sequence[int]) -> None:
    """Give what an older version parked to the first callbacks that are known, still parked."""
    condition = f"c.id IN {placeholders(database, callbacks)} AND e.work_state = {literals(WorkState.dead)} AND {_FACT}"
    _give(database, WorkState.dead, _TRIED, condition, callbacks)
    database.execute_sql(_PARKED_GIVEN)


def distribute_again(database: Database, callback: int, after: int) -> None:
    """Give a callback that is new what came after that event and has been given to others."""
    condition = f"c.id = {database.param} AND e.id > {database.param} AND {_FACT} AND {_GIVEN_OUT}"
    _give(database, WorkState.ready, _UNTRIED, condition, [callback, after])
    database.execute_sql(_REOPEN.format(f"id > {database.param}"), [after])
    hold_disputed_calls(database, "callback_id", [callback])


def distribute_known(database: Database, events: Sequence[int]) -> None:
    """These events have been given out, and only now is it known that they are about payments of this database."""
    places = placeholders(database, events)
    condition = f"e.id IN {places} AND c.kind = {literals(CallbackKind.paid)} AND c.after_event < e.id AND {_GIVEN_OUT}"
    _give(database, WorkState.ready, _UNTRIED, condition, events)
    database.execute_sql(_REOPEN.format(f"id IN {places}"), list(events))


def _give(database: Database, state: WorkState, tried: str, condition: str, values: Sequence[int]) -> None:
    """Write down calls in that state, with what was tried before, for the events and callbacks of that condition."""
    database.execute_sql(_GIVE.format(state=literals(state), tried=tried, condition=condition), list(values))
