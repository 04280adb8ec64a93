"""The dashboard, by plain HTTP: what a browser without scripts shows, and what its buttons do."""

import html
import json
import os
import re
import subprocess
import sys
import time

import pytest
import requests

from fedapay_sync.emulator import Emulator
from fedapay_sync.emulator.middleware import ApiRequest
from fedapay_sync.emulator.web import snippets

HOSTILE = "<script>alert(1)</script>\"'\u202etxt.exe\u2066\x00" + "W" * 5000
PAGES = ["/", "/depots", "/clients", "/evenements", "/appels", "/livraisons", "/pannes", "/reglages", "/oublier"]
CLIENT = {"firstname": "Ayaba", "lastname": "Hounkpatin", "email": "ayaba@example.bj"}


class DashboardClient:
    """A developer's browser without scripts."""

    def __init__(self, emulator):
        self.url = emulator.url
        self.session = requests.Session()
        self.session.headers["Accept"] = "text/html"

    def open(self, path, **query):
        page = self.session.get(self.url + path, params=query, timeout=10)
        assert page.status_code == 200, page.text
        return page.text

    def rows(self, path, **query):
        """The lines of the table, each as its text."""
        body = re.search(r"<tbody>(.*?)</tbody>", self.open(path, **query), re.S)[1]
        return [words(each) for each in re.findall(r"<tr[^>]*>(.*?)</tr>", body, re.S)]

    def press(self, address, headers=None, follow=True, **form):
        return self.session.post(self.url + address, data=form, headers=headers, timeout=10, allow_redirects=follow)


def words(markup):
    """What a person reads."""
    text = html.unescape(re.sub(r"<[^>]*>", " ", markup))
    return re.sub(r"[\s\u202f\xa0]+", " ", text).strip()


@pytest.fixture
def dashboard(emulator):
    return DashboardClient(emulator)


# What there is


def test_an_empty_emulator_says_where_to_plug_a_shop_in(dashboard, emulator):
    """
    Address and key are there to copy.
    """
    page = words(dashboard.open("/"))

    assert emulator.url in page
    assert emulator.secret_key in page


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_whole_without_scripts_and_has_none_inside(dashboard, api, path):
    """
    One heading, a way to every other page, and the headers that keep strangers out.
    """
    api.create()
    answer = dashboard.session.get(dashboard.url + path, timeout=10)

    assert len(re.findall("<h1", answer.text)) == 1
    assert all(f'href="{each}"' in answer.text for each in PAGES)
    assert not re.search(r"<script(?![^>]* src=)|<style| on\w+=| style=", answer.text)
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert answer.headers["Cache-Control"] == "no-store"


def test_transactions_are_found_by_what_one_remembers_of_them(dashboard, api, emulator):
    """
    Number, reference, person, description; and by status.
    """
    first = api.create(description="Deux pagnes", customer=CLIENT, merchant_reference="CMD-17")
    second = api.create(description="Un café")
    emulator.approve(second["id"])

    for query in (str(first["id"]), first["reference"], "hounkpatin", "PAGNES", "cmd-17"):
        (row,) = dashboard.rows("/", q=query)
        assert str(first["id"]) in row
    (row,) = dashboard.rows("/", statut="approved")
    assert "Un café" in row
    assert dashboard.rows("/", q="pagnes", statut="approved") == ["Aucune transaction."]


def test_a_transaction_shows_its_story_its_webhooks_and_its_answer(dashboard, api, emulator, receiver):
    """
    All on one page.
    """
    transaction = api.create(customer=CLIENT)
    emulator.approve(transaction["id"])
    emulator.wait_for_deliveries()

    page = words(dashboard.open(f"/transactions/{transaction['id']}"))

    for each in ("15 000 F CFA", "Ayaba Hounkpatin", "transaction.created transaction.approved", receiver.url):
        assert each in re.sub(r"\d\d/\d\d [\d:]+ ", "", page)
    assert f'"reference": "{transaction["reference"]}"' in page


def test_payouts_and_customers_have_their_lists(dashboard, api):
    """
    A payout that was started has buttons for its two ends.
    """
    customer = {**CLIENT, "phone_number": {"number": "0164000001", "country": "bj"}}
    body = {"amount": 5000, "currency": {"iso": "XOF"}, "mode": "momo_test", "customer": customer}
    payout = api("POST", "/v1/payouts", json=body).json()["v1/payout"]
    api("PUT", "/v1/payouts/start", json={"payouts": [{"id": payout["id"]}]})

    assert "Arrive" in dashboard.rows("/depots", statut="started")[0]
    assert "ayaba@example.bj" in dashboard.rows("/clients", q="AYABA")[0]
    dashboard.press(f"/depots/{payout['id']}/send")
    assert "sent" in dashboard.rows("/depots")[0]


def test_events_are_listed_and_filtered(dashboard, api, emulator):
    """
    The newest first.
    """
    transaction = api.create()
    emulator.approve(transaction["id"])

    assert [row.split()[2] for row in dashboard.rows("/evenements", q=str(transaction["id"]))] == [
        "transaction.approved",
        "transaction.created",
    ]
    assert len(dashboard.rows("/evenements", type="transaction.approved")) == 1


def test_ten_thousand_transactions_are_shown_a_page_at_a_time(dashboard, emulator):
    """
    Fifty of them, with ways to the others; the filter stays; and no page takes long, the last neither.
    """
    with emulator._services.data.atomic():
        for number in range(10_000):
            emulator._services.transactions.add(
                amount=100 + number, description="x", currency_id=1, customer_id=None, callback_url=None
            )
    began = time.monotonic()
    first = dashboard.open("/", statut="pending")
    last = dashboard.rows("/", page="200")
    took = time.monotonic() - began

    assert len(re.findall('<tr id="transaction-', first)) == 50
    assert "10000 lignes, page 1 sur 200" in words(first)
    assert 'href="/?page=2&amp;statut=pending"' in first
    assert len(first) < 150_000
    assert "100 F CFA" in last[-1]
    assert took < 5


@pytest.mark.parametrize("page", ["0", "-1", "999999999999", "x", "١", ""])
def test_a_page_that_there_is_not_is_the_nearest_one(dashboard, api, page):
    """
    No number of a page is an error.
    """
    api.create()

    assert len(dashboard.rows("/", page=page)) == 1


# What was said


def test_calls_are_shown_with_what_was_sent_and_answered_but_no_key(dashboard, api, emulator):
    """
    Neither in the list nor on the page of one call, wherever the key stood.
    """
    api.create(description="Deux pagnes", custom_metadata={"api_key": "sk_live_secret", "note": "wh_live_secret"})
    api("GET", "/v1/balances", params={"clef": "sk_live_dansladresse"}, key="sk_sandbox_inconnue")

    assert len(dashboard.rows("/appels")) == 2
    assert "401" in dashboard.rows("/appels", fin="erreur")[0]
    assert "/v1/transactions" in dashboard.rows("/appels", methode="POST", q="pagnes")[0]
    for path in ("/appels", "/appels/1", "/appels/2"):
        page = dashboard.open(path)
        assert "sk_sandbox_***" in page
        for secret in (emulator.secret_key, "sk_sandbox_inconnue", "live_secret", "dansladresse"):
            assert secret not in page
    assert "Deux pagnes" in words(dashboard.open("/appels/1"))


def test_a_call_can_be_made_again_by_curl_and_by_python(dashboard, api, emulator, tmp_path):
    """
    What the page gives to copy really runs, and does the same once more.
    """
    api.create(description='L\'été, "deux" pagnes à $10 `x`', amount=700)
    page = dashboard.open("/appels/1")
    env = {**os.environ, "FEDAPAY_API_KEY": emulator.secret_key, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}

    for number, (name, command) in enumerate([("curl", ["sh", "-c"]), ("python", [sys.executable, "-c"])]):
        text = html.unescape(re.search(rf'<pre id="{name}"[^>]*>(.*?)</pre>', page, re.S)[1])
        done = subprocess.run([*command, text], capture_output=True, text=True, env=env, cwd=tmp_path, timeout=60)
        if name == "curl" and done.returncode == 127:
            pytest.skip("no curl")

        assert done.returncode == 0, done.stderr
        assert len(emulator.transactions) == number + 2
        assert emulator.transactions[-1]["description"] == emulator.transactions[0]["description"]


def test_a_call_that_was_no_json_and_had_no_key_can_be_copied_too():
    """
    As it was, in the form that it had; without a key there is none to read.
    """
    form = "application/x-www-form-urlencoded"
    call = ApiRequest("PUT", "/v1/x", b"a=1&b='2'", 400, query="q=1", content_type=form)

    assert snippets.curl(call, "http://h").splitlines()[0] == "curl -X PUT 'http://h/v1/x?q=1' \\"
    assert f"'Content-Type: {form}'" in snippets.curl(call, "http://h")
    assert "Authorization" not in snippets.curl(call, "http://h")
    assert snippets.arguments(call, "http://h") == ["'PUT'", "'http://h/v1/x?q=1'", "data=\"a=1&b='2'\".encode()"]
    assert snippets.kind(call) == f"'{form}'"


def test_a_form_that_is_sent_again_is_a_form(dashboard, api, emulator, tmp_path):
    """
    PHP writes them: what is copied creates the same once more.
    """
    api("POST", "/v1/transactions", data={"description": "Thé à la menthe", "amount": 700, "currency[iso]": "XOF"})
    page = dashboard.open("/appels/1")
    env = {**os.environ, "FEDAPAY_API_KEY": emulator.secret_key, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    for name, command in (("python", [sys.executable, "-c"]), ("curl", ["sh", "-c"])):
        text = html.unescape(re.search(rf'<pre id="{name}"[^>]*>(.*?)</pre>', page, re.S)[1])
        done = subprocess.run([*command, text], capture_output=True, text=True, env=env, cwd=tmp_path, timeout=60)
        if name == "curl" and done.returncode == 127:
            pytest.skip("no curl")
        assert done.returncode == 0, done.stderr

    assert [each["description"] for each in emulator.transactions] == ["Thé à la menthe"] * 3


def test_a_call_of_a_stranger_is_no_command_when_copied(tmp_path):
    """
    Method, address and body are the words of a stranger: a shell runs none of them, and curl reads no file.
    """
    seen = tmp_path / "seen"
    call = ApiRequest("`TOUCH`;>seen;", "/v1/x", b"@/etc/hostname", 400, content_type="x';>seen;'")
    text = snippets.curl(call, "http://127.0.0.1:9").replace("curl ", "printf '%s|' ", 1)

    done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, cwd=tmp_path, timeout=10)

    assert not seen.exists()
    assert done.stdout.split("|")[1] == "`TOUCH`;>seen;"
    assert "--data-raw|@/etc/hostname|" in done.stdout


def test_a_body_of_which_only_the_beginning_was_kept_says_so(dashboard, api):
    """
    The text to copy has no more of it.
    """
    api("POST", "/v1/transactions", json={"description": "a" * 20_000})
    assert "Le début seulement" in dashboard.open("/appels/1")


def test_each_delivery_shows_headers_body_answer_and_time(dashboard, api, emulator, receiver):
    """
    Also one that failed: its attempts are lines of their own.
    """
    receiver.answers.append("500 Broken")
    transaction = api.create()
    emulator.wait_for_deliveries()

    rows = dashboard.rows("/livraisons", q=str(transaction["id"]))
    assert [re.search(r" (\d) (\d{3}) ", row).groups() for row in rows] == [("2", "200"), ("1", "500")]
    assert len(dashboard.rows("/livraisons", fin="erreur")) == 1
    delivery = emulator.deliveries[0]
    page = words(dashboard.open(f"/livraisons/{delivery.id}"))
    assert delivery.headers["X-FEDAPAY-SIGNATURE"] in page
    assert f'"object_id": {transaction["id"]}' in page
    assert re.search(r"500 en \d+ ms", page)


def test_what_is_not_there_is_404(dashboard):
    """
    Numbers of nothing, and words that are no numbers.
    """
    for path in ("/transactions/1", "/appels/1", "/livraisons/1", "/transactions/x", "/livraisons/-1"):
        assert dashboard.session.get(dashboard.url + path, timeout=10).status_code == 404


# Buttons


def test_a_delivery_is_made_again_by_its_button(dashboard, api, emulator, receiver):
    """
    The same body once more, signed anew; and the page says so.
    """
    api.create()
    emulator.wait_for_deliveries()

    page = dashboard.press(f"/livraisons/{emulator.deliveries[0].id}/encore", retour="/livraisons?fin=ok")

    assert page.url.endswith("/livraisons?fin=ok&fait=livre")
    assert "Le webhook repart." in words(page.text)
    receiver.wait_for(2)
    assert receiver.received[0][1] == receiver.received[1][1]
    receiver.verify(emulator.webhook_secret)


@pytest.mark.parametrize(
    ("move", "status"),
    [("approve", "approved"), ("decline", "declined"), ("cancel", "canceled"), ("expire", "expired")],
)
def test_each_move_of_a_transaction_has_its_button(dashboard, api, emulator, move, status):
    """
    The page offers it as long as it is possible, and it happens.
    """
    id = api.create()["id"]
    assert f'action="/transactions/{id}/{move}"' in dashboard.open(f"/transactions/{id}")

    dashboard.press(f"/transactions/{id}/{move}")

    assert emulator.transaction(id)["status"] == status
    if move == "expire":
        assert f'action="/transactions/{id}/' not in dashboard.open(f"/transactions/{id}")


def test_what_cannot_be_is_a_sentence(dashboard, api, emulator):
    """
    Pressed twice, of nothing, of another word: 400 with what is wrong, and nothing changes.
    """
    id = api.create()["id"]
    emulator.expire(id)

    for path, form in [
        (f"/transactions/{id}/approve", {}),
        ("/transactions/1/approve", {}),
        (f"/transactions/{id}/vanish", {}),
        ("/livraisons/1/encore", {}),
        ("/depots/1/send", {}),
        ("/depots/1/vanish", {}),
        ("/horloge", {"heures": "-24"}),
        ("/pannes", {"panne": "webhook.nothing"}),
        ("/pannes", {"panne": "webhook.drop", "times": "1,path=/v1"}),
        ("/pannes/retirer", {"numero": "7"}),
        ("/reglages", {"create_status": "418"}),
        ("/reglages", {"nothing": "1"}),
        ("/adresse", {"adresse": "ftp://nowhere"}),
        ("/adresse?boutique=9", {}),
    ]:
        answer = dashboard.press(path, **form)
        assert answer.status_code == 400, path
        assert "<h1>" in answer.text
    assert emulator.settings.create_status == 200
    assert emulator.faults.active == []


def test_time_jumps_by_button(dashboard, api, emulator):
    """
    After a day a link is dead, after three more the money is transferred.
    """
    unpaid, paid = api.create()["id"], api.create()["id"]
    emulator.approve(paid)

    dashboard.press("/horloge", heures="24")
    assert emulator.transaction(unpaid)["status"] == "expired"
    page = dashboard.press("/horloge", heures="72")

    assert emulator.transaction(paid)["status"] == "transferred"
    assert "(+ 96 h)" in words(page.text)


def test_faults_are_asked_for_and_taken_back_by_button(dashboard, api, emulator):
    """
    With the words of each; empty fields are words that were not said.
    """
    for word in ("seconds", "probability", "path"):
        assert f'id="api-slow-{word}"' in dashboard.open("/pannes")

    form = {"seconds": "0.01", "times": "2", "probability": "", "seed": "", "path": "", "method": "GET"}
    dashboard.press("/pannes", panne="api.slow", **form)
    dashboard.press("/pannes", panne="webhook.drop", times="", probability="0.5", seed="7")
    assert [repr(each) for each in emulator.faults.active] == [
        "<Fault 1 api.slow left=2 probability=None seed=None>",
        "<Fault 2 webhook.drop left=None probability=0.5 seed=7>",
    ]
    assert "seconds=0.01" in dashboard.rows("/pannes")[0]
    dashboard.press("/pannes/retirer", numero="1")
    assert [each.name for each in emulator.faults.active] == ["webhook.drop"]
    dashboard.press("/pannes/retirer")
    assert emulator.faults.active == []


def test_settings_say_what_is_guessed_and_are_switched(dashboard, emulator):
    """
    Every one of them, with its sources; those that differ from the default are marked.
    """
    page = words(dashboard.open("/reglages"))
    for each in emulator.settings.known():
        assert each.sources in page

    dashboard.press("/reglages", create_status="201", payouts="non")

    assert (emulator.settings.create_status, emulator.settings.payouts) == (201, False)
    assert [row.split()[:2] for row in dashboard.rows("/reglages") if "changé" in row] == [
        ["payouts", "changé"],
        ["create_status", "changé"],
    ]


def test_everything_is_forgotten_after_a_question(dashboard, api, emulator):
    """
    The question is a page; its answer empties the lists.
    """
    api.create()
    assert 'action="/oublier"' in dashboard.open("/oublier")

    page = dashboard.press("/oublier", retour="/")

    assert "Tout est oublié." in words(page.text)
    assert emulator.transactions == []
    assert dashboard.rows("/appels") == ["Aucun appel."]


def test_the_address_of_webhooks_is_set_and_taken_away(dashboard, emulator):
    """
    Empty is nowhere.
    """
    dashboard.press("/adresse", adresse=" http://127.0.0.1:9/hook ")
    assert emulator.webhook_url == "http://127.0.0.1:9/hook"
    dashboard.press("/adresse", adresse="")
    assert emulator.webhook_url is None


@pytest.mark.parametrize(
    "back", ["//evil.example", "/\\evil.example", "https://evil.example/", "x:y", "", "x", "/\t/x", "/\r\nX: y"]
)
def test_a_button_goes_back_to_no_other_place(dashboard, back):
    """
    A form that was made elsewhere cannot send the developer away.
    """
    answer = dashboard.press("/pannes/retirer", retour=back, follow=False)

    assert answer.status_code == 303
    assert answer.headers["Location"] == "/?fait=sans_panne"


# Strangers


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}])
def test_a_page_of_a_stranger_neither_reads_nor_presses(dashboard, api, emulator, headers):
    """
    Nor through a name that it has given our address.
    """
    id = api.create()["id"]

    assert dashboard.press(f"/transactions/{id}/approve", headers=headers).status_code == 403
    assert dashboard.press("/oublier", headers=headers).status_code == 403
    for path in (*PAGES, "/etat", f"/transactions/{id}"):
        assert dashboard.session.get(dashboard.url + path, headers=headers, timeout=10).status_code == 403
    assert emulator.transaction(id)["status"] == "pending"


def test_beyond_this_machine_it_wants_the_token_once():
    """
    In the address that was printed; then the browser remembers.
    """
    with Emulator(host="0.0.0.0") as emulator:
        dashboard = DashboardClient(emulator)
        assert dashboard.session.get(dashboard.url + "/", timeout=10).status_code == 403
        assert dashboard.press("/oublier").status_code == 403

        assert dashboard.session.get(emulator.desk_url, timeout=10).status_code == 200
        assert dashboard.press("/oublier").status_code == 200


def test_a_button_is_no_link(dashboard, api, emulator):
    """
    What changes something is asked for by POST only.
    """
    id = api.create()["id"]

    for path in (f"/transactions/{id}/approve", "/pannes/retirer", "/horloge"):
        assert dashboard.session.get(dashboard.url + path, timeout=10).status_code == 404
    assert emulator.transaction(id)["status"] == "pending"


def test_hostile_text_is_shown_as_text(dashboard, api, emulator, receiver):
    """
    In descriptions, names, keys, paths and answers of shops: no markup, no turned text, no endless line.
    """
    id = api.create(
        description=HOSTILE.replace("\x00", ""),
        customer={"firstname": "<b>x</b>", "lastname": "\u202ey", "email": "a@example.bj"},
        custom_metadata={"</pre><script>": HOSTILE.replace("\x00", "")},
    )["id"]
    api("GET", "/v1/<script>alert(2)</script>\u202e", params={"q": "<img src=x>"})
    emulator.approve(id)
    emulator.wait_for_deliveries()

    paths = [*PAGES, f"/transactions/{id}", "/appels/1", "/appels/2", f"/livraisons/{emulator.deliveries[0].id}"]
    for path in paths:
        page = dashboard.open(path, q="")
        assert not re.search(r"<script(?![^>]* src=\"/static)|<img src=x|<b>x|[\u202e\u2066\x00]", page), path
    page = dashboard.open("/", q='"><script>alert(3)</script>', statut="<script>", page="<script>", fait="<script>")
    assert "<script>" not in page


# Living


def test_the_state_changes_when_something_happens_and_only_then(dashboard, api, emulator, receiver):
    """
    What the page asks each second: calls, events, deliveries, faults, settings, the clock.
    """

    def state():
        return json.loads(dashboard.open("/etat"))["state"]

    seen = [state()]

    def changed():
        seen.append(state())
        return seen[-1] != seen[-2]

    assert not changed()
    api("GET", "/v1/balances")
    assert changed()
    id = api.create()["id"]
    emulator.wait_for_deliveries()
    assert changed()
    emulator.approve(id)
    emulator.wait_for_deliveries()
    assert changed()
    emulator.redeliver(0)
    emulator.wait_for_deliveries()
    assert changed()
    emulator.faults.webhook.drop()
    assert changed()
    emulator.settings.payouts = False
    assert changed()
    emulator.clock.advance(hours=1)
    assert changed()
    assert not changed()


def test_each_shop_has_its_pages():
    """
    Chosen in the head of the page, kept by every link and button.
    """
    other = "sk_sandbox_deuxieme"
    with Emulator(shops={other: "Chez Afi"}) as emulator:
        dashboard = DashboardClient(emulator)
        emulator.shop(other).webhook_url = "http://127.0.0.1:9/afi"
        body = {"description": "Pour Afi", "amount": 500, "currency": {"iso": "XOF"}}
        headers = {"Authorization": f"Bearer {other}"}
        made = requests.post(f"{emulator.url}/v1/transactions", json=body, headers=headers, timeout=10).json()
        id = made["v1/transaction"]["id"]

        assert "Chez Afi" in words(dashboard.open("/"))
        assert dashboard.rows("/") == ["Aucune transaction."]
        assert "Pour Afi" in dashboard.rows("/", boutique="1")[0]
        page = dashboard.open(f"/transactions/{id}", boutique="1")
        assert f'action="/transactions/{id}/approve?boutique=1"' in page
        dashboard.press(f"/transactions/{id}/approve?boutique=1")
        assert emulator.shop(other).transaction(id)["status"] == "approved"
