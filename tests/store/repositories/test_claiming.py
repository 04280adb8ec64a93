"""What a webhook brings is taken in the transaction that stores it, by a process that has a thread for it."""

import json
import threading

import pytest
from support.claims import states, wanted

from fedapay_sync.store.callback_records import Claim, Wanted
from fedapay_sync.store.states import EventKind, PaymentState, WorkState


@pytest.fixture
def accept(store):
    """Store an event, and take its calls of these callbacks."""

    def accept(event, callbacks, owner="A", **settings):
        return store.events.accept(event, Claim(owner, tuple(callbacks), 60.0, **settings))

    return accept


def registered(store, *kinds):
    """The numbers of callbacks of these kinds, in their order."""
    return list(wanted(store, kinds=kinds).callbacks)


def taken(store, numbers, owner="B"):
    """What another process finds that has these callbacks."""
    return store.callbacks.acquire(owner, Wanted("sandbox", ["shop"], ["webhook"], numbers), lease=60.0, limit=10)


def rows(store, columns="work_state", table="fp_event"):
    query = f"SELECT {columns} FROM {table} ORDER BY id"
    return store.read(lambda database: [tuple(row) for row in database.execute_sql(query).fetchall()])


def test_the_calls_of_an_event_are_taken_as_it_is_stored(store, second, make_event, accept):
    """
    As if it had been acquired: the first attempt, under a lease, and nobody else finds it.
    """
    (number,) = registered(store, "webhook")

    accepted = accept(make_event("100"), [number])

    (call,) = accepted.calls
    assert (call.entity_id, call.attempts, call.callback, call.callback_name) == ("100", 1, number, "webhook")
    assert states(store) == [("100", "running", 1, None)]
    assert taken(second, [number]) == []
    assert store.callbacks.mark_done(call, "A")
    assert rows(store) == [("done",)]


def test_its_lease_ends_like_any_other(store, second, make_event, accept, clock):
    (number,) = registered(store, "webhook")
    (call,) = accept(make_event(), [number]).calls
    clock.advance(59)
    assert taken(second, [number]) == []
    clock.advance(2)
    assert [work.attempts for work in taken(second, [number])] == [2]
    assert not store.callbacks.mark_done(call, "A")


def test_calls_of_other_callbacks_lie_ready_for_their_process(store, second, make_event, accept):
    mine, other = registered(store, "webhook", "paid_unknown")

    (call,) = accept(make_event(), [mine]).calls

    assert call.callback == mine
    assert [work.callback for work in taken(second, [other])] == [other]


def test_an_event_that_no_callback_wants_is_done(store, make_event, accept):
    """
    And its body is forgotten, where that is asked for.
    """
    (number,) = registered(store, "paid")
    assert accept(make_event(name="transaction.declined"), [number], erase_bodies=True).calls == ()
    assert rows(store, "work_state, body")[0][0] == "done"
    assert bytes(rows(store, "body")[0][0]) == b""


def test_what_is_known_already_brings_no_calls(store, make_event, accept):
    (number,) = registered(store, "webhook")
    accept(make_event(key="k"), [number])
    again = accept(make_event(key="k"), [number])
    assert (again.new, again.calls) == (False, None)
    assert len(rows(store, table="fp_call")) == 1


@pytest.mark.parametrize(
    "changes", [{"to_confirm": True}, {"work_state": WorkState.dead, "kind": EventKind.unreadable, "is_final": False}]
)
def test_what_is_no_fact_yet_is_not_taken(store, make_event, accept, changes):
    """
    FedaPay has to be asked first, or it could not be read.
    """
    (number,) = registered(store, "webhook")
    assert accept(make_event(**changes), [number]).calls is None
    assert rows(store, table="fp_call") == []


def test_a_callback_that_was_given_up_meanwhile_is_not_called(store, make_event, accept):
    """
    Its name stands for another by now, which is given the event.
    """
    old, new = registered(store, "webhook", "paid_unknown")
    store.callback_names.rename("webhook", "paid_unknown")

    assert accept(make_event(), [old]).calls == ()
    assert rows(store, "callback_id, work_state", "fp_call") == [(new, "ready")]


def test_many_at_once_take_each_their_own(store, make_event, accept):
    """
    Stored together by the writer, with claims of two programs and without.
    """
    (number,) = registered(store, "webhook")
    answers, barrier = {}, threading.Barrier(24)

    def receive(key):
        event = make_event(str(key), key=str(key))
        barrier.wait(10)
        answers[key] = store.events.accept(event) if key % 3 == 2 else accept(event, [number], owner="AB"[key % 3])

    threads = [threading.Thread(target=receive, args=(key,)) for key in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    for key, answer in answers.items():
        assert (None if answer.calls is None else [each.entity_id for each in answer.calls]) == (
            None if key % 3 == 2 else [str(key)]
        )
    owners = dict(rows(store, "event_id, lease_owner", "fp_call"))
    entities = dict(rows(store, "id, entity_id"))
    assert {int(entities[event]): owner for event, owner in owners.items()} == {
        key: "AB"[key % 3] for key in answers if key % 3 < 2
    }


def test_what_was_taken_and_has_not_begun_is_given_back(store, second, make_event, accept):
    """
    It was no attempt.
    """
    (number,) = registered(store, "webhook")
    (call,) = accept(make_event(), [number]).calls

    assert store.callbacks.release(call, "A")

    assert [work.attempts for work in taken(second, [number])] == [1]
    assert not store.callbacks.release(call, "A")


def test_ends_that_come_together_are_told_apart(store, second, make_event, accept, clock):
    """
    One of them was lost to another process meanwhile.
    """
    (number,) = registered(store, "webhook")
    calls = [accept(make_event(str(key)), [number]).calls[0] for key in range(5)]
    clock.advance(61)
    (lost,) = second.callbacks.acquire("B", Wanted("sandbox", ["shop"], ["webhook"], [number]), lease=60.0, limit=1)
    answers, barrier = {}, threading.Barrier(5)

    def end(call):
        barrier.wait(10)
        answers[call.id] = store.callbacks.mark_done(call, "A")

    threads = [threading.Thread(target=end, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert answers == {call.id: call.id != lost.id for call in calls}
    assert [state for (state,) in rows(store)].count("done") == 4


def test_what_is_told_again_after_a_change_of_mind_is_not_taken_a_second_time(store, make_event, accept):
    """
    FedaPay shows one sum, another, and the first again, while a callback still runs with the first of these decisions.
    """

    def shown(amount):
        body = json.dumps({"entity": {"id": 9, "amount": amount, "currency": {"iso": "XOF"}, "status": "approved"}})
        facts = {"amount": amount, "currency": {"iso": "XOF"}, "body": body.encode(), "body_sha256": str(amount)}
        return make_event("9", key="k", source="status", from_api=True, **facts)

    (number,) = registered(store, "webhook")
    store.payments.add_intent("sandbox", "shop", "R", amount=500, currency="XOF", traits="{}")
    store.payments.transition("sandbox", "shop", "R", PaymentState.created, transaction_id="9")

    taken = [call for amount in (10, 500, 10, 500, 10, 500) for call in accept(shown(amount), [number]).calls or ()]

    assert len({call.call for call in taken}) == len(taken)
