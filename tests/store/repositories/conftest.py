"""Two stores on one database, as two processes have them, and events to put into them."""

import contextlib
import hashlib
import itertools
import sqlite3
from pathlib import Path

import pytest
from support import claims

from fedapay_sync.store import NewEvent, Store
from fedapay_sync.store.postgres.clock import ServerClock

_numbers = itertools.count(1)


@pytest.fixture
def make_event():
    def make(entity_id="100", name="transaction.approved", key=None, **changes):
        status = str(name).partition(".")[2]
        key = key or f"key-{next(_numbers)}"
        facts = {
            "dedup_key": hashlib.sha256(key.encode()).hexdigest(),
            "event_key": key,
            "environment": "sandbox",
            "account": "shop",
            "name": name,
            "object": "transaction",
            "entity_id": entity_id,
            "status": status,
            "is_final": status in ("approved", "declined", "canceled", "deleted"),
            "is_paid": status == "approved",
            "source": "webhook",
            "body": b"{}",
            "body_sha256": "",
            "received_at": 1.0,
        }
        shown = ("amount", "currency_id", "currency", "merchant_reference")
        # What its object shows; nothing about the sum where a test says nothing of it.
        entity = {name: changes.pop(name) for name in shown if name in changes}
        return NewEvent(**{**facts, "entity": entity, **changes})

    return make


@pytest.fixture(params=["sqlite", "postgres"])
def db_url(request):
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def written_by(db_url):
    """Make the database as an earlier version of the schema has left it, with these rows."""

    def write(version, rows):
        dialect = "sqlite" if db_url.startswith("sqlite") else "postgres"
        schema = Path(__file__).with_name(f"schema_{version}_{dialect}.sql").read_text(encoding="utf-8")
        if dialect == "sqlite":
            path = Path(db_url[len("sqlite:///") :])
            path.parent.mkdir(mode=0o700)
            path.touch(mode=0o600)
            with contextlib.closing(sqlite3.connect(path)) as database:
                database.executescript(schema + ";".join(rows))
            return
        psycopg2 = pytest.importorskip("psycopg2")
        with contextlib.closing(psycopg2.connect(db_url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(schema + ";".join(rows))

    return write


@pytest.fixture
def make_store(db_url, clock):
    made = []

    def make():
        made.append(Store(db_url, ServerClock(clock) if db_url.startswith("postgresql:") else clock))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def store(make_store):
    return make_store()


@pytest.fixture
def second(make_store):
    """Another process's view of the same database."""
    return make_store()


@pytest.fixture
def claim():
    """Claim with the arguments of a plain shop."""
    return claims.claim


@pytest.fixture
def listen():
    """Open a listen with the arguments of a plain wait."""

    def listen(store, transaction_id="100", **changes):
        facts = {"account": "shop", "timeout": 600.0, "delete_at_deadline": False, "owner": "A", "lease": 60.0}
        return store.listens.open("sandbox", transaction_id, **{**facts, **changes})

    return listen
