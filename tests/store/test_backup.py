"""A copy of the database, made while programs write."""

import sqlite3
import threading

import pytest

from fedapay_sync import ConfigError
from fedapay_sync.store import Store


def rows(path):
    database = sqlite3.connect(path)
    try:
        return {row[0] for row in database.execute("SELECT merchant_reference FROM fp_payment")}
    finally:
        database.close()


def test_a_copy_of_a_busy_database_is_whole_and_private(sqlite_url, tmp_path):
    """
    All that was confirmed before, nothing half, one file; and a store that opens it goes on with it.
    """
    store, stop, confirmed = Store(sqlite_url), threading.Event(), []

    def write():
        while not stop.is_set():
            reference = f"CMD-{len(confirmed)}"
            store.payments.add_intent("sandbox", "shop", reference, amount=500, currency="XOF")
            confirmed.append(reference)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            before = set(confirmed)
            copy = tmp_path / f"{number}.db"
            store.backup(copy)
            assert before <= rows(copy) and copy.stat().st_mode & 0o777 == 0o600
            assert not list(tmp_path.glob(f"{number}.db?*"))
    finally:
        stop.set()
        writer.join()
    restored = Store(f"sqlite:///{copy}")
    known = restored.payments.add_intent("sandbox", "shop", "CMD-0", amount=900, currency="XOF")
    assert known is not None and known.amount == 500
    restored.close()
    store.close()


def test_a_server_has_a_tool_of_its_own(postgres_url, tmp_path):
    store = Store(postgres_url)
    with pytest.raises(ConfigError, match="pg_dump"):
        store.backup(tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
    store.close()


def test_a_link_is_not_followed(sqlite_url, tmp_path):
    """
    Neither is a file of somebody else written over.
    """
    store = Store(sqlite_url)
    (tmp_path / "link.db").symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(ConfigError, match="existe"):
        store.backup(tmp_path / "link.db")
    assert not (tmp_path / "elsewhere.db").exists()
    store.close()
