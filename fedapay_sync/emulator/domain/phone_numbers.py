"""Phone numbers: their format in each country, and whether two texts mean the same phone."""

import re
from typing import Any, Dict, NamedTuple, Optional

from fedapay_sync.common.countries import COUNTRIES
from fedapay_sync.enums import Pays

_SEPARATORS = re.compile(r"[\s.\-()/]")
_WRITTEN = re.compile(r"\+?[0-9]{8,15}\Z")
_OLD_BENINESE = 8


class NumberFormat(NamedTuple):
    """A country's numbers without dialling code: count of digits, first digits, an example."""

    digits: int
    start: str
    example: str


#: From integrators' notes: FedaPay publishes none.
NUMBER_FORMATS: Dict[Pays, NumberFormat] = {
    Pays.benin: NumberFormat(10, "01", "0164000001"),
    Pays.cote_d_ivoire: NumberFormat(10, "0", "0701020304"),
    Pays.niger: NumberFormat(8, "", "96010203"),
    Pays.senegal: NumberFormat(9, "7", "770102030"),
    Pays.togo: NumberFormat(8, "", "90010203"),
    Pays.guinee: NumberFormat(9, "6", "620010203"),
    Pays.mali: NumberFormat(8, "", "70010203"),
    Pays.burkina_faso: NumberFormat(8, "", "70010203"),
}


def written(text: Any) -> Optional[str]:
    """The number without separators, with at most a leading plus; None if it is no number."""
    number = _SEPARATORS.sub("", str(text))
    return number if _WRITTEN.match(number) else None


def national(country: Pays, text: str) -> Optional[str]:
    """
    The number without dialling code, if it is one of that country's.

    A Beninese number of before 2024, eight digits, is accepted too: FedaPay's own test numbers are written so.
    """
    form, code = NUMBER_FORMATS[country], COUNTRIES[country].dialling_code
    digits = (written(text) or "").lstrip("+")
    digits = digits[2:] if digits.startswith("00") else digits
    for each in (digits, digits[len(code) :] if digits.startswith(code) else ""):
        if len(each) == form.digits and each.startswith(form.start):
            return each
        if country is Pays.benin and len(each) == _OLD_BENINESE:
            return each
    return None


def bare(number: str) -> str:
    """The part that all ways to write one phone share: no plus, no dialling code, no 01 of 2024."""
    digits = number.lstrip("+")
    digits = digits[2:] if digits.startswith("00") else digits
    for country, known in COUNTRIES.items():
        if digits.startswith(known.dialling_code) and len(digits) > NUMBER_FORMATS[country].digits:
            digits = national(country, digits) or digits
            break
    return digits[2:] if len(digits) == NUMBER_FORMATS[Pays.benin].digits and digits.startswith("01") else digits
