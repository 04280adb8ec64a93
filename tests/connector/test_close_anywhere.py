"""
``close()`` in the midst of every line of what a caller runs, as a signal handler's would come.

A tracing function stands in for the signal: Python calls handlers between two instructions of the main thread, and
this one between two lines of it.
"""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Callable, Iterator, List, Set, Tuple

import pytest
from support.line_stopper import PACKAGE, Line, Stopper

from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.connector import runtime
from fedapay_sync.connector.connector import Connector
from fedapay_sync.emulator import Emulator
from fedapay_sync.errors import FedapayError
from fedapay_sync.store import Store
from fedapay_sync.workflow.reconciliation.polling_policy import Pace

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
#: What a write goes through until it is on disk.
SUBMIT_PATH = ("store/writer.py", "store/engine.py", "concurrency/wake_event.py")


def take_and_wait(shop: Connector, emulator: Emulator) -> None:
    """What a shop does in a life."""
    payment = shop.pay(SETUP, CLIENT, 500)
    shop.listen_many([payment.id_transaction], 60)
    emulator.approve(payment.id_transaction)
    shop.finalise(payment.id_transaction, 60)
    shop.parked()


def stops(
    make: Callable[[], Connector], emulator: Emulator, modules: Tuple[str, ...]
) -> Iterator[Tuple[Line, float, float]]:
    """Close a connector at each line, one after the other: the line, seconds that it took, and that the rest took."""
    done: Set[Line] = set()
    while True:
        shop, took = make(), []

        def close(shop: Connector = shop, took: List[float] = took) -> None:
            begun = time.monotonic()
            shop.close()
            took.append(time.monotonic() - begun)

        with Stopper(close, done, modules) as stopper, contextlib.suppress(FedapayError):
            take_and_wait(shop, emulator)
        if not took:
            shop.close()
            return
        begun = time.monotonic()
        shop.close()
        yield stopper.line, took[0], time.monotonic() - begun


def writes(store: Store, reference: str) -> float:
    """Seconds until another program on the same database has written."""
    begun = time.monotonic()
    store.payments.add_intent("sandbox", "other", reference, amount=1, currency="XOF")
    return time.monotonic() - begun


@pytest.fixture
def make(make_connector, emulator):
    # No webhook: what finalise waits for is read.
    return lambda: make_connector(pace=Pace(first=0.01, factor=1.0, longest=0.01))


def test_closing_at_any_line_of_a_write_is_done_at_once(make, emulator, db_url):
    """
    No lock is held there that the writer, or whoever closes, would wait for.
    """
    other, seen = Store(db_url), Counter()
    for line, took, _ in stops(make, emulator, SUBMIT_PATH):
        assert took < 2, f"closed after {took:.1f} s at {line}"
        assert writes(other, f"{line}") < 2, line
        seen[line[0]] += 1
    other.close()

    assert set(seen) == set(SUBMIT_PATH), seen
    assert seen["store/writer.py"] > 15 and seen["store/engine.py"] > 20


@pytest.mark.long
@pytest.mark.faults(row=4)
def test_closing_at_any_line_of_the_package_ends_in_time(make, emulator, db_url, monkeypatch):
    """
    Inside a lock it cannot be done before the caller goes on; it returns all the same, and then it is done.
    """
    monkeypatch.setattr(runtime, "_CLOSE_TIMEOUT", 0.3)
    other, places = Store(db_url), 0
    for line, took, again in stops(make, emulator, ("",)):
        places += 1
        assert took < 2, f"closed after {took:.1f} s at {line}"
        assert again < 2, f"closed again after {again:.1f} s after {line}"
        assert writes(other, f"{line}") < 2, line
    other.close()

    assert places > 500


def test_closing_twice_at_once_is_closing(make, emulator):
    shop = make()
    shop.pay(SETUP, CLIENT, 500)
    threads = [threading.Thread(target=shop.close) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(10)
    assert not any(each.is_alive() for each in threads)


@pytest.mark.skipif(os.name == "nt", reason="no SIGTERM there")
@pytest.mark.faults(row=4)
def test_a_process_that_closes_in_its_handler_ends_and_leaves_the_file_to_others(emulator, db_url):
    """
    The signal comes wherever it comes, twice; a second shop on the same file goes on at once.
    """
    script = textwrap.dedent(
        """
        import signal, sys
        from fedapay_sync import Connector, MethodesPaiement, PaiementSetup, Pays, UserData
        url, key, db_url = sys.argv[1:]
        setup = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
        client = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
        shop = Connector(fedapay_api_url=url, api_key=key, db_url=db_url)
        going = True

        def stop(*_):
            global going
            going = False
            shop.close()

        signal.signal(signal.SIGTERM, stop)
        print("ready", flush=True)
        while going:
            payment = shop.pay(setup, client, 500)
            shop.listen(payment.id_transaction, 60)
            print(payment.id_transaction, flush=True)
        shop.close()
        """
    )
    other = Store(db_url)
    for round_ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", script, emulator.url, emulator.secret_key, db_url],
            stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(Path(PACKAGE).parent)},
        )  # fmt: skip
        for _ in range(1 + round_):
            assert process.stdout.readline()
        for _ in range(2):
            process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=20)
        assert process.returncode == 0, output
        assert writes(other, f"CMD-{round_}") < 2
    other.close()
