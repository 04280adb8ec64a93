"""The badly answering server of the tests must not disturb the tests that run after it."""

import socket

import pytest
from support.raw_server import RawServer, answers


@pytest.mark.parametrize("sent", [b"", b"GET", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: here\r\n"])
def test_a_connection_that_ends_inside_a_request_ends_its_thread(sent, eventually):
    """Reading went on at the end of the stream, at the cost of a whole processor for the rest of the run."""
    with RawServer(answers(200)) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(sent)
        eventually(lambda: server.ended == 1)
    assert server.requests == []
