"""Put around the callback of the examples' Flask shop in a process of a test: each call is noted, on disk, at once."""

import functools
import itertools
import os
import threading
from pathlib import Path

from support.soak_shop import Ledger

#: The file that every process of the shop appends to.
LEDGER = "SHOP_LEDGER"
#: While a file of this name is there, a callback that has begun waits.
HOLD = "SHOP_HOLD"

_numbers = itertools.count(1)


def noted(callback):
    """The same callback; ``life`` in the ledger is the process, so that a killed one is known again."""

    @functools.wraps(callback)
    def call(event):
        ledger = Ledger(os.environ[LEDGER], os.getpid())
        run = f"{os.getpid()}-{next(_numbers)}"
        number, reference = str(event.id_transaction), event.entity.merchant_reference
        ledger.note(
            "begin", run=run, key=event.event_key, id=number, order=reference, paid=event.paid, attempt=event.attempt
        )
        while Path(os.environ[HOLD]).exists():
            threading.Event().wait(0.01)
        how = "fail"
        try:
            callback(event)
            how = "end"
        finally:
            ledger.note(how, run=run)

    return call
