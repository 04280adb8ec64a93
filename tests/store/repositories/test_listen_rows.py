"""Listens are rows that all processes share: opened, ended once, decided and restored by one."""

import threading
from pathlib import Path

import pytest
from support.stored_listens import open_listens

from fedapay_sync.store.owner import new_owner, retire

#: A process in another container, or on another machine: from here it cannot be told whether it lives.
ELSEWHERE = "elsewhere:0123456789abcdef:7:7:1"


def test_a_listen_is_remembered_by_all(store, second, listen):
    opened = listen(store, 100)
    assert opened.state == "pending"
    assert second.listens.get("sandbox", "100") == opened
    assert second.listens.get("live", "100") is None
    assert [each.transaction_id for each in open_listens(second)] == ["100"]


def test_a_second_wait_prolongs(store, second, listen):
    """
    And what is to happen at the deadline is what the later one asked for.
    """
    first = listen(store, timeout=60)
    longer = listen(second, timeout=600, delete_at_deadline=True, owner="B")
    assert longer.deadline > first.deadline + 500
    assert longer.delete_at_deadline


def test_a_second_wait_never_shortens(store, second, listen):
    first = listen(store, timeout=600)
    shorter = listen(second, timeout=5, delete_at_deadline=True, owner="B")
    assert shorter == first


def test_a_transaction_whose_end_is_known_is_resolved_at_once(store, make_event, listen):
    """
    A webhook that comes before the wait is not lost.
    """
    store.events.accept(make_event())
    assert listen(store).state == "resolved"
    assert listen(store).state == "resolved"


@pytest.mark.parametrize("state", ["timed_out", "cancelled"])
def test_a_wait_after_the_end_of_another_begins_anew(store, listen, clock, state):
    listen(store, timeout=60)
    store.listens.end("sandbox", "100", state)
    clock.advance(100)

    again = listen(store, timeout=60)

    assert again.state == "pending"
    assert again.deadline > clock.now() + 50


@pytest.mark.parametrize("state", ["timed_out", "cancelled"])
def test_a_wait_after_a_late_payment_is_resolved_at_once(store, make_event, listen, state):
    """
    The wait had ended, then the money came, then a caller asks again.
    """
    listen(store)
    store.listens.end("sandbox", "100", state)
    store.events.accept(make_event())
    assert listen(store).state == "resolved"


def test_what_is_known_of_an_end(store, second, make_event, listen):
    """
    Nothing, a wait, a wait with its events, or events that no process waited for; the same from every process.
    """
    assert second.listens.ending("sandbox", "100") == (None, [])
    opened = listen(store)
    assert second.listens.ending("sandbox", "100") == (opened, [])
    store.events.accept(make_event())
    store.events.accept(make_event(entity_id="101"))

    wait, events = second.listens.ending("sandbox", 100)
    assert wait.state == "resolved" and [event.status for event in events] == ["approved"]
    wait, events = second.listens.ending("sandbox", 101)
    assert wait is None and [event.status for event in events] == ["approved"]
    assert second.listens.ending("live", "100") == (None, [])


def test_a_resolved_listen_is_never_seen_without_its_event(store, second, make_event, listen):
    """
    A process that reads while a webhook is stored would take the payment for a cancelled wait.
    """
    numbers = [str(number) for number in range(100, 140)]
    for number in numbers:
        listen(store, number)
    storing = threading.Thread(target=lambda: [store.events.accept(make_event(entity_id=number)) for number in numbers])
    storing.start()
    goes_on = True
    while goes_on:
        goes_on = storing.is_alive()
        for number in numbers:
            wait, events = second.listens.ending("sandbox", number)
            assert len(events) == (0 if wait.is_open else 1)
    assert not any(second.listens.ending("sandbox", number).listen.is_open for number in numbers)


def test_a_resolved_listen_leaves_resolved_never(store, make_event, listen, clock):
    listen(store)
    store.events.accept(make_event())
    clock.advance(700)
    assert store.listens.begin_closing("sandbox", "100", 30) is None
    for state in ("timed_out", "cancelled", "unknown"):
        assert not store.listens.end("sandbox", "100", state)
    store.events.accept(make_event(name="transaction.declined"))
    assert store.listens.get("sandbox", "100").state == "resolved"


# -- the deadline -------------------------------------------------------------------------------------------------


def test_no_process_decides_before_the_deadline(store, listen, clock):
    listen(store, timeout=60)
    clock.advance(59)
    assert store.listens.begin_closing("sandbox", "100", 30) is None
    clock.advance(2)
    assert store.listens.begin_closing("sandbox", "100", 30).state == "closing"


def test_one_decides_and_after_its_lease_another(store, second, listen, clock):
    listen(store, timeout=5)
    clock.advance(6)
    assert store.listens.begin_closing("sandbox", "100", 30)
    assert second.listens.begin_closing("sandbox", "100", 30) is None
    clock.advance(31)
    assert second.listens.begin_closing("sandbox", "100", 30)
    assert store.listens.begin_closing("sandbox", "100", 30) is None


def test_a_living_owner_does_not_prolong_the_decision_of_a_dead_one(store, second, listen, clock):
    """
    The owner's heartbeat says that it lives; the process that took the decision may be another, and dead.
    """
    listen(store, timeout=5, owner="A")
    clock.advance(6)
    assert second.listens.begin_closing("sandbox", "100", 30)
    clock.advance(20)
    store.listens.extend_leases("A", 60, ())
    clock.advance(20)
    assert store.listens.begin_closing("sandbox", "100", 30)


def test_an_undecided_listen_is_watched_and_can_be_decided_again(store, listen, clock):
    listen(store, timeout=5)
    clock.advance(6)
    store.listens.begin_closing("sandbox", "100", 30)
    assert store.listens.end("sandbox", "100", "unknown")
    assert store.listens.ended("sandbox", ["100"]) == ["100"]
    assert store.listens.get("sandbox", "100").is_open
    assert store.listens.begin_closing("sandbox", "100", 30)


def test_an_end_is_told_once(store, second, listen):
    listen(store)
    assert store.listens.end("sandbox", "100", "cancelled")
    assert not second.listens.end("sandbox", "100", "timed_out")
    assert not store.listens.end("sandbox", "101", "cancelled")
    assert store.listens.get("sandbox", "100").state == "cancelled"


def test_ended_looks_at_any_number_of_keys(store, make_event, listen):
    """
    More than a statement may have parameters.
    """
    listen(store, 1)
    listen(store, 2500)
    store.listens.end("sandbox", 2500, "cancelled")
    assert store.listens.ended("sandbox", [str(number) for number in range(3000)]) == ["2500"]
    assert store.listens.ended("sandbox", []) == []


# -- restoring ----------------------------------------------------------------------------------------------------


@pytest.fixture
def adopt():
    def adopt(store, owner="B", dead=(), keys=("shop",)):
        taken = store.listens.acquire_abandoned(
            "sandbox", owner, 60, is_dead=lambda token: token in dead, can_watch=lambda account: account in keys
        )
        return [each.transaction_id for each in taken]

    return adopt


def test_only_what_no_process_watches_is_acquired(store, second, listen, adopt, clock):
    listen(store)
    assert adopt(store, "A") == []
    assert adopt(second) == []
    clock.advance(50)
    store.listens.extend_leases("A", 60, ())
    store.open()
    clock.advance(50)
    assert adopt(second) == []


def test_the_listens_of_the_dead_are_acquired_at_once_by_one(store, second, listen, adopt):
    for number in range(5):
        listen(store, number)
    assert len(adopt(store, "B", dead=["A"])) == 5
    assert adopt(second, "C", dead=["A"]) == []


def test_the_listens_of_a_lease_that_ended_are_acquired(store, second, listen, adopt, clock):
    listen(store)
    clock.advance(61)
    assert adopt(second) == ["100"]


def test_released_listens_are_acquired(store, second, listen, adopt):
    listen(store)
    store.listens.release("A", ())
    assert adopt(second) == ["100"]


def test_a_listen_whose_key_we_do_not_have_is_left_alone(store, listen, adopt, clock):
    listen(store, account="other")
    clock.advance(61)
    assert adopt(store) == []
    assert adopt(store, keys=["other"]) == ["100"]


def test_an_ended_listen_is_not_acquired(store, make_event, listen, adopt):
    listen(store)
    store.events.accept(make_event())
    assert adopt(store, dead=["A"]) == []


def end_by_event(store, make_event):
    store.events.accept(make_event())


def end_by_cancel(store, make_event):
    store.listens.end("sandbox", "100", "cancelled")


@pytest.mark.parametrize("end", [end_by_event, end_by_cancel])
def test_the_end_of_an_acquired_listen_is_owed_exactly_once(store, second, listen, adopt, make_event, claim, end):
    """
    In the transaction that ends it, however often it was adopted and told.
    """
    listen(store)
    adopt(store, "B", dead=["A"])
    adopt(second, "C", dead=["B"])

    end(store, make_event)
    end(second, make_event)

    works = claim(store, kinds=["restored"])
    assert [(work.name, work.entity_id) for work in works] == [("local.restored", "100")]


def test_the_end_of_a_listen_that_was_not_acquired_is_not_owed(store, listen, make_event, claim):
    listen(store)
    store.events.accept(make_event())
    assert claim(store, kinds=["restored"]) == []


def test_an_unfinished_deletion_ends_with_the_next_wait(store, listen, adopt, make_event, claim, clock):
    """
    The final event is known though the listen is open: the new wait ends it, and what is owed is owed.
    """
    listen(store, timeout=5)
    adopt(store, "B", dead=["A"])
    clock.advance(6)
    store.listens.begin_closing("sandbox", "100", 30)
    store.events.accept(make_event(name="transaction.deleted"))

    assert listen(store, owner="B").state == "resolved"
    assert len(claim(store, kinds=["restored"])) == 1


# -- many at once -------------------------------------------------------------------------------------------------


@pytest.fixture
def open_many():
    def open_many(store, ids, **changes):
        facts = {"timeout": 600.0, "delete_at_deadline": False, "owner": "A", "lease": 60.0}
        return store.listens.open_many("sandbox", {str(each): "shop" for each in ids}, **{**facts, **changes})

    return open_many


def test_many_are_opened_as_one_would_be(store, second, listen, open_many, make_event, clock):
    """
    New, ended already, waited for by others longer and less long, timed out: each among the others.
    """
    store.events.accept(make_event("2"))
    store.events.accept(make_event("2", name="transaction.declined"))
    listen(second, "3", timeout=6000, owner="B")
    listen(second, "4", timeout=6, owner="B")
    listen(second, "5")
    store.listens.end("sandbox", "5", "timed_out")
    listen(second, "6")
    store.listens.end("sandbox", "6", "timed_out")
    store.events.accept(make_event("6"))
    ids = ["1", "2", "3", "4", "5", "6", *range(100, 1100)]

    opened = open_many(store, ids, delete_at_deadline=True)

    assert set(opened) == set(map(str, ids))
    assert [opened[each].state for each in "123456"] == [
        "pending", "resolved", "pending", "pending", "pending", "resolved"
    ]  # fmt: skip
    assert opened["3"].timeout == 6000 and not opened["3"].delete_at_deadline
    assert opened["4"].timeout == 600 and opened["4"].delete_at_deadline
    assert opened == {each: second.listens.get("sandbox", each) for each in opened}
    assert sorted(second.listens.ended("sandbox", ["1", "2", "3", "4", "5", "6"])) == ["2", "6"]


def test_a_second_time_changes_what_one_would_change(store, open_many, clock):
    """
    The same thousand, a little later, for longer.
    """
    first = open_many(store, range(1000))
    clock.advance(30)
    again = open_many(store, range(1000), timeout=6000)
    assert all(again[each].deadline > first[each].deadline + 5000 for each in first)
    assert len(open_listens(store)) == 1000


def test_all_are_cancelled_in_one_commit(store, second, listen, open_many, adopt, make_event, claim):
    """
    What has ended stays as it ended, and the end of an adopted one is owed.
    """
    listen(store, "1")
    adopt(store, "B", dead=["A"])
    listen(store, "2")
    store.events.accept(make_event("2"))
    open_many(store, range(100, 1100))

    ended = second.listens.cancel_all("sandbox")

    assert ended == ["1", *(str(each) for each in range(100, 1100))]
    assert open_listens(store) == [] and second.listens.cancel_all("sandbox") == []
    assert store.listens.get("sandbox", "2").state == "resolved"
    assert [work.entity_id for work in claim(store, kinds=["restored"])] == ["1"]


def test_an_end_that_was_known_closes_with_what_is_owed(store, second, open_many, adopt, make_event, claim, clock):
    """
    The listen of a dead process, in the midst of its deletion, among many new ones.
    """
    open_many(store, [1], timeout=5)
    adopt(store, "B", dead=["A"])
    clock.advance(6)
    store.listens.begin_closing("sandbox", "1", 30)
    store.events.accept(make_event("1", name="transaction.deleted"))

    assert open_many(second, range(1, 400), owner="B")["1"].state == "resolved"
    assert len(claim(store, kinds=["restored"])) == 1


def test_what_ended_lately_is_found_and_what_ended_long_ago_is_not(store, second, listen, clock):
    """
    Nor what a clock, set back since, has stamped with a time to come.
    """
    for number in ("1", "2", "3"):
        listen(store, number)
    clock.advance(3600)
    store.listens.end("sandbox", "1", "cancelled")
    clock.advance(-3600)
    store.listens.end("sandbox", "2", "cancelled")
    assert second.listens.ended_lately("sandbox", 5) == ["2"]
    assert second.listens.ended_lately("live", 5) == []
    clock.advance(10)
    store.listens.end("sandbox", "3", "timed_out")
    assert second.listens.ended_lately("sandbox", 5) == ["3"]


def test_many_are_acquired_by_one(store, second, open_many, adopt):
    open_many(store, range(1000))
    assert len(adopt(second, "B", dead=["A"])) == 1000
    assert adopt(store, "C", dead=["A"]) == []
    assert adopt(second, "B") == []


@pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="the system does not tell who lives")
def test_a_clock_that_jumps_takes_nothing_from_a_living_process(store, second, listen, adopt, clock):
    """
    Its leases have ended by the wall clock, and it watches all the same; one that joins does not become its owner.
    """
    living = new_owner()
    listen(store, owner=living)
    clock.advance(3600)
    assert adopt(second) == []
    listen(second, owner="B", timeout=6000)
    retire(living)
    assert adopt(second, "C") == ["100"]


def test_what_is_given_up_is_not_watched_and_not_forgotten(store, second, listen, adopt, make_event, claim, clock):
    """
    Nothing is said of it; a payment that comes after all ends it, and is told.
    """
    listen(store, timeout=5)
    assert not store.listens.give_up("sandbox", "100")
    clock.advance(6)
    store.listens.begin_closing("sandbox", "100", 30)
    store.listens.end("sandbox", "100", "unknown")

    assert store.listens.give_up("sandbox", "100")
    assert open_listens(store) == [] and adopt(second, "B", dead=["A"]) == []
    assert store.listens.get("sandbox", "100").state == "unknown"
    assert store.retention.purge(0).listens == 0

    store.events.accept(make_event())
    assert store.listens.get("sandbox", "100").state == "resolved"
    assert len(claim(store, kinds=["restored"])) == 1


def test_a_wait_for_what_was_given_up_begins_anew(store, listen, adopt, clock):
    listen(store, timeout=5)
    clock.advance(6)
    store.listens.begin_closing("sandbox", "100", 30)
    store.listens.end("sandbox", "100", "unknown")
    store.listens.give_up("sandbox", "100")

    assert listen(store, owner="B").state == "pending"
    assert [each.transaction_id for each in open_listens(store)] == ["100"]
    assert store.listens.ended("sandbox", ["100"]) == [] and adopt(store, "C", dead=["B"]) == ["100"]


def test_what_was_given_up_long_ago_is_purged(store, listen, clock):
    listen(store, timeout=5)
    clock.advance(6)
    store.listens.begin_closing("sandbox", "100", 30)
    store.listens.end("sandbox", "100", "unknown")
    store.listens.give_up("sandbox", "100")
    clock.advance(4 * 86400)
    assert store.retention.purge(0).listens == 1


def test_the_end_of_a_listen_whose_lease_had_ended_is_owed(store, listen, make_event, claim, clock):
    """
    Its machine is gone, so that its process cannot be seen, and a webhook is quicker than the next restoration.
    """
    listen(store, owner=ELSEWHERE)
    clock.advance(61)
    store.events.accept(make_event(received_at=clock.now()))
    assert [work.entity_id for work in claim(store, kinds=["restored"])] == ["100"]


def test_the_end_of_a_listen_that_a_living_process_watches_is_not_owed(store, listen, make_event, claim, clock):
    """
    Not even after a jump of the clock, which ends the leases of the living, too.
    """
    owner = new_owner()
    listen(store, owner=owner)
    clock.advance(61)
    store.events.accept(make_event(received_at=clock.now()))
    retire(owner)
    assert claim(store, kinds=["restored"]) == []


RESTORED = ["restored"]


def test_an_end_before_the_lease_of_a_process_out_of_sight_is_over_is_owed_once_it_is(
    store, second, listen, make_event, claim, clock
):
    """
    Its container was restarted, and the webhook was quicker than the lease: it may live, and may be dead.
    """
    listen(store, owner=ELSEWHERE)
    clock.advance(10)
    store.events.accept(make_event(received_at=clock.now()))
    assert claim(store, kinds=RESTORED) == []

    clock.advance(51)

    taken = [*claim(store, "B", kinds=RESTORED), *claim(second, "C", kinds=RESTORED)]
    assert [work.entity_id for work in taken] == ["100"]


@pytest.mark.parametrize("end", [end_by_event, end_by_cancel])
def test_an_end_that_its_process_has_heard_of_is_owed_to_no_other(store, second, listen, make_event, claim, clock, end):
    listen(store, owner=ELSEWHERE)
    end(second, make_event)
    store.listens.extend_leases(ELSEWHERE, 60, ())
    store.open()
    clock.advance(1000)
    assert claim(second, kinds=RESTORED) == []


def test_ends_are_owed_in_the_order_in_which_they_came(store, listen, make_event, claim, clock):
    """
    Also where the first is left to its process for a while, and the second is not.
    """
    listen(store, 1, owner=ELSEWHERE)
    listen(store, 2, owner=ELSEWHERE)
    store.write(lambda database: database.execute_sql("UPDATE fp_listen SET owner = NULL WHERE transaction_id = '2'"))
    store.listens.cancel_all("sandbox")
    clock.advance(61)
    assert {work.entity_id for work in claim(store, kinds=RESTORED)} == {"1", "2"}
    query = "SELECT entity_id FROM fp_event WHERE object = 'listen' ORDER BY id"
    assert [row[0] for row in store.read(lambda database: database.execute_sql(query).fetchall())] == ["1", "2"]


def test_an_end_is_its_owners_while_that_renews_its_leases(store, second, listen, make_event, claim, clock):
    """
    Also where the lease was about to end, and where the decision at the deadline had a shorter one.
    """
    listen(store, timeout=50, owner=ELSEWHERE)
    clock.advance(59)
    second.events.accept(make_event(received_at=clock.now()))
    for _ in range(5):
        clock.advance(20)
        store.listens.extend_leases(ELSEWHERE, 60, {"100"})
        store.open()
        assert claim(second, kinds=RESTORED) == []
    clock.advance(61)
    assert len(claim(second, kinds=RESTORED)) == 1


def test_an_end_that_a_process_had_not_heard_of_when_it_closed_is_for_the_next(
    store, second, listen, make_event, claim, clock
):
    """
    At once: it has said that it waits no longer. What it had heard of stays its own.
    """
    for number in ("100", "200"):
        listen(store, number, owner=ELSEWHERE)
        second.events.accept(make_event(entity_id=number, dedup_key=number.zfill(64), received_at=clock.now()))
    store.listens.release(ELSEWHERE, {"200"})
    clock.advance(1000)
    assert [work.entity_id for work in claim(second, kinds=RESTORED)] == ["200"]


def test_a_process_does_not_tell_itself_as_restored_what_it_waits_for(store, second, listen, make_event, claim, clock):
    """
    Its clock jumped, and its callbacks are looked for before its heartbeat.
    """
    owner = new_owner()
    listen(store, owner=ELSEWHERE)
    second.events.accept(make_event(received_at=clock.now()))
    store.write(
        lambda database: database.execute_sql(f"UPDATE fp_event SET lease_owner = '{owner}' WHERE object = 'listen'")
    )
    clock.advance(1000)
    assert claim(store, owner, kinds=RESTORED) == []
    retire(owner)
    assert len(claim(store, owner, kinds=RESTORED)) == 1


def test_what_was_told_as_restored_is_not_marked_by_an_owner_that_comes_too_late(
    store, second, listen, make_event, claim, clock
):
    """
    It was frozen for longer than its lease: the callback that runs elsewhere is not taken from there.
    """
    listen(store, owner=ELSEWHERE)
    store.events.accept(make_event(received_at=clock.now()))
    clock.advance(61)
    (work,) = claim(second, "B", kinds=RESTORED)
    store.listens.extend_leases(ELSEWHERE, 60, ())
    store.open()
    assert second.callbacks.mark_done(work, "B")


def test_what_fedapay_did_not_tell_at_the_deadline_is_not_taken_from_its_owner(store, second, listen, adopt, clock):
    """
    The decision has a shorter lease of its own; the process that could not decide watches on, and lives.
    """
    listen(store, timeout=60, owner="A")
    clock.advance(60)
    store.listens.extend_leases("A", 60, ())
    store.listens.begin_closing("sandbox", "100", 30)
    clock.advance(27)
    store.listens.extend_leases("A", 60, ())
    store.listens.end("sandbox", "100", "unknown", only_from=("closing",), lease=30)
    clock.advance(10)
    assert adopt(second) == []
    clock.advance(61)
    assert adopt(second) == ["100"]
