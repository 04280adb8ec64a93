"""Customers as a resource of their own."""

import pytest

PERSON = {
    "firstname": "Ayaba",
    "lastname": "Hounkpatin",
    "email": "ayaba@example.bj",
    "phone_number": {"number": "0164000001", "country": "bj"},
}


def make(api, **changes):
    answer = api("POST", "/v1/customers", json={**PERSON, **changes})
    assert answer.status_code == 200, answer.text
    return answer.json()["v1/customer"]


def names(api):
    return [each["type"] for each in api("GET", "/v1/events").json()["v1/events"]][::-1]


def test_a_customer_has_the_recorded_fields(api):
    """
    In the recorded order; it can be fetched again.
    """
    made = make(api)
    assert (
        list(made)
        == (
            "klass id firstname lastname full_name email account_id phone_number_id created_at updated_at deleted_at"
        ).split()
    )
    assert made["full_name"] == "Ayaba Hounkpatin"
    assert isinstance(made["phone_number_id"], int)
    assert api("GET", f"/v1/customers/{made['id']}").json() == {"v1/customer": made}


def test_a_known_email_is_the_same_customer(api):
    """
    Whatever the case of its letters; names are updated, and a transaction finds the same one.
    """
    first = make(api)
    second = make(api, email="AYABA@example.bj", firstname="Zoé")
    assert second["id"] == first["id"]
    assert second["full_name"] == "Zoé Hounkpatin"
    assert api.create(customer={"email": "ayaba@example.bj"})["customer_id"] == first["id"]
    assert make(api, email="other@example.bj")["id"] != first["id"]
    assert api("GET", "/v1/customers").json()["meta"]["total_count"] == 2


def test_a_number_alone_is_enough(api):
    """
    Without e-mail each one is a new customer.
    """
    anonymous = {"phone_number": {"number": "0164000001", "country": "BJ"}}
    ids = {api("POST", "/v1/customers", json=anonymous).json()["v1/customer"]["id"] for _ in range(2)}
    assert len(ids) == 2


def test_an_update_changes_what_is_given(api):
    """
    The rest stays; e-mails stay one person's.
    """
    made, other = make(api), make(api, email="other@example.bj")
    changed = api("PUT", f"/v1/customers/{made['id']}", json={"lastname": "K", "email": "new@example.bj"})
    assert changed.json()["v1/customer"]["full_name"] == "Ayaba K"
    assert make(api, email="new@example.bj")["id"] == made["id"]
    assert make(api)["id"] not in (made["id"], other["id"])
    taken = api("PUT", f"/v1/customers/{made['id']}", json={"email": "other@example.bj"})
    assert (taken.status_code, taken.json()["errors"]) == (400, {"email": ["n'est pas disponible"]})


def test_a_deleted_customer_is_gone_and_its_email_free(api):
    """
    404 afterwards, out of the lists, unknown to new transactions; old ones still show whom they were for.
    """
    made = make(api)
    transaction = api.create(customer={"id": made["id"]})
    assert api("DELETE", f"/v1/customers/{made['id']}").status_code == 200
    for method in ("GET", "PUT", "DELETE"):
        assert api(method, f"/v1/customers/{made['id']}", json={}).status_code == 404
    assert api("GET", "/v1/customers").json()["v1/customers"] == []
    refused = api(
        "POST",
        "/v1/transactions",
        json={"description": "x", "amount": 1, "currency": {"iso": "XOF"}, "customer": {"id": made["id"]}},
    )
    assert refused.json()["errors"] == {"customer": ["n'existe pas"]}
    shown = api("GET", f"/v1/transactions/{transaction['id']}?include=customer").json()["v1/transaction"]["customer"]
    assert shown["deleted_at"] is not None
    assert make(api)["id"] != made["id"]


def test_each_change_is_an_event(api):
    """
    created, updated, deleted; naming a customer by id is no news.
    """
    made = make(api)
    make(api, firstname="Zoé")
    api.create(customer={"id": made["id"]})
    api("DELETE", f"/v1/customers/{made['id']}")
    assert names(api) == ["customer.created", "customer.updated", "transaction.created", "customer.deleted"]


def test_customers_are_listed_and_searched(api):
    """
    Newest first, with meta; by name, e-mail and the filters of the command line.
    """
    ids = [make(api, lastname=f"L{n}", email=f"l{n}@example.bj")["id"] for n in range(5)]
    page = api("GET", "/v1/customers?per_page=2").json()
    assert [each["id"] for each in page["v1/customers"]] == ids[:2:-1]
    assert (page["meta"]["total_count"], page["meta"]["next_page"]) == (5, 2)
    for query in (
        "search=L3",
        "search=l3@example",
        "filters[compare][email][op]==&filters[compare][email][value]=l3@example.bj",
    ):
        found = api("GET", f"/v1/customers/search?{query}").json()["v1/customers"]
        assert [each["id"] for each in found] == [ids[3]]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"lastname": ""}, "lastname"),
        ({"firstname": "  "}, "firstname"),
        ({"lastname": "undefined"}, "lastname"),
        ({"firstname": None}, "firstname"),
        ({"email": {}}, "email"),
        ({"phone_number": "0164000001"}, "phone_number"),
        ({"phone_number": {"number": "12"}}, "phone_number"),
    ],
)
def test_a_wrong_person_is_400_by_field(wrong, field, api):
    """
    At the creation and at an update; nothing is made, nothing changes.
    """
    refused = api("POST", "/v1/customers", json={**PERSON, **wrong})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, [field])
    assert names(api) == []
    made = make(api)
    assert api("PUT", f"/v1/customers/{made['id']}", json=wrong).status_code == 400
    assert api("GET", f"/v1/customers/{made['id']}").json()["v1/customer"] == made


def test_nobody_is_nobody(api):
    """
    An empty body is no customer.
    """
    refused = api("POST", "/v1/customers", json={})
    assert (refused.status_code, refused.json()["message"]) == (
        400,
        "Paramètre manquant ou la valeur est vide customer",
    )
