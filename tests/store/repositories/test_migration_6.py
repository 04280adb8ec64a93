"""From version 5, in which an event had one callback and was its work, on both databases."""

import pytest
from support.claims import claim, states

from fedapay_sync.store.callback_records import CallbackName, Wanted
from fedapay_sync.store.states import CallbackKind

_EVENT = (
    "INSERT INTO fp_event (dedup_key, event_key, environment, account, name, object, entity_id, status, is_final, "
    "late, suspect, repeats, source, body, body_sha256, received_at, work_state, attempts, run_after, lease_owner, "
    "kind) "
    "VALUES ('{0}', '{0}', 'sandbox', 'shop', '{1}', 'transaction', '{0}', 'approved', 1, 0, 0, 0, '{2}', EMPTY, '', "
    "1, "
    "'{3}', {4}, {5}, {6}, '{7}')"
)
APPROVED = "transaction.approved"
ROWS = [
    _EVENT.format("ready", APPROVED, "webhook", "ready", 0, 0, "NULL", "fact"),
    _EVENT.format("retried", APPROVED, "webhook", "ready", 3, 0, "NULL", "fact"),
    _EVENT.format("running", APPROVED, "webhook", "running", 1, 50, "'gone'", "fact"),
    _EVENT.format("parked", APPROVED, "webhook", "dead", 30, 0, "NULL", "fact"),
    _EVENT.format("done", APPROVED, "webhook", "done", 1, 0, "NULL", "fact"),
    _EVENT.format("said", APPROVED, "webhook", "ready", 0, 0, "NULL", "unconfirmed"),
    _EVENT.format("torn", "unreadable", "webhook", "dead", 0, 0, "NULL", "unreadable"),
    _EVENT.format("payment", "local.payment", "local", "ready", 0, 0, "NULL", "fact"),
    "INSERT INTO fp_meta (schema_version, compatible_from) VALUES (5, 5)",
]


@pytest.fixture
def store(written_by, make_store, db_url):
    empty = "x''" if db_url.startswith("sqlite:") else "''"
    written_by(5, [row.replace("EMPTY", empty) for row in ROWS])
    return make_store()


def test_each_owed_event_is_owed_to_the_first_callbacks(store):
    """
    With the attempts that it has had, also where its process is gone.
    """
    works = claim(store, kinds=["webhook", "payment"])
    found = {each.entity_id: each.attempts for each in works if each.call is not None}
    assert found == {"ready": 1, "retried": 4, "running": 2, "payment": 1}
    assert [each.entity_id for each in works if each.call is None] == ["said"]


def test_what_was_parked_stays_so_by_the_name_of_the_first(store):
    """
    And what was done is told nobody again.
    """
    store.callback_names.register("sandbox", ["shop"], [CallbackName("boutique.livrer", CallbackKind.webhook)])
    assert {(each.entity_id, each.callback_name) for each in store.callbacks.parked()} == {
        ("parked", "boutique.livrer"), ("torn", None),
    }  # fmt: skip
    assert [state for number, state, *_ in states(store) if number == "done"] == ["done"]


def test_what_was_tried_before_is_nothing_to_a_callback_that_is_added_later(store):
    """
    With the attempts of the parked event its first call would be taken for one too many, and not be made.
    """
    first = CallbackName("boutique.livrer", CallbackKind.webhook)
    store.callback_names.register("sandbox", ["shop"], [first])
    claim(store, kinds=["payment"])
    added = CallbackName("boutique.noter", CallbackKind.webhook, since=0.0)
    (number,) = store.callback_names.register("sandbox", ["shop"], [added])
    wanted = Wanted("sandbox", ["shop"], [CallbackKind.webhook], [number])
    works = store.callbacks.acquire("A", wanted, lease=60.0, limit=100)
    found = {each.entity_id: (each.attempts, each.last_error) for each in works if each.call is not None}
    assert found["parked"] == found["done"] == (1, None)


def test_nothing_is_lost_before_a_process_works(store):
    found = store.health.read("sandbox", ["shop"])
    assert {name: owed.count for name, owed in found.owed.items()} == {"webhook": 4, "payment": 1}
    assert found.parked == len(store.callbacks.parked()) == 2
