"""``/v1/balances`` and ``/v1/currencies`` of the emulated API."""

import pytest

from fedapay_sync.emulator import LIVE_SECRET_KEY, Emulator, Settings


def balances(api):
    answer = api("GET", "/v1/balances").json()
    assert list(answer) == ["v1/balances"]
    return {each["mode"]: each for each in answer["v1/balances"]}


def test_there_is_a_balance_for_each_mode_and_one_without(client_of):
    """
    Without meta, in the recorded fields; each can be fetched.
    """
    with Emulator(secret_key=LIVE_SECRET_KEY) as emulator:
        api = client_of(emulator)
        found = balances(api)
        assert {None, "mtn_open", "moov", "togocel"} <= set(found)
        assert list(found[None]) == "klass id amount mode created_at updated_at".split()
        assert api("GET", f"/v1/balances/{found['moov']['id']}").json() == {"v1/balance": found["moov"]}
        assert api("GET", "/v1/balances/1").status_code == 404


@pytest.mark.parametrize(("credit_at", "amounts"), [("transfer", [0, 30000]), ("approval", [30000, 30000])])
def test_money_reaches_the_balance_at_its_transfer(credit_at, amounts, client_of):
    """
    Or at the approval, if the settings say so; once each, in the balance that the transaction names.
    """
    with Emulator(settings=Settings(credit_at=credit_at)) as emulator:
        api = client_of(emulator)
        ids = [api.create()["id"] for _ in range(2)]
        seen = []
        for step in (emulator.approve, emulator.transfer):
            for id in ids:
                step(id)
            seen.append(balances(api)["momo_test"]["amount"])
        assert seen == amounts
        assert balances(api)["momo_test"]["id"] == api.get(ids[0])["balance_id"]
        assert balances(api)[None]["amount"] == 0


def test_a_forced_transfer_of_nothing_credits_nothing(api, emulator):
    """
    No payer was debited.
    """
    id = api.create()["id"]
    emulator.transfer(id, force=True)
    assert {each["amount"] for each in balances(api).values()} == {0}


@pytest.mark.parametrize("name", ["1", "XOF"])
def test_a_currency_is_found_by_id_or_iso_code(name, api):
    """
    With the modes it goes with; others are 404.
    """
    found = api("GET", f"/v1/currencies/{name}").json()["v1/currency"]
    assert (found["id"], found["code"], found["div"]) == (1, 952, 1)
    assert "momo_test" in found["modes"]
    assert api("GET", "/v1/currencies/xyz").status_code == 404
