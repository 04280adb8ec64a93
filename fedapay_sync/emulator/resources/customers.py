"""The payers that the emulated FedaPay knows; an e-mail is one person."""

from typing import List, Optional

from fedapay_sync.emulator.http import serializers
from fedapay_sync.emulator.http.call import Call, Created, Route, id_of
from fedapay_sync.emulator.http.errors import NOT_FOUND, Refusal, both, missing
from fedapay_sync.emulator.http.filters import select
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.http.validation import TAKEN, UNKNOWN, Fields, number_of
from fedapay_sync.emulator.storage.shop_data import ShopData

_CREATION_FAILED = both("La création du client a échoué", "Customer creation failed")
_UPDATE_FAILED = both("La mise à jour du client a échoué", "Customer update failed")
_PERSON = ("firstname", "lastname", "email", "phone_number")
_SEARCHED = ("full_name", "email")


class Customers:
    """``/v1/customers``, and whom other records mean by their customer."""

    def __init__(self, data: ShopData) -> None:
        self._data = data
        # Ours: the e-mail in small letters, as long as it is somebody's.
        self._table = data.table("customers", "known_as")

    def routes(self) -> List[Route]:
        return [
            ("POST", "/v1/customers", self.create),
            ("GET", "/v1/customers", self.all),
            ("GET", "/v1/customers/search", self.all),
            ("GET", "/v1/customers/<number>", self.retrieve),
            ("PUT", "/v1/customers/<number>", self.update),
            ("DELETE", "/v1/customers/<number>", self.delete),
        ]

    def create(self, call: Call) -> Created:
        if not any(name in call.body for name in _PERSON):
            raise missing("customer")
        given = Fields(call.body)
        customer = self.meant({name: call.body[name] for name in _PERSON if name in call.body}, given)
        given.raise_if_wrong(_CREATION_FAILED)
        return Created(_one(self.keep(customer)))

    def all(self, call: Call) -> Record:
        living = [each for each in self._table.newest_first() if not each.get("deleted_at")]
        return call.page("v1/customers", select(call.query, living, _SEARCHED), serializers.customer_answer)

    def retrieve(self, call: Call, number: str) -> Record:
        return _one(self._living(number))

    def update(self, call: Call, number: str) -> Record:
        customer = self._living(number)
        given = Fields(call.body)
        changed = self._changed(customer, given)
        other = self._known(changed["email"])
        if other is not None and other["id"] != customer["id"]:
            given.refuse("email", TAKEN)
        given.raise_if_wrong(_UPDATE_FAILED)
        return _one(self.keep(changed))

    def delete(self, call: Call, number: str) -> None:
        customer = {**self._living(number), "deleted_at": self._data.stamp(), "known_as": None}
        self._tell("deleted", self._table.keep(customer))

    # For other records

    def get(self, number: Optional[int]) -> Optional[Record]:
        """The customer of that id, deleted or not."""
        return self._table.get(number)

    def meant(self, person: Record, given: Fields) -> Record:
        """Whom a request means, not yet kept: a refused creation must leave no trace."""
        if person.get("id") is not None:
            found = self._table.get(number_of(person["id"]))
            if found is None or found.get("deleted_at"):
                given.refuse("customer", UNKNOWN)
                return {}
            return found
        email = Fields(person).text("email")
        return self._changed(self._known(email) or {}, Fields(person), given)

    def keep(self, customer: Record) -> Record:
        """Remember what ``meant`` found, and tell if that is news."""
        known = self._table.get(customer.get("id"))
        if known is customer:
            return customer
        now = self._data.stamp()
        if known is None:
            customer.update(id=self._data.next_id(), account_id=self._data.account_id, created_at=now)
        customer["full_name"] = " ".join(filter(None, (customer["firstname"], customer["lastname"])))
        customer["known_as"] = (customer["email"] or "").lower() or None
        if customer["phone"] and not customer.get("phone_number_id"):
            customer["phone_number_id"] = self._data.next_id()
        customer["updated_at"] = now
        self._table.keep(customer)
        self._tell("created" if known is None else "updated", customer)
        return customer

    # Inside

    def _changed(self, known: Record, about: Fields, given: Optional[Fields] = None) -> Record:
        """The person as known, with what is said now; what is wrong is said in ``given``, else in ``about``."""
        customer = {
            **known,
            "firstname": about.name("firstname", known.get("firstname")),
            "lastname": about.name("lastname", known.get("lastname")),
            "email": about.text("email") or known.get("email"),
            "phone": about.phone() or known.get("phone"),
        }
        if given is not None:
            given.take(about)
        return customer

    def _known(self, email: Optional[str]) -> Optional[Record]:
        return self._table.first(known_as=email.lower()) if email else None

    def _living(self, number: str) -> Record:
        customer = self._table.get(id_of(number))
        if customer is None or customer.get("deleted_at"):
            raise Refusal(404, NOT_FOUND)
        return customer

    def _tell(self, what: str, customer: Record) -> None:
        entity, answer = serializers.customer_record(customer), serializers.customer_answer(customer)
        self._data.publish(f"customer.{what}", "customer", customer["id"], entity, answer)


def _one(customer: Record) -> Record:
    return {"v1/customer": serializers.customer_answer(customer)}
