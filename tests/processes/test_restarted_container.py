"""
Containers have process ids of their own: whether a wait's process lives cannot be seen from the next one. Its end is
told once nevertheless, to the wait's own callback or to that of restored waits.
"""

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

import fedapay_sync
from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.workflow.reconciliation.polling_policy import Pace
from fedapay_sync.workflow.waits.status_polling import LEASE

ROOT = Path(fedapay_sync.__file__).parents[1]
SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
#: No status check of its own during a test.
NEVER = Pace(first=10_000, factor=2, longest=10_000)

WAITER = """
    import sys
    from fedapay_sync import Connector
    from fedapay_sync.workflow.reconciliation.polling_policy import Pace
    url, key, db, number = sys.argv[1:]
    connector = Connector(url, api_key=key, db_url=db, pace=Pace(first=10_000, factor=2, longest=10_000))
    connector.listen(int(number), callback=lambda outcome: print("told", outcome.status.name, flush=True))
    print("waiting", flush=True)
    sys.stdin.readline()
    connector.close()
"""


def container():
    """The command that runs another with process ids of its own; skips the test where that is not permitted."""
    for rights in ((), ("--map-root-user",)):
        command = ["unshare", *rights, "--pid", "--fork", "--kill-child", "--mount-proc"]
        try:
            if not subprocess.run([*command, "true"], stderr=subprocess.DEVNULL, timeout=10).returncode:
                return command
        except (OSError, subprocess.TimeoutExpired):
            break
    return pytest.skip("this system lets us make no namespace of process ids")


@pytest.fixture
def waiter(emulator, db_url):
    """Starts a process in a container that listens for a transaction, with a callback."""
    started = []

    def start(number):
        process = subprocess.Popen(
            [
                *container(), sys.executable, "-c", textwrap.dedent(WAITER), emulator.url, emulator.secret_key, db_url,
                str(number),
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        started.append(process)
        assert process.stdout.readline() == "waiting\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=10)


@pytest.fixture
def next_container(make_connector, clock):
    """The shop after its restart, its payment, and what its callback of restored waits was given."""
    shop = make_connector(pace=NEVER, clock=clock)
    # As if a thread waited: the waker then looks at the clock that obeys every 50 ms.
    shop._per_process.get().notifier.subscribe("nobody", threading.Event())
    told = []
    return shop, shop.pay(SETUP, CLIENT, 500).id_transaction, told


def webhook(shop, emulator, number):
    emulator.approve(number)
    shop.save_webhook({"name": "transaction.approved", "entity": emulator.transaction(number)})


def work_states(shop):
    query = "SELECT work_state FROM fp_event WHERE name = 'local.restored'"
    found = shop._per_process.get().store.read(lambda database: database.execute_sql(query).fetchall())
    return [state for (state,) in found]


@pytest.mark.parametrize("order", ["webhook, restore", "restore, webhook", "restore, lease over, webhook"])
def test_an_end_reaches_on_restored_whatever_comes_first(next_container, waiter, emulator, clock, eventually, order):
    """
    Killed in the middle of its lease.
    """
    shop, number, told = next_container
    process = waiter(number)
    process.kill()
    process.wait(10)
    shop.on_restored(told.append)
    for step in order.split(", "):
        if step == "webhook":
            webhook(shop, emulator, number)
        elif step == "restore":
            shop.restore()
        else:
            clock.advance(LEASE + 1)

    eventually(lambda: told or clock.advance(1.0))

    assert [(outcome.id_transaction, outcome.paid) for outcome in told] == [(number, True)]
    clock.advance(3 * LEASE)
    eventually(lambda: work_states(shop) == ["done"])
    assert len(told) == 1


def test_what_a_living_process_in_another_container_waits_for_is_told_there_alone(
    next_container, waiter, emulator, clock, eventually
):
    shop, number, told = next_container
    process = waiter(number)
    shop.on_restored(told.append)
    shop.restore()
    webhook(shop, emulator, number)

    assert process.stdout.readline() == "told RESOLVED\n"

    # It says so with its heartbeat, every 20 s, or as it ends.
    process.communicate("\n", timeout=10)
    assert work_states(shop) == ["done"]
    clock.advance(3 * LEASE)
    shop.restore()
    assert told == []
