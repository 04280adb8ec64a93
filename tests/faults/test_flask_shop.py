"""
The Flask shop of the examples under the servers that people run it with, while its processes and its database are
restarted and killed: each order is delivered once. What happened is printed with -s.
"""

import contextlib
import importlib.util
import json
import os
import signal
import threading
import time
import uuid
from pathlib import Path

import pytest
from support.flask_shop import SOUND, Customers, FlaskShop
from support.postgres_server import running_or_skipped

from fedapay_sync.emulator import Emulator

pytestmark = [
    pytest.mark.faults(row=14),
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in ("flask_sqlalchemy", "flask_wtf", "gunicorn")),
        reason="Flask-SQLAlchemy, Flask-WTF and gunicorn are not all installed",
    ),
]

#: How often each thing is done to the shop in one test, and orders before each time and after the last.
ROUNDS = 3
ORDERS = 6


@pytest.fixture(scope="module")
def stoppable_postgres():
    """A server of its own, which syncs to the disk, to be stopped and started."""
    with running_or_skipped(durable=True) as server:
        yield server


@pytest.fixture
def db_url(request):
    """PostgreSQL for the orders and the payments; "sqlite" stands for the two files that the shop makes by itself."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return ""
    return request.getfixturevalue("stoppable_postgres").schema_url(f"t{uuid.uuid4().hex}")


@pytest.fixture
def emulator():
    """A FedaPay whose payers agree after a moment, and whose webhooks come again soon."""
    with Emulator(delay=0.1, retry_factor=0.05, disable_on_error=False) as running:
        yield running


@pytest.fixture
def make_shop(emulator, tmp_path, db_url):
    made = []

    def make(**settings):
        made.append(FlaskShop(emulator, tmp_path, db_url, **settings))
        return made[-1]

    yield make
    for shop in made:
        shop.clear()


def both_databases(test):
    return pytest.mark.parametrize("db_url", ["sqlite", "postgres"], indirect=True)(test)


def test_two_gunicorn_workers_and_a_worker_process_deliver_each_order_once(make_shop, eventually):
    """
    The callbacks run in the worker process alone.
    """
    shop = make_shop(FEDAPAY_CALLBACKS="worker")
    shop.serve("gthread")
    worker = shop.work()
    eventually(shop.answers)
    assert shop.order() and shop.order()
    eventually(lambda: shop.ended() == 2)
    eventually(shop.is_settled)

    sold = shop.sold()
    assert (*sold[:3], sold.repeats, sold.failures) == (*SOUND, 0, 0), shop.said()
    assert {each["life"] for each in shop.entries()} == {worker.pid}

    # What all tests here rest on: a second delivery of an order would be seen.
    begun = next(each for each in shop.entries() if each["what"] == "begin")
    with shop.ledger.open("a", encoding="utf-8") as ledger:
        ledger.write(json.dumps({**begun, "run": "again", "attempt": 2, "at": time.monotonic()}) + "\n")
    assert len(shop.sold().verdict.unexplained) == 1


@pytest.mark.long
@both_databases
def test_a_reload_of_flask_run_in_the_midst_of_a_callback_delivers_each_order_once(make_shop, eventually):
    """
    The process that is replaced ends its callback first; what is paid later is told to the next one.
    """
    shop = make_shop()
    server = shop.serve_debug()
    eventually(shop.answers)
    shop.hold.touch()
    assert shop.order()
    [before] = eventually(lambda: [each["life"] for each in shop.entries()])
    shop.payments.write_text(f"{shop.payments.read_text(encoding='utf-8')}\n# changed\n", encoding="utf-8")
    eventually(lambda: "reloading" in server.said())
    shop.hold.unlink()
    eventually(lambda: shop.ended() == 1)
    eventually(lambda: before not in server.children() and shop.answers())
    assert shop.order()
    eventually(lambda: shop.ended() == 2)
    eventually(shop.is_settled)

    sold = shop.sold()
    assert (*sold[:3], sold.repeats, sold.failures) == (*SOUND, 0, 0), shop.said()
    assert len({each["life"] for each in shop.entries()}) == 2


@pytest.mark.long
@both_databases
def test_reloads_of_flask_run_under_orders_deliver_each_order_once(make_shop, emulator, eventually):
    """
    The application is imported anew while orders, webhooks and callbacks are under way.
    """
    shop = make_shop()
    server = shop.serve_debug()

    def reload(how_often):
        shop.payments.write_text(f"{shop.payments.read_text(encoding='utf-8')}\n# {how_often}\n", encoding="utf-8")
        eventually(lambda: server.said().count("reloading") == how_often + 1)
        eventually(shop.answers)

    assert goes_through(shop, emulator, eventually, reload).repeats == 0, shop.said()


def goes_through(shop, emulator, eventually, blow):
    """
    Customers order while ``blow`` is done to the shop a few times; then all that is paid is delivered, as it should be.

    Returns:
        what was sold; each repeated call is explained by a death, an outage or a failure.
    """
    eventually(shop.answers)
    customers = Customers(shop)
    try:
        for how_often in range(ROUNDS):
            customers.wait_for(ORDERS)
            blow(how_often)
        customers.wait_for(ORDERS)
    finally:
        customers.leave()
    emulator.wait_for_deliveries(60)
    begun = time.monotonic()
    try:
        eventually(shop.is_settled, 120)
    finally:
        sold = shop.sold()
        print(
            f"\n{os.environ.get('PYTEST_CURRENT_TEST', '').split('::')[-1]}: {customers.served} orders, "
            f"{customers.turned_away} turned away, {sold.paid} paid, {shop.ended()} delivered, "
            f"{sold.repeats} calls repeated, {sold.failures} failed, settled "
            f"{time.monotonic() - begun:.1f} s later; {sold[:3]}"
        )
    assert sold[:3] == SOUND, shop.said()
    return sold._replace(turned_away=customers.turned_away)


@pytest.fixture(params=["sync", "gthread"])
def served(request, make_shop, eventually):
    """The shop behind two workers of gunicorn, with a worker process; and these."""
    shop = make_shop(FEDAPAY_CALLBACKS="worker")
    server, worker = shop.serve(request.param), shop.work()
    eventually(lambda: len(server.children()) == 2)
    return shop, server, worker


@pytest.mark.long
@both_databases
def test_a_rolling_restart_of_gunicorn_calls_nothing_twice(served, emulator, eventually):
    """
    HUP: each of its workers is replaced.
    """
    shop, server, _ = served

    def blow(_):
        old = set(server.children())
        os.kill(server.pid, signal.SIGHUP)
        eventually(lambda: len(server.children()) == 2 and not old & set(server.children()), 60)

    assert goes_through(shop, emulator, eventually, blow).repeats == 0


@pytest.mark.long
@both_databases
def test_a_killed_worker_of_gunicorn_loses_no_order_and_calls_nothing_twice(served, emulator, eventually):
    """
    SIGKILL, once of one, then of both while one of them asks FedaPay for a payment.
    """
    shop, server, _ = served
    slow = slow_payments(emulator)

    def blow(how_often):
        struck = slow.struck
        eventually(lambda: slow.struck > struck)
        victims = server.children()[: how_often + 1]
        for victim in victims:
            shop.kill(victim)
        eventually(lambda: len(server.children()) == 2 and not set(victims) & set(server.children()))

    sold = goes_through(shop, emulator, eventually, blow)
    assert sold.repeats == 0
    assert sold.turned_away >= 2, "the orders that were under way"


@pytest.mark.long
@both_databases
def test_a_killed_master_of_gunicorn_loses_no_order_and_calls_nothing_twice(served, emulator, eventually):
    """
    SIGKILL; its workers, which serve on meanwhile, are told to end before the next master, as systemd does it.
    """
    shop, server, _ = served

    def blow(_):
        orphans = server.children()
        shop.kill(server.pid)
        eventually(lambda: not server.lives)
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in orphans), 60)
        server.start()
        eventually(shop.answers)

    assert goes_through(shop, emulator, eventually, blow).repeats == 0


@pytest.mark.long
@both_databases
def test_a_killed_worker_of_gunicorn_that_runs_callbacks_repeats_those_that_it_was_in_and_no_other(
    make_shop, emulator, eventually
):
    """
    As the shop is set by default, without a worker process: the other worker of gunicorn calls them again.
    """
    shop = make_shop()
    server = shop.serve("gthread")

    def blow(_):
        begun = hold_a_call(shop, eventually)
        shop.kill(begun["life"])
        shop.hold.unlink()
        eventually(lambda: len(server.children()) == 2 and begun["life"] not in server.children())

    assert goes_through(shop, emulator, eventually, blow).repeats >= ROUNDS


@pytest.mark.long
@both_databases
def test_all_killed_at_once_and_started_again_lose_no_order(served, emulator, eventually):
    """
    SIGKILL of gunicorn, its workers and the worker process, as when the machine fails.
    """
    shop, server, worker = served
    slow_payments(emulator)

    def blow(_):
        hold_a_call(shop, eventually)
        workers = server.children()
        for pid in (server.pid, worker.pid, *workers):
            shop.kill(pid)
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
        eventually(lambda: not server.lives and not worker.lives)
        shop.hold.unlink()
        worker.start()
        server.start()
        eventually(shop.answers)

    sold = goes_through(shop, emulator, eventually, blow)
    assert sold.repeats >= ROUNDS and sold.turned_away


def slow_payments(emulator):
    """FedaPay takes its time to answer who asks for a payment; the fault counts them when they come."""
    return emulator.faults.api.slow(seconds=0.4, path="/v1/", method="POST", times=1_000_000)


def hold_a_call(shop, eventually):
    """Hold the callbacks where they begin, until the file is gone; the first that is held."""
    shop.hold.touch()
    known = len(shop.entries())
    return eventually(lambda: next((each for each in shop.entries()[known:] if each["what"] == "begin"), None))


@pytest.mark.long
@both_databases
def test_a_killed_worker_process_repeats_the_calls_that_it_was_in_and_no_other(served, emulator, eventually):
    """
    SIGKILL in the midst of callbacks: the next worker calls them again, as the guide says, as a further attempt.
    """
    shop, _, worker = served

    def blow(_):
        hold_a_call(shop, eventually)
        shop.kill(worker.pid)
        eventually(lambda: not worker.lives)
        shop.hold.unlink()
        worker.start()

    assert goes_through(shop, emulator, eventually, blow).repeats >= ROUNDS


@pytest.mark.long
@both_databases
def test_a_worker_process_told_to_end_ends_its_call_and_repeats_none(served, emulator, eventually):
    """
    SIGTERM in the midst of a callback, as at each deployment: it exits with 0.
    """
    shop, _, worker = served

    def blow(_):
        hold_a_call(shop, eventually)
        release = threading.Timer(0.5, shop.hold.unlink)
        release.start()
        assert worker.end() == 0, worker.said()
        release.join()
        worker.start()

    assert goes_through(shop, emulator, eventually, blow).repeats == 0


@pytest.mark.long
@pytest.mark.parametrize("db_url", ["postgres"], indirect=True)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restarted", "crashed"])
def test_a_restart_of_postgresql_loses_no_order(served, stoppable_postgres, emulator, eventually, how):
    """
    Orders are turned away while it is gone; what was paid is delivered when it is back.
    """
    shop, _, _ = served

    def blow(_):
        begun = time.monotonic()
        stoppable_postgres.stop(how)
        stoppable_postgres.start()
        shop.outages.append((begun, time.monotonic()))
        eventually(shop.answers)

    goes_through(shop, emulator, eventually, blow)


@pytest.mark.long
@pytest.mark.parametrize("db_url", ["postgres"], indirect=True)
def test_the_first_orders_after_a_restart_of_postgresql_are_served(served, stoppable_postgres, eventually):
    """
    The connections of before are dead, and neither a customer nor a callback meets one of them.
    """
    shop, _, _ = served
    eventually(shop.answers)
    # As many as make it likely that each process has connections.
    assert all(shop.order() for _ in range(6))
    eventually(lambda: shop.ended() == 6 and shop.is_settled())
    stoppable_postgres.restart()

    served_after = [shop.order() for _ in range(6)]
    assert all(served_after), shop.said()
    eventually(lambda: shop.ended() == 12 and shop.is_settled())
    sold = shop.sold()
    assert (*sold[:3], sold.repeats, sold.failures) == (*SOUND, 0, 0), shop.said()
