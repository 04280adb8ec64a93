"""
A shop that does everything at a steady pace, in a process of its own, and says what it takes: memory, files, threads.

``python steady_shop.py URL KEY SECRET DATABASE``: first says its webhook address; then, for each line with a number of
seconds on stdin, works for so long, lets everything come to its end, and says as JSON what it takes.
"""

import gc
import itertools
import json
import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from fedapay_sync import Connector, EventFutureStatus, MethodesPaiement, PaiementSetup, Pays, TypesPaiement, UserData

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
BY_LINK = PaiementSetup(pays=Pays.benin, type_paiement=TypesPaiement.AVEC_REDIRECTION)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
THREADS = 4
#: Rounds a second that are begun, if the machine can.
RATE = 12


class SteadyShop:
    """One connector, and what is done with it."""

    def __init__(self, url, key, secret, db_url):
        self.connector = Connector(
            url, True, listen_server_port=0, fedapay_webhooks_secret_key=secret, db_url=db_url, api_key=key
        )
        self.path = Path(f"{db_url[len('sqlite:///') :]}-wal") if db_url.startswith("sqlite") else None
        self.told = itertools.count()
        self.rounds = 0
        self.connector.on_webhook(lambda event: next(self.told))
        self.connector.on_payment(lambda payment: next(self.told))
        self.connector.start_webhook_server()

    def work(self, seconds):
        """Rounds of everything for so long; back when nothing is under way any more."""
        begun, numbers = time.monotonic(), itertools.count(1)
        failures = []

        def rounds():
            pause = threading.Event()
            try:
                while time.monotonic() - begun < seconds:
                    pause.wait(max(0.0, begun + next(numbers) / RATE - time.monotonic()))
                    self.round()
            except Exception as error:  # edge of a thread: told by the one that waits for it
                failures.append(error)

        threads = [threading.Thread(target=rounds) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        self.rounds += next(numbers) - 1

    def round(self):
        """A payment that is waited for, one that is cancelled, and two that are listened to."""
        shop = self.connector
        assert shop.finalise(shop.pay(SETUP, CLIENT, 500).id_transaction, timeout=60).paid
        ended = threading.Semaphore(0)
        waits = shop.listen_many(
            [shop.pay(SETUP, CLIENT, 500).id_transaction for _ in range(2)], callback=lambda outcome: ended.release()
        )
        cancelled = shop.pay(BY_LINK, None, 500)
        wait = shop.listen(cancelled.id_transaction)
        shop.cancel(cancelled.id_transaction)
        assert wait.result().status == EventFutureStatus.CANCELLED
        shop.check_status(waits[0].id_transaction)
        for wait in waits:
            assert wait.result().paid
            assert ended.acquire(timeout=60)

    def takes(self):
        """What the process takes now that nothing is under way."""
        pause, end = threading.Event(), time.monotonic() + 60
        while self.connector.owes_callbacks() and time.monotonic() < end:
            pause.wait(0.05)
        gc.collect()
        return {
            "rounds": self.rounds,
            "told": next(self.told),
            "resident": int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
            "descriptors": len(os.listdir("/proc/self/fd")),
            "threads": sorted(thread.name for thread in threading.enumerate()),
            "wal": self.path.stat().st_size if self.path is not None else 0,
            "objects": Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.get_objects()),
        }


if __name__ == "__main__":
    shop = SteadyShop(*sys.argv[1:])
    print(shop.connector.webhook_url, flush=True)
    for line in sys.stdin:
        shop.work(float(line))
        print(json.dumps(shop.takes()), flush=True)
    shop.connector.close()
