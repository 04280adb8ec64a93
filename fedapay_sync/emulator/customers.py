"""The payers that the emulated FedaPay knows; an e-mail is one person."""

from typing import Any, Callable, Dict, Optional

from . import shapes
from .fields import Fields
from .rules import ACCOUNT
from .shapes import Record


class Customers:
    """Kept inside the ledger, under its lock."""

    def __init__(
        self,
        next_id: Callable[[], int],
        now: Callable[[], str],
        publish: Callable[[str, str, int, Record, Record], None],
    ) -> None:
        self._next_id = next_id
        self._now = now
        self._publish = publish
        self._by_id: Dict[int, Record] = {}
        self._by_email: Dict[str, Record] = {}

    def get(self, number: Optional[int]) -> Optional[Record]:
        return self._by_id.get(number) if number is not None else None

    def meant(self, person: Record, given: Fields) -> Record:
        """Whom a request means, not yet kept: a refused creation must leave no trace."""
        if person.get("id") is not None:
            found = self._by_id.get(_number(person["id"]))
            if found is None:
                given.refuse("customer", "n'existe pas")
            return found or {}
        about = Fields(person)
        email = about.text("email")
        known = self._by_email.get((email or "").lower(), {})
        customer = {
            **known,
            "firstname": about.name("firstname", known.get("firstname")),
            "lastname": about.name("lastname", known.get("lastname")),
            "email": email,
            "phone": about.phone() or known.get("phone"),
        }
        for name, reasons in about.errors.items():
            for reason in reasons:
                given.refuse(name, reason)
        return customer

    def keep(self, customer: Record) -> None:
        """Remember what ``meant`` found, and tell if that is news."""
        known = self._by_id.get(customer.get("id", 0))
        if known is customer:
            return
        now = self._now()
        if known is None:
            customer.update(id=self._next_id(), account_id=ACCOUNT["id"], created_at=now)
        customer["full_name"] = " ".join(filter(None, (customer["firstname"], customer["lastname"])))
        if customer["phone"] and not customer.get("phone_number_id"):
            customer["phone_number_id"] = self._next_id()
        customer["updated_at"] = now
        self._by_id[customer["id"]] = customer
        if customer["email"]:
            self._by_email[customer["email"].lower()] = customer
        name = "customer.created" if known is None else "customer.updated"
        entity, answer = shapes.customer_record(customer), shapes.customer_answer(customer)
        self._publish(name, "customer", customer["id"], entity, answer)


def _number(value: Any) -> int:
    """An id sent as number or text; 0, which nobody has, if it is neither."""
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 19 else 0
