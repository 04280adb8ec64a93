"""Events that are taken together leave what they would have left one by one."""

import threading
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.store_machine import HeldClock

from fedapay_sync.errors import StoreError
from fedapay_sync.store import Store
from fedapay_sync.store.repositories.ingestion import accept_all
from fedapay_sync.store.repositories.rows import MAX_ROWS

EVENTS = """
SELECT e.dedup_key, e.event_key, environment, account, name, object, entity_id, status, is_final, late, suspect,
       repeats, source, body, received_at, work_state
FROM fp_event e ORDER BY source = 'local', id
"""
LISTENS = """
SELECT l.environment, transaction_id, state, e.dedup_key, closed_at, owner, owed
FROM fp_listen l LEFT JOIN fp_event e ON e.id = l.event_id ORDER BY l.id
"""

told = st.tuples(
    st.integers(1, 4),
    st.sampled_from(["approved", "declined", "deleted", "transferred", "updated"]),
    st.integers(1, 2),
    st.sampled_from([None, 1000, 1001]),
    st.sampled_from(["sandbox", "sandbox", "live"]),
    st.booleans(),
)
CLOCK = HeldClock()
#: What was there before: the state of each transaction's listen, whether it was restored, what was asked for.
found = st.lists(
    st.tuples(
        st.sampled_from([None, "pending", "closing", "unknown", "timed_out", "cancelled", "resolved"]),
        st.booleans(),
        st.sampled_from([None, 1000]),
    ),
    min_size=4,
    max_size=4,
)


@pytest.fixture
def new_store(request, db_url):
    """Stores on databases of their own, whose clock stands still."""
    made = []

    def new():
        if db_url.startswith("sqlite"):
            url = db_url.replace(".db", f"{len(made)}.db")
        else:
            url = request.getfixturevalue("postgres_server").schema_url(f"t{uuid.uuid4().hex}")
        made.append(Store(url, CLOCK))
        return made[-1]

    yield new
    for store in made:
        store.close()


def empty(store):
    for table in ("fp_event", "fp_listen", "fp_payment"):
        store.write(lambda database, table=table: database.execute_sql(f"DELETE FROM {table}"))


def rows(store, query):
    def read(database):
        return [
            tuple(bytes(each) if isinstance(each, memoryview) else each for each in row)
            for row in database.execute_sql(query).fetchall()
        ]

    return store.read(read)


@pytest.fixture
def prepare(clock):
    """The same past for each of the stores."""

    def prepare(store, past, listen):
        empty(store)
        for number, (state, restored, asked) in enumerate(past, 1):
            if asked is not None:
                store.payments.add_intent("sandbox", "shop", f"CMD-{number}", amount=asked, currency="XOF")
                store.payments.transition(
                    "sandbox", "shop", f"CMD-{number}", "created", transaction_id=number, currency_id=1
                )
            if state is not None:
                listen(store, str(number))
                changes = f"state = '{state}', owed = {int(restored)}, created_at = {number}, owner = 'A'"
                where = f"transaction_id = '{number}'"
                store.write(
                    lambda database, changes=changes, where=where: database.execute_sql(
                        f"UPDATE fp_listen SET {changes} WHERE {where}"
                    )
                )

    return prepare


def test_together_is_as_one_by_one(new_store, prepare, listen, make_event):
    """
    The same answers and the same rows, whatever was there before and whatever one event changes for the next.
    """
    alone, together = new_store(), new_store()

    def event(at, entity, status, stamp, amount, environment, moved):
        key = f"{environment}:{entity}:{status}:{stamp if status in ('declined', 'updated') else ''}"
        return make_event(
            str(entity), f"transaction.{status}", f"new-{key}" if moved else key, environment=environment,
            amount=amount, currency_id=1, received_at=float(at), body=key.encode(),
            is_final=status != "updated", is_paid=status in ("approved", "transferred"),
            also_known_as=(make_event(key=key).dedup_key,) if moved else (),
        )  # fmt: skip

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(past=found, before=st.lists(told, max_size=3), news=st.lists(told, min_size=1, max_size=12))
    def check(past, before, news):
        for store in (alone, together):
            prepare(store, past, listen)
            for at, facts in enumerate(before):
                store.events.accept(event(at, *facts))
        events = [event(10 + at, *facts) for at, facts in enumerate(news)]

        one_by_one = [alone.events.accept(each) for each in events]

        assert together.write(lambda database: accept_all(database, events, CLOCK.now())) == one_by_one
        assert rows(together, EVENTS) == rows(alone, EVENTS)
        assert rows(together, LISTENS) == rows(alone, LISTENS)

    check()


@pytest.fixture
def accept_at_once(store, eventually):
    """What becomes of each of some events that are handed in while the writer is busy: an answer or an error."""

    def accept_at_once(events):
        reached, release, ends = threading.Event(), threading.Event(), {}

        def hold(database):
            reached.set()
            assert release.wait(10)

        def accept(place, event):
            try:
                ends[place] = store.events.accept(event)
            except StoreError as error:
                ends[place] = error

        store.open()
        store.write_soon(hold)
        assert reached.wait(10)
        threads = [threading.Thread(target=accept, args=each) for each in enumerate(events)]
        for number, thread in enumerate(threads, 1):
            thread.start()
            # In this order.
            eventually(lambda number=number: len(store._connections().writer._jobs) == number)
        release.set()
        for thread in threads:
            thread.join(20)
        return [ends[place] for place in range(len(events))]

    return accept_at_once


def test_one_bad_event_costs_its_neighbours_nothing(store, make_event, accept_at_once):
    """
    Taken together with it, they are stored; it alone is refused.
    """
    events = [make_event(str(number)) for number in range(5)]
    events[2] = make_event("2", work_state="maybe")

    ends = accept_at_once(events)

    assert [isinstance(end, StoreError) for end in ends] == [False, False, True, False, False]
    assert len(rows(store, EVENTS)) == 4


def test_the_same_event_twice_at_once_is_new_once(make_event, accept_at_once):
    """
    Delivered over two connections in the same instant.
    """
    event = make_event()
    assert [end.new for end in accept_at_once([event, event, make_event("200"), event])] == [True, False, True, False]


def test_of_two_that_say_paid_at_once_the_second_repeats(store, make_event, claim, accept_at_once):
    """
    Otherwise the goods would be delivered twice.
    """
    accept_at_once([make_event(), make_event(name="transaction.transferred", is_final=True, is_paid=True)])
    assert [(work.name, work.repeats) for work in claim(store)] == [
        ("transaction.approved", False),
        ("transaction.transferred", True),
    ]


def test_more_than_fit_into_one_statement_are_all_stored(store, make_event, listen):
    """
    With the end of the wait for each of them.
    """
    events = [make_event(str(number)) for number in range(3 * MAX_ROWS + 1)]
    for event in events:
        listen(store, event.entity_id, owner=None)

    answers = store.write(lambda database: accept_all(database, events, store.clock.now()))

    assert all(answer.new for answer in answers)
    assert [row[2] for row in rows(store, LISTENS)] == ["resolved"] * len(events)
    assert len(rows(store, EVENTS)) == 2 * len(events)
