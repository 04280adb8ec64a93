"""Row 8: the machine's clock jumps an hour under real processes; that of the monotonic clock goes on."""

import glob
import os
import subprocess
import sys
from collections import Counter

import pytest
from support import crash_points

LIBRARY = next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), "")

pytestmark = [
    pytest.mark.faults(row=8),
    pytest.mark.long,
    pytest.mark.skipif(not LIBRARY, reason="libfaketime is not installed (Debian: apt-get install libfaketime)"),
]

#: How long the shop waits for its payment, and how long its callback takes.
TIMEOUT = 4.0
#: So much later than that of a worker whose clock did not jump may a wait end: libfaketime reads a file at each look at
#: the clock, and on a busy machine that takes its time. Whoever believes the clock is an hour late, or early.
LATE = 5.0

#: One worker of a shop: waits for a payment that nobody pays, while a callback runs that outlasts its lease if the
#: wall clock is believed.
WORKER = """
import os, sys, threading, time
from fedapay_sync import Connector, MethodesPaiement, PaiementSetup, Pays, UserData

url, key, db, effects, timeout = sys.argv[1:]
connector = Connector(url, api_key=key, db_url=db)

@connector.on_webhook
def slow(event):
    with open(effects, "a") as file:
        file.write(f"{event.event_key}\\n")
    threading.Event().wait(float(timeout))

setup = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
client = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
payment = connector.pay(setup, client, 500)
connector.save_webhook({"name": "transaction.approved", "object": "transaction", "entity": {
    "id": 7, "klass": "v1/transaction", "status": "approved", "amount": 500}})
before, begun = time.time(), time.monotonic()
print("waiting", flush=True)
outcome = connector.finalise(payment.id_transaction, timeout=float(timeout))
print(outcome.status.name, time.monotonic() - begun, time.time() - before, flush=True)
sys.stdin.read()
connector.close()
"""


@pytest.mark.parametrize("jump", ["+1h", "-1h"])
def test_a_clock_that_jumps_an_hour_ends_no_wait_early_or_late_and_repeats_no_callback(
    emulator, db_url, tmp_path, eventually, jump
):
    """
    Two workers see the jump while they wait and while one of them is in a callback; a third one does not see it.
    """
    effects, offset = tmp_path / "effects", tmp_path / "offset"
    offset.write_text("+0")
    environment = {
        **crash_points.environment(),
        "LD_PRELOAD": LIBRARY,
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, emulator.url, emulator.secret_key, db_url, str(effects), str(TIMEOUT)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables,
        )
        for variables in (environment, environment, crash_points.environment())
    ]  # fmt: skip
    try:
        for worker in workers:
            assert worker.stdout.readline() == "waiting\n"
        eventually(effects.exists)
        staged = tmp_path / "staged"
        staged.write_text(jump)
        os.replace(staged, offset)
        told = [worker.stdout.readline().split() for worker in workers]
        assert {status for status, _, _ in told} == {"TIMEOUT"}
        *waited, calm = (float(seconds) for _, seconds, _ in told)
        assert min(waited) >= TIMEOUT and max(waited) <= calm + LATE
        assert [abs(float(by_the_wall)) > 3000 for _, _, by_the_wall in told] == [True, True, False]
        for worker in workers:
            worker.communicate(timeout=20)
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate(timeout=10)
    # Whoever believes that an hour has gone reads up on FedaPay's events, and tells of what it finds there, too.
    told = Counter(effects.read_text().splitlines())
    assert [key for key in told if key.endswith(":approved")] and set(told.values()) == {1}
