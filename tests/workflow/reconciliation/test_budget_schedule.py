"""Readings wait for slots: the most urgent takes the next one, what is needless takes none, and none gather."""

import pytest
from support.simulation import Fedapay, Process, World, WorldNotifier

from fedapay_sync.concurrency.thread_pool import DaemonThreadPool
from fedapay_sync.store import Priority
from fedapay_sync.workflow.context import Context
from fedapay_sync.workflow.reconciliation.poll_budget import PollBudget, Reading


class HeldNotifier(WorldNotifier):
    """What goes to the pool of readings is kept: as if FedaPay did not answer."""

    def __init__(self, world, pool):
        super().__init__(world)
        self.pool, self.held = pool, []

    def call_later(self, seconds, action, pool=None):
        if pool is self.pool:
            self.held.append(action)
            return None
        return super().call_later(seconds, action, pool)


@pytest.fixture
def world():
    return World()


@pytest.fixture
def process(world, db_url):
    process = Process(world, Fedapay(world, 25), db_url, "A")
    yield process
    process.store.close()


@pytest.fixture
def pool():
    return DaemonThreadPool("unused", 4)


@pytest.fixture
def made():
    """What was read, in order."""
    return []


@pytest.fixture
def ask(process, pool, made):
    def ask(what, priority, budget=None, **more):
        reading = Reading(priority, process.config.account, lambda: made.append(what), pool, **more)
        (budget or process.budget).request(reading)

    return ask


def test_the_most_urgent_comes_first_whenever_it_was_asked_for(world, ask, made):
    """
    Two slots of five are for payments that have just begun, one for what no thread waits for rather than for waits.
    """
    for place in range(20):
        ask(f"followed {place}", Priority.followed)
    for place in range(20):
        ask(f"waited {place}", Priority.waited)
    world.run(0.0)
    for place in range(6):
        ask(f"deadline {place}", Priority.deadline)
        ask(f"begun {place}", Priority.begun)
    world.run(3.0)
    urgent = [each for each in made if each.split()[0] in ("deadline", "begun")]
    assert made.index(urgent[-1]) < 20, "twelve, after what was granted before"
    assert [each for each in urgent if "deadline" in each] == [f"deadline {place}" for place in range(6)]
    assert urgent.index("begun 2") < urgent.index("deadline 5")
    world.run(60.0)
    assert len(made) == 52 and made.index("followed 1") < made.index("waited 19")


def test_what_has_become_needless_takes_no_slot(world, ask, made):
    """
    Its wait was ended by a webhook, or by a list.
    """
    for place in range(100):
        ask(place, Priority.deadline, prepare=lambda: False)
    ask("needed", Priority.waited)
    world.run(2.0)
    assert made == ["needed"]


def test_what_had_no_slot_in_time_is_given_up_once(world, ask, made):
    given_up = []
    for place in range(100):
        ask(place, Priority.deadline, until=world.time + 5.0, give_up=lambda place=place: given_up.append(place))
    world.run(60.0)
    assert sorted(made + given_up) == list(range(100))
    assert 25 <= len(made) <= 32


def test_while_fedapay_hangs_no_readings_gather_that_would_all_be_made_when_it_is_back(world, process, pool, ask, made):
    """
    Four threads have one each; the slots of all that time are not used, and not used later either.
    """
    notifier = HeldNotifier(world, pool)
    budget = PollBudget(Context(process.config, process.store, world, "A"), notifier)
    for place in range(100):
        ask(place, Priority.waited, budget)
    world.run(60.0)
    assert len(notifier.held) == 4 and made == []
    notifier.pool, back_at = None, world.time
    for action in notifier.held:
        action()
    world.run(1.0)
    assert world.time == back_at + 1.0 and len(made) <= 4 + 9


def test_more_than_thirty_that_begin_together_are_looked_at_in_turn_and_the_log_says_so(world, ask, made, caplog):
    """
    The others wait like those that are waited for, and stop nothing.
    """
    for place in range(100):
        ask(f"begun {place}", Priority.begun)
    ask("deadline", Priority.deadline)
    world.run(14.0)
    assert {f"begun {place}" for place in range(30)} <= set(made) and "deadline" in made[:5]
    assert [record.levelname for record in caplog.records if "looked at in turn" in record.message] == ["WARNING"]
    world.run(10.0)
    assert len(made) == 101


def test_after_it_is_closed_nothing_is_read(world, process, ask, made):
    ask(1, Priority.waited)
    process.budget.close()
    ask(2, Priority.waited)
    world.run(10.0)
    assert made == []


def test_a_place_that_is_free_again_is_for_any_account(world, process, pool, made):
    """
    The readings of one account held them all when the other asked.
    """
    notifier = HeldNotifier(world, pool)
    budget = PollBudget(Context(process.config, process.store, world, "A"), notifier)
    for place in range(pool.size):
        budget.request(Reading(Priority.deadline, "one", lambda place=place: made.append(place), pool))
    world.run(5.0)
    budget.request(Reading(Priority.deadline, "other", lambda: made.append("other"), pool))
    world.run(5.0)
    assert len(notifier.held) == pool.size and not made
    while notifier.held:
        notifier.held.pop()()
    world.run(5.0)
    while notifier.held:
        notifier.held.pop()()
    assert "other" in made


def test_a_reading_that_cannot_be_prepared_gives_its_place_back(world, process, pool, made, ask):
    def fail():
        raise OSError("no file")

    for place in range(2 * pool.size):
        ask(place, Priority.waited, prepare=fail)
    ask("next", Priority.waited)
    world.run(10.0)
    assert made == ["next"]
