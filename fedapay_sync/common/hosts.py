"""Tells from a host's name or address how far it is: on this machine, on a private network, or anywhere."""

import ipaddress
import re

#: Not ``is_private``: what that counts in differs from one Python to the next.
_PRIVATE_NETWORKS = tuple(
    map(
        ipaddress.ip_network,
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10"),
    )
)
#: Reserved for private use (RFC 2606, 6761, 6762, 8375 and ICANN's ``internal``): no public name ends like that.
_PRIVATE_ENDINGS = (".localhost", ".local", ".internal", ".test", ".home.arpa")
#: Without a letter, or in hexadecimal, a single word is a number of four bytes to a resolver: an address anywhere.
_SINGLE_LABEL = re.compile(r"(?!0x)(?=[0-9_\-]*[a-z])[a-z0-9_\-]+\Z")


def is_loopback_host(host: str) -> bool:
    """Whether that host is this machine, for certain."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        # A name. One that begins with 127. is another machine.
        return False


def is_private_host(host: str) -> bool:
    """Whether that host is on a private network: a private address, a reserved name, or a name of one word."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        name = host.lower()
        return name.endswith(_PRIVATE_ENDINGS) or bool(_SINGLE_LABEL.match(name))
    return any(address in network for network in _PRIVATE_NETWORKS)
