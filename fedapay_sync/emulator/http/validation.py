"""Validates the fields of a transaction, a payout or a customer, and collects the errors by field."""

import re
from typing import Any, Dict, List, Optional

from fedapay_sync.emulator.domain.phone_numbers import written
from fedapay_sync.emulator.domain.rules import find_currency
from fedapay_sync.emulator.http.errors import Refusal, bilingual, missing_param

_WHOLE = re.compile(r"\+?[0-9]{1,30}\Z")
# No source gives a maximum; an amount that no bank can count is a slip or an attack.
_TOO_MUCH = 10**30
_SCRIPTS = frozenset({"javascript", "data", "vbscript"})

EMPTY = bilingual("doit être rempli(e)", "can't be blank")
INVALID = bilingual("n'est pas valide", "is invalid")
TAKEN = bilingual("n'est pas disponible", "has already been taken")
UNKNOWN = bilingual("n'existe pas", "does not exist")
NOT_WHOLE = bilingual("n'est pas un nombre entier", "is not a whole number")
NOT_POSITIVE = bilingual("doit être supérieur à 0", "must be greater than 0")
BAD_NUMBER = bilingual("Le numéro de téléphone n'est pas valide", "The phone number is invalid")


def text(value: Any) -> str:
    """A text; a number is taken for one, as forms do."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise ValueError(INVALID)
    return value


class FieldReader:
    """Reads fields of a body one by one and collects their errors."""

    def __init__(self, body: Dict[str, Any]) -> None:
        self._body = body
        self.errors: Dict[str, List[str]] = {}

    def refuse(self, name: str, reason: str) -> None:
        self.errors.setdefault(name, []).append(reason)

    def adopt_errors(self, other: "FieldReader") -> None:
        """Add the errors of a part."""
        for name, reasons in other.errors.items():
            for reason in reasons:
                self.refuse(name, reason)

    def raise_if_wrong(self, message: str) -> None:
        if self.errors:
            raise Refusal(400, message, self.errors)

    def text(self, name: str, *, required: bool = False) -> Optional[str]:
        """A text; a number is taken for one, as forms do."""
        value = self._body.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if value is None or value == "":
            if required:
                self.refuse(name, EMPTY)
            return None
        if not isinstance(value, str):
            self.refuse(name, INVALID)
            return None
        return value

    def link(self, name: str) -> Optional[str]:
        """A link that a browser is sent to; refuses schemes that run scripts."""
        value = self.text(name)
        # Browsers ignore blanks and control characters in a scheme.
        scheme, colon, _ = re.sub(r"[\x00-\x20]", "", value or "").partition(":")
        if colon and scheme.lower() in _SCRIPTS:
            self.refuse(name, INVALID)
        return value

    def amount(self) -> int:
        """Whole units above 0; a text of digits is taken."""
        value = self._body.get("amount")
        if isinstance(value, str) and _WHOLE.match(value.strip()):
            value = int(value.strip())
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is None or value == "":
            self.refuse("amount", EMPTY)
        elif isinstance(value, bool) or not isinstance(value, int):
            self.refuse("amount", NOT_WHOLE)
        elif value <= 0:
            self.refuse("amount", NOT_POSITIVE)
        elif value >= _TOO_MUCH:
            self.refuse("amount", INVALID)
        else:
            return int(value)
        return 0

    def currency(self) -> Dict[str, Any]:
        currency = find_currency(self._body.get("currency"))
        if currency is None:
            self.refuse("currency", INVALID if self._body.get("currency") else EMPTY)
        return currency or {}

    def object(self, name: str) -> Optional[Dict[str, Any]]:
        value = self._body.get(name)
        # A form has no other way to write null.
        if value is None or value == "":
            return None
        if not isinstance(value, dict):
            self.refuse(name, INVALID)
            return None
        return value

    def name(self, name: str, fallback: Optional[str] = None) -> Optional[str]:
        """A person's name: may be left out, may not be empty or the slip of a JavaScript client."""
        if name not in self._body:
            return fallback
        value = self.text(name)
        if name not in self.errors and not (value or "").strip():
            self.refuse(name, EMPTY)
        elif value == "undefined":
            self.refuse(name, INVALID)
        return value

    def phone(self) -> Optional[str]:
        """The number of ``phone_number``, digits with at most a plus before them."""
        value = self._body.get("phone_number")
        if value is None or value == {}:
            return None
        number = phone_of(value)
        if number is None:
            self.refuse("phone_number", INVALID)
        return number


def required_text(given: Dict[str, Any], name: str) -> str:
    """A text that is not empty, or 400 as FedaPay words it."""
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise missing_param(name)
    return value


def items_of(value: Any) -> Optional[List[Any]]:
    """A list, as JSON has it or as a form writes it (``payouts[0][id]=1``); None if it is no list."""
    if isinstance(value, dict) and value and all(each.isascii() and each.isdigit() for each in value):
        return [value[each] for each in sorted(value, key=lambda name: (len(name), name))]
    return value if isinstance(value, list) else None


def number_of(value: Any) -> int:
    """An id sent as number or text; 0, which no record has, if it is neither."""
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 19 else 0


def phone_of(value: Any) -> Optional[str]:
    """The number of a well-formed phone object."""
    if not isinstance(value, dict):
        return None
    country = value.get("country", "bj")
    return written(value.get("number", "")) if isinstance(country, str) and len(country) == 2 else None


def pushed_number(body: Dict[str, Any], fallback: Optional[str]) -> str:
    """The phone number to prompt: the one sent, else the customer's."""
    value = body.get("phone_number")
    if value is None or value == {}:
        if fallback is None:
            raise missing_param("phone_number")
        return fallback
    number = phone_of(value)
    if number is None:
        raise Refusal(400, BAD_NUMBER, {"phone_number": [INVALID]})
    return number
