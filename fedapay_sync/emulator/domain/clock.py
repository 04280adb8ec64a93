"""EmulatorClock: the machine's time, multiplied by a factor and moved ahead by jumps."""

import threading
from typing import Callable, List, Optional

from fedapay_sync.common.clock import SYSTEM_CLOCK, Clock
from fedapay_sync.errors import InvalidArgument

# A clock handed in by a test may jump while a thread waits: the thread looks again after so many seconds.
_SLICE = 0.05
_DAY = 86_400.0
#: The furthest ahead, in seconds: a century. Stamps end with the year 9999.
_MOST = 36_525 * _DAY
_FASTEST = 1_000_000.0
# The shortest hop of a jump that stops on its way, in seconds: many close stops take one hop together.
_HOP = 1.0


class EmulatorClock(Clock):
    """
    L'heure des dates et des minuteries de l'émulateur ; les signatures portent l'heure réelle.

    Elle n'avance que vers le futur : revenir en arrière ferait d'un fait ancien le plus récent.

    Example:
        >>> from fedapay_sync.emulator import Emulator
        >>> with Emulator() as emulator:
        ...     emulator.clock.advance(hours=24)
        ...     emulator.clock.ahead
        86400.0
    """

    def __init__(self, base: Clock = SYSTEM_CLOCK, factor: float = 1.0) -> None:
        self._base = base
        self._is_machine = base is SYSTEM_CLOCK
        if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 1 <= factor <= _FASTEST:
            raise InvalidArgument(
                f"time_factor={factor!r} : un nombre de 1 (le temps réel) à {_FASTEST:.0f} est attendu.",
                field="time_factor",
            )
        if factor != 1 and not self._is_machine:
            raise InvalidArgument(
                "time_factor et clock ne vont pas ensemble : l'horloge donnée avance à son propre pas.",
                field="time_factor",
            )
        self._factor = float(factor)
        self._start = base.monotonic()
        self._jumped = 0.0
        self._lock = threading.Lock()
        self._before: List[Callable[[float], object]] = []
        self._after: List[Callable[[], object]] = []
        self._stops: List[Callable[[], Optional[float]]] = []

    @property
    def factor(self) -> float:
        """Secondes de l'émulateur pour une seconde réelle."""
        return self._factor

    @property
    def ahead(self) -> float:
        """Secondes d'avance sur l'heure de la machine."""
        return self._jumped + (self._factor - 1) * (self._base.monotonic() - self._start)

    def now(self) -> float:
        """Seconds since 1970, UTC."""
        return self._base.now() + self.ahead

    def monotonic(self) -> float:
        """Seconds that only ever grow."""
        return self._base.monotonic() + self.ahead

    def advance(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> None:
        """
        Saute dans le futur : au retour, ce qui devait arriver d'ici là est arrivé.

        Les expirations (24 h), les versements (72 h), les réponses des payeurs et la fin des dépôts sont faits ; les
        webhooks qui en naissent partent comme toujours, en arrière-plan.

        Raises:
            InvalidArgument: durée négative ou qui n'en est pas une, ou horloge donnée par ``clock=`` : elle
                appartient à qui l'a donnée.
        """
        if not self._is_machine:
            raise InvalidArgument(
                "L'émulateur ne peut pas avancer l'horloge qui lui a été donnée par clock= : c'est à elle de le "
                "faire, ou bien construire l'émulateur sans clock=.",
                field="clock",
            )
        total = 0.0
        for name, value, unit in (
            ("days", days, _DAY),
            ("hours", hours, 3600.0),
            ("minutes", minutes, 60.0),
            ("seconds", seconds, 1.0),
        ):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value * unit <= _MOST:
                raise InvalidArgument(
                    f"{name}={value!r} : une durée, 0 ou plus et d'un siècle au plus, est attendue.", field=name
                )
            total += value * unit
        ahead = self.ahead + total
        if ahead > _MOST:
            raise InvalidArgument(
                "L'horloge de l'émulateur aurait plus d'un siècle d'avance : la remettre à l'heure en "
                "recommençant avec un émulateur neuf.",
                field="clock",
            )
        # Without our lock: the functions called here take their own.
        for keep in self._before:
            keep(ahead)
        while True:
            hop = self._hop(total)
            with self._lock:
                self._jumped += hop
            total -= hop
            for act in self._after:
                act()
            if total <= 0:
                return

    # Inside

    def on_advance(
        self,
        *,
        before: Callable[[float], object],
        after: Callable[[], object],
        stop: Callable[[], Optional[float]] = lambda: None,
    ) -> None:
        """
        Register functions for jumps. ``before`` gets how far ahead the clock will be, and may refuse by raising.

        ``stop`` gives the next time, by ``monotonic``, at which something is due that later things depend on, as
        expiry depends on the payer's answer: the jump stops there first.
        """
        self._before.append(before)
        self._after.append(after)
        self._stops.append(stop)

    def _hop(self, seconds: float) -> float:
        """How far the jump goes before its next stop."""
        stops = [stop for stop in (each() for each in self._stops) if stop is not None]
        return min(seconds, max(_HOP, min(stops) - self.monotonic())) if stops else seconds

    def catch_up(self, ahead: float) -> None:
        """Move at least so far ahead: as far as an earlier run of the state file was."""
        with self._lock:
            if self._is_machine:
                self._jumped += max(0.0, ahead - self.ahead)

    def real(self, seconds: float) -> float:
        """How long a thread may wait, in real seconds, for so many seconds of this clock."""
        # Not longer than a day: threading refuses to wait for centuries.
        return min(seconds / self._factor, _DAY) if self._is_machine else min(seconds, _SLICE)
