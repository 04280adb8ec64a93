"""
An hour of shops in a moment: the services that read statuses, of several processes on one database, on a clock that is
moved, and a FedaPay that answers at once. Nothing runs on a thread of its own but the writer, so it is the same each
time.
"""

import bisect
import contextlib
import heapq
import itertools
from typing import Any, Dict, List

from fedapay_sync.common.clock import Clock
from fedapay_sync.common.config import read_config
from fedapay_sync.errors import BadRequest, NotFound
from fedapay_sync.models import Transaction
from fedapay_sync.models.pagination import PagedList
from fedapay_sync.store import Store
from fedapay_sync.workflow.callbacks.held_works import HeldWorks
from fedapay_sync.workflow.context import Context
from fedapay_sync.workflow.reconciliation.adoption import Adoption
from fedapay_sync.workflow.reconciliation.keyring import Keyring
from fedapay_sync.workflow.reconciliation.poll_budget import PollBudget
from fedapay_sync.workflow.reconciliation.polling_policy import PollingPolicy
from fedapay_sync.workflow.reconciliation.reconciler import Reconciler
from fedapay_sync.workflow.reconciliation.status_reader import StatusReader
from fedapay_sync.workflow.waits.deadlines import Deadlines
from fedapay_sync.workflow.waits.listens import Listens
from fedapay_sync.workflow.waits.outcomes import OutcomeReader
from fedapay_sync.workflow.waits.status_lookup import StatusLookup
from fedapay_sync.workflow.waits.status_polling import StatusPolling
from fedapay_sync.workflow.waits.waiters import WaiterRegistry
from fedapay_sync.workflow.webhooks.inbox import Inbox

KEY = "sk_sandbox_simulation"


class World(Clock):
    """The time of all processes, and what is due when. Actions run one after the other, at their time."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0
        self._due: List[Any] = []
        self._order = itertools.count()

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def at(self, seconds: float, action: Any) -> None:
        heapq.heappush(self._due, (self.time + max(0.0, seconds), next(self._order), action))

    def run(self, seconds: float) -> None:
        """Let that much time pass."""
        end = self.time + seconds
        while self._due and self._due[0][0] <= end:
            self.time, _, action = heapq.heappop(self._due)
            action()
        self.time = end


class _Timer:
    def __init__(self, action: Any) -> None:
        self.action = action

    def cancel(self) -> None:
        self.action = None

    def __call__(self) -> None:
        if self.action is not None:
            self.action()


class WorldNotifier:
    """The timers of a process; nobody has to be woken, as nobody waits."""

    def __init__(self, world: World) -> None:
        self._world = world

    def call_later(self, seconds: float, action: Any, pool: Any = None) -> _Timer:
        timer = _Timer(action)
        self._world.at(seconds, timer)
        return timer

    def subscribe_all(self, subscriptions: Any) -> None:
        list(subscriptions)

    def unsubscribe(self, key: str, subscriber: Any) -> None:
        pass

    def notify(self, key: str) -> None:
        pass


class Fedapay:
    """
    Transactions by number, and every reading of them.

    Attributes:
        readings: when each was made, and what it asked for: a number, or a page.
        shown: when each transaction was shown first.
    """

    def __init__(self, world: World, page_size: int) -> None:
        self._world = world
        self._page_size = page_size
        self.statuses: Dict[int, str] = {}
        self._numbers: List[int] = []
        self.readings: List[Any] = []
        self.shown: Dict[int, float] = {}
        self.list_is_refused = self.include_is_refused = False

    def add(self, number: int, status: str = "pending") -> None:
        self.statuses[number] = status
        bisect.insort(self._numbers, number)

    def hide(self, number: int) -> None:
        """Show it in no list any more."""
        self._numbers.remove(number)

    def retrieve(self, number: str, **asked: Any) -> Transaction:
        self.readings.append((self._world.time, int(number)))
        if int(number) not in self.statuses:
            raise NotFound("unknown", status=404)
        return self._show(int(number))

    def list(self, *, page: int, per_page: int = 25, include: str = "", **asked: Any) -> PagedList[Transaction]:
        self.readings.append((self._world.time, f"page {page}"))
        if self.list_is_refused or (include and self.include_is_refused):
            raise BadRequest("refused", status=400)
        size = min(per_page, self._page_size)
        count = len(self._numbers)
        numbers = self._numbers[max(0, count - page * size) : max(0, count - (page - 1) * size)]
        meta = {
            "current_page": page, "next_page": page + 1 if count > page * size else None, "per_page": size,
            "total_count": count,
        }  # fmt: skip
        return PagedList("transactions", [self._show(each) for each in reversed(numbers)], meta, lambda number: None)

    def busiest_second(self) -> int:
        """The most readings in any second."""
        times = [time for time, _ in self.readings]
        return max(bisect.bisect_left(times, time + 1.0 - 1e-6) - place for place, time in enumerate(times))

    def _show(self, number: int) -> Transaction:
        self.shown.setdefault(number, self._world.time)
        status = self.statuses[number]
        stamp = {f"{status}_at": "2026-11-29T12:00:00.000Z"} if status != "pending" else {}
        return Transaction.from_dict({
            "klass": "v1/transaction", "id": number, "status": status, "amount": 500, "currency_id": 1,
            "created_at": "2026-11-29T11:00:00.000Z", **stamp,
        })  # fmt: skip


class _Nothing:
    """Stands where nothing is to happen: callbacks to call, missed events to read."""

    held = HeldWorks(1)

    def claiming(self) -> Any:
        return contextlib.nullcontext()

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **named: None


class _Api:
    def __init__(self, fedapay: Fedapay) -> None:
        self.transactions = fedapay


class Process:
    """The services of one process that read statuses, wired as in ``connector.Runtime``."""

    def __init__(self, world: World, fedapay: Fedapay, db_url: str, name: str) -> None:
        config = read_config({
            "fedapay_api_url": "http://127.0.0.1:9", "use_listen_server": False, "listen_server_endpoint_name": None,
            "listen_server_port": 0, "fedapay_webhooks_secret_key": None, "print_log_to_console": False,
            "save_log_to_file": False, "callback_timeout": 1, "db_url": db_url, "api_key": KEY, "host": "127.0.0.1",
            "on_timeout": "keep", "api_keys": (), "confirm_with_api": False, "keep_bodies_days": None, "poll_rate": 5,
            "callbacks": "here",
        })  # fmt: skip
        self.config = config
        self.store = Store(db_url, world)
        context = Context(config, self.store, world, name)
        notifier: Any = WorldNotifier(world)
        api: Any = _Api(fedapay)
        nothing: Any = _Nothing()
        policy = PollingPolicy()
        inbox = Inbox(context, notifier, nothing)
        keyring = Keyring(context)
        outcomes = OutcomeReader(context)
        adoption = Adoption(context, api, policy)
        statuses = StatusReader(api, keyring, inbox, adoption)
        self.budget = PollBudget(context, notifier)
        waits = WaiterRegistry(context, notifier, outcomes)
        deadlines = Deadlines(context, api, notifier, statuses, nothing, waits, self.budget)
        polling = StatusPolling(context, notifier, statuses, policy, deadlines, waits, self.budget)
        lookup = StatusLookup(context, statuses, outcomes)
        self.listens = Listens(context, notifier, keyring, lookup, waits, polling)
        self.reconciler = Reconciler(context, api, notifier, keyring, statuses, nothing, adoption, policy, self.budget)

    def begin(self, number: int) -> None:
        """What ``pay`` leaves in the store, and the follow-up that it begins."""
        where = ("sandbox", self.config.account, f"CMD-{number}")
        poll_in = self.reconciler.schedule_first_poll(self.config.api_key)
        self.store.payments.add_intent(*where, amount=500, currency="XOF", poll_in=poll_in)
        self.store.payments.transition(*where, "created", transaction_id=number, poll_in=poll_in)
        self.store.payments.transition(*where, "sent", poll_in=poll_in)
