"""
One waitress server with a graceful stop, from its bound socket to its last thread.

Loaded when a server starts, and not by a program that only imports the package.
"""

import logging
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Optional

from waitress.server import create_server  # type: ignore[import-untyped,unused-ignore]

from fedapay_sync.common.clock import SYSTEM_CLOCK
from fedapay_sync.common.logging import get_logger
from fedapay_sync.server.admission import Admission
from fedapay_sync.server.channel import Channel, ConnectionLimits
from fedapay_sync.server.request_parser import limit_bodies

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = get_logger(__name__)
_queue_log = get_logger(f"{__name__}.queue")
_queue_log.setLevel(logging.ERROR)

_MAX_HEADERS = 16_384
_POLL_SECONDS = 0.005
#: Seconds that the loop is given for what is to be done between two of its polls, which are milliseconds apart.
_LOOP_PATIENCE = 5.0
#: Where the system has no descriptor left for a client, it is asked again after so many seconds.
_ACCEPT_PAUSE = 0.5
#: From so many bytes on, a part of an answer is sent before the rest of it is there.
_LARGE = 18_000
_ACCEPTED_AT_ONCE = 32


class WaitressServer:
    """
    One waitress server, from its bound socket to its last thread.

    waitress 3.0 has no graceful stop. This one uses names outside its documented API: thunks given to
    ``trigger.pull_trigger`` (run in the loop's thread), ``active_channels`` and ``_map``, ``channel_class``, and the
    methods ``accept``, ``handle_accept`` and ``readable`` of the server.
    """

    def __init__(
        self,
        app: "WSGIApplication",
        listener: socket.socket,
        *,
        name: str,
        threads: int,
        max_body: int,
        backlog: int,
        limits: Optional[ConnectionLimits],
    ) -> None:
        try:
            self._waitress: Any = create_server(
                app,
                sockets=[listener],
                threads=threads,
                max_request_header_size=_MAX_HEADERS,
                # select() dies in a process with more than 1,024 descriptors.
                asyncore_use_poll=True,
                ident=None,
                clear_untrusted_proxy_headers=True,
                backlog=backlog,
            )
        except BaseException:
            listener.close()
            raise
        # Before the first client. As an argument, waitress would warn that it may do without it one day.
        self._waitress.adj.send_bytes = _LARGE
        self._waitress.adj.limits = limits = limits or ConnectionLimits()
        limit_bodies(self._waitress.adj, max_body)
        self._waitress.channel_class = Channel
        self._admission = Admission(limits.places, SYSTEM_CLOCK.monotonic())
        self._room, self._accepts_from, self._failure = 0, 0.0, ""
        self._waitress.accept, self._waitress.handle_accept = self._accept, self._accept_some
        self._waitress.readable = self._accepts
        # A request that waits for a free thread is no news; waitress warns of each.
        self._waitress.task_dispatcher.queue_logger = _queue_log
        self._thread = threading.Thread(target=self._waitress.run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self, grace: float) -> None:
        """Four steps, in this order; the other way round waitress truncates answers or leaves its threads."""
        end = SYSTEM_CLOCK.monotonic() + grace
        # 1. No new client; the port is free.
        self._in_loop(self._close_listener)
        # Two turns of the loop: whatever had reached us by then is read, and counted as busy below.
        self._in_loop(lambda: None)
        self._in_loop(lambda: None)
        # 2. What runs is answered and flushed.
        while self._is_busy() and SYSTEM_CLOCK.monotonic() < end:
            time.sleep(_POLL_SECONDS)
        # 3. The workers end.
        dispatcher = self._waitress.task_dispatcher
        dispatcher.shutdown(cancel_pending=True, timeout=max(0.05, end - SYSTEM_CLOCK.monotonic()))
        # 4. An empty map ends the loop.
        self._in_loop(self._close_rest)
        self._thread.join(max(1.0, end - SYSTEM_CLOCK.monotonic()))
        # Not in the loop: it may run a thunk before pull_trigger() has written its byte, and a byte for a
        # closed descriptor lands in whatever file got that number next. A late worker would do the same.
        if not self._thread.is_alive() and not dispatcher.threads:
            self._waitress.trigger.close()

    def drop_inherited(self) -> None:
        """
        Close a forked child's copies of the descriptors; the parent's stay open.

        Kept, they would hold the parent's port after its death, and no thread would answer there. Only close(): a
        shutdown() would reach through to the parent's connections.
        """
        for channel in list(self._waitress.active_channels.values()):
            if channel.socket is not None:
                channel.socket.close()
        if self._waitress.socket is not None:
            self._waitress.socket.close()
        self._waitress.trigger.close()

    def _accepts(self) -> bool:
        """
        Whether clients may come; asked by the loop before each of its polls.

        The one moment to close connections: after a poll, what it says of a closed one would meet the client that has
        been given its descriptor.
        """
        now = SYSTEM_CLOCK.monotonic()
        channels = list(self._waitress.active_channels.values())
        if self._failure:
            self._admission.lack_descriptors(len(channels), now)
        self._room = self._admission.review(channels, now)
        if self._failure and len(self._waitress.active_channels) == len(channels):
            self._accepts_from = now + _ACCEPT_PAUSE
            log.error("no connection can be taken for now: %s", self._failure)
        self._failure = ""
        return bool(self._waitress.accepting) and self._room > 0 and now >= self._accepts_from

    def _accept_some(self) -> None:
        """Take in clients; for a moment more than there are places: who has to go is seen when they are here."""
        accepted = 0
        while accepted < min(self._room, _ACCEPTED_AT_ONCE) and self._accept_one():
            accepted += 1
        if accepted:
            # Without descriptors accept() fails also where no client is left outside.
            self._failure = ""

    def _accept_one(self) -> bool:
        known = len(self._waitress._map)
        type(self._waitress).handle_accept(self._waitress)
        return len(self._waitress._map) != known

    def _accept(self) -> Any:
        """A client; None where there is none, or the system has no room for it."""
        try:
            return type(self._waitress).accept(self._waitress)
        except OSError as error:
            self._failure = str(error)
            return None

    def _close_listener(self) -> None:
        # Clients in the kernel's queue believe they are connected: closing now would reset them.
        for _ in range(self._waitress.adj.backlog):
            if not self._accept_one():
                break
        self._waitress.accepting = False
        self._waitress.del_channel()
        self._waitress.socket.close()

    def _is_busy(self) -> bool:
        dispatcher = self._waitress.task_dispatcher
        return bool(dispatcher.queue or dispatcher.active_count > 0) or any(
            channel.requests or channel.total_outbufs_len for channel in list(self._waitress.active_channels.values())
        )

    def _close_rest(self) -> None:
        for channel in list(self._waitress.active_channels.values()):
            if not channel.requests:
                # Made while the workers were waited for, and not sent by the loop yet.
                channel.flush_whole_responses()
            channel.handle_close()
        self._waitress._map.clear()

    def _in_loop(self, action: Callable[[], None]) -> None:
        """Run it in the loop's thread, and wait: closing a socket under a poll() that holds it is a race."""
        done = threading.Event()

        def run() -> None:
            try:
                action()
            finally:
                done.set()

        if self._thread.is_alive():
            self._waitress.trigger.pull_trigger(run)
            end = SYSTEM_CLOCK.monotonic() + _LOOP_PATIENCE
            while not done.wait(0.2) and self._thread.is_alive():
                if SYSTEM_CLOCK.monotonic() > end:
                    log.error("the loop of the web server hangs, and is left behind")
                    return
        if not done.is_set():
            run()
