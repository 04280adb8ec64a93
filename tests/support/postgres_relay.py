"""What may stand between a program and PostgreSQL: a pooler, a network that swallows, a cut at the worst moment."""

import contextlib
import socket
import struct
import threading
from typing import List


class Relay:
    """
    Passes bytes on between clients and a server on a loopback port.

    Args:
        pooler: like a pooler that gives each transaction another connection: the process id that clients are told is
            none of the server's, and notifications reach nobody.
    """

    def __init__(self, port: int, *, pooler: bool = False) -> None:
        self._target = port
        self._pooler = pooler
        #: While cleared, nothing of what the server says arrives.
        self.open = threading.Event()
        self.open.set()
        #: Set, the next COMMIT reaches the server, and its answer nobody.
        self.cut_at_commit = threading.Event()
        self._sockets: List[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> "Relay":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.open.set()
        for each in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def url(self, direct: str) -> str:
        """That URL of the server, by way of us; in clear text, so that we can read along."""
        return direct.replace(f":{self._target}/", f":{self.port}/") + "&sslmode=disable&gssencmode=disable"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [client, server]
                cut = threading.Event()
                threading.Thread(target=self._upstream, args=(client, server, cut), daemon=True).start()
                threading.Thread(target=self._downstream, args=(client, server, cut), daemon=True).start()

    def _upstream(self, client: socket.socket, server: socket.socket, cut: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if b"COMMIT\0" in data and self.cut_at_commit.is_set():
                    self.cut_at_commit.clear()
                    cut.set()
                server.sendall(data)
        self._end(server)

    def _downstream(self, client: socket.socket, server: socket.socket, cut: threading.Event) -> None:
        with contextlib.suppress(OSError):
            stream = server.makefile("rb")
            while header := stream.read(5):
                kind, length = struct.unpack("!cI", header)
                body = stream.read(length - 4)
                if cut.is_set():
                    # The server has answered: it is done there.
                    break
                self.open.wait()
                if self._pooler and kind == b"A":
                    continue
                if self._pooler and kind == b"K":
                    body = struct.pack("!I", 77) + body[4:]
                client.sendall(header + body)
        self._end(client)

    def _end(self, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)
