"""From version 3, whose names and keys said what an event is, on both databases."""

import pytest

from fedapay_sync.store.states import EventKind
from fedapay_sync.store.tables import SCHEMA_VERSION

DIGEST = "0123456789abcdef" * 4
EVENT = (
    "INSERT INTO fp_event (dedup_key, event_key, environment, account, name, object, entity_id, status, is_final, "
    "late, suspect, repeats, source, body, body_sha256, received_at, work_state) VALUES ('{0}', '{1}', 'sandbox', "
    "'shop', '{2}', '{3}', '{4}', 'approved', {5}, 0, 0, 0, 'webhook', '', '{6}', 1, 'ready')"
)
#: What version 3 has written: a payment of ours and one of another program, a claim, a message that was set aside, and
#: two events of others that bear our words.
ROWS = [
    EVENT.format("a", "sandbox:shop:transaction:7:approved", "transaction.approved", "transaction", "7", 1, DIGEST),
    EVENT.format("b", "sandbox:shop:transaction:8:approved", "transaction.approved", "transaction", "8", 1, DIGEST),
    EVENT.format("c", f"k:unconfirmed:{DIGEST[:16]}", "transaction.approved", "transaction", "7", 0, DIGEST),
    EVENT.format("d", "k:unreadable:x", "unreadable", "unreadable", DIGEST[:16], 0, DIGEST),
    EVENT.format("e", "k", "unreadable", "transaction", "9", 1, DIGEST),
    EVENT.format("f", "a:unconfirmed:b", "transaction.x:unconfirmed:", "transaction", "9", 0, DIGEST),
    "INSERT INTO fp_payment (environment, account, merchant_reference, amount, currency, transaction_id, state, "
    "created_at, updated_at, run_after, looks) VALUES ('sandbox', 'shop', 'CMD-1', 500, 'XOF', '7', 'sent', 1, 1, 1, "
    "0)",
    "INSERT INTO fp_meta (schema_version) VALUES (3)",
]


@pytest.fixture
def version_3(written_by):
    """The database as version 3 has left it."""
    written_by(3, ROWS)


def test_version_3_is_led_over(version_3, make_store, make_event):
    """
    Each row keeps what it is; what is told of the payment from then on is compared with what was asked.
    """
    store = make_store()
    rows = store.read(lambda database: database.execute_sql("SELECT dedup_key, kind, known FROM fp_event").fetchall())
    assert {key: (kind, known) for key, kind, known in rows} == {
        "a": (EventKind.fact, 1), "b": (EventKind.fact, 0), "c": (EventKind.unconfirmed, 1),
        "d": (EventKind.unreadable, 0), "e": (EventKind.fact, 0), "f": (EventKind.fact, 0),
    }  # fmt: skip
    version = store.read(lambda database: database.execute_sql("SELECT schema_version FROM fp_meta").fetchall())
    assert [tuple(row) for row in version] == [(SCHEMA_VERSION,)]
    payment = store.payments.of_transaction("sandbox", "7")
    assert payment.amount == 500 and payment.traits is None and payment.accepted_at is None
    told = store.events.accept(make_event("7", "transaction.transferred", is_final=True, is_paid=True, amount=1))
    assert told.to_confirm == "7", "another sum than was told before: FedaPay is asked"
