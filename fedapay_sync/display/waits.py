"""
A wait that a person can watch: one card that changes in place in a notebook, one line that is rewritten in a terminal.

It is shown by the thread that waits, between two looks: no thread of its own, nothing that could outlive the wait, and
in a notebook it stays under its cell. Other threads than the main one show nothing, for several lines would overwrite
each other. What cannot be shown never stops a wait.
"""

import importlib
import sys
import threading
from types import TracebackType
from typing import Any, Callable, Optional, Protocol, Type, TypeVar

from fedapay_sync.common.clock import SYSTEM_CLOCK, Clock
from fedapay_sync.common.hosting import is_notebook_kernel
from fedapay_sync.common.logging import get_logger
from fedapay_sync.display.cards import Card
from fedapay_sync.display.words import (
    State,
    currency_of,
    duration_text,
    error_state,
    id_text,
    outcome_state,
    state_named,
    sum_text,
)
from fedapay_sync.errors import FedapayError

log = get_logger(__name__)

E = TypeVar("E", bound="Ending")

_PENDING = state_named("pending")


class Ending(Protocol):
    """What a display reads of an ``Outcome``, besides its state."""

    transaction: Any

    @property
    def amount(self) -> Optional[int]:
        """Whole francs, if they are known."""


class Screen(Protocol):
    """Where a wait is shown."""

    def show(self, card: Card, text: str) -> None:
        """Show this in the place of what was shown before."""

    def close(self) -> None:
        """Nothing more is to be shown."""


class NotebookScreen:
    """One output of a cell, replaced each time."""

    def __init__(self) -> None:
        # Only where a kernel runs, and with it IPython is loaded.
        self._display: Any = importlib.import_module("IPython.display")
        self._handle: Any = None

    def show(self, card: Card, text: str) -> None:
        """Show the card; the text where a front end shows no HTML."""
        shown = {"text/html": card.html(), "text/plain": text}
        if self._handle is None:
            # Known before it is shown: interrupted in between, the end goes in the place of this card.
            self._handle = self._display.DisplayHandle()
            self._handle.display(shown, raw=True)
        else:
            self._handle.update(shown, raw=True)

    def close(self) -> None:
        """The last card stays."""


class TerminalScreen:
    """The last line of a terminal, written over each time."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._length = 0

    def show(self, card: Card, text: str) -> None:
        """Write the text over what stood there."""
        # Blanks and not an escape sequence, which an old console of Windows would show.
        self._stream.write("\r" + text.ljust(self._length))
        self._stream.flush()
        self._length = len(text)

    def close(self) -> None:
        """Leave the line to what is written next."""
        if self._length:
            self._stream.write("\n")
            self._stream.flush()


class WaitDisplay:
    """
    Shows one wait while it lasts, and how it ended. Without a screen it does nothing.

    Args:
        id_transaction: what is waited for.
        timeout: the wait's, in seconds.
        screen: None for none.
    """

    def __init__(
        self, id_transaction: object, timeout: float, screen: Optional[Screen], clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._number = id_text(id_transaction)
        self._timeout = timeout
        self._screen = screen
        self._clock = clock
        self._begun = clock.monotonic()
        self._shown_second: Optional[int] = None

    def __enter__(self) -> "WaitDisplay":
        try:
            self.tick()
        except BaseException as error:
            # Ctrl-C while the first card is shown: ``with`` does not leave what it has not entered.
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if self._screen is not None and error is not None:
            state = error_state(error) if isinstance(error, FedapayError) else State("attente interrompue", "off")
            self._show(state, duration_text(self._elapsed()))
        self._guarded(lambda screen: screen.close())

    def tick(self) -> None:
        """Some time has passed: show how much, at most once a second."""
        if self._screen is None:
            return
        elapsed = self._elapsed()
        if int(elapsed) != self._shown_second:
            self._shown_second = int(elapsed)
            limit = f"{duration_text(elapsed)} (au plus {duration_text(self._timeout)})"
            self._show(_PENDING, limit)

    def ended(self, outcome: E) -> E:
        """The wait has ended so; the same outcome."""
        if self._screen is not None:
            amount = sum_text(outcome.amount, currency_of(outcome.transaction)) if outcome.transaction else ""
            self._show(outcome_state(outcome), f"après {duration_text(self._elapsed())}", amount)
        return outcome

    def _elapsed(self) -> float:
        return self._clock.monotonic() - self._begun

    def _show(self, state: State, when: str, amount: str = "") -> None:
        title = f"Paiement {self._number}"
        card = Card(title, state, note=" · ".join(each for each in (when, amount) if each))
        text = f"{title} : {', '.join(each for each in (state.word, amount, when) if each)}"
        self._guarded(lambda screen: screen.show(card, text))

    def _guarded(self, show: Callable[[Screen], None]) -> None:
        if self._screen is None:
            return
        try:
            show(self._screen)
        except Exception as error:  # edge of a thread: the front end's code, and no failure of the wait
            log.info("a wait cannot be shown: %s", type(error).__name__)
            self._screen = None


def shown_wait(id_transaction: object, timeout: float, progress: Optional[bool]) -> WaitDisplay:
    """
    The display of a wait, where there is somebody to watch it.

    Args:
        timeout: 0 is a look and no wait.
        progress: False for none.
    """
    return WaitDisplay(id_transaction, timeout, None if progress is False or timeout == 0 else _screen())


def _screen() -> Optional[Screen]:
    if threading.current_thread() is not threading.main_thread():
        return None
    if is_notebook_kernel():
        return NotebookScreen()
    stream = sys.stderr
    try:
        # There is none in a program without a console, and a closed one has no answer.
        is_terminal = stream is not None and stream.isatty()
    except (AttributeError, OSError, ValueError):
        return None
    return TerminalScreen(stream) if is_terminal else None
