"""What the log says of a callback that fails: the first time with file and line, later in one line, never a secret."""

import hashlib

import pytest
from hypothesis import given
from support.callback_work import CONFIG
from support.claims import named, state
from support.secret_samples import SECRETS

from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.errors import StoreError
from fedapay_sync.store import NewEvent, Store
from fedapay_sync.store.records import StoredEvent
from fedapay_sync.workflow.callbacks.ends import PermanentFailure, failure_of
from fedapay_sync.workflow.callbacks.program_code import name_of
from fedapay_sync.workflow.callbacks.retry_policy import MAX_ATTEMPTS, ROUND
from fedapay_sync.workflow.callbacks.worker import CallbackWorker
from fedapay_sync.workflow.context import Context

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")


@pytest.fixture
def store(db_url, clock):
    store = Store(db_url, clock)
    store.events.accept(
        NewEvent(
            dedup_key=hashlib.sha256(b"1").hexdigest(), event_key="key-1", environment="sandbox", account="shop",
            name="transaction.approved", object="transaction", entity_id="1", status="approved", is_final=True,
            is_paid=True, source="webhook", body=b"{}", body_sha256="", received_at=1.0,
        )
    )  # fmt: skip
    yield store
    store.close()


@pytest.fixture
def work(store, clock):
    """Run owed callbacks with that handler until the test ends."""
    callbacks = CallbackWorker(Context(CONFIG, store, clock, "A"))

    def work(handler):
        callbacks.set(named(handler))
        callbacks.notify()
        return callbacks

    yield work
    callbacks.close(5)


def attempts_and_error(store):
    return state(store, 1)[1:]


def stored_event(attempts):
    return StoredEvent(
        id=1, event_key="key-1", environment="sandbox", name="transaction.approved", entity_id="1", status="approved",
        late=False, suspect=False, repeats=False, source="webhook", body=b"{}", received_at=1.0, attempts=attempts,
    )  # fmt: skip


def failures(caplog):
    return [record for record in caplog.records if "callback of key-1 failed" in record.getMessage()]


def deliver(work):
    raise ValueError("Adjoa, +229 01 64 00 00 01,\nsk_live_abcdefgh")


def test_the_first_failure_is_logged_with_file_and_line_and_the_next_in_one_line(
    store, work, clock, eventually, caplog
):
    """
    On the record that says when it is tried again. It begins with the program's function; what is stored is one line.
    """
    callbacks = work(deliver)
    eventually(lambda: attempts_and_error(store)[0] == 1 and failures(caplog))

    def second():
        clock.advance(3)
        callbacks.notify()
        return len(failures(caplog)) >= 2

    eventually(second)
    first, later = failures(caplog)[:2]

    lines = first.exc_text.split("\n")
    assert lines[1] == f'      File "{__file__}", line {deliver.__code__.co_firstlineno + 1}, in deliver'
    assert lines[2].strip().startswith("raise ValueError(")
    assert lines[3] == "    ValueError: Adjoa, ***tel***,\\nsk_live_***" and len(lines) == 4
    assert "(attempt 1), again in" in first.getMessage() and "(attempt 2), again in" in later.getMessage()
    assert later.exc_text is None
    assert attempts_and_error(store)[1] == "ValueError: Adjoa, ***tel***,\\nsk_live_***"


def test_a_first_failure_that_no_attempt_would_mend_is_logged_with_it_too(store, work, eventually, caplog):
    def refuse(event):
        raise PermanentFailure("no")

    work(refuse)
    eventually(lambda: failures(caplog))
    (record,) = failures(caplog)

    assert "is parked" in record.getMessage() and __file__ in record.exc_text


def test_the_traceback_is_told_once_where_the_store_cannot_take_the_end(store, work, eventually, caplog, monkeypatch):
    """
    Stored later, in another attempt to store it, the end is told without it: also where the process dies meanwhile.
    """
    whole, refused = store.callbacks.retry_or_park, []

    def retry_or_park(*arguments, **changes):
        refused.append(arguments)
        if len(refused) == 1:
            raise StoreError("Le disque est plein.")
        return whole(*arguments, **changes)

    monkeypatch.setattr(store.callbacks, "retry_or_park", retry_or_park)
    work(deliver)
    eventually(lambda: failures(caplog))

    told = [record.getMessage() for record in caplog.records if record.exc_text]
    assert len(told) == 1 and "could not be stored" in told[0]


@given(SECRETS)
def test_no_secret_is_in_what_a_failure_leaves(secret):
    text, hidden = secret
    try:
        raise ValueError(f"avec {text} ici") from KeyError(text)
    except ValueError as error:
        failure = failure_of(stored_event(1), error)

    assert "avec" in failure.problem and "avec" in failure.traceback and "KeyError" in failure.traceback
    assert hidden not in failure.problem + failure.traceback
    assert "\n" not in failure.problem


@pytest.mark.parametrize(
    ("attempts", "told"),
    [(1, True), (2, False), (MAX_ATTEMPTS, False), (ROUND, False), (ROUND + 1, True), (ROUND + 2, False)],
)
def test_each_round_of_attempts_begins_with_a_traceback(attempts, told):
    """
    What was parked and is replayed may fail for another reason.
    """
    try:
        deliver(None)
    except ValueError as error:
        assert (failure_of(stored_event(attempts), error).traceback is not None) is told


@pytest.mark.parametrize("setter", ["on_webhook", "on_payment", "set_payment_callback_function"])
def test_the_function_that_a_program_set_is_where_the_traceback_begins(connector, emulator, eventually, caplog, setter):
    """
    None of the frames that lead to it is shown.
    """

    def fail(event):
        int("x")

    getattr(connector, setter)(fail)
    number = connector.pay(SETUP, CLIENT, 500).id_transaction
    emulator.approve(number)
    record = eventually(lambda: next((each for each in caplog.records if each.exc_text), None))
    lines = record.exc_text.split("\n")

    assert lines[1].startswith(f'      File "{__file__}", line {fail.__code__.co_firstlineno + 1}, in ')
    assert lines[2].strip() == 'int("x")' and len(lines) == 4


def test_the_function_of_the_asynchronous_page_keeps_its_name(connector):
    """
    It takes two arguments, and is called through another function.
    """

    def fail(status, webhooks):
        int("x")

    connector.set_on_persited_listening_processes_loading_finished_callback(fail)

    assert name_of(connector._callbacks["restored"].function) == f"{__name__}.{fail.__qualname__}"
