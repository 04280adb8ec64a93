"""
Opening listens: one, or thousands in a transaction.

In SQL text: for ten thousand rows, building the statements with Peewee takes longer than everything else together.
"""

import dataclasses
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from fedapay_sync.store.database import Database
from fedapay_sync.store.records import Listen
from fedapay_sync.store.repositories.rows import close_listens, is_abandoned, listen_of
from fedapay_sync.store.repositories.sql import rows_of
from fedapay_sync.store.states import OPEN_STATES, ListenState, literals
from fedapay_sync.store.tables import LISTEN_COLUMNS, ListenRow

_KNOWN = f"SELECT {', '.join(LISTEN_COLUMNS)} FROM fp_listen WHERE environment = ? AND transaction_id IN ({{}})"
_NEWEST_FINAL = """
SELECT entity_id, MAX(CASE WHEN is_final = 1 THEN id END) FROM fp_event
WHERE environment = ? AND object = 'transaction' AND entity_id IN ({}) GROUP BY entity_id
"""
_ASKED = "SELECT transaction_id FROM fp_payment WHERE environment = ? AND transaction_id IN ({})"
# The same for all rows but for the transaction, its account, and the event by which it has ended already.
_INSERT = f"""
INSERT INTO fp_listen (environment, state, deadline, timeout, delete_at_deadline, owed, owner, run_after, created_at,
                       closed_at, transaction_id, account, event_id)
SELECT ?, CASE WHEN column3 IS NULL THEN {literals(ListenState.pending)} ELSE {literals(ListenState.resolved)} END,
       ?, ?, ?, 0, ?, ?, ?, CASE WHEN column3 IS NULL THEN NULL ELSE ? END, column1, column2, CAST(column3 AS BIGINT)
FROM (VALUES {{}}) AS fresh
"""


class OpenRequest(NamedTuple):
    """What a caller that begins to wait asks for, and when."""

    environment: str
    timeout: float
    delete_at_deadline: bool
    owner: str
    lease: float
    now: float
    is_alive: Callable[[str], bool]

    @property
    def term(self) -> Dict[str, Any]:
        """The columns that say until when the transaction is watched."""
        return {
            "state": ListenState.pending,
            "deadline": self.now + self.timeout,
            "timeout": self.timeout,
            "delete_at_deadline": int(self.delete_at_deadline),
        }


def open_listens(database: Database, asked: OpenRequest, accounts: Mapping[str, str]) -> Dict[str, Listen]:
    """Insert or prolong the listen of each of these transactions, at most ``CHUNK``; by id, as each is now."""
    ids = list(accounts)
    finals = dict(rows_of(database, _NEWEST_FINAL, [asked.environment], ids))
    known_ids = {*finals, *(row[0] for row in rows_of(database, _ASKED, [asked.environment], ids))}
    known = [dict(zip(LISTEN_COLUMNS, row)) for row in rows_of(database, _KNOWN, [asked.environment], ids)]
    opened: Dict[str, Listen] = {}
    same: Dict[Tuple[Tuple[str, Any], ...], List[int]] = {}
    for row in known:
        transaction_id = row["transaction_id"]
        changes = _changes_of_existing(database, row, asked, accounts[transaction_id], finals.get(transaction_id))
        known_ids |= {transaction_id} if row["state"] in OPEN_STATES else set()
        opened[transaction_id] = listen_of({**row, **changes})
        if changes:
            same.setdefault(tuple(changes.items()), []).append(row["id"])
    for items, numbers in same.items():
        ListenRow.update(dict(items)).where(ListenRow.id.in_(numbers)).execute(database)
    fresh = [(each, account, finals.get(each)) for each, account in accounts.items() if each not in opened]
    if fresh:
        _insert(database, asked, fresh)
    shared = {**asked.term, "owed": 0}
    for each, account, final in fresh:
        state = ListenState.pending if final is None else ListenState.resolved
        opened[each] = listen_of({**shared, "transaction_id": each, "account": account, "state": state})
    return {each: dataclasses.replace(listen, known=each in known_ids) for each, listen in opened.items()}


def _insert(database: Database, asked: OpenRequest, fresh: List[Tuple[str, str, Optional[int]]]) -> None:
    text = _INSERT.format(", ".join(["(?, ?, ?)"] * len(fresh))).replace("?", database.param)
    same = (
        asked.environment, asked.now + asked.timeout, asked.timeout, int(asked.delete_at_deadline), asked.owner,
        asked.now + asked.lease, asked.now, asked.now,
    )  # fmt: skip
    database.execute_sql(text, [*same, *(value for row in fresh for value in row)])


def _changes_of_existing(
    database: Database, row: Dict[str, Any], asked: OpenRequest, account: str, final: Optional[int]
) -> Dict[str, Any]:
    """
    What is to be changed in a row that is there already; one that has ended with a final event stays as it is.

    An open one whose end is known by now is closed at once.
    """
    if row["state"] in OPEN_STATES and final is not None:
        close_listens(database, [row], ListenState.resolved, asked.now)
        row["state"] = ListenState.resolved
        return {}
    lease, term = {"owner": asked.owner, "run_after": asked.now + asked.lease}, asked.term
    if row["state"] in OPEN_STATES:
        changes: Dict[str, Any] = {}
        if row["deadline"] <= term["deadline"]:
            changes.update(term, closed_at=None)
        if row["owner"] == asked.owner or is_abandoned(row, asked.now, asked.is_alive):
            changes.update(lease)
        return changes
    if row["state"] == ListenState.resolved:
        return {}
    # It ended without a final event (timeout, cancel): a new wait begins a new watch.
    changes = {**term, **lease, "account": account, "owed": 0, "event_id": None, "created_at": asked.now}
    if final is not None:
        return {**changes, "state": ListenState.resolved, "event_id": final, "closed_at": asked.now}
    return {**changes, "closed_at": None}
