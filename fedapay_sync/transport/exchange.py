"""Records each attempt of a call for an observer, with secrets and customers' data redacted."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Callable, Dict, Optional, Pattern

from fedapay_sync.common.masking import mask
from fedapay_sync.errors import ConfigError
from fedapay_sync.transport.responses import decode_body

REDACTED = "***"

_WORD = re.compile(r"[a-z][a-z0-9_./-]{0,59}\Z")
_CODE = re.compile(r"[A-Za-z][A-Za-z_-]{0,29}\Z")
_REFERENCE = re.compile(r"[A-Za-z0-9_-]{1,60}\Z")
_INSTANT = re.compile(r"[0-9:.TZ +-]{10,35}\Z")
_EVENT = re.compile(
    r"(?:transaction|payout|customer|account|invoice|page|webhook|balance|refund|dispute)(?:\.[a-z_]+){1,2}\Z"
)
# The fields whose texts may be shown, and what such a text looks like. A name that stands here for the first time
# shows what merchants and customers have written: only words of FedaPay's own belong here.
_TEXTS: Dict[str, Pattern[str]] = {
    **dict.fromkeys(("klass", "status", "mode", "operation", "object", "type", "locale", "include"), _WORD),
    **dict.fromkeys(("iso", "country", "code", "last_error_code"), _CODE),
    "reference": _REFERENCE,
    "name": _EVENT,
}
# Here merchants choose the names as well.
_FREE = frozenset({"custom_metadata", "metadata", "http_headers", "custom_fields"})
_KEY = re.compile(r"[a-z][a-z0-9_./]{0,39}\Z")
_PERSONAL_NUMBER = re.compile(r"phone|number|tel|msisdn|mobile|contact|otp|pin|cvv|card|latitude|longitude|birth")


@dataclass(frozen=True)
class Exchange:
    """
    Un essai d'appel à FedaPay, tel qu'on peut le montrer : ni clé, ni jeton, ni donnée d'un client.

    Attributes:
        method: méthode HTTP.
        path: chemin appelé, sans ses paramètres ; une référence marchande y est masquée.
        attempt: numéro de l'essai, à partir de 1.
        status: code HTTP, ou ``None`` sans réponse.
        seconds: durée de l'essai, en secondes.
        error: nom de la classe de notre erreur, ou texte vide.
        sent: corps envoyé ; ``***`` à la place de tout texte qui n'est pas un mot de FedaPay.
        received: corps reçu, masqué de même ; ``***`` s'il est illisible.
    """

    method: str
    path: str
    attempt: int
    status: Optional[int]
    seconds: float
    error: str = ""
    sent: Any = None
    received: Any = None


def build_exchange(
    method: str,
    path: str,
    *,
    attempt: int,
    status: Optional[int],
    seconds: float,
    error: Optional[BaseException],
    sent: Optional[bytes],
    received: bytes,
) -> Exchange:
    """That attempt, with both bodies redacted."""
    return Exchange(
        method=method,
        path=_redact_path(path),
        attempt=attempt,
        status=status,
        seconds=seconds,
        error="" if error is None else type(error).__name__,
        sent=_redact_body(sent or b""),
        received=_redact_body(received),
    )


def _redact_path(path: str) -> str:
    """The path without what merchants choose: the reference behind ``merchant``."""
    return mask(re.sub(r"(?<=/merchant/)[^/]+", REDACTED, path))


def _redact_body(raw: bytes) -> Any:
    body, problem = decode_body(raw)
    return REDACTED if problem else _redact(body, "")


def _redact(value: Any, name: str) -> Any:
    """A value that stands under that name, with everything redacted that is not certainly harmless."""
    if isinstance(value, dict):
        if name in _FREE:
            return REDACTED if value else {}
        inherited = name if _PERSONAL_NUMBER.search(name) else ""
        return {
            _key(key): _redact(each, key if not inherited or key in _TEXTS else inherited)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [_redact(each, name) for each in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        # From ten digits on: eight are an id or an amount as well, and the name of a phone's tells it.
        looks_like_one = abs(value) >= 10**9 and mask(str(value)) != str(value)
        return REDACTED if looks_like_one or _PERSONAL_NUMBER.search(name) or name in _FREE else value
    shape = _INSTANT if name.endswith("_at") else _TEXTS.get(name)
    return value if shape is not None and shape.match(value) and mask(value) == value else REDACTED


def _key(key: str) -> str:
    return key if _KEY.match(key) and _is_no_secret(key) else REDACTED


@lru_cache(maxsize=1024)
def _is_no_secret(name: str) -> bool:
    """Asked of FedaPay's few hundred names again and again."""
    return mask(name) == name


def checked_observer(observer: Any) -> Optional[Callable[[Exchange], object]]:
    """
    A function that may be called after each attempt, or None.

    Raises:
        ConfigError: what cannot be called.
    """
    if observer is None or callable(observer):
        told: Optional[Callable[[Exchange], object]] = observer
        return told
    raise ConfigError(
        f"observer : une fonction qui prend un Exchange est attendue, ou None ; reçu {type(observer).__name__}."
    )
