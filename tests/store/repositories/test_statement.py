"""A statement is composed once for each kind of database, and gets its values by name from then on."""

import pytest

from fedapay_sync.errors import StoreError
from fedapay_sync.store.repositories.statement import Statement, parameter, unless_there
from fedapay_sync.store.tables import LeaseRow, PaymentRow


def lease_statement(composed):
    def compose():
        composed.append("once")
        return unless_there(LeaseRow.insert(name=parameter("name"), run_after=parameter("now"), since=7.0), "name")

    return Statement(compose)


def test_a_statement_is_composed_at_its_first_use_and_never_again(store, second):
    """
    Neither for other values, nor for another connection to the same kind of database.
    """
    composed = []
    statement = lease_statement(composed)
    assert composed == []

    for each in (store, second):
        each.write(lambda database: statement.execute(database, name="a", now=1.0))
    store.write(lambda database: statement.execute(database, name="b", now=2.0))

    assert composed == ["once"]
    rows = store.read(lambda database: list(LeaseRow.select().order_by(LeaseRow.name).tuples().execute(database)))
    assert rows == [("a", 1.0, 7.0), ("b", 2.0, 7.0)]


def test_a_statement_tells_by_row_count_what_it_has_done(store):
    """
    A row that is there already is no error, and no row.
    """
    statement = lease_statement([])

    counts = [store.write(lambda database: statement.execute(database, name="a", now=1.0).rowcount) for _ in range(2)]

    assert counts == [1, 0]


def test_a_row_that_breaks_another_constraint_is_refused_and_not_dropped(store):
    """
    As INSERT OR IGNORE would.
    """
    statement = Statement(
        lambda: unless_there(
            PaymentRow.insert(
                environment="sandbox", account="shop", merchant_reference="CMD-1", amount=1, currency="XOF",
                state=parameter("state"), created_at=1.0, updated_at=1.0,
            ),
            "environment", "account", "merchant_reference",
        )
    )  # fmt: skip

    with pytest.raises(StoreError) as refused:
        store.write(lambda database: statement.execute(database, state="no state"))

    assert refused.value.permanent
    assert store.write(lambda database: statement.execute(database, state="intent").rowcount) == 1


def test_a_value_that_is_not_given_is_no_null(store):
    """
    It would be written.
    """
    statement = lease_statement([])

    with pytest.raises(StoreError):
        store.write(lambda database: statement.execute(database, name="a"))

    assert not store.read(lambda database: list(LeaseRow.select().execute(database)))
