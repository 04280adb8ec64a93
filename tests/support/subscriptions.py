"""An event that is subscribed to a key of a notifier, for as long as a block lasts."""

import contextlib
from typing import Iterator

from fedapay_sync.concurrency.notifier import Notifier
from fedapay_sync.concurrency.wake_event import WakeEvent


@contextlib.contextmanager
def subscribed(notifier: Notifier, key: str) -> Iterator[WakeEvent]:
    """An event that is set whenever the key has news."""
    event = WakeEvent()
    notifier.subscribe(key, event)
    try:
        yield event
    finally:
        notifier.unsubscribe(key, event)
