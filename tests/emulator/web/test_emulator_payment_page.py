"""The hosted payment page, by plain HTTP: what a browser without scripts gets to see."""

import html
import re

import pytest
import requests

from fedapay_sync.emulator import LIVE_SECRET_KEY, Emulator, Settings
from fedapay_sync.emulator.web.return_url import return_url

NUMBER = "0164000001"
SHOP = "https://boutique.example.bj/retour"
CLIENT = {
    "firstname": "Ayaba",
    "lastname": "Hounkpatin",
    "email": "ayaba@example.bj",
    "phone_number": {"number": NUMBER, "country": "bj"},
}
BY_PHONE = {"pays": "bj", "operateur": "momo_test", "numero": "01 64 00 00 01"}
CARD = {"moyen": "carte", "carte": "4242 4242 4242 4242", "expire": "12/40", "code": "123"}
HOSTILE = "<script>alert(1)</script>\"'\u202etxt.exe\u2066\x00" + "W" * 5000


class Payer:
    """A browser without scripts."""

    def __init__(self):
        self.session = requests.Session()
        self.session.headers["Accept"] = "text/html"

    def open(self, transaction, **query):
        return self.session.get(transaction["payment_url"], params=query, timeout=10)

    def pay(self, transaction, form=BY_PHONE, **query):
        return self.session.post(transaction["payment_url"], data=form, params=query, timeout=10)


@pytest.fixture
def payer():
    return Payer()


def heading(page):
    written = re.sub(r"<[^>]*>", "", re.search(r"<h1[^>]*>(.*?)</h1>", page.text, re.S)[1])
    return re.sub(r"[\u202f\xa0]", " ", html.unescape(written))


def links(page):
    return [html.unescape(each) for each in re.findall(r'href="([^"]*)"', page.text)]


def faults(page):
    return re.findall(r'class="fault" id="fault-(\w+)"', page.text)


# Choosing how to pay


def test_the_page_shows_what_is_paid_to_whom(api, payer):
    """
    The sum, the shop, the description, the fees; the customer's number stands there already.
    """
    page = payer.open(api.create(customer=CLIENT, callback_url=SHOP))

    assert page.status_code == 200
    assert heading(page) == "Payer 15 000 F CFA"
    for text in ("Boutique de démonstration", "Commande 7", "625\xa0F\xa0CFA de frais", f'value="{NUMBER}"'):
        assert text in page.text
    assert '<html lang="fr">' in page.text
    assert "aucun argent ne circule" in page.text


def test_every_page_says_what_a_browser_may_do_with_it(api, payer, emulator):
    """
    Nothing from elsewhere, no script inside, no frame, no guessing of types, no address given away.
    """
    transaction = api.create()
    pages = [payer.open(transaction), payer.pay(transaction), payer.session.get(emulator.url + "/static/emulator.css")]
    pages.append(payer.session.get(emulator.url + "/rien"))
    for page in pages:
        assert "default-src 'self'" in page.headers["Content-Security-Policy"]
        assert "unsafe" not in page.headers["Content-Security-Policy"]
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert not re.search(r"<script(?! src)|\son\w+=|style=|https?://(?!127\.0\.0\.1)", page.text)


def test_the_sandbox_offers_its_one_operator_everywhere(api, payer):
    """
    All countries of the currency, and momo_test in each.
    """
    transaction = api.create()
    page = payer.open(transaction, changer=1, pays="tg")
    assert re.findall(r'name="operateur" value="(\w+)"', page.text) == ["momo_test"]
    assert set(re.findall(r'class="chip" href="[^"]*pays=(\w+)"', page.text)) == {
        "bj",
        "ci",
        "ne",
        "sn",
        "tg",
        "ml",
        "bf",
    }
    guinea = payer.open(api.create(currency={"iso": "GNF"}))
    assert "15\u202f000\xa0GNF" in guinea.text
    assert 'name="pays" value="gn"' in guinea.text


def test_production_offers_the_operators_of_the_country(client_of, payer):
    """
    Those of the catalogue, with and without redirection; each with its own fees.
    """
    with Emulator(secret_key=LIVE_SECRET_KEY) as emulator:
        api = client_of(emulator)
        transaction = api.create(customer=CLIENT)
        page = payer.open(transaction)
        assert re.findall(r'name="operateur" value="(\w+)"', page.text) == ["mtn_open", "moov", "sbin", "bmo"]
        assert "275\xa0F\xa0CFA de frais" in page.text
        ivory = payer.open(transaction, changer=1, pays="ci")
        assert "wave_ci" in ivory.text
        assert NUMBER not in ivory.text.replace("0701020304", "")
        payer.pay(transaction, {"pays": "ci", "operateur": "wave_ci", "numero": "0701020304"})
        assert api.get(transaction["id"])["mode"] == "wave_ci"
        emulator.phone("+2250701020304").agree()
        paid = api("GET", f"/v1/transactions/{transaction['id']}?include=payment_method").json()["v1/transaction"]
        assert (paid["payment_method"]["country"], paid["payment_method"]["brand"]) == ("CI", "wave")


def test_english_is_spoken_on_every_page(api, payer, emulator):
    """
    ``?locale=en`` goes along with links and forms.
    """
    transaction = api.create(callback_url=SHOP)
    page = payer.open(transaction, locale="en")
    assert '<html lang="en">' in page.text
    assert "Phone number" in page.text
    assert "15,000\xa0F\xa0CFA" in page.text
    action = html.unescape(re.search(r'<form method="post" action="([^"]*)"', page.text)[1])
    wait = payer.session.post(emulator.url + action, data=BY_PHONE, timeout=10)
    assert "Confirm on your phone" in wait.text
    emulator.phone(NUMBER).agree()
    assert heading(payer.session.get(wait.url, timeout=10)) == "Payment accepted"
    assert "does not exist" in payer.session.get(emulator.url + "/process/x?locale=en", timeout=10).text


@pytest.mark.parametrize(
    ("country", "number", "sent"),
    [
        ("bj", "64000001", "64000001"),
        ("bj", "+229 01 64 00 00 01", NUMBER),
        ("bj", "00229 64.00.00.01", "64000001"),
        ("tg", "90-01-02-03", "90010203"),
        ("sn", "(221) 770102030", "770102030"),
        ("ci", "0701020304", "0701020304"),
    ],
)
def test_a_number_may_be_written_as_people_do(country, number, sent, api, payer, emulator):
    """
    Blanks, dots, dialling code, the form of before 2024: the phone is asked.
    """
    transaction = api.create()
    payer.pay(transaction, {**BY_PHONE, "pays": country, "numero": number})
    assert [each.number for each in emulator.phones] == [sent]


@pytest.mark.parametrize(
    ("country", "number"),
    [
        ("bj", ""),
        ("bj", "0264000001"),
        ("bj", "640000"),
        ("bj", "90010203456"),
        ("tg", "0190010203"),
        ("sn", "670102030"),
        ("gn", "620010203"),
        ("ci", "٠٧٠١٠٢٠٣٠٤"),
        ("bj", "<script>alert(1)</script>"),
        ("bj", "01640000\x0001"),
        ("xx", NUMBER),
        ("", NUMBER),
    ],
)
def test_a_number_that_is_none_of_that_country_is_refused_kindly(country, number, api, payer, emulator):
    """
    400, the field is marked and says how a number looks there; no phone is asked.
    """
    page = payer.pay(api.create(), {**BY_PHONE, "pays": country, "numero": number})
    assert page.status_code == 400
    assert 'role="alert"' in page.text
    assert "<script>alert" not in page.text
    assert emulator.phones == []
    if country in ("bj", "tg", "sn", "ci"):
        assert faults(page) == ["numero"]
        assert 'aria-invalid="true" aria-describedby="fault-numero' in page.text


def test_an_operator_that_is_not_offered_is_refused(api, payer):
    """
    A real one in the sandbox, none at all, an invented one.
    """
    for operator in ("mtn_open", "", "stripe_gw", "__class__"):
        transaction = api.create()
        page = payer.pay(transaction, {**BY_PHONE, "operateur": operator})
        assert (page.status_code, faults(page)) == (400, ["operateur"])
        assert api.get(transaction["id"])["mode"] is None


# The three moments of a payment


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ("agree", "approved", "Paiement accepté"),
        ("wrong_pin", "declined", "Paiement refusé"),
        ("no_money", "canceled", "Paiement non abouti"),
        ("refuse", "declined", "Paiement refusé"),
        ("ignore", "pending", "Confirmez sur votre téléphone"),
    ],
)
def test_the_payer_waits_for_the_phone_and_sees_what_came_of_it(answer, status, said, api, payer, emulator):
    """
    Every outcome of the phone; the way back to the shop carries id and status.
    """
    transaction = api.create(callback_url=SHOP)
    wait = payer.pay(transaction)
    assert heading(wait) == "Confirmez sur votre téléphone"
    assert '<noscript><meta http-equiv="refresh" content="3">' in wait.text
    assert NUMBER in wait.text

    getattr(emulator.phone(NUMBER), answer)()

    result = payer.session.get(wait.url, timeout=10)
    assert heading(result) == said
    assert f"{SHOP}?id={transaction['id']}&status={status}" in links(result)
    assert ("Réessayer" in result.text) == (status in ("declined", "canceled"))
    assert ('content="5; url=https' in result.text) == (status == "approved")


def test_a_refused_payer_may_try_again(api, payer, emulator):
    """
    The same link, the form once more, and then it is paid.
    """
    transaction = api.create()
    wait = payer.pay(transaction)
    emulator.phone(NUMBER).no_money()
    again = next(each for each in links(payer.session.get(wait.url, timeout=10)) if "changer=1" in each)
    form = payer.session.get(emulator.url + again, timeout=10)
    assert 'name="numero"' in form.text

    payer.pay(transaction)
    emulator.phone(NUMBER).agree()

    assert heading(payer.session.get(wait.url, timeout=10)) == "Paiement accepté"


def test_where_a_refusal_is_the_end_nobody_is_told_to_try_again(client_of, payer):
    """
    The setting for a dead end, which some integrators saw.
    """
    with Emulator(settings=Settings(declined_payable=False)) as emulator:
        transaction = client_of(emulator).create()
        wait = payer.pay(transaction)
        emulator.phone(NUMBER).refuse()
        page = payer.session.get(wait.url, timeout=10)
        assert heading(page) == "Paiement refusé"
        assert "Réessayer" not in page.text
        payer.pay(transaction)
        assert emulator.phone(NUMBER).prompts == []


def test_a_request_can_be_sent_again_and_another_way_chosen(api, payer, emulator):
    """
    The waiting page has a form that asks the same phone, and a link to all other ways.
    """
    wait = payer.pay(api.create())
    (first,) = emulator.phone(NUMBER).prompts
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', wait.text))
    assert payer.session.post(wait.url, data=fields, timeout=10).ok
    (second,) = emulator.phone(NUMBER).prompts
    assert second.id != first.id
    other = next(each for each in links(wait) if each.endswith("changer=1"))
    assert 'name="numero"' in payer.session.get(emulator.url + other, timeout=10).text


def test_the_page_knows_when_to_show_something_new(api, payer, emulator):
    """
    Its script asks for the state: another text once the phone has answered, and after the link is dead.
    """
    transaction = api.create()
    wait = payer.pay(transaction)
    state = re.search(r'data-state="([^"]*)"', wait.text)[1]
    live = emulator.url + re.search(r'data-live="([^"]*)"', wait.text)[1]
    assert payer.session.get(live, timeout=10).json() == {"state": state}
    emulator.phone(NUMBER).agree()
    assert payer.session.get(live, timeout=10).json()["state"] != state
    assert payer.session.get(emulator.url + "/process/x/etat", timeout=10).json() == {"state": None}


def test_a_push_of_the_api_shows_on_the_page_as_well(api, payer, emulator):
    """
    A payer that opens the link meanwhile is told to look at the phone, and sees the end.
    """
    transaction = api.create()
    api.push(transaction)
    page = payer.open(transaction)
    assert heading(page) == "Confirmez sur votre téléphone"
    emulator.phone(NUMBER).agree()
    assert heading(payer.session.get(page.url, timeout=10)) == "Paiement accepté"


# Cards


@pytest.mark.parametrize(
    ("number", "status", "said"),
    [
        ("4242 4242 4242 4242", "approved", "Paiement accepté"),
        ("5555-5555-5555-4444", "approved", "Paiement accepté"),
        ("4000000000000002", "declined", "Paiement refusé"),
        ("4000000000009995", "canceled", "Paiement non abouti"),
    ],
)
def test_a_card_pays_or_is_refused_at_once(number, status, said, api, payer, emulator):
    """
    No phone rings; nothing of the card is kept but its brand.
    """
    transaction = api.create(customer=CLIENT)
    page = payer.pay(transaction, {**CARD, "carte": number})
    assert heading(page) == said
    found = api("GET", f"/v1/transactions/{transaction['id']}?include=payment_method").json()["v1/transaction"]
    assert found["status"] == status
    assert emulator.phones == []
    assert number not in repr(found) + page.text
    if status == "approved":
        method = found["payment_method"]
        assert (method["method"], method["number"], method["brand"] in ("visa", "mastercard")) == ("card", None, True)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"carte": "4242424242424241"}, "carte"),
        ({"carte": ""}, "carte"),
        ({"carte": "9" * 400}, "carte"),
        ({"carte": "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢"}, "carte"),
        ({"expire": "13/40"}, "expire"),
        ({"expire": "01/20"}, "expire"),
        ({"expire": "<script>"}, "expire"),
        ({"code": "12"}, "code"),
        ({"code": "x" * 99}, "code"),
    ],
)
def test_a_card_that_could_not_exist_is_refused_kindly(changes, fault, api, payer):
    """
    400, the one field is marked, and nothing that was typed comes back.
    """
    transaction = api.create()
    page = payer.pay(transaction, {**CARD, **changes})
    assert (page.status_code, faults(page)) == (400, [fault])
    assert "4242 4242 4242 4242" not in page.text
    assert api.get(transaction["id"])["mode"] is None


def test_a_card_is_good_to_the_end_of_its_month(hand_clock, client_of, payer):
    """
    By the emulator's clock.
    """
    with Emulator(clock=hand_clock) as emulator:
        api = client_of(emulator)
        year, month = api.create()["created_at"][2:7].split("-")
        assert payer.pay(api.create(), {**CARD, "expire": f"{month}/{year}"}).status_code == 200
        hand_clock.passed += 32 * 24 * 3600
        assert payer.pay(api.create(), {**CARD, "expire": f"{month}/{year}"}).status_code == 400


# Links that lead nowhere


def test_a_paid_link_says_so_and_cannot_be_paid_again(api, payer, emulator):
    """
    By phone or by card, from a window left open: one debit.
    """
    transaction = api.create(callback_url=SHOP)
    emulator.approve(transaction["id"])
    approved = api.get(transaction["id"])
    page = payer.open(transaction)
    assert page.status_code == 200
    assert heading(page) == "Cette commande est déjà payée"
    assert 'http-equiv="refresh"' not in page.text
    payer.pay(transaction)
    payer.pay(transaction, CARD)
    assert api.get(transaction["id"]) == approved
    assert emulator.phones == []


def test_a_deleted_link_says_so(api, payer, emulator):
    """
    410, and no way to pay.
    """
    transaction = api.create()
    api("DELETE", f"/v1/transactions/{transaction['id']}")
    for page in (payer.open(transaction), payer.pay(transaction), payer.pay(transaction, CARD)):
        assert (page.status_code, heading(page)) == (410, "Ce paiement a été annulé")
    assert emulator.phones == []


def test_an_expired_link_says_so(hand_clock, client_of, payer):
    """
    410 a day later, also after an attempt to pay; what was paid is still said to be paid.
    """
    with Emulator(clock=hand_clock) as emulator:
        api = client_of(emulator)
        untouched, refused, paid = api.create(), api.create(), api.create()
        emulator.decline(refused["id"])
        emulator.approve(paid["id"])
        hand_clock.passed += 24 * 3600 + 1
        assert heading(payer.open(paid)) == "Cette commande est déjà payée"
        for transaction in (untouched, refused):
            for page in (payer.open(transaction), payer.pay(transaction)):
                assert (page.status_code, heading(page)) == (410, "Ce lien de paiement a expiré")
        assert emulator.phones == []


@pytest.mark.parametrize("token", ["x", "a.b.c", "%00", "%ff", "<script>", "..%2f..%2fetc", "a" * 3000, "e30.e30.e30"])
def test_an_unknown_link_says_so(token, emulator, payer):
    """
    404, for GET and for POST, with nothing of it on the page.
    """
    for send in (payer.session.get, payer.session.post):
        page = send(f"{emulator.url}/process/{token}", timeout=10)
        assert page.status_code in (404, 405)
        if page.request.method == "GET":
            assert heading(page) == "Ce lien de paiement n'existe pas"
            assert "<script>" not in page.text


# Hostile input


def test_hostile_texts_are_shown_as_texts(api, payer, emulator):
    """
    In name, description and address: escaped, shortened, and unable to turn the text around.
    """
    api("PUT", "/v1/accounts/30211", json={"name": HOSTILE})
    client = {**CLIENT, "firstname": HOSTILE[:200], "lastname": HOSTILE[:200]}
    transaction = api.create(description=HOSTILE, customer=client, callback_url=f"https://x.example/?a={HOSTILE[:60]}")
    pages = [payer.open(transaction), payer.pay(transaction)]
    pages.append(payer.session.get(f"{emulator.url}/telephone/{NUMBER}", timeout=10))
    emulator.phone(NUMBER).agree()
    pages.append(payer.open(transaction))
    for page in pages:
        assert page.status_code == 200
        assert "&lt;script&gt;alert(1)" in page.text
        assert not re.search("<script>|[\x00\u202e\u2066]", page.text)
        assert "W" * 500 not in page.text


@pytest.mark.parametrize(
    "form",
    [
        {"numero": "9" * 60_000},
        {"pays": ["bj", "tg"], "operateur": "momo_test", "numero": NUMBER * 2},
        {"numero\x00": "\x00", "\u202e": "x"},
        {str(each): "x" for each in range(1500)},
    ],
)
def test_absurd_forms_are_refused_and_nobody_is_asked(form, api, payer, emulator):
    """
    400 or 413, never a fault of ours.
    """
    assert payer.pay(api.create(), form).status_code in (400, 413)
    assert emulator.phones == []


def test_a_form_that_is_too_large_is_refused(api, payer):
    """
    413, and the emulator goes on.
    """
    transaction = api.create()
    assert payer.pay(transaction, {"numero": "9" * 200_000}).status_code == 413
    body = b"\xff\xfe" * 100
    answer = payer.session.post(
        transaction["payment_url"], data=body, headers={"Content-Type": "text/plain"}, timeout=10
    )
    assert answer.status_code == 400
    assert payer.open(transaction).status_code == 200


# The way back


@pytest.mark.parametrize(
    ("callback_url", "expected"),
    [
        ("https://x.bj/retour", "https://x.bj/retour?id=7&status=approved"),
        ("https://x.bj/retour?cmd=1&b=%20c", "https://x.bj/retour?cmd=1&b=%20c&id=7&status=approved"),
        ("https://x.bj/retour?cmd=1#fin", "https://x.bj/retour?cmd=1&id=7&status=approved#fin"),
        ("https://x.bj/?id=3", "https://x.bj/?id=3&id=7&status=approved"),
        ("https://x.bj", "https://x.bj?id=7&status=approved"),
        ("http://127.0.0.1:5000/a?", "http://127.0.0.1:5000/a?id=7&status=approved"),
        ("HTTPS://x.bj/é?q=à", "https://x.bj/%C3%A9?q=%C3%A0&id=7&status=approved"),
        ('https://x.bj/"><b>', "https://x.bj/%22%3E%3Cb%3E?id=7&status=approved"),
        ("  https://x.bj/a  ", "https://x.bj/a?id=7&status=approved"),
        *(
            (each, None)
            for each in ("", None, "retour", "/retour", "//x.bj/a", "javascript:alert(1)", "data:text/html,x")
        ),
        *((each, None) for each in ("https://", "https:///a", "https://[", "https://x.bj:99999/", "ftp://x.bj/")),
        *(
            (each, None)
            for each in ("https://x.bj/a\nb", "https://x.bj\\@y.bj/", "https://u:p@x.bj/", "https://x.bj/\x00")
        ),
    ],
)
def test_the_way_back_keeps_the_shops_own_query(callback_url, expected):
    """
    id and status behind what is there; only to web addresses that every browser reads alike.
    """
    assert return_url(callback_url, 7, "approved") == expected


def test_without_a_way_back_there_is_no_link(api, payer, emulator):
    """
    The payer is told to close the page.
    """
    transaction = api.create(callback_url="/retour")
    wait = payer.pay(transaction)
    emulator.phone(NUMBER).agree()
    page = payer.session.get(wait.url, timeout=10)
    assert "fermer cette page" in page.text
    assert "boutique</a>" not in page.text


def test_a_form_that_is_too_long_is_refused_in_the_readers_language(api, emulator):
    """
    French, as the rest of the page; English to a reader of English.
    """
    link = api.create()["payment_url"]
    for query, said in (("", "Le corps de la requête est trop grand"), ("?locale=en", "The request body is too large")):
        answer = requests.post(link + query, data="x" * 100_000, headers={"Accept": "text/html"}, timeout=10)
        assert answer.status_code == 413
        assert said in answer.text


def test_an_address_is_feminine(emulator):
    """
    Sentences agree.
    """
    answer = requests.post(f"{emulator.url}/_emulateur/webhook", json={"url": "ftp://x"}, timeout=10)
    assert answer.json()["message"].endswith("une adresse http:// ou https:// est attendue.")
