"""Base of resources that only create, list, read, update and delete: accounts, pages, invoices, webhooks."""

import re
from typing import Any, Callable, ClassVar, Dict, Iterable, List, Mapping, Tuple, Union

from fedapay_sync.emulator.domain.rules import CURRENCIES, find_currency
from fedapay_sync.emulator.http import serializers
from fedapay_sync.emulator.http.call import Call, Created, Route, id_of
from fedapay_sync.emulator.http.errors import Refusal, bilingual, or_404
from fedapay_sync.emulator.http.serializers import Record, pick
from fedapay_sync.emulator.http.validation import EMPTY, INVALID, TAKEN, items_of
from fedapay_sync.emulator.storage.shop_data import ShopData

#: Parses one field, or raises ValueError with the reason.
Reader = Callable[[Any], Any]
#: Reasons by field.
Errors = Dict[str, List[str]]

_NOT_NUMBER = bilingual("n'est pas un nombre", "is not a number")
_NOT_AMOUNT = bilingual("n'est pas un nombre entier, 0 ou plus", "is not a whole number, 0 or more")

_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,10})?\Z")
_REFERENCE = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def number(value: Any) -> Union[int, float]:
    """Any number, or the text of one; whole when it can be."""
    written = "" if isinstance(value, bool) else str(value)
    if not _NUMBER.match(written):
        raise ValueError(_NOT_NUMBER)
    return int(float(written)) if float(written).is_integer() else float(written)


def amount(value: Any) -> int:
    """Whole units; 0 leaves the choice to the payer."""
    found = number(value)
    if isinstance(found, float) or found < 0:
        raise ValueError(_NOT_AMOUNT)
    return found


def boolean(value: Any) -> bool:
    """Yes or no, as JSON or a form writes it."""
    known = _BOOLEANS.get(str(value).lower())
    if known is None:
        raise ValueError(INVALID)
    return known


def items(value: Any) -> List[Any]:
    """A list of anything."""
    listed = [] if value == {} else items_of(value)
    if listed is None:
        raise ValueError(INVALID)
    return listed


def reference(value: Any) -> str:
    """A text that needs no escapes in an address."""
    if not isinstance(value, str) or not _REFERENCE.match(value):
        raise ValueError(INVALID)
    return value


def currency(value: Any) -> int:
    """The id of ``{"iso": "XOF"}``."""
    found = find_currency(value)
    if found is None:
        raise ValueError(INVALID)
    return int(found["id"])


def currency_id(value: Any) -> int:
    """The id of a currency that exists."""
    for each in CURRENCIES:
        if str(value) == str(each["id"]):
            return int(each["id"])
    raise ValueError(INVALID)


def random_code() -> str:
    """As many letters and digits as in the reference of a recorded page."""
    return serializers.letters(8)


class CrudResource:
    """One kind of records. A deleted record is gone: no later call finds it."""

    kind: ClassVar[str]
    #: Messages of a refused creation and of a refused update.
    failed: ClassVar[Tuple[str, str]]
    readers: ClassVar[Mapping[str, Reader]]
    required: ClassVar[Iterable[str]] = ()
    #: What an answer shows of a record.
    fields: ClassVar[List[str]]

    def __init__(self, data: ShopData) -> None:
        self._data = data
        self._table = data.table(f"{self.kind}s", "reference")

    def routes(self) -> List[Route]:
        """The routes of the resource."""
        path = f"/v1/{self.kind}s"
        return [
            ("GET", path, self.all),
            ("POST", path, self.create),
            ("GET", f"{path}/<number>", self.retrieve),
            ("PUT", f"{path}/<number>", self.update),
            ("DELETE", f"{path}/<number>", self.delete),
        ]

    def all(self, call: Call) -> Record:
        return call.page(f"v1/{self.kind}s", self._table.newest_first(), self.serialize)

    def create(self, call: Call) -> Created:
        empty = [name for name in self.required if call.body.get(name) in (None, "")]
        record = {**self.defaults(), **self._read(call.body, self.failed[0], empty), "id": self._data.next_id()}
        record["created_at"] = record["updated_at"] = self._data.stamp()
        return Created(self._one(self._table.save(record)))

    def retrieve(self, call: Call, number: str) -> Record:
        return self._one(self.get_or_404(number))

    def update(self, call: Call, number: str) -> Record:
        record = self.get_or_404(number)
        empty = [name for name in self.required if call.body.get(name, "left out") in (None, "")]
        record.update(self._read(call.body, self.failed[1], empty, record["id"]), updated_at=self._data.stamp())
        return self._one(self._table.save(record))

    def delete(self, call: Call, number: str) -> None:
        self._table.erase(self.get_or_404(number))

    # To override

    def defaults(self) -> Record:
        """A new record before anything was given."""
        return {}

    def normalise(self, given: Record, errors: Errors, own_id: int) -> None:
        """Put what was read in the table's form, and check what concerns several fields."""

    def serialize(self, record: Record) -> Record:
        """The record as the API answers it."""
        return {"klass": f"v1/{self.kind}", **pick(record, self.fields)}

    # For the calls of subclasses

    def get_or_404(self, number: str) -> Record:
        """The record of that id, itself and not a copy."""
        return or_404(self._table.get(id_of(number)))

    # Inside

    def _one(self, record: Record) -> Record:
        return {f"v1/{self.kind}": self.serialize(record)}

    def _read(self, body: Record, failed: str, empty: Iterable[str], own_id: int = 0) -> Record:
        """The known fields among those sent; null, or empty as in a form, is null."""
        errors: Errors = {name: [EMPTY] for name in empty}
        given: Record = {}
        for name, read in self.readers.items():
            if name in body and name not in errors:
                try:
                    given[name] = None if body[name] in (None, "") else read(body[name])
                except ValueError as error:
                    errors[name] = [str(error)]
        self.normalise(given, errors, own_id)
        if errors:
            raise Refusal(400, failed, errors)
        return given


class ReferencedResource(CrudResource):
    """A resource with a currency, and with a reference that makes its public address: pages and invoices."""

    def routes(self) -> List[Route]:
        return [*super().routes(), ("GET", f"/v1/{self.kind}s/<reference>/verify", self.verify)]

    def verify(self, call: Call, reference: str) -> Record:
        """Read by the hosted page; what its settings hold was never recorded."""
        return {f"v1/{self.kind}_verify": {self.kind: self.serialize(self.by_reference(reference)), "settings": {}}}

    def by_reference(self, reference: str) -> Record:
        """The record of a public address."""
        return or_404(self._table.first(reference=reference))

    def defaults(self) -> Record:
        return {"reference": random_code(), "currency_id": CURRENCIES[0]["id"], "account_id": self._data.account_id}

    def normalise(self, given: Record, errors: Errors, own_id: int) -> None:
        wanted = given.pop("currency", None)
        if wanted is not None:
            given["currency_id"] = wanted
        # Neither can be null; an SDK that saves a record may send null for a field that it does not know.
        for name in ("reference", "currency_id"):
            if given.get(name, "") is None:
                del given[name]
        other = self._table.first(reference=given.get("reference"))
        if other is not None and other["id"] != own_id:
            errors["reference"] = [TAKEN]

    def serialize(self, record: Record) -> Record:
        found = next(each for each in CURRENCIES if each["id"] == record["currency_id"])
        return {**super().serialize(record), "currency": found}
