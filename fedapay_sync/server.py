"""
Un serveur HTTP dans un thread : il reçoit les webhooks, et il porte l'émulateur.

Fait pour une machine, et derrière un mandataire (nginx, Caddy) s'il est joignable d'Internet : un client qui
envoie un octet par seconde garde sa connexion.
"""

import errno
import logging
import os
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable, List, Mapping, Optional

from .clock import SYSTEM_CLOCK
from .errors import InvalidArgument, PortUnavailable
from .masking import get_logger
from .variables import is_reloader_child

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = get_logger(__name__)
_quiet = get_logger(f"{__name__}.queue")
_quiet.setLevel(logging.ERROR)

#: Taille admise d'un corps, en octets. Un webhook de FedaPay en fait quelques milliers.
MAX_BODY = 262_144

_MAX_HEADERS = 16_384
_BACKLOG = 1024
_TICK = 0.005
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
    ) -> None:
        if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
            raise InvalidArgument(
                f"port={port!r} : un nombre entier de 0 à 65535 est attendu (0 prend un port libre).",
                field="port",
            )
        self._app = app
        self._host = host
        self._asked_port = port
        self._port = port
        self._name = name
        self._threads = threads
        self._max_body = max_body
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._running: Optional[_Running] = None

    @property
    def host(self) -> str:
        """Adresse d'écoute."""
        return self._host

    @property
    def port(self) -> int:
        """Port d'écoute ; le vrai dès que le serveur a démarré une fois."""
        self._notice_fork()
        return self._port

    @property
    def url(self) -> str:
        """Adresse à donner à un client de cette machine, sans barre finale."""
        host = _EVERY_ADDRESS.get(self._host, self._host)
        return f"http://{_bracketed(host)}:{self.port}"

    @property
    def is_running(self) -> bool:
        """Vrai si ce processus sert des requêtes ; un processus fils n'hérite pas des threads."""
        self._notice_fork()
        running = self._running
        return running is not None and running.is_alive

    def start(self) -> None:
        """
        Ouvre le port et sert ; sans effet si le serveur tourne déjà.

        Raises:
            PortUnavailable: port pris, interdit, ou adresse étrangère à cette machine.
        """
        self._notice_fork()
        with self._lock:
            if self._running is not None:
                if self._running.is_alive:
                    return
                # The loop died by itself: what it left open would hold the port against us.
                self._running.stop(0.0)
                self._running = None
            listener = _bind(self._host, self._port)
            self._port = listener.getsockname()[1]
            self._running = _Running(self._app, listener, self._name, self._threads, self._max_body)
        log.info("server %s started on port %d", self._name, self._port)

    def stop(self, grace: float = 5.0) -> None:
        """
        Répond à ce qui est en cours, puis libère le port ; sans effet si le serveur est arrêté.

        Ne pas appeler depuis l'application servie : elle s'attendrait elle-même.

        Args:
            grace: secondes laissées aux requêtes en cours ; passé ce délai elles sont coupées.
        """
        self._notice_fork()
        with self._lock:
            if self._running is None:
                return
            self._running.stop(grace)
            self._running = None
        log.info("server %s stopped", self._name)

    def __enter__(self) -> "WebServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _notice_fork(self) -> None:
        """In a forked child nothing runs: the threads, and whoever held the lock, are the parent's."""
        if self._pid == os.getpid():
            return
        inherited, self._running = self._running, None
        self._lock = threading.Lock()
        self._port = self._asked_port
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


class _Running:
    """
    One waitress server, from its bound socket to its last thread.

    waitress 3.0 has no graceful stop. This one uses three names outside its documented API: thunks given to
    ``trigger.pull_trigger`` (run in the loop's thread), ``active_channels`` and ``_map``.
    """

    def __init__(self, app: "WSGIApplication", listener: socket.socket, name: str, threads: int, max_body: int) -> None:
        # Imported here so that `import fedapay_sync` stays light.
        from waitress.server import create_server  # type: ignore[import-untyped,unused-ignore]

        try:
            self._server: Any = create_server(
                app,
                sockets=[listener],
                threads=threads,
                connection_limit=200,
                max_request_body_size=max_body,
                max_request_header_size=_MAX_HEADERS,
                channel_timeout=15,
                cleanup_interval=5,
                # select() dies in a process with more than 1,024 descriptors.
                asyncore_use_poll=True,
                ident=None,
                clear_untrusted_proxy_headers=True,
                backlog=_BACKLOG,
            )
        except BaseException:
            listener.close()
            raise
        # A request that waits for a free thread is no news; waitress warns of each.
        self._server.task_dispatcher.queue_logger = _quiet
        self._thread = threading.Thread(target=self._server.run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self, grace: float) -> None:
        """Four steps, in this order; the other way round waitress truncates answers or leaves its threads."""
        end = SYSTEM_CLOCK.monotonic() + grace
        # 1. Nobody new; the port is free.
        self._in_loop(self._close_listener)
        # Two turns of the loop: whatever had reached us by then is read, and counted as busy below.
        self._in_loop(lambda: None)
        self._in_loop(lambda: None)
        # 2. What runs is answered and flushed.
        while self._is_busy() and SYSTEM_CLOCK.monotonic() < end:
            time.sleep(_TICK)
        # 3. The workers end.
        dispatcher = self._server.task_dispatcher
        dispatcher.shutdown(cancel_pending=True, timeout=max(0.05, end - SYSTEM_CLOCK.monotonic()))
        # 4. An empty map ends the loop.
        self._in_loop(self._close_rest)
        self._thread.join(max(1.0, end - SYSTEM_CLOCK.monotonic()))
        # Not in the loop: it may run a thunk before pull_trigger() has written its byte, and a byte for a
        # closed descriptor lands in whatever file got that number next. A late worker would do the same.
        if not self._thread.is_alive() and not dispatcher.threads:
            self._server.trigger.close()

    def drop_inherited(self) -> None:
        """
        Close a forked child's copies of the descriptors; the parent's stay open.

        Kept, they would hold the parent's port after its death, with nobody there to answer. Only close(): a
        shutdown() would reach through to the parent's connections.
        """
        for channel in list(self._server.active_channels.values()):
            if channel.socket is not None:
                channel.socket.close()
        if self._server.socket is not None:
            self._server.socket.close()
        self._server.trigger.close()

    def _close_listener(self) -> None:
        # Clients in the kernel's queue believe they are connected: closing now would reset them.
        known = -1
        while known != len(self._server._map):
            known = len(self._server._map)
            self._server.handle_accept()
        self._server.accepting = False
        self._server.del_channel()
        self._server.socket.close()

    def _is_busy(self) -> bool:
        dispatcher = self._server.task_dispatcher
        return bool(dispatcher.queue or dispatcher.active_count > 0) or any(
            channel.requests or channel.total_outbufs_len for channel in list(self._server.active_channels.values())
        )

    def _close_rest(self) -> None:
        for channel in list(self._server.active_channels.values()):
            channel.handle_close()
        self._server._map.clear()

    def _in_loop(self, action: Callable[[], None]) -> None:
        """Run it in the loop's thread, and wait: closing a socket under a poll() that holds it is a race."""
        done = threading.Event()

        def run() -> None:
            try:
                action()
            finally:
                done.set()

        if self._thread.is_alive():
            self._server.trigger.pull_trigger(run)
            while not done.wait(0.2) and self._thread.is_alive():
                pass
        if not done.is_set():
            run()


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
            f"{_bracketed(host)}:{port} {_explain(number)}", host=host, port=port, errno=number
        ) from error


def _explain(number: Optional[int]) -> str:
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
