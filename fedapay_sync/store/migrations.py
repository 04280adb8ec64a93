"""Migrations: from the tables of an earlier version to those of this one, in one transaction."""

from typing import Any, Optional, Sequence, Tuple

import peewee

from fedapay_sync.common.logging import get_logger
from fedapay_sync.errors import StoreError
from fedapay_sync.store.database import Database
from fedapay_sync.store.tables import COMPATIBLE_FROM, SCHEMA_VERSION, TABLES, MetaRow

log = get_logger(__name__)

EMPTIED = (
    "La base a été vidée pendant que ce programme tournait. Remettre une copie en place, ou redémarrer le programme "
    "pour repartir d'une base neuve."
)
#: What every transaction that writes begins with, its row for ``check_compatible``.
COMPATIBILITY = "SELECT schema_version, compatible_from FROM fp_meta"
#: What leads to each version from the one before: statements that every database accepts. New tables and indexes are
#: not among them, those are made wherever they are missing.
STEPS: Tuple[Tuple[int, Sequence[str]], ...] = (
    (
        2,
        (
            "ALTER TABLE fp_payment ADD COLUMN run_after DOUBLE PRECISION DEFAULT 0",
            "ALTER TABLE fp_payment ADD COLUMN looks INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE fp_payment ADD COLUMN absent_at DOUBLE PRECISION",
            "UPDATE fp_payment SET run_after = NULL WHERE state = 'failed'",
        ),
    ),
    # An index only.
    (3, ()),
    (
        4,
        (
            "ALTER TABLE fp_event ADD COLUMN kind VARCHAR(12) NOT NULL DEFAULT 'fact' "
            "CHECK (kind IN ('fact','unconfirmed','unreadable'))",
            "ALTER TABLE fp_event ADD COLUMN known SMALLINT NOT NULL DEFAULT 0 CHECK (known IN (0,1))",
            "ALTER TABLE fp_payment ADD COLUMN traits TEXT",
            "ALTER TABLE fp_payment ADD COLUMN accepted_at DOUBLE PRECISION",
            # Until then the name and the key of an event said what it is.
            "UPDATE fp_event SET kind = 'unreadable' "
            "WHERE name = 'unreadable' AND entity_id = substr(body_sha256, 1, 16)",
            "UPDATE fp_event SET kind = 'unconfirmed' WHERE is_final = 0 "
            "AND replace(event_key, ':unconfirmed:' || substr(body_sha256, 1, 16), '') <> event_key",
            "UPDATE fp_event SET known = 1 WHERE object = 'transaction' AND EXISTS (SELECT 1 FROM fp_payment "
            "WHERE fp_payment.environment = fp_event.environment AND fp_payment.transaction_id = fp_event.entity_id)",
        ),
    ),
    # And a table.
    (5, ("ALTER TABLE fp_meta ADD COLUMN compatible_from INTEGER NOT NULL DEFAULT 0",)),
    # And tables. What is owed is given to the callbacks that a program has once it begins to work. Another index has
    # taken the place of this one.
    (6, ("DROP INDEX IF EXISTS paymentrow_transaction_id",)),
)


def migrate(database: Database, *, again: bool = False) -> None:
    """
    Make the tables, or lead those that are there to the present version, inside the caller's transaction. Those of a
    newer version stay as they are.

    Args:
        again: this process has had the database open before.

    Raises:
        StoreError: a newer version has made tables that this one cannot work with, or the tables are gone.
    """
    stored = _stored_version(database)
    if stored is None and again:
        # New ones, made in silence, would hide that what was confirmed is lost.
        raise StoreError(EMPTIED)
    if stored is not None and stored >= SCHEMA_VERSION:
        check_compatible(database.execute_sql(COMPATIBILITY).fetchone())
        return
    if stored is not None:
        # Programs that have it open go on writing. Without this, they and we would each wait for a table of the other.
        database.lock_out_writers()
        log.warning(
            "the database goes from schema %d to %d; programs made for a schema before %d can no longer use it",
            stored, SCHEMA_VERSION, COMPATIBLE_FROM,
        )  # fmt: skip
        for version, statements in STEPS:
            for statement in statements if version > stored else ():
                database.execute_sql(statement)
    for table in TABLES:
        peewee.SchemaManager(table, database).create_all(safe=True)
    write = MetaRow.insert if stored is None else MetaRow.update
    write(schema_version=SCHEMA_VERSION, compatible_from=COMPATIBLE_FROM).execute(database)


def check_compatible(row: Optional[Sequence[Any]]) -> None:
    """
    Asked at the start and in each transaction: a newer version may come while this one runs.

    Args:
        row: what ``COMPATIBILITY`` gives.

    Raises:
        StoreError: this version cannot work with those tables any more.
    """
    if row is None:
        raise StoreError(EMPTIED)
    stored, compatible_from = row
    if compatible_from > SCHEMA_VERSION:
        raise StoreError(
            f"La base a été écrite par une version plus récente de fedapay_sync (schéma {stored}, utilisable à partir "
            f"du schéma {compatible_from} ; celui-ci connaît {SCHEMA_VERSION}). Mettre fedapay_sync à jour et "
            "redémarrer ce programme, ou donner une autre base."
        )


def _stored_version(database: Database) -> Optional[int]:
    """The version of the tables; None where there are none yet."""
    if not database.has_tables():
        return None
    version: Optional[int] = MetaRow.select(MetaRow.schema_version).scalar(database)
    return version
