"""Reads the object that an event is about as the model of its kind, from JSON inside a text as well."""

import json
from collections.abc import Mapping
from typing import Any, Dict, List, NoReturn, Type, Union

from fedapay_sync.common.logging import get_logger
from fedapay_sync.errors import InvalidArgument
from fedapay_sync.models.account import Account
from fedapay_sync.models.balance import Balance
from fedapay_sync.models.base import Json, Model
from fedapay_sync.models.currency import Currency
from fedapay_sync.models.customer import Customer
from fedapay_sync.models.invoice import Invoice
from fedapay_sync.models.payment_page import PaymentPage
from fedapay_sync.models.payout import Payout
from fedapay_sync.models.transaction import Transaction

log = get_logger(__name__)

TRANSACTION = "transaction"

#: An object of FedaPay's, a dictionary where we have no model for it, or what came instead.
Entity = Any

MODELS: Dict[str, Type[Model]] = {
    each.envelope.partition("/")[2]: each
    for each in (Transaction, Payout, Customer, Account, Balance, Currency, PaymentPage, Invoice)
}


def kind_of(event: Mapping[str, Any]) -> str:
    """``transaction``, ``payout``, … The entity's own class outweighs a name that says otherwise."""
    entity = event.get("entity")
    klass = entity.get("klass") if isinstance(entity, Mapping) else None
    if isinstance(klass, str) and klass.startswith("v1/"):
        return klass[3:]
    for word in (event.get("object"), str(event.get("name") or "").partition(".")[0]):
        if isinstance(word, str) and word:
            return word
    return ""


def id_of(event: Mapping[str, Any]) -> Any:
    """The id of the object that an event is about, as it came: the object's own, or what the event says of it."""
    entity = event.get("entity")
    own = entity.get("id") if isinstance(entity, Mapping) else None
    return event.get("object_id") if own is None else own


def decode_json_text(value: Any) -> Union[Json, List[Any], str]:
    """
    What a JSON text says. A text that holds no object and no list is kept: what it would decode to, another reading
    could decode again.

    Raises:
        ValueError: neither a text nor what one would hold.
    """
    if isinstance(value, (dict, list)):
        return value
    if not isinstance(value, str):
        raise ValueError("un texte JSON est attendu")
    try:
        found = json.loads(value, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return str(value)
    return found if isinstance(found, (dict, list)) else str(value)


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(word)


def read_entity(owner: Type[Model], event: Mapping[str, Any], *, strict: bool) -> Any:
    """
    The entity of an event, as the model of its kind.

    What cannot be read is kept as it came, with a warning.

    Raises:
        InvalidArgument: strict, and it cannot be read.
    """
    entity = event.get("entity")
    if entity is None or isinstance(entity, Model):
        return entity
    if isinstance(entity, str):
        entity = decode_json_text(entity)
    if isinstance(entity, Mapping):
        model = MODELS.get(kind_of({**event, "entity": entity}))
        if model is None:
            return dict(entity)
        number = id_of({**event, "entity": entity})
        # An object that cannot be asked for again is not worth the name.
        if number is not None:
            return model.from_dict({**entity, "id": number}, strict=strict)
    if strict:
        raise InvalidArgument(f"{owner.__name__} illisible : entity (un objet est attendu).", field="entity")
    log.warning("odd value kept as it came: %s.entity", owner.__name__)
    return dict(entity) if isinstance(entity, Mapping) else entity
