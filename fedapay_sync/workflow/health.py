"""The health check: what the database tells, read on a thread of its own, and what this process knows itself."""

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Callable, Collection, Dict, Iterable, List, Optional, Tuple

from fedapay_sync.common.logging import get_logger
from fedapay_sync.concurrency.daemon_thread import start_daemon
from fedapay_sync.concurrency.wake_event import WakeEvent
from fedapay_sync.enums import CallbackMode
from fedapay_sync.models.health import Health
from fedapay_sync.store.callback_records import CallbackName
from fedapay_sync.store.states import CallbackKind
from fedapay_sync.transport.transport import Transport
from fedapay_sync.workflow.callbacks.worker_processes import LONGEST_OWED
from fedapay_sync.workflow.context import Context
from fedapay_sync.workflow.reconciliation.reconciler import Reconciler

if TYPE_CHECKING:
    # Peewee is loaded when a database is opened, not by an import.
    from fedapay_sync.store.repositories.health import StoredHealth

log = get_logger(__name__)

#: The database is waited for so long, in seconds: less than the two that a check may take, as the rest takes time, too.
_PATIENCE = 1.7
#: Under which names what no callback is known for yet is counted; that of FedaPay's events is ``webhook``.
_UNCLAIMED = {CallbackKind.payment: "payment", CallbackKind.restored: "restored"}
#: The one key of the reading that is under way.
_READING = "reading"


class _Reading(WakeEvent):
    """One reading of the database, and what came of it: nothing if it failed. Set when it is over."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        super().__init__()
        self.found: Optional[StoredHealth] = None


class HealthCheck:
    """How a connector is in this process. A check starts no work, and asks FedaPay nothing."""

    def __init__(
        self,
        context: Context,
        reconciler: Reconciler,
        transports: Iterable[Transport],
        *,
        callbacks: Callable[[], Collection[CallbackName]],
    ) -> None:
        self._callbacks = callbacks
        self._config, self._store = context.config, context.store
        self._reconciler = reconciler
        self._transports = tuple(transports)
        # At most one entry: setdefault and pop are done or not, whatever other threads do.
        self._readings: Dict[str, _Reading] = {}

    def check(self) -> Health:
        """The health as it is now, within two seconds."""
        found, problems = self._read()
        leaves = self._config.callbacks == CallbackMode.WORKER
        mine = self._callbacks()
        names = {each.name for each in mine} | {_UNCLAIMED.get(each.kind, "webhook") for each in mine}
        for name, owed in (found.owed if found else {}).items():
            # To a program that has no function for it, and waits with finalise alone, it is owed for ever.
            if (name in names or leaves) and owed.oldest is not None and owed.oldest > LONGEST_OWED:
                problems.append(
                    f"Le callback « {name} » est dû depuis {owed.oldest / 60:.0f} minutes ({owed.count} en attente)."
                )
        for name, is_ours in found.gone if found else ():
            problems.append(_gone(name, is_ours=is_ours))
        if found is not None and not found.workers and leaves:
            problems.append("Aucun processus de travail ne vit : lancer fedapay-sync worker MODULE:NOM.")
        answers = [each.last_answer_at for each in self._transports if each.last_answer_at is not None]
        return Health(
            database=found is not None,
            working=self._reconciler.is_working,
            **{name: value for name, value in (found._asdict() if found else {}).items() if name != "gone"},
            last_answer_at=datetime.fromtimestamp(max(answers), timezone.utc) if answers else None,
            problems=tuple(problems),
        )

    def _read(self) -> "Tuple[Optional[StoredHealth], List[str]]":
        """What the database tells, or nothing and why."""
        try:
            reading = self._begun()
        except RuntimeError as error:
            log.error("no thread for the health check: %s", error)
            return None, ["Le système ne donne pas de thread pour interroger la base."]
        if not reading.wait(_PATIENCE):
            return None, ["La base n'a pas répondu en deux secondes."]
        if reading.found is None:
            return None, ["La base ne peut pas être lue ; le journal dit pourquoi."]
        return reading.found, []

    def _begun(self) -> _Reading:
        """The reading that is under way, or a new one: where the database hangs, threads must not gather."""
        made = _Reading()
        reading = self._readings.setdefault(_READING, made)
        if reading is made:
            try:
                start_daemon(lambda: self._run(made), "fedapay-health")
            except BaseException:
                self._end(made)
                raise
        return reading

    def _run(self, reading: _Reading) -> None:
        try:
            reading.found = self._store.health.read(self._config.environment, self._config.accounts)
        except Exception as error:  # edge of a thread: the check tells that there is nothing
            log.warning("the health check cannot read the database: %s", error)
        finally:
            self._end(reading)

    def _end(self, reading: _Reading) -> None:
        # Ctrl-C may have cut the wait for the start of a thread that runs all the same, beside a later one.
        if self._readings.get(_READING) is reading:
            self._readings.pop(_READING, None)
        reading.set()


def _gone(name: str, *, is_ours: bool) -> str:
    """That a callback is owed events, and that no process has it."""
    if not is_ours:
        return (
            f"Le callback « {name} » est dû sous une clé d'API que ce programme n'a pas, et aucun processus ne l'a "
            "enregistré depuis une heure : si la clé a été remplacée, donner l'ancienne dans api_keys."
        )
    return (
        f"Le callback « {name} » est dû, et aucun processus ne l'a enregistré depuis une heure : lancer le programme "
        f'qui l\'a, le renommer avec name=("nouveau", "{name}"), ou l\'abandonner avec fedapay-sync callbacks drop.'
    )
