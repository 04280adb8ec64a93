"""Accounts of the emulated API: the merchant's own, and others beside it."""

import pytest

from fedapay_sync.emulator import Emulator

OWN = 30211


def create(api, **fields):
    answer = api("POST", "/v1/accounts", json={"name": "Ma boutique", **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()["v1/account"]


def assert_refused(answer, *fields, status=400):
    assert answer.status_code == status, answer.text
    assert answer.json()["message"]
    assert sorted(answer.json()["errors"]) == sorted(fields)


def test_the_merchant_has_an_account_from_the_beginning(api):
    """
    The one that webhooks name, in the long form, alone in a list without meta.
    """
    listed = api("GET", "/v1/accounts").json()
    assert list(listed) == ["v1/accounts"]
    (own,) = listed["v1/accounts"]
    assert (own["klass"], own["id"], own["name"]) == ("v1/account", OWN, "Boutique de démonstration")
    assert (own["timezone"], own["country"], own["verified"]) == ("UTC", "BJ", True)
    assert (own["business_type"], own["api_keys"], own["users"]) == (None, [], [])
    assert api("GET", f"/v1/accounts/{OWN}").json() == {"v1/account": own}


@pytest.mark.parametrize("sent", [{"json": {"name": "Ma boutique"}}, {"data": {"name": "Ma boutique"}}])
def test_a_name_makes_an_account(sent, api):
    """
    As JSON and as a form; the rest is what a new account has.
    """
    made = api("POST", "/v1/accounts", **sent).json()["v1/account"]
    assert (made["name"], made["country"], made["timezone"], made["verified"]) == ("Ma boutique", "BJ", "UTC", False)
    assert made["reference"].startswith("acc_")
    assert api("GET", f"/v1/accounts/{made['id']}").json()["v1/account"] == made
    assert [each["id"] for each in api("GET", "/v1/accounts").json()["v1/accounts"]] == [made["id"], OWN]


def test_an_account_is_updated_as_an_sdk_saves_it(api):
    """
    Everything comes back with one change in it; what is FedaPay's own stays.
    """
    made = create(api)
    body = {**made, "name": "Autre nom", "verified": True, "id": 1, "business_email": "a@example.bj"}
    updated = api("PUT", f"/v1/accounts/{made['id']}", json=body).json()["v1/account"]
    assert (updated["name"], updated["verified"], updated["id"]) == ("Autre nom", False, made["id"])
    assert updated["business_email"] == "a@example.bj"
    assert api("PUT", f"/v1/accounts/{made['id']}", json={}).json()["v1/account"]["name"] == "Autre nom"


def test_an_account_is_deleted_except_the_merchants_own(api):
    """
    Gone for every call; the own one is refused with 403.
    """
    made = create(api)
    answer = api("DELETE", f"/v1/accounts/{made['id']}")
    assert (answer.status_code, answer.content) == (200, b"[]")
    for method in ("GET", "PUT", "DELETE"):
        assert_refused(api(method, f"/v1/accounts/{made['id']}"), status=404)
    assert_refused(api("DELETE", f"/v1/accounts/{OWN}"), status=403)


def test_the_light_view_is_of_the_account_that_acts(api):
    """
    The merchant's, or the one named by FedaPay-Account; a point-of-sale code is accepted.
    """
    light = api("GET", "/v1/accounts/light", headers={"FedaPay-Pos-Code": "0001"}).json()["v1/account"]
    assert (light["klass"], light["id"], light["name"]) == ("v1/account", OWN, "Boutique de démonstration")
    assert "business_type" not in light
    made = create(api)
    acting = api("GET", "/v1/accounts/light", headers={"FedaPay-Account": str(made["id"])})
    assert acting.json()["v1/account"]["id"] == made["id"]
    assert_refused(api("GET", "/v1/accounts/light", headers={"FedaPay-Account": "12"}), status=404)


@pytest.mark.parametrize("name", [None, "", [], {}, True, [1]])
def test_an_account_needs_a_name(name, api):
    """
    400 at creation and at update; nothing is made or changed.
    """
    assert_refused(api("POST", "/v1/accounts", json={"name": name}), "name")
    assert_refused(api("PUT", f"/v1/accounts/{OWN}", json={"name": name}), "name")
    assert_refused(api("POST", "/v1/accounts", json={}), "name")
    assert [each["name"] for each in api("GET", "/v1/accounts").json()["v1/accounts"]] == ["Boutique de démonstration"]


def test_refusals_speak_english_when_asked(api):
    """
    Message and reason.
    """
    answer = api("POST", "/v1/accounts?locale=en", json={}).json()
    assert answer == {"message": "Account creation failed", "errors": {"name": ["can't be blank"]}}


@pytest.mark.parametrize("id", ["0", "abc", "-1", "9" * 500])
def test_a_weird_id_is_not_found(id, api):
    """
    404 for every verb.
    """
    for method in ("GET", "PUT", "DELETE"):
        assert_refused(api(method, f"/v1/accounts/{id}"), status=404)


def test_accounts_survive_with_the_file(tmp_path, client_of):
    """
    Made, changed and deleted ones; the merchant's own is not made twice.
    """
    with Emulator(state=tmp_path / "shop.fedapay") as emulator:
        api = client_of(emulator)
        made, gone = create(api), create(api)
        api("PUT", f"/v1/accounts/{OWN}", json={"name": "Chez Ayaba"})
        api("DELETE", f"/v1/accounts/{gone['id']}")
    with Emulator(state=tmp_path / "shop.fedapay") as emulator:
        listed = client_of(emulator)("GET", "/v1/accounts").json()["v1/accounts"]
    assert sorted(each["id"] for each in listed) == sorted([OWN, made["id"]])
    assert {each["name"] for each in listed} == {"Chez Ayaba", "Ma boutique"}
