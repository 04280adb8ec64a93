"""
SQL that Peewee composes once for each kind of database, executed as text from then on.

Composing a query takes Peewee ten times as long as SQLite takes to execute it. The statements of a payment's, a
webhook's and a callback's way are composed at their first use; what is rare stays plain Peewee.
"""

from typing import Any, Callable, Dict, List, Tuple

import peewee

from fedapay_sync.store.database import Database


class _Name:
    """Stands among the values of a composed query for one that each execution gives anew."""

    def __init__(self, name: str) -> None:
        self.name = name


class Statement:
    """
    One statement with named parameters, safe to share between threads.

    Args:
        compose: makes the Peewee query; called once for each kind of database. Where a value is another each time,
            ``parameter("its name")`` stands in its place; any other value is a constant, also what is computed from
            variables of the program.

    In a repository::

        _SENT = Statement(lambda: PaymentRow.update(state="sent").where(PaymentRow.id == parameter("id")))
        moved = _SENT.execute(database, id=7).rowcount
    """

    def __init__(self, compose: Callable[[], peewee.Node]) -> None:
        self._compose = compose
        self._composed: Dict[type, Tuple[str, List[Any]]] = {}

    def execute(self, database: Database, **values: Any) -> Any:
        """
        Execute it, and the driver's cursor: rows are plain tuples, in the order of the columns selected.

        Args:
            values: all parameters, by name. They go to the driver as they are: no field of Peewee's converts them.

        Raises:
            KeyError: a parameter was not given.
        """
        # Composed twice by two threads at once, it is the same text.
        text, wanted = self._composed.get(type(database)) or self._of(database)
        return database.execute_sql(text, [values[each.name] if type(each) is _Name else each for each in wanted])

    def _of(self, database: Database) -> Tuple[str, List[Any]]:
        composed: Tuple[str, List[Any]] = database.get_sql_context().sql(self._compose()).query()
        self._composed[type(database)] = composed
        return composed


def parameter(name: str) -> peewee.Value:
    """A value that each execution of a statement gives anew, under that name."""
    return peewee.Value(_Name(name), converter=False, unpack=False)


def unless_there(insert: peewee.Insert, *columns: str) -> peewee.Node:
    """
    That INSERT, of nothing where a row has the same values in these columns already; ``rowcount`` tells which.

    Peewee's own is INSERT OR IGNORE on SQLite, which also drops, silently, rows that break another constraint.
    """
    return peewee.NodeList((insert, peewee.SQL(f"ON CONFLICT ({', '.join(columns)}) DO NOTHING")))
