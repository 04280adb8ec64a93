"""
Imports the database of the asynchronous connector (``fedapay_connector`` 2.0): what it waits for is waited for here.

Its database has one table with a row for each wait: the transaction, the webhooks received so far as JSON, and when it
began. It is only read; when it began makes the key, so that reading it again, years later, changes nothing.
"""

import contextlib
import json
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, List, Tuple

from fedapay_sync.common.logging import get_logger
from fedapay_sync.errors import EventError, StoreError
from fedapay_sync.workflow.context import Context
from fedapay_sync.workflow.webhooks.inbox import Inbox

log = get_logger(__name__)

_TABLE = "StoredListeningProcess"
# In quotes: PostgreSQL would fold the capitals.
_QUERY = (
    f'SELECT "{_TABLE}_transaction_id", "{_TABLE}_process_data", "{_TABLE}_created_at" FROM "{_TABLE}" '
    'ORDER BY "StoredEventWaitingProcess_id"'
)
#: Its waits last so long; how long one was to last is not in its database. In seconds.
_TIMEOUT = 600.0

_Row = Tuple[Any, ...]


class AsyncImport:
    """Imports the waits and webhooks that the asynchronous connector left."""

    def __init__(self, context: Context, inbox: Inbox) -> None:
        self._config = context.config
        self._store = context.store
        self._inbox = inbox

    def import_own(self) -> int:
        """Take over what lies in our own file: both packages keep it in the same place by default."""
        return self._import(self._store.async_import.foreign_rows(_TABLE, _QUERY))

    def import_file(self, path: Path) -> int:
        """
        Take over what lies in another file; how many waits are new.

        Raises:
            StoreError: there is no such file, or it is not such a database.
        """
        if self._store.async_import.is_at(path):
            return self.import_own()
        if not path.is_file():
            raise StoreError(f"{path} n'existe pas. Donner la base du connecteur asynchrone, processes.db.")
        import sqlite3  # lazily: a program that imports nothing needs no second way to a database

        try:
            uri = f"{path.absolute().as_uri()}?mode=ro"
            with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=10)) as database:
                rows = database.execute(_QUERY).fetchall()
        except sqlite3.Error as error:
            raise StoreError(
                f"{path} n'est pas une base du connecteur asynchrone, ou ne se lit pas ({error}). Donner son fichier "
                "processes.db, ce connecteur étant arrêté."
            ) from None
        return self._import(rows)

    def _import(self, rows: List[_Row]) -> int:
        count = 0
        for row in rows:
            try:
                count += self._import_row(*row)
            except StoreError as error:
                if not error.permanent:
                    raise
                # An id that is none, for example: those behind it are waits all the same.
                log.error("a row of the asynchronous database is refused by ours, going on: %s", error)
        if count:
            log.info("%d waits of the asynchronous connector taken over", count)
        return count

    def _import_row(self, transaction_id: Any, data: Any, created: Any) -> bool:
        """Take one wait over, with its webhooks; whether it is new."""
        # The wait first: if we die here, reading the file again finds the rest.
        new = self._store.async_import.import_listen(
            self._config.environment,
            str(transaction_id),
            account=self._config.account,
            timeout=_TIMEOUT,
            began=_began(created),
        )
        for event in _webhooks(transaction_id, data):
            try:
                self._inbox.save(event)
            except EventError as error:
                log.error("a webhook of %s in the asynchronous database cannot be kept: %s", transaction_id, error)
        return new


def _webhooks(transaction_id: Any, data: Any) -> List[Mapping[str, Any]]:
    try:
        received = json.loads(data or "{}").get("received_webhooks") or []
        return [event for event in received if isinstance(event, Mapping)]
    except (ValueError, AttributeError, RecursionError) as error:
        log.error("the row of %s in the asynchronous database cannot be read: %s", transaction_id, type(error).__name__)
        return []


def _began(created: Any) -> float:
    """Its stamp, UTC without saying so, as seconds since 1970; 0 if it is none, and then the wait is due at once."""
    try:
        read = created if isinstance(created, datetime) else datetime.fromisoformat(str(created))
    except ValueError:
        return 0.0
    return read.replace(tzinfo=timezone.utc).timestamp()
