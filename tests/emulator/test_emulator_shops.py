"""Several shops in one emulator, each behind its key; and all of them forgotten at once."""

import pytest
import requests

from fedapay_sync.emulator import LIVE_SECRET_KEY, SANDBOX_SECRET_KEY, Emulator
from fedapay_sync.errors import ConfigError, InvalidArgument

SECOND = "sk_sandbox_second"


@pytest.fixture
def two():
    with Emulator(shops={SECOND: "Chez Kossi"}, retry_factor=0.001) as running:
        yield running


def create(client, key, **changes):
    body = {"description": "Commande", "amount": 1000, "currency": {"iso": "XOF"}, **changes}
    answer = client("POST", "/v1/transactions", key=key, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["v1/transaction"]


def test_a_shop_sees_what_is_its_own(two, client_of):
    """
    Transactions, customers, balances: the key says whose; no id exists twice.
    """
    client = client_of(two)
    mine = create(client, SANDBOX_SECRET_KEY, merchant_reference="A1", customer={"email": "a@b.bj"})
    theirs = create(client, SECOND, merchant_reference="A1", customer={"email": "a@b.bj"})
    other = two.shop(SECOND)
    other.approve(theirs["id"])

    assert mine["id"] != theirs["id"]
    assert client("GET", f"/v1/transactions/{theirs['id']}").status_code == 404
    assert client("GET", f"/v1/transactions/{mine['id']}", key=SECOND).status_code == 404
    assert [each["id"] for each in two.transactions] == [mine["id"]]
    assert [(each["id"], each["status"]) for each in other.transactions] == [(theirs["id"], "approved")]
    with pytest.raises(InvalidArgument):
        two.approve(theirs["id"])


def test_each_shop_has_its_own_webhook_and_name(two, client_of, make_receiver):
    """
    Its address, its secret; its account stands in the body.
    """
    client, first, second = client_of(two), make_receiver(), make_receiver()
    with first.server, second.server:
        two.webhook_url = first.url
        two.shop(SECOND).webhook_url = second.url
        two.shop(SECOND).webhook_secret = "wh_sandbox_kossi"
        create(client, SANDBOX_SECRET_KEY)
        create(client, SECOND)
        two.wait_for_deliveries()
        two.shop(SECOND).wait_for_deliveries()

    assert (len(first.events), len(second.events)) == (1, 1)
    assert second.events[0]["account"]["name"] == "Chez Kossi"
    assert first.events[0]["account"]["id"] != second.events[0]["account"]["id"]
    second.verify("wh_sandbox_kossi")
    assert [each.name for each in two.shops] == ["Boutique de démonstration", "Chez Kossi"]


def test_a_key_of_nobody_opens_nothing(two, client_of):
    """
    401 at the API, a French error in Python that does not repeat the key.
    """
    assert client_of(two)("GET", "/v1/transactions", key="sk_sandbox_nobody").status_code == 401
    with pytest.raises(InvalidArgument, match=r"sk_sandbox_\*\*\*"):
        two.shop("sk_sandbox_nobody")


def test_the_payment_page_knows_every_shop(two, client_of):
    """
    Its link alone finds the transaction, and names the shop.
    """
    made = create(client_of(two), SECOND)
    page = requests.get(made["payment_url"], timeout=10)

    assert page.status_code == 200
    assert "Chez Kossi" in page.text


def test_a_payer_has_one_phone_for_all_shops(two, client_of):
    """
    Whichever shop it is that asks; its name is on the screen.
    """
    client = client_of(two)
    made = create(client, SECOND)
    body = {"token": made["payment_token"], "phone_number": {"number": "0164000001", "country": "bj"}}
    assert client("POST", "/v1/momo_test", key=SECOND, json=body).status_code == 200
    phone = two.phone("0164000001")
    assert [each.shop for each in phone.prompts] == ["Chez Kossi"]
    phone.agree()

    assert two.shop(SECOND).transaction(made["id"])["status"] == "approved"


def test_the_two_environments_fit_into_one_emulator(client_of):
    """
    Each shop follows the rules of its key.
    """
    with Emulator(shops={LIVE_SECRET_KEY: "En vrai"}) as emulator:
        client = client_of(emulator)
        sandbox, live = create(client, SANDBOX_SECRET_KEY), create(client, LIVE_SECRET_KEY)
        body = {"phone_number": {"number": "0197000000", "country": "bj"}}
        statuses = [
            client("POST", "/v1/mtn_open", key=key, json={**body, "token": made["payment_token"]}).status_code
            for key, made in ((SANDBOX_SECRET_KEY, sandbox), (LIVE_SECRET_KEY, live))
        ]

    assert statuses == [400, 200]


def test_the_state_file_keeps_each_shop_by_its_key(client_of, tmp_path):
    """
    Under another name the shop is the same; without its key, its books wait for it.
    """
    path = tmp_path / "state.db"
    with Emulator(state=path, shops={SECOND: "Chez Kossi"}) as emulator:
        theirs = create(client_of(emulator), SECOND)
    with Emulator(state=path) as emulator:
        assert emulator.transactions == []
    with Emulator(state=path, shops={SECOND: "Chez Ayaba"}) as emulator:
        shop = emulator.shop(SECOND)
        assert [each["id"] for each in shop.transactions] == [theirs["id"]]
        assert shop.name == "Chez Ayaba"
        assert create(client_of(emulator), SECOND)["id"] > theirs["id"]


def test_shops_in_another_order_find_their_own_books_again(client_of, tmp_path):
    """
    Which of them comes first is no matter, nor whether the other is there at all, nor a reset.
    """
    path = tmp_path / "state.db"
    first, second = "sk_sandbox_a", "sk_sandbox_b"

    def seen(secret_key, **shops):
        with Emulator(secret_key=secret_key, shops=shops, state=path) as emulator:
            return {
                shop.secret_key: ([each["description"] for each in shop.transactions], shop.name)
                for shop in emulator.shops
            }

    with Emulator(secret_key=first, shops={first: "A", second: "B"}, state=path) as emulator:
        emulator.reset()
        client = client_of(emulator)
        client.create(description="de A")
        body = {"description": "de B", "amount": 1, "currency": {"iso": "XOF"}}
        client("POST", "/v1/transactions", key=second, json=body)

    swapped = seen(second, **{first: "A", second: "B"})
    assert swapped == {first: (["de A"], "A"), second: (["de B"], "B")}
    assert seen(second)[second][0] == ["de B"]
    assert seen(first)[first][0] == ["de A"]


def test_the_first_shop_may_have_a_name(client_of, make_receiver):
    """
    Its key among the shops names it, and makes no second one.
    """
    with Emulator(shops={SANDBOX_SECRET_KEY: "Chez moi"}) as emulator:
        assert [each.name for each in emulator.shops] == ["Chez moi"]
        assert emulator.shop(SANDBOX_SECRET_KEY) is emulator


@pytest.mark.parametrize("wrong", [{"bad": "Nom"}, {SECOND: ""}, {SECOND: 3}, ["a"], "sk_sandbox_b"])
def test_what_is_no_shop_is_refused(wrong):
    """
    In French, and no key is repeated.
    """
    with pytest.raises(InvalidArgument) as error:
        Emulator(shops=wrong)

    assert SECOND not in str(error.value)


def test_a_reset_forgets_everything_in_every_shop(two, client_of, make_receiver):
    """
    Objects, events, deliveries, calls and faults; the webhook's address stays, and ids go on.
    """
    client, shop = client_of(two), make_receiver()
    with shop.server:
        two.webhook_url = shop.url
        before = create(client, SANDBOX_SECRET_KEY, customer={"email": "a@b.bj"})
        create(client, SECOND)
        two.faults.api.slow(seconds=1)
        two.wait_for_deliveries()
        two.reset()

        assert (two.transactions, two.shop(SECOND).transactions, two.deliveries, two.requests) == ([], [], [], [])
        assert two.faults.active == []
        for path, name in (("logs", "v1/logs"), ("events", "v1/events"), ("customers", "v1/customers")):
            assert client("GET", f"/v1/{path}").json()[name] == []
        assert create(client, SANDBOX_SECRET_KEY)["id"] > before["id"]
        two.wait_for_deliveries()
        assert shop.names == ["transaction.created"] * 2


def test_a_reset_empties_the_state_file(client_of, tmp_path):
    """
    Also for the next process, and it stays an emulator's file.
    """
    path = tmp_path / "state.db"
    with Emulator(state=path, shops={SECOND: "Chez Kossi"}) as emulator:
        emulator.clock.advance(hours=5)
        for key in (SANDBOX_SECRET_KEY, SECOND):
            create(client_of(emulator), key)
        emulator.reset()
    with Emulator(state=path, shops={SECOND: "Chez Kossi"}) as emulator:
        assert (emulator.transactions, emulator.shop(SECOND).transactions) == ([], [])
        assert emulator.clock.ahead >= 5 * 3600
    with pytest.raises(ConfigError, match="environnements"):
        Emulator(state=path, secret_key=LIVE_SECRET_KEY)


def test_a_webhook_under_way_does_not_come_back_after_a_reset(client_of, make_receiver, eventually):
    """
    It fails after the reset, and is not tried again.
    """
    shop = make_receiver()
    with shop.server, Emulator(webhook_url=shop.url, retry_factor=0.001) as emulator:
        emulator.faults.webhook.delay(seconds=60)
        client_of(emulator).create()
        emulator.reset()
        emulator.clock.advance(minutes=2)
        emulator.wait_for_deliveries()

        assert shop.received == []


def test_a_stopped_emulator_with_a_file_cannot_be_reset(tmp_path):
    """
    The file is let go of: nothing would be forgotten.
    """
    emulator = Emulator(state=tmp_path / "state.db")
    emulator.stop()

    with pytest.raises(InvalidArgument, match="arrêté"):
        emulator.reset()
