"""Validates the URL and the HTTP headers of a webhook endpoint."""

import re
from typing import Any, Dict
from urllib.parse import urlsplit

from fedapay_sync.common.http_headers import NAME_CHARACTER
from fedapay_sync.emulator.http.validation import INVALID, text

#: The name of an HTTP header.
HEADER_NAME = re.compile(NAME_CHARACTER + r"+\Z")
#: The value of an HTTP header; ``headers`` accepts less.
HEADER_TEXT = re.compile(r"[ -~\xa0-\xff]*\Z")
_LONGEST_NAME = 200
_HEADER_VALUE = re.compile(r"([!-~\xa0-\xff]([ -~\t\xa0-\xff]{0,4000}[!-~\xa0-\xff])?)?\Z")


def address(value: Any) -> str:
    """The URL of an endpoint; plain http as well, or no shop could be tried on one machine."""
    if not isinstance(value, str) or not value.isprintable() or " " in value or len(value) > 2000:
        raise ValueError(INVALID)
    try:
        parts = urlsplit(value)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise ValueError(INVALID)
    return value


def headers(value: Any) -> Dict[str, str]:
    """The headers of an endpoint; PHP writes no headers as an empty list."""
    if value == []:
        return {}
    if not isinstance(value, dict):
        raise ValueError(INVALID)
    read = {name: text(each) for name, each in value.items()}
    for name, each in read.items():
        if not HEADER_NAME.match(name) or len(name) > _LONGEST_NAME or not _HEADER_VALUE.match(each):
            raise ValueError(INVALID)
    return read
