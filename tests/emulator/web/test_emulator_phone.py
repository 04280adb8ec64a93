"""The payer's phone: as a Python object, as control calls, and as the page that a person opens."""

import re

import pytest
import requests

from fedapay_sync.emulator import Emulator, Settings
from fedapay_sync.errors import InvalidArgument

NUMBER = "0164000001"
HTML = {"Accept": "text/html"}

OUTCOMES = {
    "agree": ("approved", None),
    "wrong_pin": ("declined", None),
    "no_money": ("canceled", "INSUFFICIENT_FUND_ERROR"),
    "refuse": ("declined", None),
    "ignore": ("pending", None),
}


def prompt_id(page):
    return re.search(r'name="demande" value="(\d+)"', page.text)[1]


@pytest.fixture
def phone(emulator):
    return emulator.phone(NUMBER)


@pytest.mark.parametrize("answer", OUTCOMES)
def test_each_answer_does_to_the_transaction_what_the_sources_say(answer, api, emulator, phone):
    """
    Agreed is approved, declined and canceled as documented, ignored stays pending; the prompt is gone.
    """
    transaction = api.create()
    api.push(transaction)

    getattr(phone, answer)()

    found = api.get(transaction["id"])
    assert (found["status"], found["last_error_code"]) == OUTCOMES[answer]
    assert phone.prompts == []


def test_what_no_source_says_for_sure_can_be_set(api, emulator, phone):
    """
    The other reports: a wrong PIN cancels, no money declines, a refusal leaves it pending with API_ERROR.
    """
    emulator.settings = Settings(wrong_pin="canceled", no_money="declined", refusal="pending")
    seen = {}
    for answer in ("wrong_pin", "no_money", "refuse"):
        transaction = api.create()
        api.push(transaction)
        getattr(phone, answer)()
        seen[answer] = api.get(transaction["id"])

    assert seen["wrong_pin"]["status"] == "canceled"
    assert seen["no_money"]["status"] == "declined"
    assert (seen["refuse"]["status"], seen["refuse"]["last_error_code"]) == ("pending", "API_ERROR")


def test_a_prompt_shows_what_the_operator_would(api, emulator, phone):
    """
    The sum with its fees, the shop, for what; also for a push that only the API made.
    """
    transaction = api.create(description="Panier")
    api.push(transaction)

    (prompt,) = phone.prompts

    assert (prompt.amount, prompt.currency, prompt.shop) == (15625, "XOF", "Boutique de démonstration")
    assert (prompt.id_transaction, prompt.number, prompt.mode) == (transaction["id"], NUMBER, "momo_test")
    assert prompt.description == "Panier"


@pytest.mark.parametrize("written", ["64000001", "+2290164000001", "22964000001", "01 64 00 00 01", "002290164000001"])
def test_a_phone_is_the_same_however_its_number_is_written(written, api, emulator):
    """
    With and without dialling code, in the form of before 2024, with blanks.
    """
    api.push(api.create(), number=NUMBER)

    assert len(emulator.phone(written).prompts) == 1
    assert emulator.phone("0166000001").prompts == []


def test_the_last_prompt_is_answered_first_unless_one_is_named(api, phone):
    """
    Two wait; the newest is on top, and the other one can be meant.
    """
    first, second, third = (api.create() for _ in range(3))
    for each in (first, second, third):
        api.push(each)

    phone.agree()
    phone.refuse(first["id"])

    assert [api.get(each["id"])["status"] for each in (first, second, third)] == ["declined", "pending", "approved"]
    assert [each.id_transaction for each in phone.prompts] == [second["id"]]


def test_a_phone_that_nobody_asked_says_so_and_who_waits(api, emulator, phone):
    """
    A French sentence with the number, and the phones that do wait for an answer.
    """
    with pytest.raises(InvalidArgument, match=r"n'a pas de demande de paiement\. Aucun"):
        phone.agree()
    api.push(api.create(), number="0166000001")
    with pytest.raises(InvalidArgument, match="Attendent une réponse : 0166000001"):
        phone.agree()
    with pytest.raises(InvalidArgument, match="pour la transaction 7"):
        emulator.phone("0166000001").agree(7)


@pytest.mark.parametrize("number", ["", "12", "abcdefghij", "0164\x0000001", 164000001, None, "+" * 12, "1" * 30])
def test_what_is_no_number_is_refused(number, emulator):
    """
    InvalidArgument with the value.
    """
    with pytest.raises(InvalidArgument, match="numéro de téléphone"):
        emulator.phone(number)


def test_a_stopped_emulator_answers_nothing(tmp_path, client_of):
    """
    Its file is closed: the answer would be lost.
    """
    with Emulator(state=tmp_path / "state") as emulator:
        api = client_of(emulator)
        api.push(api.create())
    with pytest.raises(InvalidArgument, match="arrêté"):
        emulator.phone(NUMBER).agree()


def test_prompts_outlive_a_restart(tmp_path, client_of):
    """
    With a state file the phone still shows what it was asked, ignored prompts left out.
    """
    with Emulator(state=tmp_path / "state") as emulator:
        api = client_of(emulator)
        kept, ignored = api.create(), api.create()
        for each in (kept, ignored):
            api.push(each)
        emulator.phone(NUMBER).ignore()
    with Emulator(state=tmp_path / "state") as emulator:
        assert [each.number for each in emulator.phones] == [NUMBER]
        assert [each.id_transaction for each in emulator.phone(NUMBER).prompts] == [kept["id"]]
        emulator.phone(NUMBER).agree()
        assert emulator.transaction(kept["id"])["status"] == "approved"


def test_a_prompt_goes_when_its_transaction_can_no_longer_be_paid(api, emulator, phone, hand_clock, client_of):
    """
    Deleted, expired, approved otherwise, forgotten: nothing to answer on the phone.
    """
    deleted, approved = api.create(), api.create()
    for each in (deleted, approved):
        api.push(each)
    api("DELETE", f"/v1/transactions/{deleted['id']}")
    emulator.approve(approved["id"])
    assert phone.prompts == []

    with Emulator(clock=hand_clock) as other:
        client = client_of(other)
        client.push(client.create())
        hand_clock.passed += 24 * 3600 + 1
        assert other.phone(NUMBER).prompts == []

    api.push(api.create())
    emulator.reset()
    assert (phone.prompts, emulator.phones) == ([], [])


def test_an_ignored_prompt_is_not_answered_by_the_payer_who_answers_alone(hand_clock, client_of, eventually):
    """
    With ``delay``: an ignored prompt stays ignored, and the transaction expires in the end.
    """
    with Emulator(clock=hand_clock, delay=60) as emulator:
        api = client_of(emulator)
        transaction, other = api.create(), api.create()
        api.push(transaction)
        emulator.phone(NUMBER).ignore()
        api.push(other)
        hand_clock.passed += 61
        eventually(lambda: api.get(other["id"])["status"] == "approved")
        assert api.get(transaction["id"])["status"] == "pending"


def test_one_phone_rings_for_every_shop(client_of):
    """
    Two shops behind one address: the emulator's phone shows both, a shop's own shows that shop's.
    """
    with Emulator(shops={"sk_sandbox_deux": "Deuxième"}) as emulator:
        api = client_of(emulator)
        api.push(api.create())
        body = {"description": "x", "amount": 100, "currency": {"iso": "XOF"}}
        made = api("POST", "/v1/transactions", key="sk_sandbox_deux", json=body).json()["v1/transaction"]
        push = {"token": made["payment_token"], "phone_number": {"number": NUMBER, "country": "bj"}}
        assert api("POST", "/v1/momo_test", key="sk_sandbox_deux", json=push).status_code == 200

        shop = emulator.shop("sk_sandbox_deux")
        assert [each.number for each in emulator.phones] == [NUMBER]
        assert "2 en attente" in requests.get(f"{emulator.url}/telephone/", headers=HTML, timeout=10).text
        assert {each.shop for each in emulator.phone(NUMBER).prompts} == {"Boutique de démonstration", "Deuxième"}
        assert [each.shop for each in shop.phone(NUMBER).prompts] == ["Deuxième"]
        emulator.phone(NUMBER).agree(made["id"])
        assert shop.transaction(made["id"])["status"] == "approved"


# The page


def test_the_page_of_a_phone_shows_the_prompt_and_sends_no_pin(api, emulator):
    """
    Operator, sum, shop and five answers; the PIN's field has no name, so that no browser sends it.
    """
    api.push(api.create(description="<script>alert(1)</script>"))
    page = requests.get(f"{emulator.url}/telephone/{NUMBER}", headers=HTML, timeout=10)

    assert page.status_code == 200
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert "15\u202f625" in page.text
    assert "Momo Test" in page.text
    assert "<script>alert" not in page.text
    assert set(re.findall(r'name="reponse" value="(\w+)"', page.text)) == set(OUTCOMES)
    (pin,) = re.findall(r'<input id="pin"[^>]*>', page.text)
    assert "name=" not in pin


@pytest.mark.parametrize("answer", OUTCOMES)
def test_a_button_of_the_page_answers_as_the_object_does(answer, api, emulator):
    """
    A plain form, no script needed.
    """
    transaction = api.create()
    api.push(transaction)
    url = f"{emulator.url}/telephone/{NUMBER}"
    form = {"demande": prompt_id(requests.get(url, headers=HTML, timeout=10)), "reponse": answer}

    page = requests.post(url, data=form, headers=HTML, timeout=10)

    assert api.get(transaction["id"])["status"] == OUTCOMES[answer][0]
    assert page.status_code == 200
    assert 'name="demande"' not in page.text


@pytest.mark.parametrize("form", [{}, {"reponse": "agree"}, {"demande": "1", "reponse": "agree"}])
def test_a_late_or_wrong_answer_changes_nothing(form, api, emulator):
    """
    Of a prompt that was answered already, or of none: the page says that nothing waits any longer.
    """
    transaction = api.create()
    api.push(transaction)

    page = requests.post(f"{emulator.url}/telephone/{NUMBER}", data=form, headers=HTML, timeout=10)

    assert page.status_code == 200
    assert api.get(transaction["id"])["status"] == "pending"


def test_an_unknown_answer_to_a_real_prompt_changes_nothing(api, emulator, phone):
    """
    A word that is no answer is none.
    """
    api.push(api.create())
    form = {"demande": str(phone.prompts[0].id), "reponse": "__class__"}
    assert requests.post(f"{emulator.url}/telephone/{NUMBER}", data=form, headers=HTML, timeout=10).ok
    assert len(phone.prompts) == 1


def test_the_page_knows_when_something_new_is_asked(api, emulator):
    """
    Another state for each prompt that comes or goes, and for the list of phones.
    """

    def states():
        urls = (f"{emulator.url}/telephone/{NUMBER}/etat", f"{emulator.url}/telephone/etat")
        return [requests.get(url, timeout=10).json()["state"] for url in urls]

    silent = states()
    api.push(api.create())
    rings = states()
    emulator.phone(NUMBER).agree()
    answered = states()

    assert silent[0] == answered[0] != rings[0]
    assert len({silent[1], rings[1], answered[1]}) == 3


def test_the_list_shows_every_phone_that_was_asked(api, emulator):
    """
    The number as it was given, and how many prompts wait; a number typed in leads to its phone.
    """
    api.push(api.create())
    api.push(api.create(), number="+22966000001")
    emulator.phone(NUMBER).agree()

    page = requests.get(f"{emulator.url}/telephone/", headers=HTML, timeout=10).text
    assert page.index("+22966000001") < page.index(NUMBER)
    assert "1 en attente" in page
    found = requests.get(f"{emulator.url}/telephone/", params={"numero": "01 64 00 00 01"}, headers=HTML, timeout=10)
    assert found.url.endswith(f"/telephone/{NUMBER}")
    wrong = requests.get(f"{emulator.url}/telephone/", params={"numero": "<b>"}, headers=HTML, timeout=10).text
    assert "&lt;b&gt;" in wrong
    assert "8 à 15 chiffres" in wrong


@pytest.mark.parametrize("number", ["12", "abc", "%00", "0164000001%00", "..%2f", "1" * 40])
def test_a_page_of_no_number_is_not_found(number, emulator):
    """
    404, with nothing of it on the page.
    """
    assert requests.get(f"{emulator.url}/telephone/{number}", headers=HTML, timeout=10).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "attaquant.example"},
        {"Host": "127.0.0.1.attaquant.example"},
        {"Host": "192.0.2.7:80"},
        {"Origin": "https://attaquant.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": ""},
    ],
)
def test_a_page_of_a_stranger_neither_sees_nor_presses_the_buttons(headers, api, emulator, phone):
    """
    Another name for our address, or another page that asks: 403, and the prompt stays.
    """
    api.push(api.create())
    url = f"{emulator.url}/telephone/{NUMBER}"
    form = {"demande": str(phone.prompts[0].id), "reponse": "agree"}

    assert requests.post(url, data=form, headers=headers, timeout=10).status_code == 403
    if "Host" in headers:
        refused = requests.get(url, headers={**headers, **HTML}, timeout=10)
        assert refused.status_code == 403
        assert "Host" in refused.text
        assert NUMBER not in refused.text
    assert len(phone.prompts) == 1


def test_a_stranger_is_not_sent_on_to_the_phones(emulator):
    """
    The redirection to the address with its slash comes after the guard, too.
    """
    asked = {"timeout": 10, "allow_redirects": False}
    refused = requests.get(f"{emulator.url}/telephone", headers={"Host": "attaquant.example"}, **asked)
    sent_on = requests.get(f"{emulator.url}/telephone", **asked)

    assert (refused.status_code, refused.headers.get("Location")) == (403, None)
    assert (sent_on.status_code, sent_on.headers["Location"]) == (308, f"{emulator.url}/telephone/")


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "127.8.9.10", "desk.localhost", "[::1]"])
def test_every_name_of_this_machine_opens_the_pages(name, emulator):
    """
    With the page's own Origin, as its form sends it.
    """
    port = emulator.url.rpartition(":")[2]
    headers = {"Host": f"{name}:{port}", "Origin": f"http://{name}:{port}"}
    assert requests.get(f"{emulator.url}/telephone/", headers=headers, timeout=10).status_code == 200


def test_beyond_this_machine_the_phones_want_the_token_and_the_payment_page_does_not(client_of):
    """
    Told once in the address, it is remembered; the payer needs only the link.
    """
    with Emulator(host="0.0.0.0") as emulator:
        port = emulator.url.rpartition(":")[2]
        url = f"http://127.0.0.1:{port}"
        browser = requests.Session()
        assert browser.get(f"{url}/telephone/", timeout=10).status_code == 403
        token = emulator.desk_url.partition("jeton=")[2]
        assert browser.get(f"{url}/telephone/", params={"jeton": "faux"}, timeout=10).status_code == 403
        assert browser.get(f"{url}/telephone/", params={"jeton": token}, timeout=10).status_code == 200
        assert browser.get(f"{url}/telephone/", timeout=10).status_code == 200
        assert browser.get(client_of(emulator).create()["payment_url"], timeout=10).status_code == 200


def test_a_phone_in_a_persons_hand_does_not_answer_by_itself(client_of, eventually):
    """
    With ``delay`` a phone whose page is open waits for its buttons; another one answers alone.
    """
    with Emulator(delay=0.2) as emulator:
        api = client_of(emulator)
        held, alone = api.create(), api.create()
        requests.get(f"{emulator.url}/telephone/{NUMBER}", headers=HTML, timeout=10)
        api.push(held)
        api.push(alone, number="0166000001")

        eventually(lambda: api.get(alone["id"])["status"] == "approved")

        assert api.get(held["id"])["status"] == "pending"
        emulator.phone(NUMBER).no_money()
        assert api.get(held["id"])["status"] == "canceled"


# Control calls


def test_phones_are_answered_by_control_calls_too(api, emulator):
    """
    For every other language: the list, one phone, an answer; a wrong word is 400.
    """
    first, second = api.create(), api.create()
    for each in (first, second):
        api.push(each)
    base = f"{emulator.url}/_emulateur/phones"

    (listed,) = requests.get(base, timeout=10).json()["phones"]
    assert (listed["number"], len(listed["prompts"])) == (NUMBER, 2)
    left = requests.post(f"{base}/{NUMBER}/refuse", json={"id_transaction": first["id"]}, timeout=10).json()
    assert [each["id_transaction"] for each in left["prompts"]] == [second["id"]]
    assert requests.post(f"{base}/{NUMBER}/agree", timeout=10).json() == {"prompts": []}
    assert [api.get(each["id"])["status"] for each in (first, second)] == ["declined", "approved"]
    for path in (f"{NUMBER}/agree", f"{NUMBER}/hop", "12/agree"):
        assert requests.post(f"{base}/{path}", timeout=10).status_code == 400
