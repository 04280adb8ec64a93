"""The process's one connector."""

import inspect
import os
import threading
from typing import Any, ClassVar, Dict, FrozenSet, Optional

from fedapay_sync.common.config import differences
from fedapay_sync.common.env import API_KEY, API_URL, AUTH_KEY, DB_URL, ENDPOINT_NAME, from_environment
from fedapay_sync.common.frames import private, private_methods
from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.secret import Secret
from fedapay_sync.connector.connector import Connector
from fedapay_sync.errors import ConfigError, PortUnavailable

log = get_logger(__name__)


class _Shared(type):
    """Makes the class give its one instance, or say why it cannot."""

    @private
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        with _shared_lock:
            shared = FedapayConnector._shared
            if shared is None:
                # Remembered only when complete: a failed construction leaves nothing behind.
                shared = super().__call__(*args, **kwargs)
                return cls._remembered(shared, *args, **kwargs)
            given = _bound(args, kwargs, defaults=False)
            differing = differences(shared._arguments, given)
            # Only by a call that says again all that the first one said: an edited cell, and no other module that
            # knows nothing of the first one's database.
            if differing and shared._found_no_port and shared._given <= given.keys():
                return cls._built_anew(shared, *args, **kwargs)
        if differing:
            raise ConfigError(
                f"FedapayConnector existe déjà dans ce processus avec d'autres valeurs pour : {', '.join(differing)}. "
                "L'appeler sans argument pour l'instance partagée, la fermer d'abord (shutdown_cleanup), ou utiliser "
                "Connector pour un second compte."
            )
        changed = [name for name, before in shared._environment.items() if _value(name) not in ("", before.reveal())]
        if changed:
            raise ConfigError(
                f"FedapayConnector existe déjà dans ce processus, et {', '.join(changed)} a changé depuis dans "
                "l'environnement : il garde l'ancienne valeur. Le fermer d'abord (shutdown_cleanup), ou redémarrer le "
                "programme, ou le noyau du notebook."
            )
        return shared

    def _remembered(cls, shared: Any, *args: Any, **kwargs: Any) -> Any:
        shared._arguments = _bound(args, kwargs, defaults=True)
        shared._given = frozenset(_bound(args, kwargs, defaults=False))
        read = [name for argument, name in _VARIABLES.items() if argument not in shared._given]
        shared._environment = {name: Secret(_value(name)) for name in read}
        FedapayConnector._shared = shared
        return shared

    def _built_anew(cls, before: Any, *args: Any, **kwargs: Any) -> Any:
        """Another in place of one whose server found no port; with its callbacks, so that none is lost."""
        shared = super().__call__(*args, **kwargs)
        for callback in before._callbacks.values():
            shared._register(callback, "FedapayConnector")
        before.close()
        log.info("the shared connector whose webhook server found no port is built anew with other arguments")
        return cls._remembered(shared, *args, **kwargs)


#: Re-entrant: a signal handler may close in the midst of a construction.
_shared_lock = threading.RLock()


def _renew_lock() -> None:
    # A thread of the parent may have held it at the fork, and is not there to release it.
    global _shared_lock
    _shared_lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
#: What is read from the environment where the argument is not given.
_VARIABLES = {
    "fedapay_api_url": API_URL,
    "api_key": API_KEY,
    "fedapay_webhooks_secret_key": AUTH_KEY,
    "db_url": DB_URL,
    "listen_server_endpoint_name": ENDPOINT_NAME,
}
#: Arguments that are kept to be compared, and are not to be seen.
_SECRET = ("api_key", "api_keys", "fedapay_webhooks_secret_key", "db_url")


def _value(name: str) -> str:
    return from_environment(name) or ""


def _bound(args: Any, kwargs: Any, *, defaults: bool) -> Dict[str, Any]:
    bound = inspect.signature(Connector.__init__).bind(None, *args, **kwargs)
    if defaults:
        bound.apply_defaults()
    return {
        name: Secret(repr(value)) if name in _SECRET else value
        for name, value in bound.arguments.items()
        if name != "self"
    }


@private_methods
class FedapayConnector(Connector, metaclass=_Shared):
    """
    Le connecteur unique et partagé du processus : ``FedapayConnector()`` rend toujours le même.

    Rappelé avec des arguments différents de ceux de la première fois, il lève ``ConfigError`` en les nommant, sauf si
    son serveur de webhooks n'a pas trouvé son port : il est alors construit à nouveau. Après
    ``shutdown_cleanup`` (ou ``close``), l'appel suivant en construit un nouveau. Ses arguments sont ceux de
    ``Connector``.
    """

    _shared: ClassVar[Optional["FedapayConnector"]] = None
    _arguments: Dict[str, Any]
    _given: FrozenSet[str]
    _environment: Dict[str, Secret]
    _found_no_port: bool = False

    def start_webhook_server(self) -> None:
        """
        Démarre le serveur de webhooks, comme ``Connector.start_webhook_server``. Si le port est pris, le connecteur
        partagé peut être construit à nouveau avec d'autres arguments ; ses callbacks restent.
        """
        try:
            super().start_webhook_server()
        except PortUnavailable:
            self._found_no_port = True
            raise
        self._found_no_port = False

    def close(self) -> None:
        """Ferme comme ``Connector.close`` ; l'appel suivant de ``FedapayConnector()`` en construit un nouveau."""
        super().close()
        with _shared_lock:
            if FedapayConnector._shared is self:
                FedapayConnector._shared = None

    shutdown_cleanup = close
