"""The life of a connector in a process: what opens, what starts, and when."""

import contextlib
import sqlite3
import threading
import time

import flask
import pytest
from support import claims
from werkzeug.test import Client

import fedapay_sync.flask
from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.connector import working
from fedapay_sync.errors import ConfigError, StoreError

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")


def test_a_program_that_changes_its_folder_keeps_its_database(make_connector, tmp_path, monkeypatch):
    """
    A daemon does it between building and using, or after closing.
    """
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path)
    shop = make_connector(db_url="sqlite:///shop.db")
    for folder in ("first", "second"):
        monkeypatch.chdir(tmp_path / folder)
        shop.pay(SETUP, CLIENT, 500, merchant_reference=folder)
        shop.close()

    with sqlite3.connect(tmp_path / "shop.db") as database:
        assert database.execute("SELECT COUNT(*) FROM fp_payment").fetchone() == (2,)
    assert sorted(each.name for each in tmp_path.rglob("*.db")) == ["shop.db"]


def owe(shop, emulator):
    """A paid payment whose callback is owed by that shop's database."""
    number = shop.pay(SETUP, CLIENT, 500).id_transaction
    emulator.approve(number)
    shop.check_status(number)
    return number


def threads():
    return {
        each.name for each in threading.enumerate() if each.name.startswith("fedapay-") and "emulator" not in each.name
    }


@pytest.fixture
def owed(make_connector, emulator):
    """The number of a payment whose callback is owed; its process is gone."""
    with make_connector() as gone:
        return owe(gone, emulator)


def test_building_registering_mounting_and_reading_open_and_start_nothing(make_connector, owed, eventually):
    """
    A program that is imported by a master, or by a command, delivers nothing there.
    """
    before, shop, told = threads(), make_connector(), []
    shop.on_webhook(told.append)
    shop.on_restored(told.append)
    shop.wsgi_app("webhooks")
    fedapay_sync.flask.blueprint(shop, "/webhooks")
    shop.api.currencies.list()
    assert shop.parked() == [] and shop.replay() == 0 and not shop.health().working
    shop.purge(30)
    shop.forget(1)

    eventually(lambda: threads() <= before)
    assert told == [] and not shop._per_process.get().store.is_open


def test_start_does_what_is_owed_and_restores_once(make_connector, emulator, owed, eventually):
    """
    ``restore`` after it gives the same number.
    """
    with make_connector() as gone:
        waited = gone.pay(SETUP, CLIENT, 500).id_transaction
        gone.listen(waited, 600)
    shop, told, restored = make_connector(), [], []
    shop.on_webhook(told.append)
    shop.on_restored(restored.append)

    assert shop.start() == shop.start() == shop.restore() == 1
    eventually(lambda: told and told[0].id_transaction == owed)
    emulator.approve(waited)
    shop.check_status(waited)
    eventually(lambda: [each.id_transaction for each in restored] == [waited])


def test_the_first_request_of_an_application_begins_the_work(make_connector, owed, eventually):
    """
    Of any route, and not of the endpoint alone.
    """
    shop, told = make_connector(), []
    shop.on_webhook(told.append)
    app = flask.Flask("shop")
    app.register_blueprint(fedapay_sync.flask.blueprint(shop, "/webhooks"))
    app.add_url_rule("/", view_func=lambda: "bonjour")

    assert app.test_client().get("/").text == "bonjour"
    eventually(lambda: told)


def test_a_request_is_not_touched_by_a_database_that_is_away(make_connector, tmp_path, eventually, caplog):
    """
    It is logged, and tried again with a later request.
    """
    (tmp_path / "not a database").write_bytes(b"x" * 1000)
    shop = make_connector(db_url=f"sqlite:///{tmp_path}/not a database")
    shop.on_restored(lambda outcome: None)
    served = shop.wsgi_app("webhooks")
    answer = Client(served).get("/autre")

    assert answer.status_code == 404
    eventually(lambda: "the work cannot begin yet" in caplog.text)


@pytest.mark.parametrize("mode", ["here", "worker", "inline"])
def test_run_works_until_it_is_told_to_end_and_then_closes(make_connector, owed, eventually, mode):
    """
    Here by an event, in a thread: only the main one gets signals.
    """
    shop, told, stop = make_connector(callbacks=mode), [], threading.Event()
    shop.on_webhook(told.append)
    running = threading.Thread(target=shop.run, args=(stop,))
    running.start()
    eventually(lambda: told)
    eventually(lambda: shop.health().workers == 1)
    # Webhooks come in somewhere: what is missed of them is looked for here.
    assert shop._per_process.get().policy.has_receiver
    with pytest.raises(ConfigError, match="déjà"):
        shop.run(stop)
    stop.set()
    running.join(20)

    assert not running.is_alive()
    assert [each.id_transaction for each in told] == [owed]
    assert make_connector(callbacks="worker").health().workers == 0


def test_run_ends_when_the_connector_is_closed(make_connector, eventually):
    shop = make_connector()
    shop.on_webhook(lambda event: None)
    running = threading.Thread(target=shop.run)
    running.start()
    eventually(lambda: shop._per_process.get().has_begun)
    shop.close()
    running.join(20)

    assert not running.is_alive()


@pytest.mark.parametrize("method", ["run", "run_owed"])
def test_a_worker_without_callbacks_is_refused(make_connector, method):
    with pytest.raises(ConfigError, match="on_webhook"):
        getattr(make_connector(), method)()


def test_run_owed_does_what_is_due_in_this_thread_and_leaves_nothing_open(make_connector, owed, eventually):
    """
    For cron: what failed is owed still, what is over time is left.
    """
    before, shop, told = threads(), make_connector(), []

    def note(event):
        told.append((event.id_transaction, threading.current_thread()))

    shop.on_webhook(note)
    assert shop.run_owed(timeout=0) == 0 and told == []
    assert shop.run_owed() == 1 and shop.run_owed() == 0

    assert told == [(owed, threading.main_thread())]
    eventually(lambda: threads() <= before)
    assert not shop._per_process.get().store.is_open


def test_inline_callbacks_have_run_when_what_brought_them_returns(make_connector, emulator, caplog):
    """
    In its thread. One that fails is logged and stays owed; one that pays in its turn is no knot.
    """
    shop, told = make_connector(callbacks="inline"), []

    def note(event):
        told.append((event.id_transaction, event.attempt, threading.current_thread()))
        if len(told) == 1:
            shop.pay(SETUP, CLIENT, 700)
            raise ValueError("not now")

    shop.on_webhook(note)
    first = owe(shop, emulator)
    assert told == [(first, 1, threading.main_thread())]
    assert "not now" in caplog.text
    second = owe(shop, emulator)

    assert told[1:] == [(second, 1, threading.main_thread())]
    assert "fedapay-callbacks" not in threads() and shop.owes_callbacks() is False


def test_each_call_is_made_in_a_context_of_its_own(make_connector, emulator, eventually):
    """
    Callbacks of events and of waits.
    """
    entered = []

    @contextlib.contextmanager
    def around():
        entered.append("in")
        yield
        entered.append("out")

    shop, told = make_connector(around_callback=around), []
    shop.on_webhook(lambda event: told.append(entered[-1]))
    number = owe(shop, emulator)
    eventually(lambda: told == ["in"] and entered == ["in", "out"])
    shop.listen(number, callback=lambda outcome: told.append(entered[-1]))
    eventually(lambda: told == ["in", "in"] and entered == ["in", "out"] * 2)


@pytest.mark.parametrize(("name", "value"), [("callbacks", "ailleurs"), ("callbacks", None), ("around_callback", 3)])
def test_a_wrong_setting_says_what_is_expected(make_connector, name, value):
    with pytest.raises(ConfigError, match=name) as refused:
        make_connector(**{name: value})
    assert "attendu" in str(refused.value)


def test_a_process_that_leaves_its_callbacks_to_workers_says_that_none_is_alive(
    make_connector, emulator, clock, eventually, caplog
):
    """
    Once a minute, and so does ``health``; and that a callback has been owed for long.
    """
    shop = make_connector(callbacks="worker", clock=clock)
    shop.on_webhook(lambda event: None)
    owe(shop, emulator)
    assert any("fedapay-sync worker" in each for each in shop.health().problems)

    def is_said(words):
        clock.advance(10)
        # Timers sleep by the true clock: their thread is woken.
        shop._per_process.get().notifier._listener.wake()
        return words in caplog.text

    eventually(lambda: is_said("no worker process is alive"))
    eventually(lambda: is_said("callback webhook is owed for"))
    assert any("webhook" in each for each in shop.health().problems)


def test_what_worker_processes_have_a_function_for_is_owed_to_them(make_connector):
    """
    Also what follows a payment, which the process that pays has no thread for.
    """
    shop, worker, told = make_connector(callbacks="worker"), make_connector(callbacks="worker"), []
    for each in (shop, worker):
        each.on_payment(told.append)
    number = shop.pay(SETUP, CLIENT, 500).id_transaction

    assert worker.run_owed() == 1
    assert [each.id_transaction for each in told] == [number]
    # Having helped once, it is still none that does.
    worker.pay(SETUP, CLIENT, 700)
    assert worker.run_owed(timeout=0) == 0 and len(told) == 1


def test_a_route_is_expected_to_get_webhooks_whenever_it_is_mounted(make_connector):
    """
    Before a function is registered, and after: what is missed is then looked for each hour.
    """
    shop = make_connector()
    shop.on_webhook(lambda event: None)
    shop.wsgi_app("webhooks")

    assert shop._per_process.get().policy.has_receiver


def test_ctrl_c_in_a_callback_of_this_thread_ends_the_program(make_connector, owed):
    """
    It is the program's, and not the callback's; that one has failed, and stays owed.
    """
    shop = make_connector()

    @shop.on_webhook
    def interrupt(event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shop.run_owed()
    assert shop.run_owed() == 0
    (row,) = [work for work in states(shop) if work[0] == str(owed)]
    assert row == (str(owed), "ready", 1)


def states(shop):
    return [row[:3] for row in claims.states(shop._per_process.get().store)]


def test_an_end_that_could_not_be_stored_is_stored_by_closing(make_connector, owed, monkeypatch):
    """
    In this thread nobody else would try again, and the next process would call it once more.
    """
    shop, told = make_connector(), []
    shop.on_webhook(told.append)
    callbacks = shop._per_process.get().store.callbacks
    mark, failing = callbacks.mark_done, [True]

    def mark_done(*arguments, **settings):
        if failing and failing.pop():
            raise StoreError("away")
        return mark(*arguments, **settings)

    monkeypatch.setattr(callbacks, "mark_done", mark_done)
    shop.run_owed(timeout=0.001)
    shop.run_owed(timeout=0)
    begun = time.monotonic()
    shop.close()

    assert time.monotonic() - begun < 5
    assert {state for _, state, _ in states(shop)} == {"done"} and len(told) == 1


def test_closing_waits_for_what_is_being_taken_to_be_called_here(make_connector, owed, eventually, monkeypatch):
    """
    Its owner's name given up meanwhile, the next to look would take it for that of a dead process, and call it twice.
    """
    shop, told, taking, go_on = make_connector(), [], threading.Event(), threading.Event()
    shop.on_webhook(told.append)
    runtime = shop._per_process.get()
    acquire = runtime.store.callbacks.acquire

    def slow(*arguments, **settings):
        taken = acquire(*arguments, **settings)
        taking.set()
        go_on.wait(20)
        return taken

    monkeypatch.setattr(runtime.store.callbacks, "acquire", slow)
    running = threading.Thread(target=shop.run_owed)
    running.start()
    assert taking.wait(20)
    assert not runtime.callbacks.is_idle()
    closing = threading.Thread(target=shop.close)
    closing.start()
    go_on.set()
    running.join(20)
    closing.join(20)

    assert len(told) == 1 and make_connector().owes_callbacks() is False


def test_requests_begin_the_work_one_at_a_time(monkeypatch, eventually):
    """
    Where the database hangs, threads do not gather.
    """
    begun, go_on = [], threading.Event()
    monkeypatch.setattr(working, "_RETRY", 0.0)

    def hang():
        begun.append(threading.current_thread())
        go_on.wait(20)
        raise StoreError("away")

    on_request = working.FirstRequest(hang)
    for _ in range(20):
        on_request()
    eventually(lambda: begun)
    assert len(begun) == 1
    go_on.set()
    eventually(lambda: on_request() or len(begun) > 1)


def test_a_worker_whose_database_cannot_be_made_says_so(make_connector, tmp_path):
    """
    And does not stay there as if it worked.
    """
    (tmp_path / "file").write_text("")
    shop = make_connector(db_url=f"sqlite:///{tmp_path}/file/shop.db")
    shop.on_webhook(lambda event: None)

    with pytest.raises(ConfigError, match="ne peut pas être écrite"):
        shop.run(threading.Event())


@pytest.mark.parametrize("place", ["before", "after", "instead"])
def test_where_the_context_of_a_callback_fails_the_callback_has_failed(make_connector, owed, caplog, place):
    """
    It is called again; also where the context suppresses what it raised.
    """

    @contextlib.contextmanager
    def around():
        if place == "before":
            raise ValueError("no connection")
        with contextlib.suppress(LookupError):
            yield
        if place == "after":
            raise ValueError("not committed")

    def fail(event):
        raise LookupError("no such order")

    shop = make_connector(around_callback=around)
    shop.on_webhook(fail if place == "instead" else lambda event: None)
    assert shop.run_owed() == 1

    assert (str(owed), "ready", 1) in states(shop)
    assert "failed (attempt 1)" in caplog.text


def test_a_worker_whose_database_is_away_begins_once_it_is_back(make_connector, owed, eventually, monkeypatch, caplog):
    """
    As after a start of the machine, where the database comes later.
    """
    monkeypatch.setattr(working, "_RETRY", 0.0)
    shop, told, stop = make_connector(), [], threading.Event()
    shop.on_webhook(told.append)
    store = shop._per_process.get().store
    opening, away = store.open, [True, True]

    def open_store():
        if away and away.pop():
            raise StoreError("away")
        opening()

    monkeypatch.setattr(store, "open", open_store)
    running = threading.Thread(target=shop.run, args=(stop,))
    running.start()
    eventually(lambda: told)
    stop.set()
    running.join(20)

    assert caplog.text.count("the work cannot begin yet") == 2
