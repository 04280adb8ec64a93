"""A real kernel, as a notebook talks to it: cells are run, and what comes under each is read."""

import os
import queue
import sys
import time
from pathlib import Path
from types import MappingProxyType
from typing import Any, Callable, Dict, List, Mapping

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: So long, in seconds, a kernel may take for anything.
_PATIENCE = 20.0


class Cell:
    """
    One cell that runs or has run.

    Attributes:
        messages: what the kernel has sent about it, as type and content, in order.
    """

    def __init__(self, kernel: "NotebookKernel", message_id: str) -> None:
        self._kernel = kernel
        self._id = message_id
        self.messages: List[Any] = []

    def until(self, condition: "Callable[[Cell], Any]") -> "Cell":
        """Read what the kernel sends until that is true of this cell."""
        end = time.monotonic() + _PATIENCE
        while not condition(self):
            assert time.monotonic() < end, self.messages
            try:
                message = self._kernel.client.get_iopub_msg(timeout=0.2)
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") == self._id:
                self.messages.append((message["msg_type"], message["content"]))
        return self

    def finish(self) -> "Cell":
        """Read until the cell has ended."""
        return self.until(lambda cell: ("status", {"execution_state": "idle"}) in cell.messages)

    def contents(self, *kinds: str) -> List[Dict[str, Any]]:
        """The messages of these kinds."""
        return [content for kind, content in self.messages if kind in kinds]

    @property
    def printed(self) -> str:
        """What it has written to stdout and stderr."""
        return "".join(each["text"] for each in self.contents("stream"))

    @property
    def shows(self) -> bool:
        """Whether there is something under the cell."""
        return bool(self.contents("display_data"))

    @property
    def cards(self) -> List[str]:
        """The HTML of what it shows, each state of what changes in place."""
        shown = self.contents("display_data", "update_display_data", "execute_result")
        return [each["data"]["text/html"] for each in shown if "text/html" in each["data"]]

    @property
    def error(self) -> Dict[str, Any]:
        """The error that it has ended with."""
        (error,) = self.contents("error")
        return error


class NotebookKernel:
    """
    A kernel of this Python, with this checkout, in that folder.

    Args:
        settings: environment variables that it has besides.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] = MappingProxyType({})) -> None:
        pytest.importorskip("ipykernel")
        manager = pytest.importorskip("jupyter_client.manager")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FEDAPAY_")}
        environment.update(PYTHONPATH=str(ROOT), NO_COLOR="1")
        environment.update(IPYTHONDIR=str(folder / "ipython"), JUPYTER_RUNTIME_DIR=str(folder / "run"))
        environment.update(settings)
        self.manager = manager.KernelManager()
        self.manager.kernel_spec.argv[0] = sys.executable
        self.manager.start_kernel(env=environment, cwd=str(folder))
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=_PATIENCE)

    def begin(self, code: str) -> Cell:
        """Run a cell, and do not wait for its end."""
        return Cell(self, self.client.execute(code))

    def run(self, code: str) -> Cell:
        """Run a cell to its end, which is no error."""
        cell = self.begin(code).finish()
        assert not cell.contents("error"), "\n".join(cell.error["traceback"])
        return cell

    def interrupt(self) -> None:
        """The stop button."""
        self.manager.interrupt_kernel()

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
