"""How a callback ended, where the database refuses to store that: the one event is parked, and the others go on."""

import hashlib

import pytest
from support.callback_work import CONFIG
from support.claims import named, state

from fedapay_sync.errors import StoreError
from fedapay_sync.store import NewEvent, Store
from fedapay_sync.workflow.callbacks.worker import CONCURRENCY, CallbackWorker
from fedapay_sync.workflow.context import Context

#: What a database refuses, and refuses again: a rule of its own on the text of a failure, and on a callback done.
RULES = {
    "sqlite": (
        "CREATE TRIGGER no_{name} BEFORE UPDATE ON {table} WHEN {when} BEGIN SELECT RAISE(ABORT, 'refused here'); END"
    ),
    "postgres": (
        "CREATE FUNCTION no_{name}() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'refused here'; END $$ "
        "LANGUAGE plpgsql; CREATE TRIGGER no_{name} BEFORE UPDATE ON {table} FOR EACH ROW WHEN ({when}) "
        "EXECUTE FUNCTION no_{name}()"
    ),
}


@pytest.fixture(params=["sqlite", "postgres"])
def store(request, clock):
    store = Store(request.getfixturevalue(f"{request.param}_url"), clock)
    store.dialect = request.param
    yield store
    store.close()


@pytest.fixture
def work(store, clock):
    """Run owed callbacks with that handler until the test ends."""
    made = []

    def work(handler):
        callbacks = CallbackWorker(Context(CONFIG, store, clock, "A"))
        callbacks.set(named(handler))
        callbacks.notify()
        made.append(callbacks)
        return callbacks

    yield work
    for callbacks in made:
        callbacks.close(5)


def accept(store, *numbers):
    for number in numbers:
        key = f"key-{number}"
        store.events.accept(
            NewEvent(
                dedup_key=hashlib.sha256(key.encode()).hexdigest(), event_key=key, environment="sandbox",
                account="shop", name="transaction.approved", object="transaction", entity_id=str(number),
                status="approved", is_final=True, is_paid=True, source="webhook", body=b"{}", body_sha256="",
                received_at=1.0,
            )
        )  # fmt: skip


def refuse(store, name, table, when):
    rule = RULES[store.dialect].format(name=name, table=table, when=when)
    store.write(lambda database: database.execute_sql(rule))


def test_a_row_that_refuses_the_failure_of_its_callback_is_parked_and_the_others_go_on(store, work, eventually):
    """
    More of them than callbacks run at a time: each is called once, and parked under a text that can be stored.
    """
    calls = []

    def handler(event):
        calls.append(event.entity_id)
        if event.entity_id != "last":
            raise ValueError("boom")

    bad = [str(number) for number in range(CONCURRENCY + 1)]
    accept(store, *bad, "last")
    refuse(store, "boom", "fp_call", "NEW.last_error = 'ValueError: boom'")
    work(handler)
    eventually(lambda: state(store, "last")[0] == "done")

    for each in bad:
        eventually(lambda each=each: state(store, each)[0] == "dead")
        assert "refused to store" in state(store, each)[2]
    assert sorted(calls) == sorted([*bad, "last"])
    assert [parked.entity_id for parked in store.callbacks.parked()] == bad


def test_a_row_that_cannot_be_marked_as_done_is_parked_and_not_called_again(store, work, clock, eventually):
    calls = []
    accept(store, "odd", "plain")
    refuse(store, "done", "fp_event", "NEW.work_state = 'done' AND NEW.entity_id = 'odd'")
    callbacks = work(lambda event: calls.append(event.entity_id))
    eventually(lambda: state(store, "plain")[0] == "done")
    eventually(lambda: state(store, "odd")[0] == "dead")
    clock.advance(61)
    callbacks.notify()
    accept(store, "later")
    callbacks.notify()
    eventually(lambda: state(store, "later")[0] == "done")
    assert sorted(calls) == ["later", "odd", "plain"]


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    "failure", [Mute(), ValueError("zero \0"), ValueError("half \ud83d"), ValueError("œ€’" * 900)],
    ids=["text that raises", "zero", "half a pair", "long"],
)  # fmt: skip
def test_whatever_the_text_of_a_failure_is_it_is_stored_and_takes_no_place(store, work, eventually, failure):
    """
    Also of an exception that has none to give: its callback is tried again, and the others run beside it.
    """

    def handler(event):
        if event.entity_id != "last":
            raise failure

    bad = [str(number) for number in range(CONCURRENCY)]
    accept(store, *bad)
    work(handler)
    for each in bad:
        eventually(lambda each=each: state(store, each)[:2] == ("ready", 1))
        assert state(store, each)[2].startswith(f"{type(failure).__name__}: ")
    callbacks = work(handler)
    accept(store, "last")
    callbacks.notify()
    eventually(lambda: state(store, "last")[0] == "done")


def test_what_the_database_refuses_for_good_is_told_from_what_it_cannot_do_now(store):
    """
    A value out of bounds, a constraint, half a character: each alone; a table that another holds is not refused.
    """
    store.open()
    event = "UPDATE fp_event SET work_state = 'nonsense'"
    for statement, parameters, permanent in [
        ("INSERT INTO fp_meta (schema_version) VALUES (NULL)", (), True),
        ("SELECT " + ("%s" if store.dialect == "postgres" else "?"), ("\ud800",), True),
        ("SELECT * FROM fp_nowhere", (), False),
    ]:
        with pytest.raises(StoreError) as refused:
            store.write(lambda database, each=(statement, parameters): database.execute_sql(*each))
        assert refused.value.permanent is permanent, statement
    accept(store, "1")
    with pytest.raises(StoreError) as refused:
        store.write(lambda database: database.execute_sql(event))
    assert refused.value.permanent


@pytest.mark.parametrize("text", ["half \ud83d", "zero \0"])
def test_a_question_with_a_text_that_no_row_can_have_finds_nothing_or_is_refused(store, text):
    """
    SQLite can hold a zero character, PostgreSQL cannot; an error is one of ours.
    """
    try:
        assert store.callbacks.parked(event_key=text) == []
    except StoreError as error:
        assert error.permanent
