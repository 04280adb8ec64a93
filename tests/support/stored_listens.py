"""Rows of fp_listen, as tests look at them; and transactions that are known, so that a wait does not ask about them."""

from typing import Any, Iterable, List, NamedTuple


class StoredListen(NamedTuple):
    """What a test wants to know of a listen."""

    transaction_id: str
    account: str
    state: str
    deadline: float
    timeout: float
    owed: bool


def open_listens(store: Any, environment: str = "sandbox") -> List[StoredListen]:
    """The listens that are being watched."""
    query = (
        f"SELECT {', '.join(StoredListen._fields)} FROM fp_listen WHERE state IN ('pending', 'closing', 'unknown') "
        f"AND closed_at IS NULL AND environment = '{environment}' ORDER BY id"
    )
    rows = store.read(lambda database: database.execute_sql(query).fetchall())
    return [StoredListen(*row[:-1], owed=bool(row[-1])) for row in rows]


def make_known(store: Any, numbers: Iterable[int], environment: str = "sandbox") -> None:
    """Of each of these transactions an event was told that ends nothing, and is done with."""
    query = (
        "INSERT INTO fp_event (dedup_key, event_key, environment, account, name, object, entity_id, is_final, late, "
        "suspect, repeats, source, body, body_sha256, received_at, work_state) VALUES ('known-{0}', 'known-{0}', "
        f"'{environment}', 'shop', 'transaction.created', 'transaction', '{{0}}', 0, 0, 0, 0, 'webhook', '', '', 0, "
        "'done')"
    )
    store.write(lambda database: [database.execute_sql(query.format(number)) for number in numbers] and None)
