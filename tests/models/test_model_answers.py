"""
What single models add to what all of them promise: questions, decoded texts, misspelt names.
"""

import json
import logging
from datetime import datetime, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from support.model_samples import JSON, OWN, SAMPLES, SECRETS

from fedapay_sync.enums import PayoutStatus, TransactionStatus
from fedapay_sync.errors import InvalidArgument
from fedapay_sync.models import (
    Account,
    ApiKey,
    Balance,
    Currency,
    Customer,
    Event,
    Fees,
    Invoice,
    Log,
    OAuthToken,
    PageVerification,
    PaiementSetup,
    PaymentPage,
    PaymentSource,
    Payout,
    PayoutBatch,
    PhoneNumber,
    QueueOptions,
    Transaction,
    TransactionBatch,
    User,
    UserData,
    Webhook,
    WebhookSample,
)


def event(entity, **changes):
    return Event.from_dict({**SAMPLES[Event], "entity": entity, **changes})


def kept_odd(caplog):
    return [record.getMessage() for record in caplog.records if record.name.startswith("fedapay_sync")]


@pytest.mark.parametrize(
    ("status", "paid", "refunded", "partially"),
    [
        ("pending", False, False, False),
        ("approved", True, False, False),
        ("refunded", True, True, False),
        ("approved_partially_refunded", True, True, True),
        ("transferred_partially_refunded", True, True, True),
        ("half_refunded", False, True, False),
        ({"refunded": 1}, False, False, False),
        (["refunded"], False, False, False),
        (None, False, False, False),
    ],
)
def test_a_transaction_says_what_became_of_its_money(status, paid, refunded, partially):
    """
    As the official SDKs do: by the words in the status, known or not.
    """
    there = Transaction.from_dict({"id": 1, "status": status})

    assert (there.was_paid, there.was_refunded, there.was_partially_refunded) == (paid, refunded, partially)


def test_the_fields_of_an_event_are_fields_of_the_transaction():
    """
    The operator's figures are decimal, their texts come out as they came; the balance is a model.
    """
    there = Transaction.from_dict(SAMPLES[Transaction], strict=True)

    assert (there.operator_commission, there.operator_fees) == (Decimal("0.015"), Decimal("225"))
    assert there.to_dict()["operator_fees"] == "225.0"
    assert isinstance(there.balance, Balance)
    assert isinstance(there.customer.phone_number, PhoneNumber)
    assert there.extra == {"api_key": SECRETS["key"]}


@pytest.mark.parametrize("status", [*PayoutStatus, "canceled", "nouveau", 5, [], None], ids=str)
def test_a_payout_says_whether_it_arrived(status):
    """
    Sent is arrived; sent and failed are ends; what is unknown is none.
    """
    there = Payout.from_dict({"id": 1, "status": getattr(status, "value", status)})

    assert there.status == status
    assert there.was_sent is (status is PayoutStatus.sent)
    assert there.is_final is (status in (PayoutStatus.sent, PayoutStatus.failed))


def test_a_payout_is_read_in_whole_francs():
    """
    FedaPay sends some of its amounts as 5000.0.
    """
    there = Payout.from_dict(SAMPLES[Payout])

    assert (there.amount, type(there.amount), there.fees) == (5000, int, 150)
    assert there.status is PayoutStatus.started


@pytest.mark.parametrize(
    ("kind", "name", "part"), [(TransactionBatch, "transactions", Transaction), (PayoutBatch, "payouts", Payout)]
)
def test_a_batch_counts_what_was_made_and_what_was_refused(kind, name, part, caplog):
    """
    Its repr says so, and not what the errors say. What is no list is kept, and counts for nothing.
    """
    there = kind.from_dict({name: [{"id": 1}, {"id": 2}], "errors": [{"message": SECRETS["email"]}]})

    assert [type(each) for each in getattr(there, name)] == [part, part]
    assert repr(there) == f"{kind.__name__}(created_count=2, error_count=1)"
    odd = kind.from_dict({name: {"id": 1}, "errors": None})
    assert (getattr(odd, name), odd.created_count, odd.error_count) == ({"id": 1}, 0, 0)
    assert kept_odd(caplog) == [f"odd value kept as it came: {kind.__name__}.{name}"]


def test_fees_keep_the_place_of_their_amount():
    """
    The page of payment puts it there; the rate is decimal though it came as a number.
    """
    there = Fees.from_dict(SAMPLES[Fees])

    assert there.commission == Decimal("0.04")
    assert "{fees}" in there.message


def test_an_account_of_a_webhook_is_read_to_its_end():
    """
    Documents, people, keys, balances.
    """
    there = Account.from_dict(SAMPLES[Account], strict=True)

    assert there.business_identity.original_metadata.size == 20480
    assert isinstance(there.users[0], User)
    assert isinstance(there.api_keys[0], ApiKey)
    assert isinstance(there.balances[0], Balance)
    assert isinstance(there.currencies[0], Currency)
    assert there.extra == {}


def test_a_key_shows_its_kind_and_not_itself():
    """
    The secret one not at all.
    """
    assert repr(ApiKey.from_dict(SAMPLES[ApiKey])) == "ApiKey(id=9, public_key='pk_live_***')"


def test_a_place_is_decimal_from_a_number_or_a_text():
    """
    It is not known which of them FedaPay sends.
    """
    there = PaymentSource.from_dict(SAMPLES[PaymentSource], strict=True)

    assert (there.latitude, there.longitude) == (Decimal("6.3703"), Decimal("2.3912"))


@pytest.mark.parametrize(
    ("object_", "entity", "kind"),
    [
        ("customer", {"id": 88012, "email": SECRETS["email"]}, Customer),
        ("transaction", {"id": 1, "status": "approved"}, Transaction),
        ("payout", {"id": 1, "status": "sent"}, Payout),
        ("page", {"id": 1}, PaymentPage),
        ("invoice", {"id": 1}, Invoice),
        ("dispute", {"id": 1}, dict),
        ("transaction", {"id": 1, "klass": "v1/payout"}, Payout),
        (None, {"id": 1}, Customer),  # by its name, customer.created
    ],
)
@pytest.mark.parametrize("written", [json.dumps, lambda entity: entity], ids=["text", "object"])
def test_the_entity_of_an_event_becomes_the_model_of_its_kind(object_, entity, kind, written):
    """
    From JSON in a text, as FedaPay sends it, and from an object.
    """
    there = event(written(entity), object=object_)

    assert type(there.entity) is kind
    assert (there.entity["id"] if kind is dict else there.entity.id) == entity["id"]
    assert Event.from_dict(there.to_dict()) == there
    assert there.name == there.type == "customer.created"


@pytest.mark.parametrize(
    ("entity", "kept"),
    [
        ("[]", []),
        ([], []),
        ("pas du JSON", "pas du JSON"),
        ('{"a": NaN}', '{"a": NaN}'),
        ('"5"', '"5"'),
        ("[" * 100_000, "[" * 100_000),
        (5, 5),
    ],
    ids=lambda value: str(value)[:12],
)
def test_an_entity_that_cannot_be_read_is_kept(entity, kept, caplog):
    """
    With a warning that does not quote it; strict, it is refused.
    """
    there = event(entity)

    assert there.entity == kept
    assert kept_odd(caplog) == ["odd value kept as it came: Event.entity"]
    with pytest.raises(InvalidArgument, match="entity") as refused:
        Event.from_dict({**SAMPLES[Event], "entity": entity}, strict=True)
    assert refused.value.field == "entity"


@pytest.mark.parametrize("entity", ['{"email": "x"}', '{"id": null}'])
def test_an_entity_without_an_id_has_that_of_its_event(entity):
    """
    The one that the event names; without either it is kept as it came.
    """
    assert event(entity, object_id="17").entity.id == 17
    assert isinstance(event(entity, object_id=None).entity, dict)


def test_an_event_without_an_entity_is_an_event():
    """
    Missing, or null.
    """
    assert event(None).entity is None
    assert Event.from_dict({"id": "a"}).entity is None


def test_an_event_takes_the_form_of_a_webhook():
    """
    The name is called ``name`` there, and the entity is an object.
    """
    there = event('{"id":88012,"email":null}').as_webhook()

    assert list(there) == ["name", "object", "object_id", "entity"]
    assert (there["name"], there["object"], there["object_id"]) == ("customer.created", "customer", 88012)
    assert there["entity"]["id"] == 88012
    json.dumps(there)


def test_a_log_is_decoded():
    """
    Query and body were JSON, the response was not; the repr shows neither customer nor token.
    """
    there = Log.from_dict(SAMPLES[Log], strict=True)

    assert (there.query, there.body) == ({}, {"email": SECRETS["email"]})
    assert there.response == f"pas du JSON {SECRETS['email']}"
    assert repr(there) == "Log(method='POST', url='/v1/transactions/receipt', status=200)"


@given(JSON)
def test_a_text_of_a_log_is_decoded_once(value):
    """
    An object or a list is; any other text is kept, or the next reading would decode it again.
    """
    text = json.dumps(value)
    there = Log.from_dict({"body": text})

    assert there.body == (value if isinstance(value, (dict, list)) else text)
    assert Log.from_dict(json.loads(there.to_json())) == there


def test_a_number_in_the_place_of_a_text_of_a_log_is_odd(caplog):
    """
    Kept with a warning, as everywhere.
    """
    assert Log.from_dict({"query": 5}).query == 5
    assert kept_odd(caplog) == ["odd value kept as it came: Log.query"]


def test_the_arguments_of_a_queue_keep_their_names():
    """
    They have hyphens.
    """
    there = QueueOptions.from_dict(SAMPLES[QueueOptions])

    assert there.arguments["x-single-active-consumer"] is True
    assert "planted" not in repr(there)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://boutique.bj/hook?cle=abc", "https://boutique.bj/hook"),
        ("https://ayaba:motdepasse@boutique.bj/hook", "https://ayaba:***@boutique.bj/hook"),
        ("https://boutique.bj/sk_live_abcdef", "https://boutique.bj/sk_live_***"),
        (5, 5),
    ],
)
def test_a_webhook_shows_its_address_without_secrets(url, shown):
    """
    Without query and password; its headers are not shown at all.
    """
    there = Webhook.from_dict({**SAMPLES[Webhook], "url": url})

    assert repr(there) == f"Webhook(id=4107, url={shown!r}, enabled=True)"
    assert there.http_headers["agregateur"] == "Fedapay"


@pytest.mark.parametrize(("name", "kind"), [("transaction.approved", Transaction), ("customer.created", Customer)])
def test_a_sample_event_is_read_by_its_name(name, kind):
    """
    The answer has no ``object``.
    """
    there = WebhookSample.from_dict({"name": name, "entity": {"id": 1}})

    assert type(there.entity) is kind


@pytest.mark.parametrize("name", ["settings", "sesstings"])
@pytest.mark.parametrize("strict", [False, True])
def test_the_settings_of_a_page_are_found_however_they_are_spelt(name, strict):
    """
    FedaPay's own tests have both; the right one wins.
    """
    there = PageVerification.from_dict({"page": SAMPLES[PaymentPage], name: {"a": 1}}, strict=strict)

    assert (there.settings, there.extra) == ({"a": 1}, {})
    assert there.page.reference == "aB3dE5gH"
    assert PageVerification.from_dict(there.to_dict()) == there
    both = PageVerification.from_dict({"settings": 1, "sesstings": 2})
    assert (both.settings, both.extra) == (1, {"sesstings": 2})


@pytest.mark.parametrize("number", ["2", 2])
def test_the_number_of_an_invoice_is_what_it_is(number):
    """
    A text, or a number.
    """
    assert Invoice.from_dict({"number": number}, strict=True).number == number
    assert type(Invoice.from_dict({"number": number}).number) is type(number)


@pytest.mark.parametrize("seconds", ["1791796000", 1791796000, "2026-10-12T09:06:40.000Z", "2026-10-12T09:06:40Z"])
def test_a_token_was_made_at_a_moment(seconds):
    """
    From Unix seconds as FedaPay sends them, and from what we write.
    """
    there = OAuthToken.from_dict({"created_at": seconds}, strict=True)

    assert there.created_at == datetime(2026, 10, 12, 9, 6, 40, tzinfo=timezone.utc)
    assert OAuthToken.from_dict(there.to_dict()) == there


@pytest.mark.parametrize("odd", ["hier", "", True, "9" * 30, -5, 1.5, []], ids=str)
def test_an_odd_moment_of_a_token_is_kept(odd):
    """
    Never an error of the operating system's.
    """
    assert OAuthToken.from_dict({"created_at": odd}).created_at == odd
    with pytest.raises(InvalidArgument, match="created_at"):
        OAuthToken.from_dict({"created_at": odd}, strict=True)


def test_a_token_is_not_shown():
    """
    Only what it is good for.
    """
    there = OAuthToken.from_dict(SAMPLES[OAuthToken])

    assert repr(there).startswith("OAuthToken(token_type='Bearer', scope='read_write', created_at='2026-10-12T")
    assert there.access_token == SECRETS["token"]
    assert there.expires_in == 7200


def test_a_status_of_another_kind_is_only_a_text():
    """
    A payout's word is none of a transaction's.
    """
    assert type(Transaction.from_dict({"id": 1, "status": "sent"}).status) is str
    assert Transaction.from_dict({"id": 1, "status": "approved"}).status is TransactionStatus.approved


def test_reading_tells_of_no_customer(caplog):
    """
    Whatever was odd, the log has the names of fields only.
    """
    with caplog.at_level(logging.DEBUG, "fedapay_sync"):
        for kind, sample in SAMPLES.items():
            for name in sample.keys() - OWN if kind not in (UserData, PaiementSetup) else ():
                kind.from_dict({**sample, name: [SECRETS["email"], {1: SECRETS["lastname"]}]})

    assert caplog.records
    assert [name for name, secret in SECRETS.items() if secret in caplog.text] == []
