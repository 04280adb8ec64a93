"""Delivery queue of webhooks: ten attempts with growing waits, a few threads per endpoint, webhook faults."""

import threading
from functools import partial
from typing import Any, Dict, List, Optional, Union

from fedapay_sync.common.clock import SYSTEM_CLOCK
from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.masking import mask
from fedapay_sync.emulator.delivery.application import Application
from fedapay_sync.emulator.delivery.delivery_log import DeliveryLog
from fedapay_sync.emulator.delivery.endpoint_queue import EndpointQueue, EndpointQueues
from fedapay_sync.emulator.delivery.sender import Delivery, Sender
from fedapay_sync.emulator.domain.timers import RETRY, Timers
from fedapay_sync.emulator.faults.faults import Fault
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.storage.shop_data import ShopData
from fedapay_sync.errors import ConfigError

log = get_logger("fedapay_sync.emulator")

MAX_ATTEMPTS = 10
_LONGEST_WAIT = 120
_GRACE = 1.0
_ON_THE_WAY = ("webhook.drop", "webhook.delay", "webhook.reorder", "webhook.duplicate")


class Deliveries:
    """
    Sends events to endpoints, each through its own few threads: one that does not answer delays no other.

    A job is a record (body, endpoint, number and time of the next attempt, fault that struck it), kept until it has
    succeeded or is given up. ``stop`` is a pause: waiting jobs are sent after the next ``start``, by another process
    if the state is in a file. Works under the lock of the data, which is not held while a receiver is called.

    To an application it delivers in the threads that call ``deliver_ready`` and ``wait``: the database of a test may
    be bound to the test's thread.

    Args:
        in_background: to an application, too, it delivers through threads of its own.
    """

    def __init__(
        self, data: ShopData, timers: Timers, sender: Sender, *, retry_factor: float, in_background: bool = False
    ) -> None:
        self._data = data
        self._timers = timers
        self._sender = sender
        self._faults = data.context.faults
        self._endpoints = data.table("webhooks")
        self._jobs = data.table("deliveries")
        self.retry_factor = retry_factor
        self._changed = threading.Condition(data.lock)
        # Number of the current run, 0 while stopped. A timer of an earlier run does nothing: a start replans all.
        self._starts = 0
        self._run = 0
        self._queues = EndpointQueues(in_background)
        #: Jobs whose receiver is being called, with the thread that does it.
        self._calling: Dict[int, int] = {}
        self.log = DeliveryLog(data.lock)
        data.on_reload(self._notify)

    def send(self, webhook_id: int, event: str, object_id: int, body: bytes) -> None:
        """Deliver in the background."""
        with self._data.atomic():
            self._add(webhook_id=webhook_id, event=event, object_id=object_id, body=body.decode("utf-8"))

    def send_again(self, which: Union[int, Delivery]) -> None:
        """The same event once more, as the dashboard's replay does: same body, fresh signature."""
        with self._data.atomic():
            job = self.log.job_of(which)
            self._add(**{name: value for name, value in job.items() if name != "fault"})

    def clear(self) -> None:
        """Forget the queues and the attempts; the jobs are gone with the records."""
        with self._data.lock:
            self._queues.empty()
            self.log.clear()
            self._changed.notify_all()

    def wait(self, timeout: float) -> None:
        """Deliver to applications what is due; return when no job is left, or raise TimeoutError."""
        end = SYSTEM_CLOCK.monotonic() + timeout
        while True:
            self.deliver_ready(end)
            with self._data.lock:
                # An application that waits here for its own webhook would wait for itself.
                left = [job for job in self._jobs if self._calling.get(job["id"]) != threading.get_ident()]
                seconds = end - SYSTEM_CLOCK.monotonic()
                if not left:
                    return
                if seconds <= 0:
                    raise TimeoutError(
                        f"Après {timeout:g} s, {len(left)} webhook(s) de l'émulateur ne sont pas livrés. "
                        "Voir deliveries pour les essais faits ; retry_factor réduit l'attente entre deux essais."
                    )
                if not self._queues.has_batch():
                    self._changed.wait(seconds)

    def deliver_ready(self, end: float = float("inf")) -> None:
        """
        Deliver to applications, in this thread, what is due.

        Args:
            end: from then on, by the machine's monotonic clock, no other attempt is begun.
        """
        while SYSTEM_CLOCK.monotonic() < end:
            with self._data.lock:
                run, batch = self._run, self._queues.next_batch()
            if not run or batch is None:
                return
            for job in batch:
                self._attempt(job, run)

    def set_application(self, webhook_id: int, application: Optional[Application]) -> None:
        """What is called in place of that endpoint's address from now on; None: the address again."""
        with self._data.lock:
            queue = self._queues.of(webhook_id)
            queue.application = application
            if queue.ready:
                self._begin(queue)

    def start(self) -> None:
        with self._data.lock:
            if self._run:
                return
            self._starts += 1
            self._run = self._starts
            self._queues.empty()
            for job in self._jobs:
                if job["id"] not in self._calling:
                    self._plan(job, max(0.0, job["due"] - self._data.now()))

    def stop(self) -> None:
        with self._data.lock:
            self._run = 0
            threads = self._queues.threads()
        # A receiver that does not answer holds its thread until the timeout; that thread ends by itself.
        end = SYSTEM_CLOCK.monotonic() + _GRACE
        for each in threads:
            each.join(max(0.0, end - SYSTEM_CLOCK.monotonic()))

    # Inside

    def _notify(self) -> None:
        """Wake ``wait``: the state file has refused jobs, which no longer exist."""
        with self._data.lock:
            self._changed.notify_all()

    def _add(self, **job: Any) -> None:
        job = {**job, "id": self._data.next_id(), "attempt": 1, "due": self._data.now()}
        self._plan(self._jobs.save(job), 0.0)

    def _plan(self, job: Record, seconds: float) -> None:
        """Have the job sent after so many seconds, in this run; the next run plans for itself."""
        run = self._run
        if run and not seconds:
            self._dispatch(job)
        elif run:
            self._timers.call_later(seconds, lambda: self._due(job, run))

    def _due(self, job: Record, run: int) -> None:
        with self._data.lock:
            if run == self._run:
                self._dispatch(job)

    def _dispatch(self, job: Record) -> None:
        """The job is due. Faults strike once, before the first attempt."""
        if job["attempt"] > 1 or "fault" in job:
            self._enqueue(job)
        elif self._queues.of(job["webhook_id"]).held:
            self._hold(job)
        else:
            self._apply_fault(job, self._faults.for_webhook(*_ON_THE_WAY))

    def _apply_fault(self, job: Record, fault: Optional[Fault]) -> None:
        """Drop, delay, hold back or duplicate the job as the fault says; without fault, send it."""
        if fault is None:
            self._enqueue(job)
            return
        job = {**job, "fault": fault.name}
        endpoint = self._endpoints.get(job["webhook_id"])
        if fault.name == "webhook.drop":
            if endpoint and endpoint["enabled"]:
                self.log.add(self._sender.delivery(job, endpoint, error="Dropped"), job)
            self._jobs.erase(job)
            self._changed.notify_all()
        elif fault.name == "webhook.delay":
            seconds = fault.options["seconds"]
            self._plan(self._jobs.save({**job, "due": self._data.now() + seconds}), seconds)
        elif fault.name == "webhook.reorder":
            self._hold(job, fault)
        else:
            for _ in range(fault.options["copies"] - 1):
                self._enqueue(self._jobs.save({**job, "id": self._data.next_id()}))
            self._enqueue(self._jobs.save(job))

    def _hold(self, job: Record, fault: Optional[Fault] = None) -> None:
        """Hold the job back until there are as many as the fault wants, or its time is over."""
        queue, run = self._queues.of(job["webhook_id"]), self._run
        queue.held.append({**job, "fault": "webhook.reorder"})
        if fault is not None:
            queue.wanted, held = fault.options["count"], queue.held
            self._timers.call_later(fault.options["within"], lambda: self._release_held(queue, held, run))
        if len(queue.held) >= queue.wanted:
            self._release_held(queue, queue.held, run)

    def _release_held(self, queue: EndpointQueue, held: List[Record], run: int) -> None:
        with self._data.lock:
            if run == self._run and queue.held is held:
                queue.held = []
                self._enqueue(*reversed(held))

    def _enqueue(self, *jobs: Record) -> None:
        """Have a batch of jobs sent, one after another."""
        queue = self._queues.of(jobs[0]["webhook_id"])
        queue.ready.append(list(jobs))
        self._begin(queue)

    def _begin(self, queue: EndpointQueue) -> None:
        """Have what is ready sent: by a thread, or by those who call ``deliver_ready`` or are in ``wait``."""
        if self._queues.waits_for_caller(queue):
            self._changed.notify_all()
        else:
            queue.start_thread(self._work)

    def _work(self, queue: EndpointQueue) -> None:
        """Thread: send what waits in the queue, until it is empty."""
        while True:
            with self._data.lock:
                run = self._run
                if not run or not queue.ready or self._queues.waits_for_caller(queue):
                    queue.threads.remove(threading.current_thread())
                    return
                batch = queue.ready.popleft()
            for job in batch:
                self._attempt(job, run)

    def _attempt(self, job: Record, run: int) -> None:
        with self._data.lock:
            kept = self._jobs.get(job["id"])
            # A pause ends a batch. The job is gone, or another, when the state file refused the event or this attempt.
            if run != self._run or kept is None or kept["attempt"] != job["attempt"]:
                return
            self._calling[job["id"]] = threading.get_ident()
            endpoint = dict(self._endpoints.get(job["webhook_id"]) or {})
            application = self._queues.of(job["webhook_id"]).application
        delivery = None
        try:
            # A job for an endpoint that is disabled or deleted is dropped.
            if endpoint.get("enabled"):
                delivery = self._sender.attempt(job, endpoint, application)
        except BaseException as error:  # Ctrl-C, or a test that ends itself in its application
            delivery = self._sender.delivery(job, endpoint, error=type(error).__name__)
            raise
        finally:
            self._end_attempt(job, delivery)

    def _end_attempt(self, job: Record, delivery: Optional[Delivery]) -> None:
        # In one step: a caller that sees the delivery may count on what follows from it.
        with self._data.lock:
            if delivery is not None:
                self.log.add(delivery, job)
            try:
                self._settle(job, delivery)
            except ConfigError as error:
                # Not sent once more: only its result is still to be written down.
                log.warning("webhook not settled yet: %s", error)
                self._timers.call_later(RETRY, partial(self._settle, job, delivery))

    def _settle(self, job: Record, delivery: Optional[Delivery]) -> None:
        """Write down the result of an attempt, and plan the next one."""
        with self._data.lock:
            wait, again = 0.0, None
            with self._data.atomic():
                if self._jobs.get(job["id"]) is None:
                    pass  # forgotten while the receiver was called
                elif delivery is None or self._sender.is_done(delivery):
                    self._jobs.erase(job)
                else:
                    if job["attempt"] >= self._data.settings.disable_after:
                        self._disable(delivery)
                    if job["attempt"] < MAX_ATTEMPTS:
                        wait = min(2 ** job["attempt"], _LONGEST_WAIT) * self.retry_factor
                        again = {**job, "attempt": job["attempt"] + 1, "due": self._data.now() + wait}
                        self._jobs.save(again)
                    else:
                        self._jobs.erase(job)
            self._calling.pop(job["id"], None)
            if again:
                self._plan(again, wait)
            self._changed.notify_all()

    def _disable(self, delivery: Delivery) -> None:
        endpoint = self._endpoints.get(delivery.webhook_id)
        # Not one whose address has been corrected since.
        if endpoint and endpoint["disable_on_error"] and endpoint["enabled"] and endpoint["url"] == delivery.url:
            self._endpoints.save({**endpoint, "enabled": False, "updated_at": self._data.stamp()})
            log.warning("webhook disabled after %d failed attempts: %s", delivery.attempt, mask(delivery.url))
