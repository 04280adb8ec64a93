"""A reader that stays keeps SQLite from beginning its -wal anew: it is told of; once it has gone the file shrinks."""

import logging
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from fedapay_sync.store import Store
from fedapay_sync.store.sqlite.connection import file_of
from fedapay_sync.store.sqlite.database import BUSY_MS, connect
from fedapay_sync.store.sqlite.wal import INTERVAL, LIMIT, LONG, REMINDER, WalLimiter


@pytest.fixture
def store(db_url):
    store = Store(db_url)
    store.open()
    yield store
    store.close()


@pytest.fixture
def path(store, db_url):
    return file_of(db_url)


@pytest.fixture
def reader(path):
    """A program that has begun to read, and does not end it."""
    with closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM fp_meta").fetchall()
        yield reader


def size(path):
    return Path(f"{path}-wal").stat().st_size


def write(store, reference="CMD-1", megabytes=0):
    traits = "x" * 1_000_000
    for number in range(megabytes or 1):
        store.payments.add_intent(
            "sandbox", "shop", f"{reference}-{number}", amount=1, currency="XOF", traits=traits if megabytes else None
        )


def test_once_the_reader_has_gone_the_wal_shrinks(store, path, reader, eventually):
    """
    Also where nothing is written any more; nothing is lost by it.
    """
    write(store, megabytes=12)
    assert size(path) > LIMIT
    reader.rollback()

    eventually(lambda: size(path) == 0, 3 * INTERVAL)
    write(store, "CMD-2")
    assert size(path) < LIMIT
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT count(*), sum(length(traits)) FROM fp_payment").fetchone() == (13, 12_000_000)


def test_while_it_stays_it_costs_a_write_a_moment_now_and_then(store, path, reader):
    """
    Tried once in two seconds, a tenth of a second each time: webhooks are taken meanwhile.
    """
    write(store, megabytes=12)
    said = []
    store.write(lambda database: database.connection().set_trace_callback(said.append))
    begun = time.monotonic()
    for number in range(50):
        write(store, f"CMD-{number}")
    assert said.count("COMMIT") >= 50
    assert said.count("PRAGMA wal_checkpoint(TRUNCATE)") <= (time.monotonic() - begun) / INTERVAL + 2


def test_a_reader_that_stays_is_told_of_once_an_hour(path, store, reader, clock, caplog):
    """
    With the size and what to do; not one that has gone before long.
    """
    write(store, megabytes=12)
    store.close()
    limiter = WalLimiter(path, clock)
    with closing(connect(path)) as database, caplog.at_level(logging.ERROR):
        assert limiter.limit(database.execute_sql, BUSY_MS, size(path)) == INTERVAL
        assert 0 < limiter.limit(database.execute_sql, BUSY_MS, size(path)) <= INTERVAL
        clock.advance(LONG - 1)
        limiter.limit(database.execute_sql, BUSY_MS, size(path))
        assert not caplog.records
        for _ in range(3):
            clock.advance(INTERVAL)
            limiter.limit(database.execute_sql, BUSY_MS, size(path))
        (record,) = caplog.records
        assert " 12 MB" in record.getMessage() and "end its transaction" in record.getMessage()
        clock.advance(REMINDER)
        limiter.limit(database.execute_sql, BUSY_MS, size(path))
        assert len(caplog.records) == 2

        reader.rollback()
        clock.advance(INTERVAL)
        assert limiter.limit(database.execute_sql, BUSY_MS, size(path)) is None
        assert size(path) == 0
        assert database.execute_sql("PRAGMA busy_timeout").fetchone() == (BUSY_MS,)


def test_a_checkpoint_that_fails_is_told_and_tried_again(path, store, reader, clock, caplog):
    write(store, megabytes=12)

    def fail(statement):
        raise sqlite3.OperationalError("disk I/O error")

    assert WalLimiter(path, clock).limit(fail, BUSY_MS, size(path)) == INTERVAL
    assert "could not be cut: OperationalError" in caplog.text
