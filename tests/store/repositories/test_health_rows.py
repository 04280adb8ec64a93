"""
What a health check reads of the database, on both databases.
"""

import logging
import re
from datetime import datetime, timezone

import pytest
from support.claims import wanted

from fedapay_sync.store import PAYMENT_NAME, RESTORED_NAME
from fedapay_sync.store.states import EventKind, WorkState
from fedapay_sync.store.tables import SCHEMA_VERSION, LeaseRow


@pytest.fixture
def read(store):
    return lambda **changes: store.health.read(**{"environment": "sandbox", "accounts": ["shop"], **changes})


@pytest.fixture
def local(make_event):
    """An event of our own, owed to a callback that is no webhook's."""
    return lambda name, **changes: make_event(name=name, source="local", object="payment", **changes)


def lease(store, name, run_after):
    store.write(lambda database: LeaseRow.insert(name=name, run_after=run_after).execute(database))


def test_a_new_database_has_nothing_to_tell(read):
    found = read()

    assert (found.owed, found.gone) == ({}, ())
    assert (found.schema, found.workers, found.parked, found.followed) == (SCHEMA_VERSION, 0, 0, 0)
    assert found.last_webhook_at is None


def test_owed_work_is_counted_by_callback_and_aged_by_its_oldest(store, read, clock, make_event, local, claim):
    """
    What runs is owed, too; what is done is not.
    """
    now = clock.now()
    for age in (10, 400):
        store.events.accept(make_event(received_at=now - age))
    store.events.accept(make_event(source="status", received_at=now - 20))
    store.events.add_local(local(PAYMENT_NAME, received_at=now - 30))
    store.events.add_local(local(RESTORED_NAME, received_at=now + 60))
    for work in claim(store, limit=2):
        assert work.id in (1, 2)
    store.callbacks.mark_done(claim(store, owner="B", limit=1)[0], "B")

    found = read().owed

    assert {name: owed.count for name, owed in found.items()} == {"webhook": 2, "payment": 1, "restored": 1}
    assert found["webhook"].oldest == pytest.approx(400, abs=60)
    assert found["payment"].oldest == pytest.approx(30, abs=60)
    # Ahead of us it was written before the clock was set back.
    assert found["restored"].oldest == 0
    clock.advance(1000)
    assert read().owed["payment"].oldest == pytest.approx(1030, abs=60)


def test_another_program_on_the_same_database_is_not_counted(store, read, make_event, local):
    """
    Neither another account nor the other environment.
    """
    for changes in ({"account": "other"}, {"environment": "live"}):
        store.events.accept(make_event(**changes))
        store.events.add_local(local(PAYMENT_NAME, **changes))
        store.events.accept(make_event(work_state=WorkState.dead, **changes))

    found = read()

    assert not any(owed.count for owed in found.owed.values())
    assert (found.parked, found.last_webhook_at) == (0, None)
    both = read(accounts=["shop", "other"])
    assert (both.owed["webhook"].count, both.parked) == (1, 1)


def test_parked_events_are_those_that_parked_shows(store, read, make_event):
    """
    What could not be read belongs to each account.
    """
    store.events.accept(make_event(work_state=WorkState.dead))
    store.events.accept(make_event(work_state=WorkState.dead, account="gone", kind=EventKind.unreadable))
    store.events.accept(make_event(work_state=WorkState.dead, account="gone"))

    assert read().parked == len(store.callbacks.parked("sandbox", ["shop"])) == 2


def test_a_worker_lives_until_its_lease_is_over(store, read, clock):
    now = clock.now()
    for owner, accounts, seconds in (("a", ["shop", "other"], 60), ("b", ["shop"], 120), ("gone", ["shop"], -60)):
        store.workers.beat(owner, "sandbox", accounts, seconds)
    store.workers.beat("another shop's", "sandbox", ["another"], 3600)
    store.workers.beat("a", "live", ["shop"], 3600)
    lease(store, "events:sandbox", now + 3600)

    assert read().workers == read(accounts=["shop", "other"]).workers == 2
    clock.advance(90)
    assert read().workers == 1
    store.workers.end("b", "sandbox", ["shop"])
    assert read().workers == 0


def test_payments_that_are_polled_are_counted_once(store, read, listen, clock):
    """
    A payment of ours, a wait of another's payment that timed out, and of ours not a second time.
    """
    for reference, number in (("CMD-1", 1), ("CMD-2", 2)):
        store.payments.add_intent("sandbox", "shop", reference, amount=500, currency="XOF")
        store.payments.transition("sandbox", "shop", reference, "created", transaction_id=str(number))
    for number in ("2", "3", "4"):
        listen(store, number)
    for number in ("2", "3"):
        store.listens.end("sandbox", number, "timed_out")

    assert read().followed == 3
    clock.advance(49 * 3600)
    assert read().followed == 2


def test_the_last_webhook_is_the_newest_that_was_signed(store, read, make_event):
    """
    What a status reading or a list told came otherwise.
    """
    for source, at in (("webhook", 1000), ("webhook", 2000), ("status", 3000), ("events", 4000)):
        store.events.accept(make_event(source=source, received_at=at))

    assert read().last_webhook_at == datetime.fromtimestamp(2000, timezone.utc)


def explained(store, statement):
    """How the database would execute that statement, where it prefers indexes."""

    def explain(database):
        if store.path is not None:
            query = f"EXPLAIN QUERY PLAN {statement}"
            return [row[-1] for row in database.execute_sql(query, [0] * statement.count("?")).fetchall()]
        database.execute_sql("SET LOCAL enable_seqscan = off")
        given = re.sub(r"> %s", "> 1", statement).replace("%s", "'shop'")
        return [row[0] for row in database.execute_sql(f"EXPLAIN {given}").fetchall()]

    return store.read(explain)


def test_a_few_statements_read_it_all_by_their_indexes(store, read, caplog):
    """
    On a table of many events: what is owed, parked and polled by partial indexes, the last webhook from the end.
    """
    wanted(store)
    with caplog.at_level(logging.DEBUG, "peewee"):
        read()
    statements = [text for text in caplog.messages if "SELECT" in text and "FROM fp_event" in text]
    assert len(statements) == 3
    lines = [line for statement in statements for line in explained(store, statement)]

    plan = "\n".join(lines)
    assert "AUTOMATIC" not in plan, plan
    for index in ("fp_event_todo", "fp_event_parked", "fp_payment_due", "fp_listen_"):
        assert index in plan, plan
    if store.path is not None:
        # Without an index SQLite goes along the ids, backwards for the last webhook.
        bare = re.findall(r"SCAN (?:TABLE )?(fp_(?:event|payment|listen))\b(?!.* USING )", plan)
        assert bare == ["fp_event"], plan
    else:
        assert re.findall(r"Seq Scan on (fp_(?:event|payment|listen))", plan) == [], plan
        assert "Index Scan Backward using fp_event_pkey" in plan, plan
