"""ShopData: the tables and logs of one shop, and atomic steps that are kept whole or undone."""

from contextlib import contextmanager
from typing import Callable, Dict, Iterator, List, Optional

from fedapay_sync.emulator.domain.rules import ACCOUNT, Rules
from fedapay_sync.emulator.http import serializers
from fedapay_sync.emulator.http.serializers import Record, stamp
from fedapay_sync.emulator.storage.append_log import AppendLog
from fedapay_sync.emulator.storage.context import EmulatorContext
from fedapay_sync.emulator.storage.state_file import ENVIRONMENT_KIND, State
from fedapay_sync.emulator.storage.table import Table
from fedapay_sync.errors import ConfigError

#: Called for each event, under the lock of the data: (name, kind of object, its id, entity, full answer).
EventListener = Callable[[str, str, int, Record, Record], None]

_KEPT_EVENTS = 50_000


class ShopData:
    """
    The records of one shop in one environment.

    Args:
        account: the shop, in the short form that webhooks carry.
    """

    def __init__(
        self,
        rules: Rules,
        context: EmulatorContext,
        on_event: EventListener,
        *,
        state: Optional[State] = None,
        account: Optional[Record] = None,
    ) -> None:
        self.context = context
        self.lock = context.lock
        self.rules = rules
        self.clock = context.clock
        self.base_url = context.base_url
        self.next_id = context.next_id
        self.settings = context.settings
        self.state = context.file if state is None else state
        self.account: Record = account or ACCOUNT
        self._on_event = on_event
        #: The account that acts in the call being answered.
        self.account_id: int = self.account["id"]
        self._tables: Dict[str, Table] = {}
        self._append_logs: List[AppendLog] = []
        self._after_reload: List[Callable[[], object]] = []
        self._depth = 0
        self._stale = False
        self._claim_file()
        self.events = self.append_log("events", _KEPT_EVENTS)

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """
        One step: what is changed inside is kept as a whole. A step inside a step is part of it.

        Raises:
            ConfigError: the file refused some of it; then neither the file nor memory has any.
        """
        with self.lock:
            if self._depth == 0:
                if self._stale:
                    self.reload()
                self.state.begin()
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self._commit()

    @contextmanager
    def acting_as(self, account_id: Optional[int]) -> Iterator[None]:
        """Hold the lock; what is made inside belongs to that account, or else to the first one."""
        with self.lock:
            self.account_id = account_id or self.account["id"]
            try:
                yield
            finally:
                self.account_id = self.account["id"]

    def on_reload(self, action: Callable[[], object]) -> None:
        """Register what to do when the records were read anew because the file refused a step."""
        self._after_reload.append(action)

    def table(self, kind: str, *unique: str) -> Table:
        """The table of that kind, always the same one; ``unique`` are fields to find by at once."""
        with self.lock:
            if kind not in self._tables:
                self._tables[kind] = Table(kind, self.state, *unique)
            self._tables[kind].find_by(*unique)
            return self._tables[kind]

    def append_log(self, kind: str, kept: int) -> AppendLog:
        """A new log of that kind."""
        append_log = AppendLog(kind, self.state, kept)
        self._append_logs.append(append_log)
        return append_log

    def publish(self, name: str, kind: str, number: int, entity: Record, answer: Record) -> None:
        """Add the event to the log, and call the listener."""
        with self.lock:
            # Serialized now: the record behind the entity goes on changing.
            text = serializers.compact(entity)
            account_id = entity.get("account_id") or self.account["id"]
            self.events.add(self.stamp(), account_id, type=name, entity=text, object_id=number, object=kind)
            self._on_event(name, kind, number, entity, answer)

    def reopen(self) -> None:
        """Read all anew, from a file that was closed and opened again."""
        with self.lock:
            self._claim_file()
            self._load()

    def clear(self) -> None:
        """Forget everything; the caller empties the file, and calls this for each shop of it."""
        with self.lock:
            for table in self._tables.values():
                table.clear()
            for append_log in self._append_logs:
                append_log.clear()
            self._claim_file()
            for action in self._after_reload:
                action()

    def reload(self) -> None:
        """Replace what is in memory by what is in the file."""
        with self.lock:
            self._load()
            self._stale = False
            for action in self._after_reload:
                action()

    def now(self) -> float:
        """Seconds since 1970 by the emulator's clock."""
        return self.clock.now()

    def stamp(self) -> str:
        """Now, as FedaPay writes it."""
        return stamp(self.now())

    def touch(self, record: Record) -> str:
        """A new ``updated_at``, later than the last: two facts never carry one stamp."""
        record["touched"] = max(self.now(), record["touched"] + 0.001)
        record["updated_at"] = stamp(record["touched"])
        return str(record["updated_at"])

    def _commit(self) -> None:
        try:
            self.state.end()
        except ConfigError:
            # Ids are not reused: a timer of the undone step finds no record.
            self._stale = True
            self.reload()
            raise

    def _load(self) -> None:
        for table in self._tables.values():
            table.load()
        for append_log in self._append_logs:
            append_log.load()

    def _claim_file(self) -> None:
        """Mark the file as of this environment, or refuse one of the other: at FedaPay too the two share nothing."""
        mine = self.rules.environment.value
        claimed = next((each["environment"] for each in self.state.read(ENVIRONMENT_KIND)), mine)
        if claimed != mine:
            self.state.close()
            raise ConfigError(
                f"Ce fichier d'état a été fait avec une clé sk_{claimed}_… : le rouvrir avec une clé sk_{mine}_… "
                "mélangerait les deux environnements. Donner un autre chemin, ou une clé du même environnement."
            )
        self.state.write(ENVIRONMENT_KIND, 1, {"id": 1, "environment": mine})
