"""
Ctrl-C at every instruction of what waits and wakes: the program goes on with the same connector, and closes it.

A tracing function raises where Python would: after a call, as a function begins, at the end of a round of a loop.
"""

import contextlib
import dis
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any, Dict, Set, Tuple

import pytest
from support.line_stopper import Tracer

import fedapay_sync
from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.workflow.reconciliation.polling_policy import Pace

PACKAGE = Path(fedapay_sync.__file__).parent
SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
#: Where threads wait for each other.
WAITING = ("concurrency", "workflow/callbacks")
#: After these, Python looks for signals.
INTERRUPTIBLE = ("CALL", "RESUME", "JUMP_BACKWARD", "JUMP_ABSOLUTE")
Place = Tuple[str, int]


class Interruption(Tracer):
    """Ctrl-C, once, at the first such instruction of this thread that was not interrupted before."""

    def __init__(self, files: Set[str], done: Set[Place]) -> None:
        self._files = files
        self._done = done
        self._last: Dict[int, str] = {}
        self.place: Place = ("", 0)

    def _called(self, frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename not in self._files:
            return None
        if frame.f_code.co_filename == threading.__file__ and not self._is_from_us(frame):
            return None
        frame.f_trace_opcodes = True
        return self._step

    def _is_from_us(self, frame: FrameType) -> bool:
        caller = frame.f_back
        while caller is not None and caller.f_code.co_filename == threading.__file__:
            caller = caller.f_back
        return caller is not None and caller.f_code.co_filename in self._files

    def _step(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode":
            last = self._last.get(id(frame), "")
            self._last[id(frame)] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            place = (f"{frame.f_code.co_filename}:{frame.f_lineno}", frame.f_lasti)
            if last.startswith(INTERRUPTIBLE) and not self.place[0] and place not in self._done:
                self.place = place
                self._done.add(place)
                raise KeyboardInterrupt
        elif event in ("exception", "return"):
            # On the way to the handler of an exception Python looks for no signal.
            self._last.pop(id(frame), None)
        return self._step


def take_and_wait(shop, emulator):
    """What a shop does in a life."""
    payment = shop.pay(SETUP, CLIENT, 500)
    shop.listen_many([payment.id_transaction], 60)
    emulator.approve(payment.id_transaction)
    return shop.finalise(payment.id_transaction, 60)


@pytest.mark.parametrize(
    "folders, least",
    [
        pytest.param(WAITING, 30, id="waiting"),
        pytest.param([""], 500, id="package", marks=[pytest.mark.long, pytest.mark.faults(row=4)]),
    ],
)
def test_after_ctrl_c_anywhere_the_connector_goes_on_calls_back_and_closes(
    make_connector, emulator, eventually, folders, least
):
    """
    As at a desk, where the cell is run again.
    """
    files = {str(each) for folder in folders for each in (PACKAGE / folder).rglob("*.py")} | {threading.__file__}
    done: Set[Place] = set()
    while True:
        shop, told = make_connector(pace=Pace(first=0.01, factor=1.0, longest=0.01)), []
        shop.on_restored(lambda outcome: None)
        shop.on_webhook(told.append)
        with Interruption(files, done) as interruption, contextlib.suppress(KeyboardInterrupt):
            take_and_wait(shop, emulator)
        begun = time.monotonic()
        if interruption.place[0]:
            assert take_and_wait(shop, emulator).paid, interruption.place
            eventually(lambda told=told: told)
        shop.close()
        assert time.monotonic() - begun < 4, interruption.place
        if not interruption.place[0]:
            break

    assert len(done) > least
    # Raised where Python never does, it would leave the thread in the handler of another exception.
    assert sys.exc_info() == (None, None, None)
