"""
What a payment record says of itself when its row is gone.
"""

from types import SimpleNamespace

import pytest

from fedapay_sync import Transaction
from fedapay_sync.errors import StoreError
from fedapay_sync.store.payment_record import PaymentRecord


class EmptiedPayments:
    """Payments whose rows were deleted."""

    def transition(self, *where, **changes):
        return False

    def under_reference(self, *where):
        return None


def test_a_row_that_vanished_is_told_in_words_that_fit_a_file_and_a_server():
    """
    It sends no one to a local file where the store is a PostgreSQL server.
    """
    record = PaymentRecord(SimpleNamespace(payments=EmptiedPayments()), "sandbox", "shop", "ref-1", 60.0)

    with pytest.raises(StoreError, match="La base a perdu ce paiement") as lost:
        record.adopt(Transaction(id=1))

    assert "locale" not in f"{lost.value}{StoreError.__doc__}"
