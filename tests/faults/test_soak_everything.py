"""
Everything at once on three processes of a shop: they pay, wait, cancel and restore while they are killed, stopped and
told to end, and webhooks are lost, doubled, late and in disorder. Printed with -s, and judged.
"""

import base64
import contextlib
import itertools
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest
from support import crash_points, soak_shop
from support.shops import is_sound, rows, some_port
from support.soak_verdict import PAID, Truth, Verdict, judge, read

from fedapay_sync import FedapayError
from fedapay_sync.emulator import Emulator

pytestmark = [pytest.mark.faults, pytest.mark.long]

SECONDS = 25
#: So far ahead are the clocks of those that tell the rest: what is asked about once a minute is due then.
AHEAD = 120
#: Until each of them has ended that was told to.
PATIENCE = 15.0
#: Until all that is owed has been told, once there are no faults any more.
SETTLED = 60.0
SEED = 7
#: What payers do, first and then.
MINDS = (
    ("approve", "transfer"),
    ("approve", None),
    ("approve", None),
    ("decline", "approve"),
    ("decline", None),
    (None, None),
)


@pytest.fixture
def emulator():
    """A FedaPay that loses, doubles, holds back and turns round its webhooks, and loses an answer now and then."""
    with Emulator(retry_factor=0.01, webhook_timeout=2, disable_on_error=False) as running:
        webhook, api = running.faults.webhook, running.faults.api
        webhook.drop(probability=0.15, seed=SEED)
        webhook.duplicate(copies=3, probability=0.15, seed=SEED)
        webhook.delay(seconds=2, probability=0.15, seed=SEED)
        webhook.reorder(count=3, within=1.5, probability=0.15, seed=SEED)
        api.cut("after", probability=0.02, seed=SEED)
        yield running


class Member:
    """One of the shop's processes, in one life after another."""

    def __init__(self, settings, log):
        self.url = f"http://127.0.0.1:{settings['port']}/webhooks"
        self._settings = settings
        self._log = log
        self._process = None
        self.life = 0
        self.kills = {}
        self.freezes = {}

    def start(self, life, **how):
        """The next life; it need not be there yet when this comes back."""
        self.life = life
        settings = json.dumps({**self._settings, "life": life, **how})
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, soak_shop.__file__, settings],
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=crash_points.environment(),
            )

    def kill(self):
        """As the kernel does it."""
        begun = time.monotonic()
        self._process.kill()
        self._process.wait(10)
        self.kills[self.life] = (begun, time.monotonic())

    def freeze(self, seconds):
        """Stopped for so long, wherever it was."""
        begun = time.monotonic()
        self._process.send_signal(signal.SIGSTOP)
        threading.Event().wait(seconds)
        self._process.send_signal(signal.SIGCONT)
        self.freezes.setdefault(self.life, []).append((begun, time.monotonic()))

    def end(self):
        """Told to end, as by systemd: in time, and with nothing to say."""
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(PATIENCE) in (0, -signal.SIGTERM), self.said()

    def clear(self):
        """Nothing of it is left."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)

    def said(self):
        """What it logged at last."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-3000:]


@pytest.fixture
def members(emulator, db_url, tmp_path):
    """Three on one database, each on a port of its own."""
    shop = {"url": emulator.url, "key": emulator.secret_key, "secret": emulator.webhook_secret, "db_url": db_url}
    settings = [{**shop, "port": some_port(), "ledger": str(tmp_path / "ledger")} for _ in range(3)]
    members = [Member(each, tmp_path / f"log-{number}") for number, each in enumerate(settings)]
    yield members
    for member in members:
        member.clear()


class World:
    """Payers who answer when and what they like, and a way in that leads to another process each time."""

    def __init__(self, emulator, members):
        self._emulator = emulator
        self._members = members
        self._random = random.Random(SEED)
        self._over = threading.Event()
        self._last = 0
        self._due = []
        #: Of each transaction, how often its payer was asked.
        self.pushes = Counter()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self):
        """No payer answers any more; what is open expires, so that it need not be polled."""
        self._over.set()
        self._thread.join(30)
        self._note_pushes()
        for each in self._emulator.transactions:
            if each["status"] == "pending" and each["deleted_at"] is None:
                with contextlib.suppress(FedapayError):
                    self._emulator.expire(each["id"])

    def _run(self):
        while not self._over.wait(0.1):
            self._emulator.webhook_url = self._random.choice(self._members).url
            for number in self._note_pushes():
                self._decide(number)
            now = time.monotonic()
            for due in [each for each in self._due if each[0] <= now]:
                self._due.remove(due)
                with contextlib.suppress(FedapayError):  # deleted, or decided otherwise
                    due[1](due[2])

    def _decide(self, number):
        """What its payer does, and when; some do nothing, and some change their mind."""
        first, then = self._random.choice(MINDS)
        at = time.monotonic() + self._random.uniform(0, 3)
        for what, after in ((first, 0.0), (then, self._random.uniform(0.1, 2))):
            if what is not None:
                self._due.append((at + after, getattr(self._emulator, what), number))

    def _note_pushes(self):
        """The transactions whose payer was asked since, also where the answer to the shop was lost."""
        found = []
        for request in self._emulator.requests:
            if request.number > self._last:
                self._last = request.number
                if (request.method, request.path) == ("POST", "/v1/momo_test") and request.status in (0, 200):
                    found.append(subject_of(request.json["token"]))
        self.pushes.update(found)
        return found


def subject_of(token):
    """The transaction that a payment's token is for."""
    claims = token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"])


def hurt(members, over):
    """Kill, stop or end one of them every now and then; how often each was done."""
    chance, done, lives = random.Random(SEED), Counter(), len(members)
    ways = itertools.cycle(("kill", "end", "freeze", "kill", "kill", "end"))
    while time.monotonic() < over:
        threading.Event().wait(chance.uniform(0.3, 1.5))
        member = chance.choice(members)
        how = next(ways)
        if how == "freeze":
            member.freeze(chance.uniform(0.5, 4))
        else:
            getattr(member, how)()
            lives += 1
            member.start(lives)
        done[how] += 1
    return done, lives


@pytest.mark.parametrize("db_url", ["sqlite", "postgres"], indirect=True)
def test_everything_at_once_loses_doubles_and_invents_nothing(emulator, members, store, tmp_path, eventually):
    """
    Paid and never told 0, told and never paid 0, pushed twice 0, unexplained repeats 0.
    """
    begun = time.monotonic()
    for life, member in enumerate(members, 1):
        member.start(life)
    world = World(emulator, members)
    try:
        done, lives = hurt(members, begun + SECONDS)
    finally:
        emulator.faults.clear()
        world.stop()
    for member in members:
        member.end()
    for life, member in enumerate(members, lives + 1):
        member.start(life, ahead=AHEAD)
        emulator.webhook_url = member.url

    ledger = tmp_path / "ledger"
    kills = {life: at for member in members for life, at in member.kills.items()}
    freezes = {life: spans for member in members for life, spans in member.freezes.items()}

    def verdict():
        return judge(read(ledger), Truth(emulator.transactions, world.pushes, kills, freezes))

    def is_settled():
        owed = "SELECT count(*) FROM fp_event WHERE work_state <> 'done'"
        return rows(store, owed) == [(0,)] and not verdict().never_told

    settling = time.monotonic()
    try:
        eventually(is_settled, SETTLED)
    finally:
        entries = read(ledger)
        counts = Counter(each["what"] for each in entries)
        paid = sum(each["status"] in PAID for each in emulator.transactions)
        print(
            f"\nsoak of everything: {len(emulator.transactions)} transactions, {paid} paid; {dict(counts)}; "
            f"refused {dict(Counter(each['error'] for each in entries if each['what'] == 'refused'))}; {dict(done)}; "
            f"settled after {time.monotonic() - settling:.1f} s, all in {time.monotonic() - begun:.0f} s\n{verdict()}"
        )
    for member in members:
        member.end()

    assert verdict() == Verdict([], [], [], [], []), "\n".join(member.said() for member in members)
    assert paid >= 10 and len(done) == 3, "too little has happened to show anything"
    assert is_sound(store)
