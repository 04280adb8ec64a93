"""Row 3: SIGKILL while a wait is restored, while its deadline is decided, while its transaction is deleted."""

import signal
import subprocess
import sys
import threading

import pytest
from support import crash_points
from support.stored_listens import open_listens

from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.workflow.reconciliation.polling_policy import Pace

pytestmark = pytest.mark.faults(row=3)

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
QUICK = Pace(first=0.02, factor=1.2, longest=0.1)

#: Waits until the deadline, or restores what another waited for; dies on the way.
DIES = """
from support import crash_points
import sys
from fedapay_sync import Connector
url, key, db, number = sys.argv[1:]
connector = Connector(url, api_key=key, db_url=db, on_timeout="delete")
crash_points.arm()
if number:
    connector.finalise(int(number), timeout=0.3)
else:
    connector.on_restored(print)
    connector.restore()
sys.stdin.read()
"""
RESTORING = {
    "restore: taken over": "listens.acquire_abandoned:return",
    "restore: looked": "mixins.retrieve:return",
}
DECIDING = {
    "deadline: taken": "listens.begin_closing:return",
    "deadline: looked": "mixins.retrieve:return",
    "deadline: deleted": "transactions.delete:return",
    "deadline: recorded": "repositories/listens.end:return",
}
DAILY = ("restore: looked", "deadline: deleted")


@pytest.fixture
def dies(emulator, db_url):
    """A process that dies at that point of its work on a wait."""

    def dies(point, number=""):
        process = subprocess.Popen(
            [sys.executable, "-c", DIES, emulator.url, emulator.secret_key, db_url, str(number)],
            stdin=subprocess.PIPE, env=crash_points.environment(point),
        )  # fmt: skip
        try:
            assert process.wait(30) == -signal.SIGKILL
        finally:
            process.kill()
            process.communicate(timeout=10)

    return dies


@pytest.mark.parametrize("paid", [False, True], ids=["unpaid", "paid meanwhile"])
@pytest.mark.parametrize(
    ("step", "point"),
    [
        pytest.param(step, point, id=step, marks=() if step in DAILY else pytest.mark.long)
        for step, point in {**RESTORING, **DECIDING}.items()
    ],
)
def test_killed_while_a_wait_is_decided_it_has_one_end_and_is_told_once(
    dies, make_connector, emulator, store, clock, eventually, step, point, paid
):
    """
    Whoever comes next finds the money, or leaves a link that is dead; and the wait is over in the store.
    """
    shop = make_connector(on_timeout="delete")
    number = shop.pay(SETUP, CLIENT, 500).id_transaction
    if step in RESTORING:
        shop.listen(number, timeout=600)
    shop.close()
    dies(point, "" if step in RESTORING else number)
    if paid and not is_deleted(emulator, number):
        emulator.approve(number)

    connector = make_connector(clock=clock, pace=QUICK, on_timeout="delete")
    # As if somebody waited: the waker then looks at the clock that obeys every 50 ms.
    connector._per_process.get().notifier.subscribe("nobody", threading.Event())
    told = []
    connector.on_restored(told.append)
    restored = connector.restore()
    eventually(lambda: not open_listens(store) or clock.advance(5.0), 20)
    eventually(lambda: len(told) == restored or clock.advance(1.0), 20)

    assert restored == (0 if step == "deadline: recorded" else 1)
    outcome = connector.finalise(number, timeout=0)
    assert outcome.paid is not is_deleted(emulator, number)
    assert {(each.id_transaction, each.paid) for each in told} <= {(number, outcome.paid)}
    assert outcome.paid or not emulator.transaction(number)["approved_at"]
    connector.close()
    again = make_connector(pace=QUICK)
    again.on_restored(told.append)
    assert again.restore() == 0 and len(told) == restored


def is_deleted(emulator, number):
    return emulator.transaction(number).get("deleted_at") is not None
