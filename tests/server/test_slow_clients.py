"""Clients that are slow on purpose: each has its time, and the slowest goes where places run out."""

import errno
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from fedapay_sync.server.admission import places_among
from fedapay_sync.server.channel import ConnectionLimits
from fedapay_sync.server.web_server import WebServer

pytestmark = pytest.mark.faults(row=11)

WHOLE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
LARGE = b"x" * 8_000_000


def app(environ, start_response):
    """Reads the body, and answers in short; with eight megabytes where they are asked for."""
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [LARGE if environ["PATH_INFO"] == "/large" else b"heard"]


@pytest.fixture
def serve():
    """Starts a server with these limits."""
    with ExitStack() as stack:
        yield lambda application=app, **limits: stack.enter_context(
            WebServer(application, limits=ConnectionLimits(**limits))
        )


@pytest.fixture
def connect():
    """A client's connection to a server, on which that has been sent."""
    with ExitStack() as stack:

        def start(server, sent=b""):
            connection = stack.enter_context(socket.create_connection((server.host, server.port), timeout=10))
            connection.sendall(sent)
            return connection

        yield start


def channels(server):
    """The server's ends of its connections."""
    return list(server._server._waitress.active_channels.values())


def has_heard(server, count):
    """Whether so many connections are there, once all that was sent on them has been read."""
    server._server._in_loop(lambda: None)
    server._server._in_loop(lambda: None)
    return len(channels(server)) == count


def is_cut(connection):
    """Whether the server has closed it, without an answer."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def answer_on(connection, sent=b""):
    """The first line of the answer to that."""
    connection.settimeout(10)
    connection.sendall(sent)
    return connection.recv(65536).partition(b"\r\n")[0]


def goes_on(connection, byte):
    """Send that, unless the server has closed the connection; whether it still stands."""
    try:
        return not is_cut(connection) and connection.send(byte) >= 0
    except ConnectionError:
        return False


#: How a request begins, and what its client goes on with.
BEGINNINGS = {
    "nothing": (b"", b""),
    "blank lines": (b"", b"\n"),
    "head": (POST + b"X-Slow: ", b"x"),
    "body": (POST + b"Content-Length: 10000\r\n\r\n", b"x"),
    "continued": (POST + b"Expect: 100-continue\r\nContent-Length: 10000\r\n\r\n", b"x"),
    "chunk": (POST + b"Transfer-Encoding: chunked\r\n\r\n2710\r\n", b"x"),
    "a second request": (WHOLE + POST, b"x"),
}


def test_a_request_that_is_not_whole_in_time_is_cut_off(serve, connect, eventually):
    """
    However busily its client goes on: the time runs from the first byte.
    """
    server = serve(request=0.2, idle=60)
    left = {how: connect(server, begun) for how, (begun, _) in BEGINNINGS.items()}
    for how in ("continued", "a second request"):
        assert answer_on(left[how]).startswith(b"HTTP/1.1 ")

    def all_are_gone():
        for how in [how for how, connection in left.items() if not goes_on(connection, BEGINNINGS[how][1])]:
            del left[how]
        return not left

    eventually(all_are_gone, 5)


def test_a_client_that_asks_nothing_more_is_let_go(serve, connect, eventually):
    """
    Blank lines are no question.
    """
    server = serve(request=60, idle=0.2)
    connection = connect(server)
    assert answer_on(connection, WHOLE) == b"HTTP/1.1 200 OK"

    eventually(lambda: not goes_on(connection, b"\r\n\r\n"), 5)


@pytest.mark.parametrize("asked", [1, 50], ids=["one answer", "fifty answers"])
def test_an_answer_that_is_not_taken_in_time_is_dropped(serve, connect, eventually, asked):
    """
    Neither the connection is kept, nor the thread that has more for that client.
    """
    server = serve(answer=0.3)
    connection = connect(server, b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n" * asked)
    assert connection.recv(1) == b"H"

    def reads_a_byte():
        connection.recv(1)
        return not channels(server)

    eventually(reads_a_byte, 5)
    eventually(lambda: not server._server._waitress.task_dispatcher.active_count, 5)


def test_an_answer_that_is_taken_as_it_comes_is_given_whole(serve, connect):
    """
    Eight megabytes that are read at once.
    """
    server = serve(answer=5)
    connection = connect(server, b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    received = 0
    while piece := connection.recv(1 << 20):
        received += len(piece)
    assert received > len(LARGE)


def test_the_idle_one_goes_first_and_then_the_slowest(serve, connect, eventually):
    """
    Never the newcomer, who has not had the time to say anything.
    """
    server = serve(places=3)
    begun = connect(server, POST)
    assert has_heard(server, 1)
    silent = connect(server)
    assert has_heard(server, 2)
    idle = connect(server)
    assert answer_on(idle, WHOLE) == b"HTTP/1.1 200 OK"
    newcomers = []
    for goes in (idle, begun, silent):
        newcomers.append(connect(server))
        eventually(lambda goes=goes: is_cut(goes))
        assert len(channels(server)) == 3

    assert [answer_on(each, WHOLE) for each in newcomers] == [b"HTTP/1.1 200 OK"] * 3


def test_what_is_being_answered_keeps_its_place(serve, connect):
    """
    Newcomers wait outside, and have their turn.
    """
    inside, opened = threading.Semaphore(0), threading.Event()

    def gate(environ, start_response):
        inside.release()
        opened.wait(10)
        return app(environ, start_response)

    server = serve(gate, places=2)
    running = [connect(server, WHOLE) for _ in range(2)]
    for _ in running:
        assert inside.acquire(timeout=10)
    newcomers = [connect(server, WHOLE) for _ in range(4)]
    assert has_heard(server, 2)
    opened.set()

    assert [answer_on(each) for each in running + newcomers] == [b"HTTP/1.1 200 OK"] * 6


def test_what_came_while_the_process_was_stopped_is_read_before_it_is_called_late(serve, connect):
    """
    Its time is over then, and all its bytes are there.
    """
    server = serve(request=0.5)
    connection = connect(server, POST)
    assert has_heard(server, 1)
    stopped, goes_on = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(server._server._in_loop, lambda: stopped.set() or goes_on.wait(10))
        assert stopped.wait(10)
        connection.sendall(b"\r\n")
        threading.Event().wait(1)
        goes_on.set()

        assert answer_on(connection) == b"HTTP/1.1 200 OK"


def test_a_stranger_gives_its_descriptor_where_none_is_left(serve, connect, eventually, monkeypatch):
    """
    At once, and not when its time is over.
    """

    class Starved:
        def __init__(self, listener):
            self.listener = listener

        def __getattr__(self, name):
            return getattr(self.listener, name)

        def accept(self):
            if len(channels(server)) > 1:
                raise OSError(errno.EMFILE, "Too many open files")
            return self.listener.accept()

    server = serve(request=60)
    strangers = [connect(server, POST) for _ in range(3)]
    eventually(lambda: has_heard(server, 3))
    monkeypatch.setattr(server._server._waitress, "socket", Starved(server._server._waitress.socket))

    assert answer_on(connect(server), WHOLE) == b"HTTP/1.1 200 OK"
    assert all(is_cut(each) for each in strangers[:2])


@pytest.mark.parametrize(("descriptors", "places"), [(float("inf"), 200), (1024, 200), (256, 64), (3, 1)])
def test_most_descriptors_are_left_to_the_program(descriptors, places):
    """
    A quarter of what the process may open, at most.
    """
    assert places_among(descriptors, 200) == places
