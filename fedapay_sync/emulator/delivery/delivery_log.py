"""The last delivery attempts, each with the job that it was an attempt of."""

from collections import deque
from typing import Any, ContextManager, Deque, List, Tuple, Union

from fedapay_sync.emulator.delivery.sender import Delivery
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.errors import InvalidArgument

_KEPT = 2000


class DeliveryLog:
    """
    Args:
        lock: that of the data, re-entrant.
    """

    def __init__(self, lock: ContextManager[Any]) -> None:
        self._lock = lock
        self._kept: Deque[Tuple[Delivery, Record]] = deque(maxlen=_KEPT)

    def add(self, delivery: Delivery, job: Record) -> None:
        with self._lock:
            self._kept.append((delivery, job))

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()

    def deliveries(self) -> List[Delivery]:
        """Every attempt, oldest first."""
        with self._lock:
            return [delivery for delivery, _ in self._kept]

    def job_of(self, which: Union[int, Delivery]) -> Record:
        """
        The job of an attempt, or of the attempt at that place.

        Raises:
            InvalidArgument: there is none.
        """
        with self._lock:
            kept = list(self._kept)
        if isinstance(which, int):
            chosen = [kept[which][1]] if -len(kept) <= which < len(kept) else []
        else:
            chosen = [job for delivery, job in kept if delivery is which]
        if not chosen:
            raise InvalidArgument(
                "Livraison inconnue de l'émulateur : donner un élément de deliveries, ou son rang.", field="delivery"
            )
        return chosen[0]
