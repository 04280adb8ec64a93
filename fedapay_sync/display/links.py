"""Links that may be clicked, and the same as a QR code where ``segno`` is installed (extra ``notebook``)."""

import functools
import importlib
import urllib.parse
from typing import Any, Optional

from fedapay_sync.common.masking import escape_controls
from fedapay_sync.display.html import Html, element

#: A longer address is none of a payment page, and makes a QR code that no telephone reads from a screen.
_LONGEST = 1000


def safe_url(url: Any) -> Optional[str]:
    """The address if a browser may be sent there: ``http`` or ``https`` with a host, and nothing hidden in it."""
    if not isinstance(url, str) or len(url) > _LONGEST or escape_controls(url) != url or " " in url:
        return None
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return None
    # A name before an @ shows another host than the one that is called.
    usual = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc and "\\" not in url
    return url if usual else None


def link(url: str, text: str) -> Html:
    """A link that opens beside the notebook, and does not tell the page where it was clicked."""
    return element("a", text, class_="fp-link", href=url, target="_blank", rel="noopener noreferrer")


def qr_code(url: str) -> Optional[Html]:
    """That address as a QR code, black on white in a dark theme too; None without ``segno``."""
    source = _qr_source(url)
    if source is None:
        return None
    return element("img", class_="fp-qr", src=source, alt="QR code du lien de paiement")


@functools.lru_cache(maxsize=32)
def _qr_source(url: str) -> Optional[str]:
    try:
        segno: Any = importlib.import_module("segno")
    except ImportError:
        return None
    # Not a micro QR code, which many telephones do not read; four modules of white around, as the standard wants.
    return str(segno.make(url, error="m", micro=False).png_data_uri(scale=3, border=4, dark="#000", light="#fff"))
