"""Delivery of webhooks: a few threads, ten attempts each, and the same harshness as FedaPay's."""

import threading
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Deque, Dict, List, Mapping, Optional, Tuple, Union

import requests

from .. import signature
from ..clock import SYSTEM_CLOCK, Clock
from ..errors import InvalidArgument
from ..masking import get_logger, mask
from .timers import Timers

log = get_logger("fedapay_sync.emulator")

MAX_ATTEMPTS = 10
_LONGEST_WAIT = 120
_THREADS = 4
_GRACE = 1.0
_KEPT = 2000


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

    @property
    def succeeded(self) -> bool:
        """Vrai si la réponse était un 2xx, seul succès pour FedaPay."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True)
class _Job:
    event: str
    object_id: int
    body: bytes = field(repr=False)
    attempt: int = 1


class Webhooks:
    """
    One webhook endpoint of the merchant. ``stop`` is a pause: what waits is sent after the next ``start``.

    No lock is held while a receiver is called.
    """

    def __init__(
        self,
        timers: Timers,
        clock: Clock,
        *,
        url: Optional[str],
        secret: str,
        headers: Optional[Mapping[str, str]],
        timeout: float,
        retry_factor: float,
        disable_on_error: bool,
    ) -> None:
        self._timers = timers
        self._clock = clock
        self._url = url
        self.secret = secret
        self.headers: Dict[str, str] = dict(headers or {})
        self.timeout = timeout
        self.retry_factor = retry_factor
        self.disable_on_error = disable_on_error
        self.enabled = True
        self._changed = threading.Condition()
        self._ready: Deque[_Job] = deque()
        self._pending = 0
        self._threads: List[threading.Thread] = []
        self._log: Deque[Tuple[Delivery, _Job]] = deque(maxlen=_KEPT)

    @property
    def url(self) -> Optional[str]:
        return self._url

    @url.setter
    def url(self, url: Optional[str]) -> None:
        # As in the dashboard: who corrects the address switches the webhook on again.
        with self._changed:
            self._url, self.enabled = url, True

    @property
    def deliveries(self) -> List[Delivery]:
        with self._changed:
            return [delivery for delivery, _ in self._log]

    def send(self, event: str, object_id: int, body: bytes) -> None:
        """Deliver in the background, if there is anybody to deliver to."""
        with self._changed:
            if self._url is not None and self.enabled:
                self._queue(_Job(event, object_id, body))

    def send_again(self, which: Union[int, Delivery]) -> None:
        """The same event once more, as the dashboard's replay does: same body, fresh signature."""
        with self._changed:
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
            self._queue(replace(chosen[0], attempt=1))

    def wait(self, timeout: float) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._pending == 0, timeout):
                raise TimeoutError(
                    f"Après {timeout:g} s, {self._pending} webhook(s) de l'émulateur ne sont pas livrés. "
                    "Voir deliveries pour les essais faits ; retry_factor réduit l'attente entre deux essais."
                )

    def start(self) -> None:
        with self._changed:
            if any(each.is_alive() for each in self._threads):
                return
            self._threads = [
                threading.Thread(target=self._run, name=f"fedapay-emulator-webhook-{n}", daemon=True)
                for n in range(_THREADS)
            ]
            for each in self._threads:
                each.start()

    def stop(self) -> None:
        with self._changed:
            threads, self._threads = self._threads, []
            self._changed.notify_all()
        # A receiver that does not answer holds its thread until the timeout; that thread ends by itself.
        end = SYSTEM_CLOCK.monotonic() + _GRACE
        for each in threads:
            each.join(max(0.0, end - SYSTEM_CLOCK.monotonic()))

    def _queue(self, job: _Job) -> None:
        self._pending += 1
        self._ready.append(job)
        self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._ready:
                    if threading.current_thread() not in self._threads:
                        return
                    self._changed.wait()
                if threading.current_thread() not in self._threads:
                    return
                job, url = self._ready.popleft(), self._url
                if url is None or not self.enabled:
                    self._finish()
                    continue
            try:
                delivery = self._attempt(job, url)
            except Exception as error:  # edge of a thread
                log.exception("emulator could not send %s", job.event)
                delivery = Delivery(job.event, job.object_id, url, job.attempt, error=type(error).__name__)
            with self._changed:
                self._log.append((delivery, job))
                self._settle(job, delivery)

    def _attempt(self, job: _Job, url: str) -> Delivery:
        headers = {
            "User-Agent": "FedaPay (emulateur)",
            **self.headers,
            "Content-Type": "application/json",
            # Real time, whatever the emulator's clock says: the receiver compares it with its own.
            signature.HEADER: signature.sign(job.body, self.secret),
        }
        status, error, now = None, "", self._clock.now()
        try:
            with requests.Session() as session:
                session.trust_env = False  # neither a proxy nor a .netrc of this machine
                with session.post(
                    url,
                    data=job.body,
                    headers=headers,
                    timeout=self.timeout,
                    allow_redirects=False,
                    stream=True,
                ) as response:
                    status = response.status_code
        except (requests.RequestException, ValueError, OSError) as caught:
            error = type(caught).__name__
        log.info("webhook sent: %s, attempt %d, answer %s", job.event, job.attempt, status or error)
        return Delivery(job.event, job.object_id, url, job.attempt, status, error, headers, job.body, now)

    def _settle(self, job: _Job, delivery: Delivery) -> None:
        if delivery.succeeded:
            self._finish()
        elif job.attempt < MAX_ATTEMPTS:
            again = replace(job, attempt=job.attempt + 1)
            wait = min(2**job.attempt, _LONGEST_WAIT) * self.retry_factor
            self._timers.after(wait, lambda: self._requeue(again))
        else:
            if self.disable_on_error and self.enabled and delivery.url == self._url:
                self.enabled = False
                log.warning("webhook disabled after %d failed attempts: %s", MAX_ATTEMPTS, mask(delivery.url))
            self._finish()

    def _requeue(self, job: _Job) -> None:
        with self._changed:
            self._ready.append(job)
            self._changed.notify_all()

    def _finish(self) -> None:
        self._pending -= 1
        self._changed.notify_all()
