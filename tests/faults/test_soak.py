"""A minute of webhooks on two processes, of which one is killed every five seconds: printed with -s, and judged."""

import http.client
import itertools
import statistics
import threading
import time
from collections import Counter

import pytest
from support.shops import Shop, descriptors, is_sound, resident, rows, some_port

pytestmark = [pytest.mark.faults, pytest.mark.long]

SECONDS = 60
RATE = 200
KILL_EVERY = 5.0
SENDERS = 16
#: What the process that is never killed may grow by, in bytes.
GROWTH = 10 * 1024 * 1024


@pytest.fixture
def shops(emulator, sqlite_url, tmp_path):
    """Two on one file: the first one lives, the second one dies every now and then."""
    shops = [Shop(emulator, sqlite_url, some_port(), tmp_path) for _ in range(2)]
    for shop in shops:
        shop.start()
    yield shops
    for shop in shops:
        shop.kill()


@pytest.fixture
def db_url(sqlite_url):
    return sqlite_url


class Load:
    """So many webhooks a second, each sent again, to the other process, until it was answered 200."""

    def __init__(self, shops):
        self._shops = shops
        self._numbers = itertools.count(1)
        self._begun = time.monotonic()
        self._over = self._begun + SECONDS
        self.seconds = []
        self.refused = Counter()
        self.threads = [threading.Thread(target=self._send) for _ in range(SENDERS)]
        for thread in self.threads:
            thread.start()

    @property
    def is_over(self):
        return time.monotonic() >= self._over

    def join(self):
        for thread in self.threads:
            thread.join(60)
        return len(self.seconds), time.monotonic() - self._begun

    def _send(self):
        lines, pause = {}, threading.Event()
        while True:
            number = next(self._numbers)
            due = self._begun + number / RATE
            if due >= self._over:
                break
            pause.wait(max(0.0, due - time.monotonic()))
            began = time.monotonic()
            for turn in itertools.count(number):
                status = self._post(lines, self._shops[turn % 2], number)
                if status == 200:
                    break
                self.refused[status] += 1
                pause.wait(0.02)
            self.seconds.append(time.monotonic() - began)
        for line in lines.values():
            line.close()

    def _post(self, lines, shop, number):
        line = lines.setdefault(shop.port, http.client.HTTPConnection("127.0.0.1", shop.port, timeout=15))
        try:
            line.request("POST", "/webhooks", *shop.webhook(number))
            answer = line.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            line.close()
            return None


def test_a_minute_of_webhooks_and_kills_loses_nothing(shops, store, eventually):
    """
    Every webhook that was answered 200 is a row and was told; what was told twice was so after a death, as a further
    attempt; whoever lived on has not grown.
    """
    survivor, victim = shops
    assert survivor.deliver(1) == victim.deliver(1) == 200
    eventually(lambda: survivor.told()[1])
    before = descriptors(survivor.process.pid)
    load, kills, memory = Load(shops), 0, []
    next_kill = time.monotonic() + KILL_EVERY
    while not load.is_over:
        threading.Event().wait(max(0.0, next_kill - time.monotonic()))
        memory.append(resident(survivor.process.pid))
        if not load.is_over:
            victim.kill()
            kills += 1
            victim.start()
        next_kill += KILL_EVERY
    sent, took = load.join()

    drained = time.monotonic()
    eventually(lambda: rows(store, "SELECT count(*) FROM fp_event WHERE work_state <> 'done'") == [(0,)], 120)
    drained = time.monotonic() - drained
    eventually(lambda: descriptors(survivor.process.pid) <= before, 30)
    growth = resident(survivor.process.pid) - memory[0]
    kept = {int(row[0]) for row in rows(store, "SELECT entity_id FROM fp_event")}
    told = survivor.told()
    again = sorted(int(line.split()[1]) for line in survivor.effects() if not line.endswith(" 1"))
    quantiles = statistics.quantiles(load.seconds, n=100)
    print(
        f"\nsoak: {sent} webhooks in {took:.0f} s ({sent / took:.0f}/s), {kills} kills; answered after p50 "
        f"{1000 * quantiles[49]:.0f} / p99 {1000 * quantiles[98]:.0f} / max {1000 * max(load.seconds):.0f} ms, repeats "
        f"{dict(load.refused)}; told twice {len([count for count in told.values() if count > 1])}, further attempts "
        f"{len(again)}; the rest told {drained:.1f} s later; memory {growth / 1e6:+.1f} MB; descriptors {before} -> "
        f"{descriptors(survivor.process.pid)}"
    )
    assert sent == RATE * SECONDS - 1 and kills >= SECONDS / KILL_EVERY - 2
    assert kept == set(range(1, sent + 1)) == told.keys()
    assert max(survivor.effects().values()) == 1, "one attempt was told twice"
    assert sum(count - 1 for count in told.values()) <= len(again)
    assert growth <= GROWTH
    assert set(load.refused) <= {None, 503}
    assert is_sound(store)
