"""
One waitress server with a graceful stop, from its bound socket to its last thread.

Loaded when a server starts, and not by a program that only imports the package.
"""

import logging
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Callable

from waitress.channel import HTTPChannel  # type: ignore[import-untyped,unused-ignore]
from waitress.server import create_server  # type: ignore[import-untyped,unused-ignore]

from fedapay_sync.common.clock import SYSTEM_CLOCK
from fedapay_sync.common.logging import get_logger
from fedapay_sync.server.request_parser import RequestParser, limit_bodies

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = get_logger(__name__)
_queue_log = get_logger(f"{__name__}.queue")
_queue_log.setLevel(logging.ERROR)

_MAX_HEADERS = 16_384
_POLL_SECONDS = 0.005
#: Where the system has no descriptor left for a client, it is asked again after so many seconds.
_ACCEPT_PAUSE = 0.5
#: From so many bytes on, a part of an answer is sent before the rest of it is there.
_LARGE = 18_000


class _WholeResponseChannel(HTTPChannel):  # type: ignore[misc,unused-ignore]
    """
    Sends an answer once it is whole, in one packet, from the loop's thread.

    waitress sends header and body from the thread that made them: twice a system call, and each time a place in the
    line for the interpreter's lock, which is long where many answers wait for the same commit.
    """

    parser_class = RequestParser

    def writable(self) -> bool:
        # What is held back must not be polled for: poll() would come back at once, again and again.
        held = self.requests and self.total_outbufs_len < self.adj.send_bytes and not self.will_close
        return bool(super().writable() and not held)

    def service(self) -> None:
        """Answer a request; the whole answer to one that came before it in the same packet does not wait for this."""
        if self.total_outbufs_len:
            self.flush_whole_responses()
        super().service()

    def flush_whole_responses(self) -> None:
        """Send now what the client takes of it."""
        self._flush_exception(self._flush_some, do_close=False)

    def _flush_some(self, do_close: bool = True) -> bool:
        # The loop sends without the lock, and a worker that says "100 Continue" to the next request sends as well:
        # the client would get the answer twice.
        with self.outbuf_lock:
            return bool(super()._flush_some(do_close))


class WaitressServer:
    """
    One waitress server, from its bound socket to its last thread.

    waitress 3.0 has no graceful stop. This one uses names outside its documented API: thunks given to
    ``trigger.pull_trigger`` (run in the loop's thread), ``active_channels`` and ``_map``, ``channel_class``, and the
    methods ``accept`` and ``readable`` of the server.
    """

    def __init__(
        self, app: "WSGIApplication", listener: socket.socket, name: str, threads: int, max_body: int, backlog: int
    ) -> None:
        try:
            self._waitress: Any = create_server(
                app,
                sockets=[listener],
                threads=threads,
                connection_limit=200,
                max_request_header_size=_MAX_HEADERS,
                channel_timeout=15,
                cleanup_interval=5,
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
        limit_bodies(self._waitress.adj, max_body)
        self._waitress.channel_class = _WholeResponseChannel
        self._accepts_from = 0.0
        self._waitress.accept, self._waitress.readable = self._accept, self._accepts
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

    def _accept(self) -> Any:
        """A client; None for now where the system has no room for one. waitress would ask, and log, without pause."""
        try:
            return type(self._waitress).accept(self._waitress)
        except OSError as error:
            self._accepts_from = SYSTEM_CLOCK.monotonic() + _ACCEPT_PAUSE
            log.error("no connection can be taken for now: %s", error)
            return None

    def _accepts(self) -> bool:
        # waitress first: it closes idle connections here, and so makes room.
        return bool(type(self._waitress).readable(self._waitress)) and SYSTEM_CLOCK.monotonic() >= self._accepts_from

    def _close_listener(self) -> None:
        # Clients in the kernel's queue believe they are connected: closing now would reset them.
        known = -1
        while known != len(self._waitress._map):
            known = len(self._waitress._map)
            self._waitress.handle_accept()
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
            while not done.wait(0.2) and self._thread.is_alive():
                pass
        if not done.is_set():
            run()
