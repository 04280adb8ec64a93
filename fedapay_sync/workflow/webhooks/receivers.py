"""Processes whose own server receives webhooks: their heartbeat, and what is said where the port is taken."""

import errno
import socket

from fedapay_sync.common.hosting import is_reloader_child
from fedapay_sync.common.logging import get_logger
from fedapay_sync.concurrency.notifier import Notifier
from fedapay_sync.errors import FedapayError, PortUnavailable, StoreError
from fedapay_sync.server import WebServer
from fedapay_sync.workflow.context import Context

log = get_logger(__name__)

#: A process that receives writes its heartbeat so often, and is taken for dead so long after the last one, in seconds.
_BEAT = 60.0
_LEASE = 150.0
_ROLE = "receiver"
#: The host, and not the port, is what is wrong.
_NO_ADDRESS = (errno.EADDRNOTAVAIL, getattr(socket, "EAI_NONAME", None))


class Receivers:
    """Which processes of this database serve webhooks themselves."""

    def __init__(self, context: Context, notifier: Notifier) -> None:
        self._config, self._store, _, self._owner = context
        self._notifier = notifier
        self._beating = self._closed = False

    def start(self, server: WebServer) -> None:
        """
        Start the server, and say from now on that this process receives.

        Raises:
            PortUnavailable: with the connector's setting in it, and whether a server is needed here at all.
        """
        try:
            server.start()
        except PortUnavailable as error:
            raise self._explained(error)  # noqa: B904 - the same error, told better
        if not self._beating:
            self._beating = True
            self._beat()

    def close(self) -> None:
        """This process receives no more."""
        self._closed = True
        if self._beating:
            try:
                self._store.workers.end(self._owner, self._config.environment, self._config.accounts, role=_ROLE)
            except FedapayError as error:
                log.info("the heartbeat of the webhook server ends by itself: %s", error)

    def _beat(self) -> None:
        if self._closed:
            return
        subject = (self._owner, self._config.environment, self._config.accounts)
        try:
            self._store.workers.beat(*subject, _LEASE, role=_ROLE)
        except FedapayError as error:
            log.warning("the heartbeat of the webhook server was not written, again soon: %s", error)
        finally:
            self._notifier.call_later(_BEAT, self._beat)

    def _explained(self, error: PortUnavailable) -> PortUnavailable:
        if is_reloader_child():
            # Said already; and the other process is its parent.
            return error
        if vars(error).get("errno") in _NO_ADDRESS:
            text = f'{error.message} L\'adresse se donne à la construction : host="127.0.0.1".'
        else:
            port = error.port + 1 if 1024 <= error.port < 65535 else 3001
            text = f"{error.message} Le port se donne à la construction : listen_server_port={port}, ou 0."
        if self._another_receives():
            text = (
                f"{text} Mais un autre processus qui a la même base reçoit déjà les webhooks : aucun serveur n'est "
                "nécessaire ici. Ne pas appeler start_webhook_server ; pay, finalise et les callbacks apprennent la "
                "fin des paiements par la base."
            )
        facts = {name: value for name, value in vars(error).items() if name != "message"}
        return PortUnavailable(text, **facts)

    def _another_receives(self) -> bool:
        try:
            return self._store.workers.has_other(
                self._owner, self._config.environment, self._config.accounts, role=_ROLE
            )
        except StoreError as error:
            log.info("whether another process receives cannot be read: %s", error)
            return False
