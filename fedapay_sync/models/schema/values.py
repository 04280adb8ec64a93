"""Reads and writes single values of FedaPay's objects: amounts, numbers, texts, moments."""

import re
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from decimal import Decimal
from enum import Enum
from numbers import Real
from typing import Any, List, NewType

#: Montant en francs entiers (le XOF et le GNF n'ont pas de centimes).
Francs = NewType("Francs", int)

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}(\.0+)?\Z")
_FRACTION = re.compile(r"\.(\d+)")
_READS_Z = sys.version_info >= (3, 11)


#: Levels of nesting that are read at most: deeper, the recursion of some readers would fail, and of others not.
MAX_DEPTH = 50


def is_deep(body: Any) -> bool:
    """Whether the body nests deeper than we follow. Level by level: recursion is what it protects from."""
    level: List[Any] = [[body]]
    for _ in range(MAX_DEPTH + 1):
        inside = (each for box in level for each in (box.values() if isinstance(box, dict) else box))
        level = [each for each in inside if isinstance(each, (dict, list))]
    return bool(level)


def read_francs(value: Any) -> int:
    """500, 500.0 and "500" are 500; 12.5, True and any other text are refused."""
    if isinstance(value, bool):
        raise ValueError("un booléen n'est pas un montant")
    # Real: the numbers of a pandas column are no int and no float.
    if issubclass(type(value), (Real, Decimal)) and value == value // 1:
        return int(value)
    if isinstance(value, str) and _WHOLE.match(value):
        return int(value.partition(".")[0])
    raise ValueError("un nombre entier de francs est attendu")


def read_int(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    raise ValueError("un nombre entier est attendu")


def read_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ValueError("un texte est attendu")


def read_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError("vrai ou faux est attendu")


def read_decimal(value: Any) -> Decimal:
    if isinstance(value, (int, float, str, Decimal)) and not isinstance(value, bool):
        try:
            number = Decimal(str(value))
        except ArithmeticError:
            number = Decimal("nan")
        if number.is_finite():
            return number
    raise ValueError("un nombre décimal est attendu")


def read_datetime(value: Any) -> datetime:
    """An aware UTC datetime from FedaPay's ISO text, any number of decimals, with or without Z."""
    # FedaPay's own form, at a third of the price. The signs at these places make it certain that both ways agree.
    if type(value) is str and len(value) == 24 and value[10] == "T" and value[23] == "Z":
        try:
            return datetime.fromisoformat(value if _READS_Z else value[:23] + "+00:00")
        except ValueError:
            pass
    try:
        moment = value if isinstance(value, datetime) else _parse_moment(value)
        return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)
    except (ValueError, TypeError, AttributeError, OverflowError):
        # Python's own message would quote the value.
        raise ValueError("une date ISO 8601 est attendue") from None


def _parse_moment(text: str) -> datetime:
    # Before 3.11 fromisoformat takes neither Z nor a number of decimals other than 3 or 6.
    text = _FRACTION.sub(lambda found: "." + found.group(1)[:6].ljust(6, "0"), text.strip(), count=1)
    return datetime.fromisoformat(text[:-1] + "+00:00" if text[-1:] in ("Z", "z") else text)


def write_datetime(moment: datetime, timespec: str = "milliseconds") -> str:
    """FedaPay's own form: UTC, three decimals, Z."""
    return moment.astimezone(timezone.utc).isoformat(timespec=timespec).replace("+00:00", "Z")


def to_plain(value: Any) -> Any:
    """The value as JSON can carry it."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        # What is read again must be the same.
        return write_datetime(value, "microseconds" if value.microsecond % 1000 else "milliseconds")
    if isinstance(value, Decimal):
        return str(value)
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): to_plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(each) for each in value]
    return value
