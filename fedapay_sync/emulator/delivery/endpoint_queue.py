"""The jobs that wait for one endpoint: sent by a few threads of its own, or, to an application, by those who ask."""

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Callable, Deque, Dict, List, Optional

from fedapay_sync.emulator.delivery.application import Application
from fedapay_sync.emulator.http.serializers import Record

_THREADS = 4


@dataclass
class EndpointQueue:
    """
    The queue of one endpoint. A batch is sent job after job.

    Attributes:
        ready: batches that are due.
        held: jobs that a fault holds back until there are as many as ``wanted``.
        application: what is called in place of the endpoint's address.
    """

    ready: Deque[List[Record]] = field(default_factory=deque)
    threads: List[threading.Thread] = field(default_factory=list)
    held: List[Record] = field(default_factory=list)
    wanted: int = 0
    application: Optional[Application] = None

    def start_thread(self, work: Callable[["EndpointQueue"], None]) -> None:
        """One thread more, which does that work, unless there are enough."""
        # A forked child inherits the Thread objects, but not the running threads.
        self.threads = [each for each in self.threads if each.is_alive()]
        if len(self.threads) < _THREADS:
            thread = threading.Thread(target=work, args=(self,), name="fedapay-emulator-webhook", daemon=True)
            self.threads.append(thread)
            thread.start()


class EndpointQueues:
    """
    The queues by endpoint. To be used under the lock of the data.

    Args:
        in_background: what an application is to get is sent by threads, too, and waits for no caller.
    """

    def __init__(self, in_background: bool) -> None:
        self._in_background = in_background
        self._queues: Dict[int, EndpointQueue] = {}

    def of(self, webhook_id: int) -> EndpointQueue:
        """The queue of that endpoint."""
        return self._queues.setdefault(webhook_id, EndpointQueue())

    def empty(self) -> None:
        """Forget all jobs, and no application."""
        for queue in self._queues.values():
            queue.ready.clear()
            queue.held = []

    def threads(self) -> List[threading.Thread]:
        return [each for queue in self._queues.values() for each in queue.threads]

    def waits_for_caller(self, queue: EndpointQueue) -> bool:
        """Whether what is ready there is sent by the threads that ask for it, and not by threads of its own."""
        return queue.application is not None and not self._in_background

    def has_batch(self) -> bool:
        """Whether ``next_batch`` would give one."""
        return any(queue.ready and self.waits_for_caller(queue) for queue in self._queues.values())

    def next_batch(self) -> Optional[List[Record]]:
        """Take the next batch that waits for a caller; None if there is none."""
        for queue in self._queues.values():
            if queue.ready and self.waits_for_caller(queue):
                return queue.ready.popleft()
        return None
