"""
Bank cards on the payment page. FedaPay documents no test cards: these are the emulator's own.

Any card that could exist pays, but two; no digit of a card is kept.
"""

import re
from typing import List, NamedTuple, Optional

from fedapay_sync.enums import TransactionStatus

#: Cards that pay, are declined, have no money.
GOOD, REFUSED, EMPTY = "4242424242424242", "4000000000000002", "4000000000009995"

_OUTCOMES = {REFUSED: TransactionStatus.declined.value, EMPTY: TransactionStatus.canceled.value}
_BRANDS = {"4": "visa", "5": "mastercard", "2": "mastercard"}
_EXPIRY = re.compile(r"([0-9]{1,2})/?([0-9]{2}|20[0-9]{2})\Z")


class Card(NamedTuple):
    """What is remembered of a card: its brand, and the status of a payment by it."""

    brand: str
    status: str


def brand_of(number: str) -> Optional[str]:
    """``visa`` or ``mastercard``, if there could be such a card."""
    digits = _digits(number)
    return _BRANDS.get(digits[:1]) if 13 <= len(digits) <= 19 and _luhn(digits) else None


def lives(expiry: str, year: int, month: int) -> bool:
    """Whether ``MM/AA`` has not passed yet."""
    matched = _EXPIRY.match(re.sub(r"\s", "", expiry))
    if matched is None or not 1 <= int(matched[1]) <= 12:
        return False
    return (2000 + int(matched[2][-2:]), int(matched[1])) >= (year, month)


def is_code(code: str) -> bool:
    """Whether it is a security code: three or four digits."""
    return re.match(r"[0-9]{3,4}\Z", code.strip()) is not None


def read(number: str) -> Card:
    """The card behind a number for which ``brand_of`` knows a brand."""
    return Card(brand_of(number) or "", _OUTCOMES.get(_digits(number), TransactionStatus.approved.value))


def _digits(number: str) -> str:
    digits = re.sub(r"[\s-]", "", number)
    return digits if re.match(r"[0-9]+\Z", digits) else ""


def _luhn(digits: str) -> bool:
    doubled: List[int] = [int(each) * (1 + place % 2) for place, each in enumerate(reversed(digits))]
    return sum(each - 9 if each > 9 else each for each in doubled) % 10 == 0
