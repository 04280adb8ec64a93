"""One delivery attempt: signs a webhook, posts it to its endpoint, and describes the result."""

from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional

import requests

from fedapay_sync.common.clock import SYSTEM_CLOCK
from fedapay_sync.common.logging import get_logger
from fedapay_sync.emulator.delivery.application import Application
from fedapay_sync.emulator.delivery.http_post import post
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.storage.shop_data import ShopData
from fedapay_sync.signature import HEADER, sign

log = get_logger("fedapay_sync.emulator")

# Headers that an endpoint's own may not replace: without them it is no delivery of FedaPay's.
_OURS = frozenset({"content-type", "content-length", "transfer-encoding", "host", HEADER.lower()})


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
        id: numéro de l'essai, que nul autre n'a.
        answer: début du corps de la réponse.
        seconds: temps de la réponse.
        fault: panne demandée qui l'a frappé, comme ``webhook.duplicate``.
        exception: ce que l'application de ``deliver_to`` a levé ; un serveur en aurait fait un 500.
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
    id: int = 0
    answer: bytes = field(default=b"", repr=False)
    seconds: float = 0.0
    fault: str = ""
    exception: Optional[BaseException] = field(default=None, repr=False, compare=False)

    @property
    def succeeded(self) -> bool:
        """Vrai si la réponse était un 2xx, seul succès pour FedaPay."""
        return self.status is not None and 200 <= self.status < 300


class Sender:
    """Sends one job to one endpoint. Takes no lock: a receiver may be slow."""

    def __init__(self, data: ShopData, secret: str, timeout: float) -> None:
        self._data = data
        self.secret = secret
        self.timeout = timeout

    def attempt(self, job: Record, endpoint: Record, application: Optional[Application] = None) -> Delivery:
        """
        Send the job once, or hand it to the application. What goes wrong is in the delivery; only Ctrl-C and its like
        are raised.
        """
        try:
            return self._attempt(job, endpoint, application)
        except Exception as error:  # edge of a thread
            log.exception("emulator could not send %s", job["event"])
            return self.delivery(job, endpoint, error=type(error).__name__)

    def delivery(self, job: Record, endpoint: Record, **seen: Any) -> Delivery:
        """The record of an attempt."""
        known = {
            "event": job["event"],
            "object_id": job["object_id"],
            "url": endpoint["url"],
            "attempt": job["attempt"],
            "body": job["body"].encode("utf-8"),
            "time": self._data.now(),
            "webhook_id": job["webhook_id"],
            "id": self._data.next_id(),
            "fault": job.get("fault", ""),
        }
        return Delivery(**{**known, **seen})

    def is_done(self, delivery: Delivery) -> bool:
        """Whether FedaPay takes it for delivered."""
        moved = delivery.status is not None and 300 <= delivery.status < 400
        return delivery.succeeded or (moved and self._data.settings.redirect_succeeds)

    def _attempt(self, job: Record, endpoint: Record, application: Optional[Application]) -> Delivery:
        body = job["body"].encode("utf-8")
        headers = {
            "User-Agent": "FedaPay (emulateur)",
            **{name: value for name, value in endpoint["http_headers"].items() if name.lower() not in _OURS},
            "Content-Type": "application/json",
        }
        seen: Dict[str, Any] = {"headers": headers, **self._sign(headers, body)}
        began = SYSTEM_CLOCK.monotonic()
        try:
            call = application.post if application else post
            answer = call(endpoint["url"], body, headers, timeout=self.timeout, verify=endpoint["ssl_verify"])
            seen.update(status=answer.status, answer=answer.body, exception=answer.exception)
        except (requests.RequestException, ValueError, OSError) as caught:
            seen.update(error=type(caught).__name__)
        seen["seconds"] = SYSTEM_CLOCK.monotonic() - began
        what = seen.get("status") or seen["error"]
        log.info("webhook sent: %s, attempt %d, answer %s", job["event"], job["attempt"], what)
        return self.delivery(job, endpoint, **seen)

    def _sign(self, headers: Dict[str, str], body: bytes) -> Mapping[str, str]:
        """Add the signature, wrong or old if a fault strikes; returns the name of that fault."""
        fault = self._data.context.faults.for_webhook("webhook.wrong_signature", "webhook.old_stamp")
        secret, at = self.secret, None
        if fault is not None and fault.name == "webhook.old_stamp":
            at = int(SYSTEM_CLOCK.now() - fault.options["seconds"])
        elif fault is not None:
            secret += "-faux"
        # Real time, whatever the emulator's clock says: the receiver compares it with its own.
        headers[HEADER] = sign(body, secret, at)
        return {} if fault is None else {"fault": fault.name}
