"""
A shop that works steadily ends where it stood after the beginning: memory, descriptors, threads, the -wal. Printed with
-s, and judged.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from support import crash_points

from fedapay_sync.emulator import Emulator
from fedapay_sync.store.sqlite.wal import LIMIT

pytestmark = [
    pytest.mark.faults,
    pytest.mark.long,
    pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="/proc"),
]

PROGRAM = Path(__file__).parents[1] / "support" / "steady_shop.py"
#: The first minute, in which everything is used, and the nine that are measured against it, in seconds.
WARM, WORK = 60, 540
#: What a process may grow by, in bytes.
GROWTH = 8 * 1024 * 1024
#: Objects of ours that may be left of a round: it is four payments, twelve events and four waits.
LEFT = 0.25
#: Timers that were called off stay for a while, so many at most.
TIMER = "fedapay_sync.concurrency.notifier.TimerHandle"
TIMERS = 1100
POOLED = r"fedapay-[a-z]+-\d+"


@pytest.fixture
def shop(db_url):
    """A shop with a FedaPay whose payers agree at once."""
    with Emulator(delay=0.2, retry_factor=0.01) as fedapay:
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), fedapay.url, fedapay.secret_key, fedapay.webhook_secret, db_url],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            # One arena: the allocator's own, one for each thread, would grow for hours and say nothing about us.
            env={**crash_points.environment(), "MALLOC_ARENA_MAX": "1"},
        )  # fmt: skip
        fedapay.webhook_url = process.stdout.readline().strip()
        yield process
        if process.poll() is None:
            process.kill()
        process.communicate()


def worked(shop, seconds):
    """What the shop takes after so many seconds of work."""
    shop.stdin.write(f"{seconds}\n")
    shop.stdin.flush()
    line = shop.stdout.readline()
    assert line, "the shop failed"
    return json.loads(line)


def test_after_steady_work_a_shop_takes_what_it_took_after_its_beginning(shop, db_url):
    """
    Paying, finalising, webhooks with a callback, many listens, cancels and checks, one after another and at once.
    """
    before, after = worked(shop, WARM), worked(shop, WORK)
    rounds = after["rounds"] - before["rounds"]
    grown = Counter(after["objects"]) - Counter(before["objects"])
    grown.pop(TIMER, None)
    ours = Counter({name: count for name, count in grown.items() if name.startswith("fedapay_sync.")})
    print(
        f"\nsteady load: {rounds} rounds, {after['told'] - before['told']} callbacks; memory "
        f"{before['resident'] / 1e6:.1f} -> {after['resident'] / 1e6:.1f} MB; objects of ours left "
        f"{sum(ours.values())}; descriptors {before['descriptors']} -> {after['descriptors']}; threads "
        f"{len(before['threads'])} -> {len(after['threads'])}; wal {after['wal'] / 1e6:.1f} MB"
    )
    assert rounds >= WORK
    assert sum(ours.values()) <= LEFT * rounds, ours.most_common(10)
    assert after["objects"].get(TIMER, 0) <= TIMERS
    assert after["resident"] - before["resident"] <= GROWTH
    assert after["descriptors"] <= before["descriptors"]
    # A pool starts a thread when it has use for one: numbered, up to its size, and each number once.
    assert len(set(after["threads"])) == len(after["threads"])
    assert {each for each in after["threads"] if not re.fullmatch(POOLED, each)} <= set(before["threads"])
    assert after["wal"] <= LIMIT
