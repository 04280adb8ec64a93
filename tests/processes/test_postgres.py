"""
PostgreSQL restarted, crashed, gone; our process killed at each point of a write: nothing lost, nothing twice, and
everything goes on by itself.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections import Counter
from pathlib import Path

import pytest
import requests
from support import crash_points
from support.claims import claim
from support.postgres_server import running_or_skipped
from support.subscriptions import subscribed

import fedapay_sync
from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData, sign
from fedapay_sync.concurrency.notifier import Notifier
from fedapay_sync.errors import StoreError
from fedapay_sync.store import NewEvent, Store
from fedapay_sync.workflow.reconciliation.polling_policy import Pace

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

ROOT = Path(fedapay_sync.__file__).parents[1]
SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
#: No status check of its own during a test.
NEVER = Pace(first=10_000, factor=2, longest=10_000)


@pytest.fixture
def server():
    """A server of one's own, which syncs to the disk, to be stopped and started."""
    with running_or_skipped(durable=True) as server:
        yield server


@pytest.fixture
def url(server):
    return server.schema_url(f"t{uuid.uuid4().hex}")


@pytest.fixture
def db_url(url):
    return url


@pytest.fixture
def shop(make_connector, emulator, clock):
    """A connector with a webhook server, and what its callback was told: transactions and attempts."""
    # The payments are another program's; FedaPay says of none whether it knows it.
    emulator.fail_next("/v1/transactions/", method="GET", status=503, times=1_000_000)
    connector = make_connector(use_listen_server=True, pace=NEVER, clock=clock)
    connector.told = Counter()
    connector.on_webhook(lambda event: connector.told.update([(event.id_transaction, event.attempt)]))
    connector.start_webhook_server()
    return connector


@pytest.fixture
def deliver(shop, emulator):
    """A signed webhook, sent once: the status of the answer and how long it took."""

    def deliver(number):
        entity = {"id": number, "klass": "v1/transaction", "status": "approved", "amount": 500}
        event = {"name": "transaction.approved", "object": "transaction", "object_id": number, "entity": entity}
        body = json.dumps(event).encode()
        begun = time.monotonic()
        answer = requests.post(
            shop.webhook_url, data=body, timeout=20,
            headers={"X-FEDAPAY-SIGNATURE": sign(body, emulator.webhook_secret)},
        )  # fmt: skip
        return answer.status_code, time.monotonic() - begun

    return deliver


def took(verb):
    """How long it took to fail with our error."""
    begun = time.monotonic()
    with pytest.raises(StoreError):
        verb()
    return time.monotonic() - begun


# -- the server goes away -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restarted", "crashed"])
def test_a_restart_in_the_midst_of_waits_and_webhooks_loses_nothing(server, shop, deliver, eventually, clock, how):
    """
    The sender repeats what was not answered 200; each wait ends, each callback runs, and none twice as the same
    attempt.
    """
    numbers = list(range(1, 61))
    waits = [shop.listen(number, timeout=120) for number in numbers]
    queue, answers = iter(numbers), []

    def send():
        for number in queue:
            for _ in range(10):
                status, _ = deliver(number)
                answers.append(status)
                if status == 200:
                    break

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads[:2]:
        thread.start()
    eventually(lambda: answers.count(200) >= 15)
    server.stop(how)
    threads[2].start()
    server.start()
    for thread in threads:
        thread.join(60)

    assert set(answers) <= {200, 503} and answers.count(200) == len(numbers)
    assert all(wait.result(20).paid for wait in waits)
    # What was taken, or done, in the very moment in which the server went is free again when its lease has ended.
    with contextlib.suppress(AssertionError):
        eventually(lambda: len(shop.told) == len(numbers), 3)
    clock.advance(61)
    eventually(lambda: {number for number, _ in shop.told} == set(numbers))
    assert max(shop.told.values()) == 1
    assert len(shop.told) <= len(numbers) + 4


@pytest.mark.faults
@pytest.mark.long
def test_a_server_gone_for_twelve_seconds_is_told_in_time_and_everything_recovers(server, shop, deliver, eventually):
    """
    Calls fail with our error within ten seconds, webhooks get 503, and nobody restarts anything.
    """
    wait = shop.listen(1, timeout=120)
    assert deliver(2)[0] == 200
    eventually(lambda: shop.told[(2, 1)] == 1)

    server.stop()
    begun = time.monotonic()
    statuses, times = [], []
    while time.monotonic() - begun < 12:
        status, seconds = deliver(1)
        statuses.append(status)
        times += [seconds, took(lambda: shop.cancel(3))]
    assert set(statuses) == {503}
    assert max(times) < 10.5, times
    server.start()

    eventually(lambda: deliver(1)[0] == 200)
    assert wait.result(10).paid
    eventually(lambda: shop.told == {(1, 1): 1, (2, 1): 1})


def test_after_a_restart_the_waker_listens_again(server, url, eventually):
    """
    Without it, only the full look would wake, and that is out of reach here.
    """
    store, other = Store(url), Store(url)
    listener = store.commit_listener()
    notifier = Notifier(
        listener=listener,
        ended=lambda keys: store.listens.ended("sandbox", keys),
        ended_lately=lambda seconds: store.listens.ended_lately("sandbox", seconds),
        full_lookup=3600.0,
    )
    try:
        for number in ("1", "2"):
            other.listens.open(
                "sandbox", number, account="a", timeout=600, delete_at_deadline=False, owner="A", lease=600
            )
        with subscribed(notifier, "1") as first, subscribed(notifier, "2") as second:
            eventually(lambda: listener._connection is not None)
            before = listener._connection
            server.restart()
            eventually(lambda: listener._connection not in (None, before))
            other.listens.end("sandbox", "1", "cancelled")
            assert first.wait(2)
            assert not second.is_set()
            other.listens.end("sandbox", "2", "cancelled")
            assert second.wait(2)
    finally:
        notifier.close()
        store.close()
        other.close()


# -- we go away ---------------------------------------------------------------------------------------------------

#: Accepts one event, and stops for ever before or after a statement.
STOPS = """
    from support import crash_points
    import sys
    from fedapay_sync.store import NewEvent, Store
    store = Store(sys.argv[1])
    store.open()
    crash_points.arm()
    store.events.accept(NewEvent(
        dedup_key="key", event_key="key", environment="sandbox", account="shop", name="transaction.approved",
        object="transaction", entity_id="7", status="approved", is_final=True, is_paid=True, source="webhook",
        body=b"{}", body_sha256="", received_at=1.0,
    ))
"""
EVENT = NewEvent(
    dedup_key="key", event_key="key", environment="sandbox", account="shop", name="transaction.approved",
    object="transaction", entity_id="7", status="approved", is_final=True, is_paid=True, source="webhook",
    body=b"{}", body_sha256="", received_at=1.0,
)  # fmt: skip


@pytest.fixture
def stopped(postgres_url):
    """A process of ours, stopped at a point of its write."""
    started = []

    def start(when, statement):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(STOPS), postgres_url], stdout=subprocess.PIPE, text=True,
            env=crash_points.environment(f"{when} {statement}{crash_points.STOPS}"),
        )  # fmt: skip
        started.append(process)
        assert process.stdout.readline() == "there\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=10)


@pytest.fixture
def store(postgres_url):
    store = Store(postgres_url)
    yield store
    store.close()


@pytest.mark.faults(row=1)
@pytest.mark.parametrize(
    ("when", "statement", "kept"),
    [
        ("before", "BEGIN", False),
        ("after", "BEGIN", False),
        ("after", "INSERT INTO fp_event", False),
        ("before", "COMMIT", False),
        ("after", "COMMIT", True),
    ],
)
def test_killed_at_any_point_of_a_write_it_is_whole_or_not_at_all(stopped, store, when, statement, kept):
    """
    And holds nobody up: the sender repeats, here, and the event is there once.
    """
    process = stopped(when, statement)
    process.send_signal(signal.SIGKILL)
    process.wait(10)

    begun = time.monotonic()
    assert store.events.accept(EVENT).new is not kept
    assert not store.events.accept(EVENT).new
    assert time.monotonic() - begun < 3
    claimed = claim(store, "B", lease=60, limit=10)
    assert [work.event_key for work in claimed] == ["key"]


@pytest.mark.faults(row=7)
def test_a_process_that_is_stopped_in_the_midst_of_a_write_holds_the_others_up_for_seconds_only(stopped, store):
    """
    The server ends its session; who waits is still in time.
    """
    store.open()
    stopped("after", "INSERT INTO fp_event")
    begun = time.monotonic()
    assert store.events.accept(EVENT).new
    assert time.monotonic() - begun < 8


def test_a_fork_takes_nothing_from_its_parent_and_keeps_nothing_of_it_alive(store, postgres_url, postgres_server,
                                                                           eventually):  # fmt: skip
    """
    Neither ends the other's sessions; and those of a parent that is gone do not live on in its child.
    """
    script = """
        import os, sys
        from fedapay_sync.store import Store
        store = Store(sys.argv[1] + "&application_name=forked-parent")
        store.open()
        store.listens.get("sandbox", "1")
        listener = store.commit_listener()
        listener.version()
        if os.fork() == 0:
            own = Store(sys.argv[1] + "&application_name=forked-child")
            own.open()
            print(own.listens.get("sandbox", "1"), store.listens.get("sandbox", "1"), flush=True)
            sys.stdin.readline()
            os._exit(0)
        sys.stdin.readline()
    """
    store.open()
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), postgres_url],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip

    def sessions(name):
        found = "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{}'"
        return postgres_server.execute(found.format(name))[0][0]

    try:
        assert process.stdout.readline() == "None None\n"
        # The parent's three, and the two that the child opened for the store it inherited.
        assert sessions("forked-parent") == 5
        process.send_signal(signal.SIGKILL)
        eventually(lambda: sessions("forked-parent") == 2)
        assert sessions("forked-child") >= 1
    finally:
        process.kill()
        process.communicate("end\n", timeout=10)
