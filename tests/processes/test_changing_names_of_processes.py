"""Deployments that add, rename and leave out callbacks, with processes that are killed: each is called once."""

import os
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest
from support.claims import states

import fedapay_sync
from fedapay_sync.store import Store

ROOT = Path(fedapay_sync.__file__).parents[1]

#: Its callbacks are named by the arguments, ``new<old`` after a renaming; each notes its effect, then takes a moment.
#: Told to end by SIGTERM, it lets them come to their end.
SHOP = """
    import os, sys, threading
    from fedapay_sync import Connector
    url, api, key, secret, effects, *names = sys.argv[1:]
    connector = Connector(api, fedapay_webhooks_secret_key=secret, db_url=url, api_key=key)
    moment = threading.Event()

    def callback(name):
        def call(event):
            line = f"{name} {event.id_transaction} {event.attempt} {os.getpid()}\\n"
            descriptor = os.open(effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(descriptor, line.encode())
            os.close(descriptor)
            moment.wait(0.01)
        return call

    for each in names:
        name, *former = each.split("<")
        connector.on_webhook(callback(name), name=(name, *former))
    connector.run()
"""


@pytest.fixture
def deploy(db_url, emulator, tmp_path):
    """Start a process of that version of the program."""
    running = []

    def deploy(*names):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SHOP), db_url, emulator.url, emulator.secret_key,
             emulator.webhook_secret, str(tmp_path / "effects"), *names],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        running.append(process)
        return process

    yield deploy
    for process in running:
        process.kill()
        process.wait(10)


class Effect(NamedTuple):
    """What a callback noted: which function it was, and in which process."""

    name: str
    number: int
    attempt: int
    pid: int


class World:
    """Events that come in, what the callbacks of all processes noted, and which processes were killed."""

    def __init__(self, connector, store, path, eventually, chance):
        self.connector, self._store, self._path = connector, store, path
        self._eventually, self._chance = eventually, chance
        self.sent = []
        self.killed = set()

    def send(self, many):
        for _ in range(many):
            number = 1000 + len(self.sent)
            entity = {"klass": "v1/transaction", "id": number, "status": "approved", "amount": 500}
            self.connector.save_webhook(
                {"name": "transaction.approved", "object": "transaction", "object_id": number, "entity": entity}
            )
            self.sent.append(number)

    def effects(self):
        lines = self._path.read_text(encoding="ascii").splitlines() if self._path.exists() else []
        return [Effect(name, *map(int, numbers)) for name, *numbers in map(str.split, lines)]

    def some_more(self, names):
        """Callbacks are called, and most often the processes that have these names are still at it."""
        enough = len(self.effects()) + self._chance.randrange(1, 8)
        self._eventually(lambda: len(self.effects()) >= enough or not self.is_owed(names))

    def is_owed(self, names):
        known = self._store.callback_names.all()
        present = {each.same_as or each.name for each in known if each.name in names}
        return any(each.owed for each in known if each.name in present)

    def is_over(self):
        return all(state == "done" for _, state, *_ in states(self._store))

    def kill(self, process):
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        self.killed.add(process.pid)

    def called(self, lineages):
        """
        What each lineage was called with: twice only where the process was killed that was at it.

        Args:
            lineages: what each name stands for, where it stands for another one.
        """
        found = {}
        for effect in self.effects():
            found.setdefault((lineages.get(effect.name, effect.name), effect.number), []).append(effect)
        for (name, number), effects in found.items():
            attempts = [each.attempt for each in effects]
            assert len(set(attempts)) == len(attempts), f"{name} was called twice at once with {number}"
            cut = [each.pid for each in sorted(effects, key=lambda each: each.attempt)[:-1]]
            assert self.killed.issuperset(cut), f"{name} was called again with {number}, and had ended"
        # No more than a process holds: what it runs, what waits for a thread, what has ended in its last moment.
        again = [each for each, effects in found.items() if effects[-1].attempt > 1]
        assert len(again) <= 32 * len(self.killed)
        numbers = {}
        for name, number in found:
            numbers.setdefault(name, set()).add(number)
        return numbers


@pytest.fixture
def store(db_url):
    store = Store(db_url)
    yield store
    store.close()


@pytest.fixture
def begin(make_connector, store, tmp_path, eventually):
    return lambda chance: World(make_connector(), store, tmp_path / "effects", eventually, chance)


def registered(store, *names):
    return lambda: set(names) <= {each.name for each in store.callback_names.all() if each.same_as is None}


def test_each_callback_is_called_once_whatever_is_deployed_and_killed(deploy, begin, store, eventually):
    """
    What the first are called now they were called before; what is left out for a while is owed all of it.
    """
    world = begin(random.Random(1))
    world.send(8)
    first = [deploy("ship", "book") for _ in range(2)]
    eventually(registered(store, "ship", "book"))
    world.send(8)
    world.some_more({"ship", "book"})
    world.kill(first[0])
    second = deploy("deliver<ship", "book", "mail")
    eventually(registered(store, "deliver", "mail"))
    before_mail = len(world.sent)
    world.send(8)
    world.some_more({"deliver", "book"})
    world.kill(first[1])
    world.kill(second)
    third = deploy("deliver", "mail")
    world.send(8)
    world.some_more({"deliver", "mail"})
    world.kill(third)
    assert any(each.name == "book" and each.owed for each in store.callback_names.all())

    deploy("deliver", "book", "mail")
    deploy("deliver<ship", "book", "mail")
    eventually(world.is_over, timeout=90)

    sent = set(world.sent)
    assert world.called({"ship": "deliver"}) == {
        "deliver": sent, "book": sent, "mail": sent.intersection(world.sent[before_mail:]),
    }  # fmt: skip


#: What the program has become, version by version.
VERSIONS = (
    ("ship", "book"),
    ("ship", "book", "extra"),
    ("deliver<ship", "book", "mail"),
    ("deliver", "mail"),
    ("deliver<ship", "ledger<book", "mail"),
    ("send<deliver<ship", "ledger<book", "mail"),
    ("send", "mail"),
    ("dispatch<send<deliver<ship", "ledger", "post<mail"),
)
LINEAGES = {"ship": "dispatch", "deliver": "dispatch", "send": "dispatch", "book": "ledger", "mail": "post"}


def names_of(version):
    return {each.split("<")[0] for each in VERSIONS[version]}


@pytest.mark.long
@pytest.mark.faults(row=13)
@pytest.mark.parametrize("seed", [2, 3])
def test_deployments_forth_and_back_with_processes_killed_at_random(deploy, begin, store, eventually, seed):
    """
    Two processes at a time, of versions that need not be the same. One name is given up by a command, and one dropped.
    """
    chance = random.Random(seed)
    world = begin(chance)
    world.send(4)
    running, versions = [deploy(*VERSIONS[0]) for _ in range(2)], [0, 0]
    eventually(registered(store, "ship", "book"))
    since = {}

    def replace(place, version):
        if chance.random() < 0.7:
            world.kill(running[place])
        else:
            running[place].terminate()
            # While it starts, nothing handles the signal yet.
            assert running[place].wait(30) in (0, -signal.SIGTERM)
        running[place], versions[place] = deploy(*VERSIONS[version]), version
        eventually(lambda: names_of(version) <= {each.name for each in store.callback_names.all()})
        for name in names_of(version) & {"extra", "mail"}:
            since.setdefault(name, len(world.sent))

    for newest in range(1, len(VERSIONS)):
        for version in (newest, chance.choice((newest - 1, newest))):
            world.send(chance.randrange(1, 6))
            if chance.random() < 0.7:
                world.some_more(names_of(versions[0]) | names_of(versions[1]))
            replace(chance.randrange(2), version)
        if VERSIONS[newest] == ("deliver", "mail"):
            # An older version may still be there, and have it.
            replace(0, newest)
            replace(1, newest)
            world.send(3)
            store.callback_names.drop("extra")
            dropped = len(world.sent)
            assert store.callback_names.rename("book", "ledger") == 1
    for process in running:
        world.kill(process)

    deploy(*VERSIONS[-1])
    deploy(*VERSIONS[-1])
    eventually(world.is_over, timeout=90)

    sent, called = set(world.sent), world.called(LINEAGES)
    assert called.pop("extra", set()) <= set(world.sent[since["extra"] : dropped])
    assert called == {"dispatch": sent, "ledger": sent, "post": sent.intersection(world.sent[since["mail"] :])}
    assert len(world.killed) >= 6 and {each.name for each in store.callback_names.all() if each.same_as is None} == {
        "dispatch", "ledger", "post",
    }  # fmt: skip
