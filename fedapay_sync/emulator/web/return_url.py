"""Builds the URL that sends a payer back to the shop."""

import re
from typing import Optional
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

# Characters that stay as they are in a URL; all others are escaped.
_PLAIN = "%/?:@!$&'()*+,;=-._~[]#"


def return_url(callback_url: Optional[str], transaction: int, status: str) -> Optional[str]:
    """
    ``callback_url`` with ``id`` and ``status`` behind the query that it has already, as FedaPay sends a payer back.

    None if there is no such address, or none that a browser should be sent to.
    """
    text = (callback_url or "").strip()
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    if not usable or re.search(r"[\x00-\x20\x7f\\]", text) or parts.username is not None:
        return None
    query = "&".join(filter(None, (parts.query, urlencode({"id": transaction, "status": status}))))
    return quote(urlunsplit(parts._replace(query=query)), safe=_PLAIN)
