"""
Who may press the buttons of the emulator: a person at this machine, and no page of a stranger in his browser.

A page anywhere on the web can make a browser send requests to 127.0.0.1. Its own address betrays it: in ``Origin``,
or, when it has given its name our address (DNS rebinding), in ``Host``.
"""

import ipaddress
from typing import Optional, Protocol
from urllib.parse import urlsplit

from fedapay_sync.errors import InvalidArgument

_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})


class Headers(Protocol):
    """Headers of a request, found by any case."""

    def get(self, key: str) -> Optional[str]: ...


class Forbidden(InvalidArgument):
    """Une page étrangère, ou un nom étranger à cette machine."""


def check(headers: Headers, host: str = "127.0.0.1") -> None:
    """
    Refuse a call to phone, dashboard or controls that does not come from where it should.

    Args:
        host: the address that the emulator listens on.

    Raises:
        Forbidden: a French sentence says which header is wrong, and what to do.
    """
    called = headers.get("Host") or ""
    name = _name(called)
    if not _is_ours(name, host):
        raise Forbidden(
            f"Host : {called[:200]!r} n'est pas un nom de cette machine. Ouvrir l'émulateur par 127.0.0.1 ou "
            "localhost, ou le lancer avec --host.",
            field="Host",
        )
    origin = headers.get("Origin")
    # Absent: no browser, or a page that only reads. A browser names the page that asks, and "null" hides it.
    if origin is not None and origin.lower() not in (f"http://{called.lower()}", f"https://{called.lower()}"):
        raise Forbidden(
            f"Origin : {origin[:200]!r} n'est pas l'émulateur. Ses boutons ne répondent qu'à ses propres pages.",
            field="Origin",
        )


def _name(host: str) -> str:
    """The name in ``name:port``, ``[::1]:port``; empty if there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_ours(name: str, host: str) -> bool:
    if name == host.lower() or name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    # Nobody can give an address another address: only names are rebound.
    return address.is_loopback or host in _EVERY_ADDRESS
