"""``fedapay-sync callbacks list|rename|drop``, and ``parked`` and ``replay`` by name."""

import pytest
from click.testing import CliRunner

from fedapay_sync.cli import main
from fedapay_sync.store import NewEvent, Store
from fedapay_sync.store.callback_records import CallbackName, Wanted
from fedapay_sync.store.states import CallbackKind

NAMES = [CallbackName("boutique.livrer", CallbackKind.webhook), CallbackName("boutique.compta", CallbackKind.webhook)]


@pytest.fixture
def store(sqlite_url, clock):
    store = Store(sqlite_url, clock)
    store.callback_names.register("sandbox", ["shop"], NAMES)
    for number in (1, 2):
        store.events.accept(
            NewEvent(
                dedup_key=f"{number:064d}", event_key=f"sandbox:shop:{number}", environment="sandbox", account="shop",
                name="transaction.approved", object="transaction", entity_id=str(number), status="approved",
                is_final=True, is_paid=True, source="webhook", body=b"{}", body_sha256="", received_at=clock.now(),
            )
        )  # fmt: skip
    yield store
    store.close()


@pytest.fixture
def run(sqlite_url, monkeypatch, store):
    monkeypatch.setenv("FEDAPAY_DB_URL", sqlite_url)

    def run(*arguments, typed=None):
        done = CliRunner().invoke(main, arguments, input=typed)
        return done.exit_code, done.output

    return run


def seen(store, seconds_ago):
    store.write(lambda database: database.execute_sql("UPDATE fp_callback SET seen_at = seen_at - ?", [seconds_ago]))


def test_callbacks_are_listed_with_what_they_are_owed(run, store):
    seen(store, 7200)
    code, said = run("callbacks", "list")
    assert code == 0 and "2 callbacks." in said
    assert said.count("2 événements dus depuis") == 2 and said.count("PERSONNE NE L'A PLUS") == 2


def test_a_renamed_callback_is_listed_with_its_old_name(run, store):
    assert run("callbacks", "rename", "boutique.livrer", "livraison") == (
        0, "boutique.livrer s'appelle maintenant livraison.\n",
    )  # fmt: skip
    said = run("callbacks", "list")[1]
    assert "boutique.livrer\n    ancien nom de livraison" in said
    assert {each.name: each.owed for each in store.callback_names.all() if each.same_as is None} == {
        "livraison": 2, "boutique.compta": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    "old, new, said",
    [
        ("personne", "autre", "ne connaît aucun callback personne"),
        ("boutique.livrer", "boutique.livrer", "les deux noms sont les mêmes"),
        ("boutique.livrer", "payment", "on_payment"),
        ("boutique.livrer", " ", "sans blanc autour"),
        ("boutique.livrer", "a\x1b[2J", "sans blanc autour"),
    ],
)
def test_what_cannot_be_renamed_is_said(run, old, new, said):
    code, output = run("callbacks", "rename", old, new)
    assert code == 1 and said in output and "\x1b" not in output


def test_a_callback_that_a_process_has_is_not_dropped(run, store):
    code, said = run("callbacks", "drop", "boutique.livrer", "--yes")
    assert code == 1 and "Arrêter le programme" in said
    assert len(store.callback_names.all()) == 2


def test_a_dropped_callback_is_owed_nothing_more(run, store):
    """
    Asked first, as its orders are then nobody's.
    """
    seen(store, 600)
    code, said = run("callbacks", "drop", "boutique.livrer", typed="non\n")
    assert code == 0 and "Annuler 2 appels de boutique.livrer ?" in said and "Rien n'est annulé." in said
    code, said = run("callbacks", "drop", "boutique.livrer", typed="oui\n")
    assert code == 0 and "boutique.livrer oublié, 2 appels annulés." in said
    assert [(each.name, each.owed) for each in store.callback_names.all()] == [("boutique.compta", 2)]
    assert run("callbacks", "drop", "boutique.livrer")[0] == 1


def test_what_is_parked_is_shown_and_replayed_by_callback(run, store):
    numbers = store.callback_names.register("sandbox", ["shop"], NAMES)
    wanted = Wanted("sandbox", ["shop"], {CallbackKind.webhook}, list(numbers))
    for work in store.callbacks.acquire("A", wanted, lease=60, limit=10):
        if work.entity_id == "1":
            store.callbacks.retry_or_park(work, "A", error=f"{work.callback_name} : non", again_in=None)
        else:
            store.callbacks.mark_done(work, "A")

    said = run("parked")[1]
    assert "2 événements mis de côté." in said and "callback boutique.compta, 1 essai" in said
    assert "1 événement mis de côté." in run("parked", "--callback", "boutique.livrer")[1]
    assert run("replay", "--callback", "boutique.livrer") == (0, "1 événement à rappeler.\n")
    assert "boutique.compta" in run("parked")[1] and "boutique.livrer" not in run("parked")[1]


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_the_group_shows_its_help_in_french(run, arguments):
    code, said = run("callbacks", *arguments)
    assert code == 0 and "Utilisation : " in said and "Commandes :" in said and "drop" in said


def test_an_unknown_command_of_the_group_is_said_in_french(run):
    code, said = run("callbacks", "liste")
    assert code == 2 and "Commande inconnue : liste. Commandes : drop, list, rename." in said
