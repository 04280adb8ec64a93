"""
Several processes on one database: together they take each event once, run each callback once, and wake each other.
"""

import json
import os
import random
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

import fedapay_sync
from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.concurrency.commit_listener import POLL_INTERVAL
from fedapay_sync.store import Store
from fedapay_sync.workflow.reconciliation.polling_policy import Pace

ROOT = Path(fedapay_sync.__file__).parents[1]
SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
#: No status check of its own during a test.
NEVER = Pace(first=10_000, factor=2, longest=10_000)
EVENTS = 150

WORKER = """
    import hashlib, json, random, sys
    from support.claims import claim
    from fedapay_sync.store import NewEvent, Store
    url, owner, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
    store = Store(url)
    store.open()
    def event(number):
        return NewEvent(
            dedup_key=hashlib.sha256(str(number).encode()).hexdigest(), event_key=str(number), environment="sandbox",
            account="shop", name="transaction.approved", object="transaction", entity_id=str(number),
            status="approved", is_final=True, is_paid=True, source="webhook", body=b"{}", body_sha256="",
            received_at=1.0,
        )
    print("ready", flush=True)
    sys.stdin.readline()
    numbers = list(range(number))
    random.shuffle(numbers)
    new = sum(store.events.accept(event(each)).new for each in numbers)
    ran = []
    while taken := claim(store, owner, lease=60.0, limit=4):
        for work in taken:
            ran.append(work.event_key)
            assert store.callbacks.mark_done(work, owner)
    store.close()
    print(json.dumps({"new": new, "ran": ran}), flush=True)
"""

SHOP = """
    import sys
    from fedapay_sync import Connector
    api, key, secret, url = sys.argv[1:]
    connector = Connector(api, True, listen_server_port=0, fedapay_webhooks_secret_key=secret, db_url=url, api_key=key)
    connector.start_webhook_server()
    print(connector.webhook_url, flush=True)
    sys.stdin.readline()
    connector.close()
"""


@pytest.fixture
def run():
    """Scripts in processes of their own, killed at the end if they still run."""
    started = []

    def run(script, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parents[1])])},
        )  # fmt: skip
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


@pytest.mark.faults(row=13)
@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_the_events_and_the_callbacks_without_a_double(run, db_url, processes):
    """
    Each delivers all events, in an order of its own, and then works until nothing is left.
    """
    workers = [run(WORKER, db_url, f"owner-{number}", EVENTS) for number in range(processes)]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    told = [json.loads(worker.communicate(timeout=60)[0]) for worker in workers]

    ran = Counter(key for each in told for key in each["ran"])
    assert sum(each["new"] for each in told) == EVENTS
    assert set(ran) == {str(number) for number in range(EVENTS)}
    assert max(ran.values()) == 1
    store = Store(db_url)
    assert store.read(lambda database: database.execute_sql("SELECT count(*) FROM fp_event").fetchone()[0]) == EVENTS
    store.close()


@pytest.mark.faults(row=13)
def test_a_wait_ends_when_the_webhook_lands_in_another_process(run, make_connector, emulator, db_url):
    """
    Ten payments, one after the other, each waited for here and told there.
    """
    shop = run(SHOP, emulator.url, emulator.secret_key, emulator.webhook_secret, db_url)
    emulator.webhook_url = shop.stdout.readline().strip()
    connector = make_connector(pace=NEVER)
    late = []
    for _ in range(10):
        payment = connector.pay(SETUP, CLIENT, 500)
        ended = []

        def wait(payment=payment, ended=ended):
            ended.append((connector.finalise(payment.id_transaction, timeout=30), time.time()))

        waiter = threading.Thread(target=wait)
        waiter.start()
        # Now and then before the wait has begun.
        waiter.join(random.uniform(0, 0.2))
        emulator.approve(payment.id_transaction)
        waiter.join(30)
        (outcome, at) = ended[0]
        assert outcome.paid
        late.append(at - outcome.webhooks[0].received_at.timestamp())
    assert sorted(late)[len(late) // 2] <= POLL_INTERVAL + 0.1, late


@pytest.mark.faults(row=13)
def test_a_cancel_ends_the_wait_of_another_process(run, make_connector, emulator, db_url):
    """
    And that of a second one in this process.
    """
    connector, second = make_connector(pace=NEVER), make_connector(pace=NEVER)
    payment = connector.pay(SETUP, CLIENT, 500)
    waits = [each.listen(payment.id_transaction, timeout=30) for each in (connector, second)]
    script = """
        import sys
        from fedapay_sync import Connector
        api, key, url, transaction = sys.argv[1:]
        connector = Connector(api, db_url=url, api_key=key)
        connector.cancel(transaction)
        connector.close()
    """
    run(script, emulator.url, emulator.secret_key, db_url, payment.id_transaction)
    assert [str(wait.result(20).status) for wait in waits] == [str(waits[0].result(1).status)] * 2
    assert "CANCEL" in str(waits[0].result(1).status).upper()
