"""
What every model promises: it reads what comes, keeps what it does not know, does not change, and shows nothing.
"""

import copy
import dataclasses
import json
import logging
import pickle
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.model_samples import JSON, SAMPLES, SECRETS, changed

from fedapay_sync import models
from fedapay_sync.errors import FedapayError, InvalidArgument
from fedapay_sync.models import Model, PaiementSetup, Transaction, UserData, WebhookHistory, WebhookTransaction
from fedapay_sync.models.schema import known_fields, read_datetime, read_francs, write_datetime

MODELS = pytest.mark.parametrize("kind", SAMPLES, ids=lambda kind: kind.__name__)


#: Without these an object means nothing, and is refused.
REQUIRED = {
    kind: {
        field.metadata.get("wire", field.name)
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    for kind in SAMPLES
}


def read(kind, **changes):
    return kind.from_dict({**SAMPLES[kind], **changes})


def test_every_model_is_tried_here():
    """
    A new model needs a sample.
    """
    exported = {getattr(models, name) for name in models.__all__}

    assert {each for each in exported if issubclass(each, Model)} - {Model} == set(SAMPLES)


@MODELS
@pytest.mark.parametrize("strict", [False, True])
def test_a_model_comes_back_from_a_dictionary_and_from_json(kind, strict):
    """
    Written and read again it is equal, unknown fields included, and what was read is not lost.
    """
    there = kind.from_dict(SAMPLES[kind], strict=strict)
    again = kind.from_dict(json.loads(there.to_json()), strict=strict)

    assert again == there
    assert again.extra == there.extra
    assert again.to_dict() == there.to_dict() == there.model_dump() == json.loads(there.to_json())
    assert SAMPLES[kind].keys() <= there.to_dict().keys()


@MODELS
def test_unknown_fields_are_kept_in_extra(kind):
    """
    What FedaPay adds tomorrow is there today, in its order, and comes out again.
    """
    new = {"zeta": 1, "un.point": {"a": [None]}, "alpha": "é", "": 0, "extra": 5, "self": 1, "cls": 2}

    there = read(kind, **new)

    assert {name: there.extra[name] for name in new} == new
    assert [name for name in there.extra if name in new] == list(new)
    assert {name: there.to_dict()[name] for name in new} == new
    assert new.keys().isdisjoint(vars(there))


def test_an_unknown_field_with_a_dot_does_not_enter_a_known_one():
    """
    ``amount.x`` is a name like another.
    """
    there = Transaction.from_dict({"id": 1, "amount": 500, "amount.x": 3, "x.y": 4})

    assert (there.amount, there.extra) == (500, {"amount.x": 3, "x.y": 4})


@MODELS
def test_a_model_does_not_change(kind):
    """
    Neither a field nor a new name can be set or deleted.
    """
    there = read(kind)

    for name in [*vars(there), "nouveau", "extra"]:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(there, name, 1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        delattr(there, next(iter(vars(there))))


@MODELS
def test_dict_shows_the_fields_and_nothing_else(kind):
    """
    The page of the asynchronous connector prints ``__dict__``.
    """
    assert list(vars(read(kind))) == [field.name for field in dataclasses.fields(kind)]


@MODELS
def test_a_model_compares_but_has_no_hash(kind):
    """
    Equal by its fields, to its own kind only.
    """
    there = read(kind)

    assert there == read(kind)
    assert there != SAMPLES[kind]
    assert kind.__hash__ is None
    with pytest.raises(TypeError, match="unhashable"):
        hash(there)


@MODELS
@pytest.mark.parametrize(
    "travel",
    [copy.copy, copy.deepcopy]
    + [
        lambda there, protocol=protocol: pickle.loads(pickle.dumps(there, protocol))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    ],
)
def test_a_model_travels_with_its_extra(kind, travel):
    """
    Through every pickle protocol and both copies; it cannot be changed there either.
    """
    there = read(kind, nouveau={"a": [1]})
    again = travel(there)

    assert type(again) is kind
    assert again == there
    assert again.extra == there.extra
    with pytest.raises(dataclasses.FrozenInstanceError):
        again.id = 1


def test_a_deep_copy_shares_nothing():
    """
    What is done to one does not show in the other.
    """
    there = read(Transaction, nouveau={"a": [1]})
    again = copy.deepcopy(there)

    again.extra["nouveau"]["a"].append(2)
    again.metadata["b"] = 1

    assert there.extra["nouveau"] == {"a": [1]}
    assert "b" not in there.metadata


@MODELS
def test_a_repr_shows_no_secret_and_no_customer(kind):
    """
    Planted names, numbers, addresses, tokens and keys; also inside a list, a format and an exception.
    """
    there = read(kind, api_key=SECRETS["key"], inconnu=SECRETS["email"])

    for text in (repr(there), str(there), f"{there}", repr([there]), str(ValueError(there))):
        assert [name for name, secret in SECRETS.items() if secret in text] == []
        assert kind.__name__ in text


def test_a_repr_shows_what_a_log_needs():
    """
    Ids, amount, status.
    """
    assert repr(read(Transaction)) == (
        "Transaction(id=512345, reference='trx_q7M_1791796445318', amount=15000, status='approved', mode='momo_test', "
        "state='payé')"
    )
    assert repr(read(WebhookTransaction)) == "WebhookTransaction(name='transaction.approved', object_id=512345)"
    assert repr(read(UserData)) == "UserData()"


@MODELS
@pytest.mark.parametrize("data", [None, [], [1], "texte", 5, b"{}", object])
def test_what_is_no_object_is_refused(kind, data):
    """
    InvalidArgument, and it names the model.
    """
    with pytest.raises(InvalidArgument, match=kind.__name__):
        kind.from_dict(data)


def test_a_missing_field_is_named():
    """
    An object without it means nothing.
    """
    with pytest.raises(InvalidArgument, match=r"Transaction illisible : id \(champ manquant\)") as refused:
        Transaction.from_dict({"amount": 5})

    assert refused.value.field == "id"
    with pytest.raises(InvalidArgument, match=r"id \(ne peut pas être nul\)"):
        Transaction.from_dict({"id": None}, strict=True)


AMOUNTS = [
    (500, 500),
    (500.0, 500),
    ("500", 500),
    ("500.0", 500),
    ("-500", -500),
    ("500.00", 500),
    (0, 0),
    (-3, -3),
    (Decimal("500"), 500),
    (Decimal("5E+2"), 500),
    (Fraction(500), 500),
    (10**15, 10**15),
]
ODD_AMOUNTS = [
    12.5,
    True,
    False,
    "",
    "cinq",
    "12.5",
    "5e2",
    "1_000",
    "١٢",
    " 500",
    "500\n",
    "9" * 19,
    float("nan"),
    float("inf"),
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("Infinity"),
    Decimal("1E+1000000"),
    Decimal("0.5"),
    Fraction(1, 3),
    [500],
    {"a": 1},
    b"500",
    1j,
]


@pytest.mark.parametrize(("value", "francs"), AMOUNTS)
@pytest.mark.parametrize("strict", [False, True])
def test_an_amount_in_whole_francs_is_read(value, francs, strict):
    """
    As number, as decimal, as text.
    """
    there = Transaction.from_dict({"id": 1, "amount": value, "fees": value}, strict=strict)

    assert (there.amount, there.fees) == (francs, francs)
    assert type(there.amount) is int


@pytest.mark.parametrize("value", ODD_AMOUNTS, ids=repr)
def test_an_odd_amount_is_kept_with_a_warning_and_refused_when_strict(value, caplog):
    """
    Reading: it never stops a list or a wait, and the log says which field without its value. Strict: an error.
    """
    with caplog.at_level(logging.WARNING, "fedapay_sync"):
        there = Transaction.from_dict({"id": 1, "amount": value, "status": "approved"})

    assert there.amount is value
    assert there.was_paid
    assert [record.getMessage() for record in caplog.records] == ["odd value kept as it came: Transaction.amount"]
    with pytest.raises(InvalidArgument, match="Transaction illisible : amount") as refused:
        Transaction.from_dict({"id": 1, "amount": value}, strict=True)
    assert refused.value.field == "amount"


@given(st.integers(-(10**18) + 1, 10**18 - 1))
def test_every_whole_amount_is_read_from_its_text(francs):
    """
    A text and a number mean the same.
    """
    assert read_francs(str(francs)) == read_francs(francs) == read_francs(Decimal(francs)) == francs


@pytest.mark.parametrize(
    ("value", "rate"),
    [("0.04", "0.04"), (0.04, "0.04"), (0, "0"), ("0.0", "0.0"), (1, "1"), (Decimal("0.018"), "0.018"), (1e-7, "1E-7")],
)
def test_a_commission_is_decimal(value, rate):
    """
    From a text or a number, without the noise of binary fractions.
    """
    there = Transaction.from_dict({"id": 1, "commission": value}, strict=True)

    assert there.commission == Decimal(rate)
    assert there.to_dict()["commission"] == rate


@pytest.mark.parametrize("value", ["quatre", "", True, "NaN", float("inf"), [0.04]], ids=repr)
def test_an_odd_commission_is_kept_and_refused_when_strict(value):
    """
    Like an amount; the reason is a French sentence.
    """
    assert Transaction.from_dict({"id": 1, "commission": value}).commission is value
    with pytest.raises(InvalidArgument, match=r"commission \(un nombre décimal est attendu\)"):
        Transaction.from_dict({"id": 1, "commission": value}, strict=True)


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2026-10-12T09:15:11Z", 0),
        ("2026-10-12T09:15:11z", 0),
        ("2026-10-12T09:15:11", 0),
        ("2026-10-12 09:15:11", 0),
        (" 2026-10-12T09:15:11.2Z ", 200000),
        ("2026-10-12T09:15:11.204Z", 204000),
        ("2026-10-12T09:15:11.2045", 204500),
        ("2026-10-12T09:15:11.204567Z", 204567),
        ("2026-10-12T09:15:11.204567891Z", 204567),
        ("2026-10-12T10:15:11.204+01:00", 204000),
        ("2026-10-12T09:15:11.20-00:00", 200000),
    ],
)
def test_a_date_is_aware_and_utc(text, microsecond):
    """
    Any number of decimals, with and without Z, on every Python.
    """
    there = Transaction.from_dict({"id": 1, "approved_at": text}, strict=True).approved_at

    assert there == datetime(2026, 10, 12, 9, 15, 11, microsecond, timezone.utc)
    assert there.utcoffset() == timedelta(0)


@given(st.datetimes(timezones=st.just(timezone.utc)))
def test_a_date_comes_back_to_the_millisecond(moment):
    """
    In FedaPay's own form.
    """
    text = write_datetime(moment)

    assert timedelta(0) <= moment - read_datetime(text) < timedelta(milliseconds=1)
    assert write_datetime(read_datetime(text)) == text
    assert text.endswith("Z")


ODD_DATES = ["demain", "", "2026-13-01", 5, True, [], "0001-01-01T00:00:00+14:00", "Ayaba Hounkpatin", "\ud800"]


@pytest.mark.parametrize("value", ODD_DATES, ids=ascii)
def test_an_odd_date_is_kept_and_refused_without_quoting_it(value):
    """
    The reason is ours: Python's would quote a text that may be a customer's.
    """
    assert Transaction.from_dict({"id": 1, "approved_at": value}).approved_at is value
    with pytest.raises(InvalidArgument) as refused:
        Transaction.from_dict({"id": 1, "approved_at": value}, strict=True)
    assert str(refused.value) == "Transaction illisible : approved_at (une date ISO 8601 est attendue)."


@pytest.mark.parametrize("status", ["approved_tomorrow", "", "APPROVED", "é" * 500])
@pytest.mark.parametrize("strict", [False, True])
def test_an_unknown_status_passes_as_text(status, strict, caplog):
    """
    No warning, no error, not paid, and it comes out as it came in.
    """
    there = Transaction.from_dict({"id": 1, "status": status}, strict=strict)

    assert there.status == status
    assert type(there.status) is str
    assert not there.was_paid
    assert there.to_dict()["status"] == status
    assert not caplog.records


@pytest.mark.parametrize("status", [5, ["approved"], {"approved": 1}, True, None])
def test_a_status_that_is_no_text_does_not_stop_the_question(status):
    """
    ``was_paid`` answers, whatever FedaPay sent.
    """
    assert not Transaction.from_dict({"id": 1, "status": status}).was_paid


def test_an_odd_part_does_not_hide_the_whole():
    """
    Parts that cannot be read are kept as they came.
    """
    there = Transaction.from_dict(
        {"id": "12", "customer": "Zoé", "currency": [], "flags": "x", "payment_method": 5, "metadata": 3}
    )

    assert (there.id, there.customer, there.currency, there.flags, there.payment_method) == (12, "Zoé", [], "x", 5)
    assert there.metadata == 3
    for part in ("customer", "currency", "flags", "payment_method", "metadata"):
        with pytest.raises(InvalidArgument, match=part) as refused:
            Transaction.from_dict({"id": 1, part: there.to_dict()[part]}, strict=True)
        assert "Zoé" not in str(refused.value)


@settings(max_examples=25)  # for each of the models
@given(st.data())
@MODELS
def test_no_value_anywhere_stops_the_reading(kind, data):
    """
    FedaPay's objects are read whatever is in them; ours refuse with their own error. Both can be shown and written.
    """
    strict = data.draw(st.booleans())
    odd = data.draw(changed(kind, JSON | st.sampled_from([float("nan"), float("inf"), 10**400])))

    try:
        there = kind.from_dict(odd, strict=strict)
    except FedapayError:
        assert strict or kind in (UserData, PaiementSetup) or not REQUIRED[kind] <= odd.keys()
    else:
        repr(there)
        json.dumps(there.to_dict())
        pickle.loads(pickle.dumps(there))


@settings(max_examples=25)  # for each of the models
@given(st.data())
@MODELS
def test_whatever_was_read_comes_back_the_same(kind, data):
    """
    Odd values too, and dates to the microsecond: from the dictionary, and from its JSON.
    """
    odd = data.draw(changed(kind, JSON))
    try:
        there = kind.from_dict(odd)
    except FedapayError:
        return

    for again in (kind.from_dict(there.to_dict()), kind.from_dict(json.loads(there.to_json()))):
        assert again == there
        assert again.extra == there.extra
        assert again.to_dict() == there.to_dict()


@MODELS
def test_a_sample_shows_every_field(kind):
    """
    So that the tests of this module try each of them.
    """
    if kind not in (WebhookTransaction, WebhookHistory):
        assert known_fields(kind) == SAMPLES[kind].keys() & known_fields(kind)


@MODELS
def test_a_model_says_where_it_is_in_an_answer(kind):
    """
    The envelope is the class that the object repeats in ``klass``, where that class is known.
    """
    assert kind.envelope == (SAMPLES[kind].get("klass") or "")
