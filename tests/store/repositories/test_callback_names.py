"""Callbacks by their names: which events each is given, renamed, dropped and gone; on both databases."""

import json

import pytest

from fedapay_sync.store.callback_records import CALLBACK_GONE, CallbackName, Wanted
from fedapay_sync.store.states import CallbackKind, EventKind, WorkState

WEBHOOK = CallbackKind.webhook


class Process:
    """A process that has some callbacks of kind ``webhook``, or of others."""

    def __init__(self, store, *names, owner="A", accounts=("shop",)):
        self.store, self.owner, self.accounts = store, owner, list(accounts)
        self.names = [each if isinstance(each, CallbackName) else CallbackName(each, WEBHOOK) for each in names]
        self.numbers = store.callback_names.register("sandbox", self.accounts, self.names)

    def take(self, limit=100):
        kinds = {each.kind for each in self.names}
        wanted = Wanted("sandbox", self.accounts, kinds, list(self.numbers))
        return self.store.callbacks.acquire(self.owner, wanted, lease=60, limit=limit)

    def called(self, works=None):
        """Take what is due and end it well: which callback was called with which object."""
        works = self.take() if works is None else works
        for work in works:
            assert self.store.callbacks.mark_done(work, self.owner)
        return sorted((self.numbers[work.callback], work.entity_id) for work in works)


@pytest.fixture
def process(store):
    return lambda *names, **settings: Process(store, *names, **settings)


@pytest.fixture
def come(store, make_event):
    """Events come about these objects."""

    def come(*numbers, **changes):
        for number in numbers:
            store.events.accept(make_event(str(number), **changes))

    return come


def body_of(amount):
    return json.dumps({"entity": {"amount": amount, "currency": {"iso": "XOF"}}}).encode()


def event_states(store):
    query = "SELECT entity_id, work_state FROM fp_event ORDER BY id"
    return store.read(lambda database: dict(database.execute_sql(query).fetchall()))


def known(store):
    return {each.name: each for each in store.callback_names.all()}


# -- what a callback is given ---------------------------------------------------------------------------------------


def test_each_is_called_once_for_each_event(process, come, store):
    come(1, 2)
    shop = process("ship", "book")
    assert shop.called() == [("book", "1"), ("book", "2"), ("ship", "1"), ("ship", "2")]
    assert shop.take() == []
    assert event_states(store) == {"1": "done", "2": "done"}


def test_the_first_are_given_what_came_before_and_one_that_is_added_what_comes_then(process, come):
    come(1)
    process("ship", "book")
    come(2)
    later = process("ship", "book", "mail")
    come(3)
    assert later.called() == [
        ("book", "1"), ("book", "2"), ("book", "3"), ("mail", "3"), ("ship", "1"), ("ship", "2"), ("ship", "3"),
    ]  # fmt: skip


def test_one_that_is_added_may_have_what_came_since(process, come, store):
    """
    Whether that was given to others already, and is done, or not.
    """
    for number in range(1, 5):
        come(number, received_at=float(number))
    shop = process("ship")
    assert len(shop.called(shop.take(limit=3))) == 3
    late = process(CallbackName("mail", WEBHOOK, since=2.5))
    assert late.called() == [("mail", "3"), ("mail", "4")]
    assert shop.called() == [("ship", "4")]
    assert set(event_states(store).values()) == {"done"}
    assert process(CallbackName("mail", WEBHOOK, since=0.0)).take() == []


def test_each_has_attempts_of_its_own_and_is_parked_alone(process, come, store, clock):
    come(1)
    shop = process("ship", "book")
    for _ in range(2):
        for work in shop.take():
            if shop.numbers[work.callback] == "book":
                assert store.callbacks.mark_done(work, "A")
            else:
                assert store.callbacks.retry_or_park(work, "A", error="no", again_in=5)
        clock.advance(6)
    (third,) = shop.take()
    assert (third.attempts, third.callback_name, third.last_error) == (3, "ship", "no")
    assert event_states(store) == {"1": "none"}
    assert store.callbacks.retry_or_park(third, "A", error="never", again_in=None)

    assert [(each.callback_name, each.last_error) for each in store.callbacks.parked()] == [("ship", "never")]
    assert store.callbacks.parked(callback="book") == []
    (parked,) = store.callbacks.parked(callback="ship", event_key=third.event_key)
    assert known(store)["ship"].parked == 1
    assert store.callbacks.replay(parked, 31) and not store.callbacks.replay(parked, 31)
    assert shop.called() == [("ship", "1")]
    assert event_states(store) == {"1": "done"}


def test_an_event_that_no_callback_wants_is_done(process, come, store):
    come(1, name="transaction.created", status="pending", is_paid=False)
    assert process(CallbackName("ship", CallbackKind.paid)).take() == []
    assert event_states(store) == {"1": "done"}


def test_those_for_what_is_paid_are_given_what_says_so(process, come, store):
    """
    Of payments that this database asked for, or of all; and what is found to be one of its own only later.
    """
    asked = {"amount": 500, "currency": {"iso": "XOF"}, "body": body_of(500)}
    store.payments.add_intent("sandbox", "shop", "CMD-1", amount=500, currency="XOF")
    store.payments.transition("sandbox", "shop", "CMD-1", "created", transaction_id="1")
    come(1, **asked)
    come(2, **asked)
    come(3, name="transaction.declined")
    shop = process(
        CallbackName("ship", CallbackKind.paid),
        CallbackName("any", CallbackKind.paid_unknown),
        CallbackName("all", WEBHOOK),
    )
    assert shop.called() == [("all", "1"), ("all", "2"), ("all", "3"), ("any", "1"), ("any", "2"), ("ship", "1")]

    store.payments.add_intent("sandbox", "shop", "CMD-2", amount=500, currency="XOF")
    store.payments.transition("sandbox", "shop", "CMD-2", "created", transaction_id="2")
    assert shop.called() == [("ship", "2")]
    store.payments.transition("sandbox", "shop", "CMD-2", "sent", transaction_id="2")
    assert shop.take() == []


def test_accounts_have_names_of_their_own(process, come):
    come(1)
    come(2, account="other")
    process("ship")
    assert process("ship", accounts=["other"]).called() == [("ship", "2")]
    both = process("ship", "book", accounts=["shop", "other"])
    come(3, account="other")
    assert both.called() == [("book", "3"), ("ship", "1"), ("ship", "3")]


def test_local_events_have_callbacks_of_their_own(process, store, make_event):
    for kind in ("payment", "restored"):
        store.events.add_local(make_event(kind, name=f"local.{kind}", source="local", object=kind, is_final=False))
    assert process("ship").take() == []
    shop = process(
        "ship", CallbackName("payment", CallbackKind.payment), CallbackName("restored", CallbackKind.restored)
    )
    assert shop.called() == [("payment", "payment"), ("restored", "restored")]


def test_what_fedapay_does_not_confirm_goes_to_each_that_hears_all(process, store, make_event):
    """
    Before, it is the event's own work, and its attempts are not those of a callback.
    """
    store.events.accept(make_event("1", kind=EventKind.unconfirmed, is_final=False))
    shop = process("ship", "book", CallbackName("paid", CallbackKind.paid_unknown))
    (work,) = shop.take()
    assert (work.call, work.callback_name, work.kind) == (None, None, EventKind.unconfirmed)
    assert known(store)["paid"].owed == 1
    assert store.callbacks.give_to_callbacks(work, "A")
    assert not store.callbacks.give_to_callbacks(work, "A")
    works = shop.take()
    assert [each.attempts for each in works] == [1, 1]
    assert shop.called(works) == [("book", "1"), ("ship", "1")]


def test_what_an_older_version_parked_stays_parked_for_the_first(process, store, make_event):
    store.events.accept(make_event("1", work_state=WorkState.dead, last_error="ValueError: no"))
    store.events.accept(make_event("2", work_state=WorkState.dead, kind=EventKind.unreadable))
    shop = process("ship", "book")
    assert shop.take() == []
    found = store.callbacks.parked("sandbox", ["shop"])
    assert {(each.entity_id, each.callback_name) for each in found} == {("1", "ship"), ("1", "book"), ("2", None)}
    (of_one,) = [each for each in found if each.callback_name == "ship"]
    assert store.callbacks.replay(of_one, 31)
    assert shop.called() == [("ship", "1")]


# -- names that change ----------------------------------------------------------------------------------------------


def test_a_new_name_takes_over_what_the_old_one_is_owed(process, come, store):
    """
    And a process that has not heard of it goes on under the old name, for the new one: nothing is called twice.
    """
    old = process("old", "book")
    come(1, 2)
    old.called(old.take(limit=2))
    new = process(CallbackName("new", WEBHOOK, former=("old",)), "book", owner="B")
    come(3)
    again = process("old", "book", owner="C")
    taken = [*old.take(limit=1), *new.take(limit=1), *again.take()]

    called = sorted((known(store)[each.callback_name].name, each.entity_id) for each in taken)
    assert called == [("book", "2"), ("book", "3"), ("new", "2"), ("new", "3")]
    assert known(store)["old"].same_as == "new"


def test_a_name_that_takes_over_another_one_is_not_called_again_for_what_it_had(process, come, store):
    process("old")
    come(1, 2)
    first = process("old")
    assert first.called(first.take(limit=1)) == [("old", "1")]
    both = process("old", "new")
    come(3)
    works = both.take()
    (of_new,) = [each for each in works if each.callback_name == "new"]
    store.callbacks.mark_done(of_new, "A")
    for each in works:
        if each is not of_new:
            store.callbacks.retry_or_park(each, "A", error="no", again_in=0)

    merged = process(CallbackName("new", WEBHOOK, former=("old",)))

    assert merged.called() == [("new", "2")]
    assert set(event_states(store).values()) == {"done"}


def test_names_may_change_again_and_a_name_may_begin_anew(process, come, store):
    process("a")
    come(1)
    process(CallbackName("b", WEBHOOK, former=("a",)))
    last = process(CallbackName("c", WEBHOOK, former=("b", "a")))
    assert last.called() == [("c", "1")]
    assert {each.name: each.same_as for each in store.callback_names.all()} == {"c": None, "b": "c", "a": "c"}

    both = process("c", "a")
    come(2)
    assert both.called() == [("a", "2"), ("c", "2")]
    assert store.callback_names.rename("c", "a") == 1
    come(3)
    assert process("c", owner="B").called() == [("c", "3")]
    assert process("a").take() == []


def test_a_name_that_was_given_up_and_has_a_function_again_takes_over_for_itself(process, come):
    """
    Not for the name that it stood for, which has its own calls: the events of the old one would be lost.
    """
    process("a", "b")
    come(1)
    process(CallbackName("c", WEBHOOK, former=("a",)), "b")
    come(2)
    names = ["c", CallbackName("a", WEBHOOK, former=("b",))]
    expected = [("a", "1"), ("a", "2"), ("c", "1"), ("c", "2")]
    assert process(*names).called() == expected


def test_names_that_were_given_up_for_names_which_change_again_each_have_a_row(process, come):
    process("t", "z")
    process(CallbackName("t2", WEBHOOK, former=("t",)), CallbackName("z2", WEBHOOK, former=("z",)))
    come(1)
    # t stands for t2, and z for z2, which takes t2 over.
    shop = process("t", CallbackName("z", WEBHOOK, former=("t2",)))
    come(2)
    assert sorted(shop.numbers.values()) == ["t", "z"]
    assert shop.called() == [("t", "2"), ("z", "1"), ("z", "2")]


def test_a_dropped_name_is_owed_nothing_and_the_others_are(process, come, store):
    """
    Also not what nobody has been given yet.
    """
    process("ship", "book")
    come(1)
    shop = process("ship", "book")
    shop.called([each for each in shop.take() if each.callback_name == "ship"])
    come(2)
    assert store.callback_names.drop("book") == 2
    assert list(known(store)) == ["ship"]
    assert event_states(store) == {"1": "done", "2": "none"}
    assert process("ship").called() == [("ship", "2")]
    again = process("ship", "book")
    come(3)
    assert again.called() == [("book", "3"), ("ship", "3")]


def test_when_the_only_name_is_dropped_the_next_is_given_what_comes_from_then_on(process, come, store):
    process("ship")
    come(1)
    assert store.callback_names.drop("ship") == 1
    come(2)
    assert process("other").called() == [("other", "2")]


def test_a_name_that_is_owed_and_that_nobody_has_is_gone_after_an_hour(process, come, store, clock):
    shop = process("ship", "book")
    come(1)
    clock.advance(CALLBACK_GONE + 1)
    assert store.callback_names.beat([number for number, name in shop.numbers.items() if name == "book"])
    assert {each.name for each in store.callback_names.all() if each.is_gone(clock.now())} == {"ship"}
    assert store.health.read("sandbox", ["shop"]).gone == (("ship", True),)
    assert process("ship", "book").called() == [("book", "1"), ("ship", "1")]
    clock.advance(CALLBACK_GONE + 1)
    assert not any(each.is_gone(clock.now()) for each in store.callback_names.all())


def test_who_beats_learns_that_a_name_is_not_there_any_more(process, store):
    shop = process("ship", "book")
    assert store.callback_names.beat(list(shop.numbers))
    store.callback_names.drop("book")
    assert not store.callback_names.beat(list(shop.numbers))


# -- what is decided about a payment ----------------------------------------------------------------------------------


@pytest.fixture
def payment(store, make_event):
    """An event that says paid what was asked, or not, as FedaPay's API or a webhook tells it."""
    store.payments.add_intent("sandbox", "shop", "CMD-1", amount=500, currency="XOF")
    store.payments.transition("sandbox", "shop", "CMD-1", "created", transaction_id="1")

    def tell(amount=500, **changes):
        shown = {"amount": amount, "currency": {"iso": "XOF"}, "body": body_of(amount)}
        return store.events.accept(make_event("1", **shown, **changes))

    return tell


def test_what_one_callback_was_told_is_not_taken_back_because_another_has_not_run(process, payment, store):
    """
    Told paid, then denied by FedaPay: a second event says so; told paid once more it would be delivered twice.
    """
    payment()
    shop = process("ship", "book")
    shop.called([each for each in shop.take() if each.callback_name == "ship"])
    assert payment(400, from_api=True, key="denied").taken_back
    payment(500, from_api=True, key="confirmed")

    told = [(each.callback_name, not (each.suspect or each.repeats)) for each in shop.take()]
    assert told.count(("ship", True)) == 0 and told.count(("book", True)) <= 1


def test_what_no_callback_has_seen_is_told_as_it_was_decided(process, payment, store, clock):
    payment()
    shop = process("ship", "book")
    for each in shop.take():
        store.callbacks.retry_or_park(each, "A", error="no", again_in=30)
    assert not payment(400, from_api=True, key="denied").taken_back
    clock.advance(31)
    assert {each.suspect for each in shop.take()} == {True}
