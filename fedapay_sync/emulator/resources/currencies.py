"""``/v1/currencies``: a fixed list."""

from typing import List

from fedapay_sync.emulator.domain.rules import CURRENCIES
from fedapay_sync.emulator.http.call import Call, Route
from fedapay_sync.emulator.http.errors import or_404
from fedapay_sync.emulator.http.serializers import Record


class Currencies:
    """Currencies, listed without ``meta``."""

    def routes(self) -> List[Route]:
        return [("GET", "/v1/currencies", self.all), ("GET", "/v1/currencies/<name>", self.retrieve)]

    def all(self, call: Call) -> Record:
        return {"v1/currencies": list(CURRENCIES)}

    def retrieve(self, call: Call, name: str) -> Record:
        """By id, or by ISO code as one client has it."""
        found = (each for each in CURRENCIES if name in (str(each["id"]), each["iso"]))
        return {"v1/currency": or_404(next(found, None))}
