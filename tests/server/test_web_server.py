"""The web server: every request it took is answered, and nothing of it is left behind."""

import errno
import gc
import os
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from fedapay_sync.errors import InvalidArgument, PortUnavailable
from fedapay_sync.server.web_server import WebServer, hang_up


def hello(environ, start_response):
    """Reads the whole body, says its length."""
    length = len(environ["wsgi.input"].read())
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(length).encode()]


class Gate:
    """An application that answers when it is told to, and says how many are inside."""

    def __init__(self):
        self.opened = threading.Event()
        self.inside = threading.Semaphore(0)

    def __call__(self, environ, start_response):
        self.inside.release()
        self.opened.wait(10)
        return hello(environ, start_response)


def get(url):
    """One request on a connection of its own."""
    return requests.get(url, timeout=10, headers={"Connection": "close"})


def ask(server):
    """A connection on which a whole request has been sent."""
    connection = socket.create_connection((server.host, server.port), timeout=10)
    connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    return connection


def answer_of(connection):
    """The first line of the answer; nothing must be missing after it."""
    with connection, connection.makefile("rb") as stream:
        head, _, body = stream.read().partition(b"\r\n\r\n")
    return head.splitlines()[0] if body == b"0" else b"no whole answer"


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


def descriptors():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts in /proc/self/fd")
needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")


def test_a_started_server_answers_and_a_stopped_one_refuses():
    """
    Between start and stop there is an answer; after stop the port is closed.
    """
    server = WebServer(hello)
    assert not server.is_running
    server.start()
    assert server.is_running
    assert get(server.url).text == "0"

    server.stop()

    assert not server.is_running
    with pytest.raises(requests.ConnectionError):
        get(server.url)


def test_starting_and_stopping_twice_changes_nothing():
    """
    Both are idempotent: a notebook cell may be run again.
    """
    server = WebServer(hello)
    server.stop()
    server.start()
    port = server.port
    server.start()
    assert server.port == port
    server.stop()
    server.stop()


@pytest.mark.faults(row=16)
@linux_only
@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
def test_a_hundred_rounds_answer_all_and_leave_no_thread_and_no_descriptor(host):
    """
    Six requests in flight at each stop, four running and two queued, on one port all along: 600 answers.
    """
    gate = Gate()
    server = WebServer(gate, host=host, threads=4)
    server.start()
    server.stop()
    threads, before, port = threading.active_count(), descriptors(), server.port
    for _ in range(100):
        gate.opened.clear()
        server.start()
        connections = [ask(server) for _ in range(6)]
        for _ in range(4):
            assert gate.inside.acquire(timeout=10)
        opener = threading.Timer(0.005, gate.opened.set)
        opener.start()
        server.stop()
        opener.join()
        assert [answer_of(each) for each in connections] == [b"HTTP/1.1 200 OK"] * 6
        for _ in range(2):
            assert gate.inside.acquire(timeout=10)
    assert server.port == port
    # Not more, but perhaps fewer: an earlier test's last thread may have ended meanwhile.
    assert threading.active_count() <= threads
    assert descriptors() <= before


def test_requests_in_flight_at_stop_are_all_answered():
    """
    Forty connections sent their request before stop, the server has two threads: forty answers.
    """
    gate = Gate()
    server = WebServer(gate, threads=2)
    server.start()
    connections = [ask(server) for _ in range(40)]
    stopper = threading.Thread(target=server.stop)
    stopper.start()
    gate.opened.set()
    stopper.join(10)
    assert [answer_of(each) for each in connections] == [b"HTTP/1.1 200 OK"] * 40


def test_an_answer_made_while_stop_waits_for_its_threads_is_sent(monkeypatch):
    """
    Also when the loop, which sends the answers, has had no turn since.
    """
    gate = Gate()
    server = WebServer(gate, threads=2)
    server.start()
    running = server._server
    dispatcher = running._waitress.task_dispatcher
    shutdown = dispatcher.shutdown

    def in_one_turn(**how):
        gate.opened.set()
        shutdown(**{**how, "timeout": 10})
        running._close_rest()

    monkeypatch.setattr(dispatcher, "shutdown", lambda **how: running._in_loop(lambda: in_one_turn(**how)))
    connection = ask(server)
    assert gate.inside.acquire(timeout=10)
    server.stop(0.0)
    assert answer_of(connection) == b"HTTP/1.1 200 OK"


@pytest.mark.faults(row=16)
def test_stop_does_not_wait_longer_than_its_grace():
    """
    A request that hangs is cut at the end of the grace; stop comes back and the port is free.
    """
    gate = Gate()
    server = WebServer(gate, threads=2)
    server.start()
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(get, server.url)
        assert gate.inside.acquire(timeout=10)
        stopper = threading.Thread(target=server.stop, args=(0.1,))
        stopper.start()
        stopper.join(5)
        assert not stopper.is_alive()
        with pytest.raises(requests.ConnectionError):
            pending.result(5)
        with WebServer(hello, port=server.port) as second:
            assert get(second.url).status_code == 200
        gate.opened.set()


def test_a_second_server_takes_the_port_as_soon_as_the_first_has_stopped():
    """
    Stop frees the port at once, also after served connections.
    """
    first = WebServer(hello)
    first.start()
    get(first.url)
    first.stop()
    with WebServer(hello, port=first.port) as second:
        assert second.port == first.port
        assert get(second.url).text == "0"


def test_a_taken_port_is_an_error_of_the_caller_that_says_what_to_do():
    """
    The exception comes from start(), names host and port, and offers port 0; it is an OSError too.
    """
    with WebServer(hello) as first:
        second = WebServer(hello, port=first.port)
        with pytest.raises(PortUnavailable, match=rf"127\.0\.0\.1:{first.port} est déjà pris.*port 0") as caught:
            second.start()
        assert (caught.value.host, caught.value.port) == ("127.0.0.1", first.port)
        assert isinstance(caught.value, OSError)
        assert not second.is_running


def test_a_foreign_address_is_an_error_that_says_so():
    """
    192.0.2.1 is the address of no machine.
    """
    with pytest.raises(PortUnavailable, match="n'est pas une adresse où cette machine peut écouter"):
        WebServer(hello, host="192.0.2.1").start()


@pytest.mark.parametrize("port", [-1, 65536, "80", True, 1.5])
def test_what_is_no_port_is_refused_at_once(port):
    """
    A wrong port is named in the constructor.
    """
    with pytest.raises(InvalidArgument, match="0 à 65535"):
        WebServer(hello, port=port)


@linux_only
def test_failed_starts_leave_nothing_behind():
    """
    Twenty refusals cost no thread and no descriptor.
    """
    with WebServer(hello) as first:
        threads, before = threading.active_count(), descriptors()
        for _ in range(20):
            with pytest.raises(PortUnavailable):
                WebServer(hello, port=first.port).start()
        assert threading.active_count() <= threads
        assert descriptors() <= before


@pytest.mark.faults(row=11)
def test_a_body_that_says_it_is_too_big_gets_413():
    """
    The limit is checked on the announced length; the application is not called.
    """
    with WebServer(hello, max_body=1000) as server:
        assert requests.post(server.url, data=b"x" * 999, timeout=10).text == "999"
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
            assert connection.makefile("rb").readline().startswith(b"HTTP/1.1 413")


@pytest.mark.faults(row=11)
def test_a_chunked_body_that_grows_too_big_gets_413():
    """
    Without an announced length the bytes are counted as they come.
    """
    with (
        WebServer(hello, max_body=1000) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection,
    ):
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(b"7d0\r\n" + b"x" * 2000 + b"\r\n")
        assert connection.makefile("rb").readline().startswith(b"HTTP/1.1 413")


def raw_answer(server, head, body=b""):
    """The status of the answer to these bytes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n" + body)
        return connection.makefile("rb").readline().split()[1]


@pytest.mark.faults(row=11)
@pytest.mark.parametrize("chunk", [None, 1000, 1])
def test_the_largest_admitted_body_is_taken_and_one_byte_more_is_not(chunk):
    """
    Announced, or in chunks: what stands between them does not count.
    """

    def sent(size):
        if chunk is None:
            return raw_answer(server, f"Content-Length: {size}".encode(), b"x" * size)
        parts = [b"x" * min(chunk, size - start) for start in range(0, size, chunk)]
        framed = b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in parts)
        return raw_answer(server, b"Transfer-Encoding: chunked", framed + b"0\r\n\r\n")

    with WebServer(hello, max_body=1000) as server:
        assert [sent(size) for size in (999, 1000, 1001)] == [b"200", b"200", b"413"]


@pytest.mark.faults(row=11)
def test_what_stands_between_the_chunks_has_a_limit_too():
    """
    A body of few bytes, and of a megabyte on the wire.
    """
    with WebServer(hello, max_body=1000) as server:
        framed = b"1;" + b"a" * 100_000 + b"\r\nx\r\n0\r\n\r\n"
        assert raw_answer(server, b"Transfer-Encoding: chunked", framed) in (b"400", b"413")


@pytest.mark.faults(row=11)
@pytest.mark.parametrize("digits", [4300, 4301, 9000])
def test_a_content_length_that_python_cannot_read_is_answered(digits, caplog):
    """
    413 like every other giant, and no traceback in the log.
    """
    with WebServer(hello) as server:
        assert raw_answer(server, b"Content-Length: " + b"1" * digits) == b"413"
        assert get(server.url).status_code == 200
    assert "ValueError" not in caplog.text


@pytest.mark.faults(row=11)
def test_a_hung_up_request_gets_no_answer_and_the_server_goes_on():
    """
    hang_up closes that one connection without a byte.
    """

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/cut":
            hang_up(environ)
        return hello(environ, start_response)

    with WebServer(app) as server:
        with pytest.raises(requests.ConnectionError):
            get(server.url + "/cut")
        assert get(server.url).status_code == 200


def test_the_answer_does_not_tell_what_serves():
    """
    No Server header.
    """
    with WebServer(hello) as server:
        assert "Server" not in get(server.url).headers


def test_an_answer_comes_in_one_piece():
    """
    Header and body, and the next one on the same connection likewise.
    """
    with WebServer(hello) as server, socket.create_connection((server.host, server.port), timeout=10) as connection:
        for _ in range(3):
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
            assert connection.recv(65536).endswith(b"\r\n\r\n3")


def test_an_answer_does_not_wait_for_the_next_one():
    """
    Two requests in one packet: the first is answered while the second is still being worked on.
    """
    gate = Gate()

    def app(environ, start_response):
        return (gate if environ["PATH_INFO"] == "/slow" else hello)(environ, start_response)

    with WebServer(app) as server, socket.create_connection((server.host, server.port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert gate.inside.acquire(timeout=10)
        connection.settimeout(5)
        assert connection.recv(65536).endswith(b"\r\n\r\n0")
        gate.opened.set()
        assert connection.recv(65536).endswith(b"\r\n\r\n0")


def test_an_answer_before_a_request_that_waits_for_100_continue_is_sent_once():
    """
    Two threads have something to send to that client then, while other clients keep the loop awake.
    """
    first = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    second = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    done = threading.Event()

    def keep_awake(server):
        with socket.create_connection((server.host, server.port), timeout=10) as connection:
            while not done.is_set():
                connection.sendall(first)
                connection.recv(65536)

    def said_to(server):
        with socket.create_connection((server.host, server.port), timeout=10) as connection:
            connection.sendall(first + second)
            stream, said = connection.makefile("rb"), b""
            while b"100 Continue\r\n\r\n" not in said:
                said += stream.readline() or pytest.fail("hung up")
            connection.sendall(b"abc")
            return said + stream.read()

    with WebServer(hello) as server, ThreadPoolExecutor(3) as pool:
        awake = [pool.submit(keep_awake, server) for _ in range(3)]
        try:
            counts = {(said.count(b" 200 OK"), said.count(b" 100 ")) for said in (said_to(server) for _ in range(300))}
        finally:
            done.set()
    assert [each.result(10) for each in awake] == [None] * 3
    assert counts == {(2, 1)}


def test_an_answer_that_is_begun_and_not_yet_whole_keeps_no_core_busy():
    """
    What is held back until then is not asked about again and again.
    """
    begun, go_on = threading.Event(), threading.Event()

    def app(environ, start_response):
        return slow(start_response) if environ["PATH_INFO"] == "/slow" else hello(environ, start_response)

    def slow(start_response):
        start_response("200 OK", [("Content-Length", "9")])
        yield b"begin"
        begun.set()
        go_on.wait(10)
        yield b" end"

    with WebServer(app) as server, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(get, f"{server.url}/slow")
        assert begun.wait(10)
        # The loop has turned since.
        assert get(server.url).content == b"0"
        used = time.process_time()
        threading.Event().wait(1)
        used = time.process_time() - used
        go_on.set()

        assert answer.result(10).content == b"begin end"
    assert used < 0.05


def test_a_system_without_descriptors_is_asked_with_pauses(monkeypatch, caplog):
    """
    Not a hundred thousand times a second, each time with a line in the log; the client is taken when there is room.
    """

    class Starved:
        calls, hungry = 0, True

        def __init__(self, listener):
            self.listener = listener

        def __getattr__(self, name):
            return getattr(self.listener, name)

        def accept(self):
            self.calls += 1
            if self.hungry:
                raise OSError(errno.EMFILE, "Too many open files")
            return self.listener.accept()

    with WebServer(hello) as server:
        starved = Starved(server._server._waitress.socket)
        monkeypatch.setattr(server._server._waitress, "socket", starved)
        connection = ask(server)
        threading.Event().wait(1)
        assert 1 <= starved.calls <= 5
        assert 1 <= len(caplog.records) <= 5
        starved.hungry = False
        assert answer_of(connection) == b"HTTP/1.1 200 OK"


@pytest.mark.faults(row=16)
@needs_ipv6
def test_it_listens_on_ipv6():
    """
    The url has brackets, and answers.
    """
    with WebServer(hello, host="::1") as server:
        assert server.url == f"http://[::1]:{server.port}"
        assert get(server.url).status_code == 200


def test_the_url_of_a_server_on_every_address_can_be_called():
    """
    0.0.0.0 is where one listens, not where one calls.
    """
    with WebServer(hello, host="0.0.0.0") as server:
        assert get(server.url).status_code == 200


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_builds_its_own_and_leaves_the_parents_alone():
    """
    The child sees no running server, starts one on another port; the parent goes on, and its port is free
    once it stops although the child lives.
    """
    with WebServer(hello) as server:
        get(server.url)
        report, tell = os.pipe()
        wait, leave = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                was_running = server.is_running
                server.start()
                facts = f"{was_running} {get(server.url).status_code} {server.port}"
                os.write(tell, facts.encode())
                os.read(wait, 1)
            except BaseException as error:
                os.write(tell, repr(error).encode())
            finally:
                os._exit(0)
        try:
            was_running, status, port = os.read(report, 1000).decode().split(" ")
            assert (was_running, status) == ("False", "200")
            assert int(port) != server.port
            assert get(server.url).status_code == 200
            server.stop()
            with WebServer(hello, port=server.port) as second:
                assert get(second.url).status_code == 200
        finally:
            os.write(leave, b"x")
            os.waitpid(child, 0)
            for each in (report, tell, wait, leave):
                os.close(each)
