"""
Un serveur HTTP dans un thread : il reçoit les webhooks, et il porte l'émulateur.

Un client lent n'y arrête personne : une requête doit être entière dix secondes après son premier octet, sa réponse
lue en trente secondes, et quand les places manquent, la connexion inactive, puis la plus lente, cède la sienne.
Derrière un mandataire (nginx, Caddy) s'il est joignable d'Internet : il ne parle pas TLS.
"""

import errno
import os
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, List, Mapping, Optional

from fedapay_sync.common.hosting import is_reloader_child
from fedapay_sync.common.logging import get_logger
from fedapay_sync.errors import InvalidArgument, PortUnavailable

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from fedapay_sync.server.channel import ConnectionLimits
    from fedapay_sync.server.waitress_server import WaitressServer

log = get_logger(__name__)

#: Taille admise d'un corps, en octets. Un webhook de FedaPay en fait moins de vingt mille.
MAX_BODY = 256 * 1024

#: Clients that the kernel keeps in line for us.
_BACKLOG = 1024
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class WebServer:
    """
    Application WSGI servie par des threads, le temps que dure ce processus.

    Args:
        app: application WSGI (Flask, ou toute fonction ``app(environ, start_response)``).
        host: adresse d'écoute ; ``127.0.0.1`` n'est joignable que de cette machine.
        port: port d'écoute ; 0 prend un port libre, et le garde d'un démarrage à l'autre.
        name: nom du thread, pour qui lit une liste de threads.
        threads: nombre de requêtes traitées en même temps.
        max_body: taille admise d'un corps, en octets ; au-delà la réponse est 413.
        limits: nombre de connexions, et secondes laissées à un client pour envoyer une requête et en lire la réponse.

    Example:
        >>> def app(environ, start_response):
        ...     start_response("200 OK", [("Content-Type", "text/plain")])
        ...     return [b"bonjour"]
        >>> with WebServer(app) as server:
        ...     server.is_running
        True
    """

    def __init__(
        self,
        app: "WSGIApplication",
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        name: str = "fedapay-web",
        threads: int = 8,
        max_body: int = MAX_BODY,
        limits: "Optional[ConnectionLimits]" = None,
    ) -> None:
        if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
            raise InvalidArgument(
                f"port={port!r} : un nombre entier de 0 à 65535 est attendu (0 prend un port libre).",
                field="port",
            )
        self._app = app
        self._host = host
        self._given_port = port
        self._port = port
        self._name = name
        self._threads = threads
        self._max_body = max_body
        self._limits = limits
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._server: Optional[WaitressServer] = None

    @property
    def host(self) -> str:
        """Adresse d'écoute."""
        return self._host

    @property
    def port(self) -> int:
        """Port d'écoute ; le vrai dès que le serveur a démarré une fois."""
        self._drop_if_forked()
        return self._port

    @property
    def url(self) -> str:
        """Adresse à donner à un client de cette machine, sans barre finale."""
        host = _EVERY_ADDRESS.get(self._host, self._host)
        return f"http://{_bracketed(host)}:{self.port}"

    @property
    def is_running(self) -> bool:
        """Vrai si ce processus sert des requêtes ; un processus fils n'hérite pas des threads."""
        self._drop_if_forked()
        server = self._server
        return server is not None and server.is_alive

    def start(self) -> None:
        """
        Ouvre le port et sert ; sans effet si le serveur tourne déjà.

        Raises:
            PortUnavailable: port pris, interdit, ou adresse étrangère à cette machine.
        """
        self._drop_if_forked()
        with self._lock:
            if self._server is not None:
                if self._server.is_alive:
                    return
                # The loop died by itself: what it left open would hold the port against us.
                self._server.stop(0.0)
                self._server = None
            from fedapay_sync.server.waitress_server import WaitressServer

            listener = _bind(self._host, self._port)
            self._port = listener.getsockname()[1]
            self._server = WaitressServer(
                self._app,
                listener,
                name=self._name,
                threads=self._threads,
                max_body=self._max_body,
                backlog=_BACKLOG,
                limits=self._limits,
            )
        log.info("server %s started on port %d", self._name, self._port)

    def stop(self, grace: float = 5.0) -> None:
        """
        Répond à ce qui est en cours, puis libère le port ; sans effet si le serveur est arrêté.

        Ne pas appeler depuis l'application servie : elle s'attendrait elle-même.

        Args:
            grace: secondes laissées aux requêtes en cours ; passé ce délai elles sont coupées.
        """
        self._drop_if_forked()
        with self._lock:
            if self._server is None:
                return
            self._server.stop(grace)
            self._server = None
        log.info("server %s stopped", self._name)

    def __enter__(self) -> "WebServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _drop_if_forked(self) -> None:
        """In a forked child nothing runs: the threads, and the holder of the lock, are the parent's."""
        if self._pid == os.getpid():
            return
        inherited, self._server = self._server, None
        self._lock = threading.Lock()
        self._port = self._given_port
        self._pid = os.getpid()
        if inherited is not None:
            inherited.drop_inherited()


def hang_up(environ: Mapping[str, Any]) -> None:
    """
    Coupe la connexion d'une requête en cours : le client ne recevra pas de réponse.

    Args:
        environ: environnement WSGI de la requête, servie par ``WebServer``.
    """
    # The one way from a request to its socket. shutdown(), not close(): the descriptor stays waitress's to
    # close, in its own thread.
    channel = environ["waitress.client_disconnected"].__self__
    with suppress(OSError, AttributeError):  # the client was quicker
        channel.socket.shutdown(socket.SHUT_RDWR)


def _bind(host: str, port: int) -> socket.socket:
    """A listening socket, or PortUnavailable with nothing left open."""
    opened: List[socket.socket] = []
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, proto)
        opened.append(listener)
        if os.name == "nt":
            # On Windows SO_REUSEADDR would let a second program take the port of the first.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        # Here and not in waitress: with SO_REUSEADDR two may bind one port, only listen() finds it taken.
        listener.listen(_BACKLOG)
        return listener
    except (OSError, UnicodeError) as error:
        for each in opened:
            each.close()
        number = getattr(error, "errno", None)
        raise PortUnavailable(
            f"{_bracketed(host)}:{port} {_port_problem(number)}", host=host, port=port, errno=number
        ) from error


def _port_problem(number: Optional[int]) -> str:
    if number in (errno.EADDRINUSE, getattr(errno, "WSAEADDRINUSE", None)):
        if is_reloader_child():
            return (
                "est pris par le premier des deux processus du rechargement automatique (debug=True), qui ne sert "
                "rien. Lancer l'application par « flask run --debug », ou ne démarrer le serveur que dans le "
                "processus où WERKZEUG_RUN_MAIN vaut « true »."
            )
        return (
            "est déjà pris par un autre programme, ou par un premier démarrage de celui-ci. Donner un autre port, ou "
            "le port 0 pour en prendre un libre."
        )
    if number in (errno.EACCES, errno.EPERM):
        return "est interdit à ce programme : donner un port à partir de 1024, ou 0 pour un port libre."
    return "n'est pas une adresse où cette machine peut écouter : donner 127.0.0.1, ou l'une des siennes."


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
