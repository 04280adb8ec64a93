"""SQL text for many rows: Peewee's query builder takes several times as long as the statement does."""

import functools
from typing import Any, Callable, List, Sequence, Tuple

from fedapay_sync.store.database import Database

#: So many transactions go into a statement. The oldest SQLite takes 999 parameters.
CHUNK = 300


def rows_of(database: Database, query: str, first: Sequence[Any], values: Sequence[Any]) -> List[Tuple[Any, ...]]:
    """The rows of a query whose last condition is that a column is one of these values."""
    text = query.format(", ".join("?" * len(values))).replace("?", database.param)
    return list(database.execute_sql(text, (*first, *values)).fetchall())


def memoized(question: Callable[[str], bool]) -> Callable[[str], bool]:
    """The same question, asked once for each owner and not for each of its rows."""
    return functools.lru_cache(maxsize=None)(question)
