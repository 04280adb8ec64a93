"""The shop that is hurt, on both databases where nothing else is said."""

import os

import pytest
from support.shops import Shop

from fedapay_sync.store import Store


def pytest_collection_modifyitems(items):
    if os.name == "nt":
        for item in items:
            if "faults" in item.nodeid:
                item.add_marker(pytest.mark.skip(reason="signals and limits of POSIX"))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def db_url(request):
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def shop(emulator, db_url, free_port, tmp_path):
    shop = Shop(emulator, db_url, free_port, tmp_path)
    yield shop
    if shop.process is not None:
        shop.kill()


@pytest.fixture
def store(db_url):
    """A view of the shop's database from outside."""
    store = Store(db_url)
    yield store
    store.close()
