"""
What an intent says of itself when its row is gone.
"""

import pytest

from fedapay_sync import Transaction
from fedapay_sync.errors import StoreError
from fedapay_sync.store.payment_record import Intent


class EmptiedStore:
    """A store out of which somebody has deleted the payments."""

    def set_payment(self, *where, **changes):
        return False

    def payment_under(self, *where):
        return None


def test_a_row_that_vanished_is_told_in_words_that_fit_a_file_and_a_server():
    """
    Nobody looks for a local file where the store is a PostgreSQL server.
    """
    intent = Intent(EmptiedStore(), "sandbox", "shop", "ref-1", 60.0)

    with pytest.raises(StoreError, match="La base a perdu ce paiement") as lost:
        intent.adopt(Transaction(id=1))

    assert "locale" not in f"{lost.value}{StoreError.__doc__}"
