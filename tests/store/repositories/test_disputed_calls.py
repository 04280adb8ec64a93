"""Some callbacks have been told that it is paid; then the API says that it is not what was asked: the others."""

import json

import pytest

from fedapay_sync.store.callback_records import CallbackName, Wanted
from fedapay_sync.store.states import CallbackKind, PaymentState

AUDIT = CallbackName("audit", CallbackKind.webhook)
SHIP = CallbackName("ship", CallbackKind.paid)


def shown(amount):
    return {"amount": amount, "currency": {"iso": "XOF"}, "body": json.dumps({"entity": {
        "id": 9, "amount": amount, "currency": {"iso": "XOF"}, "status": "approved"}}).encode()}  # fmt: skip


class Shop:
    """A program with these callbacks, in one process."""

    def __init__(self, store, *names):
        self.store = store
        self.numbers = store.callback_names.register("sandbox", ["shop"], names)
        self.wanted = Wanted("sandbox", ["shop"], {each.kind for each in names}, list(self.numbers))

    def ask(self, amount=500):
        self.store.payments.add_intent("sandbox", "shop", "R", amount=amount, currency="XOF", traits="{}")
        self.store.payments.transition("sandbox", "shop", "R", PaymentState.created, transaction_id="9")

    def call(self, *failing, again_in=0):
        """Call what is due, of which these callbacks fail: each with whether it may deliver."""
        works = self.store.callbacks.acquire("A", self.wanted, lease=60, limit=100)
        for work in works:
            if self.numbers[work.callback] in failing:
                self.store.callbacks.retry_or_park(work, "A", error="fermé", again_in=again_in)
            else:
                self.store.callbacks.mark_done(work, "A")
        return sorted((self.numbers[each.callback], not (each.suspect or each.repeats)) for each in works)


@pytest.fixture
def shop(store):
    return Shop(store, AUDIT, SHIP)


@pytest.fixture
def disputed(shop, store, make_event):
    """The book-keeping was told, the delivery has failed; then the API shows another sum."""
    shop.ask()
    store.events.accept(make_event("9", key="k", **shown(500)))
    assert shop.call("ship") == [("audit", True), ("ship", True)]
    assert store.events.accept(make_event("9", key="k", source="status", from_api=True, **shown(10))).taken_back
    return shop


def test_a_callback_that_has_not_been_told_is_not_told_either(disputed, store):
    """
    Both hear that it is suspect; the delivery does not come of the event that the other was told of before.
    """
    assert disputed.call() == [("audit", False), ("ship", False)]
    (held,) = store.callbacks.parked()
    assert held.callback_name == "ship" and "not what was asked" in held.last_error


def test_what_is_held_is_called_once_a_person_has_accepted(disputed, store):
    disputed.call()
    assert store.payments.accept("sandbox", "9", ["shop"])
    assert disputed.call() == [("ship", True)]
    assert disputed.call() == []
    assert store.callbacks.parked() == []


def test_what_is_held_is_called_once_the_api_says_so_again(disputed, store, make_event):
    """
    The newest event shows the sum, and is no second reason to deliver.
    """
    disputed.call()
    store.events.accept(make_event("9", key="k", source="status", from_api=True, **shown(500)))
    assert disputed.call() == [("audit", False), ("ship", False), ("ship", True)]


def test_a_replay_does_not_call_what_is_disputed(disputed, store):
    (held,) = store.callbacks.parked()
    assert not store.callbacks.replay(held, 0)
    assert disputed.call() == [("audit", False), ("ship", False)]


def test_neither_does_it_where_the_call_had_been_parked_before(shop, store, make_event):
    shop.ask()
    store.events.accept(make_event("9", key="k", **shown(500)))
    shop.call("ship", again_in=None)
    store.events.accept(make_event("9", key="k", source="status", from_api=True, **shown(10)))
    (parked,) = store.callbacks.parked()
    assert not store.callbacks.replay(parked, 31)
    shop.call()
    assert store.payments.accept("sandbox", "9", ["shop"])
    assert store.callbacks.replay(parked, 31)
    assert shop.call() == [("ship", True)]


def test_a_callback_that_is_added_with_a_past_is_not_told_what_is_disputed(disputed, store):
    disputed.call()
    later = Shop(store, AUDIT, SHIP, CallbackName("mail", CallbackKind.paid, since=0.0))
    assert later.call() == [("mail", False)]
    assert store.payments.accept("sandbox", "9", ["shop"])
    assert later.call() == [("mail", True), ("ship", True)]


def test_a_payment_that_becomes_known_with_another_sum_is_not_told_as_paid(shop, store, make_event):
    """
    The book-keeping was told of it as of one that this database did not ask for.
    """
    store.events.accept(make_event("9", key="k", **shown(10)))
    assert shop.call() == [("audit", True)]
    shop.ask(500)
    assert shop.call() == [("audit", False), ("ship", False)]


def test_a_purge_does_not_forget_who_was_told_while_a_call_is_left(shop, store, make_event, clock):
    """
    Accepted after a dispute, what the book-keeping was told long ago would be told again as paid.
    """
    shop.ask()
    store.events.accept(make_event("9", key="k", **shown(500)))
    shop.call("ship", again_in=None)
    clock.advance(10 * 86400)
    store.retention.purge(86400)
    shop.ask()
    store.events.accept(make_event("9", key="k", source="status", from_api=True, **shown(10)))
    assert shop.call() == [("audit", False), ("ship", False)]
    assert store.payments.accept("sandbox", "9", ["shop"])
    assert shop.call() == []
    (parked,) = store.callbacks.parked()
    assert store.callbacks.replay(parked, 31)
    assert shop.call() == [("ship", True)]


def test_a_call_that_runs_when_it_is_disputed_and_then_fails_is_not_made_again(shop, store, make_event):
    shop.ask()
    store.events.accept(make_event("9", key="k", **shown(500)))
    works = store.callbacks.acquire("A", shop.wanted, lease=60, limit=100)
    store.events.accept(make_event("9", key="k", source="status", from_api=True, **shown(10)))
    for work in works:
        assert store.callbacks.retry_or_park(work, "A", error="fermé", again_in=0)

    assert {paid for _, paid in shop.call()} == {False}
    assert sorted(each.callback_name for each in store.callbacks.parked()) == ["audit", "ship"]
    store.payments.accept("sandbox", "9", ["shop"])
    assert shop.call().count(("ship", True)) == 1


def test_a_call_that_its_process_died_in_is_not_made_again_if_it_is_disputed(shop, store, make_event, clock):
    shop.ask()
    store.events.accept(make_event("9", key="k", **shown(500)))
    assert len(store.callbacks.acquire("dead", shop.wanted, lease=60, limit=100)) == 2
    store.events.accept(make_event("9", key="k", source="status", from_api=True, **shown(10)))
    clock.advance(61)

    assert {paid for _, paid in shop.call()} == {False}
    assert sorted(each.callback_name for each in store.callbacks.parked()) == ["audit", "ship"]


def test_a_call_that_its_process_died_in_is_made_again_if_it_is_not(shop, store, make_event, clock):
    shop.ask()
    store.events.accept(make_event("9", key="k", **shown(500)))
    assert len(store.callbacks.acquire("dead", shop.wanted, lease=60, limit=100)) == 2
    clock.advance(61)
    assert shop.call() == [("audit", True), ("ship", True)]


def test_a_call_that_was_taken_when_it_is_disputed_and_is_given_back_is_not_made(shop, store, make_event):
    """
    It had waited for a thread; by now what it would tell is known to be wrong.
    """
    shop.ask()
    store.events.accept(make_event("9", key="k", **shown(500)))
    taken = store.callbacks.acquire("B", shop.wanted, lease=60, limit=100)
    store.events.accept(make_event("9", key="k", source="status", from_api=True, **shown(10)))
    for work in taken:
        assert store.callbacks.release(work, "B")
    assert shop.call() == [("audit", False), ("ship", False)]
    assert store.payments.accept("sandbox", "9", ["shop"])
    assert shop.call() == [("audit", True), ("ship", True)]
