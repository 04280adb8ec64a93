"""EmulatorContext: what all shops share: lock, clock, settings, faults, state file, and ids unique among them."""

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Callable, Sequence

from fedapay_sync.emulator.domain.clock import EmulatorClock
from fedapay_sync.emulator.domain.settings import Settings
from fedapay_sync.emulator.faults.faults import Faults
from fedapay_sync.emulator.storage.state_file import ENVIRONMENT_KIND, NamespacedState, State
from fedapay_sync.errors import ConfigError


@dataclass(eq=False)
class EmulatorContext:
    """
    Attributes:
        base_url: where the emulator is, as clients call it.
        lock: held while records are read or changed; never while a receiver is called.
    """

    base_url: Callable[[], str] = str
    clock: EmulatorClock = field(default_factory=EmulatorClock)
    settings: Settings = field(default_factory=Settings)
    faults: Faults = field(default_factory=Faults)
    file: State = field(default_factory=State)
    lock: Any = field(default_factory=threading.RLock)
    _last_id: int = 0
    _owner: str = ""

    def next_id(self) -> int:
        """From the clock, so that a shop's old database never meets a new payment under an old id."""
        with self.lock:
            self._last_id = max(self._last_id + 1, int(self.clock.now() * 1000))
            return self._last_id

    def load(self) -> None:
        """After the file was opened: continue its ids and its time."""
        with self.lock:
            self._last_id = max(self._last_id, self.file.last_number())
            for each in self.file.read("clock"):
                self.clock.catch_up(each["ahead"])

    def choose_owner(self, marks: Sequence[str]) -> str:
        """
        Choose the shop of the records without namespace, whatever the order of the shops this time.

        The one that had them before; if it is gone, the first, unless that one has its own namespace.

        Args:
            marks: fingerprints of the keys, the first shop's first.
        """
        known = [each["shop"] for each in self.file.read("owner")]
        if known and (known[0] in marks or NamespacedState(self.file, marks[0]).read(ENVIRONMENT_KIND)):
            self._owner = known[0]
        else:
            self._owner = marks[0]
        return self._owner

    def save_owner(self) -> None:
        """Write the choice down: the next run of the file finds each shop's records again."""
        with self.lock:
            self.file.write("owner", 1, {"id": 1, "shop": self._owner})

    def save_time(self, ahead: float) -> None:
        """Write down how far ahead the clock is: the next run of the file begins no earlier."""
        with self.lock:
            self.file.write("clock", 1, {"id": 1, "ahead": ahead})

    def release(self) -> None:
        """Close the file; the next run begins no earlier than this one ends."""
        with self.lock:
            if self.file.is_open and self.clock.ahead:
                with suppress(ConfigError):  # a full disk: the jumps were written when they were made
                    self.save_time(self.clock.ahead)
            self.file.close()
