"""Programs of two versions on one database: the older one goes on where the newer one says that it can."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from support.shops import rows

from fedapay_sync.errors import StoreError
from fedapay_sync.store.tables import COMPATIBLE_FROM, SCHEMA_VERSION

NEXT = SCHEMA_VERSION + 1
EVENT_4 = (
    "INSERT INTO fp_event (dedup_key, event_key, environment, account, name, object, entity_id, status, is_final, "
    "late, suspect, repeats, source, body, body_sha256, received_at, work_state) VALUES ('a', 'a', 'sandbox', 'shop', "
    "'transaction.approved', 'transaction', '7', 'approved', 1, 0, 0, 0, 'webhook', '', '', 1, 'ready')"
)


def lead_over(store, compatible_from):
    """What a program of the next version does at its start: a column, an index, a table, and what it says of them."""

    def migrate(database):
        for statement in (
            "ALTER TABLE fp_event ADD COLUMN shade VARCHAR(9) NOT NULL DEFAULT 'grey'",
            "CREATE INDEX fp_event_shade ON fp_event (shade)",
            "CREATE TABLE fp_shade (name VARCHAR(9) NOT NULL)",
            f"UPDATE fp_meta SET schema_version = {NEXT}, compatible_from = {compatible_from}",
        ):
            database.execute_sql(statement)

    store.write(migrate)


def versions(store):
    return rows(store, "SELECT schema_version, compatible_from FROM fp_meta")


def test_a_database_of_version_4_says_which_programs_it_is_for(written_by, make_store, caplog):
    """
    Until 1.0.0 a migration is one way, and the log says so; what was owed is owed.
    """
    written_by(4, [EVENT_4, "INSERT INTO fp_meta (schema_version) VALUES (4)"])
    store = make_store()
    store.open()

    assert versions(store) == [(SCHEMA_VERSION, COMPATIBLE_FROM)]
    assert rows(store, "SELECT entity_id, work_state FROM fp_event") == [("7", "ready")]
    (said,) = [each.getMessage() for each in caplog.records if "goes from schema" in each.getMessage()]
    assert f"4 to {SCHEMA_VERSION}" in said and f"before {COMPATIBLE_FROM} " in said


def test_a_new_database_says_it_too(store):
    store.open()
    assert versions(store) == [(SCHEMA_VERSION, COMPATIBLE_FROM)]


def test_an_older_program_goes_on_where_the_newer_one_allows_it(store, make_store, make_event, claim, listen):
    """
    The one that has the database open while it is led over, and one that is started afterwards; neither leads it back.
    """
    store.events.accept(make_event("1"))
    lead_over(make_store(), SCHEMA_VERSION)

    assert store.events.accept(make_event("2")).new
    started = make_store()
    assert started.events.accept(make_event("3")).new
    listen(started, "4")
    assert {work.entity_id for work in claim(started)} == {"1", "2", "3"}
    assert versions(started) == [(NEXT, SCHEMA_VERSION)]


def test_an_older_program_stops_writing_where_it_cannot_go_on(store, make_store, make_event):
    """
    At its next write, before it spoils what it does not understand; so does one that is started then. What the older
    one confirmed before is there for the newer one.
    """
    store.events.accept(make_event("1"))
    newer = make_store()
    lead_over(newer, NEXT)

    for older in (store, store, make_store()):
        with pytest.raises(StoreError, match=f"plus récente.*à partir du schéma {NEXT}.*Mettre fedapay_sync à jour"):
            older.events.accept(make_event("2"))
    assert rows(store, "SELECT entity_id FROM fp_event") == [("1",)]


@pytest.mark.parametrize("db_url", ["postgres"], indirect=True)
def test_a_migration_and_a_program_that_writes_do_not_wait_for_each_other(written_by, make_store, db_url, eventually):
    """
    An older program is in the midst of a transaction: the migration lets it end, and touches no table before.
    """
    written_by(3, ["INSERT INTO fp_meta (schema_version) VALUES (3)"])
    psycopg2 = pytest.importorskip("psycopg2")
    older, store = psycopg2.connect(db_url), make_store()
    try:
        writing = older.cursor()
        writing.execute("LOCK TABLE fp_meta IN EXCLUSIVE MODE")
        with ThreadPoolExecutor(1) as pool:
            opening = pool.submit(store.open)
            eventually(lambda: waits_for_a_lock(writing))
            writing.execute(EVENT_4)
            older.commit()
            opening.result(10)
    finally:
        older.close()
    assert rows(store, "SELECT entity_id FROM fp_event") == [("7",)]


def waits_for_a_lock(cursor):
    cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'fp_meta'::regclass")
    return cursor.fetchone()[0]
