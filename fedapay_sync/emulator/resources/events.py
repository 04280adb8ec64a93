"""``/v1/events``: the event log, read only."""

from typing import Any, List

from fedapay_sync.emulator.http import serializers
from fedapay_sync.emulator.http.call import Call, Route
from fedapay_sync.emulator.http.errors import or_404
from fedapay_sync.emulator.http.filters import match
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.storage.shop_data import ShopData


class Events:
    """The shop's event log, read only."""

    def __init__(self, data: ShopData) -> None:
        self._events = data.events

    def routes(self) -> List[Route]:
        return [
            ("GET", "/v1/events", self.all),
            ("POST", "/v1/events/subscribe", lambda call: queue("events")),
            ("GET", "/v1/events/<name>", self.retrieve),
        ]

    def all(self, call: Call) -> Record:
        return call.page("v1/events", match(call.query, self._events, _same), serializers.event_answer)

    def retrieve(self, call: Call, name: str) -> Record:
        return {"v1/event": serializers.event_answer(or_404(self._events.get(name)))}


def queue(kind: str) -> Record:
    """
    Options of a queue that does not exist here: FedaPay's command line would go and read it elsewhere.

    Only the names are known; the values are plausible.
    """
    return {
        "queue": f"{kind}.{serializers.event_id()}",
        "nowait": False,
        "durable": False,
        "auto_delete": True,
        "arguments": {"x-message-ttl": 60_000, "x-expires": 60_000, "x-single-active-consumer": True},
    }


def _same(event: Record, name: str, value: str) -> bool:
    have: Any = event.get(name)
    if name == "type":
        # The command line writes transaction_deleted.
        return value in (have, have.replace(".", "_", 1))
    if name == "entity":
        return value in have
    return have is not None and str(have) == value
