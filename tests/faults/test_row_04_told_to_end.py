"""Row 4: the process is told to end, by a signal or by its own last line, while webhooks come in."""

import importlib.util
import itertools
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from support.shops import rows

pytestmark = pytest.mark.faults(row=4)
needs_gunicorn = pytest.mark.skipif(importlib.util.find_spec("gunicorn") is None, reason="gunicorn is not installed")

#: Seconds in which a shop ends that is told to.
PATIENCE = 5.0


@pytest.fixture
def senders(shop):
    """Four that send one webhook after the other, and note which were answered 200; started with ``senders()``."""
    numbers, answered, stop = itertools.count(1), [], threading.Event()

    def send():
        while not stop.is_set():
            number = next(numbers)
            if shop.deliver(number) == 200:
                answered.append(number)
            else:
                stop.wait(0.02)

    threads = [threading.Thread(target=send) for _ in range(4)]

    def start():
        for thread in threads:
            thread.start()
        return answered

    def end():
        stop.set()
        for thread in threads:
            if thread.is_alive():
                thread.join(30)
        return answered

    start.end = end
    yield start
    end()


def is_on_disk(store, numbers):
    return {str(number) for number in numbers} <= {row[0] for row in rows(store, "SELECT entity_id FROM fp_event")}


@needs_gunicorn
@pytest.mark.parametrize(
    "options",
    [("-w", "2", "--threads", "4"), pytest.param(("-w", "2"), marks=pytest.mark.long)],
    ids=["threads", "sync"],
)
def test_gunicorn_told_to_end_under_load_ends_in_time_with_every_answered_webhook_on_disk(
    shop, store, senders, eventually, options
):
    """
    SIGTERM to the master, as systemd and Docker do.
    """
    shop.start_under_gunicorn(*options)
    answered = senders()
    eventually(lambda: len(answered) >= 50, 30)

    begun = time.monotonic()
    shop.process.send_signal(signal.SIGTERM)
    assert shop.process.wait(15) == 0, shop.said()
    assert time.monotonic() - begun <= PATIENCE, shop.said()
    assert is_on_disk(store, senders.end())


@needs_gunicorn
@pytest.mark.long
def test_a_worker_told_to_end_under_load_is_replaced_and_every_answered_webhook_told(shop, store, senders, eventually):
    """
    The other worker goes on, and whatever callback the first one owed is called.
    """
    shop.start_under_gunicorn("-w", "2", "--threads", "4")
    answered = senders()
    eventually(lambda: len(answered) >= 30, 30)

    os.kill(workers_of(shop.process.pid)[0], signal.SIGTERM)
    before = len(answered)
    eventually(lambda: len(answered) >= before + 30, 30)

    senders.end()
    assert is_on_disk(store, answered)
    eventually(lambda: shop.told().keys() >= set(answered), 30)
    assert max(shop.effects().values()) == 1


@pytest.mark.parametrize("how", ["signal", "last line"])
def test_a_script_that_ends_under_load_has_every_answered_webhook_on_disk(shop, store, senders, eventually, how):
    """
    Killed by SIGTERM, which Python does not catch, or come to its end without having closed anything.
    """
    shop.start()
    answered = senders()
    eventually(lambda: len(answered) >= 50, 30)

    begun = time.monotonic()
    if how == "signal":
        shop.process.send_signal(signal.SIGTERM)
    else:
        shop.process.stdin.close()
    assert shop.process.wait(15) == (-signal.SIGTERM if how == "signal" else 0)
    assert time.monotonic() - begun <= PATIENCE, shop.said()

    assert is_on_disk(store, senders.end())
    shop.start()
    eventually(lambda: shop.told().keys() >= set(answered), 30)
    assert max(shop.effects().values()) == 1


def workers_of(pid):
    """The children of a process."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
