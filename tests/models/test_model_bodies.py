"""What is sent to FedaPay is checked first: certain mistakes are refused by name, everything else goes out as given."""

import math
import sys
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from fedapay_sync import InvalidArgument, MethodesPaiement, Monnaies
from fedapay_sync.models.params.bodies import (
    CustomerBody,
    PayoutBody,
    PayoutStartBody,
    TransactionBody,
    WebhookBody,
    checked_body,
)
from fedapay_sync.models.params.identifiers import checked_id

GOOD = {"description": "Commande 17", "amount": 1000, "currency": "XOF"}
PHONE = {"number": "0164000001", "country": "bj"}


def refused(schema, body, **options):
    with pytest.raises(InvalidArgument) as caught:
        checked_body(schema, body, **options)
    return caught.value


def test_a_good_body_goes_out_as_it_was_given():
    """
    Known attributes in their wire form, unknown ones untouched, in the order given; what is None is left out.
    """
    body = {**GOOD, "customer": {"id": 7, "nouveau": [1]}, "demain": {"x": None}, "callback_url": None}

    assert checked_body(TransactionBody, body) == {
        "description": "Commande 17",
        "amount": 1000,
        "currency": {"iso": "XOF"},
        "customer": {"id": 7, "nouveau": [1]},
        "demain": {"x": None},
    }
    assert list(checked_body(TransactionBody, {"amount": 5, "z": 1, "currency": "XOF", "description": "a"})) == [
        "amount",
        "z",
        "currency",
        "description",
    ]


@pytest.mark.parametrize(
    ("given_currency", "sent"),
    [
        ("XOF", {"iso": "XOF"}),
        (Monnaies.gnf, {"iso": "GNF"}),
        ({"iso": "XOF"}, {"iso": "XOF"}),
        ({"code": 952}, {"code": 952}),
    ],
)
def test_a_currency_may_be_its_name(given_currency, sent):
    """
    FedaPay wants an object; a text is what people write.
    """
    assert checked_body(TransactionBody, {**GOOD, "currency": given_currency})["currency"] == sent


@pytest.mark.parametrize(
    ("attribute", "value", "field", "word"),
    [
        ("amount", 12.5, "amount", "12.5"),
        ("amount", "1000", "amount", "texte"),
        ("amount", True, "amount", "booléen"),
        ("amount", 0, "amount", "plus grand que 0"),
        ("amount", -5, "amount", "plus grand que 0"),
        ("amount", math.nan, "amount", "entier"),
        ("amount", math.inf, "amount", "entier"),
        ("amount", Decimal("0.5"), "amount", "entier"),
        ("amount", [1], "amount", "entier"),
        ("amount", None, "amount", "manque"),
        ("description", "", "description", "non vide"),
        ("description", " ", "description", "non vide"),
        ("description", 7, "description", "texte"),
        ("description", None, "description", "manque"),
        ("currency", None, "currency", "manque"),
        ("currency", "", "currency", "XOF"),
        ("currency", {}, "currency", "XOF"),
        ("currency", 952, "currency", "dictionnaire"),
        ("callback_url", 7, "callback_url", "texte"),
        ("customer", "Ayaba", "customer", "dictionnaire"),
        ("customer", {"firstname": ""}, "customer.firstname", "vide"),
        ("customer", {"lastname": "undefined"}, "customer.lastname", "vide"),
        ("customer", {"email": "nobody"}, "customer.email", "nom@domaine"),
        ("customer", {"phone_number": "0164000001"}, "customer.phone_number", "country"),
        ("customer", {"phone_number": {"number": "0164000001"}}, "customer.phone_number.country", "manque"),
        ("customer", {"phone_number": {"number": 164, "country": "bj"}}, "customer.phone_number.number", "texte"),
        ("customer", {"phone_number": {"number": "x", "country": "bj"}}, "customer.phone_number.number", "chiffres"),
        ("customer", {"phone_number": {**PHONE, "country": "Bénin"}}, "customer.phone_number.country", "deux lettres"),
        ("customer", {"id": "../1"}, "customer.id", "identifiant"),
        ("merchant_reference", "", "merchant_reference", "unique"),
        ("merchant_reference", "..", "merchant_reference", "unique"),
        ("merchant_reference", 17, "merchant_reference", "unique"),
        ("custom_metadata", "x", "custom_metadata", "dictionnaire"),
        ("custom_metadata", {"x": {1, 2}}, "custom_metadata", "set"),
        ("custom_metadata", {"x": math.nan}, "custom_metadata", "dictionnaire"),
        ("mode", "mtn open", "mode", "identifiant"),
        ("include", 7, "include", "customer"),
    ],
)  # fmt: skip
def test_a_certain_mistake_is_refused_by_name(attribute, value, field, word):
    """
    With the path of the field, what was wrong with it, and that nothing was sent.
    """
    error = refused(TransactionBody, {**GOOD, attribute: value})

    assert error.field == field
    if value is not None:  # left out of a creation
        with pytest.raises((ValueError, ValidationError, InvalidArgument)):
            TransactionBody().read({**GOOD, attribute: value})
    assert f"{field} : " in error.message
    assert word in error.message
    assert error.message.startswith("Rien n'a été envoyé.")


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        (TransactionBody, GOOD),
        (
            TransactionBody,
            {**GOOD, "currency": Monnaies.gnf, "include": ["customer"], "demain": {"x": None}},
        ),
        (TransactionBody, {**GOOD, "customer": {"id": 7, "email": None, "nouveau": [1], "phone_number": PHONE}}),
        (TransactionBody, {**GOOD, "custom_metadata": {"order": ("a", 1)}, "callback_url": "https://boutique.bj/"}),
        (PayoutBody, {"amount": 5.0, "currency": "XOF", "mode": MethodesPaiement.mtn_open}),
        (PayoutStartBody, {"id": 7, "phone_number": {**PHONE, "operator": "x"}}),
        (WebhookBody, {"url": "https://boutique.bj/w", "enabled": True, "http_headers": {"X-A": "b"}}),
        (CustomerBody, {"firstname": "Ayaba", "lastname": "Hounkpatin"}),
    ],
)
def test_the_quick_way_reads_what_marshmallow_reads(schema, body):
    """
    By the same fields, so that it is no schema of its own.
    """
    assert schema().read(body) == schema().load(body)


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        (TransactionBody, {"amount": 5, "currency": "XOF"}),
        (PayoutStartBody, {"id": 7, "schedule_at": "2030-01-01 00:00:00"}),
        (TransactionBody, {**GOOD, "customer": None}),
    ],
)
def test_what_marshmallow_refuses_the_quick_way_refuses(schema, body):
    with pytest.raises(ValidationError):
        schema().load(body)
    with pytest.raises((ValueError, ValidationError)):
        schema().read(body)


def test_all_mistakes_of_a_body_are_told_at_once():
    """
    A caller need not mend them one by one.
    """
    error = refused(PayoutBody, {"amount": 0, "customer": {"email": "x"}})

    for name in ("amount", "currency", "mode", "customer.email"):
        assert f"{name} : " in error.message


def test_no_value_of_a_customer_is_in_the_error():
    """
    The error may end in a log: names, numbers and addresses do not.
    """
    secret = {
        "firstname": "Ayaba\0" * 0 or 7,
        "email": "ayaba.hounkpatin",
        "phone_number": {"number": "abc0164", "country": 1},
    }
    error = refused(TransactionBody, {**GOOD, "customer": secret})

    for value in ("ayaba.hounkpatin", "abc0164"):
        assert value not in str(error)


@pytest.mark.parametrize("body", [None, [], "x", 7, [("amount", 1)]])
def test_what_is_no_dictionary_is_refused(body):
    assert refused(TransactionBody, body).field == "body"


def test_names_of_attributes_are_texts():
    """
    JSON would write 1 as "1", and None as "null".
    """
    assert refused(TransactionBody, {**GOOD, 1: 2}).field == "body"


def test_an_update_needs_nothing_and_may_empty_an_attribute():
    """
    None empties what may be empty; what a creation needs cannot be emptied.
    """
    assert checked_body(TransactionBody, {"callback_url": None}, partial=True) == {"callback_url": None}
    assert refused(TransactionBody, {"amount": None}, partial=True).field == "amount"
    # Half a phone number is none, in an update too.
    assert (
        refused(CustomerBody, {"phone_number": {"number": "0164000001"}}, partial=True).field == "phone_number.country"
    )


def test_a_mode_may_be_a_member():
    """
    The member's name is the wire's code.
    """
    body = {"amount": 5, "currency": "XOF", "mode": MethodesPaiement.moov_tg}

    assert checked_body(PayoutBody, body)["mode"] == "moov_tg"
    assert checked_body(PayoutBody, {**body, "mode": "orange-bf"})["mode"] == "orange-bf"


COTONOU = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("moment", "sent"),
    [
        (datetime(2026, 10, 14, 9, 0, tzinfo=COTONOU), "2026-10-14 08:00:00"),
        (datetime(2026, 10, 14, 8, 0, tzinfo=timezone.utc), "2026-10-14 08:00:00"),
        ("2026-10-14 08:00:00", "2026-10-14 08:00:00"),
        ("2026-10-14T08:00:00Z", "2026-10-14T08:00:00Z"),
        ("2026-10-14 8:5", "2026-10-14 8:5"),
    ],
)
def test_a_moment_goes_out_in_universal_time(moment, sent):
    """
    A datetime is converted; a text in one of the forms of FedaPay's pages goes as it is.
    """
    assert checked_body(PayoutStartBody, {"id": 1, "scheduled_at": moment})["scheduled_at"] == sent


@pytest.mark.parametrize("moment", ["now", "", "demain", 1791796512, datetime(2026, 10, 14), "2026-10-14"])
def test_a_moment_that_could_be_another_is_refused(moment):
    """
    Without a time zone it is not known when; "now" FedaPay refuses.
    """
    assert refused(PayoutStartBody, {"id": 1, "scheduled_at": moment}).field == "scheduled_at"


@pytest.mark.parametrize("url", ["boutique.bj", "ftp://boutique.bj", "https://", "https:// x", "", 7, "https://a b"])
def test_a_webhook_needs_an_address(url):
    assert refused(WebhookBody, {"url": url}).field == "url"


def test_headers_of_a_webhook_are_texts():
    assert refused(WebhookBody, {"url": "https://a.bj", "http_headers": {"agregateur": 1}}).field == "http_headers"
    assert refused(WebhookBody, {"url": "https://a.bj", "enabled": "true"}).field == "enabled"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = sorted(TransactionBody().fields)


@given(st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), JSON, max_size=6))
def test_any_body_is_sent_or_refused_and_never_a_crash(body):
    """
    And what is once checked is checked: a second look changes nothing.
    """
    try:
        sent = checked_body(TransactionBody, {**GOOD, **body})
    except InvalidArgument as error:
        assert error.field
        assert error.message.startswith("Rien n'a été envoyé.")
    else:
        assert checked_body(TransactionBody, sent) == sent or any(value != value for value in map(str, sent))


def test_metadata_that_json_cannot_write_is_refused_in_french():
    """
    With the kind of value that is to blame.
    """
    loop = {}
    loop["x"] = loop
    for value, word in (
        ({"d": datetime(2026, 10, 14)}, "(datetime ne s'écrit pas en JSON)"),
        ({"d": [{"e": {1}}]}, "(set ne s'écrit pas en JSON)"),
        ({"d": {(1, 2): 3}}, "pas un texte"),
        ({"d": 10**5000} if sys.version_info >= (3, 11) else {"d": math.inf}, "fini"),
        (loop, "lui-même"),
        ([1], "reçu list"),
    ):
        error = refused(TransactionBody, {**GOOD, "custom_metadata": value})
        assert error.field == "custom_metadata" and word in error.message
        assert not any(english in error.message for english in ("serializable", "keys", "Circular", "range"))


@pytest.mark.parametrize(
    "moment",
    [
        "2026-13-45 99:99:99",
        "2026-02-30 08:00:00",
        "2026-10-14 24:00",
        "2026-10-14T08:00:00+99:00",
        "٢٠٢٦-10-14 08:00:00",
        datetime.min.replace(tzinfo=COTONOU),
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))),
    ],
)
def test_a_date_that_is_none_is_refused(moment):
    assert refused(PayoutStartBody, {"id": 1, "scheduled_at": moment}).field == "scheduled_at"


def test_a_misspelled_moment_does_not_send_a_payout_at_once():
    """
    The one body whose unknown names are refused, with the names that there are.
    """
    error = refused(PayoutStartBody, {"id": 1, "schedule_at": "2026-10-14 08:00:00"})

    assert error.field == "schedule_at"
    assert all(name in error.message for name in ("id", "scheduled_at", "phone_number", "send_now"))
    assert refused(PayoutStartBody, {"id": 1, "include": "customer"}).field == "include"
    assert refused(PayoutStartBody, {"id": 1, "send_now": "true"}).field == "send_now"
    whole = {"id": "73019", "send_now": True, "phone_number": {**PHONE, "nouveau": 1}}
    assert checked_body(PayoutStartBody, {**whole, "scheduled_at": None}) == whole


@pytest.mark.parametrize("amount", [10**15 + 1, 10**5000, Decimal("sNaN")], ids=lambda amount: type(amount).__name__)
def test_an_amount_that_is_none_or_too_large_is_refused_by_name(amount):
    assert refused(TransactionBody, {**GOOD, "amount": amount}).field == "amount"


@pytest.mark.parametrize("link", ["https://boutique.bj/retour?a=b", "http://localhost:8000", "HTTPS://boutique.bj/a b"])
def test_a_browser_may_be_sent_to_a_page(link):
    assert checked_body(TransactionBody, {**GOOD, "callback_url": link})["callback_url"] == link


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "JavaScript://%0aalert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "FILE://c:/x",
        "intent://scan/#Intent;scheme=zxing;end",
        "boutique://paye",
        "ftp://boutique.bj/x",
        "boutique",
        "//a.bj",
        "https:///x",
        "",
        "https://a\nb",
    ],
)
def test_a_browser_is_sent_nowhere_else(link):
    assert refused(TransactionBody, {**GOOD, "callback_url": link}).field == "callback_url"


@pytest.mark.parametrize("headers", [{"a b": "1"}, {"é": "1"}, {"": "1"}, {"a": "1\r\nX: y"}, {"a": "é"}, {"a:": "1"}])
def test_a_webhook_has_no_header_that_http_cannot_carry(headers):
    assert refused(WebhookBody, {"url": "https://a.bj", "http_headers": headers}).field == "http_headers"


def test_a_webhook_may_have_headers():
    body = {"url": "https://a.bj", "http_headers": {"agregateur": "Fedapay", "X-Shop": "a b"}}

    assert checked_body(WebhookBody, body) == body


@pytest.mark.parametrize("number", [0, -1, "0", "-1", "00", 1 << 63])
def test_a_number_that_no_object_has_is_no_identifier(number):
    assert refused(PayoutStartBody, {"id": number}).field == "id"
    with pytest.raises(InvalidArgument):
        checked_id(number)


def test_an_identifier_is_not_quoted_with_a_secret():
    """
    However deep, and cut in the middle of an address.
    """
    for value in ("sk_live_abc !", "-" * 70 + " ayaba@exemple.bj", {"nom": "ayaba"}):
        with pytest.raises(InvalidArgument) as caught:
            checked_id(value)
        assert "abc" not in str(caught.value) and "ayaba" not in str(caught.value)
