"""``confirm_with_api``: a stolen webhook secret makes no order paid."""

import json
import threading

import pytest

from fedapay_sync import EventFutureStatus, MethodesPaiement, PaiementSetup, Pays, StatusUnknown, UserData, signature
from fedapay_sync.workflow.reconciliation.polling_policy import Pace

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
NEVER = Pace(first=10_000, factor=2, longest=10_000)
#: Longer than a clock that goes ten seconds at a time gets while a busy machine answers.
DAY = 86_400


@pytest.fixture
def make_shop(make_connector, clock):
    def make(**changes):
        connector = make_connector(**{"clock": clock, "pace": NEVER, "confirm_with_api": True, **changes})
        # As if somebody waited: the waker then looks at the clock that obeys every 50 ms.
        connector._per_process.get().notifier.subscribe("nobody", threading.Event())
        return connector

    return make


@pytest.fixture
def shop(make_shop):
    return make_shop()


@pytest.fixture
def seen(shop):
    events = []
    shop.on_webhook(events.append)
    return events


@pytest.fixture
def tell(emulator, clock):
    """Sends a webhook with a good signature to a connector."""

    def tell(connector, number, status="approved", name=None, **entity):
        entity = {"klass": "v1/transaction", "id": number, "status": status, "amount": 500, **entity}
        event = {"name": name or f"transaction.{status}", "object": "transaction", "entity": entity}
        body = json.dumps(event).encode()
        connector.receive(body, signature.sign(body, emulator.webhook_secret, int(clock.now())))

    return tell


def pay(connector, amount=500):
    return connector.pay(SETUP, CLIENT, amount).id_transaction


def quiet(connector):
    query = "SELECT count(*) FROM fp_event WHERE work_state <> 'done'"
    return connector._per_process.get().store.read(lambda db: db.execute_sql(query).fetchone()[0]) == 0


def asked(emulator, number):
    return [r for r in emulator.requests if r.method == "GET" and r.path == f"/v1/transactions/{number}"]


def settle(connector, clock, eventually, condition):
    """Let the pauses between the attempts pass."""

    def passed():
        clock.advance(10)
        connector._per_process.get().callbacks.notify()
        return condition()

    return eventually(passed)


def test_what_fedapay_confirms_is_told_and_ends_the_wait(shop, seen, emulator, tell, eventually):
    """
    The webhook is answered before FedaPay is asked; then it is told once, with what FedaPay says.
    """
    number = pay(shop)
    handle = shop.listen(number, timeout=DAY)
    emulator.approve(number)

    tell(shop, number, merchant_reference="SOMEBODY-ELSES")

    outcome = handle.result(timeout=10)
    assert outcome.paid and outcome.reason == "approved"
    eventually(lambda: seen and quiet(shop))
    (event,) = seen
    assert event.paid and not event.suspect and event.name == "transaction.approved"
    assert event.entity.merchant_reference != "SOMEBODY-ELSES"
    assert asked(emulator, number)


@pytest.mark.parametrize("status", ["approved", "transferred", "approved_partially_refunded"])
def test_a_forged_webhook_makes_no_order_paid(shop, seen, emulator, tell, clock, eventually, status, caplog):
    """
    Well signed, but FedaPay says pending: told as suspect and not paid, logged, and the wait goes on.
    """
    number = pay(shop)
    handle = shop.listen(number, timeout=DAY)
    tell(shop, number, status)
    settle(shop, clock, eventually, lambda: seen and quiet(shop))

    (event,) = seen
    assert event.suspect and not event.paid
    assert "secret stolen" in caplog.text
    assert not handle.done()
    assert shop.finalise(number, timeout=0).status == EventFutureStatus.TIMEOUT


def test_the_true_event_is_told_after_a_forged_one(shop, seen, emulator, tell, clock, eventually):
    """
    A forgery sent ahead must not make a duplicate of the payment that comes after it.
    """
    number = pay(shop)
    tell(shop, number)
    settle(shop, clock, eventually, lambda: seen and quiet(shop))
    emulator.approve(number)
    tell(shop, number, approved_at="2026-11-20T10:00:00.000Z")
    eventually(lambda: len(seen) == 2 and quiet(shop))
    tell(shop, number, approved_at="2026-11-20T10:00:00.000Z")
    assert shop.check_status(number).was_paid
    eventually(lambda: quiet(shop))

    assert [(event.suspect, event.paid) for event in seen] == [(True, False), (False, True)]
    assert len({event.event_key for event in seen}) == 2
    assert shop.finalise(number, timeout=5).paid


def test_a_webhook_that_is_ahead_of_fedapays_api_is_not_called_forged(shop, seen, emulator, tell, clock, eventually):
    """
    FedaPay is asked more than once before that.
    """
    number = pay(shop)
    tell(shop, number)
    eventually(lambda: asked(emulator, number))
    emulator.approve(number)
    settle(shop, clock, eventually, lambda: seen and quiet(shop))

    assert [(event.suspect, event.paid) for event in seen] == [(False, True)]


def test_a_forged_refusal_ends_nothing(shop, seen, emulator, tell, clock, eventually):
    """
    Nor does a forged deletion.
    """
    number = pay(shop)
    handle = shop.listen(number, timeout=DAY)
    tell(shop, number, "declined")
    tell(shop, number, "pending", name="transaction.deleted", deleted_at="2026-11-20T10:00:00.000Z")
    settle(shop, clock, eventually, lambda: len(seen) == 2 and quiet(shop))

    assert {event.name for event in seen} == {"transaction.declined", "transaction.deleted"}
    assert all(event.suspect and not event.paid for event in seen)
    assert not handle.done()


def test_a_refusal_after_which_the_payer_tried_again_is_told_as_what_it_was(
    shop, seen, emulator, tell, clock, eventually
):
    """
    FedaPay says approved by now, and remembers the refusal: both are told, one is paid.
    """
    number = pay(shop)
    emulator.decline(number)
    emulator.approve(number)
    declined_at = emulator.transaction(number)["declined_at"]
    assert declined_at

    tell(shop, number, "declined", declined_at=declined_at)
    settle(shop, clock, eventually, lambda: len(seen) == 2 and quiet(shop))

    assert {(event.name, event.paid, event.suspect) for event in seen} == {
        ("transaction.declined", False, False),
        ("transaction.approved", True, False),
    }


def test_without_an_answer_it_is_tried_again_later(shop, seen, emulator, tell, clock, eventually):
    """
    Like a callback that failed; a wait ends with StatusUnknown, never as paid.
    """
    number = pay(shop)
    emulator.approve(number)
    emulator.fail_next("/v1/transactions/", method="GET", status=500, times=1000)
    tell(shop, number)
    handle = shop.listen(number, timeout=30)
    clock.advance(31)
    with pytest.raises(StatusUnknown):
        handle.result()
    assert seen == []

    emulator.faults.clear()
    settle(shop, clock, eventually, lambda: seen and quiet(shop))
    assert [(event.suspect, event.paid) for event in seen] == [(False, True)]


def test_a_claim_outlives_its_process(make_shop, emulator, tell, clock, eventually):
    """
    Acknowledged, and nobody asked yet: whoever has a callback later asks, even if it no longer confirms by itself.
    """
    first = make_shop()
    number = pay(first)
    emulator.fail_next("/v1/transactions/", method="GET", status=500, times=1000)
    tell(first, number)
    first.close()
    emulator.faults.clear()

    second, seen = make_shop(confirm_with_api=False), []
    second.on_webhook(seen.append)
    second._started_runtime()
    settle(second, clock, eventually, lambda: seen and quiet(second))
    assert [(event.suspect, event.paid) for event in seen] == [(True, False)]


def test_another_amount_is_suspect_whatever_the_webhook_says(shop, seen, emulator, tell, clock, eventually):
    """
    FedaPay's amount counts, not the sender's.
    """
    number = pay(shop)
    emulator.approve(number)
    store = shop._per_process.get().store
    store.write(lambda database: database.execute_sql("UPDATE fp_payment SET amount = 50000"))
    tell(shop, number, amount=500)
    settle(shop, clock, eventually, lambda: seen and quiet(shop))
    assert [(event.suspect, event.paid) for event in seen] == [(True, False)]


def test_what_is_no_end_of_a_transaction_is_told_at_once(shop, seen, emulator, tell, eventually):
    """
    Nothing to confirm: it makes nothing paid.
    """
    tell(shop, 77, "pending", name="transaction.created")
    shop.save_webhook({"name": "customer.created", "entity": {"klass": "v1/customer", "id": 8}})
    eventually(lambda: len(seen) == 2 and quiet(shop))
    assert asked(emulator, 77) == [] and not any(event.suspect or event.paid for event in seen)
