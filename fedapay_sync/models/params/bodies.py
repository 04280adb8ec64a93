"""
Schemas of the bodies that we send to FedaPay, checked before they are sent.

Only what is certain is refused here; an attribute that this version does not know goes out as it was given.
"""

import contextlib
from collections.abc import Mapping
from functools import cache
from typing import Any, Dict, FrozenSet, Iterator, List, Tuple, Type

import marshmallow

from fedapay_sync.common.computed_once import computed_once
from fedapay_sync.errors import InvalidArgument
from fedapay_sync.models.params import fields


class Body(marshmallow.Schema):
    """Attributes of any object: those known here are checked, the others go out as they are."""

    class Meta:
        unknown = marshmallow.INCLUDE

    include = fields.Include()

    def check_whole(self, data: Dict[str, Any]) -> None:
        """Refuse what each field by itself allows."""

    @marshmallow.validates_schema
    def _check_whole(self, data: Dict[str, Any], **_: Any) -> None:
        self.check_whole(data)

    def read(self, given: Mapping[str, Any]) -> Dict[str, Any]:
        """
        What ``load`` gives, by the same fields, in a fifth of the time. It stops at the first thing that is refused:
        ``load`` then finds all of them, and where they are.

        Raises:
            ValueError, ValidationError, InvalidArgument: something is refused.
        """
        read = {}
        for name, value in given.items():
            field = self.fields.get(name)
            if field is None and self.unknown != marshmallow.INCLUDE:
                raise ValueError(name)
            if field is None or (value is None and field.allow_none):
                read[name] = value
            elif isinstance(field, (fields.StrictField, _NestedBody)):
                read[name] = field.read(value)
            else:
                raise ValueError(name)
        if not self._required.issubset(given):
            raise ValueError("something is missing")
        self.check_whole(read)
        return read

    @computed_once
    def _required(self) -> FrozenSet[str]:
        return frozenset(name for name, field in self.fields.items() if field.required)


class CurrencyBody(Body):
    """``{"iso": "XOF"}``, or the numeric form ``{"code": 952}``."""

    iso = fields.Text()
    code = fields.StrictField()

    def check_whole(self, data: Dict[str, Any]) -> None:
        if not data.get("iso") and not data.get("code"):
            raise marshmallow.ValidationError("« XOF », « GNF » ou {'iso': 'XOF'} est attendu")


class PhoneBody(Body):
    """``{"number": "0164000001", "country": "bj"}``."""

    number = fields.Number(required=True)
    country = fields.Country(required=True)


class _NestedBody(marshmallow.fields.Nested):
    """A nested body; what is no dictionary is refused with an example."""

    def __init__(self, schema: Type[Body], example: str, **options: Any) -> None:
        super().__init__(schema, error_messages=fields.missing_messages(f"un dictionnaire comme {example}"), **options)
        self._example = example

    def _deserialize(self, value: Any, attr: Any, data: Any, partial: Any = None, **kwargs: Any) -> Any:
        if not isinstance(value, Mapping):
            raise marshmallow.ValidationError(f"un dictionnaire est attendu, comme {self._example}")
        # Whole, in an update too: half a phone number is none.
        return super()._deserialize(dict(value), attr, data, partial=False, **kwargs)

    def read(self, value: Any) -> Dict[str, Any]:
        """As ``Body.read``."""
        schema = self.schema
        if not isinstance(value, Mapping) or not isinstance(schema, Body):
            raise ValueError("a dictionary is expected")
        return schema.read(value)


class _Currency(_NestedBody):
    def _deserialize(self, value: Any, attr: Any, data: Any, partial: Any = None, **kwargs: Any) -> Any:
        return super()._deserialize(_currency_named(value), attr, data, **kwargs)

    def read(self, value: Any) -> Dict[str, Any]:
        return super().read(_currency_named(value))


def _currency_named(value: Any) -> Any:
    text = getattr(value, "value", value)
    return {"iso": text} if isinstance(text, str) else value


def _currency(**options: Any) -> _Currency:
    return _Currency(CurrencyBody, "{'iso': 'XOF'}", **options)


def _phone(**options: Any) -> _NestedBody:
    return _NestedBody(PhoneBody, "{'number': '0164000001', 'country': 'bj'}", **options)


class CustomerBody(Body):
    """The payer or the payee: the id of a known customer, or a person (the e-mail is the identity at FedaPay)."""

    id = fields.Id()
    firstname = fields.Name()
    lastname = fields.Name()
    email = fields.Email()
    phone_number = _phone()


def _customer() -> _NestedBody:
    return _NestedBody(CustomerBody, "{'firstname': 'Ayaba', 'lastname': 'Hounkpatin', 'email': 'ayaba@exemple.bj'}")


class TransactionBody(Body):
    """Attributes of a transaction (documentation, page « collects management »)."""

    description = fields.Text(required=True)
    amount = fields.Amount(required=True)
    currency = _currency(required=True)
    callback_url = fields.Link()
    customer = _customer()
    merchant_reference = fields.Reference()
    custom_metadata = fields.JsonObject()
    mode = fields.Mode()


class PayoutBody(Body):
    """Attributes of a payout. Without a mode FedaPay answers 500 and no message (live note of October 2026)."""

    amount = fields.Amount(required=True)
    currency = _currency(required=True)
    mode = fields.Mode(required=True)
    customer = _customer()
    description = fields.Text()
    merchant_reference = fields.Reference()
    custom_metadata = fields.JsonObject()
    scheduled_at = fields.Moment()


class PayoutStartBody(Body):
    """
    One payout to send: now, or at a moment; to the customer's number, or to another.

    The one body whose unknown names are refused: with ``schedule_at`` the money would leave at once.
    """

    class Meta:
        unknown = marshmallow.RAISE
        exclude = ("include",)

    error_messages = {  # noqa: RUF012 - marshmallow's own way
        "unknown": "nom inconnu ; les noms possibles sont id, scheduled_at, phone_number et send_now"
    }

    id = fields.Id(required=True)
    scheduled_at = fields.Moment()
    phone_number = _phone()
    send_now = fields.Boolean()


class WebhookBody(Body):
    """A place where FedaPay reports events."""

    url = fields.Url(required=True)
    enabled = fields.Boolean()
    ssl_verify = fields.Boolean()
    disable_on_error = fields.Boolean()
    http_headers = fields.Headers()


class AccountBody(Body):
    name = fields.Text(required=True)


class PageBody(Body):
    name = fields.Text()
    amount = fields.Amount()
    currency = _currency()
    published = fields.Boolean()
    enable_phone_number = fields.Boolean()


class InvoiceBody(Body):
    currency = _currency()
    customer = _customer()


def checked_body(schema: Type[Body], given: Any, *, partial: bool = False) -> Dict[str, Any]:
    """
    A body that may be sent.

    Args:
        partial: an update, which need not have what a creation must.

    Raises:
        InvalidArgument: something that FedaPay would certainly refuse, or would take for something else.
    """
    if not isinstance(given, Mapping):
        raise InvalidArgument(
            f"body : un dictionnaire d'attributs est attendu, reçu {type(given).__name__}.", field="body"
        )
    if not all(isinstance(name, str) for name in given):
        raise InvalidArgument("body : les noms d'attributs sont des textes.", field="body")
    wanted = dict(given) if partial else {name: value for name, value in given.items() if value is not None}
    if not partial:
        with contextlib.suppress(ValueError, marshmallow.ValidationError, InvalidArgument):
            return _schema(schema, partial).read(wanted)
    try:
        loaded: Dict[str, Any] = _schema(schema, partial).load(wanted)
    except marshmallow.ValidationError as error:
        problems = list(_problems(error.normalized_messages()))
        told = " ; ".join(f"{name} : {reason}" for name, reason in problems)
        raise InvalidArgument(f"Rien n'a été envoyé. {told}.", field=problems[0][0] if problems else "body") from None
    # In the order in which they were given.
    return {name: loaded[name] for name in wanted}


@cache
def _schema(kind: Type[Body], partial: bool) -> Body:
    return kind(partial=partial)


def _problems(messages: Any, path: Tuple[str, ...] = ()) -> Iterator[Tuple[str, str]]:
    """Each field that is wrong, as ``customer.phone_number.number``, and why."""
    if isinstance(messages, Mapping):
        for name, inner in messages.items():
            # What concerns a whole object stands under a name of marshmallow's own.
            yield from _problems(inner, path if name == "_schema" else (*path, str(name)))
    else:
        reasons: List[Any] = messages if isinstance(messages, list) else [messages]
        yield ".".join(path) or "body", ", ".join(str(each).rstrip(".") for each in reasons)
