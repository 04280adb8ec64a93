"""``/v1/customers``: the payers; an e-mail address identifies one customer."""

from typing import List, Optional

from fedapay_sync.emulator.http import serializers
from fedapay_sync.emulator.http.call import Call, Created, Route, id_of
from fedapay_sync.emulator.http.errors import NOT_FOUND, Refusal, bilingual, missing_param
from fedapay_sync.emulator.http.filters import select
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.http.validation import TAKEN, UNKNOWN, FieldReader, number_of
from fedapay_sync.emulator.storage.shop_data import ShopData

_CREATION_FAILED = bilingual("La création du client a échoué", "Customer creation failed")
_UPDATE_FAILED = bilingual("La mise à jour du client a échoué", "Customer update failed")
_PERSON = ("firstname", "lastname", "email", "phone_number")
_SEARCHED = ("full_name", "email")


class Customers:
    """Customers, and their resolution from the ``customer`` of other records."""

    def __init__(self, data: ShopData) -> None:
        self._data = data
        # ``known_as`` is our own field: the e-mail in small letters, until the customer is deleted.
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
            raise missing_param("customer")
        given = FieldReader(call.body)
        customer = self.resolve({name: call.body[name] for name in _PERSON if name in call.body}, given)
        given.raise_if_wrong(_CREATION_FAILED)
        return Created(_one(self.save(customer)))

    def all(self, call: Call) -> Record:
        living = [each for each in self._table.newest_first() if not each.get("deleted_at")]
        return call.page("v1/customers", select(call.query, living, _SEARCHED), serializers.customer_answer)

    def retrieve(self, call: Call, number: str) -> Record:
        return _one(self._existing(number))

    def update(self, call: Call, number: str) -> Record:
        customer = self._existing(number)
        given = FieldReader(call.body)
        changed = self._changed(customer, given)
        other = self._known(changed["email"])
        if other is not None and other["id"] != customer["id"]:
            given.refuse("email", TAKEN)
        given.raise_if_wrong(_UPDATE_FAILED)
        return _one(self.save(changed))

    def delete(self, call: Call, number: str) -> None:
        customer = {**self._existing(number), "deleted_at": self._data.stamp(), "known_as": None}
        self._publish("deleted", self._table.save(customer))

    # For other records

    def get(self, number: Optional[int]) -> Optional[Record]:
        """The customer of that id, deleted or not."""
        return self._table.get(number)

    def resolve(self, person: Record, given: FieldReader) -> Record:
        """The customer that a request means, not saved yet: a refused creation must leave no trace."""
        if person.get("id") is not None:
            found = self._table.get(number_of(person["id"]))
            if found is None or found.get("deleted_at"):
                given.refuse("customer", UNKNOWN)
                return {}
            return found
        email = FieldReader(person).text("email")
        return self._changed(self._known(email) or {}, FieldReader(person), given)

    def save(self, customer: Record) -> Record:
        """Save what ``resolve`` returned, and publish an event if something is new."""
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
        self._table.save(customer)
        self._publish("created" if known is None else "updated", customer)
        return customer

    # Inside

    def _changed(self, known: Record, about: FieldReader, given: Optional[FieldReader] = None) -> Record:
        """The known customer with the new values; errors go to ``given``, else to ``about``."""
        customer = {
            **known,
            "firstname": about.name("firstname", known.get("firstname")),
            "lastname": about.name("lastname", known.get("lastname")),
            "email": about.text("email") or known.get("email"),
            "phone": about.phone() or known.get("phone"),
        }
        if given is not None:
            given.adopt_errors(about)
        return customer

    def _known(self, email: Optional[str]) -> Optional[Record]:
        return self._table.first(known_as=email.lower()) if email else None

    def _existing(self, number: str) -> Record:
        customer = self._table.get(id_of(number))
        if customer is None or customer.get("deleted_at"):
            raise Refusal(404, NOT_FOUND)
        return customer

    def _publish(self, what: str, customer: Record) -> None:
        entity, answer = serializers.customer_record(customer), serializers.customer_answer(customer)
        self._data.publish(f"customer.{what}", "customer", customer["id"], entity, answer)


def _one(customer: Record) -> Record:
    return {"v1/customer": serializers.customer_answer(customer)}
