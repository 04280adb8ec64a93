"""SQL text for many rows, where Peewee's query builder takes many times as long as the statement."""

import functools
from typing import Any, Callable, Iterable, Iterator, List, Sequence, Tuple, TypeVar

from fedapay_sync.store.database import Database

T = TypeVar("T")

#: Values of one list in a statement. The oldest SQLite takes 999 parameters.
CHUNK = 300


def chunks(values: Iterable[T]) -> Iterator[List[T]]:
    """These values, so many at once as a statement takes."""
    rest = list(values)
    return (rest[start : start + CHUNK] for start in range(0, len(rest), CHUNK))


def rows_of(database: Database, query: str, first: Sequence[Any], values: Iterable[str]) -> List[Tuple[Any, ...]]:
    """The rows of a query whose last condition is that a column is one of these values."""
    found: List[Tuple[Any, ...]] = []
    for chunk in chunks(values):
        text = query.format(", ".join("?" * len(chunk))).replace("?", database.param)
        found += database.execute_sql(text, (*first, *chunk)).fetchall()
    return found


def placeholders(database: Database, values: Sequence[Any]) -> str:
    """Places for that many values, in parentheses; without any, what nothing is in: PostgreSQL takes no empty list."""
    return f"({', '.join([database.param] * len(values)) or 'NULL'})"


def memoized(question: Callable[[str], bool]) -> Callable[[str], bool]:
    """The same question, asked once for each owner and not for each of its rows."""
    return functools.lru_cache(maxsize=None)(question)
