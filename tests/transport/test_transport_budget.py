"""No call outlasts its budget, whatever the server does with its time."""

import socket
import threading
import time

import pytest
from support.raw_server import RawServer, answers, drips, hangs, says
from support.transport_calls import GOOD, ask, failure, transport_to

from fedapay_sync.errors import NotSent, OutcomeUnknown

BUDGET = 0.4
#: Seconds that a busy machine may add.
GRACE = 1.0

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
GZIP = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"
SLOW = {
    "no answer": hangs,
    "a status line": drips(b"HTTP/1.1 200 ", b"O"),
    "a header": drips(OK + b"X-Long: ", b"x"),
    "headers": drips(OK, b"X: y\r\n"),
    "100 Continue": drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "100 Continue, as fast as can be": drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50, pause=0),
    "a body": drips(OK + b"Content-Length: 1000000\r\n\r\n{"),
    "a body without a length": drips(OK + b"\r\n{"),
    "a chunk": drips(CHUNKED + b"ffffff\r\n{"),
    "chunks": drips(CHUNKED, b"1\r\n \r\n"),
    "the size of a chunk": drips(CHUNKED, b"0"),
    "a chunk's extension": drips(CHUNKED + b"1;", b"x"),
    "trailers": drips(CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: y\r\n"),
    "gzip that gives nothing": drips(OK + b"Content-Encoding: gzip\r\n\r\n" + GZIP, b"\x00\x00\x00\xff\xff"),
    "a redirect": drips(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 1000000\r\n\r\n"),
}


@pytest.mark.faults(row=12)
@pytest.mark.parametrize("part", SLOW)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_dripping_answer_ends_with_the_budget(part, method):
    """
    A byte now and then keeps every read timeout happy; the budget is not, and a POST is not repeated.
    """
    with RawServer(SLOW[part]) as server:
        transport = transport_to(server.url, timeouts=(5.0, 30.0), budget=BUDGET)
        start = time.monotonic()

        error = failure(transport, method)

        assert time.monotonic() - start < BUDGET + GRACE
        assert type(error) is OutcomeUnknown
        assert server.methods == [method]


@pytest.mark.faults(row=12)
def test_the_read_timeout_still_counts():
    """
    Silence ends before the budget does.
    """
    with RawServer(hangs) as server:
        start = time.monotonic()
        failure(transport_to(server.url, timeouts=(1.0, 0.1), budget=30), "POST")
        assert time.monotonic() - start < 0.1 + GRACE


def test_a_connection_that_is_used_again_has_all_the_time_to_read():
    """
    What was left for the call before, or for sending, does not count.
    """

    def late(server, connection, request):
        server.stopping.wait(0.6)
        return answers(200, b"{}")(server, connection, request)

    with RawServer(GOOD, late) as server:
        transport = transport_to(server.url, timeouts=(0.3, 5))
        ask(transport)
        # The time for connecting, and not that for reading, is what the socket was last given.
        assert ask(transport, "POST", body={}).body == {}
        assert server.connections == 1


def test_what_little_time_one_call_had_left_is_not_the_next_ones():
    """
    The socket is the same: a hurried end of one answer must not make the next request fail while it is sent.
    """

    def late_and_lazy(server, connection, request):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        for piece, pause in ((b"{", 1.7), (b"}", 0.05)):
            server.stopping.wait(pause)
            connection.sendall(piece)
        server.stopping.wait(0.9)  # reads nothing meanwhile
        return True

    with RawServer(late_and_lazy, GOOD) as server:
        transport = transport_to(server.url, timeouts=(5, 5), budget=2.0)
        ask(transport)
        ask(transport, "POST", body={"description": "x" * 20_000_000})
        assert server.connections == 1


@pytest.mark.faults(row=12)
def test_a_server_that_takes_no_body_does_not_hold_us():
    """
    It accepts, and reads nothing: what is sent fills the buffers, then the budget ends it.
    """
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        start = time.monotonic()
        error = failure(transport_to(url, budget=BUDGET), "POST", body={"description": "x" * 20_000_000})
        assert time.monotonic() - start < BUDGET + 2 * GRACE
        assert type(error) is OutcomeUnknown


def test_a_server_that_sips_a_body_does_not_hold_us():
    """
    Nor one that takes a little of it now and then.
    """
    stop = threading.Event()

    def sip():
        connection, _ = deaf.accept()
        with connection:
            while not stop.wait(0.05):
                connection.recv(20_000)

    with socket.create_server(("127.0.0.1", 0)) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sipper = threading.Thread(target=sip, daemon=True)
        sipper.start()
        start = time.monotonic()
        error = failure(
            transport_to(f"http://127.0.0.1:{deaf.getsockname()[1]}", timeouts=(5, 30), budget=BUDGET),
            "POST",
            body={"description": "x" * 20_000_000},
        )
        assert time.monotonic() - start < BUDGET + 2 * GRACE
        assert type(error) is OutcomeUnknown
        stop.set()
        sipper.join(5)


@pytest.mark.parametrize("words", [b"", b"HTTP/1.1 200 Connection established\r\nX: "])
def test_a_proxy_that_drips_ends_with_the_budget(words, monkeypatch):
    """
    The tunnel never opens: nothing of the request has left.
    """
    with RawServer(drips(words, b"x")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        start = time.monotonic()

        error = failure(transport_to("https://sandbox-api.fedapay.com", timeouts=(5, 30), budget=BUDGET), "POST")

        assert time.monotonic() - start < BUDGET + GRACE
        assert type(error) is NotSent
        assert proxy.methods[0] == "CONNECT"


def test_pieces_put_together_make_the_body():
    """
    A large body arrives whole, though it is sent piece by piece.
    """
    text = "é" * 300_000
    with RawServer(says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")) as server:
        ask(transport_to(server.url, timeouts=(5, 5), budget=20), "POST", body={"description": text})
        assert server.requests[0].json == {"description": text}
