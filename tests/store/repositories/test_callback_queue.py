"""Callbacks are taken under a lease by one process, retried, parked and replayed."""

import pytest
from support.claims import wanted

from fedapay_sync.store.repositories.work_rows import select_work


def rows(store, table="fp_event", where="1 = 1"):
    return store.read(
        lambda database: database.execute_sql(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0]
    )


def test_work_is_acquired_by_one_of_two(store, second, make_event, claim):
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


def test_an_extended_lease_does_not_end(store, second, make_event, claim, clock):
    store.events.accept(make_event())
    (work,) = claim(store, "A")
    for _ in range(3):
        clock.advance(40)
        assert store.callbacks.extend_lease(work, "A", 60)
    assert claim(second, "B") == []
    assert store.callbacks.mark_done(work, "A")


def test_work_that_failed_comes_again_after_its_pause(store, make_event, claim, clock):
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
    assert rows(store, "fp_call", "work_state = 'dead' AND length(last_error) = 500") == 1


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
    assert claim(store, busy=[work.key]) == []


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
    assert got(kinds=["payment"]) == ["paid"]
    assert got(kinds=["webhook", "payment"]) == ["paid", "shop"]
    assert got(kinds=["restored"]) == []
    assert got(environment="live") == ["live"]
    assert got(accounts=["shop", "other"]) == ["other", "shop"]


def test_work_is_owed_while_it_is_due_or_runs(store, make_event, claim, clock):
    """
    Not before its hour, not once it is done, and not for a process that has no callback of its kind.
    """

    def owed(kinds=("webhook",), accounts=("shop",), environment="sandbox"):
        return store.callbacks.is_owed(wanted(store, environment=environment, accounts=accounts, kinds=kinds))

    assert not owed()
    store.events.accept(make_event())
    assert owed()
    assert not owed(kinds=())
    assert not owed(kinds=("payment",))
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


def test_what_is_owed_to_several_callbacks_is_found_in_the_order_of_its_index(store):
    """
    Not sorted: a shop may owe tens of thousands of calls after a night without its program.
    """
    several = wanted(store, kinds=("webhook", "paid", "paid_unknown"))
    statements = []
    store.read(lambda database: select_work(Listening(database, statements), several, 1.0, 64))
    (text, values) = statements[0]

    def plan(database):
        if store.path is not None:
            return [row[-1] for row in database.execute_sql(f"EXPLAIN QUERY PLAN {text}", values).fetchall()]
        database.execute_sql("SET LOCAL enable_seqscan = off")
        database.execute_sql("SET LOCAL enable_bitmapscan = off")
        return [row[0] for row in database.execute_sql(f"EXPLAIN {text}", values).fetchall()]

    found = store.read(plan)
    assert sum("fp_call_todo" in each for each in found) == 3, found
    assert not any("Sort" in each or "TEMP B-TREE" in each for each in found), found


class Listening:
    """A database, and what it is asked to execute."""

    def __init__(self, database, statements):
        self.param = database.param
        self._database, self._statements = database, statements

    def execute_sql(self, text, values):
        self._statements.append((text, values))
        return self._database.execute_sql(text, values)
