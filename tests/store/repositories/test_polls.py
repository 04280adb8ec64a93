"""What the verbs of looks promise: each look is one process's, and what is over is not looked at."""

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


def claim(store, *, accounts=("shop",), lease=30.0, gap=0.0, beside_wait=60.0):
    return store.polls.acquire("sandbox", accounts, lease=lease, gap=gap, beside_wait=beside_wait)


def test_a_payment_is_due_a_while_after_it_was_touched(store, payment, clock):
    payment()
    assert claim(store) is None
    assert 59 < store.polls.next_due("sandbox", ["shop"]) - clock.now() <= 60
    clock.advance(61)
    look = claim(store)
    assert (look.merchant_reference, look.transaction_id, look.polls) == ("CMD-1", "101", 1)


def test_a_look_is_of_one_at_a_time_and_of_another_when_he_dies(store, second, payment, clock):
    payment()
    clock.advance(61)
    with ThreadPoolExecutor(8) as pool:
        looks = list(pool.map(lambda place: claim((store, second)[place % 2]), range(16)))
    assert len([look for look in looks if look]) == 1
    clock.advance(31)
    assert claim(second).polls == 2


def test_all_processes_together_keep_the_gap(store, second, payment, clock):
    for number in range(3):
        payment(number)
    clock.advance(61)
    assert claim(store, gap=0.2) is not None
    assert claim(second, gap=0.2) is None
    clock.advance(0.25)
    assert claim(second, gap=0.2) is not None


def test_who_looked_says_when_the_next_look_is_due(store, payment, clock):
    payment()
    clock.advance(61)
    assert store.polls.finish(claim(store), again_in=500.0)
    clock.advance(499)
    assert claim(store) is None
    clock.advance(2)
    assert claim(store).polls == 2


def test_one_who_was_too_slow_changes_nothing(store, second, payment, clock):
    payment()
    clock.advance(61)
    slow = claim(store, lease=10)
    clock.advance(11)
    quick = claim(second)
    assert not store.polls.finish(slow, again_in=None)
    assert second.polls.finish(quick, again_in=5.0)


def test_one_who_pays_meanwhile_begins_the_looks_anew(store, payment, clock):
    store.payments.add_intent("sandbox", "shop", "CMD-1", amount=500, currency="XOF")
    clock.advance(61)
    look = claim(store)
    assert store.payments.transition("sandbox", "shop", "CMD-1", "created", transaction_id=101)
    assert not store.polls.finish(look, again_in=None, failed=True)
    assert store.payments.of_transaction("sandbox", 101).state == "created"
    clock.advance(61)
    assert claim(store).polls == 1


def test_what_is_over_is_not_looked_at(store, payment, clock):
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
def test_an_event_that_tells_the_end_spares_the_look(store, payment, make_event, clock, name, over):
    store.events.accept(make_event(payment(), name))
    clock.advance(61)
    assert (claim(store) is None) == over
    assert (store.polls.next_due("sandbox", ["shop"]) is None) == over


def test_beside_a_wait_nobody_else_looks(store, payment, listen, clock):
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


def test_a_failed_payment_is_looked_at_again_once_it_is_tried_again(store, clock):
    store.payments.add_intent("sandbox", "shop", "CMD-1", amount=500, currency="XOF")
    clock.advance(61)
    assert store.polls.finish(claim(store), again_in=None, absent_at=clock.now(), failed=True)
    assert store.payments.under_reference("sandbox", "shop", "CMD-1").state == "failed"
    assert store.polls.next_due("sandbox", ["shop"]) is None
    store.payments.transition("sandbox", "shop", "CMD-1", "unknown")
    clock.advance(61)
    assert claim(store).absent_at is None


def test_a_wait_that_timed_out_on_a_foreign_transaction_is_looked_at_for_two_days(store, listen, make_event, clock):
    listen(store, 7, timeout=5)
    clock.advance(6)
    store.listens.begin_closing("sandbox", 7, 30)
    store.listens.end("sandbox", 7, "timed_out")
    clock.advance(31)
    look = claim(store)
    assert (look.merchant_reference, look.transaction_id) == (None, "7")
    store.polls.finish(look, again_in=HOUR)
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


def test_a_clock_set_back_holds_up_no_look(store, payment, clock):
    """
    Written an hour of the wrong day ahead; due at once when the clock is right again.
    """
    clock.wall_ahead = 24 * HOUR
    payment(1)
    payment(2)
    clock.advance(61)
    assert claim(store, gap=0.2) is not None
    clock.wall_ahead = 0
    assert store.polls.next_due("sandbox", ["shop"]) <= clock.now()
    assert {claim(store).transaction_id, claim(store).transaction_id} == {"101", "102"}


# -- an absence ----------------------------------------------------------------------------------------------------


def begin(store, clock, before=None, every=None, overlap=0.0):
    before = clock.now() if before is None else before
    settings = {"shortest": 1200, "longest": 30 * 24 * HOUR, "lease": 600, "every": every, "overlap": overlap}
    return store.event_catchup.begin("sandbox", ["shop"], before=before, **settings)


def test_an_empty_database_was_not_absent(store, clock):
    assert begin(store, clock) == (False, None)


@pytest.mark.parametrize(("hours", "absent"), [(0.1, False), (0.5, True), (700, True), (800, False)])
def test_an_absence_is_one_of_more_than_minutes_and_less_than_a_month(store, make_event, clock, hours, absent):
    store.events.accept(make_event(received_at=clock.now()))
    clock.advance(hours * HOUR)
    assert begin(store, clock)[0] == absent


def test_an_absence_is_read_up_on_by_one_and_stays_known_until_it_is(store, second, make_event, clock):
    """
    Even when new webhooks have come meanwhile.
    """
    last = clock.now()
    store.events.accept(make_event(received_at=last))
    clock.advance(HOUR)
    start = clock.now()
    store.events.accept(make_event(received_at=start + 1))
    clock.advance(2)
    assert begin(store, clock, start) == (True, last)
    assert begin(second, clock, start) == (True, None)
    store.event_catchup.finish("sandbox", done=False, again_in=60)
    clock.advance(61)
    assert begin(second, clock) == (True, last)
    clock.advance(601)
    assert begin(store, clock) == (True, last)
    store.event_catchup.finish("sandbox", done=True, again_in=1200)
    assert begin(second, clock, start) == (False, None)


def test_what_is_read_every_hour_is_read_by_one_from_the_last_time_on(store, second, clock):
    """
    The first time only notes the hour: what came before is none of this shop's. Without an interval nothing is owed.
    """
    start = clock.now()
    assert begin(store, clock, start, every=HOUR) == (False, None)
    clock.advance(0.9 * HOUR)
    assert begin(store, clock, start, every=HOUR) == (False, None)
    clock.advance(0.2 * HOUR)
    assert begin(store, clock, start) == (False, None)
    owed, since = begin(store, clock, start, every=HOUR)
    assert owed and since == pytest.approx(start, abs=5)
    assert begin(second, clock, start, every=HOUR) == (True, None)

    store.event_catchup.finish("sandbox", done=True, again_in=1200)
    done = clock.now()
    assert begin(second, clock, start, every=HOUR) == (False, None)
    clock.advance(1.1 * HOUR)
    owed, since = begin(second, clock, start, every=HOUR)
    assert owed and since == pytest.approx(done, abs=5)


def test_what_is_read_twice_is_from_the_life_of_this_database(store, make_event, clock):
    """
    What happened before was told to another one, or to nobody.
    """
    start = clock.now()
    begin(store, clock, start, every=HOUR)
    clock.advance(1.1 * HOUR)
    assert begin(store, clock, start, every=HOUR, overlap=HOUR)[1] == pytest.approx(start - 60, abs=5)
    store.event_catchup.finish("sandbox", done=True, again_in=1200)
    last = clock.now()
    clock.advance(1.1 * HOUR)
    assert begin(store, clock, start, every=HOUR, overlap=HOUR)[1] == pytest.approx(last - HOUR, abs=5)


def test_a_reading_counts_as_having_been_there(store, make_event, clock):
    """
    A quiet night is no absence where the events were read in it.
    """
    store.events.accept(make_event(received_at=clock.now()))
    clock.advance(8 * HOUR)
    assert begin(store, clock)[0]
    store.event_catchup.finish("sandbox", done=True, again_in=1200)
    clock.advance(600)
    assert begin(store, clock) == (False, None)
    clock.advance(HOUR)
    assert begin(store, clock)[0]


def test_a_clock_set_back_does_not_put_the_reading_off(store, clock):
    """
    Nor does one that jumped ahead by more than anybody would read make it read everything.
    """
    start = clock.now()
    begin(store, clock, start, every=HOUR)
    clock.wall_ahead -= 48 * HOUR
    owed, since = begin(store, clock, clock.now(), every=HOUR)
    assert owed and since == pytest.approx(clock.now() - HOUR, abs=5)
    store.event_catchup.finish("sandbox", done=True, again_in=1200)
    clock.advance(31 * 24 * HOUR)
    assert begin(store, clock, start, every=HOUR) == (False, None)
    clock.advance(1.1 * HOUR)
    assert begin(store, clock, start, every=HOUR)[0]
