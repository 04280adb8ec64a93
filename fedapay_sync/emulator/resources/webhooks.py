"""``/v1/webhooks``: the endpoints to which events are delivered."""

from typing import ClassVar, List, Mapping, Optional, Tuple

from fedapay_sync.emulator.delivery.application import Application
from fedapay_sync.emulator.delivery.deliveries import Deliveries
from fedapay_sync.emulator.delivery.samples import sample_event
from fedapay_sync.emulator.http import endpoints, serializers
from fedapay_sync.emulator.http.call import Call, Route
from fedapay_sync.emulator.http.errors import Refusal, bilingual
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.resources import crud
from fedapay_sync.emulator.resources.crud import CrudResource, Errors, Reader
from fedapay_sync.emulator.storage.shop_data import ShopData

_FLAGS = ("enabled", "ssl_verify", "disable_on_error")
_NO_EVENT = bilingual("L'évenement n'existe pas", "The event does not exist")


class Webhooks(CrudResource):
    """
    The endpoints. One of them may be the emulator's own: the ``webhook_url`` given in Python.

    Secrets are not here: FedaPay shows them in its dashboard only, and all endpoints share the emulator's.
    """

    kind = "webhook"
    failed = (
        bilingual("La création du webhook a échoué", "Webhook creation failed"),
        bilingual("La mise à jour du webhook a échoué", "Webhook update failed"),
    )
    readers: ClassVar[Mapping[str, Reader]] = {
        "url": endpoints.address,
        **dict.fromkeys(_FLAGS, crud.boolean),
        "http_headers": endpoints.headers,
    }
    required = ("url",)
    fields = "id url enabled ssl_verify disable_on_error account_id http_headers created_at updated_at".split()

    def __init__(
        self,
        data: ShopData,
        deliveries: Deliveries,
        *,
        url: Optional[str],
        headers: Optional[Mapping[str, str]],
        disable_on_error: bool,
    ) -> None:
        super().__init__(data)
        self._deliveries = deliveries
        self._own_settings: Record = {"http_headers": dict(headers or {}), "disable_on_error": disable_on_error}
        self.url = url

    def routes(self) -> List[Route]:
        return [
            *super().routes(),
            ("POST", "/v1/webhooks/stub_event", self.stub_event),
            ("POST", "/v1/webhooks/<number>/send_event", self.send_event),
        ]

    def stub_event(self, call: Call) -> Record:
        """An invented event, not delivered."""
        return self._made_up(call)[1]

    def send_event(self, call: Call, number: str) -> Record:
        """An invented event, really delivered."""
        record = self.get_or_404(number)
        kind, event = self._made_up(call)
        name, entity = event["name"], event["entity"]
        if record["enabled"]:
            body = serializers.webhook_body(name, kind, entity["id"], entity, self._data.account)
            self._deliveries.send(record["id"], name, entity["id"], body)
        return event

    def send(self, event: str, object_id: int, body: bytes) -> None:
        """Deliver to every enabled endpoint."""
        with self._data.lock:
            for record in self._table:
                if record["enabled"]:
                    self._deliveries.send(record["id"], event, object_id, body)

    @property
    def url(self) -> Optional[str]:
        """The address of the emulator's own endpoint."""
        own = self._own()
        return own["url"] if own else None

    @url.setter
    def url(self, url: Optional[str]) -> None:
        self.set_own(url, None)

    def set_own(self, url: Optional[str], application: Optional[Application]) -> None:
        """The emulator's own endpoint: its address, and what is called in its place; without address there is none."""
        with self._data.atomic():
            own, now = self._own(), self._data.stamp()
            self.application = application
            if url is None:
                if own:
                    self._table.erase(own)
                    self._deliveries.set_application(own["id"], None)
                return
            # As in FedaPay's dashboard: a corrected address enables the webhook again.
            changes = {**self._own_settings, "url": url, "enabled": True, "updated_at": now}
            new = {**self.defaults(), "id": self._data.next_id(), "own": True, "created_at": now}
            saved = self._table.save({**(own or new), **changes})
            self._deliveries.set_application(saved["id"], application)

    @property
    def enabled(self) -> bool:
        """False when failures have switched the emulator's own endpoint off."""
        own = self._own()
        return bool(own["enabled"]) if own else True

    # What CrudResource asks for

    def defaults(self) -> Record:
        return {**dict.fromkeys(_FLAGS, True), "http_headers": {}, "account_id": self._data.account["id"]}

    def normalise(self, given: Record, errors: Errors, own_id: int) -> None:
        # Null leaves a flag as it is, and removes all headers.
        for name in _FLAGS:
            if given.get(name, True) is None:
                del given[name]
        if "http_headers" in given:
            given["http_headers"] = given["http_headers"] or {}

    # Inside

    def _own(self) -> Optional[Record]:
        with self._data.lock:
            return self._table.first(own=True)

    def _made_up(self, call: Call) -> Tuple[str, Record]:
        """The event that was asked for: its kind of object, and the answer."""
        name = call.body.get("event")
        made = sample_event(name, self._data) if isinstance(name, str) else None
        if made is None:
            raise Refusal(400, _NO_EVENT)
        kind, entity = made
        return kind, {"name": name, "entity": entity}
