"""
A wait that can be watched: what is shown, when, and where nothing is.
"""

import io
import logging
import subprocess
import sys
import threading

import pytest

from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.display import waits
from fedapay_sync.display.waits import TerminalScreen, WaitDisplay, shown_wait
from fedapay_sync.enums import EventFutureStatus
from fedapay_sync.errors import AmountMismatch, InvalidArgument, StatusUnknown
from fedapay_sync.models import Outcome, Transaction

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")

PAID = Transaction.from_dict({"id": 7, "status": "approved", "amount": 12500, "currency_id": 1})
OUTCOME = Outcome(EventFutureStatus.RESOLVED, [], paid=True, transaction=PAID, id_transaction=7)


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


class NotedScreen:
    """Keeps what it is to show; fails when told to."""

    def __init__(self) -> None:
        self.texts = []
        self.closed = 0
        self.error = None

    def show(self, card, text) -> None:
        if self.error is not None:
            raise self.error
        self.texts.append(text.replace("\u00a0", " ").replace("\u202f", " "))

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def screen():
    return NotedScreen()


@pytest.fixture
def display(screen, clock):
    return WaitDisplay(7, 600, screen, clock)


def test_a_wait_shows_its_time_and_its_end(display, screen, clock):
    """
    Once a second at most, however often the wait looks.
    """
    with display as shown:
        for _ in range(3):
            shown.tick()
        clock.advance(75)
        shown.tick()
        assert shown.ended(OUTCOME) is OUTCOME

    assert screen.texts[0] == "Paiement 7 : en attente, 0 s (au plus 10 min)"
    assert screen.texts[-2:] == [
        "Paiement 7 : en attente, 1 min 15 s (au plus 10 min)",
        "Paiement 7 : payé, 12 500 XOF, après 1 min 15 s",
    ]
    assert len(screen.texts) <= 4
    assert screen.closed == 1


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (KeyboardInterrupt(), "attente interrompue"),
        (StatusUnknown("x"), "inconnu"),
        (AmountMismatch("x", expected="a", received="b"), "suspect"),
    ],
)
def test_an_error_of_the_wait_is_its_end(display, screen, error, word):
    """
    It comes through, and what is shown last is no state that is not known any more.
    """
    with pytest.raises(type(error)) as caught, display:
        raise error

    assert caught.value is error
    assert screen.texts[-1] == f"Paiement 7 : {word}, 0 s"
    assert screen.closed == 1


def test_what_cannot_be_shown_stops_no_wait(display, screen, clock, caplog):
    """
    A front end that is gone is asked no more.
    """
    caplog.set_level(logging.INFO)
    screen.error = RuntimeError("planted")

    with display as shown:
        clock.advance(5)
        shown.tick()
        assert shown.ended(OUTCOME) is OUTCOME

    assert caplog.messages == ["a wait cannot be shown: RuntimeError"]
    assert screen.closed == 0


def test_an_interrupt_while_it_is_shown_comes_through(display, screen):
    """
    The stop button is pressed at any moment.
    """
    screen.error = KeyboardInterrupt()

    with pytest.raises(KeyboardInterrupt):
        display.__enter__()


def test_an_interrupt_while_the_first_card_is_shown_is_its_end(display, screen):
    """
    The wait has not begun, and no card says for ever that it goes on.
    """
    show, errors = screen.show, [KeyboardInterrupt()]

    def interrupted(card, text):
        show(card, text)
        if errors:
            raise errors.pop()

    screen.show = interrupted
    with pytest.raises(KeyboardInterrupt), display:
        pytest.fail("entered")

    assert screen.texts[-1].startswith("Paiement 7 : attente interrompue") and screen.closed == 1


def test_in_a_terminal_one_line_is_rewritten(clock):
    """
    A shorter text leaves nothing of a longer one; the line is left as it is at the end.
    """
    stream = Terminal()
    with WaitDisplay(7, 600, TerminalScreen(stream), clock) as shown:
        shown.ended(OUTCOME)
        shown._show(shown_state("payé"), "")

    *before, last, rest = stream.getvalue().replace("\n", "\r\n\r").split("\r")[1:]
    assert (last, rest) == ("\n", "")
    assert before[-1].strip() == "Paiement 7 : payé"
    assert len(before[-1]) == len(before[-2].rstrip(" "))
    assert "\x1b" not in stream.getvalue()


def shown_state(word):
    return waits.State(word, "good")


def test_only_a_terminal_shows_a_line(monkeypatch):
    """
    Not a log file, not a program without a console, not a stream that is closed or knows nothing of terminals.
    """
    closed = io.StringIO()
    closed.close()
    for stream in (io.StringIO(), None, closed, object()):
        monkeypatch.setattr(sys, "stderr", stream)
        assert shown_wait(7, 600, None)._screen is None
    monkeypatch.setattr(sys, "stderr", Terminal())

    assert isinstance(shown_wait(7, 600, None)._screen, TerminalScreen)
    assert isinstance(shown_wait(7, 600, True)._screen, TerminalScreen)
    assert shown_wait(7, 600, False)._screen is None
    assert shown_wait(7, 0, True)._screen is None


def test_another_thread_shows_nothing(monkeypatch):
    """
    Lines of several waits would overwrite each other, and a card would stand under a later cell.
    """
    monkeypatch.setattr(sys, "stderr", Terminal())
    found = []
    thread = threading.Thread(target=lambda: found.append(shown_wait(7, 600, None)._screen))
    thread.start()
    thread.join()

    assert found == [None]


def test_finalise_shows_its_wait_in_a_terminal(make_connector, emulator, monkeypatch):
    """
    From the first look to the end; with ``progress=False`` nothing.
    """
    connector = make_connector()
    payment = connector.pay(SETUP, CLIENT, 500)
    emulator.approve(payment.id_transaction)
    monkeypatch.setattr(sys, "stderr", Terminal())
    outcome = connector.finalise(payment.id_transaction)
    shown = sys.stderr.getvalue()
    monkeypatch.setattr(sys, "stderr", Terminal())
    connector.finalise(payment.id_transaction, progress=False)

    assert outcome.paid
    assert shown.startswith(f"\rPaiement {payment.id_transaction} : en attente")
    assert "payé" in shown.split("\r")[-1] and shown.endswith("\n")
    assert sys.stderr.getvalue() == ""


@pytest.mark.parametrize("timeout", [None, -1, float("nan"), "soon"])
def test_a_timeout_that_is_none_is_refused_before_anything_is_shown(make_connector, monkeypatch, timeout):
    """
    With the error that it has always been.
    """
    monkeypatch.setattr(sys, "stderr", Terminal())
    connector = make_connector()

    with pytest.raises(InvalidArgument, match="timeout"):
        connector.finalise(7, timeout)
    assert sys.stderr.getvalue() == ""


def test_what_shows_objects_loads_nothing_of_a_front_end():
    """
    Neither IPython nor segno: both are loaded by those who have them, or when a card needs one.
    """
    names = "{'IPython', 'segno', 'ipykernel'}"
    program = f"import sys, fedapay_sync; fedapay_sync.Connector; print({names} & {{*sys.modules}})"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "set()"
