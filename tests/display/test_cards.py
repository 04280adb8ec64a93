"""
What the card of each kind of object says.
"""

import sys

import pytest
from support.html_reader import ReadHtml

from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.display import links
from fedapay_sync.enums import EventFutureStatus
from fedapay_sync.errors import NotFound
from fedapay_sync.models import FedapayPay, Health, ListMeta, Outcome, OwedCallbacks, PagedList, Payout, Transaction

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")

LINK = "https://process.fedapay.com/eyJ0.eyJ1.planted"
PENDING = {
    "id": 97123456, "reference": "trx_x", "merchant_reference": "CMD-17", "amount": 12500, "status": "pending",
    "currency_id": 1, "mode": "mtn_open", "created_at": "2026-11-30T12:05:00.000Z", "payment_url": LINK,
    "payment_token": "planted",
    "customer": {"id": 1, "firstname": "Jean", "lastname": "Planted", "email": "planted@example.com"},
}  # fmt: skip


def payment(**changes):
    there = {**PENDING, **changes}
    return FedapayPay.from_dict(
        {
            "transaction_data": there,
            "link_and_token_data": {"token": "planted", "url": LINK},
            "status": there["status"],
        }
    )


def read(there) -> ReadHtml:
    return ReadHtml(there._repr_html_().replace("\u00a0", " ").replace("\u202f", " "))


@pytest.fixture
def without_segno(monkeypatch):
    """As where the extra is not installed."""
    monkeypatch.setitem(sys.modules, "segno", None)
    links._qr_source.cache_clear()
    yield
    links._qr_source.cache_clear()


@pytest.fixture
def interactive(monkeypatch):
    """As at Python's own prompt."""
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)


def test_a_payment_shows_its_state_its_sum_and_its_link():
    """
    All that the person at the desk needs to have the customer pay.
    """
    there = read(payment())

    for text in ("Paiement 97123456", "en attente", "12 500 XOF", "CMD-17", "mtn_open", "J. P.", "connector.finalise("):
        assert text in there.text
    assert there.links == [LINK]
    assert "planted" not in there.text.lower()


def test_a_payment_shows_its_link_as_a_qr_code():
    """
    As an image inside the card: it is there without a network, and in a saved notebook.
    """
    segno = pytest.importorskip("segno")
    (source,) = read(payment()).sources
    made = segno.make(LINK, error="m", micro=False).png_data_uri(scale=3, border=4, dark="#000", light="#fff")

    assert source == made and source.startswith("data:image/png;base64,")


def test_without_segno_there_is_no_qr_code_and_all_else(without_segno):
    """
    The extra is optional.
    """
    there = read(payment())

    assert there.sources == []
    assert there.links == [LINK]


@pytest.mark.parametrize("changes", [{"status": "approved"}, {"deleted_at": "2026-11-30T12:06:00Z"}])
def test_what_can_be_paid_no_more_has_no_link(changes):
    """
    A link beside a paid payment would have it paid again.
    """
    for there in (read(payment(**changes)), read(Transaction.from_dict({**PENDING, **changes}))):
        assert there.links == there.sources == []
        assert "finalise" not in there.text


def test_the_link_is_in_the_repr_where_a_person_types(interactive):
    """
    At a prompt and in a notebook, to be copied.
    """
    assert f"payment_link={LINK!r}" in repr(payment())


def test_the_link_is_in_no_repr_of_a_program():
    """
    It holds a token, and a repr comes into logs.
    """
    assert repr(payment()) == "FedapayPay(id_transaction=97123456, amount=12500, status='pending', state='en attente')"


def test_a_transaction_shows_when_its_end_came():
    """
    And what FedaPay has kept of the sum.
    """
    there = read(
        Transaction.from_dict({**PENDING, "status": "approved", "approved_at": "2026-11-30T12:09:00Z", "fees": 521})
    )

    for text in ("Transaction 97123456", "payé", "Payé le 30/11/2026 12:09 UTC", "Frais 521 XOF"):
        assert text in there.text


def test_an_outcome_says_how_the_wait_goes_on():
    """
    Of a payment that is pending still; of an error what it says.
    """
    late = read(Outcome(EventFutureStatus.TIMEOUT, id_transaction=7, reason="échéance passée"))
    lost = read(Outcome(EventFutureStatus.CANCELLED, id_transaction=7, error=NotFound("planted & unknown")))

    assert "Échéance passée. Le paiement reste suivi : connector.finalise(7)" in late.text
    assert "inconnu de FedaPay planted & unknown" in lost.text


def test_a_payout_shows_why_it_failed():
    """
    Its state is a payout's, not a payment's.
    """
    there = {
        **PENDING,
        "status": "failed",
        "failed_at": "2026-11-30T12:09:00Z",
        "last_error_code": "insufficient_balance",
    }
    card = read(Payout.from_dict(there))

    for text in ("Dépôt 97123456", "échoué", "12 500 XOF", "insufficient_balance", "Bénéficiaire J. P."):
        assert text in card.text
    assert "state='échoué'" in repr(Payout.from_dict(there))


def page(name, items, **meta):
    return PagedList(name, items, meta or None, lambda number: pytest.fail("another page was read"))


def test_a_list_is_a_table_of_the_page_at_hand():
    """
    With how many there are; nothing is read for it.
    """
    there = page("transactions", [Transaction.from_dict(PENDING)] * 2, current_page=1, total_pages=156, total_count=312)
    card = read(there)

    assert "Nombre 2 objets sur 312, page 1 de 156" in card.text
    assert card.cells[-7:] == [
        "97123456", "CMD-17", "12 500 XOF", "en attente", "mtn_open", "J. P.", "30/11/2026 12:05 UTC"
    ]  # fmt: skip
    assert repr(there) == "PagedList(transactions, 2 objets sur 312, page 1 de 156)"


def test_a_column_without_a_value_is_left_out():
    """
    FedaPay mostly sends the customers' numbers only.
    """
    there = read(page("payouts", [Payout.from_dict({**PENDING, "customer": None})]))

    assert "Bénéficiaire" not in there.cells and "Opérateur" in there.cells


def test_a_list_of_what_has_no_table_of_its_own_shows_what_a_repr_shows():
    """
    Nothing that a repr hides.
    """
    card = read(page("tokens", [payment()]))

    assert "planted" not in card.text.lower()
    assert card.cells[-4:] == ["97123456", "12500", "pending", "en attente"]


def test_an_empty_list_and_a_long_one():
    """
    The first has no table, the second says that there is more.
    """
    assert read(page("transactions", [])).text == "Transactions Nombre 0 objet"
    long = read(page("transactions", [Transaction.from_dict(PENDING)] * 250))
    assert long.tags.count("tr") == 1 + 1 + 100
    assert "Les 100 premiers de cette page sont montrés." in long.text


def test_odd_counts_of_a_list_are_not_shown():
    """
    FedaPay leaves them out of some lists, and may send anything.
    """
    there = page("transactions", [Transaction.from_dict(PENDING)], current_page="a", total_pages=None, total_count=True)

    assert repr(there) == "PagedList(transactions, 1 objet)"
    assert isinstance(there.meta, ListMeta)


def test_a_connector_that_rests_opens_nothing_to_show_itself(make_connector, tmp_path):
    """
    Neither its repr nor its card makes a file or a runtime.
    """
    connector = make_connector(db_url=f"sqlite:///{tmp_path}/shown/x.db")
    assert read(connector) and repr(connector)
    assert connector._per_process.peek() is None
    connector.on_webhook(lambda event: None, name="comptabilite")
    card = read(connector)

    assert "Connector au repos" in card.text
    for text in ("sandbox", "SQLite, x.db", "comptabilite", "Rien n'est ouvert"):
        assert text in card.text
    assert "state='au repos'" in repr(connector)
    assert not (tmp_path / "shown").exists()


def test_a_connector_at_work_shows_its_health(connector, emulator):
    """
    And where its webhooks come in; closed, it says so, and no key or secret is anywhere.
    """
    connector.pay(SETUP, CLIENT, 500)
    card = connector._repr_html_()
    there = ReadHtml(card)

    assert "Connector au travail" in there.text
    for text in (f"Webhooks {connector.webhook_url}", "Paiements suivis 1", "Dernière réponse de FedaPay"):
        assert text in there.text
    assert connector.webhook_url in repr(connector) and "state='au travail'" in repr(connector)
    runtime = connector._per_process.get()
    connector.close()
    assert runtime.is_closing and "state='au repos'" in repr(connector)
    for secret in (emulator.secret_key, emulator.webhook_secret, "Doe", "0164000001"):
        assert secret not in card


def test_health_shows_what_is_wrong():
    """
    In its own words; a database that does not answer has no numbers.
    """
    good = Health(database=True, working=True, owed={"webhook": OwedCallbacks(2, 1.0)}, parked=3, followed=4)
    bad = Health(database=False, working=True, problems=("La base n'a pas répondu en deux secondes.",))

    assert read(good).text == ("Santé du connecteur tout va bien Paiements suivis 4 Callbacks dus 2 Mis de côté 3")
    assert "à surveiller" in read(bad).text and "La base n'a pas répondu" in read(bad).text


def test_an_api_shows_what_may_be_asked(connector, emulator):
    """
    Its address, for which account, and its resources; no key.
    """
    api = connector.api.for_account(12)

    assert repr(api) == f"Api({emulator.url!r}, account='12')"
    assert "transactions, payment_intents, payouts" in read(api).text
    assert emulator.secret_key not in api._repr_html_()


def test_a_listen_shows_its_state_and_how_long_it_goes_on(connector, emulator):
    """
    Once the webhook has come its card has the end, as ``result`` gives it; its repr reads nothing.
    """
    payment = connector.pay(SETUP, CLIENT, 500)
    handle = connector.listen(payment.id_transaction, timeout=300)
    assert "Échéance dans" in read(handle).text and "en attente" in read(handle).text
    assert repr(handle) == f"Listen(id_transaction={payment.id_transaction}, state='en attente')"

    emulator.approve(payment.id_transaction)
    handle.result()

    assert "payé" in read(handle).text and "500 XOF" in read(handle).text
    assert "state='payé'" in repr(handle)


def test_a_listen_reads_news_for_its_card(connector, emulator, eventually):
    """
    No thread waits for its result.
    """
    payment = connector.pay(SETUP, CLIENT, 500)
    handle = connector.listen(payment.id_transaction)
    emulator.approve(payment.id_transaction)

    assert eventually(lambda: "payé" in read(handle).text)
