"""
One of several processes of a shop under everything at once; each callback notes what it was told, on disk, at once.

``python soak_shop.py SETTINGS``, a JSON object. Until SIGTERM it pays, waits, cancels and restores on two threads; with
a clock that is ``ahead`` it only receives, follows up and calls back.
"""

import itertools
import json
import os
import random
import signal
import sys
import threading
import time

from fedapay_sync import Clock, Connector, FedapayError, MethodesPaiement, Pace, PaiementSetup, Pays, UserData

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
THREADS = 2


class Ledger:
    """A file that several processes append to, a line at a time, and that is on disk when a call comes back."""

    def __init__(self, path, life):
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._life = life

    def note(self, what, **facts):
        """``at`` is of a clock that all processes of the machine share."""
        line = json.dumps({"what": what, "life": self._life, "at": time.monotonic(), **facts})
        os.write(self._file, f"{line}\n".encode())
        os.fsync(self._file)


class Ahead(Clock):
    """A clock that is so many seconds ahead of the machine's."""

    def __init__(self, seconds):
        self._seconds = seconds

    def now(self):
        return super().now() + self._seconds


class SoakShop:
    """The connector, its callbacks, and what its threads do all day."""

    def __init__(self, url, key, secret, db_url, port, ledger, life, ahead=0):
        self.life = life
        self.works = not ahead
        self.stop = threading.Event()
        self.ledger = Ledger(ledger, life)
        self.known = []
        self._numbers = itertools.count(1)
        self._random = random.Random(life)
        self.connector = Connector(
            url,
            True,
            listen_server_port=port,
            fedapay_webhooks_secret_key=secret,
            callback_timeout=5,
            db_url=db_url,
            api_key=key,
            clock=Ahead(ahead),
            pace=Pace(first=0.5, factor=1.5, longest=4),
        )
        self.connector.on_webhook(self.told)
        self.connector.on_restored(lambda outcome: self.note_outcome("restored", outcome))

    # Callbacks

    def told(self, event):
        """The effect; now and then it takes its time, or fails."""
        run = f"{self.life}-{next(self._numbers)}"
        self.known.append(event.id_transaction)
        self.ledger.note(
            "begin", run=run, key=event.event_key, id=str(event.id_transaction), paid=event.paid, attempt=event.attempt
        )
        self.stop.wait(self._random.choice((0, 0, 0.05, 0.4)))
        if self._random.random() < 0.03:
            self.ledger.note("fail", run=run)
            raise RuntimeError("no stock today")
        self.ledger.note("end", run=run)

    def note_outcome(self, what, outcome, key=""):
        """How a wait ended."""
        number = str(outcome.id_transaction)
        self.ledger.note(what, key=key, id=number, paid=outcome.paid, status=outcome.status.name)

    # What its threads do

    def pay(self):
        """A payment under a reference of its own; asked for again where the answer was lost, and sometimes anyway."""
        reference = f"{self.life}-{next(self._numbers)}"
        for _ in range(3):
            try:
                number = self.connector.pay(SETUP, CLIENT, 500, merchant_reference=reference).id_transaction
            except FedapayError as error:
                self.ledger.note("refused", error=type(error).__name__)
            else:
                self.known.append(number)
                if self._random.random() < 0.8:
                    return number
        return self.known[-1]

    def finalise(self):
        """Wait for a payment of one's own, or for one that another process asked for."""
        number = self.pay() if self._random.random() < 0.7 else self._random.choice(self.known)
        how = self._random.choice(("keep", "delete"))
        timeout = self._random.choice((0, 0.3, 2.0))
        self.note_outcome("finalise", self.connector.finalise(number, timeout, on_timeout=how))

    def listen_many(self):
        """Four at once, whose ends go to a callback."""
        batch = f"{self.life}-{next(self._numbers)}"
        self.connector.listen_many(
            [self.pay() for _ in range(4)],
            timeout=self._random.choice((0.5, 3.0)),
            callback=lambda outcome: self.note_outcome("listened", outcome, f"{batch}-{outcome.id_transaction}"),
        )

    def cancel(self):
        """The shop changes its mind while the payer types."""
        number = self.pay()
        self.stop.wait(self._random.uniform(0, 1.5))
        self.connector.cancel(number)

    def check_status(self):
        """Of any payment."""
        self.connector.check_status(self._random.choice(self.known))

    def restore(self):
        """Also in the midst of everything."""
        self.connector.restore()

    def work(self):
        """One thing after another, until it is told to stop."""
        things = [
            self.pay,
            self.finalise,
            self.finalise,
            self.listen_many,
            self.cancel,
            self.check_status,
            self.restore,
        ]
        while not self.stop.is_set():
            try:
                self._random.choice(things)()
            except FedapayError as error:
                self.ledger.note("refused", error=type(error).__name__)
            except IndexError:
                continue  # no payment is known yet
            except Exception as error:  # edge of a thread: whatever it is, the ledger has it
                if not self.stop.is_set():
                    self.ledger.note("crashed", error=repr(error))
            # As many payments as FedaPay may be asked about: five a second, of all processes together.
            self.stop.wait(0.3)

    def run(self):
        """From the first webhook to SIGTERM."""
        signal.signal(signal.SIGTERM, self.end)
        self.connector.start_webhook_server()
        self.connector.restore()
        print("ready", flush=True)
        if self.works:
            for _ in range(THREADS - 1):
                threading.Thread(target=self.work, daemon=True).start()
            # Here, too: a handler of signals runs in the main thread, in the midst of what it does.
            self.work()
        while not self.stop.wait(1):
            pass
        self.connector.close()

    def end(self, *_):
        """The handler of SIGTERM: closes in the midst of whatever runs."""
        self.connector.close()
        self.stop.set()


if __name__ == "__main__":
    SoakShop(**json.loads(sys.argv[1])).run()
