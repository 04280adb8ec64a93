"""The callbacks of one process by their names, which the database is told of as the work begins and from then on."""

from typing import Any, Callable, Collection, Dict, FrozenSet, List, NamedTuple, Tuple

from fedapay_sync.common.logging import get_logger
from fedapay_sync.errors import StoreError
from fedapay_sync.store import StoredEvent
from fedapay_sync.store.callback_records import CALLBACK_BEAT, CallbackName, Wanted
from fedapay_sync.store.states import TOLD_KINDS, CallbackKind
from fedapay_sync.workflow.context import Context

log = get_logger(__name__)

#: A callback that is gone and is owed events is named in the log so often, in seconds.
_TELL_INTERVAL = 3600.0


class NamedCallback(NamedTuple):
    """
    A callback of this process.

    Attributes:
        handler: what is called with the stored event.
        function: gives the program's function, which the handler calls, for the log.
    """

    name: CallbackName
    handler: Callable[[StoredEvent], Any]
    function: Callable[[], Any]


class CallbackNames:
    """
    The callbacks of one connector. Without a lock: registering twice is registering once.
    """

    def __init__(self, context: Context) -> None:
        self._config, self._store, self._clock, _ = context
        self._callbacks: Dict[str, NamedCallback] = {}
        #: The rows of these names, one for each account; and those of before, of which a call may still be held.
        self._numbers: Dict[int, str] = {}
        self._all_numbers: Dict[int, str] = {}
        self._is_registered = False
        self._beat_due = float("-inf")
        self._told: Dict[Tuple[str, str], float] = {}

    def __bool__(self) -> bool:
        return bool(self._callbacks)

    def set(self, callback: NamedCallback) -> None:
        """Have that callback from now on, in place of the one that had its name."""
        self._callbacks[callback.name.name] = callback
        self._is_registered = False

    def has(self, kind: CallbackKind) -> bool:
        """Whether there is a callback of that kind."""
        return kind in self.kinds()

    def kinds(self) -> FrozenSet[CallbackKind]:
        """The kinds that there are callbacks of."""
        return frozenset(each.name.kind for each in list(self._callbacks.values()))

    def of(self, work: StoredEvent) -> NamedCallback:
        """
        The callback that is to be called.

        Raises:
            LookupError: this process does not have it.
        """
        return self._callbacks[self._all_numbers[work.callback or 0]]

    def wanted(self) -> Wanted:
        """
        The work of these callbacks; the database is told that this process has them, where it does not know by now.

        Raises:
            StoreError: the database cannot be told now.
        """
        if not self._is_registered:
            self._register()
        elif self._clock.monotonic() >= self._beat_due:
            self._beat()
        return self._wanted(self._numbers)

    def told(self) -> List[int]:
        """
        The numbers of those that are called with what FedaPay tells; none where the database does not know by now that
        this process has them, or is to be told again.
        """
        if not self._is_registered or self._clock.monotonic() >= self._beat_due:
            return []
        numbers = list(self._numbers.items())
        return [number for number, name in numbers if self._callbacks[name].name.kind in TOLD_KINDS]

    def seen(self) -> Wanted:
        """The same by what the database knows of these names already, which it is not told."""
        if self._is_registered:
            return self._wanted(self._numbers)
        known = self._store.callback_names.all(self._config.environment, self._config.accounts)
        # A name that was given up stands for another, and what a former name is owed will be owed to the present one.
        mine = {name for each in list(self._callbacks.values()) for name in (each.name.name, *each.name.former)}
        stood_for = {(each.account, each.same_as or each.name) for each in known if each.name in mine}
        return self._wanted([each.id for each in known if (each.account, each.name) in stood_for])

    def _wanted(self, numbers: Collection[int]) -> Wanted:
        return Wanted(self._config.environment, self._config.accounts, self.kinds(), list(numbers))

    def _register(self) -> None:
        # Before the names are read: one that comes meanwhile is registered next time.
        self._is_registered = True
        names: List[CallbackName] = [each.name for each in list(self._callbacks.values())]
        try:
            config = self._config
            self._numbers = self._store.callback_names.register(config.environment, config.accounts, names)
            self._all_numbers.update(self._numbers)
        except BaseException:
            self._is_registered = False
            raise
        self._beat_due = self._clock.monotonic() + CALLBACK_BEAT

    def _beat(self) -> None:
        # Before it is done: what fails is not to be done again at once.
        self._beat_due = self._clock.monotonic() + CALLBACK_BEAT
        if not self._store.callback_names.beat(list(self._numbers)):
            log.warning("a callback of this process was renamed or dropped; registering it again")
            self._register()
        try:
            self._tell_of_those_gone()
        except StoreError as error:
            log.warning("whether callbacks are gone cannot be read: %s", error)

    def _tell_of_those_gone(self) -> None:
        now = self._store.clock.now()
        # Of other accounts, too: what is owed under a key that was replaced is another account's, and no program's.
        for each in self._store.callback_names.all(self._config.environment):
            due = self._told.get((each.account, each.name), float("-inf"))
            if not each.is_gone(now) or self._clock.monotonic() < due:
                continue
            self._told[each.account, each.name] = self._clock.monotonic() + _TELL_INTERVAL
            if each.account not in self._config.accounts:
                log.error(
                    "callback %s is owed %d events under an API key that this program does not have, and no process "
                    "has registered it for %.0f minutes: if the key was replaced, give the earlier one with api_keys",
                    each.name, each.owed, (now - each.seen_at) / 60,
                )  # fmt: skip
            else:
                log.error(
                    "callback %s is owed %d events, and no process has registered it for %.0f minutes: "
                    'start one that does, give it to another with name=("new", %r), '
                    "or cancel them with fedapay-sync callbacks drop",
                    each.name, each.owed, (now - each.seen_at) / 60, each.name,
                )  # fmt: skip
