"""A rolling deployment: a process of the old version beside one of the new version that has led the database over."""

import sqlite3
from contextlib import closing

import pytest
from support.shops import Shop, rows

from fedapay_sync.store import Store
from fedapay_sync.store.tables import SCHEMA_VERSION

NEXT = SCHEMA_VERSION + 1


@pytest.fixture
def shop(emulator, db_url, free_port, tmp_path):
    shop = Shop(emulator, db_url, free_port, tmp_path)
    yield shop
    if shop.process is not None:
        shop.kill()


def change(db_url, *statements):
    """As the migration of another version does it: on PostgreSQL in its turn, or it deadlocks with who writes."""
    if db_url.startswith("sqlite"):
        connection = sqlite3.connect(db_url[len("sqlite:///") :])
    else:
        connection = pytest.importorskip("psycopg2").connect(db_url)
        statements = ("LOCK TABLE fp_meta IN EXCLUSIVE MODE", *statements)
    with closing(connection), closing(connection.cursor()) as cursor:
        for statement in statements:
            cursor.execute(statement)
        connection.commit()


def test_the_old_process_takes_webhooks_beside_the_new_one_and_after_its_own_restart(shop, db_url, eventually):
    """
    As long as the database says that it may; then it refuses, and FedaPay repeats to the new one.
    """
    shop.start()
    assert shop.deliver(1) == 200
    change(
        db_url,
        "ALTER TABLE fp_event ADD COLUMN shade VARCHAR(9) NOT NULL DEFAULT 'grey'",
        f"UPDATE fp_meta SET schema_version = {NEXT}, compatible_from = {SCHEMA_VERSION}",
    )
    assert shop.deliver(2) == 200
    store = Store(db_url)
    # Killed in the midst of a callback it would call that again, rightly.
    eventually(lambda: rows(store, "SELECT work_state FROM fp_event") == [("done",)] * 2)
    shop.kill()
    shop.start()
    assert shop.deliver(3) == 200
    eventually(lambda: shop.told() == {1: 1, 2: 1, 3: 1})

    change(db_url, f"UPDATE fp_meta SET compatible_from = {NEXT}")
    assert shop.deliver(4) == 503
    assert f"utilisable à partir du schéma {NEXT}" in shop.said()
    change(db_url, f"UPDATE fp_meta SET compatible_from = {SCHEMA_VERSION}")
    assert shop.deliver(4) == 200
    assert rows(store, "SELECT schema_version FROM fp_meta") == [(NEXT,)]
    store.close()
