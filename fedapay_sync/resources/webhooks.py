"""Webhook endpoints that FedaPay delivers events to."""

from typing import Any, Dict, Optional

from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.secret import Key
from fedapay_sync.errors import ApiError, FedapayError, InvalidArgument, TransactionId, TransportError
from fedapay_sync.models import Webhook, WebhookSample
from fedapay_sync.models.params.bodies import WebhookBody
from fedapay_sync.resources.base import Params, merge_attributes, read_object
from fedapay_sync.resources.idempotency import NO_ANSWER
from fedapay_sync.resources.mixins import Manageable

log = get_logger(__name__)


class Webhooks(Manageable[Webhook]):
    """
    Adresses que FedaPay prévient. Le secret de chacune et le choix des événements sont dans le tableau de bord.

    FedaPay coupe une adresse après dix échecs, sauf avec ``disable_on_error=False`` : le donner à la création.
    """

    path = "webhooks"
    model = Webhook
    body = WebhookBody

    def stub_event(self, event: str, *, api_key: Optional[Key] = None) -> WebhookSample:
        """Fabrique un événement d'exemple, comme ``"transaction.approved"``, sans rien envoyer."""
        return self._sample("/webhooks/stub_event", event, api_key)

    def send_event(self, id: TransactionId, event: str, *, api_key: Optional[Key] = None) -> WebhookSample:
        """Fait livrer à ce webhook un événement d'exemple, vraiment signé : de quoi éprouver sa réception."""
        return self._sample(self._path_to(id, "/send_event"), event, api_key)

    def _sample(self, path: str, event: str, api_key: Optional[Key]) -> WebhookSample:
        if not isinstance(event, str) or not event.strip():
            raise InvalidArgument(
                "event : un nom d'événement est attendu, comme « transaction.approved ».", field="event"
            )
        response = self._requestor.request("POST", path, api_key=api_key, body={"event": event})
        return read_object(WebhookSample, response)

    def _post(self, body: Params, api_key: Optional[Key]) -> Webhook:
        """FedaPay may answer 500 to a creation that it made (note of August 2026): look before saying so."""
        try:
            return super()._post(body, api_key)
        except NO_ANSWER as doubt:
            found = self._find(dict(body), api_key, doubt)
            if found is None:
                raise
            return found

    def update(
        self, id: TransactionId, body: Optional[Params] = None, *, api_key: Optional[Key] = None, **attributes: Any
    ) -> Webhook:
        """Modifie les attributs donnés et rend le nouvel état du webhook."""
        try:
            return super().update(id, body, api_key=api_key, **attributes)
        except NO_ANSWER as doubt:
            # As of a creation: applied, and answered 500.
            log.warning("update of a webhook had no answer (%s); looking at it", doubt.code)
            try:
                found = self.retrieve(id, api_key=api_key)
            except (ApiError, TransportError):
                raise doubt from None
            if not _matches(found, merge_attributes(body, attributes)):
                raise
            return found

    def _find(self, wanted: Dict[str, Any], api_key: Optional[Key], doubt: FedapayError) -> Optional[Webhook]:
        """A webhook that is in all points what was asked for; whether it is this one or an older one is the same."""
        log.warning("creation of a webhook had no answer (%s); looking for it", doubt.code)
        try:
            return next((each for each in self.list(api_key=api_key) if _matches(each, wanted)), None)
        except (ApiError, TransportError) as error:
            log.warning("listing the webhooks failed: %s", error.code)
            return None


def _matches(webhook: Webhook, wanted: Dict[str, Any]) -> bool:
    there = webhook.to_dict()
    # These two are about the answer, and no attributes.
    return all(there.get(name) == value for name, value in wanted.items() if name not in ("include", "locale"))
