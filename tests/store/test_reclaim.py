"""Purging gives space back to the disk: pages of an SQLite file, also of one that was made before it could."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.shops import is_sound, rows

from fedapay_sync.store import Store
from fedapay_sync.store.sqlite import database as sqlite_database
from fedapay_sync.store.sqlite.connection import file_of

OLD = Path(__file__).parent / "repositories" / "schema_4_sqlite.sql"
MEGABYTES = 6


@pytest.fixture
def path(db_url):
    return file_of(db_url)


@pytest.fixture
def old(path):
    """A file that an earlier version has made."""
    path.parent.mkdir(mode=0o700)
    with closing(sqlite3.connect(path)) as database:
        database.executescript(OLD.read_text(encoding="utf-8"))
        database.execute("INSERT INTO fp_meta (schema_version) VALUES (4)")
        database.commit()


@pytest.fixture
def store(db_url, clock):
    store = Store(db_url, clock)
    yield store
    store.close()


def fill(store, clock):
    """So many megabytes of payments that failed years ago, and one that is still open after them."""
    for number in range(MEGABYTES):
        reference = f"CMD-{number}"
        store.payments.add_intent("sandbox", "shop", reference, amount=1, currency="XOF", traits="x" * 1_000_000)
        store.payments.transition("sandbox", "shop", reference, "failed")
    clock.advance(400 * 86400)
    store.payments.add_intent("sandbox", "shop", "open", amount=1, currency="XOF", traits="y" * 100_000)


def bytes_of(store):
    """Once what is in the -wal is in the file."""
    with closing(sqlite3.connect(store.path)) as database:
        assert database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    return store.path.stat().st_size


@pytest.mark.parametrize("made_by", ["this version", "version 4"])
def test_a_purge_makes_the_file_small_again(store, clock, made_by, request):
    """
    Beside another program that has the file open; what stays is whole.
    """
    if made_by == "version 4":
        request.getfixturevalue("old")
    fill(store, clock)
    other = Store(f"sqlite:///{store.path}", clock)
    assert other.payments.under_reference("sandbox", "shop", "open").traits
    before = bytes_of(store)
    assert before > MEGABYTES * 1_000_000

    assert store.retention.purge(86400.0).payments == MEGABYTES

    assert bytes_of(store) < 1_000_000
    assert len(other.payments.under_reference("sandbox", "shop", "open").traits) == 100_000
    other.payments.add_intent("sandbox", "shop", "new", amount=1, currency="XOF")
    assert is_sound(store) and rows(store, "SELECT count(*) FROM fp_payment") == [(2,)]
    other.close()


def test_pages_are_given_back_in_pieces(store, clock):
    """
    Webhooks get their turn in between: a transaction for each piece, no VACUUM of the whole file.
    """
    fill(store, clock)
    said = []
    store.write(lambda database: database.connection().set_trace_callback(said.append))
    store.retention.purge(86400.0)
    pieces = said.count(f"PRAGMA incremental_vacuum({sqlite_database._PIECE})")
    assert pieces >= MEGABYTES * 1_000_000 / 4096 / sqlite_database._PIECE - 1
    assert said.count("COMMIT") >= pieces and "VACUUM" not in said


def test_a_very_large_old_file_is_left_as_it_is_and_the_log_says_what_to_do(old, store, clock, monkeypatch, caplog):
    """
    Writing it anew would hold webhooks up for longer than FedaPay waits.
    """
    monkeypatch.setattr(sqlite_database, "_LARGE", 1_000_000)
    fill(store, clock)
    before = bytes_of(store)
    assert store.retention.purge(86400.0).payments == MEGABYTES
    assert bytes_of(store) == before
    assert "stop all programs" in caplog.text and "VACUUM" in caplog.text
