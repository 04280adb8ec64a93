"""``finalise_many`` and ``as_completed``: many payments, one thread, one deadline."""

import _thread
import gc
import sys
import threading
import types
import weakref

import pytest
from support.stored_listens import open_listens

from fedapay_sync import (
    Connector,
    InvalidArgument,
    MethodesPaiement,
    NotFound,
    PaiementSetup,
    Pays,
    StatusUnknown,
    UserData,
)
from fedapay_sync.errors import AmountMismatch
from fedapay_sync.workflow.reconciliation.polling_policy import Pace

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
NEVER = Pace(first=10_000, factor=2, longest=10_000)


@pytest.fixture
def shop(make_connector, clock, emulator):
    connector = make_connector(use_listen_server=True, clock=clock, pace=NEVER)
    connector.start_webhook_server()
    emulator.webhook_url = connector.webhook_url
    return connector


def parts_of(connector):
    return connector._per_process.get()


def pay(connector):
    return connector.pay(SETUP, CLIENT, 500).id_transaction


def test_they_come_in_the_order_of_their_ends(shop, emulator):
    """
    Whatever the order given; each as soon as it is known, and each once.
    """
    first, second, third = pay(shop), pay(shop), pay(shop)
    outcomes = shop.as_completed([first, str(second), third, first], timeout=60)
    seen = []
    for number, move in ((third, emulator.decline), (first, emulator.approve), (second, emulator.expire)):
        move(number)
        seen.append(next(outcomes))

    assert [(outcome.id_transaction, outcome.state) for outcome in seen] == [
        (third, "declined"),
        (first, "paid"),
        (str(second), "expired"),
    ]
    assert list(outcomes) == []


def test_all_of_them_in_the_order_given(shop, emulator):
    """
    An identifier that is given twice has its end twice; what had ended before is there at once.
    """
    paid, declined = pay(shop), pay(shop)
    emulator.approve(paid)
    emulator.decline(declined)

    outcomes = shop.finalise_many([declined, paid, str(declined)], timeout=60)

    assert [outcome.state for outcome in outcomes] == ["declined", "paid", "declined"]
    assert shop.finalise_many([], timeout=0) == []
    assert list(shop.as_completed(iter(()))) == []


def test_what_was_tried_again_since_is_read_again(make_connector, emulator, clock):
    """
    Declined is no last word: as with finalise, FedaPay is asked before an old end is told.
    """
    shop = make_connector(clock=clock, pace=NEVER)
    number = pay(shop)
    emulator.decline(number)
    assert shop.finalise(number, timeout=0).state == "declined"
    emulator.approve(number, force=True)

    assert [outcome.state for outcome in shop.finalise_many([number], timeout=5)] == ["paid"]


def test_one_deadline_for_all(shop, emulator, clock, eventually):
    """
    At the deadline FedaPay is asked about each: a webhook that was lost is paid, the others are still pending.
    """
    numbers = [pay(shop) for _ in range(4)]
    emulator.webhook_url = None
    outcomes = shop.as_completed(numbers, timeout=100)
    emulator.approve(numbers[2])
    clock.advance(101)

    found = {outcome.id_transaction: outcome for outcome in outcomes}

    assert [found[number].state for number in numbers] == ["pending", "pending", "paid", "pending"]
    assert {found[number].status.name for number in (numbers[0], numbers[1], numbers[3])} == {"TIMEOUT"}


def test_a_timeout_of_nothing_looks_once(make_connector, emulator):
    """
    Without webhooks, and with the clock as it goes.
    """
    shop = make_connector(pace=NEVER)
    paid, pending = pay(shop), pay(shop)
    emulator.approve(paid)

    assert [outcome.state for outcome in shop.finalise_many([pending, paid], timeout=0)] == ["pending", "paid"]


def test_one_that_is_wrong_does_not_stop_the_others(shop, emulator):
    """
    Unknown to FedaPay, and paid otherwise than asked: told beside the one that is well.
    """
    well, odd = pay(shop), pay(shop)
    parts_of(shop).store.write(
        lambda database: database.execute_sql(
            "UPDATE fp_payment SET amount = 501 WHERE transaction_id = ?", (str(odd),)
        )
    )
    emulator.approve(odd)
    emulator.approve(well)

    unknown, suspect, paid = shop.finalise_many([999_999, odd, well], timeout=60)

    assert (unknown.state, type(unknown.error)) == ("not_found", NotFound)
    assert (suspect.state, type(suspect.error), bool(suspect)) == ("suspect", AmountMismatch, False)
    assert (paid.state, paid.error, bool(paid)) == ("paid", None, True)


def test_no_answer_at_the_deadline_is_no_timeout(shop, emulator, clock):
    """
    The state says that it may still be paid, the error why; the payment stays watched.
    """
    number = pay(shop)
    outcomes = shop.as_completed([number], timeout=10)
    emulator.fail_next("/v1/transactions", method="GET", status=503, times=1_000_000)
    clock.advance(11)

    (outcome,) = outcomes

    assert (outcome.state, outcome.status.name, type(outcome.error)) == (
        "pending",
        "CANCELLED_INTERNALLY",
        StatusUnknown,
    )
    assert len(open_listens(parts_of(shop).store)) == 1


def test_a_thousand_take_no_thread_each(shop, emulator):
    """
    The waits are rows; only the caller blocks.
    """
    numbers = [pay(shop) for _ in range(3)]
    emulator.fail_next("/v1/transactions/", method="GET", status=503, times=1_000_000)
    outcomes = shop.as_completed([*numbers, *range(10_000, 11_000)], timeout=600)
    before = threading.active_count()
    for number in numbers:
        emulator.approve(number)

    seen = [next(outcomes) for _ in numbers]

    assert {outcome.id_transaction for outcome in seen} == set(numbers)
    assert threading.active_count() - before < 40
    outcomes.close()


def test_ctrl_c_gives_up_the_waiting_and_nothing_else(shop, emulator, eventually):
    """
    Within a moment; the payments stay followed, and the next call tells their ends.
    """
    numbers = [pay(shop) for _ in range(3)]
    emulator.approve(numbers[0])
    outcomes = shop.as_completed(numbers, timeout=600)
    assert next(outcomes).id_transaction == numbers[0]
    threading.Timer(0.2, _thread.interrupt_main).start()

    with pytest.raises(KeyboardInterrupt):
        next(outcomes)

    assert list(outcomes) == []
    assert parts_of(shop).waits.waited_for() == set()
    assert len(open_listens(parts_of(shop).store)) == 2
    emulator.approve(numbers[1])
    emulator.decline(numbers[2])
    assert [each.state for each in shop.finalise_many(numbers, timeout=30)] == ["paid", "paid", "declined"]


def test_who_leaves_the_loop_holds_nothing(connector, emulator, db_url, eventually):
    """
    A connector that is nowhere else is kept by the loop, and by nothing after it; the wait stays on disk.
    """
    number = pay(connector)
    other = Connector(emulator.url, api_key=emulator.secret_key, db_url=db_url, pace=NEVER)
    gone = weakref.ref(other)
    outcomes = other.as_completed([number], timeout=600)
    del other
    gc.collect()
    assert gone() is not None

    del outcomes

    eventually(lambda: gc.collect() >= 0 and gone() is None)
    assert len(open_listens(parts_of(connector).store)) == 1


def test_closing_the_connector_ends_the_loop(shop):
    """
    As interrupted, and the rows stay.
    """
    outcomes = shop.as_completed([pay(shop), pay(shop)], timeout=600)
    threading.Timer(0.1, shop.close).start()

    assert [outcome.status.name for outcome in outcomes] == ["CANCELLED_INTERNALLY"] * 2


@pytest.mark.parametrize("method", ["as_completed", "finalise_many"])
@pytest.mark.parametrize(
    ("arguments", "changes"),
    [
        (("123",), {}),
        ((5,), {}),
        (([1, "../admin"],), {}),
        (([1], -1), {}),
        (([1], "600"), {}),
        (([1],), {"on_timeout": "deleted"}),
        (([1],), {"progress": "yes"}),
    ],
)
def test_what_is_wrong_is_said_before_anything_happens(shop, method, arguments, changes):
    """
    At the call, and not at the first result.
    """
    with pytest.raises(ValueError) as caught:
        getattr(shop, method)(*arguments, **changes)

    assert str(caught.value)
    assert open_listens(parts_of(shop).store) == []


def test_ids_that_are_no_list_are_named(shop):
    with pytest.raises(InvalidArgument, match="une liste d'identifiants"):
        shop.finalise_many("123")


# -- the bar --------------------------------------------------------------------------------------------------------


class FakeTqdm:
    """Stands for tqdm, which need not be installed."""

    made = ()

    def __init__(self, **options):
        self.options, self.done, self.words, self.closed = options, 0, "", False
        FakeTqdm.made = (*FakeTqdm.made, self)

    def set_postfix_str(self, words, refresh=True):
        self.words = words

    def update(self, count):
        self.done += count

    def close(self):
        self.closed = True


@pytest.fixture
def tqdm(monkeypatch):
    module = types.ModuleType("tqdm.auto")
    module.tqdm = FakeTqdm
    FakeTqdm.made = ()
    monkeypatch.setitem(sys.modules, "tqdm", types.ModuleType("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    return FakeTqdm


def test_a_bar_counts_the_ends_by_their_words(shop, emulator, tqdm):
    paid, declined = pay(shop), pay(shop)
    emulator.approve(paid)
    emulator.decline(declined)

    shop.finalise_many([paid, declined, paid], timeout=30, progress=True)

    (bar,) = tqdm.made
    assert (bar.options["total"], bar.done, bar.closed) == (2, 2, True)
    assert sorted(bar.words.split(", ")) == ["1 payé", "1 refusé"]


def test_a_bar_is_closed_by_ctrl_c(shop, emulator, tqdm):
    outcomes = shop.as_completed([pay(shop)], timeout=600, progress=True)
    threading.Timer(0.2, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        next(outcomes)

    assert [bar.closed for bar in tqdm.made] == [True]


@pytest.mark.parametrize(("progress", "tty", "shown"), [(None, True, 1), (None, False, 0), (False, True, 0)])
def test_a_bar_is_there_where_someone_looks(shop, emulator, tqdm, monkeypatch, progress, tty, shown):
    """
    In a terminal, unless it is not wanted; in a log file of cron there is none.
    """
    monkeypatch.setattr(sys.stderr, "isatty", lambda: tty, raising=False)
    number = pay(shop)
    emulator.approve(number)

    shop.finalise_many([number], timeout=30, progress=progress)

    assert len(tqdm.made) == shown


def test_without_tqdm_nothing_is_missing(shop, emulator, monkeypatch):
    """
    None in sys.modules makes the import fail, installed or not.
    """
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    number = pay(shop)
    emulator.approve(number)

    assert [each.state for each in shop.finalise_many([number], timeout=30, progress=True)] == ["paid"]
