"""Databases of earlier versions: led to the present one without losing a row, or left as they were."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import peewee
import pytest

from fedapay_sync.store import Store
from fedapay_sync.store.migrations import STEPS
from fedapay_sync.store.postgres.database import PostgresDatabase
from fedapay_sync.store.sqlite.database import SqliteDatabase
from fedapay_sync.store.tables import SCHEMA_VERSION, TABLES

#: A database that version 1 has written: eight payments in all their states, four waits, two events.
VERSION_1 = Path(__file__).with_name("schema_1.sql")
ROOT = Path(__file__).resolve().parents[3]
ACCOUNT = "ccef35c59e98"

DYING = """
import os, pathlib, signal, sys
from fedapay_sync.store.sqlite.database import connect
from fedapay_sync.store.migrations import migrate

def migrate_and_die(database):
    migrate(database)
    os.kill(os.getpid(), signal.SIGKILL)

connect(pathlib.Path(sys.argv[1])).transact(migrate_and_die, creates_tables=True)
"""


@pytest.fixture
def db_url(sqlite_url):
    """Version 1 knew no other database."""
    return sqlite_url


@pytest.fixture
def old(db_url):
    """The path of a database of version 1."""
    path = Path(db_url[len("sqlite:///") :])
    path.parent.mkdir(mode=0o700)
    path.touch(mode=0o600)
    database = sqlite3.connect(path)
    database.executescript(VERSION_1.read_text(encoding="utf-8"))
    database.close()
    return path


def content(path):
    """What version 1 knew, table by table."""
    columns = {
        "fp_event": "id, dedup_key, event_key, environment, account, name, object, entity_id, status, is_final, late, "
        "suspect, repeats, source, body, body_sha256, received_at, work_state, attempts, run_after, lease_owner, "
        "finished_at, last_error",
        "fp_listen": "*",
        "fp_payment": "id, environment, account, merchant_reference, amount, currency, currency_id, transaction_id, "
        "state, created_at, updated_at",
    }
    database = sqlite3.connect(path)
    try:
        return {
            table: database.execute(f"SELECT {names} FROM {table} ORDER BY id").fetchall()
            for table, names in columns.items()
        }
    finally:
        database.close()


def shape(path):
    """Tables, columns and indexes, by name."""
    database = sqlite3.connect(path)
    try:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {
            table: {row[1] for row in database.execute(f"PRAGMA table_info({table})")} for table in sorted(tables)
        }
        indexes = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
        version = database.execute("SELECT schema_version FROM fp_meta").fetchall()
        return columns, indexes, version
    finally:
        database.close()


def test_a_database_of_version_1_loses_nothing(old, make_store, tmp_path):
    """
    Every row is there as it was, and the tables are those that a new database has.
    """
    before = content(old)
    assert [len(rows) for rows in before.values()] == [2, 4, 8]
    make_store().open()
    new = Store(f"sqlite:///{tmp_path}/new.db")
    new.open()
    new.close()

    assert content(old) == before
    assert shape(old) == shape(tmp_path / "new.db")
    assert shape(old)[2] == [(SCHEMA_VERSION,)]


def test_open_payments_of_version_1_are_followed_up(old, make_store, clock):
    """
    Those that an event has ended, and those that failed, are not; all others are, and waits that had timed out on
    a transaction that we did not create.
    """
    clock.wall_ahead = 1_790_001_000 - clock.now()
    store, polls = make_store(), []
    for _ in range(20):
        clock.advance(1)
        poll = store.polls.acquire("sandbox", [ACCOUNT], lease=1000, beside_wait=60)
        polls += [poll] if poll else []

    ours = [poll.merchant_reference for poll in polls if poll.merchant_reference]
    assert sorted(ours) == ["CMD-2", "CMD-3", "CMD-4", "CMD-5", "CMD-6", "CMD-7"]
    assert [poll.transaction_id for poll in polls if not poll.merchant_reference] == ["1790000789448"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
def test_killed_in_the_midst_of_a_migration_nothing_has_happened(old, make_store):
    """
    Until the commit it is a database of version 1, and the next process that opens it leads it over.
    """
    before, was = content(old), shape(old)
    dying = subprocess.run([sys.executable, "-c", DYING, str(old)], cwd=ROOT, timeout=30, env=dict(os.environ))
    assert dying.returncode == -signal.SIGKILL
    assert shape(old) == was and was[2] == [(1,)]

    make_store().open()
    assert content(old) == before and shape(old)[2] == [(SCHEMA_VERSION,)]


def test_several_that_open_an_old_database_at_once_lead_it_over_once(old, make_store):
    """
    The others find it done.
    """
    stores = [make_store() for _ in range(4)]
    for store in stores:
        store.open()
        assert store.payments.under_reference("sandbox", ACCOUNT, "CMD-1").amount == 500


def test_each_version_has_a_step():
    """
    From the first to the present one, in order.
    """
    assert [version for version, _ in STEPS] == list(range(2, SCHEMA_VERSION + 1))


@pytest.mark.parametrize("dialect", [SqliteDatabase, PostgresDatabase])
def test_a_new_database_is_made_by_the_statements_of_its_version(dialect):
    """
    To the letter: constraints and partial indexes, too, whatever builds their text. Another text is another version.
    """
    made = []

    class Recorded(dialect):
        """It keeps statements instead of executing them."""

        def execute_sql(self, sql, *arguments, **options):
            made.append(sql)

    for table in TABLES:
        peewee.SchemaManager(table, Recorded("unused")).create_all(safe=True)
    name = {SqliteDatabase: "sqlite", PostgresDatabase: "postgres"}[dialect]
    text = VERSION_1.with_name(f"schema_{SCHEMA_VERSION}_{name}.sql").read_text(encoding="utf-8")
    # Peewee began to say IF NOT EXISTS of an index of PostgreSQL after its oldest allowed version.
    written = "".join(f"{statement};\n" for statement in made)
    assert written.replace("IF NOT EXISTS ", "") == text.replace("IF NOT EXISTS ", "")
