"""After a death, a restart, a second process: nothing is lost, and each end is told once."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.stored_listens import make_known, open_listens

from fedapay_sync import EventFutureStatus, MethodesPaiement, Outcome, PaiementSetup, Pays, UserData
from fedapay_sync.errors import ConfigError
from fedapay_sync.workflow.context import Context
from fedapay_sync.workflow.reconciliation.polling_policy import Pace
from fedapay_sync.workflow.waits.recovery import Recovery

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
NEVER = Pace(first=10_000, factor=2, longest=10_000)
QUICK = Pace(first=0.02, factor=1.2, longest=0.1)
ROOT = Path(__file__).resolve().parents[3]

RESOLVED, TIMEOUT = EventFutureStatus.RESOLVED, EventFutureStatus.TIMEOUT

WAITER = """
import sys
from fedapay_sync import Connector
url, key, db, timeout, *numbers = sys.argv[1:]
connector = Connector(url, api_key=key, db_url=db)
for number in numbers:
    connector.listen(int(number), timeout=float(timeout))
print("waiting", flush=True)
sys.stdin.read()
"""

RESTORER = """
import sys, threading
from fedapay_sync import Connector
url, key, db, said = sys.argv[1:]
connector = Connector(url, api_key=key, db_url=db)

@connector.on_restored
def told(outcome):
    with open(said, "a") as file:
        file.write(f"{outcome.id_transaction} {outcome.status.name} {outcome.paid}\\n")

print("ready", flush=True)
sys.stdin.readline()
print(connector.restore(), flush=True)
sys.stdin.read()
connector.close()
"""


class Child:
    """A real process that runs such a script, killed at the end at the latest."""

    def __init__(self, script, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=str(ROOT),
            text=True,
        )

    def line(self):
        return self.process.stdout.readline().strip()

    def tell(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill(self):
        """As the kernel does it: nothing is cleaned up."""
        self.process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        self.process.wait(10)

    def end(self):
        self.process.communicate(timeout=10)


@pytest.fixture
def child(emulator, db_url):
    """Starts children on the test's database."""
    started = []

    def start(script, *arguments):
        started.append(Child(script, emulator.url, emulator.secret_key, db_url, *arguments))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()
        each.process.stdin.close()
        each.process.stdout.close()


@pytest.fixture
def orphans(make_connector, child):
    """Payments for which a process waited that is dead now."""

    def make(count=1, timeout=600):
        shop = make_connector()
        ids = [shop.pay(SETUP, CLIENT, 500 + number).id_transaction for number in range(count)]
        shop.close()
        waiter = child(WAITER, timeout, *ids)
        assert waiter.line() == "waiting"
        waiter.kill()
        return ids

    return make


@pytest.fixture
def reborn(make_connector):
    """A connector after the restart, and what its callback of restored waits was given."""

    def make(**changes):
        connector = make_connector(**{"pace": QUICK, **changes})
        # As if somebody waited: the waker then looks at the clock that obeys every 50 ms.
        connector._per_process.get().notifier.subscribe("nobody", threading.Event())
        told = []
        connector.on_restored(told.append)
        return connector, told

    return make


def states(connector):
    return {each.transaction_id: each for each in open_listens(connector._per_process.get().store)}


def gets(emulator):
    return [request.path for request in emulator.requests if request.method == "GET"]


def test_a01_after_kill_9_restore_finds_what_was_paid_meanwhile(orphans, reborn, emulator, eventually, db_url):
    """
    A1, A4: killed while it waited, paid while nobody was there, no webhook: told once, and never again.
    """
    (id_transaction,) = orphans()
    emulator.approve(id_transaction)
    connector, told = reborn()

    assert connector.restore() == 1
    eventually(lambda: told)

    (outcome,) = told
    assert isinstance(outcome, Outcome) and outcome.paid and outcome.status == RESOLVED
    assert outcome.id_transaction == id_transaction and outcome.webhooks[0].name == "transaction.approved"
    connector.close()
    again, told_again = reborn()
    assert again.restore() == 0
    again.save_webhook({"name": "transaction.approved", "entity": emulator.transaction(id_transaction)})
    assert again.finalise(id_transaction).paid
    assert told == [outcome] and told_again == []


def test_the_long_named_setter_gets_status_and_webhooks(orphans, make_connector, emulator, eventually):
    """
    ``run_after_finalise(status, data)`` as the page has it, and the long names of restore.
    """
    (id_transaction,) = orphans()
    emulator.decline(id_transaction)
    connector = make_connector(pace=QUICK)
    told = []

    def run_after_finalise(status, data):
        told.append((status, data))

    connector.set_on_persited_listening_processes_loading_finished_callback(run_after_finalise)
    connector.load_persisted_listening_processes()
    eventually(lambda: told)

    ((status, webhooks),) = told
    assert status is RESOLVED and [webhook.name for webhook in webhooks] == ["transaction.declined"]


@pytest.mark.faults(row=3)
def test_a01_killed_right_after_restore_nothing_is_lost(orphans, child, reborn, emulator, eventually, tmp_path):
    """
    A1: a crash loop at start-up, the usual moment: every round takes them all again, none is lost, none told twice.
    """
    ids = orphans(20)
    told_to_file = tmp_path / "told.txt"
    told_to_file.touch()
    for _ in range(2):
        crashing = child(RESTORER, told_to_file)
        assert crashing.line() == "ready"
        crashing.tell()
        assert crashing.line() == "20"
        crashing.kill()
    for each in ids:
        emulator.approve(each)
    connector, told = reborn()
    assert connector.restore() == 20

    eventually(lambda: len(told) == 20)
    assert sorted(outcome.id_transaction for outcome in told) == sorted(ids)
    assert told_to_file.read_text() == ""


def test_a02_fedapay_down_at_restore_loses_nothing(orphans, reborn, emulator, eventually, clock):
    """
    A2: booted before the network: the listens stay, and are found when FedaPay is back.
    """
    ids = orphans(3)
    for each in ids:
        emulator.approve(each)
    emulator.fail_next("/v1/", status=500, times=10_000)
    connector, told = reborn(clock=clock)
    assert connector.restore() == 3
    eventually(lambda: clock.advance(0.1) or len(set(gets(emulator))) == 3)
    assert told == [] and sorted(states(connector)) == sorted(map(str, ids))
    emulator.faults.clear()

    eventually(lambda: clock.advance(0.5) or len(told) == 3)
    assert all(outcome.paid for outcome in told)


def test_c07_restore_does_not_storm_fedapay(orphans, reborn, emulator, clock, eventually):
    """
    C7: the first looks are spread over time: five a second, not all at once.
    """
    orphans(40)
    connector, _ = reborn(clock=clock, pace=NEVER, poll_rate=5)
    before = len(gets(emulator))
    connector.restore()
    clock.advance(0.5)
    eventually(lambda: len(gets(emulator)) > before)

    assert len(gets(emulator)) - before <= 8
    eventually(lambda: clock.advance(0.2) or len(gets(emulator)) - before == 40)


def test_a11_two_processes_that_restore_at_once_share_the_listens(orphans, child, emulator, tmp_path, eventually):
    """
    A11: each goes to one of them, and is told once.
    """
    ids = orphans(12)
    for each in ids:
        emulator.approve(each)
    said = [tmp_path / "a.txt", tmp_path / "b.txt"]
    children = [child(RESTORER, path) for path in said]
    assert [each.line() for each in children] == ["ready", "ready"]
    for each in children:
        each.tell()
    counts = [int(each.line()) for each in children]

    def lines():
        return sorted("".join(path.read_text() for path in said if path.exists()).splitlines())

    assert sum(counts) == 12
    eventually(lambda: len(lines()) >= 12, timeout=20)
    for each in children:
        each.end()
    assert lines() == sorted(f"{each} RESOLVED True" for each in ids)


def test_a11_threads_that_restore_at_once_share_the_listens(orphans, reborn, emulator, eventually):
    """
    The same within one process.
    """
    orphans(10)
    connector, _ = reborn(pace=NEVER)
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda _: connector.restore(), range(8)))

    assert sum(counts) == 10


def test_restore_without_a_callback_is_refused(make_connector, db_url):
    """
    Nobody would hear of the ends.
    """
    with pytest.raises(ConfigError, match="on_restored"):
        make_connector().restore()
    assert not Path(db_url[len("sqlite:///") :]).exists()


def test_the_deadline_survives_the_restart(orphans, reborn, emulator, clock, eventually):
    """
    What is left of the time, not the whole of it once more; and FedaPay is asked before it is called a timeout.
    """
    (id_transaction,) = orphans(timeout=600)
    connector, told = reborn(clock=clock, pace=NEVER)
    clock.advance(300)
    connector.restore()
    before = len(gets(emulator))
    clock.advance(290)
    eventually(lambda: len(gets(emulator)) == before + 1)
    assert told == [] and states(connector)[str(id_transaction)].state == "pending"

    clock.advance(15)
    eventually(lambda: told)

    assert [(outcome.status, outcome.paid) for outcome in told] == [(TIMEOUT, False)]


def test_a_deadline_that_passed_while_nobody_was_there_is_decided_by_fedapay(
    orphans, reborn, emulator, clock, eventually
):
    """
    Paid, pending, deleted: each what it is, none a guess.
    """
    paid, pending, deleted = orphans(3, timeout=60)
    emulator.approve(paid)
    clock.advance(3600)
    connector, told = reborn(clock=clock, pace=NEVER)
    connector._per_process.get().api.transactions.delete(deleted)
    connector.restore()
    eventually(lambda: clock.advance(0.5) or len(told) == 3)

    ends = {outcome.id_transaction: outcome.status.name for outcome in told}
    assert ends == {paid: "RESOLVED", pending: "TIMEOUT", deleted: "CANCELLED"}
    assert states(connector) == {}


@pytest.mark.faults(row=8)
def test_a_clock_set_back_does_not_prolong_a_restored_wait(orphans, reborn, emulator, clock, eventually):
    """
    At most the time that was asked for.
    """
    orphans(timeout=60)
    clock.wall_ahead = -86_400
    connector, told = reborn(clock=clock, pace=NEVER)
    connector.restore()
    clock.wall_ahead = 0
    clock.advance(62)

    eventually(lambda: told)
    assert told[0].status == TIMEOUT


def test_a03_a_clean_close_keeps_the_listens(make_connector, reborn, emulator, eventually):
    """
    A3: a deployment is no cancellation; the next process finds them all, at once and not after a lease.
    """
    shop = make_connector(pace=NEVER)
    ids = [shop.pay(SETUP, CLIENT, 500 + number).id_transaction for number in range(5)]
    handles = [shop.listen(each) for each in ids]
    shop.close()
    assert {handle.result().status for handle in handles} == {EventFutureStatus.CANCELLED_INTERNALLY}
    for each in ids:
        emulator.approve(each)
    connector, told = reborn()

    assert connector.restore() == 5
    eventually(lambda: len(told) == 5)
    assert all(outcome.paid for outcome in told)


def test_the_listens_of_a_living_process_are_not_stolen(make_connector, child, reborn, emulator, eventually):
    """
    A11: another process's, and another connector's in this one; its death is noticed later without being asked.
    """
    shop = make_connector(pace=NEVER)
    mine, other = (shop.pay(SETUP, CLIENT, 500 + number).id_transaction for number in range(2))
    shop.listen(mine)
    waiter = child(WAITER, 600, other)
    assert waiter.line() == "waiting"
    connector, told = reborn()

    assert connector.restore() == 0
    waiter.kill()
    assert connector.restore() == 1
    emulator.approve(other)
    eventually(lambda: told)
    assert [outcome.id_transaction for outcome in told] == [other]


def test_after_restore_the_dead_are_looked_for_again(make_connector, child, reborn, emulator, clock, eventually):
    """
    A second worker of the shop dies an hour later: its listens are taken over without a restart.
    """
    shop = make_connector(pace=NEVER)
    id_transaction = shop.pay(SETUP, CLIENT, 500).id_transaction
    connector, told = reborn(clock=clock)
    connector.restore()
    waiter = child(WAITER, 600, id_transaction)
    assert waiter.line() == "waiting"
    waiter.kill()
    emulator.approve(id_transaction)

    eventually(lambda: clock.advance(1) or told, timeout=20)
    assert told[0].paid


def test_a_key_that_the_program_lacks_is_left_alone(make_connector, reborn, emulator, eventually, caplog):
    """
    A9: asked with the wrong key FedaPay would say 401; the row waits for a program that has the key.
    """
    other = "sk_sandbox_autre_marchand"
    shop = make_connector(pace=NEVER, api_keys=[other])
    id_transaction = shop.pay(SETUP, CLIENT, 500).id_transaction
    shop.listen(id_transaction, api_key=other)
    shop.close()
    connector, _ = reborn()
    before = len(gets(emulator))

    assert connector.restore() == 0 and connector.restore() == 0
    assert len(gets(emulator)) == before
    assert caplog.text.count("left alone") == 1 and other not in caplog.text
    assert list(states(connector)) == [str(id_transaction)]
    connector.close()
    knowing, _ = reborn(api_keys=[other], pace=NEVER)
    assert knowing.restore() == 1


def test_a_payment_with_another_amount_is_restored_as_not_paid(orphans, reborn, emulator, eventually):
    """
    The callback hears of it, with a reason, and ``paid`` is false.
    """
    (id_transaction,) = orphans()
    connector, told = reborn(pace=NEVER)
    connector.restore()
    entity = {**emulator.transaction(id_transaction), "status": "approved", "amount": 1}
    connector.save_webhook({"name": "transaction.approved", "entity": entity})
    eventually(lambda: told)

    assert not told[0].paid and "500" in told[0].reason


def test_owed_webhook_callbacks_of_a_dead_process_are_run(make_connector, emulator, eventually):
    """
    Stored, acknowledged, and then the process was gone: the next one that has the callback runs it.
    """
    shop = make_connector()
    id_transaction = shop.pay(SETUP, CLIENT, 500).id_transaction
    emulator.approve(id_transaction)
    shop.save_webhook({"name": "transaction.approved", "entity": emulator.transaction(id_transaction)})
    shop.close()
    again = make_connector()
    seen = []
    again.on_webhook(seen.append)
    again.on_restored(lambda outcome: None)
    again.restore()

    eventually(lambda: seen)
    assert seen[0].paid and seen[0].attempt == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a11_a_webhook_in_another_process_wakes_the_wait_here(make_connector, child, emulator, eventually):
    """
    A11: the receiver is one worker, the waiter another.
    """
    receiver = (
        "import sys\n"
        "from fedapay_sync import Connector\n"
        "url, key, db, secret = sys.argv[1:]\n"
        "c = Connector(url, True, api_key=key, db_url=db, listen_server_port=0, fedapay_webhooks_secret_key=secret)\n"
        "c.start_webhook_server()\n"
        "print(c.webhook_url, flush=True)\n"
        "sys.stdin.read()\n"
        "c.close()\n"
    )
    worker = child(receiver, emulator.webhook_secret)
    emulator.webhook_url = worker.line()
    shop = make_connector(pace=NEVER)
    id_transaction = shop.pay(SETUP, CLIENT, 500).id_transaction
    handle = shop.listen(id_transaction)
    emulator.approve(id_transaction)

    assert handle.result(timeout=10).paid
    assert gets(emulator) == []


def test_a_webhook_that_is_quicker_than_restore_is_told_too(make_connector, emulator, eventually):
    """
    The wait's process is gone; its end comes before anybody restores it, and still reaches on_restored, once.
    """
    gone = make_connector()
    id_transaction = gone.pay(SETUP, CLIENT, 500).id_transaction
    gone.listen(id_transaction, timeout=600)
    gone.close()
    back = make_connector(use_listen_server=True)
    told = []
    back.on_restored(told.append)
    back.start_webhook_server()
    emulator.webhook_url = back.webhook_url
    emulator.approve(id_transaction)
    emulator.wait_for_deliveries()

    assert back.restore() == 0

    eventually(lambda: told)
    assert [(outcome.id_transaction, outcome.paid) for outcome in told] == [(id_transaction, True)]


def test_what_fedapay_never_told_is_given_up_after_two_days_and_told_when_it_is_paid_after_all(
    orphans, reborn, emulator, clock, eventually
):
    """
    Not watched for ever, not restored at each start, never called anything that nobody knows.
    """
    (id_transaction,) = orphans(timeout=60)
    emulator.fail_next("/v1/transactions/", method="GET", status=500, times=10_000)
    connector, told = reborn(clock=clock)
    connector.restore()
    eventually(
        lambda: clock.advance(1) or connector._per_process.get().store.listens.ended("sandbox", [str(id_transaction)])
    )
    clock.advance(47 * 3600)
    connector._per_process.get().recovery.restore()
    assert list(states(connector)) == [str(id_transaction)]

    eventually(lambda: clock.advance(1800) or not states(connector), timeout=20)
    eventually(lambda: not connector._per_process.get().waits._polled)
    assert connector.restore() == 0 and told == []

    emulator._middleware._faults.clear()
    emulator.approve(id_transaction)
    assert connector.check_status(id_transaction).was_paid
    eventually(lambda: told)
    assert [(outcome.id_transaction, outcome.paid) for outcome in told] == [(id_transaction, True)]


def test_a_wall_clock_set_forward_takes_no_listen_from_a_living_process(
    make_connector, child, reborn, clock, emulator, eventually
):
    """
    The first time synchronisation after a boot: by the new time every lease has ended, and nobody has died.
    """
    shop = make_connector(pace=NEVER)
    id_transaction = shop.pay(SETUP, CLIENT, 500).id_transaction
    waiter = child(WAITER, 600, id_transaction)
    assert waiter.line() == "waiting"
    connector, _ = reborn(clock=clock, pace=NEVER)
    clock.wall_ahead += 7200

    assert connector.restore() == 0
    waiter.kill()
    assert connector.restore() == 1


def test_a_round_that_fails_is_not_the_last_one():
    """
    Whatever went wrong in it, the waits of a process that dies later are looked for all the same.
    """
    later, fail = [], []

    def acquire(*_, **__):
        if fail:
            raise RuntimeError("can't start new thread")
        return []

    context = SimpleNamespace(config=SimpleNamespace(environment="sandbox"), store=None, clock=None, owner="A")
    context.store = SimpleNamespace(listens=SimpleNamespace(acquire_abandoned=acquire))
    notifier = SimpleNamespace(call_later=lambda seconds, action: later.append(action))
    reconciler = SimpleNamespace(catch_up=lambda: None)
    recovery = Recovery(Context(**vars(context)), notifier, None, reconciler)
    recovery.restore()
    fail.append(True)
    with pytest.raises(RuntimeError):
        later.pop()()
    assert len(later) == 1


def test_the_end_of_a_restored_wait_is_told_at_once_beside_the_webhook_that_brings_it(reborn, monkeypatch, eventually):
    """
    And not only when the queue is looked through the next time.
    """
    monkeypatch.setattr("fedapay_sync.workflow.callbacks.worker.POLL_INTERVAL", 60.0)
    connector, told = reborn()
    connector.on_webhook(lambda event: None)
    runtime = connector._started_runtime()
    eventually(runtime.callbacks.names.told)
    make_known(runtime.store, [101])
    connector.listen(101, timeout=600)
    runtime.store.write(lambda database: database.execute_sql("UPDATE fp_listen SET owed = 1") and None)

    entity = {"klass": "v1/transaction", "id": 101, "status": "approved", "amount": 500}
    connector.save_webhook(
        {"name": "transaction.approved", "object": "transaction", "object_id": 101, "entity": entity}
    )

    eventually(lambda: told, 5)
    assert [outcome.paid for outcome in told] == [True]
