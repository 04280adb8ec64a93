"""Payment pages and invoices of the emulated API."""

import pytest

from fedapay_sync.emulator import Emulator

KINDS = {"page": {"name": "Don", "description": "Pour le puits"}, "invoice": {"number": "2", "notes": "Merci"}}


@pytest.fixture(params=sorted(KINDS))
def kind(request):
    return request.param


def create(api, kind, **fields):
    answer = api("POST", f"/v1/{kind}s", json={**KINDS[kind], **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()[f"v1/{kind}"]


def assert_refused(answer, *fields, status=400):
    assert answer.status_code == status, answer.text
    assert answer.json()["message"]
    assert sorted(answer.json()["errors"]) == sorted(fields)


def test_a_new_page_has_the_recorded_fields(api):
    """
    A reference of eight characters, the currency embedded, and what a fixture has where nothing was given.
    """
    page = create(api, "page", amount="2500", callback_url="https://example.bj", custom_fields=[{"label": "Taille"}])
    assert (page["klass"], page["name"], page["description"]) == ("v1/page", "Don", "Pour le puits")
    assert len(page["reference"]) == 8
    assert page["reference"].isalnum()
    assert (page["amount"], page["published"], page["enable_phone_number"]) == (2500, True, False)
    assert page["custom_fields"] == [{"label": "Taille"}]
    assert (page["currency"]["iso"], page["currency_id"], page["account_id"]) == ("XOF", 1, 30211)
    assert (page["thank_you"], page["deleted_at"]) == (None, None)


def test_a_new_invoice_counts_nothing_by_itself(api):
    """
    The sums given, null where none was: no formula of FedaPay's is known.
    """
    invoice = create(api, "invoice", sub_total=2500, tax="18", before_tax="12.5", due_at="2026-12-01", customer_id="7")
    assert (invoice["klass"], invoice["number"], invoice["notes"]) == ("v1/invoice", "2", "Merci")
    assert (invoice["sub_total"], invoice["tax"], invoice["before_tax"]) == (2500, 18, 12.5)
    assert (invoice["tax_amount"], invoice["ttc"], invoice["status"]) == (None, None, None)
    assert (invoice["due_at"], invoice["customer_id"], invoice["currency"]["iso"]) == ("2026-12-01", 7, "XOF")


def test_a_form_makes_the_same(api):
    """
    Brackets and texts, with lists by index, as PHP writes them.
    """
    form = {
        "name": "Don",
        "amount": "0",
        "published": "0",
        "enable_phone_number": "true",
        "currency[iso]": "GNF",
        "custom_fields[0][label]": "Taille",
        "custom_fields[1][label]": "Couleur",
    }
    page = api("POST", "/v1/pages", data=form).json()["v1/page"]
    assert (page["amount"], page["published"], page["enable_phone_number"]) == (0, False, True)
    assert page["custom_fields"] == [{"label": "Taille"}, {"label": "Couleur"}]
    assert (page["currency"]["iso"], page["currency_id"]) == ("GNF", 2)
    invoice = api("POST", "/v1/invoices", data={"number": "5", "tax": "18", "currency_id": "1"}).json()["v1/invoice"]
    assert (invoice["number"], invoice["tax"], invoice["currency_id"]) == ("5", 18, 1)


def test_they_are_listed_newest_first_in_pages(kind, api):
    """
    With meta, as recorded.
    """
    first, second = create(api, kind), create(api, kind)
    listed = api("GET", f"/v1/{kind}s?per_page=1&page=2").json()
    assert [each["id"] for each in listed[f"v1/{kind}s"]] == [first["id"]]
    assert (listed["meta"]["total_count"], listed["meta"]["prev_page"]) == (2, 1)
    assert api("GET", f"/v1/{kind}s").json()[f"v1/{kind}s"][0] == second


def test_an_update_takes_back_everything_an_sdk_saves(kind, api):
    """
    The whole record comes with one change in it; ids, dates and what is null stay as they were.
    """
    made = create(api, kind)
    name = list(KINDS[kind])[1]
    body = {**made, name: "Autre", "id": 1, "created_at": "x", "reference": None, "currency_id": None}
    updated = api("PUT", f"/v1/{kind}s/{made['id']}", json=body).json()[f"v1/{kind}"]
    assert updated == {**made, name: "Autre", "updated_at": updated["updated_at"]}
    assert api("GET", f"/v1/{kind}s/{made['id']}").json()[f"v1/{kind}"] == updated


def test_what_was_deleted_is_gone(kind, api):
    """
    For every call, the public ones included.
    """
    made = create(api, kind)
    assert api("DELETE", f"/v1/{kind}s/{made['id']}").status_code == 200
    for method in ("GET", "PUT", "DELETE"):
        assert_refused(api(method, f"/v1/{kind}s/{made['id']}"), status=404)
    assert_refused(api("GET", f"/v1/{kind}s/{made['reference']}/verify"), status=404)
    assert api("GET", f"/v1/{kind}s").json()["meta"]["total_count"] == 0


def test_a_reference_leads_to_the_public_view(kind, api):
    """
    The record beside its settings; an unknown reference is not found.
    """
    made = create(api, kind, reference="une-page_1")
    verified = api("GET", f"/v1/{kind}s/une-page_1/verify").json()
    assert verified == {f"v1/{kind}_verify": {kind: made, "settings": {}}}
    assert_refused(api("GET", f"/v1/{kind}s/none/verify"), status=404)


def test_a_page_has_a_light_view(api):
    """
    The few fields of the fixture.
    """
    made = create(api, "page")
    light = api("GET", f"/v1/pages/{made['reference']}/light").json()["v1/page"]
    assert light == {name: made[name] for name in light}
    assert set(light) == {"klass", "id", "name", "reference", "description", "created_at", "updated_at"}
    assert_refused(api("GET", "/v1/pages/none/light"), status=404)


def test_a_reference_is_taken_once(kind, api):
    """
    At creation and at update; keeping one's own is no conflict.
    """
    first, second = create(api, kind), create(api, kind)
    assert_refused(api("POST", f"/v1/{kind}s", json={"reference": first["reference"]}), "reference")
    assert_refused(api("PUT", f"/v1/{kind}s/{second['id']}", json={"reference": first["reference"]}), "reference")
    kept = api("PUT", f"/v1/{kind}s/{first['id']}", json={"reference": first["reference"]})
    assert kept.status_code == 200
    moved = api("PUT", f"/v1/{kind}s/{first['id']}", json={"reference": "new"})
    assert moved.json()[f"v1/{kind}"]["reference"] == "new"
    assert api("GET", f"/v1/{kind}s/{first['reference']}/verify").status_code == 404


WRONG = [
    ("page", field, value)
    for field, values in {
        "name": [[], {"a": 1}, True],
        "description": [[], True],
        "reference": ["a/b", "a b", "é", "x" * 65, 5, []],
        "amount": [-1, 12.5, "abc", True, [], {"a": 1}, "1e3", "9" * 40],
        "published": ["oui", 2, [], {"a": 1}],
        "enable_phone_number": ["x"],
        "custom_fields": ["x", 1, {"a": 1}, True],
        "currency": ["XOF", {"iso": "EUR"}, 1, [1]],
        "currency_id": [840, "abc", [1], True],
    }.items()
    for value in values
] + [
    ("invoice", field, value)
    for field, values in {
        "number": [[], True],
        "tax": ["abc", True, [], {"a": 1}, "1e3", "9" * 40],
        "customer_id": ["abc", []],
        "due_at": [[], {"a": 1}],
        "currency_id": [840],
    }.items()
    for value in values
]


@pytest.mark.parametrize(("kind", "field", "value"), WRONG)
def test_a_wrong_field_is_named(kind, field, value, api):
    """
    400 with the field at creation and at update; nothing is made, nothing changes.
    """
    assert_refused(api("POST", f"/v1/{kind}s", json={**KINDS[kind], field: value}), field)
    assert api("GET", f"/v1/{kind}s").json()["meta"]["total_count"] == 0
    made = create(api, kind)
    assert_refused(api("PUT", f"/v1/{kind}s/{made['id']}", json={field: value}), field)
    assert api("GET", f"/v1/{kind}s/{made['id']}").json()[f"v1/{kind}"] == made


@pytest.mark.parametrize("id", ["0", "abc", "-1", "9" * 500])
def test_a_weird_id_is_not_found(id, kind, api):
    """
    404 for every verb.
    """
    for method in ("GET", "PUT", "DELETE"):
        assert_refused(api(method, f"/v1/{kind}s/{id}"), status=404)


def test_refusals_speak_english_when_asked(api):
    """
    Messages and reasons.
    """
    wrong = {"reference": "a b", "amount": -1, "locale": "en"}
    assert api("POST", "/v1/pages", json=wrong).json() == {
        "message": "Page creation failed",
        "errors": {"reference": ["is invalid"], "amount": ["is not a whole number, 0 or more"]},
    }
    answer = api("POST", "/v1/invoices", json={"tax": "x", "locale": "en"}).json()
    assert answer == {"message": "Invoice creation failed", "errors": {"tax": ["is not a number"]}}


def test_the_public_views_need_the_key_like_any_other(kind, client_of, emulator):
    """
    Whether FedaPay's do is not known.
    """
    made = create(client_of(emulator), kind)
    answer = client_of(emulator)("GET", f"/v1/{kind}s/{made['reference']}/verify", key="sk_sandbox_wrong")
    assert answer.status_code == 401


def test_they_survive_with_the_file(kind, tmp_path, client_of):
    """
    Found by id and by reference in the next emulator.
    """
    with Emulator(state=tmp_path / "shop.fedapay") as emulator:
        made = create(client_of(emulator), kind)
    with Emulator(state=tmp_path / "shop.fedapay") as emulator:
        api = client_of(emulator)
        assert api("GET", f"/v1/{kind}s/{made['id']}").json()[f"v1/{kind}"] == made
        assert api("GET", f"/v1/{kind}s/{made['reference']}/verify").status_code == 200
        assert_refused(api("POST", f"/v1/{kind}s", json={"reference": made["reference"]}), "reference")
