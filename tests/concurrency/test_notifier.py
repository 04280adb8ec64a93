"""
The notifier: no wake-up is lost, no poll without a subscription, and timers are never early.
"""

import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.subscriptions import subscribed

import fedapay_sync
from fedapay_sync.concurrency.commit_listener import POLL_INTERVAL, CommitListener
from fedapay_sync.concurrency.notifier import Notifier
from fedapay_sync.concurrency.thread_pool import DaemonThreadPool
from fedapay_sync.concurrency.wake_event import WakeEvent
from fedapay_sync.errors import StoreError
from fedapay_sync.store import Store
from fedapay_sync.store.postgres.listener import PostgresCommitListener

ROOT = Path(fedapay_sync.__file__).parents[1]


class FakeStore:
    """What the notifier sees of a store: a number, and which keys have ended."""

    def __init__(self):
        self.number = 0
        self.finished = {}
        self.asked = []
        self.since = []
        self.counted = 0
        self.problem = None

    def version(self):
        self.counted += 1
        if self.problem is not None:
            raise self.problem
        return self.number

    def ended(self, keys):
        self.asked.append(list(keys))
        return [key for key in keys if key in self.finished]

    def lately(self, seconds):
        self.since.append(seconds)
        return [key for key, when in self.finished.items() if when > time.monotonic() - seconds]

    def commit(self, *keys):
        self.finished.update(dict.fromkeys(keys, time.monotonic()))
        self.number += 1


@pytest.fixture
def fake():
    return FakeStore()


@pytest.fixture
def make_notifier(fake):
    made = []

    def make(**changes):
        listener = CommitListener(fake.version, changes.pop("poll", POLL_INTERVAL))
        made.append(Notifier(listener=listener, ended=fake.ended, ended_lately=fake.lately, **changes))
        return made[-1]

    yield make
    for notifier in made:
        notifier.close()


@pytest.fixture
def notifier(make_notifier):
    return make_notifier()


def test_a_commit_rings(notifier, fake):
    with subscribed(notifier, "7") as event:
        assert not event.wait(0.1)
        fake.commit("7")
        assert event.wait(2)


@pytest.mark.faults(row=13)
def test_a_commit_before_the_registration_is_heard(make_notifier, fake, eventually):
    """
    The version did not change since: only the key being new makes the waker look.
    """
    notifier = make_notifier(full_lookup=3600.0)
    with subscribed(notifier, "other"):
        eventually(lambda: fake.asked)
        fake.commit("7")
        eventually(lambda: fake.since)
        with subscribed(notifier, "7") as event:
            assert event.wait(2)


@pytest.mark.faults(row=13)
def test_no_wake_up_is_lost_between_look_and_registration(make_notifier, fake):
    """
    Many threads register at once what they have just committed; without the look at new keys some would sleep on until
    the full look, which is out of reach here.
    """
    notifier, slow = make_notifier(poll=0.001, full_lookup=3600.0), []
    together = threading.Barrier(8)

    def work(first):
        for number in range(first, first + 100):
            fake.commit(str(number))
            # From here on nobody commits: no other sign makes the waker look.
            together.wait(30)
            with subscribed(notifier, str(number)) as event:
                if not event.wait(5):
                    slow.append(number)
            together.wait(30)
            if slow:
                break

    threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 800, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert slow == []


@pytest.mark.faults(row=13)
@pytest.mark.parametrize(
    ("database", "bound"),
    [("sqlite_url", POLL_INTERVAL + 0.1), ("postgres_url", POLL_INTERVAL / 2)],
)
def test_a_commit_of_another_process_is_heard_soon(request, database, bound):
    """
    Within one poll and 100 ms, by the clock that both share, and sooner than that where it is told; the median of a
    few, since other tests run beside.
    """
    url = request.getfixturevalue(database)
    store = Store(url)
    script = textwrap.dedent(
        """
        import sys, time
        from fedapay_sync.store import Store
        store = Store(sys.argv[1])
        store.open()
        print("ready", flush=True)
        for line in sys.stdin:
            store.listens.end("sandbox", line.strip(), "cancelled")
            print(time.time(), flush=True)
        store.close()
        """
    )
    notifier = Notifier(
        listener=store.commit_listener(),
        ended=lambda keys: store.listens.ended("sandbox", keys),
        ended_lately=lambda seconds: store.listens.ended_lately("sandbox", seconds),
        full_lookup=3600.0,
    )
    late = []
    with subprocess.Popen(
        [sys.executable, "-c", script, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={"PYTHONPATH": str(ROOT)},
    ) as child:  # fmt: skip
        assert child.stdout.readline() == "ready\n"
        for number in map(str, range(8)):
            store.listens.open(
                "sandbox", number, account="a", timeout=60, delete_at_deadline=False, owner="A", lease=60
            )
            with subscribed(notifier, number) as event:
                child.stdin.write(number + "\n")
                child.stdin.flush()
                assert event.wait(5)
                woken = time.time()
            late.append(woken - float(child.stdout.readline()))
        child.stdin.close()
    notifier.close()
    store.close()
    assert sorted(late)[len(late) // 2] <= bound, late


def test_nobody_is_polled_for(notifier, fake):
    """
    Not before the first wait, not after the last, and not for a timer.
    """
    notifier.call_later(3600, lambda: None)
    with subscribed(notifier, "7") as event:
        event.wait(0.2)
    assert fake.counted > 1
    pause = threading.Event()
    pause.wait(2 * POLL_INTERVAL)
    before = fake.counted
    pause.wait(0.5)
    assert fake.counted == before


def test_a_quiet_store_is_looked_at_now_and_then_only(make_notifier, fake):
    """
    A poll asks for the version; the keys are looked up when it changed.
    """
    notifier = make_notifier(poll=0.005)
    with subscribed(notifier, "7") as event:
        event.wait(0.3)
    assert fake.counted > 10
    assert len(fake.asked) <= 2


@pytest.mark.parametrize("problem", [StoreError("locked"), RuntimeError("bug"), OSError("gone")])
def test_a_store_that_fails_does_not_end_the_waker(notifier, fake, problem, eventually):
    """
    What was committed meanwhile is heard afterwards.
    """
    with subscribed(notifier, "7") as event:
        fake.problem = problem
        before = fake.counted
        eventually(lambda: fake.counted > before + 2)
        fake.commit("7")
        assert not event.is_set()
        fake.problem = None
        assert event.wait(2)


def test_rings_reach_those_of_this_process(notifier):
    with subscribed(notifier, "7") as seven, subscribed(notifier, "7") as again, subscribed(notifier, "8") as eight:
        notifier.notify("7")
        assert seven.is_set() and again.is_set() and not eight.is_set()
    notifier.notify("7")


def test_timers_come_in_order_and_never_early(notifier):
    """
    Whatever the order in which they were set.
    """
    came, done = [], threading.Event()

    def at(seconds):
        due = time.monotonic() + seconds
        notifier.call_later(seconds, lambda: came.append((seconds, time.monotonic() - due)))

    for seconds in (0.2, 0.05, 0.15, 0.1, 0.0):
        at(seconds)
    notifier.call_later(0.3, done.set)

    assert done.wait(3)
    assert [seconds for seconds, _ in came] == sorted(seconds for seconds, _ in came)
    assert len(came) == 5
    assert all(late >= 0 for _, late in came), came


def test_a_timer_called_off_does_not_come(notifier):
    came, done = [], threading.Event()
    timer = notifier.call_later(0.05, lambda: came.append(1))
    timer.cancel()
    notifier.call_later(0.1, done.set)
    assert done.wait(2)
    assert came == []


def test_timers_called_off_do_not_gather_until_they_are_due(notifier):
    """
    Waits with a deadline in a week end within the hour; what is still to come stays.
    """
    came, done = [], threading.Event()
    for number in range(20_000):
        if number % 2_000 == 0:
            notifier.call_later(0.3, lambda number=number: came.append(number), DaemonThreadPool("one", 1))
        notifier.call_later(7 * 86400, done.set).cancel()
    assert len(notifier._timers) < 2_000
    notifier.call_later(0.5, done.set)
    assert done.wait(5)
    assert sorted(came) == list(range(0, 20_000, 2_000))


@pytest.mark.parametrize("problem", [ValueError, SystemExit, KeyboardInterrupt])
def test_an_action_that_fails_costs_the_others_nothing(notifier, problem):
    """
    More failures than threads, then one that must still run.
    """

    def fail():
        raise problem("no")

    done = threading.Event()
    for _ in range(10):
        notifier.call_later(0, fail)
    notifier.call_later(0.01, done.set)
    assert done.wait(2)


def test_ten_thousand_timers_and_waits_cost_little(notifier, fake):
    """
    Entries in a heap and a dictionary; no thread, no look for each.
    """
    begun, threads = time.monotonic(), threading.active_count()
    event = threading.Event()
    timers = [notifier.call_later(3600 + number, lambda: None) for number in range(10_000)]
    for number in range(10_000):
        notifier.subscribe(str(number), event)
    assert time.monotonic() - begun < 3
    assert threading.active_count() <= threads + 1
    fake.commit("9999")
    assert event.wait(2)
    for number in range(10_000):
        notifier.unsubscribe(str(number), event)
    for timer in timers:
        timer.cancel()


def test_closing_ends_the_threads_and_forgets_the_timers(make_notifier, eventually):
    notifier, came = make_notifier(), []
    ran = threading.Event()
    notifier.call_later(0, ran.set)
    notifier.call_later(0.2, lambda: came.append(1))
    assert ran.wait(2)
    waker = notifier._thread

    notifier.close()
    notifier.close()

    assert not waker.is_alive()
    notifier.call_later(0, lambda: came.append(2))
    with subscribed(notifier, "7") as event:
        assert not event.wait(0.3)
    assert came == []


def test_closing_from_a_timer_does_not_wait_for_itself(make_notifier):
    notifier, done = make_notifier(), threading.Event()

    def close():
        notifier.close()
        done.set()

    notifier.call_later(0, close)
    assert done.wait(1)


def test_a_pool_keeps_few_threads_and_uses_those_that_are_free(eventually):
    """
    One at a time needs one; many at once are as many as allowed, and each runs once.
    """
    pool, names = DaemonThreadPool("test-pool", 3), []
    for _ in range(5):
        done = threading.Event()
        pool.submit(lambda done=done: (names.append(threading.current_thread().name), done.set()))
        assert done.wait(2)
        eventually(lambda: pool._idle == 1)
    assert set(names) == {"test-pool-1"}

    hold, ran = threading.Event(), []
    for number in range(20):
        pool.submit(lambda number=number: (hold.wait(5), ran.append(number)))
    assert pool._threads == 3
    hold.set()
    eventually(lambda: len(ran) == 20)
    assert sorted(ran) == list(range(20))

    pool.close()
    pool.submit(lambda: ran.append("after"))
    eventually(lambda: not [t for t in threading.enumerate() if t.name.startswith("test-pool")])
    assert "after" not in ran


def test_an_event_is_clear_until_it_is_set_and_after_it_is_cleared():
    """
    As ``threading.Event``: waited for or not, before and after.
    """
    event = WakeEvent()
    assert not event.wait(0) and not event.is_set()
    event.set()
    assert event.wait(0) and event.is_set()
    event.clear()
    assert not event.wait(0) and not event.is_set()
    event.set()
    assert event.wait(0)


def test_an_event_wakes_the_threads_that_wait_however_close_it_is_set():
    """
    Two who begin to wait in the moment in which it rings.
    """
    slow = []

    def wait(event):
        if not event.wait(5):
            slow.append(event)

    for _ in range(300):
        event = WakeEvent()
        waiters = [threading.Thread(target=wait, args=(event,)) for _ in range(2)]
        for waiter in waiters:
            waiter.start()
        event.set()
        for waiter in waiters:
            waiter.join(10)
    assert slow == []


def test_after_a_commit_what_ended_lately_is_asked_for_and_not_every_key(make_notifier, fake, eventually):
    """
    Since the last look and a little more; the keys themselves are asked about when they are new, all at once.
    """
    notifier = make_notifier(full_lookup=3600.0)
    notifier.subscribe_all((str(number), WakeEvent()) for number in range(1000))
    eventually(lambda: fake.asked)
    with subscribed(notifier, "new") as event:
        eventually(lambda: ["new"] in fake.asked)
        fake.commit("new")
        assert event.wait(2)
    assert sorted(map(len, fake.asked)) == [1, 1000]
    assert fake.since and all(2 <= seconds < 3 for seconds in fake.since)


def test_a_timer_runs_on_the_pool_it_was_given(notifier):
    """
    Not on the timers' own threads, which nothing may hold up.
    """
    pool, names, done = DaemonThreadPool("test-other", 1), [], threading.Event()
    notifier.call_later(0.01, lambda: (names.append(threading.current_thread().name), done.set()), pool)
    assert done.wait(2)
    pool.close()
    assert names == ["test-other-1"]


def test_an_ear_of_sockets_sleeps_towards_a_timer_a_month_ahead(fake):
    """
    Longer than a wait on a socket may be told to last: a wait that ended long before its deadline leaves such a timer.
    """
    listener = PostgresCommitListener("postgresql://nowhere", fake.version, StoreError)
    with ThreadPoolExecutor(1) as pool:
        sleeping = pool.submit(listener.sleep, 31 * 86400)
        listener.wake()
        sleeping.result(5)
    listener.close()
