"""
A thousand clients that are slow on purpose, in a process of their own. Ends when its input does.

``python strangers.py PORT COUNT MANNERS…``: each connection has one of the manners, in turn. One that is cut off comes
back within a second. A line says how many connections are open for the first time.
"""

import contextlib
import select
import socket
import sys
import time

_POST = b"POST /webhooks HTTP/1.1\r\nHost: x\r\n"
_GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

#: What a stranger says first, and what every second from then on.
MANNERS = {
    "silent": (b"", b""),
    "head": (_POST + b"X-Slow: ", b"x"),
    "body": (_POST + b"Content-Length: 10000\r\n\r\n", b"x"),
    "deaf": (_GET * 3, b""),
}

#: Of an answer, a stranger reads no more than that in a second.
_READ = 1


def stranger(port, first):
    """A connection on which that has been said, or None."""
    try:
        connection = socket.create_connection(("127.0.0.1", port), timeout=5)
        connection.setblocking(False)
        connection.send(first)
        return connection
    except OSError:
        return None


def is_there(connection, then):
    """Go on in that manner; whether the server still listens."""
    try:
        with contextlib.suppress(BlockingIOError):
            if not connection.recv(_READ):
                return False
        with contextlib.suppress(BlockingIOError):
            connection.send(then)
        return True
    except OSError:
        return False


def main(port, count, manners):
    """Open them all, and keep them at it."""
    ways = [MANNERS[manners[number % len(manners)]] for number in range(count)]
    connections = [stranger(port, first) for first, _ in ways]
    print(sum(each is not None for each in connections), flush=True)
    while True:
        turn = time.monotonic() + 1
        for number, (first, then) in enumerate(ways):
            connection = connections[number]
            if connection is None or not is_there(connection, then):
                if connection is not None:
                    connection.close()
                connections[number] = stranger(port, first)
        if select.select([sys.stdin], [], [], max(0.0, turn - time.monotonic()))[0]:
            return


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
