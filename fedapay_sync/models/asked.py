"""
Decides whether a transaction is the payment that was asked for.

One comparison for every way on which a transaction comes in: created, found under its reference, adopted after a lost
answer, read at a deadline, told by a webhook, listed among events. What is expected comes from what was asked, never
from what is being checked.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from fedapay_sync.models.entity import decode_json_text
from fedapay_sync.models.schema import read_francs
from fedapay_sync.models.schema.values import read_int

#: The id of the currency XOF: the only one that is certain (recordings of 2021 to 2026).
XOF_ID = 1
_XOF = "XOF"
#: Traits that tell one payer from another, the surest first.
_PAYER = ("email", "number", "customer_id")
#: Traits that decide only where the payer cannot be compared: an honest retry may change them.
_CIRCUMSTANCES = ("description", "callback_url", "custom_metadata")
#: The trait of everything together: that is no trait of a transaction, and tells a second asking from another payment.
_WHOLE = "whole"
#: A phone number is written with and without its dialling code: it is compared by so many last digits.
_LAST_DIGITS = 8


class Comparison(NamedTuple):
    """
    A transaction beside what was asked; names of fields.

    Attributes:
        different: these prove that it is another payment.
        unreadable: these are missing, or are nothing that can be compared.
        remarkable: these differ, which proves nothing.
    """

    different: Tuple[str, ...] = ()
    unreadable: Tuple[str, ...] = ()
    remarkable: Tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether the sum could be read, and nothing differs."""
        return not (self.different or self.unreadable)


@dataclass(frozen=True)
class Asked:
    """
    What was asked for.

    Attributes:
        amount: whole francs; None where the caller named none.
        currency: ISO code; None where the caller named none.
        currency_id: FedaPay's number for that currency, from the answer to the creation.
        reference: the merchant reference.
        traits: a digest of each thing by which the payment is told from others. They lie in the database, where
            nobody is to read an address or a number.
    """

    amount: Optional[int]
    currency: Optional[str]
    currency_id: Optional[int] = None
    reference: str = ""
    traits: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of_body(cls, body: Mapping[str, Any], *, unsaid: Tuple[str, ...] = ()) -> "Asked":
        """
        What the body of a creation asks for.

        Args:
            unsaid: attributes that the caller did not give: they are sent, but not compared.
        """
        reference = str(body.get("merchant_reference") or "")
        given = {name: value for name, value in body.items() if name not in unsaid}
        currency = body.get("currency")
        return cls(
            amount=_francs(body.get("amount")),
            currency=_iso(currency),
            reference=reference,
            traits=_traits(reference, given),
        )

    def with_whole(self, body: Mapping[str, Any], contact: Optional[str], **how: Any) -> "Asked":
        """
        The same, with a digest of everything that was asked.

        Equal are the payer (e-mail and number, or else the name), the sum and how it is to be paid, and what the shop
        said of it: text, return link, own data.

        Args:
            body: of the creation.
            contact: the number that is asked to pay.
            how: country, method and kind of the payment.
        """
        return replace(self, traits={**self.traits, _WHOLE: _whole(self.reference, body, contact, how)})

    def is_same_as(self, body: Mapping[str, Any], contact: Optional[str], **how: Any) -> bool:
        """Whether that would be asking for this payment a second time, whatever the reference."""
        return self.traits.get(_WHOLE) == _whole(self.reference, body, contact, how)

    def compare_sum(self, shown: Mapping[str, Any]) -> Comparison:
        """
        Compare amount and currency: all that is to be compared of a transaction that is this payment's by its id.

        Args:
            shown: a transaction as FedaPay shows it.
        """
        different: List[str] = []
        unreadable: List[str] = []
        for name, same in (("amount", self._same_amount(shown)), ("currency", self._same_currency(shown))):
            if same is None:
                unreadable.append(name)
            elif not same:
                different.append(name)
        return Comparison(tuple(different), tuple(unreadable))

    def compare(self, shown: Mapping[str, Any]) -> Comparison:
        """
        Compare everything: a transaction that bears the reference is this payment only if it looks like it.

        What was not sent, or what FedaPay does not show, is no difference.
        """
        total = self.compare_sum(shown)
        theirs = _traits(self.reference, shown)
        both = [name for name in self.traits if name in theirs]
        payer = next((name for name in _PAYER if name in both), None)
        others = tuple(each for each in _CIRCUMSTANCES if each in both and self.traits[each] != theirs[each])
        if payer is None:
            return total._replace(different=total.different + others)
        if self.traits[payer] != theirs[payer]:
            total = total._replace(different=(*total.different, "customer"))
        return total._replace(remarkable=others)

    def has_other_payer(self, other: "Asked") -> bool:
        """Whether another request under the same reference is for another payer, by the surest trait of both."""
        payer = next((name for name in _PAYER if name in self.traits and name in other.traits), None)
        return payer is not None and self.traits[payer] != other.traits[payer]

    def knows_payer(self) -> bool:
        """Whether there is something by which the payer can be compared."""
        return any(name in self.traits for name in _PAYER)

    def _same_amount(self, shown: Mapping[str, Any]) -> Optional[bool]:
        if self.amount is None:
            return True
        amount = _francs(shown.get("amount"))
        return None if amount is None else amount == self.amount

    def _same_currency(self, shown: Mapping[str, Any]) -> Optional[bool]:
        """XOF is met by its number, too; the numbers of other currencies are known from FedaPay's own answers only."""
        if self.currency is None:
            return True
        says: List[bool] = []
        iso, number = _iso(shown.get("currency")), _number(shown.get("currency_id"))
        if iso is not None:
            says.append(iso == self.currency)
        if number is not None and XOF_ID in (number, self.currency_id):
            says.append(number == XOF_ID and self.currency == _XOF)
        elif number is not None and self.currency == _XOF:
            says.append(False)
        elif number is not None and self.currency_id is not None:
            says.append(number == self.currency_id)
        return all(says) if says else None


def shows_payer(shown: Mapping[str, Any]) -> bool:
    """Whether the transaction shows its payer, and not only their number at FedaPay."""
    return any(name in _traits("", shown) for name in ("email", "number"))


def amount_shown(shown: Mapping[str, Any]) -> Optional[int]:
    """The francs of a transaction, as far as FedaPay shows them."""
    return _francs(shown.get("amount"))


def currency_shown(shown: Mapping[str, Any]) -> Optional[str]:
    """The ISO code of a transaction's currency, as far as FedaPay shows it."""
    return _iso(shown.get("currency")) or (_XOF if _number(shown.get("currency_id")) == XOF_ID else None)


def sum_shown(shown: Mapping[str, Any]) -> str:
    """Amount and currency of a transaction, for people."""
    amount, number = amount_shown(shown), _number(shown.get("currency_id"))
    currency = currency_shown(shown) or ("(devise illisible)" if number is None else f"(devise n° {number})")
    return f"{'montant illisible' if amount is None else amount} {currency}"


def _traits(reference: str, shown: Mapping[str, Any]) -> Dict[str, str]:
    """
    The digests of what a body sends, or a transaction shows. With the reference in them, two payments of one payer
    have nothing in common.
    """
    person, number = _payer(shown)
    plain = {
        "email": _text(person.get("email")),
        "number": number,
        "customer_id": _text(person.get("id") if person.get("id") is not None else shown.get("customer_id")),
        "description": _text(shown.get("description")),
        "callback_url": _text(shown.get("callback_url")),
        "custom_metadata": _json(shown.get("custom_metadata")),
    }
    return {name: _digest(reference, name, text) for name, text in plain.items() if text}


def _whole(reference: str, body: Mapping[str, Any], contact: Optional[str], how: Mapping[str, Any]) -> str:
    person, number = _payer(body)
    payer = [_text(person.get("email")), _last_digits(contact) if contact is not None else number]
    if not any(payer):
        payer += [_text(person.get("lastname")), _text(person.get("firstname"))]
    said = [_text(body.get("description")), _text(body.get("callback_url")), _json(body.get("custom_metadata"))]
    total = [_francs(body.get("amount")), _iso(body.get("currency"))]
    return _digest(reference, _WHOLE, json.dumps([payer, total, said, {name: str(how[name]) for name in sorted(how)}]))


def _payer(shown: Mapping[str, Any]) -> Tuple[Mapping[str, Any], str]:
    """The customer of a body or of a transaction, and the last digits of their number."""
    customer = shown.get("customer")
    person: Mapping[str, Any] = customer if isinstance(customer, Mapping) else {}
    phone = person.get("phone_number")
    return person, _last_digits(phone.get("number") if isinstance(phone, Mapping) else phone)


def _digest(reference: str, name: str, text: str) -> str:
    return hashlib.sha256(f"{reference}\0{name}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _francs(value: Any) -> Optional[int]:
    try:
        return read_francs(value)
    except (ValueError, TypeError, ArithmeticError):
        return None


def _number(value: Any) -> Optional[int]:
    try:
        return read_int(value)
    except ValueError:
        return None


def _iso(currency: Any) -> Optional[str]:
    iso = currency.get("iso") if isinstance(currency, Mapping) else currency
    return iso.strip().upper() if isinstance(iso, str) and len(iso.strip()) == 3 else None


def _text(value: Any) -> str:
    """Blanks, case and the kind of a number are nothing to FedaPay."""
    if value is None or isinstance(value, (bool, dict, list)):
        return ""
    return " ".join(str(value).split()).lower()


def _last_digits(value: Any) -> str:
    digits = "".join(each for each in str(value) if each.isdigit())
    return digits[-_LAST_DIGITS:] if len(digits) >= _LAST_DIGITS else ""


def _json(value: Any) -> str:
    """One way to write it, in whatever order and kinds it comes back."""
    if value in (None, "", {}, []):
        return ""
    try:
        return json.dumps(_leaves(decode_json_text(value)), sort_keys=True)
    except (ValueError, RecursionError):
        return ""


def _leaves(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _leaves(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_leaves(each) for each in value]
    return str(value).lower()
