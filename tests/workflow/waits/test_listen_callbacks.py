"""``listen(id, callback=…)``: told once, on another thread, and never with a guess."""

import threading
import time

import pytest

from fedapay_sync import ConfigError, EventFutureStatus, MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.errors import StoreError
from fedapay_sync.workflow.reconciliation.polling_policy import Pace

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
NEVER = Pace(first=10_000, factor=2, longest=10_000)


@pytest.fixture
def shop(make_connector, clock, emulator):
    connector = make_connector(use_listen_server=True, clock=clock, pace=NEVER)
    connector.start_webhook_server()
    emulator.webhook_url = connector.webhook_url
    return connector


@pytest.fixture
def told():
    """A callback, and what it was called with."""
    outcomes = []

    def callback(outcome):
        outcomes.append(outcome)

    callback.outcomes = outcomes
    return callback


def pay(connector):
    return connector.pay(SETUP, CLIENT, 500).id_transaction


def test_the_callback_is_told_the_end_once(shop, emulator, told, eventually):
    """
    On a thread that is not the webhook's; the handle still answers, and so does finalise.
    """
    number, threads = pay(shop), []
    handle = shop.listen(number, callback=told)
    handle.add_done_callback(lambda outcome: threads.append(threading.current_thread().name))
    emulator.approve(number)
    eventually(lambda: told.outcomes and threads)
    assert shop.check_status(number).was_paid
    emulator.redeliver(emulator.deliveries[-1])
    emulator.wait_for_deliveries()

    (outcome,) = told.outcomes
    assert outcome.paid and outcome.id_transaction == number
    assert handle.result(timeout=1) is outcome
    assert threads[0].startswith("fedapay-listen")
    assert len(told.outcomes) == 1


def test_an_end_that_is_known_already_is_told_at_once(shop, emulator, told, eventually):
    number = pay(shop)
    emulator.approve(number)
    assert shop.finalise(number, timeout=10).paid

    handle = shop.listen(number, callback=told)
    eventually(lambda: told.outcomes)
    late = []
    handle.add_done_callback(late.append)
    eventually(lambda: late)

    assert told.outcomes[0].paid and late[0].paid


def test_a_webhook_in_another_connector_on_the_same_database_is_told_too(
    make_connector, shop, emulator, told, eventually
):
    number = pay(shop)
    make_connector(pace=NEVER).listen(number, callback=told)
    emulator.approve(number)
    assert eventually(lambda: told.outcomes)[0].paid


def test_the_deadline_is_told_after_fedapay_was_asked(shop, emulator, told, clock, eventually):
    number = pay(shop)
    shop.listen(number, timeout=30, callback=told)
    clock.advance(31)
    assert eventually(lambda: told.outcomes)[0].status == EventFutureStatus.TIMEOUT


@pytest.mark.parametrize("others", [[], [600]], ids=["alone", "beside one who waits longer"])
def test_a_database_that_fails_at_the_deadline_delays_the_callback(shop, told, clock, eventually, monkeypatch, others):
    """
    Full, locked or gone: the decision is made a few seconds after it can be written again.
    """
    number, store, refused = pay(shop), shop._per_process.get().store, []
    for timeout in others:
        shop.listen(number, timeout=timeout)
    shop.listen(number, timeout=60, callback=told)
    whole = store.listens.begin_closing

    def begin_closing(*arguments):
        refused.append(arguments)
        if len(refused) < 3:
            raise StoreError("Le disque est plein.")
        return whole(*arguments)

    monkeypatch.setattr(store.listens, "begin_closing", begin_closing)
    clock.advance(61)
    eventually(lambda: refused)
    assert told.outcomes == []
    before = clock.monotonic()
    eventually(lambda: told.outcomes or clock.advance(0.5))

    assert told.outcomes[0].status == EventFutureStatus.TIMEOUT
    assert clock.monotonic() - before < 30


def test_without_an_answer_at_the_deadline_the_callback_is_told_later(shop, emulator, told, clock, eventually):
    """
    Never a guess: when FedaPay answers again, it is told how it really ended.
    """
    number = pay(shop)
    emulator.webhook_url = None
    emulator.fail_next("/v1/transactions/", method="GET", status=500, times=1000)
    handle = shop.listen(number, timeout=30, callback=told)
    clock.advance(31)
    eventually(handle.done)
    emulator.approve(number)
    emulator.faults.clear()

    def later():
        clock.advance(20)
        return told.outcomes

    assert eventually(later)[0].paid
    assert len(told.outcomes) == 1


def test_a_callback_that_fails_disturbs_nobody(shop, emulator, told, eventually, caplog):
    """
    It is noted with file and line, masked, and the others are called.
    """
    number, other = pay(shop), pay(shop)

    def fail(outcome):
        raise SystemExit("sk_live_abcdefgh\nto john@example.com")

    handle = shop.listen(number, callback=fail)
    handle.add_done_callback(told)
    shop.listen(other, callback=told)
    emulator.approve(number)
    emulator.approve(other)

    eventually(lambda: len(told.outcomes) == 2 and "SystemExit" in caplog.text)
    (record,) = [each for each in caplog.records if "SystemExit" in each.getMessage()]
    lines = record.exc_text.split("\n")
    assert record.getMessage().endswith("failed: SystemExit: sk_live_***\\nto ***@***")
    assert lines[1] == f'      File "{__file__}", line {fail.__code__.co_firstlineno + 1}, in {shown_name(fail)}'
    assert lines[-1] == "    SystemExit: sk_live_***\\nto ***@***"


def shown_name(function):
    return getattr(function.__code__, "co_qualname", function.__name__)


def test_callbacks_that_never_return_are_named_once_all_threads_are_taken(shop, emulator, clock, eventually, caplog):
    """
    With the transaction and the line; and it is said when one has returned, and those in line are called.
    """
    running, may_end, called = threading.Semaphore(0), threading.Semaphore(0), []

    def hang(outcome):
        called.append(outcome.id_transaction)
        running.release() or may_end.acquire()

    # One that stays open: as long as there is one, a clock that jumps is noticed.
    shop.listen(pay(shop))
    numbers = [pay(shop) for _ in range(5)]
    try:
        for number in numbers:
            shop.listen(number, callback=hang)
            emulator.approve(number)
        for _ in range(4):
            assert running.acquire(timeout=20)
        clock.advance(5)
        eventually(lambda: "callbacks of waits are taken" in caplog.text)
        for number in called:
            assert f"hang for transaction {number}, running for " in caplog.text
        assert caplog.text.count(f"at {__file__}:{hang.__code__.co_firstlineno + 2}") == 4

        may_end.release()
        assert running.acquire(timeout=20)
        clock.advance(2)
        eventually(lambda: "callbacks of waits are free again" in caplog.text)
        assert sorted(called) == sorted(numbers)
    finally:
        for _ in numbers:
            may_end.release()


def test_another_amount_is_told_as_not_paid(shop, emulator, told, eventually):
    number = pay(shop)
    store = shop._per_process.get().store
    store.write(lambda database: database.execute_sql("UPDATE fp_payment SET amount = 50000"))
    shop.listen(number, callback=told)
    emulator.approve(number)
    (outcome,) = eventually(lambda: told.outcomes)
    assert not outcome.paid and "50000 XOF" in outcome.reason


def test_closing_waits_for_callbacks_that_run_and_for_those_in_line(make_connector, emulator, eventually):
    """
    As it does for those of events: what has begun is not cut in the middle.
    """
    shop = make_connector(callback_timeout=20)
    begun, may_end, ended = threading.Semaphore(0), threading.Event(), []

    def work(outcome):
        begun.release()
        may_end.wait(20)
        ended.append(outcome.id_transaction)

    for number in [pay(shop) for _ in range(6)]:
        shop.listen(number, callback=work)
        emulator.approve(number)
    assert all(begun.acquire(timeout=10) for _ in range(4))
    closing = threading.Thread(target=shop.close)
    closing.start()
    assert not closing.join(0.3) and closing.is_alive()
    may_end.set()
    closing.join(10)
    assert not closing.is_alive() and len(ended) == 6


def test_a_callback_that_never_returns_is_left_behind_after_callback_timeout(make_connector, emulator, caplog):
    shop = make_connector(callback_timeout=0.3)
    began, release, number = threading.Event(), threading.Event(), pay(shop)
    shop.listen(number, callback=lambda outcome: began.set() or release.wait(30))
    emulator.approve(number)
    assert began.wait(10)
    start = time.monotonic()
    shop.close()
    assert time.monotonic() - start < 4
    assert "a callback of a wait still runs" in caplog.text
    release.set()


def test_a_callback_may_close_its_connector(make_connector, emulator, eventually):
    """
    Nobody waits for the one that waits.
    """
    shop = make_connector(callback_timeout=30)
    took, number = [], pay(shop)

    def close(outcome):
        start = time.monotonic()
        shop.close()
        took.append(time.monotonic() - start)

    shop.listen(number, callback=close)
    emulator.approve(number)
    eventually(lambda: took)
    assert took[0] < 4


def test_cancelling_and_closing_are_told(shop, make_connector, told, eventually):
    first, second = pay(shop), pay(shop)
    shop.listen(first, callback=told).cancel()
    eventually(lambda: told.outcomes)
    shop.listen(second, callback=told)
    shop.close()
    eventually(lambda: len(told.outcomes) == 2)

    cancelled, interrupted = told.outcomes
    assert cancelled.status == EventFutureStatus.CANCELLED
    assert interrupted.status == EventFutureStatus.CANCELLED_INTERNALLY


def test_a_callback_may_use_the_connector(shop, emulator, eventually):
    """
    It is called inside no lock.
    """
    number, other, ends = pay(shop), pay(shop), []
    shop.listen(number, callback=lambda outcome: shop.listen(other, callback=ends.append))
    emulator.approve(number)
    emulator.approve(other)
    assert eventually(lambda: ends)[0].id_transaction == other


async def asynchronous(outcome):
    """What nobody would await."""


@pytest.mark.parametrize("callback", [asynchronous, 5, "print"])
def test_what_is_no_ordinary_function_is_refused_before_anything_happens(shop, callback):
    number = pay(shop)
    with pytest.raises(ConfigError, match="callback"):
        shop.listen(number, callback=callback)
    assert shop._per_process.get().store.listens.get("sandbox", number) is None


def test_many_listens_take_no_thread_each(make_connector, emulator, told, eventually):
    """
    Rows and heap entries; tests/benchmarks/test_listens.py has the figures of ten thousand.
    """
    emulator.fail_next("/v1/transactions/", method="GET", status=503, times=1_000_000)
    connector = make_connector(pace=NEVER)
    connector.listen(1)
    before = threading.active_count()
    for number in range(2, 302):
        connector.listen(number, timeout=86400, callback=told)
    assert threading.active_count() - before <= 10

    assert connector.cancel_all_listens() == 301
    eventually(lambda: len(told.outcomes) == 300)
    assert len({outcome.id_transaction for outcome in told.outcomes}) == 300


def test_whoever_finds_the_end_first_has_it_told(shop, emulator, told, eventually):
    """
    Asking the handle takes its bell away before it could ring: the callback is called all the same, once.
    """
    emulator.webhook_url = None
    for _ in range(20):
        number = pay(shop)
        handle = shop.listen(number, callback=told)
        emulator.approve(number)
        shop._per_process.get().store.listens.end("sandbox", number, "cancelled")
        assert handle.done()
        eventually(lambda: told.outcomes)
        assert len(told.outcomes) == 1
        told.outcomes.clear()


def test_a_callback_that_is_added_after_the_bell_rang_is_told(shop, emulator, told, eventually):
    number = pay(shop)
    handle = shop.listen(number)
    emulator.approve(number)
    eventually(handle._waiter.is_set)
    handle._waiter.clear()
    handle.add_done_callback(told)
    assert eventually(lambda: told.outcomes)[0].paid


def test_a_wait_that_cannot_be_prolonged_is_tried_again_after_a_while_and_not_at_once(
    shop, emulator, told, clock, eventually, monkeypatch
):
    """
    FedaPay does not answer at the deadline, and then the database fails: nothing goes round and round meanwhile.
    """
    number = pay(shop)
    emulator.webhook_url = None
    emulator.fail_next("/v1/transactions/", method="GET", status=500, times=1000)
    handle = shop.listen(number, timeout=30, callback=told)
    # While somebody waits, the timers see the clock jump.
    shop._per_process.get().notifier.subscribe("nobody", threading.Event())
    store, tries, enough = shop._per_process.get().store, [], threading.Event()

    def fail(*args, **asked):
        tries.append(args)
        if len(tries) > 20:
            enough.set()
            raise SystemExit
        raise StoreError("gone")

    monkeypatch.setattr(store.listens, "open_many", fail)
    clock.advance(31)
    eventually(lambda: tries and handle.done())
    assert not enough.wait(0.5)
    assert len(tries) == 1

    monkeypatch.undo()
    emulator.approve(number)
    emulator.faults.clear()
    assert eventually(lambda: clock.advance(20) or told.outcomes)[0].paid
    assert len(told.outcomes) == 1
