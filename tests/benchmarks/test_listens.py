"""Ten thousand open listens with a callback each, what they cost, and how late the callbacks are."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fedapay_sync.store import NewEvent
from fedapay_sync.watches import Pace

NEVER = Pace(first=10_000, factor=2, longest=10_000)
COUNT = 10_000


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


def test_ten_thousand_listens_are_rows_and_heap_entries(make_connector, eventually):
    """
    No thread each; what lands in another process wakes each of them soon, and each callback is called once.
    """
    told = {}
    connector = make_connector(pace=NEVER)
    connector.listen(1, timeout=86400)
    threads, memory, begun = threading.active_count(), resident(), time.monotonic()

    def note(outcome):
        told.setdefault(outcome.id_transaction, []).append(time.monotonic())

    # Many of the program's threads at once: their commits are grouped.
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: connector.listen(number, timeout=86400, callback=note), range(2, COUNT + 2)))
    set_up, each = time.monotonic() - begun, (resident() - memory) / COUNT
    extra = threading.active_count() - threads

    # As another process commits them: this one hears of it by data_version.
    other = make_connector()._per_process.get().store
    committed = {}
    for number in range(2, COUNT + 2, 100):
        other.accept(approved(number, time.time()))
        committed[number] = time.monotonic()
    eventually(lambda: len(told) == len(committed), timeout=60)
    late = sorted(told[number][0] - moment for number, moment in committed.items())
    print(
        f"\n{COUNT} listens: set up in {set_up:.1f} s, {each:.0f} bytes each, {extra} threads more; callback after "
        f"{late[len(late) // 2] * 1000:.0f} ms (median), {late[-1] * 1000:.0f} ms (longest)"
    )

    assert all(len(times) == 1 for times in told.values())
    assert extra <= 8
    assert each < 10_000
    assert late[-1] < 5
