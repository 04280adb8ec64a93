"""``/v1/events`` of the emulated API: what happened, as it was then."""

import json

import pytest

PERSON = {"firstname": "Ayaba", "lastname": "Hounkpatin", "email": "ayaba@example.bj"}


def test_an_event_keeps_what_was_true_then(api, emulator):
    """
    The entity is the text of that moment, in the record's form; ids are texts of 20 letters and digits.
    """
    id = api.create(customer=PERSON)["id"]
    emulator.decline(id)
    emulator.approve(id)
    found = api("GET", f"/v1/events?filters[object_id]={id}").json()["v1/events"][::-1]
    entities = [json.loads(each["entity"]) for each in found]
    assert [each["status"] for each in entities] == ["pending", "declined", "approved"]
    assert "klass" not in entities[0]
    assert list(found[0]) == "klass id type entity object_id account_id created_at updated_at object".split()
    assert all(len(each["id"]) == 20 and each["id"].isalnum() for each in found)


def test_the_list_may_begin_with_the_oldest(api, emulator):
    """
    On every page; the newest comes first unless told otherwise.
    """
    id = api.create(customer=PERSON)["id"]
    emulator.approve(id)

    def listed():
        pages = [api("GET", f"/v1/events?per_page=2&page={page}").json()["v1/events"] for page in (1, 2)]
        return [each["id"] for page in pages for each in page]

    newest_first = listed()
    emulator.settings.events_order = "oldest"
    assert len(newest_first) == 3 and listed() == newest_first[::-1]


@pytest.mark.parametrize(
    ("query", "types"),
    [
        ("filters[type]=transaction_deleted&match=must", ["transaction.deleted"]),
        ("filters[type]=transaction.deleted", ["transaction.deleted"]),
        ("filters[object]=customer", ["customer.created"]),
        ("filters[object]=customer&filters[type]=transaction_deleted", []),
        (
            "filters[object]=customer&filters[type]=transaction_deleted&match=should",
            ["transaction.deleted", "customer.created"],
        ),
        ("filters[entity]=ayaba@example.bj", ["customer.created"]),
        ("filters[nothing]=1", []),
        ("per_page=1&page=2", ["transaction.created"]),
    ],
)
def test_events_are_filtered(query, types, api):
    """
    Exactly, all filters or any; the underscore of FedaPay's command line is its point.
    """
    id = api.create(customer=PERSON)["id"]
    api("DELETE", f"/v1/transactions/{id}")
    answer = api("GET", f"/v1/events?{query}").json()
    assert [each["type"] for each in answer["v1/events"]] == types
    assert "meta" in answer


@pytest.mark.parametrize("kind", ["events", "logs"])
def test_a_subscription_is_answered_with_options_of_a_queue(kind, api):
    """
    Flat, with the names that FedaPay's own tool reads.
    """
    answer = api("POST", f"/v1/{kind}/subscribe").json()
    assert set(answer) == {"queue", "nowait", "durable", "auto_delete", "arguments"}
    assert set(answer["arguments"]) == {"x-message-ttl", "x-expires", "x-single-active-consumer"}
