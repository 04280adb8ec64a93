"""
Real processes that die in the midst of a payment: whoever comes next finds each in a known state and ends it.
"""

import signal
import socket
import subprocess
import sys
import threading

import pytest
from support import crash_points

from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.store import Store

pytestmark = [pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL"), pytest.mark.faults(row=2)]

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")

BEGINNING = """
import os, signal, sys
from fedapay_sync import Connector, MethodesPaiement, PaiementSetup, Pays, UserData
SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
url, key, db = sys.argv[1:4]
"""

#: Dies when that many answers of FedaPay have come in, before anything is done with the last.
DIES_AT_AN_ANSWER = (
    BEGINNING
    + """
answers = []

def observe(exchange):
    answers.append(exchange)
    if len(answers) == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)

Connector(url, api_key=key, db_url=db, observer=observe).pay(SETUP, CLIENT, 500, merchant_reference="CMD-1")
os.kill(os.getpid(), signal.SIGKILL)
"""
)

#: Dies at the named point, or waits.
DIES_AT_A_POINT = (
    "from support import crash_points"
    + BEGINNING
    + """
connector = Connector(url, api_key=key, db_url=db)
crash_points.arm()
connector.finalise(connector.pay(SETUP, CLIENT, 500, merchant_reference="CMD-1").id_transaction)
"""
)

TIMES_OUT = (
    BEGINNING
    + """
connector = Connector(url, api_key=key, db_url=db)
payment = connector.pay(SETUP, CLIENT, 500, merchant_reference="CMD-1")
outcome = connector.finalise(payment.id_transaction, timeout=0.2)
print(outcome.status.name, payment.id_transaction, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
)

#: Another process of the shop: it pays nothing and waits for nothing. Its clock goes a thousand times as fast.
FOLLOWS = """
import sys, threading, time
from fedapay_sync import Connector
from fedapay_sync.common.clock import Clock

class Quick(Clock):
    def now(self):
        return start + (super().now() - start) * 100

start = time.time()
url, key, db, said = sys.argv[1:]
connector = Connector(url, api_key=key, db_url=db, clock=Quick())

@connector.on_webhook
def told(event):
    with open(said, "a") as file:
        file.write(f"{event.id_transaction} {event.name} {event.paid} {event.late}\\n")

connector.start()
print("started", flush=True)
sys.stdin.read()
connector.close()
"""


@pytest.fixture
def run(emulator, db_url):
    """Scripts in processes of their own, killed at the end if they still run."""
    started = []

    def start(script, *arguments, url=None, crash_at=""):
        process = subprocess.Popen(
            [sys.executable, "-c", script, url or emulator.url, emulator.secret_key, db_url, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=crash_points.environment(crash_at),
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait(10)
        process.stdin.close()
        process.stdout.close()


@pytest.fixture
def reborn(make_connector, clock):
    """The process after the restart, and what its webhook callback was given."""

    def make():
        connector = make_connector(clock=clock)
        connector._per_process.get().notifier.subscribe("nobody", threading.Event())
        seen = []
        connector.on_webhook(seen.append)
        connector.on_restored(lambda outcome: None)
        connector.restore()
        return connector, seen

    return make


def rows(db_url, columns="state, transaction_id, run_after"):
    """What the payments' rows hold, on either database."""
    store = Store(db_url)
    try:
        return [
            tuple(row) for row in store.read(lambda db: db.execute_sql(f"SELECT {columns} FROM fp_payment").fetchall())
        ]
    finally:
        store.close()


def pushes(emulator):
    return [each for each in emulator.requests if each.path == "/v1/momo_test"]


def test_killed_between_the_intent_and_the_post(run, reborn, emulator, db_url, eventually, clock):
    """
    FedaPay never heard of it: it is called failed, and the same reference pays.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dying = run(DIES_AT_AN_ANSWER, 99, url=f"http://127.0.0.1:{silent.getsockname()[1]}")
        eventually(lambda: rows(db_url))
        dying.send_signal(signal.SIGKILL)
        dying.wait(10)
    assert [row[:2] for row in rows(db_url)] == [("intent", None)]
    connector, seen = reborn()

    eventually(lambda: rows(db_url)[0][0] == "failed" or clock.advance(1.0), timeout=20)

    assert rows(db_url) == [("failed", None, None)] and emulator.transactions == []
    id_transaction = connector.pay(SETUP, CLIENT, 500, merchant_reference="CMD-1").id_transaction
    emulator.approve(id_transaction)
    eventually(lambda: seen or clock.advance(1.0), timeout=20)
    assert len(emulator.transactions) == len(pushes(emulator)) == 1 and seen[0].paid


@pytest.mark.parametrize("again", [False, True])
def test_killed_after_the_post_before_its_id_is_stored(run, reborn, emulator, db_url, eventually, clock, again):
    """
    It is found by its reference and followed; the customer, who was not asked, is asked when pay is called again.
    """
    assert run(DIES_AT_AN_ANSWER, 1).wait(30) == -signal.SIGKILL
    (made,) = emulator.transactions
    assert [row[:2] for row in rows(db_url)] == [("intent", None)]
    connector, seen = reborn()

    eventually(lambda: rows(db_url)[0][0] == "created" or clock.advance(1.0), timeout=20)

    assert rows(db_url)[0][1] == str(made["id"]) and pushes(emulator) == []
    if again:
        assert connector.pay(SETUP, CLIENT, 500, merchant_reference="CMD-1").id_transaction == made["id"]
    emulator.approve(made["id"])
    eventually(lambda: seen or clock.advance(1.0), timeout=20)
    assert [(event.id_transaction, event.paid) for event in seen] == [(made["id"], True)]
    eventually(lambda: rows(db_url)[0][2] is None or clock.advance(1.0))
    assert len(emulator.transactions) == 1 and len(pushes(emulator)) == int(again)


@pytest.mark.parametrize("answers", [2, 99])
def test_killed_after_the_push(run, reborn, emulator, db_url, eventually, clock, answers):
    """
    Before its answer is read, and after pay has come back: one prompt, and whoever accepted it is told of.
    """
    assert run(DIES_AT_AN_ANSWER, answers).wait(30) == -signal.SIGKILL
    assert [row[0] for row in rows(db_url)] == ["sent"]
    (made,) = emulator.transactions
    emulator.approve(made["id"])
    connector, seen = reborn()

    eventually(lambda: seen or clock.advance(1.0), timeout=20)

    assert [(event.id_transaction, event.paid) for event in seen] == [(made["id"], True)]
    assert connector.pay(SETUP, CLIENT, 500, merchant_reference="CMD-1").id_transaction == made["id"]
    assert len(emulator.transactions) == len(pushes(emulator)) == 1


#: Where pay and the wait after it are cut: each step of reliability.md 11 as it has just been done.
STEPS = {
    "P1 intent": "payment_record.remember:return",
    "P2 created": "idempotency.create_new:return",
    "P3 id stored": "payment_record.adopt:return",
    "P4 link known": "payments._link:return",
    "P5 about to prompt": "payment_record.claim_push:return",
    "P5 prompted": "payment_intents.create:return",
    "P6 waiting": "repositories/listens.open_many:return",
}
DAILY = ("P2 created", "P3 id stored", "P6 waiting")
#: The prompt is claimed in the commit that stores the id, and has not gone out yet.
CLAIMED = ("P3 id stored", "P4 link known", "P5 about to prompt")


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(point, id=step, marks=() if step in DAILY else pytest.mark.long)
        for step, point in STEPS.items()
    ],
)  # fmt: skip
def test_killed_at_any_step_of_a_payment_there_is_one_transaction_and_one_prompt(
    run, reborn, emulator, eventually, clock, point
):
    """
    The restarted shop pays under the same reference: it is the same transaction, and its end is told once.
    """
    assert run(DIES_AT_A_POINT, crash_at=point).wait(30) == -signal.SIGKILL
    connector, seen = reborn()

    id_transaction = connector.pay(SETUP, CLIENT, 500, merchant_reference="CMD-1").id_transaction
    emulator.approve(id_transaction)
    eventually(lambda: seen or clock.advance(1.0), timeout=20)

    assert [(event.id_transaction, event.paid) for event in seen] == [(id_transaction, True)]
    assert [each["id"] for each in emulator.transactions] == [id_transaction]
    # Whether a prompt that was about to go out has gone nobody can know: it is not sent again.
    assert len(pushes(emulator)) == (0 if point in [STEPS[step] for step in CLAIMED] else 1)


def test_timeout_in_a_process_that_dies_and_paid_later(run, emulator, db_url, eventually, tmp_path):
    """
    "Still watched" holds beyond the process that said it: a new one, which waits for nothing, tells its callback
    once, and says that it is late. Of two, one does.
    """
    dying = run(TIMES_OUT)
    status, number = dying.stdout.readline().split()
    assert dying.wait(30) == -signal.SIGKILL and status == "TIMEOUT"
    emulator.approve(int(number))
    said = tmp_path / "said.txt"
    said.touch()
    followers = [run(FOLLOWS, said) for _ in range(2)]
    for each in followers:
        assert each.stdout.readline()

    eventually(lambda: said.read_text(), timeout=30)

    for each in followers:
        each.communicate(timeout=20)
    assert said.read_text().splitlines() == [f"{number} transaction.approved True True"]
    asked = [each for each in emulator.requests if each.path == f"/v1/transactions/{number}"]
    # Once at the deadline, and once by one of the two.
    assert len(asked) == 2


@pytest.mark.long
def test_two_processes_watch_one_payment_and_one_at_a_time_asks(run, emulator, db_url, eventually, tmp_path):
    """
    Refused at first: it goes on being looked at, by either, and never twice for one look.
    """
    assert run(DIES_AT_AN_ANSWER, 99).wait(30) == -signal.SIGKILL
    (made,) = emulator.transactions
    emulator.decline(made["id"])
    said = tmp_path / "said.txt"
    said.touch()
    followers = [run(FOLLOWS, said) for _ in range(2)]
    for each in followers:
        assert each.stdout.readline()

    def looks():
        return [each for each in emulator.requests if each.path == f"/v1/transactions/{made['id']}"]

    eventually(lambda: len(looks()) >= 2, timeout=40)
    ((counted,),) = rows(db_url, "looks")
    assert len(looks()) in (counted - 1, counted)
    emulator.approve(made["id"])
    eventually(lambda: "approved" in said.read_text(), timeout=40)
    for each in followers:
        each.communicate(timeout=20)
    assert said.read_text().splitlines() == [
        f"{made['id']} transaction.declined False False",
        f"{made['id']} transaction.approved True False",
    ]


def test_a_process_that_pays_and_ends_looks_at_nothing(run, emulator):
    """
    A script does not stay for it; the next process of the shop will look.
    """
    paying = run(
        BEGINNING
        + 'print(Connector(url, api_key=key, db_url=db).pay(SETUP, CLIENT, 500).id_transaction)\nprint("over")\n'
    )
    output, _ = paying.communicate(timeout=10)
    assert output.split()[-1] == "over" and paying.returncode == 0
    assert [each.method for each in emulator.requests] == ["POST", "POST"]
