"""
The words and figures of cards: states in French, sums, dates, durations, initials.

What FedaPay sends in an odd form was kept as it came, so any value may be anything here.
"""

import re
from datetime import datetime, timezone
from typing import Any, List, NamedTuple, Optional

from fedapay_sync.common.masking import escape_controls, mask
from fedapay_sync.enums import PAID_STATUSES, STATUS_STATES, OutcomeState
from fedapay_sync.errors import AmountMismatch, FedapayError

#: What stands where a value is missing.
MISSING = "—"
#: The narrow gap between thousands, at which no line is broken.
_GAP = "\u202f"
#: A longer text of FedaPay's or of the shop's is cut.
_LONGEST = 120
_LONGEST_SENTENCE = 500
#: More digits are no sum and no number of an object.
_DIGITS = 20
_ID = re.compile(r"[0-9]{1,20}")
#: The currency whose number is certain.
_XOF_ID = 1


class State(NamedTuple):
    """
    A state for people.

    Attributes:
        word: in French.
        tone: of its colour: ``wait``, ``good``, ``bad``, ``off`` or ``warn``.
    """

    word: str
    tone: str


_TONES = {
    OutcomeState.pending: "wait",
    OutcomeState.paid: "good",
    OutcomeState.declined: "bad",
    OutcomeState.expired: "off",
    OutcomeState.canceled: "off",
    OutcomeState.refunded: "warn",
    OutcomeState.suspect: "warn",
}
_STATES = {str(state): State(state.label, tone) for state, tone in _TONES.items()}
_PAYOUT_STATES = {
    "pending": State("pas encore démarré", "wait"),
    "scheduled": State("prévu", "wait"),
    "started": State("démarré", "wait"),
    "processing": State("en cours", "wait"),
    "sent": State("envoyé", "good"),
    "failed": State("échoué", "bad"),
}
_UNKNOWN = State("inconnu", "off")


def state_named(name: Any) -> State:
    """The state of that name (``paid``, ``declined``, …); a name that is not known is shown as it is."""
    return _state_in(_STATES, name)


def transaction_state(status: Any, *, is_deleted: bool = False) -> State:
    """The state of a transaction with that status at FedaPay."""
    return state_named(_transaction_name(status, is_deleted=is_deleted))


def outcome_state(outcome: Any) -> State:
    """The state of the payment that an ``Outcome`` is about."""
    return State(clean(outcome.state.label), _TONES.get(outcome.state, "off"))


def error_state(error: FedapayError) -> State:
    """The state of a payment whose wait has ended by that error."""
    return state_named("suspect") if isinstance(error, AmountMismatch) else _UNKNOWN


def payout_state(status: Any) -> State:
    """The state of a payout with that status at FedaPay."""
    return _state_in(_PAYOUT_STATES, status)


def _state_in(states: Any, name: Any) -> State:
    if name is None:
        return _UNKNOWN
    found = states.get(str(name)) if isinstance(name, str) else None
    return found or State(clean(name), "off")


def _transaction_name(status: Any, *, is_deleted: bool) -> Any:
    if not isinstance(status, str):
        return status
    if status in STATUS_STATES and not (is_deleted and status not in PAID_STATUSES):
        return str(STATUS_STATES[status])
    if is_deleted:
        return "canceled"
    return "pending" if status == "created" else status


def sentence(value: Any) -> str:
    """The same as :func:`clean` for what an error or a log line says, which may be longer."""
    return clean(value, _LONGEST_SENTENCE)


def clean(value: Any, longest: int = _LONGEST) -> str:
    """A value of FedaPay's or the shop's on one short line, without secrets, phone numbers and control characters."""
    if value is None or value == "":
        return MISSING
    if not isinstance(value, (str, int, float)):
        return f"({type(value).__name__})"
    try:
        text = str.__str__(value) if isinstance(value, str) else str(value)
    except ValueError:  # a number of too many digits
        return "(nombre)"
    # What is masked takes its time from the length; what is cut afterwards hides no half of a number.
    safe = escape_controls(mask(text[: 20 * longest]))
    return safe if len(safe) <= longest else safe[: longest - 1] + "…"


def id_text(value: Any) -> str:
    """The number of an object at FedaPay: as it is, though eight digits look like a phone number."""
    is_number = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**_DIGITS
    return str(value) if is_number or (isinstance(value, str) and _ID.fullmatch(value)) else clean(value)


def sum_text(amount: Any, currency: Optional[str] = None) -> str:
    """An amount in digits, ``12 500 XOF``."""
    if isinstance(amount, bool) or not isinstance(amount, int) or abs(amount) >= 10**_DIGITS:
        return clean(amount)
    digits = f"{amount:,}".replace(",", _GAP)
    return f"{digits}\u00a0{clean(currency)}" if currency else digits


def currency_of(thing: Any) -> Optional[str]:
    """The ISO code of the currency of a transaction or a payout, as far as FedaPay shows it."""
    iso = getattr(getattr(thing, "currency", None), "iso", None)
    if isinstance(iso, str) and iso:
        return iso[:3].upper()
    return "XOF" if getattr(thing, "currency_id", None) == _XOF_ID else None


def initials(customer: Any) -> str:
    """The initials of a customer, ``J. D.``: all that is shown of them."""
    names: List[Any] = [getattr(customer, each, None) for each in ("firstname", "lastname")]
    if not any(isinstance(each, str) and each.strip() for each in names):
        full = getattr(customer, "full_name", None)
        names = full[:_LONGEST].split()[:2] if isinstance(full, str) else []
    letters = [next((each for each in name if each.isalpha()), "") for name in names if isinstance(name, str)]
    return " ".join(f"{each.upper()}." for each in letters if each) or MISSING


def moment_text(moment: Any) -> str:
    """A date and time for people, in UTC as FedaPay gives it."""
    if not isinstance(moment, datetime):
        return clean(moment)
    try:
        return f"{moment.astimezone(timezone.utc):%d/%m/%Y\u00a0%H:%M\u00a0UTC}"
    except (OverflowError, ValueError):
        return MISSING


def duration_text(seconds: float) -> str:
    """``12 s``, ``2 min 05 s``, ``1 h 03 min``."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}\u00a0s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes}\u00a0min" + (f" {rest:02}\u00a0s" if rest else "")
    hours, rest = divmod(whole, 3600)
    return f"{hours}\u00a0h" + (f" {rest // 60:02}\u00a0min" if rest >= 60 else "")
