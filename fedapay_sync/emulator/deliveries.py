"""Delivery of webhooks: ten attempts each, and the same harshness as FedaPay's."""

import threading
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Deque, Dict, List, Mapping, Optional, Set, Tuple, Union

import requests

from .. import signature
from ..clock import SYSTEM_CLOCK
from ..errors import ConfigError, InvalidArgument
from ..masking import get_logger, mask
from .books import Books
from .receivers import call
from .shapes import Record
from .timers import RETRY, Timers

log = get_logger("fedapay_sync.emulator")

MAX_ATTEMPTS = 10
_LONGEST_WAIT = 120
_THREADS = 4
_GRACE = 1.0
_KEPT = 2000
# What an endpoint's own headers may not replace: the delivery would no longer be one.
_OURS = frozenset({"content-type", "content-length", "transfer-encoding", "host", signature.HEADER.lower()})


@dataclass(frozen=True)
class Delivery:
    """
    Un essai de livraison d'un webhook.

    Attributes:
        event: nom de l'événement, comme ``transaction.approved``.
        object_id: identifiant de l'objet concerné.
        url: adresse appelée.
        attempt: rang de l'essai, de 1 à 10.
        status: code HTTP de la réponse, ou ``None`` s'il n'y en a pas eu.
        error: nom de l'erreur quand il n'y a pas eu de réponse.
        headers: en-têtes envoyés, signature comprise.
        body: corps envoyé, octet pour octet.
        time: instant de l'essai, en secondes Unix.
        webhook_id: identifiant du webhook livré, comme dans ``/v1/webhooks``.
    """

    event: str
    object_id: int
    url: str
    attempt: int
    status: Optional[int] = None
    error: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    time: float = 0.0
    webhook_id: int = 0

    @property
    def succeeded(self) -> bool:
        """Vrai si la réponse était un 2xx, seul succès pour FedaPay."""
        return self.status is not None and 200 <= self.status < 300


@dataclass
class _Lane:
    """What waits for one endpoint, and who sends it."""

    ready: Deque[Record] = field(default_factory=deque)
    threads: List[threading.Thread] = field(default_factory=list)


class Deliveries:
    """
    Sends events to endpoints, each through its own few threads: one that does not answer holds up no other.

    A job is a record (what to send, to which endpoint, which attempt is next, when), kept until it has succeeded
    or is given up. ``stop`` is a pause: what waits is sent after the next ``start``, by another process if the
    state is in a file. Works under the lock of the books, which is not held while a receiver is called.
    """

    def __init__(self, books: Books, timers: Timers, *, secret: str, timeout: float, retry_factor: float) -> None:
        self._books = books
        self._timers = timers
        self._endpoints = books.table("webhooks")
        self._jobs = books.table("deliveries")
        self.secret = secret
        self.timeout = timeout
        self.retry_factor = retry_factor
        self._changed = threading.Condition(books.lock)
        # Counts the starts; 0 while stopped. A timer of an earlier run does nothing: a start plans everything anew.
        self._starts = 0
        self._run = 0
        self._lanes: Dict[int, _Lane] = {}
        self._calling: Set[int] = set()
        self._log: Deque[Tuple[Delivery, Record]] = deque(maxlen=_KEPT)
        books.after_reload(self._notice)

    @property
    def made(self) -> List[Delivery]:
        """Every attempt, oldest first."""
        with self._changed:
            return [delivery for delivery, _ in self._log]

    def send(self, webhook_id: int, event: str, object_id: int, body: bytes) -> None:
        """Deliver in the background."""
        with self._books.together():
            self._add(webhook_id=webhook_id, event=event, object_id=object_id, body=body.decode("utf-8"))

    def send_again(self, which: Union[int, Delivery]) -> None:
        """The same event once more, as the dashboard's replay does: same body, fresh signature."""
        with self._books.together():
            kept = list(self._log)
            if isinstance(which, int):
                chosen = [kept[which][1]] if -len(kept) <= which < len(kept) else []
            else:
                chosen = [job for delivery, job in kept if delivery is which]
            if not chosen:
                raise InvalidArgument(
                    "Livraison inconnue de l'émulateur : donner un élément de deliveries, ou son rang.",
                    field="delivery",
                )
            self._add(**chosen[0])

    def wait(self, timeout: float) -> None:
        """Until nothing is left to deliver, or TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._jobs) == 0, timeout):
                raise TimeoutError(
                    f"Après {timeout:g} s, {len(self._jobs)} webhook(s) de l'émulateur ne sont pas livrés. "
                    "Voir deliveries pour les essais faits ; retry_factor réduit l'attente entre deux essais."
                )

    def start(self) -> None:
        with self._changed:
            if self._run:
                return
            self._starts += 1
            self._run = self._starts
            for lane in self._lanes.values():
                lane.ready.clear()
            for job in self._jobs:
                if job["id"] not in self._calling:
                    self._plan(job, max(0.0, job["due"] - self._books.now()))

    def stop(self) -> None:
        with self._changed:
            self._run = 0
            threads = [each for lane in self._lanes.values() for each in lane.threads]
        # A receiver that does not answer holds its thread until the timeout; that thread ends by itself.
        end = SYSTEM_CLOCK.monotonic() + _GRACE
        for each in threads:
            each.join(max(0.0, end - SYSTEM_CLOCK.monotonic()))

    # Inside

    def _notice(self) -> None:
        """Jobs that were refused are no longer waited for."""
        with self._changed:
            self._changed.notify_all()

    def _add(self, **job: Any) -> None:
        job = {**job, "id": self._books.next_id(), "attempt": 1, "due": self._books.now()}
        self._plan(self._jobs.keep(job), 0.0)

    def _plan(self, job: Record, seconds: float) -> None:
        """Have the job done, in this run of the emulator; the next run plans for itself."""
        run = self._run
        if run and not seconds:
            self._queue(job)
        elif run:
            self._timers.after(seconds, lambda: self._due(job, run))

    def _due(self, job: Record, run: int) -> None:
        with self._changed:
            if run == self._run:
                self._queue(job)

    def _queue(self, job: Record) -> None:
        lane = self._lanes.setdefault(job["webhook_id"], _Lane())
        lane.ready.append(job)
        # A forked child inherits the objects, and threads that are none.
        lane.threads = [each for each in lane.threads if each.is_alive()]
        if len(lane.threads) < _THREADS:
            thread = threading.Thread(target=self._work, args=(lane,), name="fedapay-emulator-webhook", daemon=True)
            lane.threads.append(thread)
            thread.start()

    def _work(self, lane: _Lane) -> None:
        """Do what waits in the lane, until nothing does."""
        while True:
            with self._changed:
                job = self._next(lane)
                if not job:
                    lane.threads.remove(threading.current_thread())
                    return
                self._calling.add(job["id"])
                endpoint = dict(self._endpoints.get(job["webhook_id"]) or {})
            delivery = None
            # What is meant for an endpoint that is off or gone is dropped.
            if endpoint.get("enabled"):
                delivery = self._try(job, endpoint)
            # At once: whoever sees the delivery may count on what follows from it.
            with self._changed:
                if delivery is not None:
                    self._log.append((delivery, job))
                try:
                    self._settle(job, delivery)
                except ConfigError as error:
                    # Not sent once more: only what became of it is still to be written down.
                    log.warning("webhook not settled yet: %s", error)
                    self._timers.after(RETRY, partial(self._settle, job, delivery))

    def _next(self, lane: _Lane) -> Record:
        """What to send; nothing, an empty record."""
        while self._run and lane.ready:
            job = lane.ready.popleft()
            kept = self._jobs.get(job["id"])
            # A state file that refused the event, or this attempt at it, has taken it back.
            if kept is not None and kept["attempt"] == job["attempt"]:
                return job
        return {}

    def _try(self, job: Record, endpoint: Record) -> Delivery:
        try:
            return self._attempt(job, endpoint)
        except Exception as error:  # edge of a thread
            log.exception("emulator could not send %s", job["event"])
            return self._delivery(job, endpoint, error=type(error).__name__)

    def _attempt(self, job: Record, endpoint: Record) -> Delivery:
        body = job["body"].encode("utf-8")
        headers = {
            "User-Agent": "FedaPay (emulateur)",
            **{name: value for name, value in endpoint["http_headers"].items() if name.lower() not in _OURS},
            "Content-Type": "application/json",
            # Real time, whatever the emulator's clock says: the receiver compares it with its own.
            signature.HEADER: signature.sign(body, self.secret),
        }
        status, error = None, ""
        try:
            status = call(endpoint["url"], body, headers, timeout=self.timeout, verify=endpoint["ssl_verify"])
        except (requests.RequestException, ValueError, OSError) as caught:
            error = type(caught).__name__
        log.info("webhook sent: %s, attempt %d, answer %s", job["event"], job["attempt"], status or error)
        return self._delivery(job, endpoint, status=status, error=error, headers=headers)

    def _delivery(self, job: Record, endpoint: Record, **seen: Any) -> Delivery:
        return Delivery(
            event=job["event"],
            object_id=job["object_id"],
            url=endpoint["url"],
            attempt=job["attempt"],
            body=job["body"].encode("utf-8"),
            time=self._books.now(),
            webhook_id=job["webhook_id"],
            **seen,
        )

    def _settle(self, job: Record, delivery: Optional[Delivery]) -> None:
        """Write down what became of a job, and plan the next attempt."""
        with self._changed:
            wait, again = 0.0, None
            with self._books.together():
                if delivery is None or delivery.succeeded:
                    self._jobs.erase(job)
                elif job["attempt"] < MAX_ATTEMPTS:
                    wait = min(2 ** job["attempt"], _LONGEST_WAIT) * self.retry_factor
                    again = {**job, "attempt": job["attempt"] + 1, "due": self._books.now() + wait}
                    self._jobs.keep(again)
                else:
                    self._give_up(delivery)
                    self._jobs.erase(job)
            self._calling.discard(job["id"])
            if again:
                self._plan(again, wait)
            self._changed.notify_all()

    def _give_up(self, delivery: Delivery) -> None:
        endpoint = self._endpoints.get(delivery.webhook_id)
        # Not an address that has been corrected since.
        if endpoint and endpoint["disable_on_error"] and endpoint["enabled"] and endpoint["url"] == delivery.url:
            self._endpoints.keep({**endpoint, "enabled": False, "updated_at": self._books.stamp()})
            log.warning("webhook disabled after %d failed attempts: %s", MAX_ATTEMPTS, mask(delivery.url))
