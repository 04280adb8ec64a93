"""What SQLite keeps beside the database file, taken from under a program that has it open."""

import os
import shutil
import subprocess
import sys

import pytest

from fedapay_sync.store import Store
from fedapay_sync.store.sqlite.connection import file_of

pytestmark = pytest.mark.skipif(os.name == "nt", reason="an open file cannot be taken away there")

REFERENCES = "SELECT merchant_reference FROM fp_payment ORDER BY id"


@pytest.fixture
def path(db_url):
    return file_of(db_url)


@pytest.fixture
def store(db_url):
    store = Store(db_url)
    yield store
    store.close()


def remember(store, reference):
    store.payments.add_intent("sandbox", "shop", reference, amount=500, currency="XOF")


def seen_elsewhere(path):
    """What another process finds, which then closes the file as the only one that locks it, or so it thinks."""
    code = "import sqlite3, sys; print([row[0] for row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2])])"
    run = subprocess.run(
        [sys.executable, "-c", code, str(path), REFERENCES], capture_output=True, text=True, timeout=60
    )
    return run.stdout.strip() or run.stderr


def unlink_log(path):
    path.with_name(path.name + "-wal").unlink()


def unlink_both(path):
    unlink_log(path)
    path.with_name(path.name + "-shm").unlink()


def copy_in_this_process(path):
    """As a backup does it: closing the file it has read drops the locks that SQLite holds on it."""
    shutil.copy(path, path.with_name("backup.db"))
    assert seen_elsewhere(path) == "['CMD-1']"
    assert not path.with_name(path.name + "-wal").exists()


@pytest.mark.parametrize("take_away", [unlink_log, unlink_both, copy_in_this_process])
def test_what_is_confirmed_afterwards_is_where_others_find_it(store, path, take_away, caplog):
    """
    Never in files that nobody sees any more and that are gone with this process.
    """
    remember(store, "CMD-1")
    store.payments.of_transaction("sandbox", "1")  # the connection that reads is open, too
    take_away(path)

    remember(store, "CMD-2")
    assert seen_elsewhere(path) == "['CMD-1', 'CMD-2']"
    assert "taken from under an open database" in caplog.text
    assert store.payments.of_transaction("sandbox", "1") is None
    remember(store, "CMD-3")
    assert seen_elsewhere(path) == "['CMD-1', 'CMD-2', 'CMD-3']"


def test_a_second_connector_on_the_same_file_is_opened_anew_as_well(store, db_url, path):
    other = Store(db_url)
    remember(store, "CMD-1")
    remember(other, "CMD-2")
    unlink_log(path)

    remember(store, "CMD-3")
    remember(other, "CMD-4")
    assert seen_elsewhere(path) == "['CMD-1', 'CMD-2', 'CMD-3', 'CMD-4']"
    other.close()
