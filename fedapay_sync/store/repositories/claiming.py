"""Takes the calls of events in the transaction that stores them, for a process that has a thread for them."""

import dataclasses
from collections import defaultdict
from typing import Dict, List, Optional, Sequence, Tuple

from fedapay_sync.store.callback_records import Claim
from fedapay_sync.store.database import Database
from fedapay_sync.store.records import Accepted, StoredEvent
from fedapay_sync.store.repositories.distribution import distribute_and_take
from fedapay_sync.store.repositories.sql import placeholders
from fedapay_sync.store.repositories.work_rows import stored_calls
from fedapay_sync.store.states import WorkState, literals

_TAKEN = f"k.work_state = {literals(WorkState.running)} AND k.lease_owner = ?"


def claim_calls(
    database: Database, accepted: Sequence[Accepted], claims: Sequence[Optional[Claim]], now: float
) -> List[Accepted]:
    """
    Give what was stored in this transaction to the callbacks that are known, and take those calls that are claimed.

    Returns:
        the same answers, each with its calls.
    """
    facts: Dict[Claim, List[str]] = defaultdict(list)
    for each, claim in zip(accepted, claims):
        if claim is not None and each.fact is not None:
            facts[claim].append(each.fact)
    calls: Dict[Tuple[str, str], List[StoredEvent]] = {}
    for claim, keys in facts.items():
        distribute_and_take(database, keys, claim, now)
        calls.update({(claim.owner, key): [] for key in keys})
        in_question = [(f"e.dedup_key IN {placeholders(database, keys)}", keys), (_TAKEN, [claim.owner])]
        # In the order in which the callbacks were registered.
        for call in sorted(stored_calls(database, in_question), key=lambda call: call.callback or 0):
            calls[claim.owner, call.dedup_key].append(call)
    return [
        each
        if claim is None or each.fact is None
        else dataclasses.replace(each, calls=tuple(calls[claim.owner, each.fact]))
        for each, claim in zip(accepted, claims)
    ]
