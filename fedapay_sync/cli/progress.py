"""Prints the steps of the demonstration, with the seconds since its start."""

import sys
import threading
import time

import click


class ProgressPrinter:
    """Prints steps in aligned lines; used by several threads."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._lock = threading.Lock()

    def step(self, what: str, detail: str = "", *, good: bool = False) -> None:
        """One step, with the seconds since the start."""
        seconds = f"{time.monotonic() - self._start:5.2f} s".replace(".", ",")
        mark = click.style("✓" if good else "·", fg="green" if good else None)
        with self._lock:
            click.echo(f"  {click.style(seconds, dim=True)}  {mark} {what:<34}{detail}".rstrip())


def francs(amount: int) -> str:
    """``1 000 F CFA``."""
    return f"{amount:,} F CFA".replace(",", " ")


def make_printable() -> None:
    """A terminal that knows no accents shows ? instead of ending the demonstration."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
