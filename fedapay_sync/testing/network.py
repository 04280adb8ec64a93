"""Network guard: while a fixture is in use, connecting to another machine raises NetworkForbidden."""

import ipaddress
import socket
from contextlib import ExitStack, contextmanager
from typing import Any, Iterator, Optional, Sequence, Set
from unittest import mock

_INTERNET = (socket.AF_INET, socket.AF_INET6)


# No OSError: a library would take it for a network failure, try again, and report something else.
class NetworkForbidden(RuntimeError):
    """
    Un test a voulu joindre une autre machine.

    Attributes:
        host: le nom ou l'adresse.
    """

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.host = host

    def __str__(self) -> str:
        return (
            f"Ce test veut joindre {self.host}, hors de cette machine, et une fixture de fedapay_sync l'interdit. "
            "Donner au code testé l'adresse de l'émulateur (fedapay_emulator.url, déjà dans FEDAPAY_API_URL), ou "
            "remplacer cet appel. Pour admettre cet hôte, redéfinir la fixture fedapay_allowed_hosts."
        )


@contextmanager
def loopback_only(allowed: Sequence[str] = ()) -> Iterator[None]:
    """
    Inside, every connection and name lookup beyond this machine raises.

    Args:
        allowed: names and addresses of other machines that stay reachable.
    """
    guard = _Guard(allowed)
    with ExitStack() as patches:

        def patch(owner: Any, name: str, guarded: Any) -> None:
            patches.enter_context(mock.patch.object(owner, name, guarded))

        for name, first in (("connect", 0), ("connect_ex", 0), ("sendto", 1), ("sendmsg", 3)):
            if hasattr(socket.socket, name):
                patch(socket.socket, name, guard.of_method(_unguarded(getattr(socket.socket, name)), first))
        for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
            patch(socket, name, guard.of_lookup(_unguarded(getattr(socket, name))))
        try:
            yield
        finally:
            guard.is_on = False


def _unguarded(function: Any) -> Any:
    """The function below the guards of earlier tests: a test's own monkeypatch may have restored one of those."""
    while hasattr(function, "fedapay_guard") and not function.fedapay_guard.is_on:
        function = function.__wrapped__
    return function


class _Guard:
    def __init__(self, allowed: Sequence[str]) -> None:
        self.is_on = True
        # A single text is one name, not a list of letters.
        self._allowed: Set[str] = {each.lower() for each in ([allowed] if isinstance(allowed, str) else allowed)}

    def of_method(self, real: Any, first: int) -> Any:
        """Guard a socket method whose last argument, from position ``first`` on, is the address."""

        def method(own: socket.socket, *arguments: Any) -> Any:
            if self.is_on and own.family in _INTERNET and isinstance((arguments[first:] or (None,))[-1], tuple):
                host = _text(arguments[-1][0])
                if not self._is_allowed(host):
                    raise NetworkForbidden(host)
            return real(own, *arguments)

        return self._marked(method, real)

    def of_lookup(self, real: Any) -> Any:
        """Guard a function that looks up its first argument, a host name."""

        def lookup(host: Any, *arguments: Any, **options: Any) -> Any:
            name = _text(host)
            # Resolving an address asks no other machine; connecting to it is guarded by itself.
            if self.is_on and _address(name) is None and not self._is_allowed(name):
                raise NetworkForbidden(name)
            found = real(host, *arguments, **options)
            if name.lower() in self._allowed:
                self._allowed |= _addresses(found)
            return found

        return self._marked(lookup, real)

    def _marked(self, function: Any, real: Any) -> Any:
        function.fedapay_guard, function.__wrapped__ = self, real
        return function

    def _is_allowed(self, host: str) -> bool:
        address = _address(host)
        if address is not None:
            # For a client 0.0.0.0 and :: are this machine.
            return address.is_loopback or address.is_unspecified or host in self._allowed
        name = host.lower().rstrip(".")
        ours = name in ("", "localhost", socket.gethostname().lower()) or name.endswith(".localhost")
        return ours or name in self._allowed


def _addresses(found: Any) -> Set[str]:
    """The addresses in the result of any of the lookup functions."""
    if isinstance(found, str):
        return {found}
    return set(found[2]) if isinstance(found, tuple) else {each[4][0] for each in found}


def _text(host: Any) -> str:
    return host.decode("ascii", "replace") if isinstance(host, bytes) else str(host or "")


def _address(host: str) -> Optional[Any]:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address
