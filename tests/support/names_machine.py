"""
Processes on one database whose callbacks change their names, and anything that may happen to them, in any order.

A lineage is what a name stands for, however often it is renamed. The model says which events each lineage is owed.
"""

import hashlib

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from support.store_machine import SETTINGS, HeldClock

from fedapay_sync.store import NewEvent, Store
from fedapay_sync.store.callback_records import CALLBACK_GONE, CallbackName, Wanted
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
    chosen = draw(st.lists(NAMES, unique=True, max_size=4))
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
    """One process after another, each with the functions of its version."""

    def __init__(self, slot):
        self.slot, self.life, self.names, self.numbers = slot, 0, [], {}
        #: What the database said that each of its functions is called for.
        self.lineages = {}
        #: Work → end of the lease.
        self.held = {}

    @property
    def owner(self):
        return f"{self.slot}{self.life}"


class ChangingNames(RuleBasedStateMachine):
    """What lineages are called with, beside what they are owed."""

    def __init__(self, new_url):
        super().__init__()
        self.new_url = new_url

    @initialize()
    def begin(self):
        self.clock = HeldClock()
        self.url = self.new_url()
        self.store = Store(self.url, self.clock)
        self.processes = {slot: Process(slot) for slot in "AB"}
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
        process.numbers = self.store.callback_names.register("sandbox", ["shop"], process.names)
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
        if is_killed:
            process.held.clear()
        while process.held:
            self._end(process, next(iter(process.held)), "done")
        process.life += 1
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
        process = max(self.processes.values(), key=lambda each: (bool(each.names), each.slot == slot))
        version = {each.name: () for each in process.names}
        old = data.draw(st.sampled_from(sorted(version)))
        others = sorted(name for name in KINDS if KINDS[name] == KINDS[old] and name not in version)
        if others:
            del version[old]
            version[data.draw(st.sampled_from(others))] = (old,)
            self.deploy(slot, [(name, former, None) for name, former in version.items()], is_killed)

    @rule(slot=PROCESSES)
    def restart(self, slot):
        """It is killed with what it holds, and comes again as it was."""
        process = self.processes[slot]
        process.held.clear()
        process.life += 1
        self._register(process)

    @rule(slot=PROCESSES)
    def beat(self, slot):
        """It hears that a name of its own was given up or dropped, and says again which functions it has."""
        process = self.processes[slot]
        live = set(self._live().values())
        is_whole = all(lineage in live for lineage in process.lineages.values())
        assert self.store.callback_names.beat(list(process.numbers)) is is_whole
        if not is_whole:
            self._register(process)

    @precondition(lambda self: self.names)
    @rule(data=st.data())
    def rename_by_command(self, data):
        old = data.draw(st.sampled_from(sorted(self._live())))
        new = data.draw(st.sampled_from(sorted(n for n in KINDS if KINDS[n] == KINDS[old] and n != old) or [None]))
        if new is not None:
            assert self.store.callback_names.rename(old, new) == 1
            self._rename(old, new)

    @precondition(lambda self: self.names)
    @rule(data=st.data())
    def drop(self, data):
        lineage = self._live()[data.draw(st.sampled_from(sorted(self._live())))]
        assert self.store.callback_names.drop(lineage.name) == lineage.count("owed", "parked")
        lineage.calls = {}
        self.names = {name: each for name, each in self.names.items() if each is not lineage}
        if not self.names:
            # What no name wanted, and no process has looked at, waits for the first that comes.
            states = self._states()
            self.unclaimed = [e for e in self.events if e.is_open and states[e] == "ready"]

    # -- events -------------------------------------------------------------------------------------------------

    @rule(is_paid=st.booleans(), is_known=st.booleans(), kind=st.sampled_from([EventKind.fact] * 3 + ["unconfirmed"]))
    def come(self, is_paid, is_known, kind):
        event = Event(len(self.events) + 1, EventKind(kind), is_paid, is_known, self.clock.now())
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

    @precondition(lambda self: any(not event.is_known for event in self.events))
    @rule(data=st.data())
    def become_known(self, data):
        """The answer to ``pay`` comes after the webhook: only now it is a payment of this database."""
        event = data.draw(st.sampled_from([each for each in self.events if not each.is_known]))
        self._ask_for(event)
        event.is_known = True
        for lineage in self._live().values():
            if lineage.kind == CallbackKind.paid and event.number > lineage.after and event.is_for(lineage.kind):
                lineage.calls.setdefault(event, "owed")

    # -- calls --------------------------------------------------------------------------------------------------

    @rule(slot=PROCESSES, limit=st.sampled_from([1, 3, 100]))
    def claim(self, slot, limit):
        self._claim(self.processes[slot], limit)

    def _claim(self, process, limit):
        now = self.clock.now()
        wanted = Wanted("sandbox", ["shop"], {each.kind for each in process.names}, list(process.numbers))
        busy = [work.key for work in process.held]
        taken = self.store.callbacks.acquire(process.owner, wanted, lease=LEASE, limit=limit, busy=busy)
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
        callbacks = self.store.callbacks
        if how in ("done", "deny"):
            # What FedaPay denies is done, and no callback hears of it.
            is_to_give = work.call is None and how == "done"
            end = callbacks.give_to_callbacks if is_to_give else callbacks.mark_done
            is_ours = end(work, process.owner)
        else:
            again_in = 5.0 if how == "retry" else None
            is_ours = callbacks.retry_or_park(work, process.owner, error="no", again_in=again_in)
        if not is_ours:
            lineage = None if work.call is None else self._lineage(process, work)
            assert lease_end <= self.clock.now() or lineage is None or event not in lineage.calls or (
                lineage.calls[event] == "owed"
            ), "a live lease was lost"  # fmt: skip
        elif work.call is None:
            event.is_denied = how == "deny"
            if how == "done":
                event.is_open = True
                self._owe(event)
        else:
            lineage = self._lineage(process, work)
            assert lineage.calls[event] == "owed", "ended twice"
            lineage.calls[event] = {"retry": "owed", "park": "parked"}.get(how, "done")

    @rule(data=st.data())
    def replay(self, data):
        parked = self.store.callbacks.parked("sandbox", ["shop"])
        if parked:
            work = data.draw(st.sampled_from(parked))
            assert self.store.callbacks.replay(work, 0)
            if work.call is not None:
                lineage = self.names[work.callback_name]
                assert lineage.calls[self._event(work)] == "parked"
                lineage.calls[self._event(work)] = "owed"

    @rule(seconds=st.sampled_from([1.0, 6.0, 30.0, 61.0]))
    def tick(self, seconds):
        self.clock.seconds += seconds

    def _event(self, work):
        return self.events[int(work.entity_id) - 1]

    def _lineage(self, process, work):
        """What the row of that call is for by now; a process that was restarted may hold work under an older name."""
        found = [row for row in self._calls() if row[0] == work.call]
        return self.names[found[0][1]] if found else Lineage("a", 0)

    def _calls(self):
        query = "SELECT k.id, c.name FROM fp_call k JOIN fp_callback c ON c.id = k.callback_id"
        return self.store.read(lambda database: database.execute_sql(query).fetchall())

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
            self.store.close()

    def _nothing_is_stranded(self):
        """
        What is owed is called by who has the name, and else it is said.
        """
        for process in self.processes.values():
            process.held.clear()
        self.clock.seconds += CALLBACK_GONE + LEASE
        for work in self.store.callbacks.parked():
            self.store.callbacks.replay(work, 0)
        for lineage in self._live().values():
            lineage.calls.update({event: "owed" for event, state in lineage.calls.items() if state == "parked"})
        now = self.clock.now()
        shown = {each.name: each for each in self.store.callback_names.all() if each.same_as is None}
        assert set(shown) == set(self._live())
        for name, lineage in self._live().items():
            waiting = [e for e in self.events if not (e.is_open or e.is_denied) and e.number > lineage.after]
            assert shown[name].owed == lineage.count("owed") + len(waiting), f"{name} is owed other than is shown"
            assert shown[name].is_gone(now) is (shown[name].owed > 0), f"{name} is owed events and not said to be gone"

        last = Process("Z")
        last.names = [CallbackName(name, KINDS[name]) for name in sorted(self._live()) or ["a"]]
        self._register(last)
        while self._claim(last, 100):
            while last.held:
                self._end(last, next(iter(last.held)), "done")
        assert all(lineage.count("done") == len(lineage.calls) for lineage in self._live().values()), "stranded"
        assert all(state == "done" for state in self._states().values()), "an event is not done that nobody is owed"
        assert not any(each.owed or each.parked for each in self.store.callback_names.all())


def run(new_url, how=SETTINGS):
    """Try the machine on databases of its own, a new one each time."""
    run_state_machine_as_test(lambda: ChangingNames(new_url), settings=how)
