"""Opening the database, and the two ways to it: the writer's queue, and a connection that only reads."""

import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Callable, Optional, Tuple, TypeVar

import peewee

from ..clock import SYSTEM_CLOCK, Clock
from .database import connect, explained, file_of, prepare_file
from .writer import Database, Writer

T = TypeVar("T")


class Opened:
    """
    The database of one connector in one process. Opens at first use.

    Args:
        url: ``sqlite:///…``
    """

    def __init__(self, url: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self.path: Path = file_of(url)
        self._clock = clock
        self._lock = threading.Lock()
        self._connections: Optional[Tuple[Writer, Database]] = None
        self._reading = threading.Lock()

    def open(self) -> None:
        """
        Make the file ready and start the writer; nothing if that is done.

        Raises:
            ConfigError: the file cannot be made or written.
            StoreError: it is no database of ours.
        """
        self._opened()

    def close(self) -> None:
        """Commit what was handed in and let go of the file. The next verb opens it again."""
        with self._lock:
            connections, self._connections = self._connections, None
        if connections is not None:
            writer, reader = connections
            writer.close()
            with self._reading:
                reader.close()

    def _opened(self) -> Tuple[Writer, Database]:
        connections = self._connections
        if connections is not None:
            return connections
        with self._lock:
            if self._connections is None:
                prepare_file(self.path)
                writer = Writer(self.path)
                try:
                    self._connections = (writer, connect(self.path))
                except peewee.PeeweeException as error:
                    writer.close()
                    raise explained(error) from None
            return self._connections

    def _write(self, operation: Callable[[Database], T]) -> T:
        return self._opened()[0].run(operation)

    def _write_soon(self, operation: Callable[[Database], Any]) -> "Future[Any]":
        """Hand in a write for whose commit nobody waits."""
        return self._opened()[0].submit(operation)

    def _read(self, query: Callable[[Database], T]) -> T:
        reader = self._opened()[1]
        with self._reading:
            try:
                return query(reader)
            except peewee.PeeweeException as error:
                raise explained(error) from None
