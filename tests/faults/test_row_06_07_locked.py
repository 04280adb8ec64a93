"""Rows 6 and 7: somebody else holds the database, for a while or for good."""

import contextlib
import signal
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import crash_points
from support.shops import Shop, some_port, timed

#: Seconds in which whoever sends a webhook is answered, whatever holds the database.
ANSWERED = 11.0
SENDERS = 8


@contextlib.contextmanager
def held(db_url, store):
    """A foreign program in the midst of a transaction: a shell, a backup."""
    store.open()
    if store.path is not None:
        foreign = sqlite3.connect(store.path, isolation_level=None)
        foreign.execute("BEGIN IMMEDIATE")
    else:
        import psycopg2

        foreign = psycopg2.connect(db_url)
        foreign.cursor().execute("LOCK TABLE fp_event IN ACCESS EXCLUSIVE MODE")
    try:
        yield
    finally:
        foreign.rollback()
        foreign.close()


@pytest.mark.faults(row=6)
@pytest.mark.parametrize("seconds", [2, pytest.param(12, marks=pytest.mark.long)])
def test_a_lock_is_waited_out_or_answered_in_time_and_nothing_is_lost(shop, store, db_url, eventually, seconds):
    """
    Two seconds are only late; twelve are 503 within eleven, and taken when the sender comes again.
    """
    shop.start()
    with ThreadPoolExecutor(SENDERS) as pool:
        with held(db_url, store):
            answers = [pool.submit(timed, shop.deliver, number) for number in range(1, SENDERS + 1)]
            released = threading.Event()
            assert not released.wait(seconds)
        answered = [answer.result(30) for answer in answers]

    assert max(taken for _, taken in answered) < ANSWERED, answered
    assert {status for status, _ in answered} == ({200} if seconds == 2 else {503})
    for number in range(1, SENDERS + 1):
        assert shop.deliver(number) == 200
    eventually(lambda: shop.told().keys() == set(range(1, SENDERS + 1)))
    assert set(shop.effects().values()) == {1} and shop.starts == 1


@pytest.fixture
def other_shop(emulator, sqlite_url, tmp_path):
    shop = Shop(emulator, sqlite_url, some_port(), tmp_path)
    yield shop
    if shop.process is not None:
        shop.kill()


@pytest.mark.faults(row=7)
@pytest.mark.long
@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_a_stopped_process_that_holds_the_lock_delays_nobody_without_end(shop, other_shop, eventually):
    """
    A laptop's lid, a debugger: the other process answers 503 in time, and takes everything once it is gone.
    """
    shop.start()
    assert shop.deliver(1) == 200
    eventually(lambda: shop.told()[1])
    other_shop.start(f"after BEGIN IMMEDIATE{crash_points.STOPS}")
    hanging = threading.Thread(target=other_shop.deliver, args=(2,))
    hanging.start()
    assert other_shop.process.stdout.readline() == "there\n"
    other_shop.process.send_signal(signal.SIGSTOP)

    status, taken = timed(shop.deliver, 3)
    assert status == 503 and taken < ANSWERED

    other_shop.kill()
    killed = time.monotonic()
    hanging.join(10)
    eventually(lambda: shop.deliver(3) == 200, 5)
    assert time.monotonic() - killed < 1
    assert shop.deliver(2) == 200
    eventually(lambda: shop.told() == {1: 1, 2: 1, 3: 1})
