"""
Access control of dashboard, phone and control calls: refuses pages of other sites, and other machines without token.

A page anywhere on the web can make a browser send requests to 127.0.0.1. Its own address betrays it: in ``Origin``,
or, when it has given its name our address (DNS rebinding), in ``Host``.
"""

import hmac
import ipaddress
import secrets
from typing import Mapping, Optional
from urllib.parse import urlsplit

from fedapay_sync.errors import InvalidArgument

#: Where a call may carry the token: a header, a word of the query string, a cookie.
TOKEN_HEADER = "X-Emulateur-Jeton"
TOKEN_WORD = "jeton"

_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})


class Forbidden(InvalidArgument):
    """Une page étrangère, ou un nom étranger à cette machine."""


class Access:
    """
    Lets calls to dashboard, phone and controls through, or refuses them.

    Args:
        host: the address that the emulator listens on.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        #: None on a loopback address, which no other machine reaches.
        self.token: Optional[str] = None if is_loopback(host) else secrets.token_urlsafe(18)

    def check(self, headers: Mapping[str, str], query: Mapping[str, str], cookies: Mapping[str, str]) -> None:
        """
        Refuse a call that comes from a page of another site, or without the token where there is one.

        Raises:
            Forbidden: a French sentence says what is missing, or which header is wrong, and what to do.
        """
        self._check_origin(headers.get("Host") or "", headers.get("Origin"))
        if self.token is None:
            return
        given = headers.get(TOKEN_HEADER) or query.get(TOKEN_WORD) or cookies.get(TOKEN_WORD) or ""
        if not hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode("ascii")):
            raise Forbidden(
                f"Jeton absent ou faux : l'émulateur écoute au-delà de cette machine. Donner dans l'en-tête "
                f"{TOKEN_HEADER}, ou par ?{TOKEN_WORD}=, celui qu'il a affiché en démarrant.",
                field=TOKEN_WORD,
            )

    def _check_origin(self, called: str, origin: Optional[str]) -> None:
        if not self._is_ours(_hostname(called)):
            raise Forbidden(
                f"Host : {called[:200]!r} n'est pas un nom de cette machine. Ouvrir l'émulateur par 127.0.0.1 ou "
                "localhost, ou le lancer avec --host.",
                field="Host",
            )
        # Absent: no browser, or a page that only reads. A browser names the page that asks, and "null" hides it.
        if origin is not None and origin.lower() not in (f"http://{called.lower()}", f"https://{called.lower()}"):
            raise Forbidden(
                f"Origin : {origin[:200]!r} n'est pas l'émulateur. Ses boutons ne répondent qu'à ses propres pages.",
                field="Origin",
            )

    def _is_ours(self, name: str) -> bool:
        if name == self._host.lower() or name == "localhost" or name.endswith(".localhost"):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # An address cannot be given another address: only names are rebound.
        return address.is_loopback or self._host in _EVERY_ADDRESS


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _hostname(host: str) -> str:
    """The name in ``name:port``, ``[::1]:port``; empty if there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
