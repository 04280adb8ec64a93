"""Each poll is made by one process, and what is over is not polled."""

from concurrent.futures import ThreadPoolExecutor

import pytest

HOUR = 3600.0


@pytest.fixture
def payment(store):
    """Makes a payment that was pushed, due in a minute."""

    def make(number=1, account="shop"):
        reference = f"CMD-{number}"
        store.payments.add_intent("sandbox", account, reference, amount=500, currency="XOF")
        store.payments.transition("sandbox", account, reference, "created", transaction_id=100 + number)
        store.payments.transition("sandbox", account, reference, "sent")
        return str(100 + number)

    return make


def claim(store, *, accounts=("shop",), lease=30.0, beside_wait=60.0):
    return store.polls.acquire("sandbox", accounts, lease=lease, beside_wait=beside_wait)


def test_a_payment_is_due_a_while_after_it_was_touched(store, payment, clock):
    payment()
    assert claim(store) is None
    assert 59 < store.polls.next_due("sandbox", ["shop"]) - clock.now() <= 60
    clock.advance(61)
    poll = claim(store)
    assert (poll.merchant_reference, poll.transaction_id, poll.polls) == ("CMD-1", "101", 1)


def test_a_poll_is_of_one_process_at_a_time_and_of_another_when_that_dies(store, second, payment, clock):
    payment()
    clock.advance(61)
    with ThreadPoolExecutor(8) as pool:
        polls = list(pool.map(lambda place: claim((store, second)[place % 2]), range(16)))
    assert len([poll for poll in polls if poll]) == 1
    clock.advance(31)
    assert claim(second).polls == 2


def test_a_payment_that_has_just_begun_is_polled_before_all_that_has_gathered(store, second, payment, clock):
    for number in range(3):
        payment(number)
    clock.advance(100)
    payment(7, "shop")
    clock.advance(61)
    due = second.polls.due("sandbox", ["shop"], most=2)
    assert (dict(due.begun), dict(due.followed), due.next_at) == ({"shop": 1}, {"shop": 2}, None)
    assert [claim(store).transaction_id for _ in range(4)] == ["107", "100", "101", "102"]
    assert claim(store) is None
    assert second.polls.due("sandbox", ["shop"], most=2).next_at > clock.now()


def test_the_process_that_polled_says_when_the_next_poll_is_due(store, payment, clock):
    payment()
    clock.advance(61)
    assert store.polls.finish(claim(store), again_in=500.0)
    clock.advance(499)
    assert claim(store) is None
    clock.advance(2)
    assert claim(store).polls == 2


def test_a_process_that_was_too_slow_changes_nothing(store, second, payment, clock):
    payment()
    clock.advance(61)
    slow = claim(store, lease=10)
    clock.advance(11)
    quick = claim(second)
    assert not store.polls.finish(slow, again_in=None)
    assert second.polls.finish(quick, again_in=5.0)


def test_a_call_of_pay_meanwhile_begins_the_polls_anew(store, payment, clock):
    store.payments.add_intent("sandbox", "shop", "CMD-1", amount=500, currency="XOF")
    clock.advance(61)
    poll = claim(store)
    assert store.payments.transition("sandbox", "shop", "CMD-1", "created", transaction_id=101)
    assert not store.polls.finish(poll, again_in=None, failed=True)
    assert store.payments.of_transaction("sandbox", 101).state == "created"
    clock.advance(61)
    assert claim(store).polls == 1


def test_what_is_over_is_not_polled(store, payment, clock):
    payment()
    clock.advance(61)
    store.polls.finish(claim(store), again_in=None)
    clock.advance(100 * HOUR)
    assert store.polls.next_due("sandbox", ["shop"]) is None and claim(store) is None


@pytest.mark.parametrize(
    ("name", "over"),
    [
        ("transaction.approved", True),
        ("transaction.deleted", True),
        ("transaction.declined", False),
        ("transaction.canceled", False),
        ("transaction.updated", False),
    ],
)
def test_an_event_that_tells_the_end_spares_the_poll(store, payment, make_event, clock, name, over):
    store.events.accept(make_event(payment(), name, amount=500, currency_id=1))
    clock.advance(61)
    assert (claim(store) is None) == over
    assert (store.polls.next_due("sandbox", ["shop"]) is None) == over


def test_beside_a_wait_no_other_process_polls(store, payment, listen, clock):
    listen(store, payment(), lease=100)
    clock.advance(61)
    assert claim(store) is None
    clock.advance(61)
    assert claim(store).transaction_id == "101"


def test_keys_that_the_program_lacks_are_left_alone(store, payment, clock):
    payment(1, "other")
    clock.advance(61)
    assert store.polls.next_due("sandbox", ["shop"]) is None and claim(store) is None
    assert store.polls.next_due("live", ["other"]) is None
    assert claim(store, accounts=("shop", "other")) is not None


def test_a_failed_payment_is_polled_again_once_it_is_tried_again(store, clock):
    store.payments.add_intent("sandbox", "shop", "CMD-1", amount=500, currency="XOF")
    clock.advance(61)
    assert store.polls.finish(claim(store), again_in=None, absent_at=clock.now(), failed=True)
    assert store.payments.under_reference("sandbox", "shop", "CMD-1").state == "failed"
    assert store.polls.next_due("sandbox", ["shop"]) is None
    store.payments.transition("sandbox", "shop", "CMD-1", "unknown")
    clock.advance(61)
    assert claim(store).absent_at is None


def test_a_wait_that_timed_out_on_a_foreign_transaction_is_polled_for_two_days(store, listen, make_event, clock):
    listen(store, 7, timeout=5)
    clock.advance(6)
    store.listens.begin_closing("sandbox", 7, 30)
    store.listens.end("sandbox", 7, "timed_out")
    clock.advance(31)
    poll = claim(store)
    assert (poll.merchant_reference, poll.transaction_id) == (None, "7")
    store.polls.finish(poll, again_in=HOUR)
    clock.advance(HOUR + 1)
    assert claim(store) is not None
    clock.advance(47 * HOUR)
    assert claim(store) is None and store.polls.next_due("sandbox", ["shop"]) is None


def test_one_that_has_ended_is_not(store, listen, make_event, clock):
    for number in (7, 8):
        listen(store, number, timeout=5)
    clock.advance(6)
    for number in (7, 8):
        store.listens.begin_closing("sandbox", number, 30)
        store.listens.end("sandbox", number, "timed_out")
    store.events.accept(make_event("7"))
    clock.advance(31)
    assert claim(store).transaction_id == "8"
    assert claim(store) is None
    # Nothing of it is due again and again either.
    assert store.polls.next_due("sandbox", ["shop"]) > clock.now()


def test_a_clock_set_back_holds_up_no_poll(store, payment, clock):
    """
    Written an hour of the wrong day ahead; due at once when the clock is right again.
    """
    clock.advance(24 * HOUR)
    payment(1)
    payment(2)
    clock.advance(61)
    assert claim(store) is not None
    clock.advance(-24 * HOUR)
    assert store.polls.next_due("sandbox", ["shop"]) <= clock.now()
    assert {claim(store).transaction_id, claim(store).transaction_id} == {"101", "102"}
