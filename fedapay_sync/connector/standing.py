"""What all methods of a connector stand on."""

from typing import Any, Callable, Dict

from fedapay_sync.common.config import Config
from fedapay_sync.connector.runtime import Parts, PerProcess
from fedapay_sync.store import StoredEvent


class Standing:
    """A connector's settings, callbacks and parts, for the groups of its methods."""

    _config: Config
    _callbacks: Dict[str, Callable[[StoredEvent], Any]]
    _per_process: PerProcess

    def _here(self) -> Parts:
        """This process's parts, with owed callbacks being looked for and payments being followed up."""
        parts = self._per_process.get()
        parts.callbacks.start()
        parts.follow_up.start()
        return parts
