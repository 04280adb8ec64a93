"""Who may control the emulator: whoever sits at this machine, or has the token that was shown there."""

import hmac
import ipaddress
import secrets
from typing import Mapping, Optional

from fedapay_sync.emulator.web import guard

#: Where a call may carry the token: a header, a word of the query string, a cookie.
TOKEN_HEADER = "X-Emulateur-Jeton"
TOKEN_WORD = "jeton"


class Access:
    """
    The door of dashboard and control calls.

    Args:
        host: the address that the emulator listens on.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        #: None on a loopback address: nobody else comes that far.
        self.token: Optional[str] = None if is_loopback(host) else secrets.token_urlsafe(18)

    def check(self, headers: Mapping[str, str], query: Mapping[str, str], cookies: Mapping[str, str]) -> None:
        """
        Refuse a page of a stranger in the browser, and a stranger.

        Raises:
            Forbidden: a French sentence says what is missing.
        """
        guard.check(headers, self._host)
        if self.token is None:
            return
        given = headers.get(TOKEN_HEADER) or query.get(TOKEN_WORD) or cookies.get(TOKEN_WORD) or ""
        if not hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode("ascii")):
            raise guard.Forbidden(
                f"Jeton absent ou faux : l'émulateur écoute au-delà de cette machine. Donner dans l'en-tête "
                f"{TOKEN_HEADER}, ou par ?{TOKEN_WORD}=, celui qu'il a affiché en démarrant.",
                field=TOKEN_WORD,
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
