"""One client's connection in waitress: answers in one piece, and knows since when the server waits for its client."""

import socket
from contextlib import suppress
from typing import Any, NamedTuple, Optional

from waitress.channel import HTTPChannel  # type: ignore[import-untyped,unused-ignore]

from fedapay_sync.common.clock import SYSTEM_CLOCK
from fedapay_sync.server.request_parser import RequestParser


class ConnectionLimits(NamedTuple):
    """How many connections a server keeps, and for how many seconds it waits for a client."""

    places: int = 200
    #: From the first byte of a request to its last; for a client that has asked nothing yet, from its connection on.
    request: float = 10.0
    #: From the first byte of an answer that the client leaves in our hands until it has taken all of them.
    answer: float = 30.0
    #: Between two requests.
    idle: float = 15.0


class Awaited(NamedTuple):
    """That the client has to act: since when, and how long it may take. The least goes first where places run out."""

    is_under_way: bool
    since: float
    until: float


class Channel(HTTPChannel):  # type: ignore[misc,unused-ignore]
    """
    Sends an answer once it is whole, in one packet, from the loop's thread.

    waitress sends header and body from the thread that made them: twice a system call, and each time a place in the
    line for the interpreter's lock, which is long where many answers wait for the same commit.
    """

    parser_class = RequestParser

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # The first byte of the request that is being read; before the first request, the connection's beginning.
        self._begun = SYSTEM_CLOCK.monotonic()
        self._answered: Optional[float] = None
        self._refused: Optional[float] = None
        super().__init__(*arguments, **options)

    def awaited(self) -> Optional[Awaited]:
        """What the server waits for; None where it is the server's turn. Called by the loop's thread."""
        # In this order: a thread that ends a request has handed over the answer before.
        if self.requests or self.total_outbufs_len:
            refused = None if self._is_held_back() else self._refused
            return None if refused is None else Awaited(True, refused, refused + self.adj.limits.answer)
        if self.request is None and self._answered is not None:
            return Awaited(False, self._answered, self._answered + self.adj.limits.idle)
        # What came while an earlier request was worked on was not read: that time is not the client's.
        since = max(self._begun, self._answered or 0.0)
        return Awaited(True, since, since + self.adj.limits.request)

    def has_unread_request(self) -> bool:
        """Whether the first bytes of a request lie in the kernel: its client has acted, and the loop reads it next."""
        if self.request is None and not self.total_outbufs_len:
            with suppress(OSError):
                return bool(self.socket.recv(1, socket.MSG_PEEK))
        return False

    def received(self, data: bytes) -> bool:
        """Take in what has come, and note when a request began."""
        before = self.request
        taken = bool(super().received(data))
        # Blank lines make no request, and prolong nothing.
        if self.request is not None and self.request is not before:
            self._begun = SYSTEM_CLOCK.monotonic()
        return taken

    def readable(self) -> bool:
        return self.socket is not None and bool(super().readable())

    def writable(self) -> bool:
        # What is held back must not be polled for: poll() would come back at once, again and again.
        return self.socket is not None and bool(super().writable()) and not self._is_held_back()

    def service(self) -> None:
        """Answer a request; the whole answer to one that came before it in the same packet does not wait for this."""
        if self.total_outbufs_len:
            self.flush_whole_responses()
        super().service()

    def flush_whole_responses(self) -> None:
        """Send now what the client takes of it."""
        self._flush_exception(self._flush_some, do_close=False)

    def _is_held_back(self) -> bool:
        """Whether the rest of an answer is waited for before more of it is sent."""
        return bool(self.requests) and self.total_outbufs_len < self.adj.send_bytes and not self.will_close

    def _flush_some(self, do_close: bool = True) -> bool:
        # The loop sends without the lock, and a worker that says "100 Continue" to the next request sends as well:
        # the client would get the answer twice.
        with self.outbuf_lock:
            sent = bool(super()._flush_some(do_close))
            now = SYSTEM_CLOCK.monotonic()
            if self.total_outbufs_len:
                self._refused = self._refused or now
            else:
                self._answered, self._refused = now, None
            return sent
