"""
Keeps secrets and customers' data out of log lines, reprs and exceptions.

Better one mask too many: a text that merely looks like a key, a token, a phone number or an e-mail is masked too.
"""

import hashlib
import logging
import re
from typing import Pattern, Tuple

_RULES: Tuple[Tuple[Pattern[str], str], ...] = (
    # sk_live_abc → sk_live_***: kind and environment help a reader, the rest is the secret.
    (
        re.compile(r"\b((?:sk|pk|wh)_(?:sandbox_|live_|test_)?|fp_key_(?:sandbox_|live_)?)[A-Za-z0-9_\-]+"),
        r"\1***",
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s+[^\s'\",;]+"), r"\1 ***"),
    (re.compile(r"eyJ[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]+){1,2}"), "***jeton***"),
    (re.compile(r"(?i)\b(token|api_key|secret|password|access_token|client_secret)=[^\s&'\"#]+"), r"\1=***"),
    (re.compile(r"(://[^/\s:@'\"]*):[^@/\s'\"]+@"), r"\1:***@"),
    (re.compile(r"[\w.+\-]+@[\w\-]+(?:\.[\w\-]+)+"), "***@***"),
    (re.compile(r"(?<![\w.])\+\d{8,15}\b|(?<![\w.\-])0\d{9}\b"), "***tel***"),
)


def mask(text: object) -> str:
    """The text with every secret, token, e-mail and phone number in it blotted out."""
    masked = str(text)
    for pattern, replacement in _RULES:
        masked = pattern.sub(replacement, masked)
    return masked


def fingerprint(secret: str) -> str:
    """A short stable name for a secret from which it cannot be found again."""
    return hashlib.sha256(b"fedapay_sync\x1f" + secret.encode("utf-8")).hexdigest()[:12]


class MaskingFilter(logging.Filter):
    """Masks every record of our logger, arguments and traceback included, whoever handles it."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = mask(record.getMessage())
        record.args = None
        if record.exc_info and not record.exc_text:
            record.exc_text = mask(logging.Formatter().formatException(record.exc_info))
        return True


def get_logger(name: str) -> logging.Logger:
    """Our logger of that name; its records are masked before any handler sees them."""
    logger = logging.getLogger(name)
    if not any(isinstance(each, MaskingFilter) for each in logger.filters):
        logger.addFilter(MaskingFilter())
    return logger
