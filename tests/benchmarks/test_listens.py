"""Ten thousand open listens: what it costs to begin, keep and restore them, and how late their deadlines are."""

import os
import threading
import time
from pathlib import Path

from support.stored_listens import make_known

from fedapay_sync.common.clock import SYSTEM_CLOCK
from fedapay_sync.common.config import read_config
from fedapay_sync.concurrency.commit_listener import CommitListener
from fedapay_sync.concurrency.notifier import Notifier
from fedapay_sync.store import NewEvent
from fedapay_sync.workflow.context import Context
from fedapay_sync.workflow.reconciliation.polling_policy import Pace
from fedapay_sync.workflow.waits.deadlines import Deadlines
from fedapay_sync.workflow.waits.waiters import PolledTransaction, Waiter

NEVER = Pace(first=10_000, factor=2, longest=10_000)
COUNT = 10_000
#: Beside other jobs, half as good is good enough.
ALLOWANCE = 2 if os.environ.get("CI") else 1


def approved(number, now):
    key = f"{number:064d}"
    return NewEvent(
        dedup_key=key, event_key=key, environment="sandbox", account="shop", name="transaction.approved",
        object="transaction", entity_id=str(number), status="approved", is_final=True, is_paid=True, source="webhook",
        body=b"{}", body_sha256="", received_at=now,
    )  # fmt: skip


def resident():
    """Bytes of memory that this process occupies."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def share(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def held(name, value, bound, unit):
    """Print a figure beside its bound, and hold it to that."""
    print(f"\n{name}: {value:.3g} {unit} (at most {bound * ALLOWANCE:g})", end="")
    assert value <= bound * ALLOWANCE


def test_ten_thousand_listens_are_rows_and_heap_entries(make_connector, eventually, tmp_path):
    """
    No thread each; what lands in another process wakes each of them soon, and each callback is called once.
    """
    told = {}

    def note(outcome):
        told.setdefault(outcome.id_transaction, []).append(time.monotonic())

    set_up, sizes = [], []
    for turn in range(3):
        connector = make_connector(pace=NEVER, db_url=f"sqlite:///{tmp_path}/{turn}/processes.db")
        make_known(connector._per_process.get().store, range(1, COUNT + 302))
        connector.listen(1, timeout=86400)
        threads, memory, begun = threading.active_count(), resident(), time.monotonic()
        handles = connector.listen_many(range(2, COUNT + 2), timeout=86400, callback=note)
        set_up.append(time.monotonic() - begun)
        sizes.append((resident() - memory) / COUNT)
        extra = threading.active_count() - threads
    assert len(handles) == COUNT
    begun = time.monotonic()
    for number in range(COUNT + 2, COUNT + 302):
        connector.listen(number, timeout=86400)
    alone = (time.monotonic() - begun) / 300

    # As another process commits them: this one hears of it by data_version.
    other = make_connector(db_url=f"sqlite:///{tmp_path}/2/processes.db")._per_process.get().store
    committed = {}
    for number in range(2, COUNT + 2, 100):
        other.events.accept(approved(number, time.time()))
        committed[number] = time.monotonic()
    eventually(lambda: len(told) == len(committed), timeout=60)
    late = [told[number][0] - moment for number, moment in committed.items()]

    held(f"{COUNT} listens set up together, median of 3", share(set_up, 0.5), 1.0, "s")
    # The first: later ones find memory that earlier ones have left.
    held("memory of each", sizes[0] / 1000, 5.0, "kB")
    held("one alone, with its own commit", alone * 1000, 5.0, "ms")
    held("callback after a commit elsewhere, median", share(late, 0.5) * 1000, 80, "ms")
    held("callback after a commit elsewhere, longest", max(late) * 1000, 200, "ms")
    assert all(len(times) == 1 for times in told.values())
    assert extra <= 8


def test_ten_thousand_deadlines_come_in_time_and_never_early(eventually):
    """
    Spread over four seconds; what they do first, the look into the store, is when they have come.
    """
    begun = {}

    class Rows:
        """A store in which no wait is open any more by the time it is decided."""

        @property
        def listens(self):
            return self

        def get(self, environment, transaction_id):
            begun[transaction_id] = time.monotonic()

    class Budget:
        """It has a slot for each."""

        def request(self, reading):
            assert not reading.prepare()

        def waiting(self, account, priority):
            return 0

    class Nothing:
        """What no deadline comes to here."""

        transactions = None

    notifier = Notifier(listener=CommitListener(lambda: 0), ended=lambda keys: [], ended_lately=lambda seconds: [])
    config = read_config({
        "fedapay_api_url": "http://127.0.0.1:9", "use_listen_server": False, "listen_server_endpoint_name": None,
        "listen_server_port": 0, "fedapay_webhooks_secret_key": None, "print_log_to_console": False,
        "save_log_to_file": False, "callback_timeout": 1, "db_url": None, "api_key": "sk_sandbox_bench",
        "host": "127.0.0.1", "on_timeout": "keep", "api_keys": (), "confirm_with_api": False, "keep_bodies_days": None,
        "poll_rate": 5, "callbacks": "here",
    })  # fmt: skip
    context = Context(config, Rows(), SYSTEM_CLOCK, "A")
    deadlines = Deadlines(context, Nothing(), notifier, Nothing(), Nothing(), Nothing(), Budget())
    waiters = {}
    start = time.monotonic() + 1.0
    for number in range(COUNT):
        # Set in another order than they are due.
        due = start + (number * 7919 % COUNT) * 4.0 / COUNT
        waiter = Waiter(Nothing(), number, due, Waiter)
        polled = PolledTransaction(str(number), config.api_key, 0.0, 1.0)
        polled.waiters = (waiter,)
        waiters[str(number)] = waiter
        notifier.subscribe(str(number), waiter)
        deadlines.schedule(polled, waiter, due - time.monotonic())
    eventually(lambda: len(begun) == COUNT, timeout=60)
    notifier.close()
    deadlines.close()
    late = [begun[number] - waiter.deadline for number, waiter in waiters.items()]

    held("deadline begun late, median", share(late, 0.5) * 1000, 20, "ms")
    held("deadline begun late, p99", share(late, 0.99) * 1000, 50, "ms")
    assert min(late) >= 0


def test_ten_thousand_listens_are_restored_at_once(make_connector):
    """
    What this machine does of it; the looks at FedaPay come later, five a second.
    """
    gone = make_connector(pace=NEVER)
    make_known(gone._per_process.get().store, range(1, COUNT + 1))
    gone.listen_many(range(1, COUNT + 1), timeout=86400)
    gone.close()
    took = []
    for _ in range(3):
        connector = make_connector(pace=NEVER)
        connector.on_restored(lambda outcome: None)
        connector._per_process.get().store.open()
        begun = time.monotonic()
        assert connector.restore() == COUNT
        took.append(time.monotonic() - begun)
        connector.close()

    held(f"{COUNT} listens restored, median of 3", share(took, 0.5) * 1000, 500, "ms")
