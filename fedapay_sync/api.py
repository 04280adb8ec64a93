"""One FedaPay account over one transport: the resources side by side."""

from typing import Callable, Optional

from .resources import Transactions
from .transport import Transport


class Api:
    """
    Les ressources de FedaPay.

    Args:
        key: rend la clé à utiliser pour un appel, celle donnée ou celle par défaut.
    """

    def __init__(self, transport: Transport, key: Callable[[Optional[str]], str]) -> None:
        self._transport = transport
        self.transactions = Transactions(transport, key)

    def close(self) -> None:
        """Ferme les connexions."""
        self._transport.close()
