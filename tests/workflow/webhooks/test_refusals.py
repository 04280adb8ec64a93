"""Refused webhooks in the log: some one by one, and how many more, so that a stranger cannot fill the disk."""

import os
import threading

import pytest

from fedapay_sync.errors import SignatureError
from fedapay_sync.workflow.webhooks.refusals import RefusalLog

ERROR = SignatureError("Signature de webhook fausse")


@pytest.fixture
def lines(caplog):
    """What was logged since it was asked last."""

    def lines():
        found = [each.getMessage() for each in caplog.records]
        caplog.clear()
        return found

    return lines


def test_ten_are_logged_one_by_one_and_the_others_counted(clock, lines):
    """
    Where the counting begins is told at once; how many there were, when the minute is over.
    """
    refusals = RefusalLog(clock)
    for _ in range(500):
        refusals.add(ERROR)

    found = lines()
    assert found[:10] == ["webhook refused: Signature de webhook fausse"] * 10
    assert found[10:] == ["webhooks refused: more than 10 in 60 s, from here on they are counted"]
    clock.advance(59)
    refusals.tell()
    assert lines() == []
    clock.advance(1)
    refusals.tell()
    refusals.tell()
    assert lines() == ["webhooks refused: 490 more within 60 s, for their signature; not logged one by one"]


def test_a_new_minute_has_ten_of_its_own(clock, lines):
    """
    The count of the last one comes first.
    """
    refusals = RefusalLog(clock)
    for _ in range(12):
        refusals.add(ERROR)
    lines()
    clock.advance(60)
    refusals.add(ERROR)

    assert [line[:27] for line in lines()] == ["webhooks refused: 2 more wi", "webhook refused: Signature "]


def test_up_to_ten_nothing_is_counted(clock, lines):
    """
    The shop's own mistake, a few a minute, is told in full.
    """
    refusals = RefusalLog(clock)
    for _ in range(3):
        for _ in range(10):
            refusals.add(ERROR)
        clock.advance(60)
        refusals.tell()

    assert lines() == ["webhook refused: Signature de webhook fausse"] * 30


def test_none_is_lost_between_threads(clock, lines):
    """
    As many are told of as there were.
    """
    refusals = RefusalLog(clock)
    threads = [threading.Thread(target=lambda: [refusals.add(ERROR) for _ in range(250)]) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    lines()
    clock.advance(60)
    refusals.tell()

    assert lines() == ["webhooks refused: 990 more within 60 s, for their signature; not logged one by one"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_counts_its_own(clock):
    """
    It does not wait for a lock that a thread of its parent held.
    """
    refusals = RefusalLog(clock)
    refusals.add(ERROR)
    with refusals._lock:
        child = os.fork()
        if not child:
            refusals.add(ERROR)
            os._exit(0 if refusals._count == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
