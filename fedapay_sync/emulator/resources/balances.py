"""``/v1/balances``: the merchant's money, one balance for each mode and one without mode."""

from typing import List, Optional

from fedapay_sync.emulator.http import serializers
from fedapay_sync.emulator.http.call import Call, Route, id_of
from fedapay_sync.emulator.http.errors import or_404
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.storage.shop_data import ShopData


class Balances:
    """Balances, listed without ``meta``, all of them at once."""

    def __init__(self, data: ShopData) -> None:
        self._data = data
        self._table = data.table("balances", "mode")

    def routes(self) -> List[Route]:
        return [("GET", "/v1/balances", self.all), ("GET", "/v1/balances/<number>", self.retrieve)]

    def all(self, call: Call) -> Record:
        self._ensure_all()
        return {"v1/balances": [serializers.balance_answer(each) for each in self._table]}

    def retrieve(self, call: Call, number: str) -> Record:
        self._ensure_all()
        return {"v1/balance": serializers.balance_answer(or_404(self._table.get(id_of(number))))}

    def of(self, mode: Optional[str]) -> Record:
        """The balance of a mode."""
        self._ensure_all()
        return self._table.first(mode=mode) or self._new(mode)

    def get(self, number: Optional[int]) -> Optional[Record]:
        """The balance of that id."""
        return self._table.get(number)

    def credit(self, transaction: Record, at: str) -> None:
        """A payment reaches the balance at its transfer, or at its approval if the settings say so; never twice."""
        if transaction.get("credited") or self._data.settings.credit_at != at:
            return
        record = self.of(transaction["mode"])
        record["amount"] += transaction["amount_transferred"] or 0
        record["updated_at"] = self._data.stamp()
        self._table.save(record)
        transaction["credited"] = True

    def _ensure_all(self) -> None:
        """Make the balances of the account, which FedaPay has from the beginning, at their first use."""
        if not len(self._table):
            for mode in (None, *sorted(self._data.rules.modes)):
                self._new(mode)

    def _new(self, mode: Optional[str]) -> Record:
        now = self._data.stamp()
        new = {"id": self._data.next_id(), "amount": 0, "mode": mode, "created_at": now, "updated_at": now}
        return self._table.save(new)
