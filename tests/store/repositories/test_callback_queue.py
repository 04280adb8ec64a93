"""What the verbs of events promise."""

import pytest

from fedapay_sync.errors import StoreError


def rows(store, table="fp_event", where="1 = 1"):
    return store.read(
        lambda database: database.execute_sql(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0]
    )


def test_an_event_is_accepted_once_whoever_brings_it(store, second, make_event):
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
    Whoever deletes at the deadline says how it ended.
    """
    listen(store, timeout=5)
    clock.advance(6)
    store.listens.begin_closing("sandbox", "100", 30)

    assert store.events.accept(make_event(name="transaction.deleted")).new
    assert store.listens.get("sandbox", "100").state == "closing"
    assert store.listens.end("sandbox", "100", "timed_out")


@pytest.mark.faults(row=3)
def test_the_news_of_a_deletion_whose_author_died_ends_the_wait_when_told_again(store, make_event, listen, clock):
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


def test_a_deletion_by_somebody_else_ends_the_wait(store, make_event, listen):
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
    assert len(claim(store, kinds=["local.payment"])) == 1


# -- claiming -----------------------------------------------------------------------------------------------------


def test_work_is_claimed_by_one_of_two(store, second, make_event, claim):
    """
    Two stores on one file: together they get each once.
    """
    for _ in range(6):
        store.events.accept(make_event())

    taken = claim(store, "A", limit=4) + claim(second, "B", limit=4) + claim(store, "A", limit=4)

    assert sorted(work.id for work in taken) == [1, 2, 3, 4, 5, 6]
    assert {work.attempts for work in taken} == {1}


def test_work_comes_oldest_first(store, make_event, claim):
    for number in range(3):
        store.events.accept(make_event(str(number)))
    assert [work.entity_id for work in claim(store, limit=2)] == ["0", "1"]


def test_work_is_free_again_when_its_lease_ends(store, second, make_event, claim, clock):
    """
    Not before; and then with the next attempt number.
    """
    store.events.accept(make_event())
    claim(store, "A", lease=60)
    clock.advance(59)
    assert claim(second, "B") == []
    clock.advance(2)
    assert [work.attempts for work in claim(second, "B")] == [2]


def test_a_loser_of_the_lease_must_not_touch_the_winners_row(store, second, make_event, claim, clock):
    """
    Neither finish it, nor give it back, nor prolong it.
    """
    store.events.accept(make_event())
    (lost,) = claim(store, "A")
    clock.advance(61)
    (won,) = claim(second, "B")

    assert not store.callbacks.mark_done(lost, "A")
    assert not store.callbacks.retry_or_park(lost, "A", error="x", again_in=0)
    assert not store.callbacks.extend_lease(lost, "A", 60)
    assert second.callbacks.mark_done(won, "B")


def test_the_fence_holds_between_two_attempts_of_one_owner(store, make_event, claim, clock):
    """
    The name alone does not tell them apart; the attempt does.
    """
    store.events.accept(make_event())
    (first,) = claim(store, "A")
    clock.advance(61)
    (again,) = claim(store, "A")

    assert not store.callbacks.mark_done(first, "A")
    assert store.callbacks.mark_done(again, "A")
    assert not store.callbacks.mark_done(again, "A")


def test_a_kept_lease_does_not_end(store, second, make_event, claim, clock):
    store.events.accept(make_event())
    (work,) = claim(store, "A")
    for _ in range(3):
        clock.advance(40)
        assert store.callbacks.extend_lease(work, "A", 60)
    assert claim(second, "B") == []
    assert store.callbacks.mark_done(work, "A")


def test_work_given_back_comes_again_after_its_pause(store, make_event, claim, clock):
    store.events.accept(make_event())
    (work,) = claim(store)
    assert store.callbacks.retry_or_park(work, "A", error="boom", again_in=30)
    assert claim(store) == []
    clock.advance(31)
    assert [again.attempts for again in claim(store)] == [2]


def test_parked_work_never_comes_again(store, make_event, claim, clock):
    store.events.accept(make_event())
    (work,) = claim(store)
    store.callbacks.retry_or_park(work, "A", error="x" * 2000, again_in=None)
    clock.advance(1e7)
    assert claim(store) == []
    assert rows(store, where="work_state = 'dead' AND length(last_error) = 500") == 1


@pytest.mark.parametrize("error", ["zero \0 character", "half a pair \ud800", "é" * 2000])
def test_whatever_a_callback_complains_of_can_be_stored(store, make_event, claim, clock, error):
    """
    Otherwise its failure would not be written down, and it would run again and again without a pause.
    """
    store.events.accept(make_event())
    (work,) = claim(store)
    assert store.callbacks.retry_or_park(work, "A", error=error, again_in=0)
    assert [again.attempts for again in claim(store)] == [2]


def test_finished_work_never_comes_again(store, make_event, claim, clock):
    store.events.accept(make_event())
    (work,) = claim(store)
    assert store.callbacks.mark_done(work, "A")
    clock.advance(1e7)
    assert claim(store) == []


def test_what_was_set_aside_is_no_work(store, make_event, claim):
    store.events.accept(make_event(work_state="dead"))
    assert claim(store) == []


def test_busy_work_is_not_given_again_whatever_the_clock_says(store, make_event, claim, clock):
    """
    A jump of the clock must not make a process run its own work twice.
    """
    store.events.accept(make_event())
    (work,) = claim(store)
    clock.advance(3600)
    assert claim(store, busy=[work.id]) == []


def test_kinds_environments_and_accounts_are_kept_apart(store, make_event, claim):
    """
    A script that shares the database must not eat the shop's events.
    """
    store.events.accept(make_event("shop"))
    store.events.accept(make_event("live", environment="live"))
    store.events.accept(make_event("other", account="other"))
    store.events.accept(make_event("paid", name="local.payment", source="local", is_final=False))

    def got(**wanted):
        works = claim(store, **wanted)
        for work in works:
            store.callbacks.retry_or_park(work, "A", error="", again_in=0)
        return sorted(work.entity_id for work in works)

    assert got(kinds=[]) == []
    assert got(accounts=[]) == []
    assert got() == ["shop"]
    assert got(kinds=["local.payment"]) == ["paid"]
    assert got(kinds=["webhook", "local.payment"]) == ["paid", "shop"]
    assert got(kinds=["local.restored"]) == []
    assert got(environment="live") == ["live"]
    assert got(accounts=["shop", "other"]) == ["other", "shop"]


def test_work_is_owed_while_it_is_due_or_runs(store, make_event, claim, clock):
    """
    Not before its hour, not once it is done, and not to whoever has no callback of its kind.
    """

    def owed(kinds=("webhook",), accounts=("shop",), environment="sandbox"):
        return store.callbacks.is_owed(environment=environment, accounts=accounts, kinds=kinds)

    assert not owed()
    store.events.accept(make_event())
    assert owed()
    assert not owed(kinds=())
    assert not owed(kinds=("local.payment",))
    assert not owed(accounts=("other",))
    assert not owed(environment="live")
    (work,) = claim(store)
    assert owed()
    store.callbacks.retry_or_park(work, "A", error="boom", again_in=30)
    assert not owed()
    clock.advance(31)
    assert owed()
    (work,) = claim(store)
    store.callbacks.mark_done(work, "A")
    assert not owed()


def test_the_body_comes_back_byte_for_byte(store, make_event, claim):
    body = bytes(range(256))
    store.events.accept(make_event(body=body))
    assert claim(store)[0].body == body
