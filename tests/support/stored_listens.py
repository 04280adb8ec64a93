"""Rows of fp_listen, as tests look at them."""

from typing import Any, List, NamedTuple


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
