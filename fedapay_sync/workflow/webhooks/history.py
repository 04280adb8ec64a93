"""Stored events as callbacks and outcomes show them."""

import contextlib
import json
from datetime import datetime, timezone
from typing import Any, Dict

from fedapay_sync.errors import EventError, InvalidArgument
from fedapay_sync.models import WebhookHistory
from fedapay_sync.models.schema.values import MAX_DEPTH, is_deep
from fedapay_sync.store import LOCAL, StoredEvent
from fedapay_sync.store.states import EventKind


def history_of(stored: StoredEvent) -> WebhookHistory:
    """A stored event as callbacks and outcomes show it."""
    event = contents(stored)
    facts = {
        "name": stored.name,
        "event_key": stored.event_key,
        "attempt": max(stored.attempts, 1),
        "late": stored.late,
        "known": stored.known,
        # Until FedaPay has confirmed it, it is no reason to deliver.
        "suspect": stored.suspect or stored.kind == EventKind.unconfirmed,
        "repeats": stored.repeats,
        "source": stored.source,
        "callback": stored.callback_name,
        "last_error": stored.last_error,
        "received_at": datetime.fromtimestamp(stored.received_at, timezone.utc),
    }
    with contextlib.suppress(InvalidArgument):
        return WebhookHistory.from_dict({**event, **facts})
    return WebhookHistory.from_dict(facts)


def contents(stored: StoredEvent) -> Dict[str, Any]:
    """The event that a row holds; where its body was erased, what the columns say of it."""
    try:
        return decode(stored.body)
    except EventError:
        if stored.body or stored.source == LOCAL:
            return {}
    return {
        "name": stored.name,
        "object": stored.object,
        "object_id": stored.entity_id,
        "entity": {"klass": f"v1/{stored.object}", "id": stored.entity_id, "status": stored.status},
    }


def decode(payload: bytes) -> Dict[str, Any]:
    """
    The JSON object in these bytes; of two equal keys the last one counts, as everywhere in Python.

    Raises:
        EventError: they are no JSON object, or one so deep that not every thread could read it.
    """
    try:
        event = _JSON.decode(payload.decode("utf-8"))
    # A deep nest is a RecursionError, which is no ValueError.
    except (ValueError, RecursionError) as error:
        raise EventError(f"Événement illisible : ce n'est pas du JSON ({type(error).__name__}).") from None
    if not isinstance(event, dict):
        raise EventError(f"Événement illisible : un objet JSON est attendu, reçu {type(event).__name__}.")
    # Most events have fewer brackets than that, at whatever depth.
    if payload.count(b"[") + payload.count(b"{") > MAX_DEPTH and is_deep(event):
        raise EventError(f"Événement illisible : plus de {MAX_DEPTH} listes ou objets l'un dans l'autre.")
    return event


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


# Made once: json.loads makes one for each call that asks for anything special.
_JSON = json.JSONDecoder(parse_constant=_refuse)
