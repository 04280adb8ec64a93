"""Names of callbacks where a program runs as several modules, under another key, or with all its threads taken."""

import hashlib
import importlib.util
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from support.callback_work import CONFIG
from support.claims import named

import fedapay_sync
from fedapay_sync.store import NewEvent
from fedapay_sync.store.callback_records import CallbackName, Wanted
from fedapay_sync.store.states import CallbackKind
from fedapay_sync.workflow.callbacks.names import CallbackNames, NamedCallback
from fedapay_sync.workflow.callbacks.validation import checked_name
from fedapay_sync.workflow.callbacks.worker import CONCURRENCY, CallbackWorker
from fedapay_sync.workflow.context import Context

ROOT = Path(fedapay_sync.__file__).parents[1]


# -- which name a function has --------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["boutique.py"], ["-m", "boutique"]])
def test_the_children_of_multiprocessing_have_the_names_of_their_program(tmp_path, arguments):
    """
    Each runs the program again, as another module: under another name its function would be a second callback, and
    both would deliver each order.
    """
    program = """
        import multiprocessing
        from fedapay_sync.workflow.callbacks.validation import checked_name

        def ship(event):
            pass

        class Book:
            def __call__(self, event):
                pass

        print(*(checked_name(None, each, "").name for each in (ship, Book())), flush=True)

        if __name__ == "__main__":
            child = multiprocessing.get_context("spawn").Process(target=print, args=("child",))
            child.start()
            child.join()
    """
    (tmp_path / "boutique.py").write_text(textwrap.dedent(program), encoding="utf-8")
    said = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, check=True, text=True,
        stdout=subprocess.PIPE,
    ).stdout  # fmt: skip
    assert said.splitlines() == [*["boutique.ship boutique.Book"] * 2, "child"]


@pytest.mark.parametrize("module", ["_mod_wsgi_0cc175b9c0f1b6a8", "uwsgi_file__srv_boutique_py"])
def test_a_server_that_was_given_a_file_has_the_names_of_who_imports_it(tmp_path, module):
    """
    Apache's mod_wsgi and uWSGI invent a name for the module; the worker beside them imports it as ``boutique``.
    """
    path = tmp_path / "boutique.py"
    path.write_text("def ship(event):\n    pass\n", encoding="utf-8")
    spec = importlib.util.spec_from_file_location(module, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    assert checked_name(None, loaded.ship, "") == ("boutique.ship", ())


# -- what the database knows of a name ------------------------------------------------------------------------------


def come(store, *numbers):
    for number in numbers:
        store.events.accept(
            NewEvent(
                dedup_key=hashlib.sha256(str(number).encode()).hexdigest(), event_key=f"key-{number}",
                environment="sandbox", account="shop", name="customer.created", object="customer",
                entity_id=str(number), status=None, is_final=False, is_paid=False, source="webhook", body=b"{}",
                body_sha256="", received_at=1.0,
            )
        )  # fmt: skip


@pytest.mark.parametrize("name", [("neuf", "nouveau"), ("ancien",)])
def test_what_a_name_is_owed_is_seen_by_who_has_a_former_or_a_later_one(store, clock, name):
    """
    Before this process has registered anything: it reads that to know whether there is something to wait for.
    """
    (old,) = store.callback_names.register("sandbox", ["shop"], [CallbackName("ancien", CallbackKind.webhook)])
    come(store, 1)
    wanted = Wanted("sandbox", ["shop"], [CallbackKind.webhook], [old])
    (call,) = store.callbacks.acquire("A", wanted, lease=60, limit=9)
    assert store.callbacks.retry_or_park(call, "A", error="fermé", again_in=0)
    store.callback_names.rename("ancien", "nouveau")
    names = CallbackNames(Context(CONFIG, store, clock, "B"))
    names.set(NamedCallback(CallbackName(name[0], CallbackKind.webhook, name[1:]), print, lambda: print))
    assert store.callbacks.is_owed(names.seen())


def test_a_process_whose_threads_are_all_taken_still_has_its_callbacks(store, clock, eventually):
    """
    They would be taken for gone, and ``callbacks drop`` would cancel what they are owed.
    """
    release, running = threading.Event(), threading.Semaphore(0)

    def hang(work):
        running.release()
        release.wait()

    come(store, *range(CONCURRENCY + 1))
    worker = CallbackWorker(Context(CONFIG, store, clock, "A"))
    try:
        worker.set(named(hang))
        worker.notify()
        assert all(running.acquire(timeout=10) for _ in range(CONCURRENCY))
        before = clock.now()
        clock.advance(100)
        worker.notify()
        eventually(lambda: store.callback_names.all()[0].seen_at > before + 90)
    finally:
        release.set()
        worker.close(5)


def told(number, status="approved"):
    entity = {"klass": "v1/transaction", "id": number, "status": status, "amount": 500}
    return {"name": f"transaction.{status}", "object": "transaction", "object_id": number, "entity": entity}


def test_what_is_owed_under_a_key_that_was_replaced_is_said(make_connector, clock, caplog):
    """
    It is another account's, that no program works for any more.
    """

    def fail(heard):
        raise ValueError("fermé")

    with make_connector(callbacks="inline", clock=clock) as before:
        before.on_webhook(fail, name="livrer")
        before.save_webhook(told(7))
    shop = make_connector(callbacks="inline", clock=clock, api_key=f"sk_sandbox_{'z' * 24}")
    shop.on_webhook(print, name="livrer")
    shop.run_owed()
    clock.advance(2 * 3600)
    shop.run_owed()
    assert "callback livrer is owed 1 events under an API key that this program does not have" in caplog.text
    (problem,) = shop.health().problems
    assert "« livrer »" in problem and "api_keys" in problem


# -- bodies ---------------------------------------------------------------------------------------------------------


def test_the_body_of_an_event_that_no_callback_wants_is_erased_at_once_too(make_connector):
    """
    Not of one that is paid: once this database knows the payment, it is told with all that it says.
    """
    shop = make_connector(callbacks="inline", keep_bodies_days=0)
    shop.on_paid(print)
    for number, status in ((7, "approved"), (8, "pending")):
        shop.save_webhook(told(number, status))
    query = "SELECT entity_id, work_state, LENGTH(body) > 0 FROM fp_event ORDER BY id"
    store = shop._per_process.get().store
    rows = store.read(lambda database: [tuple(row) for row in database.execute_sql(query).fetchall()])
    assert rows == [("7", "done", True), ("8", "done", False)]
