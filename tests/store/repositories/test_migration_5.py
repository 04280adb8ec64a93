"""From version 4, in which each process read statuses at its own pace, on both databases."""

from fedapay_sync.store import Priority
from fedapay_sync.store.tables import SCHEMA_VERSION

ROWS = [
    "INSERT INTO fp_payment (environment, account, merchant_reference, amount, currency, transaction_id, state, "
    "created_at, updated_at, run_after, looks) VALUES ('sandbox', 'shop', 'CMD-1', 500, 'XOF', '7', 'sent', 1, 1, 1, "
    "3)",
    "INSERT INTO fp_turn (name, run_after) VALUES ('look:sandbox', 4102444800)",
    "INSERT INTO fp_meta (schema_version) VALUES (4)",
]


def test_version_4_is_led_over(written_by, make_store):
    """
    Nothing of it is lost, the gap that it kept between two polls holds up none, and slots are granted.
    """
    written_by(4, ROWS)
    store = make_store()
    version = store.read(lambda database: database.execute_sql("SELECT schema_version FROM fp_meta").fetchall())
    assert [tuple(row) for row in version] == [(SCHEMA_VERSION,)]
    assert store.poll_budget.take("sandbox", "shop", {Priority.followed: 1}, rate=5.0).slots == (0.0,)
    poll = store.polls.acquire("sandbox", ["shop"], lease=30, beside_wait=60)
    assert (poll.transaction_id, poll.polls) == ("7", 4)
