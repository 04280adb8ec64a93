"""Validates the parameters of payouts: mode, start date, list of payouts to start; the fee of a payout."""

import re
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, List, NamedTuple, Optional

from fedapay_sync.emulator.domain.rules import PAYOUT_MODES
from fedapay_sync.emulator.http.body_parsing import BARE_LIST
from fedapay_sync.emulator.http.errors import Refusal, bilingual, missing_param
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.http.validation import INVALID, FieldReader, items_of, number_of, phone_of

START_FAILED = bilingual("Le démarrage des dépôts a échoué", "The payouts could not be started")
_TWICE = bilingual("contient deux fois le même dépôt", "has the same payout twice")

# In XOF: up to that amount, that fee (July 2026).
_FEES = ((10_000, 150), (50_000, 300), (150_000, 800), (500_000, 2_000))
_HIGHEST_FEE = 2_500

_DATE = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})[T ]([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:\.([0-9]{1,9}))?"
    r"(?:Z|([+-])([0-9]{2}):?([0-9]{2}))?\Z"
)


class PayoutStart(NamedTuple):
    """One payout to start: at once, or at ``moment`` (Unix seconds); to ``number``, or to the customer's."""

    id: int
    moment: Optional[float]
    number: Optional[str]


class InvalidDate(Refusal):
    """The only refusal seen to carry a code; its place in the body was not recorded."""

    def __init__(self, failed: str) -> None:
        super().__init__(400, failed, {"scheduled_at": ["invalid_datetime"]})

    def to_dict(self, locale: str = "fr") -> Dict[str, Any]:
        return {**super().to_dict(locale), "code": "INVALID_PARAMS"}


def fee(amount: int) -> int:
    """What a payout in XOF costs the merchant."""
    return next((cost for most, cost in _FEES if amount <= most), _HIGHEST_FEE)


def moment_of(value: Any, failed: str) -> Optional[float]:
    """
    ``2026-10-14 08:00:00`` (GMT) or ISO 8601 as Unix seconds; nothing means now.

    Raises:
        InvalidDate: anything else, the word ``now`` included.
    """
    if value is None or value == "":
        return None
    parts = _DATE.match(value) if isinstance(value, str) else None
    if parts is None:
        raise InvalidDate(failed)
    year, month, day, hour, minute, second, fraction, sign, hours, minutes = parts.groups(default="0")
    east = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
    try:
        date = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=timezone(east))
        # Milliseconds, as stamps have: more could be rounded into a year that there is not.
        return date.astimezone(timezone.utc).timestamp() + int(fraction.ljust(3, "0")[:3]) / 1000
    except (ValueError, OverflowError):
        raise InvalidDate(failed) from None


def mode_of(given: FieldReader) -> Optional[str]:
    """A mode that money can be sent by."""
    mode = given.text("mode", required=True)
    if mode is not None and mode not in PAYOUT_MODES:
        given.refuse("mode", INVALID)
    return mode


def orders_of(body: Record) -> List[PayoutStart]:
    """
    What to start: ``{"payouts": [...]}`` as every client sends it, or the bare list that the API reference shows.

    Raises:
        Refusal: 400, something in it cannot be read, or is there twice.
    """
    given = body.get("payouts", body.get(BARE_LIST))
    if given in (None, "", [], {}):
        raise missing_param("payouts")
    items = items_of(given)
    if items is None or not all(isinstance(each, dict) for each in items):
        raise Refusal(400, START_FAILED, {"payouts": [INVALID]})
    orders = [_order(each) for each in items]
    if len({each.id for each in orders}) < len(orders):
        raise Refusal(400, START_FAILED, {"payouts": [_TWICE]})
    return orders


def _order(item: Record) -> PayoutStart:
    if item.get("id") in (None, ""):
        raise missing_param("id")
    phone = item.get("phone_number")
    number = None if phone in (None, "", {}) else phone_of(phone)
    if number is None and phone not in (None, "", {}):
        raise Refusal(400, START_FAILED, {"phone_number": [INVALID]})
    return PayoutStart(number_of(item["id"]), moment_of(item.get("scheduled_at"), START_FAILED), number)
