"""Several functions for one event: how they are registered, refused, and called."""

import functools
import json
import logging
import subprocess
import sys
import textwrap
import types
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import fedapay_sync
from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.common import hosting
from fedapay_sync.errors import ConfigError
from fedapay_sync.workflow.callbacks.validation import checked_name

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
ROOT = Path(fedapay_sync.__file__).parents[1]


def event(number=101, status="approved"):
    entity = {"klass": "v1/transaction", "id": number, "status": status, "amount": 500}
    return {"name": f"transaction.{status}", "object": "transaction", "object_id": number, "entity": entity}


@pytest.fixture
def shop(make_connector):
    return make_connector(callbacks="inline")


# -- called ---------------------------------------------------------------------------------------------------------


def test_two_functions_are_called_once_each_whatever_the_other_does(shop):
    """
    Both forms of the decorator; the one that fails is told again, the other is not.
    """
    called = []

    @shop.on_webhook
    def ship(heard):
        called.append(("ship", heard.attempt))

    @shop.on_webhook(name="compta")
    def book(heard):
        called.append((heard.callback, heard.attempt))
        raise ValueError("fermé")

    shop.save_webhook(event())
    shop.save_webhook(event())

    assert sorted(called) == [("compta", 1), ("ship", 1)]
    assert shop.health().owed["compta"].count == 1
    assert shop.health().owed[f"{__name__}.{ship.__qualname__}"].count == 0


def test_on_paid_is_called_for_what_was_paid_as_asked_and_nothing_else(shop, emulator):
    paid, any_paid, heard = [], [], []
    shop.on_paid(lambda each: paid.append(each.id_transaction), name="livrer")
    shop.on_paid(lambda each: any_paid.append(each.id_transaction), name="tout", unknown=True)
    shop.on_webhook(lambda each: heard.append(each.name))
    number = shop.pay(SETUP, CLIENT, 500).id_transaction
    shop.save_webhook({**event(number, "pending"), "name": "transaction.created"})
    emulator.approve(number)
    shop.check_status(number)
    shop.check_status(number)
    shop.save_webhook(event(7))

    assert (paid, any_paid) == ([number], [number, 7])
    assert sorted(heard) == ["transaction.approved", "transaction.approved", "transaction.created"]


def test_a_payment_that_is_not_what_was_asked_is_no_reason_to_deliver(shop):
    """
    Until a person accepts it.
    """
    paid = []
    shop.on_paid(paid.append)
    number = shop.pay(SETUP, CLIENT, 500).id_transaction
    told = event(number)
    told["entity"].update(amount=5, currency={"iso": "XOF"})
    shop.save_webhook(told)
    assert paid == []
    shop.accept(number)
    shop.run_owed()
    assert [each.id_transaction for each in paid] == [number] and paid[0].known and paid[0].paid


def test_parked_and_replay_know_the_callback(make_connector, clock, emulator):
    shop, called, broken = make_connector(callbacks="inline", clock=clock), Counter(), [True]

    @shop.on_webhook(name="compta")
    def book(heard):
        called["compta"] += 1
        if broken:
            raise ValueError("fermé")

    @shop.on_webhook(name="livraison")
    def ship(heard):
        called["livraison"] += 1
        if broken:
            raise ValueError("fermé")

    shop.save_webhook(event())
    while len(shop.parked()) < 2:
        clock.advance(5000)
        shop.run_owed()

    assert {each.callback for each in shop.parked()} == {"compta", "livraison"}
    (one,) = shop.parked(callback="compta")
    assert shop.parked(callback="personne") == [] and shop.replay(one.event_key, callback="personne") == 0
    before = dict(called)
    broken.clear()
    assert shop.replay(callback="compta") == 1
    shop.run_owed()
    assert called["compta"] == before["compta"] + 1 and called["livraison"] == before["livraison"]
    assert [each.callback for each in shop.parked()] == ["livraison"]


def test_a_setter_replaces_what_it_has_set(shop):
    """
    The names of the asynchronous page; what is registered by name stays beside it.
    """
    called = []
    shop.set_webhook_callback_function(lambda heard: called.append("first"))
    shop.set_webhook_callback_function(lambda heard: called.append(heard.callback))
    shop.on_webhook(lambda heard: called.append("beside"), name="autre")
    shop.save_webhook(event())
    assert sorted(called) == ["beside", "webhook"]


def test_a_callback_that_registers_another_has_it_called_from_then_on(shop):
    called = []

    def register(heard):
        shop.on_webhook(lambda later: called.append(later.id_transaction), name="plus tard")

    shop.on_webhook(register, name="premier")
    for number in (1, 2):
        shop.save_webhook(event(number))
    shop.run_owed()
    assert called == [2]


def test_one_that_is_added_may_have_what_came_before(make_connector):
    with make_connector(callbacks="inline") as before:
        before.on_webhook(lambda heard: None, name="premier")
        before.save_webhook(event())
    shop, called = make_connector(callbacks="inline"), []
    shop.on_webhook(called.append, name="second", since=datetime.now(timezone.utc) - timedelta(hours=1))
    shop.on_webhook(called.append, name="troisieme")
    shop.run_owed()
    assert [each.callback for each in called] == ["second"]


def test_one_function_goes_on_under_its_new_name(make_connector, clock):
    called = []

    def fail(heard):
        raise ValueError

    with make_connector(callbacks="inline", clock=clock) as before:
        before.on_webhook(fail, name="ancien")
        before.save_webhook(event())
    clock.advance(10)
    shop = make_connector(callbacks="inline", clock=clock)
    shop.on_webhook(lambda heard: called.append(heard.attempt), name=("nouveau", "ancien"))
    assert shop.run_owed() == 1
    assert called == [2] and list(shop.health().owed) == ["nouveau"]


def test_what_is_owed_under_another_name_is_owed_here(make_connector, clock):
    """
    Before the name is changed by the process that asks, and where another one has changed it.
    """
    old = make_connector(callbacks="inline", clock=clock)
    called = []

    def failing(heard):
        raise ValueError("fermé")

    old.on_webhook(failing, name="ancien")
    old.save_webhook(event())
    old.close()
    clock.advance(5000)

    new = make_connector(callbacks="inline", clock=clock)
    new.on_webhook(failing, name=("nouveau", "ancien"))
    assert new.owes_callbacks()
    new.run_owed()
    assert not new.owes_callbacks()
    clock.advance(5000)
    again = make_connector(callbacks="inline", clock=clock)
    again.on_webhook(called.append, name="ancien")
    assert again.owes_callbacks()
    again.run_owed()
    assert len(called) == 1 and not again.owes_callbacks()


def test_what_is_held_while_its_name_is_given_up_is_called_all_the_same(shop):
    """
    The row of its name is another's by the time that it is called.
    """
    called = []
    shop.on_webhook(called.append, name="ancien")
    shop.save_webhook(event(1))
    shop.on_webhook(lambda heard: None, name="autre")
    runtime = shop._per_process.get()
    shop.run_owed()
    (before,) = [number for number, name in runtime.callbacks.names._numbers.items() if name == "ancien"]
    runtime.store.callback_names.rename("ancien", "autre")
    runtime.callbacks.names._is_registered = False
    shop.run_owed()

    assert before not in runtime.callbacks.names._numbers
    assert runtime.callbacks.names.of(types.SimpleNamespace(callback=before)).name.name == "ancien"


def test_a_callback_that_is_gone_is_said(make_connector, clock, caplog, eventually):
    """
    In the log of whoever works, and in its health; not while nothing is owed.
    """

    def fail(heard):
        raise ValueError

    with make_connector(callbacks="inline", clock=clock) as before:
        before.on_webhook(fail, name="compta")
        before.on_webhook(lambda heard: None, name="oubliee")
        before.save_webhook(event())
    shop = make_connector(callbacks="inline", clock=clock)
    shop.on_webhook(lambda heard: None, name="livraison")
    shop.run_owed()
    assert not shop.health().problems
    clock.advance(3700)
    with caplog.at_level(logging.ERROR):
        shop.run_owed()
        shop.run_owed()

    gone = [record.getMessage() for record in caplog.records if "no process has registered it" in record.getMessage()]
    assert len(gone) == 1 and "compta" in gone[0]
    (problem,) = shop.health().problems
    assert "« compta »" in problem and "fedapay-sync callbacks drop" in problem


# -- registered -----------------------------------------------------------------------------------------------------


def ordinary(heard):
    pass


class Callable_:
    def __call__(self, heard):
        pass

    def method(self, heard):
        pass


def test_the_same_function_again_has_no_effect(shop):
    for _ in range(2):
        shop.on_webhook(ordinary)
    one = Callable_()
    for _ in range(2):
        shop.on_webhook(one.method)
    assert list(shop._callbacks) == [f"{__name__}.ordinary", f"{__name__}.Callable_.method"]


def test_another_function_under_one_name_is_refused(shop):
    """
    One would be called, and the orders of the other never delivered.
    """
    shop.on_webhook(ordinary)
    again = types.FunctionType(ordinary.__code__, globals(), "ordinary")
    again.__qualname__ = "ordinary"
    with pytest.raises(ConfigError, match=r"le nom « .*ordinary » est déjà pris"):
        shop.on_webhook(again)
    with pytest.raises(ConfigError, match="déjà pris"):
        shop.on_paid(ordinary)
    with pytest.raises(ConfigError, match="déjà pris"):
        shop.on_webhook(Callable_(), name=f"{__name__}.ordinary")
    shop.on_paid(ordinary, name="autre")
    assert len(shop._callbacks) == 2


def test_where_a_person_types_it_the_function_of_that_name_is_replaced(shop, monkeypatch, caplog):
    called = []
    monkeypatch.setattr(hosting.sys, "ps1", ">>> ", raising=False)
    shop.on_webhook(lambda heard: called.append(1), name="cellule")
    shop.on_webhook(lambda heard: called.append(2), name="cellule")
    shop.save_webhook(event())
    assert called == [2]
    assert "callback cellule is replaced" in caplog.text


@pytest.mark.parametrize(
    "callback, name",
    [
        (ordinary, "ordinary"),
        (Callable_(), "Callable_"),
        (Callable_().method, "Callable_.method"),
        (functools.partial(ordinary), "ordinary"),
        (functools.wraps(ordinary)(lambda heard: None), "ordinary"),
        (lambda heard: None, "<lambda>"),
    ],
)
def test_a_function_is_called_like_its_module_and_itself(callback, name):
    assert checked_name(None, callback, "on_webhook") == (f"{__name__}.{name}", ())


def test_the_program_that_is_run_is_called_as_another_would_import_it(tmp_path):
    """
    A worker that imports the module has the same names as the program itself.
    """
    program = """
        from fedapay_sync.workflow.callbacks.validation import checked_name

        def ship(event):
            pass

        class Book:
            def __call__(self, event):
                pass

        def names():
            return [checked_name(None, each, "").name for each in (ship, Book())]

        if __name__ == "__main__":
            print(*names())
    """
    (tmp_path / "package").mkdir()
    for path in ("boutique.py", "package/caisse.py"):
        (tmp_path / path).write_text(textwrap.dedent(program), encoding="utf-8")
    for arguments, module in (
        (["boutique.py"], "boutique"),
        (["-m", "boutique"], "boutique"),
        (["-m", "package.caisse"], "package.caisse"),
        (["-c", "import boutique; print(*boutique.names())"], "boutique"),
    ):
        said = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, check=True, text=True,
            stdout=subprocess.PIPE,
        ).stdout  # fmt: skip
        assert said.split() == [f"{module}.ship", f"{module}.Book"]


@pytest.mark.parametrize(
    "given, said",
    [
        ("", "un nom est un texte"),
        (" compta", "un nom est un texte"),
        ("a\nb", "un nom est un texte"),
        ("x" * 201, "un nom est un texte"),
        (3, "reçu int"),
        ((), "reçu tuple"),
        (("a", 3), "reçu int"),
        (("a", "a"), "répète un nom"),
        ("payment", "on_payment"),
        (("a", "restored"), "on_restored"),
    ],
)
def test_what_is_no_name_is_refused(shop, given, said):
    with pytest.raises(ConfigError, match=said):
        shop.on_webhook(ordinary, name=given)
    assert not shop._callbacks


@pytest.mark.parametrize("names", [("ancien", ("nouveau", "ancien")), (("nouveau", "ancien"), "ancien")])
def test_an_old_name_that_a_function_still_has_is_refused(shop, names):
    """
    In either order: at each start what that function is owed would be taken from it.
    """
    shop.on_webhook(ordinary, name=names[0])
    with pytest.raises(ConfigError, match="« ancien » n'est pas un ancien nom"):
        shop.on_webhook(Callable_(), name=names[1])
    assert len(shop._callbacks) == 1


def test_an_old_name_that_two_functions_would_have_is_refused(shop):
    """
    One of them would be owed all of it, and the other one nothing.
    """
    shop.on_webhook(ordinary, name=("livrer", "tout"))
    with pytest.raises(ConfigError, match="« tout » est l'ancien nom de deux fonctions"):
        shop.on_webhook(Callable_(), name=("noter", "tout"))


@pytest.mark.parametrize("since", [3.5, "hier", datetime(2026, 1, 1)])
def test_what_is_no_instant_is_refused(shop, since):
    with pytest.raises(ConfigError, match="since= attend un datetime avec son fuseau"):
        shop.on_webhook(ordinary, since=since)


def generator(heard):
    yield heard


async def asynchronous_generator(heard):
    yield heard


@pytest.mark.parametrize(
    "callback, said",
    [
        (None, "une fonction est attendue, reçu NoneType"),
        (lambda: None, r"appelée avec un argument \(event\), et celle-ci est faite pour d'autres"),
        (lambda heard, order: None, r"<lambda>\(heard, order\)"),
        (lambda heard, *, order: None, "faite pour d'autres"),
        (generator, "yield"),
        (asynchronous_generator, "yield"),
    ],
)
@pytest.mark.parametrize("method", ["on_webhook", "on_paid", "on_payment", "on_restored"])
def test_a_function_that_could_not_be_called_is_refused(shop, method, callback, said):
    said = said.replace("event", "outcome") if method == "on_restored" else said
    with pytest.raises(ConfigError, match=said):
        getattr(shop, method)(callback)
    assert not shop._callbacks


def test_the_error_shows_the_names_of_the_arguments_and_no_default(shop):
    """
    A default may be a key, or a customer's number.
    """
    with pytest.raises(ConfigError) as refused:
        shop.on_webhook(lambda heard, order, key="sk_live_abcdefgh", *more, tel="+22901640001", **rest: None)
    assert "<lambda>(heard, order, key, *more, tel, **rest)" in str(refused.value)
    assert "sk_live" not in str(refused.value) and "229" not in str(refused.value)


def test_the_pair_of_the_asynchronous_page_takes_two_arguments(shop):
    name = "set_on_persited_listening_processes_loading_finished_callback"
    with pytest.raises(ConfigError, match=r"2 arguments \(status, webhooks\)"):
        getattr(shop, name)(lambda outcome: None)
    getattr(shop, name)(lambda status, webhooks: None)


def test_what_is_registered_opens_nothing(make_connector, tmp_path):
    shop = make_connector(db_url=f"sqlite:///{tmp_path}/shop.db")
    shop.on_paid(ordinary)
    shop.on_webhook(name="a")(ordinary)
    assert not list(tmp_path.glob("shop.db*"))
    assert json.loads(json.dumps(shop.health().as_dict()))["owed"] == {}
