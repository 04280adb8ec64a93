"""
Processes on one database whose callbacks change their names, and anything that may happen to them, in any order.

A lineage is what a name stands for, however often it is renamed. The model says which events each lineage is owed.
Run as a program it tries the machine on SQLite files in a folder, and ends with the assertion that failed, if one did.
"""

import hashlib
import sys

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from support.store_machine import SETTINGS, HeldClock, files_in

from fedapay_sync.store import NewEvent, Store
from fedapay_sync.store.callback_records import CALLBACK_GONE, CallbackName, Wanted
from fedapay_sync.store.owner import new_owner, retire
from fedapay_sync.store.states import CallbackKind, EventKind

LEASE = 60.0
PROCESSES = st.sampled_from("AB")
#: Each name is of one kind, so that what was owed under one name can be called under another.
KINDS = {
    "a": CallbackKind.webhook, "b": CallbackKind.webhook, "c": CallbackKind.webhook,
    "p": CallbackKind.paid, "q": CallbackKind.paid, "u": CallbackKind.paid_unknown,
}  # fmt: skip
NAMES = st.sampled_from(sorted(KINDS))
_STATES = "SELECT entity_id, work_state FROM fp_event"


@st.composite
def functions(draw):
    """The callbacks of a version of the program: names, with names that they had before, or since when they want."""
    chosen = draw(st.lists(NAMES, unique=True, min_size=1, max_size=4))
    found = []
    for name in chosen:
        others = [each for each in KINDS if each not in chosen and KINDS[each] == KINDS[name]]
        former = draw(st.lists(st.sampled_from(others), unique=True, max_size=2)) if others else []
        found.append((name, tuple(former), draw(st.sampled_from([None, None, None, 0.0, 20.0, 100.0]))))
    return found


class Event:
    """An event: its place in the order of arrival, and what decides which lineages are called with it."""

    def __init__(self, number, kind, is_paid, is_known, came_at):
        self.number, self.kind, self.is_paid, self.is_known, self.came_at = number, kind, is_paid, is_known, came_at
        #: What FedaPay has to confirm is for no callback until then.
        self.is_open = kind == EventKind.fact
        self.is_denied = False

    def is_for(self, kind):
        says_paid = self.kind == EventKind.fact and self.is_paid
        if kind == CallbackKind.webhook:
            return True
        return says_paid and (self.is_known or kind == CallbackKind.paid_unknown)


class Lineage:
    """What a name stands for: it is called with what came after an event, and with what it took over."""

    def __init__(self, name, after):
        self.name, self.kind, self.after = name, KINDS[name], after
        #: Event → "owed", "parked" or "done".
        self.calls = {}
        #: The lineage that it was joined to.
        self.joined = None

    def last(self):
        return self if self.joined is None else self.joined.last()

    def count(self, *states):
        return sum(state in states for state in self.calls.values())


class Process:
    """
    One process after another, each with the functions of its version.

    Of one slot the others can tell whether its process lives; the other is on another machine, and only the end of a
    lease says so.
    """

    def __init__(self, slot, store):
        self.slot, self.store, self.life, self.owner = slot, store, 0, None
        self.names, self.numbers = [], {}
        #: What the database said that each of its functions is called for.
        self.lineages = {}
        #: Work → end of the lease.
        self.held = {}

    def begin(self):
        """The next life; what the one before held is nobody's, sooner or later."""
        self.end()
        self.life += 1
        self.owner = new_owner() if self.slot == "A" else f"{self.slot}{self.life}"

    def end(self):
        self.held.clear()
        if self.owner is not None:
            retire(self.owner)


class ChangingNames(RuleBasedStateMachine):
    """What lineages are called with, beside what they are owed."""

    def __init__(self, new_url):
        super().__init__()
        self.new_url = new_url

    @initialize()
    def begin(self):
        self.clock = HeldClock()
        self.url = self.new_url()
        self.stores = {slot: Store(self.url, self.clock) for slot in "AB"}
        self.processes = {slot: Process(slot, store) for slot, store in self.stores.items()}
        self.store = self.stores["A"]
        self.events = []
        # Every name that the database knows, those that were given up too.
        self.names = {}
        # Events that came while no name was known.
        self.unclaimed = []

    # -- the model of names -------------------------------------------------------------------------------------

    def _live(self):
        return {lineage.name: lineage for lineage in self.names.values()}

    def _register(self, process):
        """The process says which functions it has, and the model does the same."""
        process.numbers = process.store.callback_names.register("sandbox", ["shop"], process.names)
        is_first, created = not self.names, []
        mine = {name for each in process.names for name in (each.name, *each.former)}
        for each in process.names:
            known = self.names.get(each.name)
            if known is not None and known.name != each.name and known.name in mine:
                # A function has the other name: this one stands for it no more, and begins anew.
                del self.names[each.name]
        for each in process.names:
            for old in each.former:
                known = self.names.get(old)
                if known is not None and known.name == old:
                    self._rename(old, each.name)
        # A name that was given up stands for the other, which one function of the process is enough for.
        process.lineages = {}
        for each in sorted(process.names, key=lambda name: self._is_alias(name.name)):
            lineage = self.names.get(each.name)
            if lineage is None or lineage in process.lineages.values():
                lineage = self._new(each, is_first)
                created.append(lineage)
            process.lineages[each.name] = lineage
        if is_first and created:
            self.unclaimed = []
        assert sorted(process.numbers.values()) == sorted(each.name for each in process.names), "a function is lost"

    def _is_alias(self, name):
        return name in self.names and self.names[name].name != name

    def _new(self, added, is_first):
        came_before = [e.number for e in self.events if added.since is None or e.came_at < added.since]
        lineage = Lineage(added.name, 0 if is_first else max(came_before, default=0))
        if is_first:
            given = self.unclaimed
        else:
            since = [] if added.since is None else self.events
            given = [e for e in since if e.kind == EventKind.fact and e.number > lineage.after]
        lineage.calls.update({event: "owed" for event in given if event.is_for(lineage.kind)})
        self.names[added.name] = lineage
        return lineage

    def _rename(self, old, new):
        lineage, target = self.names[old], self.names.get(new)
        if target is None or target is lineage:
            lineage.name = new
            self.names[new] = lineage
            return
        # What came after the other name was known, the other was given itself.
        for event, state in lineage.calls.items():
            if event.number <= target.after and event not in target.calls:
                target.calls[event] = state
        target.after = min(target.after, lineage.after)
        lineage.joined, lineage.calls = target, {}
        self.names.update({name: target for name, each in self.names.items() if each is lineage})

    # -- versions of the program --------------------------------------------------------------------------------

    @rule(slot=PROCESSES, version=functions(), is_killed=st.booleans())
    def deploy(self, slot, version, is_killed):
        """Another version begins: names come, change and vanish. It may be an older one."""
        process = self.processes[slot]
        while process.held and not is_killed:
            self._end(process, next(iter(process.held)), "done")
        process.begin()
        now = self.clock.now()
        process.names = [
            CallbackName(name, KINDS[name], former, None if since is None else now - since)
            for name, former, since in version
        ]
        self._register(process)

    @precondition(lambda self: any(each.names for each in self.processes.values()))
    @rule(slot=PROCESSES, data=st.data(), is_killed=st.booleans())
    def rename(self, slot, data, is_killed):
        """The next version of a program has one function under another name."""
        process = self._with_names(slot)
        version = {each.name: () for each in process.names}
        old = data.draw(st.sampled_from(sorted(version)))
        others = sorted(name for name in KINDS if KINDS[name] == KINDS[old] and name not in version)
        if others:
            del version[old]
            version[data.draw(st.sampled_from(others))] = (old,)
            self.deploy(slot, [(name, former, None) for name, former in version.items()], is_killed)

    @precondition(lambda self: any(each.held for each in self.processes.values()))
    @rule(slot=PROCESSES)
    def restart(self, slot):
        """It is killed with what it holds, and comes again as it was."""
        process = max(self.processes.values(), key=lambda each: (bool(each.held), each.slot == slot))
        process.begin()
        self._register(process)

    @precondition(lambda self: not all(self._is_whole(each) for each in self.processes.values()))
    @rule()
    def beat(self):
        """A process hears that a name of its own was given up or dropped, and says again which functions it has."""
        for process in self.processes.values():
            is_whole = self._is_whole(process)
            heard = not process.store.callback_names.beat(list(process.numbers))
            assert heard is not is_whole, "a process does not hear that a name is gone, or hears it of one that is not"
            if heard:
                self._register(process)

    def _is_whole(self, process):
        return set(process.lineages.values()) <= set(self._live().values())

    @precondition(lambda self: self.names)
    @rule(data=st.data(), how=st.sampled_from(["rename", "rename", "drop"]))
    def command(self, data, how):
        """A person gives a name up for another, or what it is owed."""
        name = data.draw(st.sampled_from(sorted(self._live())))
        if how == "drop":
            self._drop(self._live()[name])
            return
        others = sorted(each for each in KINDS if KINDS[each] == KINDS[name] and each != name)
        if others:
            new = data.draw(st.sampled_from(others))
            assert self.store.callback_names.rename(name, new) == 1
            self._rename(name, new)

    def _drop(self, lineage):
        cancelled = self.store.callback_names.drop(lineage.name)
        assert cancelled == lineage.count("owed", "parked"), "dropped other than what was owed"
        lineage.calls = {}
        self.names = {name: each for name, each in self.names.items() if each is not lineage}
        if not self.names:
            # What no name wanted, and no process has looked at, waits for the first that comes.
            states = self._states()
            self.unclaimed = [e for e in self.events if e.is_open and states[e] == "ready"]

    # -- events -------------------------------------------------------------------------------------------------

    @rule(
        many=st.integers(1, 3),
        is_paid=st.sampled_from([True, True, False]),
        is_known=st.booleans(),
        kind=st.sampled_from([EventKind.fact] * 3 + [EventKind.unconfirmed]),
    )
    def come(self, many, is_paid, is_known, kind):
        for _ in range(many):
            self._come(is_paid, is_known, kind)

    def _come(self, is_paid, is_known, kind):
        event = Event(len(self.events) + 1, kind, is_paid, is_known, self.clock.now())
        if is_known:
            self._ask_for(event)
        name, key = f"transaction.{'approved' if is_paid else 'updated'}", f"event {event.number}"
        self.store.events.accept(
            NewEvent(
                dedup_key=hashlib.sha256(key.encode()).hexdigest(), event_key=key, environment="sandbox",
                account="shop", name=name, object="transaction", entity_id=str(event.number),
                status=name.partition(".")[2], is_final=is_paid and event.is_open, is_paid=is_paid, source="webhook",
                body=b'{"entity": {"amount": 500, "currency": {"iso": "XOF"}}}', body_sha256="",
                entity={"amount": 500, "currency": {"iso": "XOF"}}, received_at=event.came_at, kind=event.kind,
            )
        )  # fmt: skip
        self.events.append(event)
        if event.is_open:
            self._owe(event)

    def _owe(self, event):
        for lineage in self._live().values():
            if event.number > lineage.after and event.is_for(lineage.kind):
                lineage.calls.setdefault(event, "owed")
        if not self.names and event.kind == EventKind.fact:
            self.unclaimed.append(event)

    def _ask_for(self, event):
        reference = f"CMD-{event.number}"
        self.store.payments.add_intent("sandbox", "shop", reference, amount=500, currency="XOF")
        self.store.payments.transition("sandbox", "shop", reference, "created", transaction_id=str(event.number))

    @precondition(lambda self: any(event.is_paid and not event.is_known for event in self.events))
    @rule(data=st.data())
    def become_known(self, data):
        """The answer to ``pay`` comes after the webhook: only now it is a payment of this database."""
        event = data.draw(st.sampled_from([each for each in self.events if each.is_paid and not each.is_known]))
        self._ask_for(event)
        event.is_known = True
        for lineage in self._live().values():
            if lineage.kind == CallbackKind.paid and event.number > lineage.after and event.is_for(lineage.kind):
                lineage.calls.setdefault(event, "owed")

    # -- calls --------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.events)
    @rule(slot=PROCESSES, limit=st.sampled_from([1, 3, 100]))
    def claim(self, slot, limit):
        self._claim(self._with_names(slot), limit)

    @precondition(lambda self: self.events)
    @rule(slot=PROCESSES, most=st.sampled_from([2, 100]))
    def work(self, slot, most):
        """Take what is due, and end so much of it well."""
        process = self._with_names(slot)
        self._claim(process, 100)
        for work in list(process.held)[:most]:
            self._end(process, work, "done")

    def _with_names(self, slot):
        """That process, or the other one where only that has callbacks."""
        return max(self.processes.values(), key=lambda each: (bool(each.names), each.slot == slot))

    def _claim(self, process, limit):
        now = self.clock.now()
        wanted = Wanted("sandbox", ["shop"], {each.kind for each in process.names}, list(process.numbers))
        busy = [work.key for work in process.held]
        taken = process.store.callbacks.acquire(process.owner, wanted, lease=LEASE, limit=limit, busy=busy)
        for work in taken:
            event = self._event(work)
            for other in self.processes.values():
                assert all(held.key != work.key or end <= now for held, end in other.held.items()), "two live owners"
            if work.call is None:
                assert not event.is_open, "what callbacks were given is work of the event again"
            else:
                lineage = self.names[work.callback_name]
                function = process.numbers[work.callback]
                assert lineage.name == work.callback_name, "called under a name that was given up"
                assert lineage.calls.get(event) == "owed", f"{lineage.name} is called, and is not owed it"
                assert process.lineages[function].last() is lineage, "another function is called"
            process.held[work] = now + LEASE
        return taken

    @precondition(lambda self: any(each.held for each in self.processes.values()))
    @rule(data=st.data(), how=st.sampled_from(["done", "done", "deny", "retry", "park"]), is_late=st.booleans())
    def end(self, data, how, is_late):
        process = data.draw(st.sampled_from([each for each in self.processes.values() if each.held]))
        if is_late:
            self.tick(LEASE + 1)
        self._end(process, data.draw(st.sampled_from(list(process.held))), how)

    def _end(self, process, work, how):
        event, lease_end = self._event(work), process.held.pop(work)
        callbacks = process.store.callbacks
        if how in ("done", "deny"):
            # What FedaPay denies is done, and no callback hears of it.
            is_to_give = work.call is None and how == "done"
            end = callbacks.give_to_callbacks if is_to_give else callbacks.mark_done
            is_ours = end(work, process.owner)
        else:
            again_in = 5.0 if how == "retry" else None
            is_ours = callbacks.retry_or_park(work, process.owner, error="no", again_in=again_in)
        if not is_ours:
            is_cancelled = work.call is not None and self._lineage(work) is None
            assert is_cancelled or lease_end <= self.clock.now(), "a live lease was lost"
        elif work.call is None:
            event.is_denied = how == "deny"
            if how == "done":
                event.is_open = True
                self._owe(event)
        else:
            lineage = self._lineage(work)
            assert lineage.calls[event] == "owed", "ended twice"
            lineage.calls[event] = {"retry": "owed", "park": "parked"}.get(how, "done")

    @precondition(lambda self: any(each.count("parked") for each in self.names.values()))
    @rule()
    def replay(self):
        for work in self.store.callbacks.parked("sandbox", ["shop"]):
            assert self.store.callbacks.replay(work, 0)
            if work.call is not None:
                lineage = self.names[work.callback_name]
                assert lineage.calls[self._event(work)] == "parked"
                lineage.calls[self._event(work)] = "owed"

    @precondition(lambda self: self.events)
    @rule(seconds=st.sampled_from([1.0, 6.0, 30.0, 61.0]))
    def tick(self, seconds):
        self.clock.seconds += seconds

    def _event(self, work):
        return self.events[int(work.entity_id) - 1]

    def _lineage(self, work):
        """
        What the row of that call is for by now; None if it was cancelled. A process may hold work under an older name.
        """
        query = "SELECT c.name FROM fp_call k JOIN fp_callback c ON c.id = k.callback_id WHERE k.id = {}"
        row = self.store.read(lambda database: database.execute_sql(query.format(int(work.call))).fetchone())
        return None if row is None else self.names[row[0]]

    def _states(self):
        """The state of the work that each event is."""
        rows = self.store.read(lambda database: database.execute_sql(_STATES).fetchall())
        return {self.events[int(entity) - 1]: state for entity, state in rows}

    # -- the end ------------------------------------------------------------------------------------------------

    def teardown(self):
        if not hasattr(self, "store"):
            return
        try:
            self._nothing_is_stranded()
        finally:
            for store in self.stores.values():
                store.close()

    def _nothing_is_stranded(self):
        """
        What is owed is called by who has the name, and else it is said.
        """
        for process in self.processes.values():
            process.end()
        self.clock.seconds += CALLBACK_GONE + LEASE
        for work in self.store.callbacks.parked():
            self.store.callbacks.replay(work, 0)
        for lineage in self._live().values():
            lineage.calls.update({event: "owed" for event, state in lineage.calls.items() if state == "parked"})
        now = self.clock.now()
        shown = {each.name: each for each in self.store.callback_names.all() if each.same_as is None}
        assert set(shown) == set(self._live()), "a name is lost, or stands for another one"
        for name, lineage in self._live().items():
            waiting = [e for e in self.events if not (e.is_open or e.is_denied) and e.number > lineage.after]
            assert shown[name].owed == lineage.count("owed") + len(waiting), f"{name} is owed other than is shown"
            assert shown[name].is_gone(now) is (shown[name].owed > 0), f"{name} is owed events and not said to be gone"

        states = self._states()
        for event in self.events:
            is_owed = any(lineage.calls.get(event) == "owed" for lineage in self._live().values())
            assert not (is_owed and states[event] == "done"), "an event is done that is owed to a callback"
            assert is_owed or states[event] != "none", "an event is open that is owed to no callback"

        last = Process("Z", self.store)
        last.begin()
        last.names = [CallbackName(name, KINDS[name]) for name in sorted(self._live()) or ["a"]]
        self._register(last)
        while self._claim(last, 100):
            while last.held:
                self._end(last, next(iter(last.held)), "done")
        assert all(lineage.count("done") == len(lineage.calls) for lineage in self._live().values()), "stranded"
        assert all(state == "done" for state in self._states().values()), "an event is not done that nobody is owed"
        assert not any(each.owed or each.parked for each in self.store.callback_names.all())
        last.end()


def run(new_url, how=SETTINGS):
    """Try the machine on databases of its own, a new one each time."""
    run_state_machine_as_test(lambda: ChangingNames(new_url), settings=how)


if __name__ == "__main__":
    # Run so, it is to say whether it fails: no search for the shortest way to it.
    run(files_in(sys.argv[1]), settings(SETTINGS, max_examples=500, phases=[Phase.generate]))
