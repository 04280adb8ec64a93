"""Payment tokens: JWT, HS256, ``{"sub": <transaction>, "exp": <seconds>}``, as FedaPay's own."""

import base64
import binascii
import hashlib
import hmac
import json
from typing import Optional

# No secret: anyone who runs the emulator may make its tokens.
_KEY = b"emulator-jwt-secret"
_HEADER = {"typ": "JWT", "alg": "HS256"}


def issue(transaction_id: int, expires: float) -> str:
    """A token for that transaction, good until ``expires`` (Unix seconds)."""
    signed = f"{_part(_HEADER)}.{_part({'sub': transaction_id, 'exp': int(expires)})}"
    return f"{signed}.{_signature(signed)}"


def subject(token: str, now: float) -> Optional[int]:
    """The id of the transaction of a valid token that has not expired, else None."""
    signed, _, signature = token.rpartition(".")
    if not token.isascii() or not hmac.compare_digest(_signature(signed), signature):
        return None
    try:
        payload = json.loads(base64.urlsafe_b64decode(signed.partition(".")[2] + "=="))
        return int(payload["sub"]) if now < payload["exp"] else None
    except (binascii.Error, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _part(value: object) -> str:
    return _text(json.dumps(value, separators=(",", ":")).encode("ascii"))


def _signature(signed: str) -> str:
    return _text(hmac.new(_KEY, signed.encode("utf-8"), hashlib.sha256).digest())


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
