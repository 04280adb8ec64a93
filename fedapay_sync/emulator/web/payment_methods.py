"""Countries and operators that the payment page offers for a transaction."""

from typing import Dict, List

from fedapay_sync.common.countries import COUNTRIES, SANDBOX_METHOD
from fedapay_sync.emulator.domain.phone_numbers import national
from fedapay_sync.emulator.domain.rules import Rules
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.enums import Environment, MethodesPaiement, Pays


def countries(rules: Rules, iso: str) -> List[Pays]:
    """Countries that use the currency and have an operator."""
    return [each for each, known in COUNTRIES.items() if known.currency.value == iso and operators(rules, each)]


def operators(rules: Rules, country: Pays) -> Dict[str, str]:
    """Code and name of each operator of that country; the sandbox has its own one for all of them."""
    if rules.environment is Environment.sandbox:
        return {SANDBOX_METHOD.name: SANDBOX_METHOD.value}
    known = COUNTRIES[country]
    return {**{each.name: each.value for each in MethodesPaiement if each in known.push}, **known.page_only}


def home_of(customer: Record, offered: List[Pays]) -> Pays:
    """The country of the customer's number: by its dialling code, else the first whose format it fits."""
    digits = (customer.get("phone") or "").lstrip("+")
    fitting = [each for each in offered if national(each, digits)]
    named = [each for each in fitting if digits.startswith(COUNTRIES[each].dialling_code) and len(digits) > 10]
    return [*named, *fitting, *offered][0]
