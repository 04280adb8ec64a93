"""``/v1/events``: the event log, read only; and the base of logs that the API lists."""

from typing import ClassVar, List

from fedapay_sync.emulator.http import serializers
from fedapay_sync.emulator.http.call import Call, Route
from fedapay_sync.emulator.http.errors import or_404
from fedapay_sync.emulator.http.filters import match
from fedapay_sync.emulator.http.serializers import Record, pick
from fedapay_sync.emulator.storage.append_log import AppendLog
from fedapay_sync.emulator.storage.shop_data import ShopData


class LogResource:
    """A log of the shop, read only."""

    kind: ClassVar[str]
    fields: ClassVar[List[str]]

    def __init__(self, records: AppendLog) -> None:
        self._records = records

    def routes(self) -> List[Route]:
        path = f"/v1/{self.kind}s"
        return [
            ("GET", path, self.all),
            ("POST", f"{path}/subscribe", self.subscribe),
            ("GET", f"{path}/<name>", self.retrieve),
        ]

    def all(self, call: Call) -> Record:
        return call.page(f"v1/{self.kind}s", match(call.query, self._records, self.matches), self._serialize)

    def retrieve(self, call: Call, name: str) -> Record:
        return {f"v1/{self.kind}": self._serialize(or_404(self._records.get(name)))}

    def subscribe(self, call: Call) -> Record:
        """
        Options of a queue that does not exist here: FedaPay's command line would go and read it elsewhere.

        Only the names are known; the values are plausible.
        """
        return {
            "queue": f"{self.kind}s.{serializers.event_id()}",
            "nowait": False,
            "durable": False,
            "auto_delete": True,
            "arguments": {"x-message-ttl": 60_000, "x-expires": 60_000, "x-single-active-consumer": True},
        }

    def matches(self, record: Record, name: str, value: str) -> bool:
        """Whether a record is one that ``filters[name]=value`` asks for."""
        have = record.get(name)
        return have is not None and str(have) == value

    def _serialize(self, record: Record) -> Record:
        return {"klass": f"v1/{self.kind}", **pick(record, self.fields)}


class Events(LogResource):
    """Events; the entity of one is JSON inside a string."""

    kind = "event"
    fields = "id type entity object_id account_id created_at updated_at object".split()

    def __init__(self, data: ShopData) -> None:
        super().__init__(data.events)
        self._data = data

    def all(self, call: Call) -> Record:
        found = match(call.query, self._records, self.matches)
        if self._data.settings.events_order == "oldest":
            found.reverse()
        return call.page("v1/events", found, self._serialize)

    def matches(self, record: Record, name: str, value: str) -> bool:
        if name == "type":
            # The command line writes transaction_deleted.
            return value in (record["type"], record["type"].replace(".", "_", 1))
        return value in record["entity"] if name == "entity" else super().matches(record, name, value)
