"""
The identity of an event: one fact has one key, whatever way it came, and two facts have two.
"""

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedapay_sync.enums import FINAL_STATUSES, PAID_STATUSES, TransactionStatus
from fedapay_sync.errors import EventError, InvalidArgument
from fedapay_sync.models import Event, Transaction, WebhookHistory, WebhookTransaction
from fedapay_sync.models.schema.values import MAX_DEPTH
from fedapay_sync.workflow.webhooks.event_identity import event_from_transaction, identify
from fedapay_sync.workflow.webhooks.history import decode

STATUSES = [each.value for each in TransactionStatus]
STAMP = "2026-10-12T09:15:11.204Z"
LATER = "2026-10-12T09:15:23.000Z"
SENT = st.sampled_from(sorted(FINAL_STATUSES, key=str)).map(str)


def identity(event, body="0" * 64, environment="sandbox", account="3f2a1b4c5d6e"):
    return identify(event, environment=environment, account=account, body_sha256=body)


def transaction(status="approved", **changes):
    """A transaction as the API gives it, with the stamp of its status."""
    return {
        "klass": "v1/transaction",
        "id": 512345,
        "amount": 15000,
        "status": status,
        "updated_at": STAMP,
        f"{status}_at": STAMP,
        "deleted_at": None,
        **changes,
    }


def webhook(entity, name=None, **changes):
    """As FedaPay delivers it."""
    return {
        "name": name or f"transaction.{entity['status']}",
        "object": "transaction",
        "entity": entity,
        "account": {"id": 30211},
        **changes,
    }


def listed(entity, name=None):
    """As the events list has it, read by its model: no klass, the name in ``type``, the entity in a text."""
    bare = {key: value for key, value in entity.items() if key != "klass"}
    entry = {
        "klass": "v1/event",
        "type": name or f"transaction.{entity['status']}",
        "entity": json.dumps(bare),
        "object": "transaction",
        "object_id": entity["id"],
    }
    return Event.from_dict(entry).as_webhook()


@given(SENT, st.integers(1, 10**12), st.datetimes())
def test_one_fact_has_one_key_whatever_way_it_came(status, number, moment):
    """
    Webhook, webhook repeated in another order, status check, events list: the same event.
    """
    stamp = moment.isoformat(timespec="milliseconds") + "Z"
    entity = transaction(status, id=number, updated_at=stamp, **{f"{status}_at": stamp})
    forms = [
        webhook(entity),
        dict(reversed(webhook(entity, object_id=number).items())),
        webhook(entity, account=None),
        webhook({**entity, "id": str(number)}),
        webhook({**entity, "klass": None}),
        event_from_transaction(entity),
        listed(entity),
    ]

    found = [identity(form, body=str(rank)) for rank, form in enumerate(forms)]

    assert len({(each.dedup_key, each.event_key) for each in found}) == 1
    assert {(each.is_final, each.is_paid, each.status) for each in found} == {(True, status in PAID_STATUSES, status)}
    assert found[0].entity_id == str(number)


@given(st.sampled_from(["approved", "transferred", "refunded", "expired"]), st.text(max_size=8), st.text(max_size=8))
def test_what_happens_once_has_one_key_whatever_the_stamps(status, first, second):
    """
    "Deliver the goods" happens once, also if the entity of a repeated webhook is newer.
    """
    entities = [
        transaction(status, **{f"{status}_at": stamp, "updated_at": stamp}) for stamp in (first, second, None, STAMP)
    ]

    assert len({identity(webhook(each), body=str(each)).dedup_key for each in entities}) == 1


@pytest.mark.parametrize("status", ["declined", "canceled"])
def test_a_second_attempt_that_fails_is_another_event(status):
    """
    The payer may try again: the stamp of the attempt tells them apart, and only that one does.
    """
    first = identity(webhook(transaction(status)))
    second = identity(webhook(transaction(status, **{f"{status}_at": LATER})))
    first_again = identity(webhook(transaction(status, updated_at=LATER, approved_at=LATER)), body="1" * 64)

    assert first.dedup_key != second.dedup_key
    assert first.event_key != second.event_key
    assert first_again == first


@given(st.sampled_from(STATUSES), st.integers(1, 10**12), st.datetimes(), st.datetimes(), st.booleans())
def test_the_events_list_and_a_webhook_tell_one_fact(status, number, moment, later, deleted):
    """
    Whatever the event, its stamps and their precision: the model of ``/v1/events`` gives the key of the webhook.
    """
    entity = transaction(
        status,
        id=number,
        updated_at=later.isoformat(),
        deleted_at=later.isoformat() + "Z" if deleted else None,
        **{f"{status}_at": f"{moment.isoformat()}Z"},
    )

    for name in (f"transaction.{status}", "transaction.updated", "transaction.deleted"):
        assert identity(listed(entity, name), body="1") == identity(webhook(entity, name), body="1")


@pytest.mark.parametrize("status", ["approved_partially_refunded", "transferred_partially_refunded", "updated"])
def test_a_second_partial_refund_is_another_event(status):
    """
    By ``updated_at``.
    """
    first, second = (identity(webhook(transaction(status, updated_at=stamp))) for stamp in (STAMP, LATER))

    assert first.dedup_key != second.dedup_key


@pytest.mark.parametrize(
    "written",
    [
        "2026-10-12T09:15:11.204Z",
        "2026-10-12T09:15:11.204000Z",
        "2026-10-12T10:15:11.204+01:00",
        "2026-10-12 09:15:11.204",
    ],
)
def test_an_instant_is_one_however_it_is_written(written):
    """
    The webhook and the status check need not agree on decimals.
    """
    assert identity(webhook(transaction("declined", declined_at=written))).event_key == (
        f"sandbox:3f2a1b4c5d6e:transaction:512345:declined:{STAMP}"
    )


@given(
    st.lists(
        st.tuples(st.sampled_from(STATUSES), st.integers(1, 3), st.sampled_from([STAMP, LATER]), st.sampled_from("ab")),
        min_size=2,
        max_size=2,
        unique=True,
    )
)
def test_two_facts_have_two_keys(facts):
    """
    Another transaction, status, account or, where it can happen again, another stamp.
    """
    first, second = facts
    keys = [
        identity(webhook(transaction(status, id=number, updated_at=stamp, **{f"{status}_at": stamp})), account=account)
        for status, number, stamp, account in facts
    ]
    once = first[0] in ("created", "approved", "transferred", "refunded", "expired")

    if once and (first[:2], first[3]) == (second[:2], second[3]):
        assert keys[0] == keys[1]
    else:
        assert keys[0].dedup_key != keys[1].dedup_key
        assert keys[0].event_key != keys[1].event_key


def test_sandbox_and_live_do_not_meet():
    """
    Nor two accounts.
    """
    event = webhook(transaction())
    keys = {
        identity(event, environment=environment, account=account).dedup_key
        for environment in ("sandbox", "live")
        for account in ("a", "b")
    }

    assert len(keys) == 4


def test_an_event_without_a_stamp_is_told_by_its_body():
    """
    Better twice than never.
    """
    event = webhook(transaction("declined", declined_at=None))

    assert identity(event, "a" * 64) == identity(event, "a" * 64)
    assert identity(event, "a" * 64).dedup_key != identity(event, "b" * 64).dedup_key


def test_a_payout_with_the_name_of_a_transaction_ends_no_wait():
    """
    The entity's own class outweighs the name; transaction 10 has another key.
    """
    for event in (
        webhook({"klass": "v1/payout", "id": 10, "status": "approved"}),
        webhook({"id": 10, "status": "approved"}, object="payout"),
    ):
        found = identity(event)
        assert (found.object, found.is_final, found.is_paid) == ("payout", False, False)
        assert found.dedup_key != identity(webhook({"id": 10, "status": "approved"})).dedup_key


@pytest.mark.parametrize("status", ["pending", "created", "nouveau", None, 5, ["approved"], True, ""])
def test_the_status_decides_and_not_the_name(status):
    """
    ``transaction.approved`` with a status that is not final pays nothing.
    """
    found = identity(webhook({"id": 10, "status": status}, "transaction.approved"))

    assert (found.is_final, found.is_paid) == (False, False)


@pytest.mark.parametrize(
    "event",
    [
        webhook(transaction("pending"), "transaction.deleted"),
        webhook(transaction("pending", deleted_at=STAMP), "transaction.updated"),
    ],
)
def test_a_deleted_transaction_is_final_and_not_paid(event):
    """
    Its status stays ``pending``.
    """
    found = identity(event)

    assert (found.status, found.is_final, found.is_paid) == ("pending", True, False)


def test_a_deletion_seen_in_a_status_is_the_one_of_the_webhook():
    """
    FedaPay calls it transaction.deleted; the status says ``pending`` and ``deleted_at``.
    """
    entity = transaction("pending", deleted_at=STAMP)

    assert event_from_transaction(entity)["name"] == "transaction.deleted"
    assert identity(event_from_transaction(entity)) == identity(webhook(entity, "transaction.deleted"), "1" * 64)


@pytest.mark.parametrize("status", sorted(map(str, PAID_STATUSES)))
def test_what_was_paid_is_not_hidden_by_a_deletion(status):
    """
    The paid status names the event.
    """
    entity = transaction(status, deleted_at=STAMP)

    assert event_from_transaction(entity)["name"] == f"transaction.{status}"
    assert identity(event_from_transaction(entity)).is_paid


@pytest.mark.parametrize("status", [None, "", [], ["approved"], {"a": 1}, 5, True, "nouveau"])
@pytest.mark.parametrize("deleted_at", [None, STAMP])
def test_any_status_gives_an_event(status, deleted_at):
    """
    What FedaPay answers to a status check is read, whatever it is; nothing of it is paid.
    """
    event = event_from_transaction({"id": 7, "status": status, "deleted_at": deleted_at})
    found = identity(event)

    assert found.is_final is bool(deleted_at)
    assert not found.is_paid


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"name": "transaction.approved"},
        {"name": "transaction.approved", "entity": None},
        {"name": "transaction.approved", "entity": []},
        {"name": "transaction.approved", "entity": "{}"},
        {"name": "transaction.approved", "entity": {}},
        {"name": None, "entity": {"id": 1}},
        {"name": "", "entity": {"id": 1}},
        {"name": 5, "entity": {"id": 1}},
        {"name": "x" * 65, "entity": {"id": 1}},
        {"name": "transaction.\x00", "entity": {"id": 1}},
        {"name": "transaction.\ud800", "entity": {"id": 1}},
        {"name": "transaction.\n", "entity": {"id": 1}},
        *[
            {"name": "transaction.approved", "entity": {"id": number}}
            for number in (
                None,
                True,
                1.5,
                [],
                {},
                "",
                "x" * 65,
                "a\x00",
                "\udfff",
                "1\n2",
                10**64,
                10**5000,
                -(10**5000),
            )
        ],
    ],
    ids=lambda event: f"{str(event.get('name'))[:20]!a}",
)
def test_what_says_not_which_object_it_is_about_is_an_event_error(event):
    """
    In French, and without the value.
    """
    with pytest.raises(EventError, match="Événement illisible"):
        identity(event)


def test_the_id_may_stand_beside_the_entity():
    """
    ``object_id``, where the entity has none.
    """
    event = webhook({"status": "approved"}, object_id=512345)

    assert identity(event).dedup_key == identity(webhook(transaction())).dedup_key


ODD_STAMPS = [
    "\ud800",
    "a\x00b",
    "\n",
    "x" * 65,
    10**5000,
    True,
    [],
    {},
    1.5,
    "0001-01-01T00:00:00+14:00",
    "hier",
    1791796512,
]


@pytest.mark.parametrize("stamp", ODD_STAMPS, ids=lambda stamp: type(stamp).__name__)
def test_an_odd_stamp_gives_a_key_that_every_database_takes(stamp):
    """
    As it is if it is a short text, else the body stands in.
    """
    found = identity(webhook(transaction("declined", declined_at=stamp)))

    assert found.event_key.isprintable()
    assert found.event_key.endswith((":" + "0" * 64, f":{stamp}" if stamp in ODD_STAMPS[-3:] else "0"))


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from(["\ud800", "x" * 64, "é" * 64, "transaction", "v1/transaction", "v1/", "v1/" + "y" * 40, STAMP]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
ENTITIES = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("id", "status", "klass", "declined_at", "updated_at", "deleted_at", "amount", "customer"), ODD
    ),
)
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "name": ODD | st.sampled_from([f"transaction.{status}" for status in [*STATUSES, "updated", "deleted", ""]]),
        "object": ODD,
        "object_id": ODD,
        "entity": ENTITIES | ODD,
        "account": ODD,
    },
)


@given(EVENTS)
def test_any_event_has_an_identity_or_is_an_event_error(event):
    """
    Each text of it fits its column, and can be stored by every database.
    """
    try:
        found = identity(event)
    except EventError:
        return
    widths = {"name": 64, "object": 32, "entity_id": 64, "status": 40, "dedup_key": 64, "event_key": 160}
    for field, width in widths.items():
        text = getattr(found, field)
        if text is not None:
            assert 0 < len(text) <= width
            assert text.isprintable()
            text.encode("utf-8")
    assert not found.is_paid or found.is_final


@given(st.lists(EVENTS, min_size=2, max_size=5))
def test_two_keys_are_never_shown_as_one_by_being_cut(events):
    """
    Where the readable key is too long, it ends with the other one.
    """
    for event in events:
        try:
            found = identity({**event, "name": "n" * 64, "entity": {"id": "i" * 64, "updated_at": str(event)[:64]}})
        except EventError:
            continue
        assert found.event_key.endswith(found.dedup_key)


@given(EVENTS)
def test_any_event_that_is_an_object_is_read(event):
    """
    As a model: it can be shown, written, and has an answer to "paid?".
    """
    for kind in (WebhookTransaction, WebhookHistory):
        there = kind.from_dict(event)
        repr(there)
        json.dumps(there.to_dict())
        assert there == pickle.loads(pickle.dumps(there)) or there != there or "nan" in str(event)
        if isinstance(there.entity, Transaction):
            assert there.id_transaction == there.entity.id
        else:
            assert there.id_transaction is None
    assert there.paid in (True, False)


def test_the_entity_is_a_transaction_only_if_it_is_one():
    """
    Otherwise a dictionary.
    """
    payout = {"klass": "v1/payout", "id": 10, "status": "approved"}

    assert isinstance(WebhookTransaction.from_dict(webhook(transaction())).entity, Transaction)
    assert WebhookTransaction.from_dict(webhook(transaction())).id_transaction == 512345
    assert WebhookTransaction.from_dict(webhook(payout)).entity == payout
    assert WebhookTransaction.from_dict(webhook({"status": "approved"})).entity == {"status": "approved"}
    with pytest.raises(InvalidArgument, match="amount"):
        WebhookTransaction.from_dict(webhook(transaction(amount=12.5)), strict=True)


def test_a_suspect_event_is_not_paid():
    """
    Another amount than was asked for: the goods stay.
    """
    event = webhook(transaction())

    assert WebhookHistory.from_dict(event).paid
    assert not WebhookHistory.from_dict({**event, "suspect": True}).paid
    assert not WebhookHistory.from_dict(webhook(transaction("declined"))).paid


#: Names of events (documentation; payouts as third parties handle them), and whether a repeat can be told from news.
NAMES = [
    *[(f"transaction.{what}", True) for what in
      ("created", "approved", "declined", "canceled", "transferred", "refunded", "expired", "deleted")],
    *[(f"payout.{what}", True) for what in ("created", "started", "sent", "failed")],
    *[(f"customer.{what}", True) for what in ("created", "deleted")],
    *[(f"{kind}.updated", False) for kind in ("transaction", "payout", "customer")],
    *[(f"transaction.{what}_partially_refunded", False) for what in ("approved", "transferred")],
]  # fmt: skip


@pytest.mark.parametrize(("name", "once"), NAMES)
def test_ten_deliveries_of_one_event_are_one_event(name, once):
    """
    Each with the object as it then is; and the list meets it under the same key. README says which names cannot.
    """
    kind, _, what = name.partition(".")
    keys = set()
    for minute in range(10):
        now = f"2026-10-12T09:{minute:02}:00.000Z"
        entity = {"klass": f"v1/{kind}", "id": 7, "status": what if minute < 5 else "approved", "updated_at": now}
        entity.update({f"{each}_at": None for each in ("sent", "failed", "deleted")}, created_at=STAMP)
        entity.update({} if what == "updated" else {f"{what}_at": STAMP})
        event = {"name": name, "object": kind, "object_id": 7, "entity": entity}
        keys.add(identity(event, body=str(minute)).dedup_key)
        bare = {field: value for field, value in entity.items() if field != "klass"}
        entry = {"type": name, "entity": json.dumps(bare), "object": kind, "object_id": 7, "klass": "v1/event"}
        keys.add(identity(Event.from_dict(entry).as_webhook(), body="x").dedup_key)
    assert (len(keys) == 1) == once


@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}")])
def test_an_event_is_read_to_a_depth_that_every_thread_can_read(brackets):
    """
    One that is deeper is set aside, wherever it is read; brackets within a text are no depth.
    """
    begin, end = brackets
    for depth, readable in ((MAX_DEPTH - 1, True), (MAX_DEPTH + 1, False), (900, False)):
        body = b'{"name": "a.b", "x": ' + (begin * depth + "1" + end * depth).encode() + b"}"
        if readable:
            assert decode(body)["name"] == "a.b"
        else:
            with pytest.raises(EventError, match="illisible"):
                decode(body)
    text = "[{" * 500 + '"' + "\\"
    assert decode(json.dumps({"name": text}).encode())["name"] == text
    assert decode(json.dumps({"lines": [{"a": 1}] * 500}).encode())
