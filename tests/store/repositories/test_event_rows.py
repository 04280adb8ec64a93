"""Events are stored once, and say what they change: the end of a wait, late, suspect."""

import pytest

from fedapay_sync.errors import StoreError


def rows(store, table="fp_event", where="1 = 1"):
    return store.read(
        lambda database: database.execute_sql(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0]
    )


def test_an_event_is_accepted_once_on_whichever_way_it_comes(store, second, make_event):
    """
    By row count: the second delivery adds nothing, here or in another process.
    """
    event = make_event()

    assert store.events.accept(event).new
    assert not store.events.accept(event).new
    assert not second.events.accept(event).new
    assert rows(store) == 1


def test_a_duplicate_after_other_events_is_still_known(store, make_event):
    """
    The driver's id of the last insert belongs to another row; it is not what decides.
    """
    first = make_event()
    store.events.accept(first)
    for _ in range(5):
        assert store.events.accept(make_event()).new

    assert not store.events.accept(first).new


@pytest.mark.parametrize("field", ["name", "body", "account"])
def test_a_row_that_breaks_a_constraint_is_an_error_and_not_a_duplicate(store, make_event, field):
    """
    Silently dropped, it would be a lost webhook that was answered 200.
    """
    with pytest.raises(StoreError):
        store.events.accept(make_event(**{field: None}))

    assert rows(store) == 0
    assert store.events.accept(make_event()).new


def test_a_state_of_work_that_does_not_exist_is_refused(store, make_event):
    """
    A CHECK that fails raises like NOT NULL.
    """
    with pytest.raises(StoreError):
        store.events.accept(make_event(work_state="maybe"))


def test_a_final_event_settles_the_listen(store, second, make_event, listen):
    """
    In the same transaction, for all processes.
    """
    listen(store)

    accepted = second.events.accept(make_event())

    assert accepted.is_final
    assert store.listens.get("sandbox", "100").state == "resolved"
    assert store.listens.ended("sandbox", ["100", "101"]) == ["100"]


def test_an_event_that_is_not_final_settles_nothing(store, make_event, listen):
    listen(store)
    store.events.accept(make_event(name="transaction.updated"))
    assert store.listens.get("sandbox", "100").is_open


def test_the_listen_of_another_environment_is_left_alone(store, make_event, listen):
    """
    Sandbox and live may number their transactions alike.
    """
    listen(store)
    store.events.accept(make_event(environment="live"))
    assert store.listens.get("sandbox", "100").is_open
    assert store.listens.ending("sandbox", "100").events == []
    assert len(store.listens.ending("live", "100").events) == 1


@pytest.mark.parametrize("state", ["timed_out", "cancelled"])
def test_a_final_event_after_the_end_of_the_wait_is_late(store, make_event, listen, claim, state):
    """
    Recorded, told as late, and the listen keeps the end it had.
    """
    listen(store)
    store.listens.end("sandbox", "100", state)

    assert store.events.accept(make_event()).late
    assert store.listens.get("sandbox", "100").state == state
    assert [work.late for work in claim(store)] == [True]


def test_a_second_final_event_is_not_late(store, make_event, listen):
    """
    A refund after the payment: the listen had its event.
    """
    listen(store)
    store.events.accept(make_event())
    assert not store.events.accept(make_event(name="transaction.declined")).late


@pytest.mark.parametrize(
    ("paid", "suspect"),
    [
        ({"amount": 1000, "currency_id": 1}, False),
        ({"amount": 1001, "currency_id": 1}, True),
        ({"amount": 1000, "currency_id": 2}, True),
        ({"amount": None, "currency_id": None}, False),
        ({"amount": 1001, "currency_id": 1, "name": "transaction.declined"}, False),
    ],
)
def test_another_amount_or_currency_than_asked_is_suspect(store, make_event, claim, paid, suspect):
    """
    Only where something was paid, and only what the event says can be compared.
    """
    store.payments.add_intent("sandbox", "shop", "CMD-1", amount=1000, currency="XOF")
    store.payments.transition("sandbox", "shop", "CMD-1", "created", transaction_id=100, currency_id=1)

    assert store.events.accept(make_event(**paid)).suspect is suspect
    assert [work.suspect for work in claim(store)] == [suspect]


def test_the_news_of_our_own_deletion_does_not_end_the_wait(store, make_event, listen, clock):
    """
    The process that deletes at the deadline says how it ended.
    """
    listen(store, timeout=5)
    clock.advance(6)
    store.listens.begin_closing("sandbox", "100", 30)

    assert store.events.accept(make_event(name="transaction.deleted")).new
    assert store.listens.get("sandbox", "100").state == "closing"
    assert store.listens.end("sandbox", "100", "timed_out")


@pytest.mark.faults(row=3)
def test_the_news_of_a_deletion_whose_process_died_ends_the_wait_when_told_again(store, make_event, listen, clock):
    """
    Otherwise the listen would be watched for ever: its only final event is known already.
    """
    deleted = make_event(name="transaction.deleted")
    listen(store, timeout=5)
    clock.advance(6)
    store.listens.begin_closing("sandbox", "100", 30)
    store.events.accept(deleted)

    store.events.accept(deleted)

    assert store.listens.get("sandbox", "100").state == "resolved"


def test_a_deletion_by_another_program_ends_the_wait(store, make_event, listen):
    listen(store)
    store.events.accept(make_event(name="transaction.deleted"))
    assert store.listens.get("sandbox", "100").state == "resolved"


def test_final_events_come_oldest_first(store, make_event):
    for name in ("transaction.declined", "transaction.updated", "transaction.approved"):
        store.events.accept(make_event(name=name))
    assert [event.status for event in store.listens.ending("sandbox", 100).events] == ["declined", "approved"]


def test_a_payment_callback_is_owed_once(store, make_event, claim):
    owed = make_event(name="local.payment", source="local", is_final=False)
    assert store.events.add_local(owed)
    assert not store.events.add_local(owed)
    assert len(claim(store, kinds=["payment"])) == 1


def test_the_body_comes_back_byte_for_byte(store, make_event, claim):
    body = bytes(range(256))
    store.events.accept(make_event(body=body))
    assert claim(store)[0].body == body
