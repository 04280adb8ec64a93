"""Decides by the server's address whether its connections must be encrypted, and warns of those that are not."""

from typing import Dict, List, Mapping

from fedapay_sync.common.env import from_environment
from fedapay_sync.common.hosts import is_loopback_host, is_private_host
from fedapay_sync.common.logging import get_logger

log = get_logger(__name__)

#: By address. Without a lock, which a fork could leave locked: setdefault is atomic.
_warned_of: Dict[str, object] = {}


def encryption_settings(given: Mapping[str, str]) -> Dict[str, str]:
    """
    What to add to the settings of a URL: ``sslmode=require`` on a public address, unless something is said already.

    libpq's own default sends everything in clear text to whoever says that he cannot encrypt.
    """
    # A service is a file of the administrator's, which has settings of its own.
    said = "sslmode" in given or "service" in given or from_environment("PGSSLMODE") or from_environment("PGSERVICE")
    return {} if said or all(map(_is_near, _hosts(given))) else {"sslmode": "require"}


def warn_of_clear_text(given: Mapping[str, str], *, is_encrypted: bool) -> None:
    """Warn once of each address beyond this machine to which a connection is open in clear text."""
    far = [host for host in _hosts(given) if not _is_here(host)]
    # Who has written it down does not have to be told.
    if is_encrypted or not far or given.get("sslmode") == "disable":
        return
    name = ",".join(far)
    mine = object()
    if _warned_of.setdefault(name, mine) is not mine:
        return
    log.warning(
        "the connection to the database on %s is not encrypted: passwords and customers' data can be read on the way; "
        "add ?sslmode=require to FEDAPAY_DB_URL, or ?sslmode=disable if that network is trusted",
        name,
    )


def _hosts(given: Mapping[str, str]) -> List[str]:
    """Every name and address of the server: behind a tunnel's address the name says how far it is."""
    listed = f"{given.get('host', '')},{given.get('hostaddr', '')}".split(",")
    return [host.strip() for host in listed if host.strip()]


def _is_here(host: str) -> bool:
    # A folder, or a name without one, of a socket on this machine.
    return host.startswith(("/", "@")) or is_loopback_host(host.lower())


def _is_near(host: str) -> bool:
    return _is_here(host) or is_private_host(host)
