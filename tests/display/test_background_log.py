"""
Log lines in a kernel: those of the thread that runs cells are shown, those of others kept. Elsewhere nothing changes.
"""

import io
import logging
import sys
import threading
from types import SimpleNamespace

import pytest

from fedapay_sync.common.logging import get_logger
from fedapay_sync.display.background_log import background_log, keep_out_of_cells, kept_warnings

log = get_logger("fedapay_sync.display.tests")


@pytest.fixture
def stderr(monkeypatch, capsys):
    """What Python writes where no logging is set up; pytest's own handlers are away meanwhile."""
    logger = logging.getLogger("fedapay_sync")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "parent", logging.RootLogger(logging.WARNING))
    return lambda: capsys.readouterr().err


@pytest.fixture
def kernel(stderr, monkeypatch):
    """As in a notebook's kernel, where a connector was made."""
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    keep_out_of_cells()
    return stderr


def from_behind(*arguments):
    thread = threading.Thread(target=log.warning, args=arguments)
    thread.start()
    thread.join()


def test_a_background_warning_is_kept_and_not_shown(kernel):
    """
    The last five, with their time, masked.
    """
    for number in range(7):
        from_behind("planted %s with key %s", number, "sk_live_planted")

    assert kernel() == ""
    assert len(kept_warnings()) == 5
    assert kept_warnings()[-1].endswith(" UTC planted 6 with key sk_live_***")


def test_what_the_cell_itself_warns_of_is_shown(kernel):
    """
    Once, as Python would.
    """
    log.warning("planted")
    log.info("unseen")

    assert kernel() == "planted\n"
    assert kept_warnings() == []


def test_a_second_connector_attaches_no_second_handler(kernel):
    """
    Nor does one that is made again and again by a cell that is run again.
    """
    keep_out_of_cells()

    assert logging.getLogger("fedapay_sync").handlers == [background_log()]


def test_handlers_of_the_program_have_every_record(kernel):
    """
    On whichever logger: what was asked for comes, from all threads, and once.
    """
    ours = logging.getLogger("fedapay_sync")
    for logger in (ours, ours.parent):
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        logger.addHandler(handler)
        log.warning("from the cell")
        from_behind("from behind")
        logger.removeHandler(handler)

        assert stream.getvalue() == "from the cell\nfrom behind\n"
    assert kernel() == ""


def test_outside_a_kernel_nothing_is_attached(stderr, monkeypatch):
    """
    Not in a program, and not in IPython's terminal: there warnings come to stderr as ever.
    """
    keep_out_of_cells()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace()))
    keep_out_of_cells()
    from_behind("planted")

    assert (background_log(), kept_warnings()) == (None, [])
    assert stderr() == "planted\n"
