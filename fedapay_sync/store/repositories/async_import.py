"""Import of what the asynchronous connector has left: its tables may lie beside ours."""

from pathlib import Path
from typing import Any, List, Tuple

from fedapay_sync.store.database import Database
from fedapay_sync.store.repositories.repository import Repository
from fedapay_sync.store.repositories.rows import listen_row
from fedapay_sync.store.states import ListenState
from fedapay_sync.store.tables import ListenRow


class AsyncImportRepository(Repository):
    """What others left is read, and never changed."""

    def is_at(self, path: Path) -> bool:
        """Whether that file is our own."""
        try:
            return self._engine.path is not None and self._engine.path.samefile(path)
        except OSError:
            return False

    def foreign_rows(self, table: str, query: str) -> List[Tuple[Any, ...]]:
        """What that query of a table in our file, but not ours, gives; nothing where there is no such table."""

        def read(database: Database) -> List[Tuple[Any, ...]]:
            return list(database.execute_sql(query).fetchall()) if database.table_exists(table) else []

        return self._engine.read(read) if self._engine.path is not None else []

    def import_listen(
        self, environment: str, transaction_id: str, *, account: str, timeout: float, began: float
    ) -> bool:
        """Store a wait that began elsewhere, to be restored; false if the transaction has one here."""

        def remember(database: Database) -> bool:
            if listen_row(database, environment, transaction_id) is not None:
                return False
            ListenRow.insert(
                environment=environment,
                transaction_id=transaction_id,
                account=account,
                state=ListenState.pending,
                deadline=began + timeout,
                timeout=timeout,
                delete_at_deadline=0,
                owed=1,
                # Its end is told under this stamp: once, however often it is imported.
                created_at=began,
            ).execute(database)
            return True

        return self._engine.write(remember)
