"""
The load on FedaPay, simulated: ten thousand old payments, thousands of equal deadlines, five processes, small pages.
"""

import os
import random
import tempfile

import pytest
from support.simulation import Fedapay, Process, World
from support.stored_listens import make_known

from fedapay_sync.store.database import Database

GRACE = 30.0
#: Other merchants' transactions lie between ours.
STEP = 7


@pytest.fixture
def world():
    """A world in which the same happens each time."""
    state = random.getstate()
    random.seed(12)
    yield World()
    random.setstate(state)


@pytest.fixture
def fedapay(world):
    return Fedapay(world, page_size=25)


@pytest.fixture
def db_url(tmp_path):
    """In memory, where the system has such a folder: what a disk costs is no matter here."""
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.path.isdir(memory) else tmp_path) as folder:
        yield f"sqlite:///{folder}/store/processes.db"


@pytest.fixture
def make_process(world, fedapay, db_url):
    made = []

    def make():
        made.append(Process(world, fedapay, db_url, f"process-{len(made)}"))
        return made[-1]

    yield make
    for process in made:
        process.store.close()


def old_payments(process, fedapay, world, count):
    """Payments of the last two days, all of them overdue, as after an outage; what their numbers are."""
    numbers = [1_000_000 + STEP * place for place in range(count)]
    insert = (
        "INSERT INTO fp_payment (environment, account, merchant_reference, amount, currency, transaction_id, state, "
        "created_at, updated_at, run_after, looks) VALUES ('sandbox', '{account}', 'OLD-{n}', 500, 'XOF', '{n}', "
        "'sent', {at}, {at}, {due}, 20)"
    )

    def write(database: Database):
        for number in numbers:
            at = world.time - random.uniform(3600, 40 * 3600)
            due = world.time - random.uniform(0, 3600)
            database.execute_sql(insert.format(account=process.config.account, n=number, at=at, due=due))

    process.store.write(write)
    for number in numbers:
        fedapay.add(number)
    return numbers


class Shop:
    """New payments, and when each began."""

    def __init__(self, world, fedapay, processes, newest):
        self.world, self.fedapay, self.processes = world, fedapay, processes
        self.newest = newest
        self.begun = {}

    def pay(self):
        self.newest += STEP
        self.fedapay.add(self.newest)
        self.begun[self.newest] = self.world.time
        random.choice(self.processes).begin(self.newest)
        return self.newest

    def lateness(self):
        """How long the payments waited for their first reading."""
        return [
            self.fedapay.shown.get(number, float("inf")) - at
            for number, at in self.begun.items()
            if at < self.world.time - 15
        ]


def decided(process, numbers):
    """How long after its deadline each wait was decided, and as what."""
    query = "SELECT transaction_id, state, closed_at - deadline FROM fp_listen"
    rows = process.store.read(lambda database: database.execute_sql(query).fetchall())
    return {int(number): (state, late) for number, state, late in rows if int(number) in numbers}


def simulate(world, fedapay, make_process, *, old, waits, minutes, timeout=240.0):
    """Minutes of shops in five processes; at a third of them thousands of waits begin, with one deadline."""
    processes = [make_process() for _ in range(5)]
    numbers = old_payments(processes[0], fedapay, world, old)
    for process in processes:
        process.reconciler.start()
    shop = Shop(world, fedapay, processes, numbers[-1])
    waited_for = []
    for minute in range(minutes):
        if minute == minutes // 3:
            for _ in range(waits):
                shop.newest += STEP
                fedapay.add(shop.newest)
                waited_for.append(shop.newest)
            make_known(processes[0].store, waited_for)
            for place, process in enumerate(processes):
                process.listens.listen_many(waited_for[place::5], timeout=timeout)
            begun_at = world.time
            for number in waited_for[::3]:
                # Paid in the end, and no webhook tells of it.
                world.at(timeout - 1.0, lambda number=number: fedapay.statuses.__setitem__(number, "approved"))
        # At most thirty within fifteen seconds.
        for place in range(random.choice([1, 5, 30])):
            world.at(0.1 * place + random.uniform(0, 5), shop.pay)
        world.run(60.0)
    return processes, shop, waited_for, begun_at


def check(world, fedapay, processes, shop, waited_for, *, all_within_grace):
    assert fedapay.busiest_second() <= 10, "no second has more than twice the budget"
    hour = len(fedapay.readings) / (world.time - 1_800_000_000.0)
    assert hour <= 5.05, "on average it is kept"
    assert max(shop.lateness()) <= 15.0
    ends = decided(processes[0], set(waited_for))
    assert len(ends) == len(waited_for)
    if all_within_grace:
        assert {state for state, _ in ends.values()} == {"resolved", "timed_out"}
        assert max(late for _, late in ends.values()) <= GRACE
        assert {ends[number][0] for number in waited_for[::3]} == {"resolved"}
        assert {ends[number][0] for number in waited_for[1::3]} == {"timed_out"}


@pytest.mark.faults
@pytest.mark.long
def test_an_hour_of_five_processes_and_ten_thousand_payments(world, fedapay, make_process):
    """
    Old payments do not hold up new ones, 3,000 equal deadlines are decided within the grace, and the budget is kept.
    """
    processes, shop, waited_for, _ = simulate(world, fedapay, make_process, old=10_000, waits=3_000, minutes=60)
    check(world, fedapay, processes, shop, waited_for, all_within_grace=True)


@pytest.mark.faults
@pytest.mark.long
def test_ten_minutes_of_five_processes(world, fedapay, make_process):
    """
    The same, small: for every day.
    """
    processes, shop, waited_for, _ = simulate(world, fedapay, make_process, old=500, waits=300, minutes=10, timeout=120)
    check(world, fedapay, processes, shop, waited_for, all_within_grace=True)


def begin_waits(process, fedapay, numbers, timeout=60.0):
    for number in numbers:
        fedapay.add(number)
    make_known(process.store, numbers)
    process.listens.listen_many(numbers, timeout=timeout)


def pages(fedapay):
    return [what for _, what in fedapay.readings if isinstance(what, str)]


def test_a_wait_alone_is_read_as_soon_as_ever(world, fedapay, make_process):
    """
    The budget costs it nothing: after one second, and at its deadline.
    """
    process, begun_at = make_process(), world.time
    begin_waits(process, fedapay, [7], timeout=5.5)
    world.run(10)
    times = [round(time - begun_at, 1) for time, _ in fedapay.readings]
    assert times[0] == 1.0 and times[-1] == 5.5
    assert decided(process, {7})[7][0] == "timed_out"


def test_deadlines_behind_thousands_of_newer_payments_are_found_in_a_few_steps(world, fedapay, make_process):
    """
    Ids grow with time: what lies far back in the list is not approached page by page.
    """
    process = make_process()
    ours = [1_000_000 + STEP * place for place in range(200)]
    begin_waits(process, fedapay, ours)
    for place in range(5_000):
        fedapay.add(2_000_000 + STEP * place)
    world.run(60.0 + GRACE)
    ends = decided(process, set(ours))
    assert {state for state, _ in ends.values()} == {"timed_out"}
    assert max(late for _, late in ends.values()) <= 20.0
    assert len(pages(fedapay)) <= 30


def test_a_list_that_takes_no_parameter_but_the_page_is_read_all_the_same(world, fedapay, make_process):
    """
    FedaPay may refuse what it does not know.
    """
    process = make_process()
    ours = list(range(1_000, 1_000 + 300 * STEP, STEP))
    begin_waits(process, fedapay, ours)
    fedapay.include_is_refused = True
    world.run(60.0 + GRACE)
    assert {state for state, _ in decided(process, set(ours)).values()} == {"timed_out"}
    assert len(pages(fedapay)) <= 20


def test_where_lists_show_nothing_deadlines_are_read_one_by_one_and_the_rest_is_unknown(world, fedapay, make_process):
    """
    What had no slot within the grace is no timeout: it stays watched, and is decided when there is one.
    """
    process = make_process()
    ours = list(range(1_000, 1_000 + 400 * STEP, STEP))
    begin_waits(process, fedapay, ours)
    fedapay.list_is_refused = True
    world.run(60.0 + GRACE)
    ends = decided(process, set(ours))
    assert len(pages(fedapay)) <= 2
    told = [number for number, (state, _) in ends.items() if state == "timed_out"]
    assert 130 <= len(told) <= 160
    assert {state for number, (state, _) in ends.items() if number not in told} == {"unknown"}
    assert fedapay.busiest_second() <= 10
    world.run(300.0)
    assert {state for state, _ in decided(process, set(ours)).values()} == {"timed_out"}


def test_a_list_decides_only_what_it_shows(world, fedapay, make_process):
    """
    A transaction that FedaPay's list leaves out is read alone, and its end is told.
    """
    process = make_process()
    ours = list(range(1_000, 1_000 + 50 * STEP, STEP))
    begin_waits(process, fedapay, ours, timeout=30.0)
    hidden = ours[10]
    fedapay.hide(hidden)
    world.at(29.0, lambda: fedapay.statuses.update({hidden: "approved", ours[11]: "declined"}))
    world.run(30.0 + GRACE)
    ends = decided(process, set(ours))
    assert pages(fedapay)
    assert ends[hidden][0] == "resolved" and ends[ours[11]][0] == "resolved"
    assert {state for number, (state, _) in ends.items() if number not in ours[10:12]} == {"timed_out"}


def test_a_process_that_dies_while_it_lists_leaves_the_rest_to_the_others(world, fedapay, make_process):
    """
    It is noticed within the grace.
    """
    dying, other = make_process(), make_process()
    ours = list(range(1_000, 1_000 + 100 * STEP, STEP))
    begin_waits(other, fedapay, ours)
    assert world.run(59.9) is None
    assert dying.store.poll_budget.begin_listing("sandbox", dying.config.account)
    world.run(0.1 + GRACE)
    ends = decided(other, set(ours))
    assert {state for state, _ in ends.values()} == {"timed_out"}
    assert sum(late >= 10.0 for _, late in ends.values()) >= 90
