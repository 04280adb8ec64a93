"""
Bells: no wake-up is lost, none is polled for while nobody waits, and timers are never early.
"""

import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import fedapay_sync
from fedapay_sync.concurrency.notifier import POLL, Bell, Bells, Ear
from fedapay_sync.concurrency.thread_pool import Pool
from fedapay_sync.errors import StoreError
from fedapay_sync.store import Store
from fedapay_sync.store.postgres.listener import PostgresEar

ROOT = Path(fedapay_sync.__file__).parents[1]


class FakeStore:
    """What bells see of a store: a number, and which keys have ended."""

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
def make_bells(fake):
    made = []

    def make(**changes):
        ear = Ear(fake.version, changes.pop("poll", POLL))
        made.append(Bells(ear=ear, ended=fake.ended, lately=fake.lately, **changes))
        return made[-1]

    yield make
    for bells in made:
        bells.close()


@pytest.fixture
def bells(make_bells):
    return make_bells()


def test_a_commit_rings(bells, fake):
    with bells.subscribed("7") as bell:
        assert not bell.wait(0.1)
        fake.commit("7")
        assert bell.wait(2)


@pytest.mark.faults(row=13)
def test_a_commit_before_the_registration_is_heard(make_bells, fake, eventually):
    """
    The version did not change since: only the key being new makes the waker look.
    """
    bells = make_bells(look=3600.0)
    with bells.subscribed("other"):
        eventually(lambda: fake.asked)
        fake.commit("7")
        eventually(lambda: fake.since)
        with bells.subscribed("7") as bell:
            assert bell.wait(2)


@pytest.mark.faults(row=13)
def test_no_wake_up_is_lost_between_look_and_registration(make_bells, fake):
    """
    Many threads register at once what they have just committed; without the look at new keys some would sleep on until
    the full look, which is out of reach here.
    """
    bells, slow = make_bells(poll=0.001, look=3600.0), []
    together = threading.Barrier(8)

    def work(first):
        for number in range(first, first + 100):
            fake.commit(str(number))
            # From here on nobody commits: no other sign makes the waker look.
            together.wait(30)
            with bells.subscribed(str(number)) as bell:
                if not bell.wait(5):
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
@pytest.mark.parametrize(("database", "bound"), [("sqlite_url", POLL + 0.1), ("postgres_url", POLL / 2)])
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
            store.end_listen("sandbox", line.strip(), "cancelled")
            print(time.time(), flush=True)
        store.close()
        """
    )
    bells = Bells(
        ear=store.ear(),
        ended=lambda keys: store.ended("sandbox", keys),
        lately=lambda seconds: store.ended_lately("sandbox", seconds),
        look=3600.0,
    )
    late = []
    with subprocess.Popen(
        [sys.executable, "-c", script, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={"PYTHONPATH": str(ROOT)},
    ) as child:  # fmt: skip
        assert child.stdout.readline() == "ready\n"
        for number in map(str, range(8)):
            store.open_listen("sandbox", number, account="a", timeout=60, delete_at_deadline=False, owner="A", lease=60)
            with bells.subscribed(number) as bell:
                child.stdin.write(number + "\n")
                child.stdin.flush()
                assert bell.wait(5)
                woken = time.time()
            late.append(woken - float(child.stdout.readline()))
        child.stdin.close()
    bells.close()
    store.close()
    assert sorted(late)[len(late) // 2] <= bound, late


def test_nobody_is_polled_for(bells, fake):
    """
    Not before the first wait, not after the last, and not for a timer.
    """
    bells.later(3600, lambda: None)
    with bells.subscribed("7") as bell:
        bell.wait(0.2)
    assert fake.counted > 1
    pause = threading.Event()
    pause.wait(2 * POLL)
    before = fake.counted
    pause.wait(0.5)
    assert fake.counted == before


def test_a_quiet_store_is_looked_at_now_and_then_only(make_bells, fake):
    """
    A poll asks for the version; the keys are looked up when it changed.
    """
    bells = make_bells(poll=0.005)
    with bells.subscribed("7") as bell:
        bell.wait(0.3)
    assert fake.counted > 10
    assert len(fake.asked) <= 2


@pytest.mark.parametrize("problem", [StoreError("locked"), RuntimeError("bug"), OSError("gone")])
def test_a_store_that_fails_does_not_end_the_waker(bells, fake, problem, eventually):
    """
    What was committed meanwhile is heard afterwards.
    """
    with bells.subscribed("7") as bell:
        fake.problem = problem
        before = fake.counted
        eventually(lambda: fake.counted > before + 2)
        fake.commit("7")
        assert not bell.is_set()
        fake.problem = None
        assert bell.wait(2)


def test_rings_reach_those_of_this_process(bells):
    with bells.subscribed("7") as seven, bells.subscribed("7") as again, bells.subscribed("8") as eight:
        bells.ring("7")
        assert seven.is_set() and again.is_set() and not eight.is_set()
        bells.ring_all()
        assert eight.is_set()
    bells.ring("7")


def test_timers_come_in_order_and_never_early(bells):
    """
    Whatever the order in which they were set.
    """
    came, done = [], threading.Event()

    def at(seconds):
        due = time.monotonic() + seconds
        bells.later(seconds, lambda: came.append((seconds, time.monotonic() - due)))

    for seconds in (0.2, 0.05, 0.15, 0.1, 0.0):
        at(seconds)
    bells.later(0.3, done.set)

    assert done.wait(3)
    assert [seconds for seconds, _ in came] == sorted(seconds for seconds, _ in came)
    assert len(came) == 5
    assert all(late >= 0 for _, late in came), came


def test_a_timer_called_off_does_not_come(bells):
    came, done = [], threading.Event()
    timer = bells.later(0.05, lambda: came.append(1))
    timer.cancel()
    bells.later(0.1, done.set)
    assert done.wait(2)
    assert came == []


@pytest.mark.parametrize("problem", [ValueError, SystemExit, KeyboardInterrupt])
def test_an_action_that_fails_costs_the_others_nothing(bells, problem):
    """
    More failures than threads, then one that must still run.
    """

    def fail():
        raise problem("no")

    done = threading.Event()
    for _ in range(10):
        bells.later(0, fail)
    bells.later(0.01, done.set)
    assert done.wait(2)


def test_ten_thousand_timers_and_waits_cost_little(bells, fake):
    """
    Entries in a heap and a dictionary; no thread, no look for each.
    """
    begun, threads = time.monotonic(), threading.active_count()
    bell = threading.Event()
    timers = [bells.later(3600 + number, lambda: None) for number in range(10_000)]
    for number in range(10_000):
        bells.add(str(number), bell)
    assert time.monotonic() - begun < 3
    assert threading.active_count() <= threads + 1
    fake.commit("9999")
    assert bell.wait(2)
    for number in range(10_000):
        bells.remove(str(number), bell)
    for timer in timers:
        timer.cancel()


def test_closing_ends_the_threads_and_forgets_the_timers(make_bells, eventually):
    bells, came = make_bells(), []
    ran = threading.Event()
    bells.later(0, ran.set)
    bells.later(0.2, lambda: came.append(1))
    assert ran.wait(2)
    waker = bells._thread

    bells.close()
    bells.close()

    assert not waker.is_alive()
    bells.later(0, lambda: came.append(2))
    with bells.subscribed("7") as bell:
        assert not bell.wait(0.3)
    assert came == []


def test_closing_from_a_timer_does_not_wait_for_itself(make_bells):
    bells, done = make_bells(), threading.Event()

    def close():
        bells.close()
        done.set()

    bells.later(0, close)
    assert done.wait(1)


def test_a_pool_keeps_few_threads_and_uses_those_that_are_free(eventually):
    """
    One at a time needs one; many at once are as many as allowed, and each runs once.
    """
    pool, names = Pool("test-pool", 3), []
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


def test_a_bell_is_silent_until_it_rings_and_after_it_is_silenced():
    """
    As an Event: waited for or not, before and after.
    """
    bell, rung = Bell(), []
    assert not bell.wait(0) and not bell.is_set()
    bell.then = lambda: rung.append(bell.is_set())
    bell.set()
    assert bell.wait(0) and bell.is_set() and rung == [True]
    bell.clear()
    assert not bell.wait(0) and not bell.is_set()
    bell.set()
    assert bell.wait(0) and rung == [True, True]


def test_a_bell_wakes_whoever_waits_however_close_it_rings():
    """
    Two who begin to wait in the moment in which it rings.
    """
    slow = []

    def wait(bell):
        if not bell.wait(5):
            slow.append(bell)

    for _ in range(300):
        bell = Bell()
        waiters = [threading.Thread(target=wait, args=(bell,)) for _ in range(2)]
        for waiter in waiters:
            waiter.start()
        bell.set()
        for waiter in waiters:
            waiter.join(10)
    assert slow == []


def test_after_a_commit_what_ended_lately_is_asked_for_and_not_every_key(make_bells, fake, eventually):
    """
    Since the last look and a little more; the keys themselves are asked about when they are new, all at once.
    """
    bells = make_bells(look=3600.0)
    bells.add_all((str(number), Bell()) for number in range(1000))
    eventually(lambda: fake.asked)
    with bells.subscribed("new") as bell:
        eventually(lambda: ["new"] in fake.asked)
        fake.commit("new")
        assert bell.wait(2)
    assert sorted(map(len, fake.asked)) == [1, 1000]
    assert fake.since and all(2 <= seconds < 3 for seconds in fake.since)


def test_a_timer_runs_on_the_pool_it_was_given(bells):
    """
    Not on the timers' own threads, which nothing may hold up.
    """
    pool, names, done = Pool("test-other", 1), [], threading.Event()
    bells.later(0.01, lambda: (names.append(threading.current_thread().name), done.set()), pool)
    assert done.wait(2)
    pool.close()
    assert names == ["test-other-1"]


def test_an_ear_of_sockets_sleeps_towards_a_timer_a_month_ahead(fake):
    """
    Longer than a wait on a socket may be told to last: a wait that ended long before its deadline leaves such a timer.
    """
    ear = PostgresEar("postgresql://nowhere", fake.version, StoreError)
    with ThreadPoolExecutor(1) as pool:
        sleeping = pool.submit(ear.sleep, 31 * 86400)
        ear.wake()
        sleeping.result(5)
    ear.close()
