"""
Access control of API, dashboard, phone and control calls: refuses pages of other sites, and, but for the API, other
machines without token.

A page anywhere on the web can make a browser send requests to 127.0.0.1. Its own address betrays it: in ``Origin``,
or, when it has given its name our address (DNS rebinding), in ``Host``.
"""

import hmac
import ipaddress
import json
import secrets
from typing import TYPE_CHECKING, FrozenSet, Iterable, Mapping, Optional
from urllib.parse import urlsplit

from fedapay_sync.errors import InvalidArgument

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

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
        allowed: further names under which it may be called, that of its container for example.
    """

    def __init__(self, host: str, allowed: FrozenSet[str] = frozenset()) -> None:
        self._host = host
        self._allowed = allowed
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

    def check_host(self, called: str) -> None:
        """
        Refuse a call under a name that is not ours: that of a page that has given its name our address.

        Raises:
            Forbidden: a French sentence says which name, and what to do.
        """
        if not self._is_ours(_hostname(called)):
            raise Forbidden(
                f"Host : {called[:200]!r} n'est pas un nom de cette machine. Ouvrir l'émulateur par 127.0.0.1 ou "
                "localhost, ou le lancer avec --host, ou avec --allow-host et ce nom (Emulator(allow_hosts=[…])).",
                field="Host",
            )

    def guard(self, app: "WSGIApplication", prefix: str) -> "WSGIApplication":
        """The application, where calls to that part of it are answered 403 under a name that is not ours."""

        def guarded(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
            if environ.get("PATH_INFO", "").startswith(prefix):
                try:
                    self.check_host(environ.get("HTTP_HOST", ""))
                except Forbidden as error:
                    body = json.dumps({"message": str(error), "errors": {}}, ensure_ascii=False).encode("utf-8")
                    headers = [("Content-Type", "application/json; charset=utf-8"), ("Content-Length", str(len(body)))]
                    start_response("403 Forbidden", headers)
                    return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]
            return app(environ, start_response)

        return guarded

    def _check_origin(self, called: str, origin: Optional[str]) -> None:
        self.check_host(called)
        # Absent: no browser, or a page that only reads. A browser names the page that asks, and "null" hides it.
        if origin is not None and origin.lower() not in (f"http://{called.lower()}", f"https://{called.lower()}"):
            raise Forbidden(
                f"Origin : {origin[:200]!r} n'est pas l'émulateur. Ses boutons ne répondent qu'à ses propres pages.",
                field="Origin",
            )

    def _is_ours(self, name: str) -> bool:
        if name in (self._host.lower(), "localhost") or name.endswith(".localhost") or name in self._allowed:
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
