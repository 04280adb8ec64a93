"""Rules of FedaPay's two environments: modes, status transitions, delays, fees (its documentation, November 2026)."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any, Dict, FrozenSet, NamedTuple, Optional

from fedapay_sync.common.countries import COUNTRIES, SANDBOX_METHOD
from fedapay_sync.common.masking import mask
from fedapay_sync.common.published import LIVE_WEBHOOK_SECRET, SANDBOX_WEBHOOK_SECRET
from fedapay_sync.enums import Environment, MethodesPaiement, TransactionStatus
from fedapay_sync.errors import InvalidArgument

#: Secondes avant qu'une transaction impayée n'expire, et qu'une transaction payée ne soit versée.
EXPIRY = 24 * 3600
TRANSFER = 72 * 3600

#: The merchant of the emulator, in the short form that webhooks carry.
ACCOUNT: Dict[str, Any] = {
    "klass": "v1/account",
    "id": 30211,
    "name": "Boutique de démonstration",
    "timezone": "UTC",
    "country": "BJ",
    "verified": True,
    "reference": "acc_demo1",
}

_S = TransactionStatus

#: Status -> statuses that a transaction may take next. Two settings decide of declined and canceled -> approved; a new
#: attempt of the payer (``TransactionLedger.start_attempt``) makes it pending again.
TRANSITIONS: Dict[str, FrozenSet[str]] = {
    _S.pending: frozenset({_S.approved, _S.declined, _S.canceled, _S.expired}),
    # Neither of these two is final: the payer may try again.
    _S.declined: frozenset({_S.approved, _S.expired}),
    _S.canceled: frozenset({_S.approved, _S.expired}),
    _S.approved: frozenset({_S.transferred}),
}

_PUSH = frozenset(method.name for country in COUNTRIES.values() for method in country.push)
_PAGE_ONLY = frozenset(code for country in COUNTRIES.values() for code in country.page_only)
#: Known to the platform, but no longer offered.
_FORMER = frozenset("mtn mtn_ecw mtn_open_ci wave_direct_ci".split())
KNOWN_MODES = _PUSH | _PAGE_ONLY | _FORMER | {SANDBOX_METHOD.name}
#: Modes that money can be sent by: both spellings where the sources disagree, and not BMO's. All of them in sandbox
#: too, as no source says what it accepts.
PAYOUT_MODES = (_PUSH | _PAGE_ONLY | {SANDBOX_METHOD.name, "mtn", "orange-bf"}) - {"bmo"}
#: The mode of a card payment. A guess: one of six names seen among the modes of currencies and balances.
CARD_MODE = "stripe_gw"

_CHEAP = frozenset({MethodesPaiement.mtn_open.name, MethodesPaiement.moov.name, MethodesPaiement.sbin.name})
_GOOD_NUMBERS = frozenset({"64000001", "66000001"})


#: Fields that an operator's refusal sets, as recorded on a transaction; those of a payout were not seen.
OPERATOR_REFUSED: Dict[str, str] = {
    "last_error_code": "INSUFFICIENT_FUND_ERROR",
    "last_error_message": '{"status":"FAILED","reason":"LOW_BALANCE_OR_PAYEE_LIMIT_REACHED_OR_NOT_ALLOWED"}',
}


@dataclass(frozen=True)
class Rules:
    """The behaviour of one environment."""

    environment: Environment
    webhook_secret: str
    modes: FrozenSet[str]
    page_mode: str

    def rate(self, mode: str) -> Decimal:
        """Share of the debited amount that FedaPay keeps."""
        cheap = self.environment is Environment.live and mode in _CHEAP
        return Decimal("0.018") if cheap else Decimal("0.04")

    def payer_agrees(self, number: str, *, strict: bool = False) -> bool:
        """Whether the payer of that number pays when no person answers; strict knows only numbers written 01…."""
        if self.environment is Environment.live:
            return True
        if strict:
            return number[:2] == "01" and number[2:] in _GOOD_NUMBERS
        return bare_number(number) in _GOOD_NUMBERS


_SANDBOX = Rules(Environment.sandbox, SANDBOX_WEBHOOK_SECRET, frozenset({SANDBOX_METHOD.name}), SANDBOX_METHOD.name)
_LIVE = Rules(Environment.live, LIVE_WEBHOOK_SECRET, _PUSH, MethodesPaiement.mtn_open.name)


def rules_of(secret_key: str) -> Rules:
    """The rules that go with the prefix of a secret key."""
    if not isinstance(secret_key, str) or not secret_key.isascii() or not secret_key.isprintable():
        raise InvalidArgument("secret_key : un texte ASCII est attendu, comme sk_sandbox_….", field="secret_key")
    for prefix, rules in (("sk_sandbox_", _SANDBOX), ("sk_live_", _LIVE)):
        if secret_key.startswith(prefix) and len(secret_key) > len(prefix):
            return rules
    masked = mask(secret_key)
    # A key of a kind that the mask does not know may be a secret all the same.
    shown = masked if masked != secret_key else "***"
    raise InvalidArgument(
        f"secret_key={shown} : une clé sk_sandbox_… (règles du sandbox) ou sk_live_… (règles de "
        "production) est attendue.",
        field="secret_key",
    )


class Charge(NamedTuple):
    """What a payment costs the payer and the merchant."""

    debited: int
    fees: int
    transferred: int


def charge(amount: int, rate: Decimal, fees_by: str) -> Charge:
    """What the payer is debited, what of it FedaPay keeps, and what the merchant gets."""
    if fees_by == "merchant":
        # Both formulas that fit the recorded payments agree with this one on them.
        fees = floor(amount * Fraction(rate))
        return Charge(amount, fees, amount - fees)
    debited = floor(Fraction(amount) / (1 - Fraction(rate)) + Fraction(1, 2))
    return Charge(debited, debited - amount, amount)


def operator_share(amount: int) -> Dict[str, str]:
    """What FedaPay's events say that the operator keeps; the recorded rate."""
    whole, rest = divmod(amount * 15, 1000)
    fees = f"{whole}.{f'{rest:03d}'.rstrip('0') or '0'}"
    return {"operator_commission": "0.015", "operator_fees": fees, "operator_fixed_commission": "0.0"}


def bare_number(number: str) -> str:
    """A Beninese number without +229 and without the leading 01 of 2024; others as they are."""
    digits = number.lstrip("+")
    if digits.startswith("229") and len(digits) > 8:
        digits = digits[3:]
    return digits[2:] if len(digits) == 10 and digits.startswith("01") else digits


def _currency(number: int, name: str, iso: str, code: int, suffix: str, modes: FrozenSet[str]) -> Dict[str, Any]:
    return {
        "klass": "v1/currency",
        "id": number,
        "name": name,
        "iso": iso,
        "code": code,
        "prefix": None,
        "suffix": suffix,
        "div": 1,
        "default": iso == "XOF",
        "created_at": "2018-05-27T21:26:23.618Z",
        "updated_at": "2018-05-27T21:26:23.618Z",
        "modes": sorted(modes),
    }


_GUINEAN = frozenset({MethodesPaiement.mtn_open_gn.name})
CURRENCIES = (
    _currency(1, "FCFA", "XOF", 952, "CFA", KNOWN_MODES - _GUINEAN),
    _currency(2, "Franc guinéen", "GNF", 324, "GNF", _GUINEAN),
)


def find_currency(wanted: Any) -> Optional[Dict[str, Any]]:
    """The currency of ``{"iso": "XOF"}`` or ``{"code": 952}``."""
    if not isinstance(wanted, dict):
        return None
    for currency in CURRENCIES:
        if wanted.get("iso") == currency["iso"] or str(wanted.get("code")) == str(currency["code"]):
            return currency
    return None
