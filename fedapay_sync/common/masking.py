"""
Keeps secrets and customers' data out of log lines, reprs and exceptions.

Better one mask too many: a text that merely looks like a key, a token, a number of a phone or a card, or an e-mail is
masked too.
"""

import hashlib
import re
from decimal import Decimal
from enum import Enum
from numbers import Real
from typing import Any, Pattern, Tuple

_RULES: Tuple[Tuple[Pattern[str], str], ...] = (
    # sk_live_abc → sk_live_***: kind and environment help a reader, the rest is the secret. Without an
    # environment the word must begin there, or "task_done" would be a key.
    (
        re.compile(
            r"((?:sk|pk|wh|fp_key)_(?:sandbox|live|test)_|(?<![A-Za-z0-9])(?:sk|pk|wh|fp_key)_(?!\w+\*))[A-Za-z0-9_\-]+"
        ),
        r"\1***",
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s+[^\s'\",;]+"), r"\1 ***"),
    (re.compile(r"eyJ[A-Za-z0-9_\-.]{6,}"), "***jeton***"),
    # As in a query string, and as in JSON (also JSON that is a text in JSON) or the repr of a dictionary.
    (
        re.compile(
            r"(?i)(token|api_?key|secret|password|pwd)(=|\\{0,3}['\"]\s*:\s*\\{0,3}['\"])[^\s&'\"#\\][^\s&'\"#]*"
        ),
        r"\1\2***",
    ),
    # A password with an unescaped @ or / in it is a mistake, and is a password all the same.
    (re.compile(r"(://[^/\s:@'\"]*):[^\s'\"]{1,256}@"), r"\1:***@"),
    # It begins where a word begins: a search from every letter takes minutes on a long text without an @.
    (re.compile(r"(?<![\w.+%'\-])[\w.+%'\-]+?(?:@|%40)[\w\-]+(?:\.[\w\-]+)+"), "***@***"),
    # +229…, with or without gaps; the country codes of FedaPay without plus; ten digits from 0, in pairs or not.
    (
        re.compile(
            r"(?:(?<![\w.])\+|%2B)[1-9]\d{0,2}(?:[ .\-]?\d){7,12}\b"
            r"|(?<![\w.\-])(?:00)?22[1-9]\d{8,10}\b"
            r"|(?<![\w.\-])0\d(?:\d{8}|(?:[ .\-]\d\d){4})\b"
        ),
        "***tel***",
    ),
    # Eight digits, in pairs or not: Togo, Niger, Mali, Burkina Faso, and Bénin as it was. None begins with 1 or 3. Ids
    # and amounts look alike: what stands there as one is none, nor is a date, nor part of a reference.
    (
        re.compile(
            r"(?<![\w.\-])(?<!//)[024-9]\d(?:[ .\-]\d\d){3}(?!\w|[ .\-]?\d)"
            r"|(?<![\w.\-])(?<![a-z]/)(?<!transaction[ :])(?<!payout[ :])(?<!customer[ :])(?<!event[ :])"
            r"(?<!amount )(?<!montant )(?!20[2-4]\d(?:0[1-9]|1[0-2])[0-3]\d\b)"
            r"[024-9]\d{7}(?!\w|\.\d|-\w| ?(?:F|FCFA|CFA|XOF|GNF|francs?)\b)"
        ),
        "***tel***",
    ),
    # A card: 13 to 19 digits, together or in its groups. Not those from 1: no card that is paid with here, and the
    # emulator's ids, which are milliseconds.
    (
        re.compile(
            r"(?<![\w.\-])(?:[2-69]\d{12,18}|[2-69]\d{3}([ \-])\d{4}\1\d{4}\1\d{1,7}|3\d{3}([ \-])\d{6}\2\d{4,5})"
            r"(?!\w|\.\d|-\w)"
        ),
        "***carte***",
    ),
)


#: Control characters, line ends of Unicode, marks that turn the direction of writing, and halves of characters.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def mask(text: object) -> str:
    """The text with every secret, token, e-mail, phone number and card number in it blotted out."""
    masked = str(text)
    for pattern, replacement in _RULES:
        masked = pattern.sub(replacement, masked)
    return masked


def escape_controls(text: str) -> str:
    """
    The text on one line, with each control character written out, as ``\\n`` or ``\\x1b``.

    What others have written, a name for example, could otherwise end a log line and begin one of its own, or give
    orders to a terminal. After ``mask``: behind the letter of an escape a phone's number would not be recognized.
    """
    return _UNPRINTABLE.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), text)


def safe_repr(value: Any) -> str:
    """A value as an error may quote it: short, and without a secret that was given in the wrong place."""
    if type(value) is str:
        return repr(mask(value))[:80]
    try:
        # What holds other values could hold a customer's.
        text = repr(value) if isinstance(value, (bytes, Real, Decimal, Enum)) or not value else ""
    except (ValueError, TypeError):  # a number of too many digits, or what is neither true nor false
        text = ""
    # Behind the letter of an escape a number of a phone would not be recognized.
    return escape_controls(mask(text))[:80] if text and "\\" not in text else f"un {type(value).__name__}"


def fingerprint(secret: str) -> str:
    """A short stable name for a secret from which it cannot be found again."""
    return hashlib.sha256(b"fedapay_sync\x1f" + secret.encode("utf-8", "surrogatepass")).hexdigest()[:12]
