"""What is not known of FedaPay: every guess can be switched, and one table says what the sources say."""

import re
from pathlib import Path

import pytest

from fedapay_sync.emulator import Emulator, Settings
from fedapay_sync.emulator.domain.settings import FIXED, set_from_text
from fedapay_sync.errors import InvalidArgument

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "emulateur.md"


@pytest.mark.parametrize("status", [400, 422, 500])
def test_the_status_of_a_wrong_field(status, api, emulator):
    """
    With its errors, whatever the status; a body that is no JSON stays 400.
    """
    emulator.settings.invalid_status = status
    answer = api("POST", "/v1/transactions", json={"amount": -1})

    assert (answer.status_code, bool(answer.json()["errors"])) == (status, True)
    assert api("POST", "/v1/transactions", data=b"{", headers={"Content-Type": "application/json"}).status_code == 400


@pytest.mark.parametrize("status", [401, 403])
def test_the_status_of_the_other_environments_key(status, api, emulator):
    """
    A key that is simply wrong stays 401.
    """
    emulator.settings.other_environment_status = status

    assert api("GET", "/v1/transactions", key="sk_live_somebody").status_code == status
    assert api("GET", "/v1/transactions", key="sk_sandbox_somebody").status_code == 401


@pytest.mark.parametrize("status", [400, 401])
def test_the_status_of_a_bad_token(status, api, emulator):
    """
    At a push, and where fees are asked for.
    """
    emulator.settings.bad_token_status = status

    assert api.push({"payment_token": "bad"}).status_code == status
    assert api("GET", "/v1/transactions/fees?token=bad&mode=momo_test").status_code == status


@pytest.mark.parametrize("refusal", ["decline", "cancel"])
def test_whether_a_refused_transaction_can_be_paid_later(refusal, api, emulator):
    """
    When not: no token, no push, and the payer cannot agree either.
    """
    made = api.create()
    getattr(emulator, refusal)(made["id"])
    setattr(emulator.settings, f"{refusal}d_payable".replace("canceld", "canceled"), False)

    assert api("POST", f"/v1/transactions/{made['id']}/token").status_code == 403
    assert api.push(made).status_code == 400
    with pytest.raises(InvalidArgument):
        emulator.approve(made["id"])

    emulator.settings = Settings()
    assert api.push(made).status_code == 200
    emulator.approve(made["id"])


def test_whether_a_deleted_transaction_can_be_read_and_deleted_again(api, emulator):
    """
    Read with its stamp, or gone; refused, or not found.
    """
    path = f"/v1/transactions/{api.create()['id']}"
    api("DELETE", path)
    assert (api("GET", path).status_code, api("DELETE", path).status_code) == (200, 403)
    emulator.settings.deleted_readable = False
    emulator.settings.delete_again_status = 404

    assert (api("GET", path).status_code, api("DELETE", path).status_code) == (404, 404)


def test_whether_a_failed_payout_starts_again(api, emulator):
    """
    Refused, or started and sent.
    """
    person = {"email": "a@b.bj", "phone_number": {"number": "0164000001", "country": "bj"}}
    body = {"amount": 500, "currency": {"iso": "XOF"}, "mode": "momo_test", "customer": person}
    id = api("POST", "/v1/payouts", json=body).json()["v1/payout"]["id"]
    start = {"payouts": [{"id": id}]}
    api("PUT", "/v1/payouts/start", json=start)
    emulator.fail_payout(id)
    assert api("PUT", "/v1/payouts/start", json=start).status_code == 400
    emulator.settings.failed_payout_restarts = True

    assert api("PUT", "/v1/payouts/start", json=start).status_code == 200
    emulator.send_payout(id)


def test_the_form_of_a_webhooks_object(api, emulator, receiver):
    """
    Changed while it runs: the record, then the API's form.
    """
    api.create()
    emulator.wait_for_deliveries()
    emulator.settings.webhook_entity = "api"
    api.create()
    emulator.wait_for_deliveries()

    assert ["klass" in each["entity"] for each in receiver.events] == [False, True]


def test_the_argument_wins_over_the_settings():
    """
    Two ways of saying one thing.
    """
    emulator = Emulator(settings=Settings(webhook_entity="record"), webhook_entity="api")

    assert emulator.settings.webhook_entity == "api"


def test_whether_an_expiry_is_told(api, emulator, receiver):
    """
    The event is written down all the same.
    """
    emulator.settings.expiry_webhook = False
    id = api.create()["id"]
    emulator.expire(id)
    emulator.wait_for_deliveries()

    assert receiver.names == ["transaction.created"]
    assert "transaction.expired" in [each["type"] for each in api("GET", "/v1/events").json()["v1/events"]]


@pytest.mark.parametrize(("succeeds", "attempts"), [(True, 1), (False, 2)])
def test_whether_a_redirect_is_a_delivery(succeeds, attempts, api, emulator, receiver):
    """
    Followed it never is.
    """
    emulator.settings.redirect_succeeds = succeeds
    receiver.answers.append("302 FOUND")
    api.create()
    emulator.wait_for_deliveries()

    assert len(receiver.received) == attempts


def test_a_webhook_may_be_switched_off_by_one_error(api, emulator, receiver):
    """
    No second attempt, and nothing more is sent.
    """
    emulator.settings.disable_after = 1
    receiver.answers.append("500 NO")
    api.create()
    emulator.wait_for_deliveries()
    api.create()
    emulator.wait_for_deliveries()

    assert (len(receiver.received), emulator.webhook_enabled) == (1, False)


def test_several_settings_change_together_or_not_at_all(emulator):
    """
    One that is wrong leaves the others as they were.
    """
    with pytest.raises(InvalidArgument, match="fees_by"):
        emulator.settings.change({"payouts": False, "fees_by": "nobody"})

    assert emulator.settings == Settings()


def test_each_setting_tells_what_it_decides_and_what_is_known():
    """
    Every choice can be set, also as the command line writes it; the default is the first.
    """
    for guess in Settings.known():
        assert guess.about
        assert guess.sources
        assert getattr(Settings(), guess.name) == guess.default == guess.choices[0]
        for choice, written in zip(guess.choices, guess.written):
            settings = Settings()
            set_from_text(settings, f"{guess.name}={written}")
            assert getattr(settings, guess.name) == choice


def test_the_guide_has_the_same_table():
    """
    Line for line, the fixed guesses too.
    """
    text = GUIDE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", text, re.MULTILINE)
    expected = [
        (each.name, ", ".join(f"`{choice}`" for choice in each.written), each.about, each.sources)
        for each in Settings.known()
    ]

    assert [row for row in rows if row[0] in {each.name for each in Settings.known()}] == expected
    assert [each for each in FIXED if f"- {each}" not in text] == []
