"""The store of callback workers that the tests make themselves, on the test's clock."""

import pytest

from fedapay_sync.store import Store


@pytest.fixture
def store(db_url, clock):
    store = Store(db_url, clock)
    yield store
    store.close()
