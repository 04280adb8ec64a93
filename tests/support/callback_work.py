"""Work for a callback worker that a test makes itself: settings, events, and how the inbox has their calls taken."""

import hashlib
from types import SimpleNamespace

from fedapay_sync.store import NewEvent

CONFIG = SimpleNamespace(environment="sandbox", accounts=("shop",), keep_bodies_days=30)


def event(number, **changes):
    """That a transaction is paid, as a webhook tells it."""
    facts = {
        "dedup_key": hashlib.sha256(str(number).encode()).hexdigest(),
        "event_key": f"key-{number}",
        "environment": "sandbox",
        "account": "shop",
        "name": "transaction.approved",
        "object": "transaction",
        "entity_id": str(number),
        "status": "approved",
        "is_final": True,
        "is_paid": True,
        "source": "webhook",
        "body": b"{}",
        "body_sha256": "",
        "received_at": 1.0,
    }
    return NewEvent(**{**facts, **changes})


def take(store, worker, number, meanwhile=lambda: None):
    """Store that event as the inbox does; the work that is held of it, or None where no claim was made."""
    with worker.claiming() as claiming:
        meanwhile()
        accepted = store.events.accept(event(number), claiming and claiming.claim)
        taken = claiming.held(accepted.calls) if claiming else []
        worker.held.add(taken)
    return taken if claiming else None
