"""
Processes whose callbacks change their names, come and vanish, on one database, in any order.

What each callback is owed is kept beside the store: every event that came while it was known, once, whatever it is
called by now.
"""

import hashlib
import itertools

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from support.store_machine import SETTINGS, HeldClock

from fedapay_sync.store import NewEvent, Store
from fedapay_sync.store.callback_records import CALLBACK_GONE, CallbackName, Wanted
from fedapay_sync.store.states import CallbackKind, EventKind

LEASE = 60.0
WHO = st.sampled_from(["A", "B"])
NAMES = st.sampled_from(["a", "b", "c", "d"])


class Callback:
    """A callback as its shop sees it: one function, whatever its names were."""

    def __init__(self):
        self.had = set()
        self.owed = set()
        self.parked = set()
        self.merged_into = None

    @property
    def now(self):
        return self if self.merged_into is None else self.merged_into.now


class Process:
    """A process that has some names; dead, it has none."""

    def __init__(self, owner, names, numbers):
        self.owner, self.names, self.numbers = owner, names, numbers
        self.held = {}


class Names(RuleBasedStateMachine):
    """What the store did, beside what each callback is owed."""

    def __init__(self, new_url):
        super().__init__()
        self.new_url = new_url

    @initialize()
    def begin(self):
        self.clock = HeldClock()
        self.store = Store(self.new_url(), self.clock)
        self.owners = itertools.count()
        self.processes = {"A": None, "B": None}
        #: By name, and the names that were given up for one of these.
        self.live, self.given_up = {}, {}
        self.by_number = {}
        # Event → when it came, and the callbacks that were known then; None where none was.
        self.events = {}
        self.unconfirmed = set()
        self.running = {}

    # -- what comes -----------------------------------------------------------------------------------------------

    @rule(is_confirmed=st.booleans())
    def come(self, is_confirmed):
        key = f"event {len(self.events)}"
        self.store.events.accept(
            NewEvent(
                dedup_key=hashlib.sha256(key.encode()).hexdigest(), event_key=key, environment="sandbox",
                account="shop", name="transaction.updated", object="transaction", entity_id=key, status="pending",
                is_final=False, is_paid=False, source="webhook", body=b"{}", body_sha256="",
                received_at=self.clock.now(), kind=EventKind.fact if is_confirmed else EventKind.unconfirmed,
            )
        )  # fmt: skip
        self.events[key] = (self.clock.now(), list(self.live.values()) or None)
        if is_confirmed:
            self._owe(key)
        else:
            self.unconfirmed.add(key)

    def _owe(self, key):
        for callback in {each.now for each in self.events[key][1] or ()} & set(self.live.values()):
            callback.owed.add(key)
            callback.had.add(key)

    # -- processes --------------------------------------------------------------------------------------------------

    @rule(who=WHO, names=st.sets(NAMES, min_size=1, max_size=3), old=NAMES, since=st.none() | st.sampled_from([0, 61]))
    def start(self, who, names, old, since):
        """Another version of the program: what the process that it replaces is at, is free when its lease ends."""
        self.kill(who)
        new = sorted(names)
        former = (old,) if old not in names else ()
        since = None if since is None else self.clock.now() - since
        asked = [CallbackName(each, CallbackKind.webhook, former if each == new[0] else (), since) for each in new]
        self._register(who, asked)

    def _register(self, who, asked):
        numbers = self.store.callback_names.register("sandbox", ["shop"], asked)
        known = set(self.live.values())
        taken = {}
        first = not self.live
        for each in sorted(asked, key=lambda name: name.name in self.given_up):
            for old in each.former:
                if old in self.live:
                    self._take_over(old, each.name)
            callback = self.live.get(each.name) or (self.given_up.get(each.name, None) and self.given_up[each.name].now)
            if callback is None or (each.name in self.given_up and callback in taken.values()):
                callback = self._added(each, first)
            taken[each.name] = callback
        assert sorted(numbers.values()) == sorted(each.name for each in asked)
        for number, name in numbers.items():
            assert self.by_number.setdefault(number, taken[name]).now is taken[name], "another callback's row"
        if first:
            for key, (at, callbacks) in list(self.events.items()):
                if callbacks is None or key in self.unconfirmed:
                    # Also what nobody has decided about since the last one was dropped.
                    added = [each for each in taken.values() if each not in known]
                    self.events[key] = (at, [*(callbacks or ()), *added])
                    if key not in self.unconfirmed:
                        self._owe(key)
        self.processes[who] = Process(f"{who}{next(self.owners)}", asked, numbers)

    def _added(self, name, first):
        callback = Callback()
        self.given_up.pop(name.name, None)
        self.live[name.name] = callback
        if name.since is not None and not first:
            for key, (at, callbacks) in self.events.items():
                if at >= name.since:
                    callbacks.append(callback)
                    if key not in self.unconfirmed:
                        callback.owed.add(key)
                        callback.had.add(key)
        return callback

    def _take_over(self, old, new):
        callback = self.live.pop(old)
        target = self.live.get(new)
        if target is None and new in self.given_up and self.given_up[new].now is not callback:
            target = self.given_up[new].now
        if target is None:
            self.given_up.pop(new, None)
            self.live[new] = callback
            self.given_up[old] = callback
            return
        for each in (callback.owed, callback.parked):
            for key in each - target.had:
                (target.owed if each is callback.owed else target.parked).add(key)
        target.had |= callback.had
        callback.merged_into = target
        self.given_up[old] = callback

    @rule(who=WHO)
    def kill(self, who):
        self.processes[who] = None

    @precondition(lambda self: any(self.processes.values()))
    @rule(who=WHO)
    def beat(self, who):
        process = self.processes[who]
        if process is not None and not self.store.callback_names.beat(list(process.numbers)):
            held = process.held
            self._register(who, process.names)
            self.processes[who].held, self.processes[who].owner = held, process.owner

    # -- work -------------------------------------------------------------------------------------------------------

    @precondition(lambda self: any(self.processes.values()))
    @rule(who=WHO, limit=st.integers(1, 4))
    def claim(self, who, limit):
        process = self.processes[who]
        if process is None:
            return
        wanted = Wanted("sandbox", ["shop"], {CallbackKind.webhook}, list(process.numbers))
        now = self.clock.now()
        for work in self.store.callbacks.acquire(
            process.owner, wanted, lease=LEASE, limit=limit, busy=[each.key for each in process.held.values()]
        ):
            assert self.running.get(work.key, 0.0) <= now, "two live owners"
            self.running[work.key] = now + LEASE
            process.held[work.key] = work
            if work.call is None:
                assert work.event_key in self.unconfirmed, "no work of its own"
            else:
                assert work.callback in process.numbers
                assert work.event_key in self.by_number[work.callback].now.owed, "not owed, or called already"

    @precondition(lambda self: any(each and each.held for each in self.processes.values()))
    @rule(who=WHO, how=st.sampled_from(["well", "well", "again", "parked"]))
    def end(self, who, how):
        process = self.processes[who]
        if process is None or not process.held:
            return
        key, work = next(iter(process.held.items()))
        del process.held[key]
        is_ours = self.running.get(key, 0.0) > self.clock.now()
        if work.call is None:
            self._end_event(process, work, how, is_ours)
            return
        callback = self.by_number[work.callback].now
        if how == "well":
            ended = self.store.callbacks.mark_done(work, process.owner)
        else:
            again = None if how == "parked" else 5.0
            ended = self.store.callbacks.retry_or_park(work, process.owner, error="no", again_in=again)
        is_owed = callback in self.live.values() and work.event_key in callback.owed
        assert not ended or is_owed, "ended, and not owed"
        if ended:
            self.running.pop(key, None)
        if ended and how != "again":
            callback.owed.discard(work.event_key)
        if ended and how == "parked":
            callback.parked.add(work.event_key)

    def _end_event(self, process, work, how, is_ours):
        if how in ("again", "parked"):
            ended = self.store.callbacks.retry_or_park(work, process.owner, error="no", again_in=5.0)
        elif work.id % 2:
            ended = self.store.callbacks.mark_done(work, process.owner)
            if ended:
                self.unconfirmed.discard(work.event_key)
        else:
            ended = self.store.callbacks.give_to_callbacks(work, process.owner)
            if ended:
                self.unconfirmed.discard(work.event_key)
                self._owe(work.event_key)
        assert ended or not is_ours, "a live lease was lost"
        if ended:
            self.running.pop(work.key, None)

    @rule()
    def replay(self):
        for work in self.store.callbacks.parked():
            assert self.store.callbacks.replay(work, 31)
        for callback in set(self.live.values()):
            callback.owed |= callback.parked
            callback.parked = set()

    # -- decisions of a person ----------------------------------------------------------------------------------------

    @precondition(lambda self: self.live)
    @rule(data=st.data(), new=NAMES)
    def rename(self, data, new):
        old = data.draw(st.sampled_from(sorted(self.live)))
        if old != new:
            assert self.store.callback_names.rename(old, new) == 1
            self._take_over(old, new)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def drop(self, data):
        name = data.draw(st.sampled_from(sorted(self.live)))
        callback = self.live.pop(name)
        self.given_up = {each: given for each, given in self.given_up.items() if given.now is not callback}
        assert self.store.callback_names.drop(name) == len(callback.owed | callback.parked)

    @rule(seconds=st.sampled_from([1.0, 30.0, 61.0]))
    def tick(self, seconds):
        self.clock.seconds += seconds

    # -- the end ------------------------------------------------------------------------------------------------------

    def teardown(self):
        if hasattr(self, "store"):
            try:
                self._everything_ends()
            finally:
                self.store.close()

    def _everything_ends(self):
        """Nobody has them for an hour, and that is said of each that is owed; whoever has them then, has it all."""
        self.processes = dict.fromkeys("AB")
        self.clock.seconds += CALLBACK_GONE + LEASE + 1
        found = {each.name: each for each in self.store.callback_names.all() if each.same_as is None}
        assert set(found) == set(self.live)
        for name, callback in self.live.items():
            waiting = {key for key in self.unconfirmed if self._may_be_for(key, callback)}
            counted = (len(callback.owed | waiting), len(callback.parked))
            assert (found[name].owed, found[name].parked) == counted, (name, found[name], counted)
            assert found[name].is_gone(self.clock.now()) is bool(callback.owed | waiting), "stranded in silence"
        self.replay()
        if self.live:
            self._register("A", [CallbackName(each, CallbackKind.webhook) for each in sorted(self.live)])
        for _ in range(4 * len(self.events) + 1):
            self.clock.seconds += LEASE + 1
            self.claim("A", 4)
            while self.processes["A"] and self.processes["A"].held:
                self.end("A", "well")
        assert not any(callback.owed for callback in self.live.values()), "never called"
        left = self.store.read(
            lambda database: database.execute_sql("SELECT event_key, work_state FROM fp_event").fetchall()
        )
        unclaimed = {key for key, (_, callbacks) in self.events.items() if callbacks is None}
        nobodys = unclaimed | self.unconfirmed if not self.live else set()
        assert {key for key, state in left if state != "done"} <= nobodys

    def _may_be_for(self, key, callback):
        return any(each.now is callback for each in self.events[key][1] or ())


def run(new_url, how=SETTINGS):
    """Try the machine on databases of its own, a new one each time."""
    run_state_machine_as_test(lambda: Names(new_url), settings=how)
