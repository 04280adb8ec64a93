"""Checks what a client sends about a transaction or its customer."""

import re
from typing import Any, Dict, List, Optional

from .refusal import Refusal, missing
from .rules import find_currency

_WHOLE = re.compile(r"\+?[0-9]{1,30}\Z")
_PHONE = re.compile(r"\+?[0-9]{8,15}\Z")
_EMPTY = "doit être rempli(e)"
_INVALID = "n'est pas valide"

CREATION_FAILED = "La création de la transaction a échoué"
UPDATE_FAILED = "La mise à jour de la transaction a échoué"

#: What PUT may change; ``status`` is ignored.
UPDATABLE = ("description", "amount", "callback_url", "custom_metadata")


class Fields:
    """Reads fields one by one and gathers what is wrong with them."""

    def __init__(self, body: Dict[str, Any]) -> None:
        self._body = body
        self.errors: Dict[str, List[str]] = {}

    def refuse(self, name: str, reason: str) -> None:
        self.errors.setdefault(name, []).append(reason)

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
                self.refuse(name, _EMPTY)
            return None
        if not isinstance(value, str):
            self.refuse(name, _INVALID)
            return None
        return value

    def amount(self) -> int:
        """Whole units above 0; a text of digits is taken."""
        value = self._body.get("amount")
        if isinstance(value, str) and _WHOLE.match(value.strip()):
            value = int(value.strip())
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is None or value == "":
            self.refuse("amount", _EMPTY)
        elif isinstance(value, bool) or not isinstance(value, int):
            self.refuse("amount", "n'est pas un nombre entier")
        elif value <= 0:
            self.refuse("amount", "doit être supérieur à 0")
        else:
            return int(value)
        return 0

    def currency(self) -> Dict[str, Any]:
        currency = find_currency(self._body.get("currency"))
        if currency is None:
            self.refuse("currency", _INVALID if self._body.get("currency") else _EMPTY)
        return currency or {}

    def object(self, name: str) -> Optional[Dict[str, Any]]:
        value = self._body.get(name)
        if value is not None and not isinstance(value, dict):
            self.refuse(name, _INVALID)
            return None
        return value

    def name(self, name: str, fallback: Optional[str] = None) -> Optional[str]:
        """A person's name: may be left out, may not be empty or the slip of a JavaScript client."""
        if name not in self._body:
            return fallback
        value = self.text(name)
        if name not in self.errors and not (value or "").strip():
            self.refuse(name, _EMPTY)
        elif value == "undefined":
            self.refuse(name, _INVALID)
        return value

    def phone(self) -> Optional[str]:
        """The number of ``phone_number``, digits with at most a plus before them."""
        value = self._body.get("phone_number")
        if value is None or value == {}:
            return None
        number = phone_of(value)
        if number is None:
            self.refuse("phone_number", _INVALID)
        return number


def phone_of(value: Any) -> Optional[str]:
    """The number of a well-formed phone object."""
    if not isinstance(value, dict):
        return None
    country = value.get("country", "bj")
    number = re.sub(r"[ .-]", "", str(value.get("number", "")))
    return number if isinstance(country, str) and len(country) == 2 and _PHONE.match(number) else None


def pushed_number(body: Dict[str, Any], fallback: Optional[str]) -> str:
    """The number to prompt: the one sent, else the customer's."""
    value = body.get("phone_number")
    if value is None or value == {}:
        if fallback is None:
            raise missing("phone_number")
        return fallback
    number = phone_of(value)
    if number is None:
        raise Refusal(400, "Le numéro de téléphone n'est pas valide", {"phone_number": [_INVALID]})
    return number
