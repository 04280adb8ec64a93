"""What comes in: one fact is one event, whichever way and in whichever form it comes."""

import json
import sqlite3
from datetime import timezone

import pytest

from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, Transaction, UserData, signature
from fedapay_sync.errors import EventError

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")


def event_of(status="approved", number=101, **changes):
    """A webhook as FedaPay writes it, but for what the test changes in its entity."""
    entity = {"klass": "v1/transaction", "id": number, "status": status, "amount": 500}
    entity.update({f"{status}_at": "2026-11-20T10:00:00.000Z", "updated_at": "2026-11-20T10:00:00.000Z", **changes})
    return {"name": f"transaction.{status}", "object": "transaction", "object_id": number, "entity": entity}


def rows_of(db_url, columns="name, source, work_state"):
    with sqlite3.connect(db_url[len("sqlite:///") :]) as database:
        found = database.execute(f"SELECT {columns} FROM fp_event ORDER BY id").fetchall()
    database.close()
    return found


@pytest.fixture
def seen(make_connector):
    """What the webhook callback of ``shop`` was called with."""
    return []


@pytest.fixture
def shop(make_connector, seen):
    connector = make_connector()
    connector.on_webhook(seen.append)
    return connector


@pytest.fixture
def quiet(eventually, db_url):
    """Waits until no callback is owed any more."""

    def wait():
        eventually(lambda: all(state in ("done", "dead") for (state,) in rows_of(db_url, "work_state")))

    return wait


def test_the_callback_gets_the_event_and_what_is_known_of_it(shop, seen, quiet):
    """
    ``.paid``, the transaction as ``.entity``, a key to keep beside the order, the attempt, the source, the time.
    """
    shop.save_webhook(event_of())
    quiet()

    (event,) = seen
    assert event.name == "transaction.approved"
    assert event.paid and not event.late and not event.suspect
    assert isinstance(event.entity, Transaction) and event.entity.amount == 500
    assert event.id_transaction == 101 and event.object_id == 101
    assert event.event_key.startswith("sandbox:") and event.event_key.endswith(":transaction:101:approved")
    assert event.attempt == 1 and event.source == "manual"
    assert event.received_at.tzinfo is timezone.utc


@pytest.mark.parametrize(
    "form",
    [
        lambda event: event,
        json.dumps,
        lambda event: json.dumps(event).encode(),
        lambda event: bytearray(json.dumps(event).encode()),
        lambda event: memoryview(json.dumps(event, indent=3).encode()),
    ],
)
def test_save_webhook_takes_an_event_in_each_of_its_forms(shop, seen, quiet, form):
    """
    The decoded event, as the page has it, or the body that was verified.
    """
    shop.save_webhook(form(event_of(number=7)))
    shop.save_webhook(event_of(number=7))
    quiet()

    assert [event.id_transaction for event in seen] == [7]


@pytest.mark.parametrize(
    "text", ["garbage", "", b"\xff\xfe", "[]", '"text"', "\ud800", b'{"entity": 1}', '{"name": NaN}']
)
def test_a_text_that_cannot_be_read_is_kept_aside(shop, seen, db_url, text):
    """
    It was well signed: refusing it would make FedaPay repeat it and then switch the webhook off.
    """
    shop.save_webhook(text)
    shop.save_webhook(text)

    assert rows_of(db_url) == [("unreadable", "manual", "dead")]
    assert seen == []


@pytest.mark.parametrize("event", [{}, {"name": "transaction.approved"}, {"name": 1, "entity": {"id": 1}}])
def test_an_object_that_is_no_event_is_kept_aside(shop, db_url, event):
    """
    The same for a decoded one.
    """
    shop.save_webhook(event)

    assert rows_of(db_url) == [("unreadable", "manual", "dead")]


@pytest.mark.parametrize(
    "thing", [None, 5, True, [], object(), {"name": object()}, {1: 2, "a": 3}, {"a": float("nan")}]
)
def test_what_is_neither_an_object_nor_a_text_is_the_programs_mistake(shop, thing):
    """
    Said at once, in words that tell what to give.
    """
    with pytest.raises(EventError, match="save_webhook"):
        shop.save_webhook(thing)


def test_webhook_status_and_manual_forms_are_one_event(make_connector, emulator, seen, quiet, db_url):
    """
    A12: "webhook lost, found by a status check, webhook arrives after all" is told once.
    """
    connector = make_connector(use_listen_server=True)
    connector.on_webhook(seen.append)
    connector.start_webhook_server()
    id_transaction = connector.pay(SETUP, CLIENT, 500).id_transaction
    emulator.approve(id_transaction)
    assert connector.check_status(id_transaction).was_paid
    emulator.webhook_url = connector.webhook_url
    event = {
        "name": "transaction.approved",
        "object": "transaction",
        "object_id": id_transaction,
        "entity": emulator.transaction(id_transaction),
    }
    body = json.dumps(event).encode()
    connector.receive(body, signature.sign(body, emulator.webhook_secret))
    connector.save_webhook(event)
    quiet()

    assert [(event.name, event.source, event.paid) for event in seen] == [("transaction.approved", "status", True)]


@pytest.mark.parametrize("act", ["decline", "cancel"])
def test_a_refused_attempt_is_one_event_by_webhook_and_by_status(connector, emulator, eventually, quiet, act):
    """
    The emulator's record form of a webhook and its API form carry one stamp, and make one key.
    """
    seen = []
    connector.on_webhook(seen.append)
    id_transaction = connector.pay(SETUP, CLIENT, 500).id_transaction
    getattr(emulator, act)(id_transaction)
    emulator.wait_for_deliveries()
    connector.check_status(id_transaction)
    connector.check_status(id_transaction)
    quiet()

    names = [event.name for event in seen]
    assert len(names) == len(set(names))
    # Webhooks overtake each other: "created" may have been told last.
    assert {"transaction.declined", "transaction.canceled"} & set(names)


def test_a_second_refusal_is_another_event(shop, seen, quiet):
    """
    The payer tried again and was refused again: another stamp, another event, another key.
    """
    for second in (1, 2, 2):
        shop.save_webhook(event_of("declined", declined_at=f"2026-11-20T10:00:0{second}Z"))
    quiet()

    assert len(seen) == len({event.event_key for event in seen}) == 2


@pytest.mark.faults(row=9)
def test_a_repeat_with_the_entity_of_now_is_still_the_same_fact(shop, seen, quiet):
    """
    FedaPay repeats ``approved`` after the settlement, with a newer ``updated_at``: the goods leave once.
    """
    shop.save_webhook(event_of())
    shop.save_webhook(event_of(updated_at="2026-11-24T10:00:00.000Z", transferred_at="2026-11-24T10:00:00.000Z"))
    quiet()

    assert len(seen) == 1


def test_a_repeated_creation_with_the_object_of_now_calls_back_once(shop, seen, quiet):
    """
    A repeat carries the object as it is by then: it is the same event, whatever its stamp says.
    """
    created = event_of("pending", updated_at="2026-11-20T10:00:00.000Z")
    created["name"] = "transaction.created"
    by_now = {**event_of(updated_at="2026-11-20T10:05:00.000Z"), "name": "transaction.created"}
    for event in (created, by_now, event_of(), by_now):
        shop.save_webhook(event)
    quiet()

    assert [(event.name, event.paid) for event in sorted(seen, key=lambda event: event.name)] == [
        ("transaction.approved", True),
        ("transaction.created", False),
    ]


def test_a_late_creation_that_says_paid_is_the_one_delivery_of_the_goods(shop, seen, quiet):
    """
    It may be the first that says ``approved``: ``paid`` is true on it, and not again on the approval that follows.
    """
    shop.save_webhook({**event_of(), "name": "transaction.created"})
    shop.save_webhook(event_of())
    quiet()

    assert sorted(event.paid for event in seen) == [False, True]


def test_unknown_fields_are_kept(shop, seen, quiet):
    """
    What FedaPay adds tomorrow reaches the program today, on the event and on the transaction.
    """
    event = {**event_of(loyalty={"points": 3}), "delivery_id": "evt_1"}
    shop.save_webhook(event)
    quiet()

    assert seen[0].extra["delivery_id"] == "evt_1"
    assert seen[0].entity.extra["loyalty"] == {"points": 3}


def test_an_event_cannot_pretend_what_only_we_know(shop, seen, quiet):
    """
    Fields of ours in the message are not believed.
    """
    shop.save_webhook(
        {**event_of("declined"), "paid": True, "late": True, "attempt": 9, "event_key": "x", "source": "y"}
    )
    quiet()

    (event,) = seen
    assert not event.paid and not event.late and event.attempt == 1
    assert event.event_key != "x" and event.source == "manual"


@pytest.mark.faults(row=9)
def test_a_final_event_after_the_end_of_the_wait_is_told_as_late(connector, emulator, quiet):
    """
    A payment after the timeout is never dropped.
    """
    seen = []
    connector.on_webhook(seen.append)
    id_transaction = connector.pay(SETUP, CLIENT, 500).id_transaction
    connector.listen(id_transaction).cancel()
    emulator.approve(id_transaction)
    emulator.wait_for_deliveries()
    quiet()

    paid = [event for event in seen if event.paid]
    assert [event.late for event in paid] == [True]
    assert connector.finalise(id_transaction).paid


@pytest.mark.parametrize("change", [{"amount": 5}, {"currency_id": 99}])
def test_another_amount_or_currency_than_asked_for_is_suspect(shop, emulator, seen, quiet, change):
    """
    The callback runs, and ``paid`` is false: nothing leaves the shop by mistake.
    """
    id_transaction = shop.pay(SETUP, CLIENT, 500).id_transaction
    shop.save_webhook(event_of(number=id_transaction, **change))
    quiet()

    assert [(event.suspect, event.paid) for event in seen] == [(True, False)]
    assert seen[0].entity.was_paid


def test_a10_a_payout_under_the_name_of_a_transaction_resolves_nothing(shop, emulator, seen, quiet):
    """
    A10: the object decides, not the name; and the status of the entity, not the name's.
    """
    id_transaction = shop.pay(SETUP, CLIENT, 500).id_transaction
    payout = event_of(number=id_transaction, klass="v1/payout")
    pending = {**event_of("pending", number=id_transaction), "name": "transaction.approved"}
    shop.save_webhook(payout)
    shop.save_webhook(pending)
    quiet()

    assert len(seen) == 2 and not any(event.paid for event in seen)
    assert shop.finalise(id_transaction, timeout=0).status.name == "TIMEOUT"


def test_a_failing_callback_gets_the_event_again_under_the_same_key(make_connector, clock, eventually):
    """
    The attempt counts up, the key stays.
    """
    connector, seen = make_connector(clock=clock), []

    @connector.on_webhook
    def fail_once(event):
        seen.append(event)
        if len(seen) == 1:
            raise RuntimeError("no disk")

    connector.save_webhook(event_of())
    eventually(lambda: seen)
    eventually(lambda: clock.advance(1) or len(seen) == 2)

    assert [event.attempt for event in seen] == [1, 2]
    assert seen[0].event_key == seen[1].event_key


def test_only_one_event_of_a_transaction_says_that_the_goods_may_go(connector, emulator, quiet):
    """
    The transfer to the merchant after three days is paid as well, and is no second delivery; nor is anything later.
    """
    seen = []
    connector.on_webhook(seen.append)
    id_transaction = connector.pay(SETUP, CLIENT, 500).id_transaction
    emulator.approve(id_transaction)
    emulator.wait_for_deliveries()
    emulator.transfer(id_transaction)
    emulator.wait_for_deliveries()
    quiet()

    told = {event.name: event for event in seen}
    assert [name for name, event in told.items() if event.paid] == ["transaction.approved"]
    assert told["transaction.transferred"].repeats
    assert told["transaction.transferred"].entity.was_paid
    assert connector.finalise(id_transaction).paid


def test_a_refund_of_which_we_knew_nothing_delivers_nothing(connector, quiet):
    """
    The first that we hear of a transaction is that its money went back.
    """
    seen = []
    connector.on_webhook(seen.append)
    connector.save_webhook(event_of("refunded"))
    quiet()

    (event,) = seen
    assert event.entity.was_paid and not event.paid
