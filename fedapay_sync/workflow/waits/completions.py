"""
Many waits at once: one thread takes their ends in the order in which they come.

Each wait is a listen like any other. What may have ended is put into a queue, by whoever has the news; the caller's
thread takes it out and reads the end from the store.
"""

import os
import queue
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional

from fedapay_sync.common.frames import private
from fedapay_sync.common.progress_bar import Bar, checked_progress, progress_bar
from fedapay_sync.display.interrupts import explain_many
from fedapay_sync.errors import AmountMismatch, NotFound, TransactionId
from fedapay_sync.models import Outcome
from fedapay_sync.models.params.waits import checked_ids
from fedapay_sync.workflow.context import Context
from fedapay_sync.workflow.waits.deadlines import GRACE
from fedapay_sync.workflow.waits.listens import Listens
from fedapay_sync.workflow.waits.outcomes import mismatched, undecided, unfounded, unknown
from fedapay_sync.workflow.waits.status_lookup import StatusLookup
from fedapay_sync.workflow.waits.waiters import End, Waiter

#: Before Python 3.14 nothing interrupts a longer wait on Windows; and tests hold the clock.
_SLICE = 0.2


class Completions:
    """The ends of many waits of one connector."""

    def __init__(
        self, context: Context, listens: Listens, lookup: StatusLookup, hold: Callable[[], Optional[object]]
    ) -> None:
        self._clock = context.clock
        self._pid = os.getpid()
        self._listens = listens
        self._lookup = lookup
        self._hold = hold

    def all(self, ids: Iterable[TransactionId], timeout: float, **asked: Any) -> List[Outcome]:
        """The end of each of these, in the order given; an identifier that is given twice has its end twice."""
        given = checked_ids(ids)
        found = {str(outcome.id_transaction): outcome for outcome in self.in_order(given, timeout, **asked)}
        return [found[str(each)] for each in given]

    def in_order(
        self,
        ids: Iterable[TransactionId],
        timeout: float,
        *,
        progress: Optional[bool] = None,
        api_key: Optional[str] = None,
        **asked: Any,
    ) -> "CompletedWaits":
        """The end of each of these once, the first one first. The waits begin now."""
        checked_progress(progress)
        each_once = {str(each): each for each in reversed(checked_ids(ids))}
        news: queue.SimpleQueue[Waiter] = queue.SimpleQueue()
        try:
            waiters = self._listens.begin(reversed(each_once.values()), timeout, api_key=api_key, **asked)
        except KeyboardInterrupt as error:
            explain_many(error, len(each_once))
            raise error
        ended_before = {str(each.id_transaction) for each in waiters if each.is_set()}
        for waiter in waiters:
            waiter.add_callback(_nothing, news.put)
        open_waits = {str(waiter.id_transaction): waiter for waiter in waiters}

        def refresh(waiter: Waiter) -> None:
            # As finalise does: an end of long ago may not be the last word.
            if str(waiter.id_transaction) in ended_before and self._clock.monotonic() < waiter.deadline:
                self._lookup.refresh(waiter.id_transaction, api_key)

        return CompletedWaits(self._outcomes(open_waits, news, refresh, progress), open_waits, self._hold())

    def _outcomes(
        self,
        open_waits: Dict[str, Waiter],
        news: "queue.SimpleQueue[Waiter]",
        refresh: Callable[[Waiter], None],
        progress: Optional[bool],
    ) -> Iterator[Outcome]:
        end = max((waiter.deadline for waiter in open_waits.values()), default=0.0) + GRACE
        with progress_bar(len(open_waits), progress, "paiements") as bar:
            while open_waits and self._clock.monotonic() < end:
                for waiter in self._next(open_waits, news, end):
                    if str(waiter.id_transaction) not in open_waits:
                        continue
                    refresh(waiter)
                    verdict = waiter.check()
                    if verdict is not None:
                        yield _taken_out(open_waits, waiter, verdict, bar)
            for waiter in list(open_waits.values()):
                yield _taken_out(open_waits, waiter, waiter.check() or unknown(waiter.id_transaction), bar)

    def _next(self, open_waits: Dict[str, Waiter], news: "queue.SimpleQueue[Waiter]", end: float) -> List[Waiter]:
        """What may have ended."""
        try:
            return [news.get(timeout=max(0.0, min(_SLICE, end - self._clock.monotonic())))]
        except queue.Empty:
            # After a fork, the threads that bring news are the parent's.
            return [] if os.getpid() == self._pid else list(open_waits.values())


class CompletedWaits(Iterator[Outcome]):
    """Les résultats de plusieurs attentes, dans l'ordre où elles finissent. ``close`` cesse d'attendre ici."""

    # Without a finalizer: it would come in any thread, inside any lock. Waits that are left go on like those of
    # handles whose result is never asked for, until their deadline.

    def __init__(self, outcomes: Iterator[Outcome], open_waits: Dict[str, Waiter], holder: Optional[object]) -> None:
        self._outcomes = outcomes
        self._open_waits = open_waits
        # The connector: without it nothing would look any more how the waits end.
        self._holder = holder

    @private
    def __next__(self) -> Outcome:
        try:
            return next(self._outcomes)
        except KeyboardInterrupt as error:
            count = len(self._open_waits)
            self.close()
            explain_many(error, count)
            raise error
        except BaseException:
            # The last one, Ctrl-C, or a database that is away: who asks again begins anew.
            self.close()
            raise

    def close(self) -> None:
        """Cesse d'attendre ici. Les paiements restent suivis, et ``as_completed`` peut être rappelée."""
        outcomes, self._outcomes = self._outcomes, iter(())
        close = getattr(outcomes, "close", None)
        if close is not None:
            close()
        while self._open_waits:
            self._open_waits.popitem()[1].leave()


def _taken_out(open_waits: Dict[str, Waiter], waiter: Waiter, verdict: End, bar: Bar) -> Outcome:
    waiter.take_callback()
    waiter.leave()
    # Last: what is still there is given up if this is interrupted.
    del open_waits[str(waiter.id_transaction)]
    outcome = _outcome_of(waiter.id_transaction, verdict)
    bar.add(outcome.state.label)
    return outcome


def _outcome_of(id_transaction: TransactionId, verdict: End) -> Outcome:
    """What finalise would raise is told: it concerns one of many."""
    if isinstance(verdict, Outcome):
        return verdict
    verdict = verdict.with_traceback(None)
    if isinstance(verdict, AmountMismatch):
        return mismatched(id_transaction, verdict)
    if isinstance(verdict, NotFound):
        return unfounded(id_transaction, verdict)
    return undecided(id_transaction, verdict)


def _nothing(outcome: Outcome) -> None:
    """Stands among the callbacks of a wait so that its news are handed over; never called."""
