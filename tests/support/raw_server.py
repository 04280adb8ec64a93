"""A server that speaks TCP and answers badly, exactly as badly as a test says."""

import json
import socket
import ssl
import struct
import threading
from typing import Any, Callable, Dict, List, NamedTuple, Optional


class Request(NamedTuple):
    """A request that the server has read to its end."""

    method: str
    target: str
    headers: Dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)


#: What to do with a request that was read; true keeps the connection.
Play = Callable[["RawServer", socket.socket, Request], bool]


class RawServer:
    """
    Plays its plays one after the other, one for each request; the last one goes on for ever.

    Args:
        plays: see ``says``, ``answers``, ``closes``, ``resets``, ``hangs`` and ``drips``.
        resets_on_accept: refuse to read anything.
        tls: speak TLS with that context.
    """

    def __init__(self, *plays: Play, resets_on_accept: bool = False, tls: Optional[ssl.SSLContext] = None) -> None:
        self.plays: List[Play] = list(plays)
        self.requests: List[Request] = []
        self.connections = 0
        #: Connections that the server has closed.
        self.ended = 0
        self.stopping = threading.Event()
        self._resets_on_accept = resets_on_accept
        self._lock = threading.Lock()
        self._open: List[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._tls = tls
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> "RawServer":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        # A shutdown wakes the thread that waits in accept; a close would not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                connection.close()

    def __call__(self, *plays: Play) -> "RawServer":
        """Begin again with other plays, and forget what was asked."""
        with self._lock:
            self.plays, self.requests = list(plays), []
        return self

    @property
    def methods(self) -> List[str]:
        return [request.method for request in self.requests]

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                number = self.connections
                self._open.append(connection)
            if self._resets_on_accept:
                reset(connection)
                continue
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                with self._lock:
                    self._open.append(connection)
            with connection, connection.makefile("rb") as stream:
                while True:
                    request = _read(stream, number)
                    if request is None:
                        return
                    with self._lock:
                        self.requests.append(request)
                        play = self.plays.pop(0) if len(self.plays) > 1 else self.plays[0]
                    if not play(self, connection, request):
                        return
        except (OSError, ValueError):
            return  # the client, or the end of the test, has closed it
        finally:
            with self._lock:
                self.ended += 1


def _read(stream: Any, number: int) -> Optional[Request]:
    first = stream.readline().decode("latin-1").split()
    if len(first) != 3:
        return None
    headers: Dict[str, str] = {}
    while (line := stream.readline()) != b"\r\n":
        if not line:
            return None  # cut off in its head: at the end of a stream readline goes on giving nothing
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", "0")))
    return Request(first[0], first[1], headers, body, number)


def reset(connection: socket.socket) -> None:
    """Close with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RD)
    connection.close()


def http(status: int, body: bytes = b"", **headers: str) -> bytes:
    """A well-formed answer."""
    named = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    lines = [f"HTTP/1.1 {status} Said", *(f"{name.replace('_', '-')}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def says(raw: bytes, *, keeps: bool = False) -> Play:
    """These bytes, then the end of the connection."""

    def play(server: RawServer, connection: socket.socket, request: Request) -> bool:
        connection.sendall(raw)
        return keeps

    return play


def answers(status: int, body: Any = b"", **headers: str) -> Play:
    """A well-formed answer on a connection that stays."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return says(http(status, raw, **headers), keeps=True)


def closes(server: RawServer, connection: socket.socket, request: Request) -> bool:
    return False


def resets(server: RawServer, connection: socket.socket, request: Request) -> bool:
    reset(connection)
    return False


def hangs(server: RawServer, connection: socket.socket, request: Request) -> bool:
    server.stopping.wait(20)
    return False


def drips(raw: bytes, piece: bytes = b" ", pause: float = 0.02) -> Play:
    """The same few bytes again and again, for ever; without a pause, as fast as they are taken."""

    def play(server: RawServer, connection: socket.socket, request: Request) -> bool:
        connection.sendall(raw)
        while not server.stopping.wait(pause):
            connection.sendall(piece)
        return False

    return play
