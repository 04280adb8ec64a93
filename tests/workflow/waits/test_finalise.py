"""Waiting for the end of a payment: nobody waits for ever, and a timeout is never a guess."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import Future
from pathlib import Path

import pytest

from fedapay_sync import EventFutureStatus, MethodesPaiement, PaiementSetup, Pays, TransactionStatus, UserData
from fedapay_sync.errors import AmountMismatch, ConfigError, InvalidArgument, StatusUnknown
from fedapay_sync.workflow.reconciliation.polling_policy import Pace
from fedapay_sync.workflow.waits.deadlines import GRACE

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
#: No status check of its own during a test.
NEVER = Pace(first=10_000, factor=2, longest=10_000)
QUICK = Pace(first=0.02, factor=1.2, longest=0.1)
ROOT = Path(__file__).resolve().parents[3]

RESOLVED, TIMEOUT = EventFutureStatus.RESOLVED, EventFutureStatus.TIMEOUT
CANCELLED, INTERRUPTED = EventFutureStatus.CANCELLED, EventFutureStatus.CANCELLED_INTERNALLY


@pytest.fixture
def shop(make_connector, emulator, clock):
    """A connector with a webhook server, a clock that obeys, and no status checks while it waits."""
    connector = make_connector(use_listen_server=True, clock=clock, pace=NEVER)
    connector.start_webhook_server()
    emulator.webhook_url = connector.webhook_url
    return connector


@pytest.fixture
def deaf(make_connector, clock):
    """The same without any webhook."""
    return make_connector(clock=clock, pace=NEVER)


@pytest.fixture
def in_thread():
    """Runs a function on a thread of its own; gives a Future."""

    def start(function, *args):
        future = Future()

        def run():
            try:
                future.set_result(function(*args))
            except BaseException as error:  # edge of a thread: the test looks at it
                future.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        return future

    return start


@pytest.fixture
def waiting(eventually):
    """Waits until that many handles wait on the transaction."""

    def wait(connector, id_transaction, count=1):
        def enough():
            watch = parts_of(connector).waits._polled.get(str(id_transaction))
            # Its timer last: a clock that jumps before that would leave it behind.
            return watch is not None and sum(each.timer is not None for each in list(watch.waiters)) >= count

        eventually(enough)

    return wait


def parts_of(connector):
    return connector._per_process.get()


def state_of(connector, id_transaction):
    return parts_of(connector).store.listens.get("sandbox", id_transaction).state


def pay(connector, amount=500):
    return connector.pay(SETUP, CLIENT, amount).id_transaction


def calls(emulator, method, id_transaction):
    return [
        request
        for request in emulator.requests
        if request.method == method and request.path == f"/v1/transactions/{id_transaction}"
    ]


# -- the webhook ---------------------------------------------------------------------------------------------------


def test_a_webhook_while_waiting_ends_the_wait(shop, emulator, in_thread, waiting):
    """
    In milliseconds, without asking FedaPay.
    """
    id_transaction = pay(shop)
    future = in_thread(shop.finalise, id_transaction)
    waiting(shop, id_transaction)
    emulator.approve(id_transaction)

    outcome = future.result(5)

    assert outcome.paid and outcome and outcome.status == RESOLVED and outcome.reason == "approved"
    assert outcome.transaction.id == id_transaction == outcome.id_transaction and outcome.amount == 500
    status, webhooks = outcome
    assert status is RESOLVED and [webhook.name for webhook in webhooks] == ["transaction.approved"]
    assert calls(emulator, "GET", id_transaction) == []


def test_a04_a_webhook_before_finalise_is_not_lost_even_by_a_restart(shop, make_connector, emulator, clock):
    """
    A4: the event is on disk; the process that waits may be another than the one that got it.
    """
    id_transaction = pay(shop)
    emulator.approve(id_transaction)
    emulator.wait_for_deliveries()
    shop.close()
    again = make_connector(clock=clock, pace=NEVER)

    assert again.finalise(id_transaction, timeout=5).paid
    assert calls(emulator, "GET", id_transaction) == []


def test_a13_finalise_on_a_final_transaction_returns_at_once_and_always_the_same(shop, emulator):
    """
    A13: also the second time, with the webhooks, and with timeout 0.
    """
    id_transaction = pay(shop)
    emulator.approve(id_transaction)
    emulator.wait_for_deliveries()
    first = shop.finalise(id_transaction)

    for timeout in (200, 5, 0):
        again = shop.finalise(id_transaction, timeout=timeout)
        assert again.paid and again.status == first.status
        assert [webhook.event_key for webhook in again.webhooks] == [webhook.event_key for webhook in first.webhooks]


def test_a13_a_transaction_final_at_fedapay_alone_is_found_by_the_first_check(make_connector, emulator):
    """
    A13: a webhook that never came costs a few seconds, not the whole timeout.
    """
    connector = make_connector(pace=QUICK)
    id_transaction = pay(connector)
    emulator.approve(id_transaction)

    assert connector.finalise(id_transaction, timeout=30).paid


def test_many_waiters_on_one_transaction_get_one_answer(shop, emulator, in_thread, waiting):
    """
    All are woken by one webhook, whatever their timeouts.
    """
    id_transaction = pay(shop)
    futures = [in_thread(shop.finalise, id_transaction, 60 + number) for number in range(20)]
    waiting(shop, id_transaction, 20)
    emulator.approve(id_transaction)

    outcomes = [future.result(5) for future in futures]

    assert all(outcome.paid for outcome in outcomes)
    assert len({outcome.webhooks[0].event_key for outcome in outcomes}) == 1


def share_of_a_processor(seconds):
    """
    What this process used of one processor in the time that passed.
    """
    began, used = time.monotonic(), time.process_time()
    threading.Event().wait(seconds)
    return (time.process_time() - used) / (time.monotonic() - began)


def test_b04_three_hundred_waiting_threads_are_cheap(shop, emulator, eventually):
    """
    300 threads of the program wait, with no loop to belong to; waiting costs almost no time of a processor.
    """
    ids = [pay(shop, amount) for amount in range(101, 111)]
    outcomes = []
    threads = [
        threading.Thread(target=lambda each=each: outcomes.append(shop.finalise(each)), daemon=True)
        for each in ids * 30
    ]
    for thread in threads:
        thread.start()
    eventually(lambda: sum(len(w.waiters) for w in list(parts_of(shop).waits._polled.values())) == 300)
    shares = [share_of_a_processor(0.3) for _ in range(8)]
    for each in ids:
        emulator.approve(each)
    for thread in threads:
        thread.join(10)

    assert len(outcomes) == 300 and all(outcome.paid for outcome in outcomes)
    # The least of them: what else ends or starts in this process is not the waiting's.
    assert min(shares) < 0.2, shares


# -- the deadline --------------------------------------------------------------------------------------------------


def test_timeout_comes_after_asking_fedapay_once(shop, emulator, in_thread, waiting, clock):
    """
    A7: pending at FedaPay is a TIMEOUT; one GET, no DELETE, the link stays payable.
    """
    id_transaction = pay(shop)
    future = in_thread(shop.finalise, id_transaction, 200)
    waiting(shop, id_transaction)
    assert calls(emulator, "GET", id_transaction) == []
    clock.advance(201)

    outcome = future.result(5)

    assert (outcome.status, outcome.webhooks, outcome.paid, bool(outcome)) == (TIMEOUT, None, False, False)
    assert len(calls(emulator, "GET", id_transaction)) == 1
    assert calls(emulator, "DELETE", id_transaction) == []
    emulator.approve(id_transaction)


@pytest.mark.parametrize("policy", ["keep", "delete"])
def test_a_status_found_at_the_deadline_is_resolved(deaf, emulator, in_thread, waiting, clock, policy):
    """
    The webhook was lost, FedaPay knows: paid, whatever the policy.
    """
    id_transaction = pay(deaf)
    future = in_thread(lambda: deaf.finalise(id_transaction, 200, on_timeout=policy))
    waiting(deaf, id_transaction)
    emulator.approve(id_transaction)
    clock.advance(201)

    outcome = future.result(5)

    assert outcome.paid and outcome.status == RESOLVED and outcome.webhooks[0].source == "status"
    assert calls(emulator, "DELETE", id_transaction) == []


@pytest.mark.parametrize("seller", ["shop", "deaf"])
def test_with_delete_the_timeout_is_definite(request, emulator, in_thread, waiting, clock, seller):
    """
    The link cannot be paid any more; the news of our own deletion does not make a cancellation of it.
    """
    connector = request.getfixturevalue(seller)
    id_transaction = pay(connector)
    future = in_thread(lambda: connector.finalise(id_transaction, 200, on_timeout="delete"))
    waiting(connector, id_transaction)
    clock.advance(201)

    outcome = future.result(5)

    assert outcome.status == TIMEOUT and not outcome.paid
    assert outcome.state == "canceled"
    assert len(calls(emulator, "DELETE", id_transaction)) == 1
    assert emulator.transaction(id_transaction)["deleted_at"]
    emulator.wait_for_deliveries()
    assert state_of(connector, id_transaction) == "timed_out"


def test_with_delete_and_a_webhook_of_it_all_waiters_hear_timeout(shop, emulator, in_thread, waiting, clock):
    """
    The webhook ``transaction.deleted`` comes while the deletion is being decided: still a timeout, for everybody;
    who asks later hears something as definite.
    """
    id_transaction = pay(shop)
    futures = [in_thread(lambda: shop.finalise(id_transaction, 200, on_timeout="delete")) for _ in range(8)]
    waiting(shop, id_transaction, 8)
    clock.advance(201)

    assert {future.result(10).status for future in futures} == {TIMEOUT}
    emulator.wait_for_deliveries()
    assert shop.finalise(id_transaction, timeout=5).status in (TIMEOUT, CANCELLED)


def test_a_wait_prolonged_while_fedapay_is_asked_keeps_its_link(shop, emulator, in_thread, waiting, clock, monkeypatch):
    """
    Its caller was told that the link stays payable; the first caller's time is over all the same.
    """
    id_transaction = pay(shop)
    future = in_thread(lambda: shop.finalise(id_transaction, 200, on_timeout="delete"))
    waiting(shop, id_transaction)
    statuses, longer = parts_of(shop).statuses, []
    check = statuses.check

    def answers_slowly(number, key):
        longer.append(shop.listen(number, 86400))
        return check(number, key)

    monkeypatch.setattr(statuses, "check", answers_slowly)
    clock.advance(201)

    assert future.result(10).status == EventFutureStatus.TIMEOUT
    assert calls(emulator, "DELETE", id_transaction) == []
    emulator.approve(id_transaction)
    assert longer[0].result(10).paid


def test_a_process_that_stood_still_at_the_deadline_deletes_nothing(
    shop, emulator, in_thread, waiting, clock, eventually, monkeypatch, caplog
):
    """
    Another decides by then, and may have told its caller that the link stays payable.
    """
    id_transaction = pay(shop)
    future = in_thread(lambda: shop.finalise(id_transaction, 200, on_timeout="delete"))
    waiting(shop, id_transaction)
    statuses, store, taken = parts_of(shop).statuses, parts_of(shop).store, []
    check = statuses.check

    def stands_still(number, key):
        ended = check(number, key)
        if not taken:
            clock.advance(31)
            taken.append(store.listens.begin_closing("sandbox", number, 3600.0))
        return ended

    monkeypatch.setattr(statuses, "check", stands_still)
    clock.advance(201)

    eventually(lambda: "not decided, again soon" in caplog.text)
    assert taken != [None]
    with pytest.raises(StatusUnknown):
        future.result(10)
    assert calls(emulator, "DELETE", id_transaction) == []


def test_a10_a_refused_delete_means_look_again(deaf, emulator, in_thread, waiting, clock):
    """
    A10: approved between the look and the deletion: 403, another look, paid.
    """
    id_transaction = pay(deaf)
    emulator.fail_next("/v1/transactions/", method="DELETE", status=403, body=b"{}")
    record = emulator.transaction(id_transaction)
    # FedaPay's first answer is the one from before the payment.
    emulator.fail_next(
        f"/v1/transactions/{id_transaction}",
        method="GET",
        status=200,
        content_type="application/json",
        body=_json(record),
    )
    future = in_thread(lambda: deaf.finalise(id_transaction, 200, on_timeout="delete"))
    waiting(deaf, id_transaction)
    emulator.approve(id_transaction)
    clock.advance(201)

    assert future.result(5).paid
    assert len(calls(emulator, "GET", id_transaction)) == 2


def _json(record):
    import json

    return json.dumps({"v1/transaction": record}).encode()


def test_a10_a_delete_refused_while_still_pending_is_not_resolved(deaf, emulator, in_thread, waiting, clock):
    """
    A10: 403 and still pending is neither paid nor a timeout: it is not known, and said so.
    """
    id_transaction = pay(deaf)
    emulator.fail_next("/v1/transactions/", method="DELETE", status=403, body=b"{}")
    future = in_thread(lambda: deaf.finalise(id_transaction, 200, on_timeout="delete"))
    waiting(deaf, id_transaction)
    clock.advance(201)

    with pytest.raises(StatusUnknown):
        future.result(5)
    assert state_of(deaf, id_transaction) == "unknown"


def test_a09_a_delete_whose_answer_was_lost_is_looked_at(deaf, emulator, in_thread, waiting, clock):
    """
    A9: it was deleted, we did not hear it: another look tells, and the timeout is definite.
    """
    id_transaction = pay(deaf)
    emulator.fail_next("/v1/transactions/", method="DELETE", cut="after")
    future = in_thread(lambda: deaf.finalise(id_transaction, 200, on_timeout="delete"))
    waiting(deaf, id_transaction)
    clock.advance(201)

    assert future.result(5).status == TIMEOUT
    assert emulator.transaction(id_transaction)["deleted_at"]


def test_a09_no_answer_at_the_deadline_is_an_error_that_says_so(shop, emulator, in_thread, waiting, eventually, clock):
    """
    A9: not a timeout. The payment stays watched, and a later webhook still reaches the callback.
    """
    seen = []
    shop.on_webhook(seen.append)
    id_transaction = pay(shop)
    emulator.fail_next("/v1/transactions/", status=500, times=1000)
    future = in_thread(shop.finalise, id_transaction, 200)
    waiting(shop, id_transaction)
    clock.advance(201)

    with pytest.raises(StatusUnknown, match="500") as caught:
        future.result(5)
    assert caught.value.id_transaction == id_transaction
    # Of the answer only what it was: its advice would be to begin again.
    assert "ne pas la refaire" in str(caught.value) and "recommencer" not in str(caught.value)
    assert state_of(shop, id_transaction) == "unknown"
    emulator.approve(id_transaction)
    eventually(lambda: [event for event in seen if event.paid])
    assert [event.late for event in seen if event.paid] == [False]
    assert shop.finalise(id_transaction).paid


def test_the_error_comes_within_timeout_and_grace(deaf, emulator, in_thread, waiting, clock):
    """
    FedaPay holds the connection and says nothing: the waiter does not wait for it.
    """
    id_transaction = pay(deaf)
    emulator.stop()
    future = in_thread(deaf.finalise, id_transaction, 200)
    waiting(deaf, id_transaction)
    clock.advance(201 + GRACE)

    with pytest.raises(StatusUnknown):
        future.result(2)


def test_an_undecided_deadline_is_decided_when_fedapay_is_back(make_connector, emulator, clock, eventually, in_thread):
    """
    Nobody waits any more, the watch goes on, and it ends in a state that is true.
    """
    connector = make_connector(clock=clock, pace=QUICK)
    parts_of(connector).notifier.subscribe("nobody", threading.Event())
    id_transaction = pay(connector)
    emulator.fail_next("/v1/transactions/", status=500, times=3)
    with pytest.raises(StatusUnknown):
        connector.finalise(id_transaction, 0.01)

    eventually(lambda: clock.advance(0.2) or state_of(connector, id_transaction) == "timed_out", timeout=30)


@pytest.mark.faults(row=9)
def test_a_payment_after_the_timeout_is_told_as_late_and_finalise_then_says_paid(
    shop, emulator, in_thread, waiting, eventually, clock
):
    """
    Promise 1: the link stayed payable, and whoever paid gets what he paid for.
    """
    seen = []
    shop.on_webhook(seen.append)
    id_transaction = pay(shop)
    future = in_thread(shop.finalise, id_transaction, 200)
    waiting(shop, id_transaction)
    clock.advance(201)
    assert future.result(5).status == TIMEOUT

    emulator.approve(id_transaction)

    eventually(lambda: [event for event in seen if event.paid])
    assert [event.late for event in seen if event.paid] == [True]
    for timeout in (0, 5):
        assert shop.finalise(id_transaction, timeout=timeout).paid


def test_a_late_payment_without_a_webhook_is_found_too(make_connector, emulator, clock, eventually):
    """
    After a timeout the payment is looked at more and more rarely, but it is looked at.
    """
    connector = make_connector(clock=clock, pace=QUICK)
    seen = []
    connector.on_webhook(seen.append)
    id_transaction = pay(connector)
    assert connector.finalise(id_transaction, timeout=0.1).status == TIMEOUT

    emulator.approve(id_transaction)

    # Not faster: the time that a look may take is measured by this clock, too.
    eventually(lambda: clock.advance(0.2) or seen, timeout=30)
    assert seen[0].late and seen[0].paid


def test_b13_timeout_zero_looks_once(deaf, emulator):
    """
    B13: it does not wait for ever.
    """
    id_transaction = pay(deaf)
    assert deaf.finalise(id_transaction, timeout=0).status == TIMEOUT
    assert len(calls(emulator, "GET", id_transaction)) == 1
    emulator.approve(id_transaction)
    assert deaf.finalise(id_transaction, timeout=0).paid
    emulator.stop()
    assert deaf.finalise(id_transaction, timeout=0).paid


def test_timeout_zero_looks_also_after_a_cancelled_wait(deaf, emulator):
    """
    That somebody stopped waiting says nothing about the payment.
    """
    id_transaction = pay(deaf)
    deaf.listen(id_transaction).cancel()
    assert deaf.finalise(id_transaction, timeout=0).status == TIMEOUT
    emulator.approve(id_transaction)
    assert deaf.finalise(id_transaction, timeout=0).paid


def test_timeout_zero_without_an_answer_is_unknown(deaf, emulator):
    """
    With the reason in the message.
    """
    id_transaction = pay(deaf)
    emulator.fail_next("/v1/transactions/", status=500)

    with pytest.raises(StatusUnknown, match="500"):
        deaf.finalise(id_transaction, timeout=0)


@pytest.mark.parametrize("timeout", [None, -1, -0.001, float("nan"), float("inf"), "60", "", True, [], 32 * 86400])
def test_what_is_no_timeout_is_refused(deaf, timeout):
    """
    Before anything is written or sent.
    """
    with pytest.raises(InvalidArgument, match="timeout"):
        deaf.finalise(1, timeout=timeout)
    with pytest.raises(InvalidArgument, match="timeout"):
        deaf.listen(1, timeout=timeout)


@pytest.mark.parametrize("id_transaction", [None, "", "../1", "1/2", 1.5, True, b"1", "é", "1?", "x" * 65])
def test_what_is_no_id_is_refused(deaf, id_transaction):
    """
    It would become part of a path.
    """
    for timeout in (0, 5):
        with pytest.raises(InvalidArgument):
            deaf.finalise(id_transaction, timeout=timeout)


def test_an_unknown_policy_is_refused(deaf):
    """
    A typing error in ``on_timeout`` must not keep or delete anything.
    """
    with pytest.raises(ConfigError, match="keep"):
        deaf.finalise(1, timeout=5, on_timeout="deleted")


def test_a_short_second_wait_changes_nothing_for_a_long_first_one(shop, emulator, in_thread, waiting, clock):
    """
    The second ends at its time, undeleted; the first goes on and gets its payment.
    """
    id_transaction = pay(shop)
    long = in_thread(shop.finalise, id_transaction, 200)
    waiting(shop, id_transaction)
    short = in_thread(lambda: shop.finalise(id_transaction, 30, on_timeout="delete"))
    waiting(shop, id_transaction, 2)
    clock.advance(31)

    assert short.result(5).status == TIMEOUT
    assert not long.done() and state_of(shop, id_transaction) == "pending"
    assert calls(emulator, "DELETE", id_transaction) == []
    emulator.approve(id_transaction)
    assert long.result(5).paid


def test_a08_the_timer_of_a_first_wait_does_not_end_a_later_one(shop, emulator, in_thread, waiting, clock, eventually):
    """
    A8: the first wait was cancelled; its timer fires on nothing, and deletes nothing.
    """
    id_transaction = pay(shop)
    first = shop.listen(id_transaction, 30, on_timeout="delete")
    first.cancel()
    assert first.result().status == CANCELLED
    second = in_thread(shop.finalise, id_transaction, 200)
    waiting(shop, id_transaction)
    clock.advance(31)
    third = in_thread(shop.finalise, id_transaction, 0)

    assert third.result(5).status == TIMEOUT
    assert not second.done() and state_of(shop, id_transaction) == "pending"
    assert calls(emulator, "DELETE", id_transaction) == []
    emulator.approve(id_transaction)
    assert second.result(5).paid


def test_a_longer_wait_after_a_timeout_watches_again(shop, emulator, in_thread, waiting, clock):
    """
    The whole of its own time, and the first deadline means nothing to it.
    """
    id_transaction = pay(shop)
    first = in_thread(shop.finalise, id_transaction, 30)
    waiting(shop, id_transaction)
    clock.advance(31)
    assert first.result(5).status == TIMEOUT
    second = in_thread(shop.finalise, id_transaction, 200)
    waiting(shop, id_transaction)
    clock.advance(150)
    emulator.approve(id_transaction)

    assert second.result(5).paid


@pytest.mark.faults(row=8)
def test_a_wall_clock_set_back_neither_hurries_nor_prolongs_a_wait(shop, emulator, in_thread, waiting, clock):
    """
    Waiting goes by the monotonic clock.
    """
    id_transaction = pay(shop)
    future = in_thread(shop.finalise, id_transaction, 200)
    waiting(shop, id_transaction)
    clock.wall_ahead = -3200
    clock.advance(190)
    assert not future.done()
    clock.advance(11)

    assert future.result(5).status == TIMEOUT


def test_a_wall_clock_a_little_slow_does_not_spare_the_deletion(shop, emulator, in_thread, waiting, clock):
    """
    With ``on_timeout="delete"`` the timeout stays definite, although the stored deadline comes a moment later.
    """
    id_transaction = pay(shop)
    future = in_thread(lambda: shop.finalise(id_transaction, 200, on_timeout="delete"))
    waiting(shop, id_transaction)
    clock.wall_ahead = -0.3
    clock.advance(200.1)

    assert future.result(5).status == TIMEOUT
    assert len(calls(emulator, "DELETE", id_transaction)) == 1


# -- what ends a wait otherwise ------------------------------------------------------------------------------------


def test_declined_then_approved(shop, emulator, in_thread, waiting, eventually):
    """
    ``declined`` ends the wait, not the transaction: the payer tried again, and the payment is recorded and told.
    """
    seen = []
    shop.on_webhook(seen.append)
    id_transaction = pay(shop)
    future = in_thread(shop.finalise, id_transaction)
    waiting(shop, id_transaction)
    emulator.decline(id_transaction)
    first = future.result(5)
    assert (first.status, first.paid, first.reason) == (RESOLVED, False, "declined")
    assert not first

    emulator.approve(id_transaction)

    eventually(lambda: [event for event in seen if event.paid])
    second = shop.finalise(id_transaction)
    assert second.paid and len(second.webhooks) == 2


def test_paid_stays_paid_whatever_comes_after(shop, emulator):
    """
    An older refusal that arrives last does not undo a payment.
    """
    id_transaction = pay(shop)
    emulator.approve(id_transaction)
    emulator.wait_for_deliveries()
    entity = {**emulator.transaction(id_transaction), "status": "declined", "declined_at": "2026-01-01T00:00:00Z"}
    shop.save_webhook({"name": "transaction.declined", "entity": entity})

    assert shop.finalise(id_transaction).paid
    assert shop.finalise(id_transaction).transaction.status == TransactionStatus.approved


@pytest.mark.parametrize("seller", ["shop", "deaf"])
def test_a_transaction_deleted_by_the_merchant_is_cancelled(
    request, emulator, in_thread, waiting, eventually, clock, seller
):
    """
    Found by its webhook, or by the status check at the deadline; then the wait is over on disk too.
    """
    connector = request.getfixturevalue(seller)
    id_transaction = pay(connector)
    future = in_thread(connector.finalise, id_transaction, 200)
    waiting(connector, id_transaction)
    parts_of(connector).api.transactions.delete(id_transaction)
    if seller == "deaf":
        clock.advance(201)

    assert future.result(5).status == CANCELLED
    eventually(lambda: state_of(connector, id_transaction) == "resolved")


def test_cancel_deletes_and_ends_the_waits(shop, emulator, in_thread, waiting):
    """
    ``fedapay_cancel_transaction`` as the page has it.
    """
    id_transaction = pay(shop)
    future = in_thread(shop.finalise, id_transaction)
    waiting(shop, id_transaction)

    assert shop.fedapay_cancel_transaction(id_transaction).delete_status
    assert future.result(5).status == CANCELLED


def test_cancel_future_event_ends_one_wait_for_all(shop, emulator, in_thread, waiting):
    """
    The transaction itself is not touched.
    """
    one, other = pay(shop), pay(shop)
    futures = [in_thread(shop.finalise, each) for each in (one, one, other)]
    waiting(shop, one, 2)
    waiting(shop, other)

    assert shop.cancel_future_event(one) is True
    assert shop.cancel_future_event(one) is False
    assert [future.result(5).status for future in futures[:2]] == [CANCELLED, CANCELLED]
    assert not futures[2].done() and calls(emulator, "DELETE", one) == []
    assert shop.cancel_all_future_event("fin de journée") == 1
    assert futures[2].result(5).status == CANCELLED


@pytest.mark.parametrize("by_callback", [False, True])
def test_an_end_that_was_stored_just_before_closing_is_told(
    shop, emulator, in_thread, waiting, eventually, monkeypatch, by_callback
):
    """
    The thread that waits had no time to hear of it.
    """
    id_transaction, outcomes = pay(shop), []
    services = shop._per_process.get()
    look = services.outcomes.of
    monkeypatch.setattr(services.outcomes, "of", lambda id: look(id) if services.waits._closed else None)
    if by_callback:
        shop.listen(id_transaction, callback=outcomes.append)
    else:
        in_thread(lambda: outcomes.append(shop.finalise(id_transaction)))
    waiting(shop, id_transaction)
    emulator.approve(id_transaction)
    emulator.wait_for_deliveries()
    assert outcomes == []
    shop.close()

    (outcome,) = eventually(lambda: outcomes)
    assert outcome.status == RESOLVED and outcome.paid


def test_a03_closing_interrupts_waits_and_keeps_their_rows(shop, make_connector, emulator, in_thread, waiting):
    """
    A3: CANCELLED_INTERNALLY, not CANCELLED, and the next process finds the listen.
    """
    id_transaction = pay(shop)
    futures = [in_thread(shop.finalise, id_transaction) for _ in range(3)]
    waiting(shop, id_transaction, 3)
    shop.shutdown_cleanup()

    assert [future.result(5).status for future in futures] == [INTERRUPTED] * 3
    assert state_of(make_connector(), id_transaction) == "pending"


def test_a_wait_that_begins_while_closing_ends_at_once(shop, in_thread):
    """
    Whoever held on to the parts of a closed connector is not left to wait for notifier that nobody rings.
    """
    id_transaction = pay(shop)
    listens = parts_of(shop).listens
    shop.close()

    assert in_thread(listens.finalise, id_transaction, 200).result(5).status == INTERRUPTED
    listens._store.close()


def test_an_amount_that_differs_is_an_error_and_the_callback_is_told(shop, emulator, in_thread, waiting, eventually):
    """
    Never silence, and never "paid".
    """
    seen = []
    shop.on_webhook(seen.append)
    id_transaction = pay(shop, 500)
    future = in_thread(shop.finalise, id_transaction)
    waiting(shop, id_transaction)
    entity = {**emulator.transaction(id_transaction), "status": "approved", "amount": 5}
    shop.save_webhook({"name": "transaction.approved", "entity": entity})

    with pytest.raises(AmountMismatch) as caught:
        future.result(5)
    assert "500" in caught.value.expected and "5 " in caught.value.received
    eventually(lambda: [event for event in seen if event.suspect])
    assert not any(event.paid for event in seen)
    for timeout in (0, 5):
        with pytest.raises(AmountMismatch):
            shop.finalise(id_transaction, timeout)
    handle = shop.listen(id_transaction)
    assert handle.done()
    with pytest.raises(AmountMismatch):
        handle.result()


# -- without a receiver --------------------------------------------------------------------------------------------


def test_without_any_receiver_a_wait_ends_by_itself_with_few_looks(
    make_connector, emulator, in_thread, clock, eventually
):
    """
    Mode 1 of the page: growing intervals from 1 to 10 s.
    """
    connector = make_connector(clock=clock)
    id_transaction = pay(connector)
    future = in_thread(connector.finalise, id_transaction, 600)
    eventually(lambda: clock.advance(0.5) or clock.ahead > 300)
    emulator.approve(id_transaction)
    before = clock.ahead
    eventually(lambda: clock.advance(0.5) or future.done())

    assert future.result(5).paid
    # The clock goes on while an answer is on its way: fewer looks than in real time, never more.
    assert 10 <= len(calls(emulator, "GET", id_transaction)) <= 8 + clock.ahead / 8.5
    assert clock.ahead - before < 100


def test_beside_a_receiver_looks_are_rare(shop, emulator):
    """
    With webhooks, checks only make a missed one late.
    """
    from fedapay_sync.workflow.reconciliation.polling_policy import WAIT_BESIDE_WEBHOOKS, WAIT_WITHOUT_WEBHOOKS

    def looks(pace):
        at, interval, count = pace.first, pace.first, 0
        while at < 600:
            count, interval = count + 1, min(interval * pace.factor, pace.longest)
            at += interval
        return count

    assert looks(WAIT_BESIDE_WEBHOOKS) <= 16 and looks(WAIT_WITHOUT_WEBHOOKS) <= 70


# -- the handle ----------------------------------------------------------------------------------------------------


def test_a_listen_does_not_block_until_it_is_asked(shop, emulator, in_thread, eventually):
    """
    done, result with and without a limit, again and again.
    """
    id_transaction = pay(shop)
    handle = shop.listen(id_transaction)
    assert handle.id_transaction == id_transaction and not handle.done()
    with pytest.raises(TimeoutError):
        handle.result(timeout=0.01)
    with pytest.raises(TimeoutError):
        handle.result(timeout=0)
    emulator.approve(id_transaction)
    eventually(handle.done)

    assert handle.result() is handle.result(timeout=0) is handle.result(timeout=5)
    assert handle.result().paid
    assert handle.cancel() is False


def test_an_outcome_that_is_false_is_an_outcome(shop, emulator, clock, eventually):
    """
    ``bool(outcome)`` is ``paid``; a wait must not mistake "not paid" for "no answer yet".
    """
    declined, overdue = pay(shop), pay(shop)
    handles = [shop.listen(declined, 200), shop.listen(overdue, 200)]
    emulator.decline(declined)
    eventually(handles[0].done)
    clock.advance(201)
    eventually(handles[1].done)

    assert [handle.result(timeout=1).status for handle in handles] == [RESOLVED, TIMEOUT]
    assert not any(handle.result() for handle in handles)


def test_c05_finished_waits_leave_nothing_behind(shop, emulator, eventually, clock, in_thread):
    """
    C5: no bell, no watch, no timer and no handle of a wait that is over, asked for or not.
    """
    parts = parts_of(shop)
    ids = [pay(shop, amount) for amount in range(101, 113)]
    handles = [shop.listen(each) for each in ids]
    for each in ids:
        emulator.approve(each)
    for handle in handles[:6]:
        assert handle.result(5).paid
    for handle in handles[6:]:
        eventually(handle.done)
    dead = [weakref.ref(handle) for handle in handles]
    del handle, handles

    assert parts.notifier._subscribers == {} and parts.waits._polled == {}
    live = {timer.action.__qualname__.partition(".")[0] for _, _, timer in parts.notifier._timers if timer.action}
    # One timer for our leases, one for payments that are not over, one for the server's heartbeat: none is of a wait.
    assert live <= {"StatusPolling", "Reconciler", "Receivers"}
    assert len([1 for _, _, timer in parts.notifier._timers if timer.action]) <= 3
    gc.collect()
    assert [each for each in dead if each() is not None] == []


def test_a_listen_that_nobody_asks_is_let_go_at_its_deadline(shop, emulator, eventually, clock):
    """
    The waker does not poll for a wait that has ended.
    """
    parts = parts_of(shop)
    id_transaction = pay(shop)
    shop.listen(id_transaction, 200)
    emulator.approve(id_transaction)
    emulator.wait_for_deliveries()
    clock.advance(201)

    eventually(lambda: parts.notifier._subscribers == {})


def test_leases_are_kept_while_fedapay_does_not_answer(make_connector, emulator, clock, eventually):
    """
    Many checks hang; the listens still are this process's, and nobody else takes them for orphans.
    """
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        connector = make_connector(clock=clock, pace=QUICK)
        ids = [pay(connector, amount) for amount in range(101, 121)]
        parts = parts_of(connector)
        parts.transport._base_url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for each in ids:
            connector.listen(each, 6000)
        eventually(lambda: parts.polling._pool._threads == 4)
        for _ in range(6):
            clock.advance(21)
            end = clock.now() + 55
            eventually(lambda end=end: all(_lease(parts, each) > end for each in ids))
        other = make_connector(clock=clock)
        other.on_restored(lambda outcome: None)
        assert other.restore() == 0
        connector.close()


def _lease(parts, id_transaction):
    read = parts.store.read
    return read(
        lambda database: database.execute_sql(
            "SELECT run_after FROM fp_listen WHERE transaction_id = ?", (str(id_transaction),)
        ).fetchone()[0]
    )


# -- Ctrl-C --------------------------------------------------------------------------------------------------------

CHILD = """
import sys
from fedapay_sync import Connector
url, key, db, number = sys.argv[1:]
connector = Connector(url, api_key=key, db_url=db)
print("waiting", flush=True)
try:
    connector.finalise(int(number), timeout=200)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    raise SystemExit(7)
"""


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_b08_ctrl_c_interrupts_promptly_and_keeps_the_row(make_connector, emulator, db_url, eventually):
    """
    B8: KeyboardInterrupt reaches the program within a second; the listen stays for restore.
    """
    connector = make_connector()
    id_transaction = pay(connector)
    store = parts_of(connector).store
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, emulator.url, emulator.secret_key, db_url, str(id_transaction)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=str(ROOT),
        text=True,
    )
    try:
        eventually(lambda: store.listens.get("sandbox", id_transaction))
        began = time.monotonic()
        child.send_signal(signal.SIGINT)
        said, complaints = child.communicate(timeout=10)
        elapsed = time.monotonic() - began
    finally:
        child.kill()
        child.wait()

    assert child.returncode == 7, complaints
    assert said.split() == ["waiting", "interrupted"] and "Traceback" not in complaints
    assert elapsed < 5
    assert store.listens.get("sandbox", id_transaction).state == "pending"


@pytest.mark.faults(row=8)
def test_a_wall_clock_set_forward_ends_no_wait_early(make_connector, emulator, clock, in_thread, waiting, eventually):
    """
    The first time synchronisation after a boot: nobody hears of a timeout, and nothing is deleted.
    """
    connector = make_connector(clock=clock, pace=QUICK, on_timeout="delete")
    id_transaction = pay(connector)
    wait = in_thread(connector.finalise, id_transaction, 60)
    waiting(connector, id_transaction)

    clock.wall_ahead += 3600
    looked = len(calls(emulator, "GET", id_transaction))
    eventually(lambda: len(calls(emulator, "GET", id_transaction)) > looked + 3)

    assert not wait.done()
    assert calls(emulator, "DELETE", id_transaction) == []
    emulator.approve(id_transaction)
    assert wait.result(10).paid


@pytest.mark.parametrize("timeout", [0, 10])
def test_a_second_attempt_that_nobody_told_us_of_is_seen_when_asked_again(deaf, emulator, timeout):
    """
    Declined is an end of the wait and not of the transaction: FedaPay is asked before it is told again.
    """
    id_transaction = pay(deaf)
    emulator.decline(id_transaction)
    assert deaf.finalise(id_transaction, timeout=0).reason == "declined"
    assert not deaf.finalise(id_transaction, timeout=timeout).paid

    emulator.approve(id_transaction)

    assert deaf.finalise(id_transaction, timeout=timeout).paid


def test_a_wait_that_joins_a_sleepy_watch_wakes_it_up(make_connector, emulator, clock, in_thread, waiting, eventually):
    """
    After a timeout the looks grow rare; whoever waits anew is not made to wait for the next of them.
    """
    connector = make_connector(clock=clock, pace=Pace(first=1.0, factor=1000, longest=1000))
    id_transaction = pay(connector)
    first = in_thread(connector.finalise, id_transaction, 5)
    waiting(connector, id_transaction)
    watch = parts_of(connector).waits._polled[str(id_transaction)]
    clock.advance(2)
    eventually(lambda: watch.interval > 800 and watch.timer is not None)
    clock.advance(4)
    assert first.result(10).status == TIMEOUT
    emulator.approve(id_transaction)

    second = in_thread(connector.finalise, id_transaction, 600)
    # It may end at once: a payment that nobody waits for is followed up.
    began = clock.monotonic()
    eventually(lambda: second.done() or clock.advance(0.5))

    assert second.result(10).paid
    assert clock.monotonic() - began < 400
