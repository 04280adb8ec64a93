"""
The compiled reader and marshmallow read alike: every model, every value, with the same words about what is odd.
"""

import datetime
import decimal
import fractions
import inspect
import logging
import types
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, List, Optional, Tuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.model_samples import JSON, SAMPLES, changed

from fedapay_sync.enums import TransactionStatus
from fedapay_sync.errors import InvalidArgument
from fedapay_sync.models import Model, PaiementSetup, Transaction, TransactionToken
from fedapay_sync.models.schema import load, read_datetime, reader_of, reader_source, schema_of, unknown_fields

MODELS = pytest.mark.parametrize("kind", SAMPLES, ids=lambda kind: kind.__name__)


class Text(str):
    """A text that is none to code that asks for its exact type."""


#: What Python code could hand in, though no JSON.
ODD = st.sampled_from(
    [
        float("nan"),
        float("inf"),
        10**400,
        decimal.Decimal("15000"),
        decimal.Decimal("sNaN"),
        fractions.Fraction(1, 3),
        datetime.datetime(2026, 10, 12, 9, 15, 11, 204567),
        datetime.datetime(1, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=14))),
        TransactionStatus.approved,
        Text("2026-10-12T09:14:05.290Z"),
        Text("500"),
        b"500",
        (1, "a"),
        types.MappingProxyType({"id": 1, "iso": "XOF"}),
        Transaction(id=1),
        [{"id": 1}, {"amount": 1}],
        object,
    ]
)


@contextmanager
def warnings_of():
    """The records of our logger, in their order."""
    told: List[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())
    logger = logging.getLogger("fedapay_sync")
    logger.addHandler(handler)
    try:
        yield told
    finally:
        logger.removeHandler(handler)


def seen(value):
    """A value with its type and those of its parts, so that what merely compares equal does not pass for the same."""
    if isinstance(value, Model):
        return type(value), seen(vars(value)), seen(value.extra)
    if isinstance(value, dict):
        return dict, [(name, seen(each)) for name, each in value.items()]
    if isinstance(value, list):
        return list, [seen(each) for each in value]
    return type(value), repr(value)


def outcome(read):
    """What a reading gives, or how it refuses, and what it says meanwhile."""
    with warnings_of() as told:
        try:
            found = seen(read())
        except InvalidArgument as error:
            found = (str(error), error.field)
    return found, told


def by_marshmallow(kind, data):
    made = kind(**load(kind, data, strict=False))
    object.__setattr__(made, "extra", unknown_fields(kind, data))
    return made


def compiled(kind, data):
    # Of the base class: some models look again at what came after it is read.
    return Model.from_dict.__func__(kind, data)


@settings(max_examples=40)  # for each of the models
@given(st.data())
@MODELS
def test_both_readers_give_the_same_for_every_input(kind, data):
    """
    Values and their types, odd values kept, unknown fields and their order, warnings and their order, refusals.
    """
    odd = data.draw(changed(kind, JSON | ODD))

    assert outcome(lambda: compiled(kind, odd)) == outcome(lambda: by_marshmallow(kind, odd))


@MODELS
@pytest.mark.parametrize("data", [{}, [], None, "texte", types.MappingProxyType({}), {1: 2, None: 3}], ids=str)
def test_both_readers_refuse_the_same(kind, data):
    """
    Nothing in it, or no object at all.
    """
    assert outcome(lambda: compiled(kind, data)) == outcome(lambda: by_marshmallow(kind, data))


@MODELS
def test_what_was_read_does_not_change_with_its_source(kind):
    """
    A part that has no model of its own is a copy.
    """
    data = {name: dict(value) if isinstance(value, dict) else value for name, value in SAMPLES[kind].items()}
    there = kind.from_dict(data)
    before = there.to_dict()

    for value in data.values():
        if isinstance(value, dict):
            value.clear()
    data.clear()

    assert there.to_dict() == before


def test_a_reader_can_be_seen():
    """
    As the Python that runs.
    """
    text = reader_source(TransactionToken)

    assert "v_payment_link = get('url')" in text
    compile(text, "reader", "exec")
    assert inspect.isfunction(reader_of(TransactionToken))
    assert reader_of(TransactionToken) is reader_of(TransactionToken)


@dataclass(frozen=True)
class Parcel(Model):
    """A model with every kind of default."""

    _repr_fields: ClassVar[Tuple[str, ...]] = ()

    weight: int
    place: str = "Cotonou"
    stops: List[str] = field(default_factory=lambda: ["Porto-Novo"])
    note: Optional[str] = None


@dataclass(frozen=True)
class Crate(Parcel):
    """And with a field that no answer has."""

    seen: List[int] = field(default_factory=list, init=False)


@pytest.mark.parametrize("kind", [Parcel, Crate])
@pytest.mark.parametrize(
    "data", [{"weight": 1}, {"weight": None, "place": None, "stops": None}, {"weight": "x", "stops": [1], "seen": 1}]
)
def test_a_default_stands_where_nothing_came(kind, data):
    """
    Null is something that came; a factory is asked each time; what is not given to the constructor is not read.
    """
    assert outcome(lambda: kind.from_dict(data)) == outcome(lambda: by_marshmallow(kind, data))
    assert kind.from_dict({"weight": 1}) == kind(1, "Cotonou", ["Porto-Novo"])
    assert kind.from_dict({"weight": 1}).stops is not kind.from_dict({"weight": 1}).stops


def test_a_model_that_checks_itself_is_checked():
    """
    Its constructor runs.
    """
    assert PaiementSetup.from_dict({"pays": "benin", "method": "moov"}).method.name == "moov"
    with pytest.raises(InvalidArgument, match="pays=None"):
        PaiementSetup.from_dict({"pays": None})


def test_our_name_for_a_field_is_not_fedapays():
    """
    ``payment_link`` comes as ``url``; under its own name it is an unknown field.
    """
    for strict in (False, True):
        there = TransactionToken.from_dict({"payment_link": "a", "url": "b"}, strict=strict)
        assert (there.payment_link, there.extra) == ("b", {"payment_link": "a"})


def test_the_schema_is_what_it_was():
    """
    marshmallow's own, for who wants to look: names at FedaPay, and what is required.
    """
    fields = schema_of(Transaction).fields

    assert [name for name, each in fields.items() if each.required] == ["id"]
    assert schema_of(TransactionToken).fields["payment_link"].data_key == "url"


FEDAPAYS = st.datetimes().map(lambda moment: moment.isoformat(timespec="milliseconds") + "Z")
DATES = st.from_regex(
    r"[0-9]{4}[-. ]?(0[1-9]|1[0-2]|W42|[0-9])[-.]?([0-2][0-9]|3[01]|1)[T .Z]([01][0-9]|2[0-4])[:.]?[0-5][0-9][:.]?"
    r"([0-5][0-9])?[.,:]?[0-9]{0,6}(Z|z|\+00:00|\+01|-0130)?Z?",
    fullmatch=True,
)
SPOILT = st.builds(
    lambda text, place, sign: text[:place] + sign + text[place + 1 :],
    FEDAPAYS,
    st.integers(0, 23),
    st.sampled_from("0123456789-:.,TZWz+ \u0661\ud800"),
)


@settings(max_examples=500)
@given(FEDAPAYS | SPOILT | DATES | DATES.map(lambda text: text[:23].ljust(23, "0") + "Z"))
def test_the_quick_way_to_read_a_date_is_the_slow_way(text):
    """
    The same instant, or both refuse. The slow way is the one for a text of another class.
    """

    def told(value):
        try:
            return repr(read_datetime(value))
        except ValueError as error:
            return str(error)

    assert told(text) == told(Text(text))
