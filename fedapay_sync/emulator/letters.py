"""A webhook that is handed over instead of sent: signed, for whoever tests a route of his own."""

from typing import Any, Dict, Mapping, NamedTuple, Optional

from fedapay_sync import signature
from fedapay_sync.common.clock import SYSTEM_CLOCK
from fedapay_sync.emulator.delivery.samples import NAMES, sample
from fedapay_sync.emulator.http import serializers as shapes
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.services import Parts
from fedapay_sync.errors import InvalidArgument

# What an event makes of a transaction, if the transaction has not come so far.
_MOVED = ("status", "mode", "commission", "fees", "amount_debited", "amount_transferred")


class SignedWebhook(NamedTuple):
    """
    Un webhook, prêt à être envoyé à une boutique.

    Attributes:
        body: corps, octet pour octet ce qui est signé.
        headers: en-têtes, signature comprise.
    """

    body: bytes
    headers: Dict[str, str]


def letter(
    parts: Parts,
    event: str,
    number: Optional[int],
    *,
    secret: Optional[str] = None,
    age: float = 0,
    changes: Optional[Mapping[str, Any]] = None,
) -> SignedWebhook:
    """The webhook of an event: of that transaction, or of an invented object."""
    with parts.books.lock:
        made = sample(event, parts.books)
        if made is None:
            known = ", ".join(f"{kind}.{what}" for kind, names in NAMES.items() for what in names)
            raise InvalidArgument(f"event={event!r} : inconnu. Événements : {known}.", field="event")
        kind, entity = made
        if number is not None:
            if kind != "transaction":
                raise InvalidArgument(f"{event} ne concerne pas une transaction : ne pas donner id.", field="id")
            entity = _of_transaction(parts, number, entity)
        entity = {**entity, **(changes or {})}
        account = parts.accounts.told(entity.get("account_id"), in_full=False)
    body = shapes.webhook_body(event, kind, entity["id"], entity, account)
    at = int(SYSTEM_CLOCK.now() - age)
    signed = signature.sign(body, secret or parts.sender.secret, at)
    return SignedWebhook(body, {"Content-Type": "application/json", signature.HEADER: signed})


def _of_transaction(parts: Parts, number: int, example: Record) -> Record:
    """The transaction as it is, gone on to where the event has it."""
    record = parts.ledger.get(number)
    entity = shapes.transaction_record(record, parts.books.base_url())
    status = example["status"]
    if status in ("pending", entity["status"]):
        return entity
    own = {"amount_debited": record["amount"], "amount_transferred": record["amount"], "fees": 0}
    moved = {name: own.get(name, example[name]) if example[name] is not None else None for name in _MOVED}
    return {**entity, **moved, f"{status}_at": example["updated_at"], "updated_at": example["updated_at"]}
