"""The emulator's webhooks: signed, repeated, given up, and never twice without reason."""

import contextlib
import json
import socket
import threading
import time

import pytest

from fedapay_sync.emulator import LIVE_SECRET_KEY, LIVE_WEBHOOK_SECRET, SANDBOX_WEBHOOK_SECRET, Emulator, Settings
from fedapay_sync.errors import InvalidArgument
from fedapay_sync.server.web_server import WebServer


def closed_port():
    """A port without listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_each_change_is_told_once_and_signed(api, emulator, receiver):
    """
    created, then approved: two deliveries, both verifiable, none repeated.
    """
    created = api.create()
    emulator.wait_for_deliveries()
    emulator.approve(created["id"])
    emulator.wait_for_deliveries()

    assert receiver.names == ["transaction.created", "transaction.approved"]
    assert emulator.webhook_secret == SANDBOX_WEBHOOK_SECRET
    receiver.verify(SANDBOX_WEBHOOK_SECRET)
    assert [(each.event, each.attempt, each.status) for each in emulator.deliveries] == [
        ("transaction.created", 1, 200),
        ("transaction.approved", 1, 200),
    ]
    assert all(each.object_id == created["id"] and each.succeeded for each in emulator.deliveries)


def test_the_body_is_as_fedapay_writes_it(api, emulator, receiver):
    """
    Compact UTF-8, keys in order, & < > escaped, entity in record form.
    """
    api.create(description="Thé & <café>")
    emulator.wait_for_deliveries()
    headers, body = receiver.received[0]

    assert headers["CONTENT_TYPE"] == "application/json"
    assert "Thé \\u0026 \\u003ccafé\\u003e".encode() in body
    assert b": " not in body
    event = json.loads(body)
    assert list(event) == ["name", "object", "object_id", "entity", "account"]
    assert event["object"] == "transaction"
    assert event["object_id"] == event["entity"]["id"]
    assert len(event["entity"]) == 48
    assert not {"klass", "payment_token", "payment_url"} & set(event["entity"])
    assert event["account"]["klass"] == "v1/account"
    assert emulator.deliveries[0].body == body


def test_the_entity_can_have_the_form_of_answers(receiver, client_of):
    """
    The other shape that was recorded: klass, customer and currency inside.
    """
    with Emulator(webhook_url=receiver.url, webhook_entity="api") as emulator:
        client_of(emulator).create(customer={"firstname": "A", "lastname": "B"})
        emulator.wait_for_deliveries()
    entity = receiver.events[0]["entity"]
    assert entity["klass"] == "v1/transaction"
    assert entity["customer"]["full_name"] == "A B"
    assert entity["currency"]["iso"] == "XOF"


def test_live_signs_with_the_live_secret_and_sends_own_headers(receiver, client_of):
    """
    Each environment has its secret; extra headers come along, but cannot replace the signature.
    """
    headers = {"agregateur": "Fedapay", "X-FEDAPAY-SIGNATURE": "forged"}
    with Emulator(secret_key=LIVE_SECRET_KEY, webhook_url=receiver.url, webhook_headers=headers) as emulator:
        client_of(emulator).create()
        emulator.wait_for_deliveries()
    receiver.verify(LIVE_WEBHOOK_SECRET)
    assert receiver.received[0][0]["HTTP_AGREGATEUR"] == "Fedapay"


def test_customers_are_told_of_only_when_asked(receiver, client_of):
    """
    webhook_objects chooses, as the dashboard does.
    """
    with Emulator(webhook_url=receiver.url, webhook_objects=("customer",)) as emulator:
        client_of(emulator).create(customer={"firstname": "A", "lastname": "B"})
        emulator.wait_for_deliveries()
    assert receiver.names == ["customer.created"]


def test_every_kind_of_change_has_its_event(api, emulator, receiver):
    """
    updated, deleted, canceled, declined, expired, transferred.
    """
    first, second, third, fourth = (api.create()["id"] for _ in range(4))
    api("PUT", f"/v1/transactions/{first}", json={"description": "b"})
    api("DELETE", f"/v1/transactions/{first}")
    emulator.cancel(second)
    emulator.approve(second)
    emulator.transfer(second)
    emulator.decline(third)
    emulator.expire(fourth)
    emulator.wait_for_deliveries()
    told = sorted(name.partition(".")[2] for name in receiver.names if name != "transaction.created")
    assert told == ["approved", "canceled", "declined", "deleted", "expired", "transferred", "updated"]
    by_name = {event["name"]: event["entity"] for event in receiver.events}
    assert by_name["transaction.deleted"]["status"] == "pending"
    assert by_name["transaction.expired"]["expired_at"] is not None


def test_a_refused_call_tells_nothing(api, emulator, receiver):
    """
    No event for what did not happen.
    """
    id = api.create()["id"]
    emulator.approve(id)
    emulator.wait_for_deliveries()
    api("DELETE", f"/v1/transactions/{id}")
    api("POST", "/v1/transactions", json={})
    with pytest.raises(InvalidArgument):
        emulator.approve(id)
    emulator.wait_for_deliveries()
    assert len(receiver.received) == 2


@pytest.mark.parametrize("answer", ["500 No", "404 No", "302 Found", "199 Odd"])
def test_anything_but_2xx_is_tried_again(answer, api, emulator, receiver):
    """
    Same body each time, fresh signature; a redirect is not followed; then success ends it.
    """
    receiver.answers += [answer, answer, "204 No Content"]
    api.create()
    emulator.wait_for_deliveries()
    code = int(answer[:3])
    assert [(each.attempt, each.status) for each in emulator.deliveries] == [(1, code), (2, code), (3, 204)]
    assert len({body for _, body in receiver.received}) == 1
    receiver.verify(SANDBOX_WEBHOOK_SECRET)
    assert emulator.webhook_enabled


def test_ten_failures_switch_the_webhook_off(api, emulator, receiver):
    """
    Ten attempts, then silence, until the address is set again.
    """
    receiver.answers += ["503 No"] * 10
    api.create()
    emulator.wait_for_deliveries()
    assert [each.attempt for each in emulator.deliveries] == list(range(1, 11))
    assert not emulator.webhook_enabled

    api.create()
    emulator.wait_for_deliveries()
    assert len(receiver.received) == 10

    emulator.webhook_url = receiver.url
    assert emulator.webhook_enabled
    api.create()
    emulator.wait_for_deliveries()
    assert len(receiver.received) == 11


def test_ten_failures_may_leave_the_webhook_on(receiver, client_of):
    """
    disable_on_error unchecked, as in the dashboard.
    """
    receiver.answers += ["503 No"] * 10
    with Emulator(webhook_url=receiver.url, retry_factor=0.001, disable_on_error=False) as emulator:
        api = client_of(emulator)
        api.create()
        emulator.wait_for_deliveries()
        assert emulator.webhook_enabled
        api.create()
        emulator.wait_for_deliveries()
    assert len(receiver.received) == 11


def test_the_wait_doubles_up_to_two_minutes(receiver, client_of, hand_clock):
    """
    2, 4, 8, 16, 32, 64, 120, 120, 120 s, by the emulator's clock: not a second earlier.
    """
    receiver.answers += ["500 No"] * 10
    with Emulator(webhook_url=receiver.url, clock=hand_clock) as emulator:
        client_of(emulator).create()
        for attempt, wait in enumerate([2, 4, 8, 16, 32, 64, 120, 120, 120], start=1):
            receiver.wait_for(attempt)
            _until(lambda count=attempt: len(emulator.deliveries) == count)
            hand_clock.passed += wait - 0.5
            with pytest.raises(TimeoutError):
                emulator.wait_for_deliveries(0.06)
            assert len(receiver.received) == attempt
            hand_clock.passed += 0.5
        emulator.wait_for_deliveries()
    assert len(receiver.received) == 10


def _until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end


def test_a_receiver_that_is_away_gets_it_when_it_is_back(api, emulator, receiver):
    """
    Connection refused is a failure like another; the error is on record.
    """
    away = closed_port()
    emulator.webhook_url = f"http://127.0.0.1:{away}/hook"
    api.create()
    _until(lambda: emulator.deliveries)
    with WebServer(receiver, port=away):
        emulator.wait_for_deliveries()
    first = emulator.deliveries[0]
    assert (first.status, first.error) == (None, "ConnectionError")
    assert emulator.deliveries[-1].status == 200
    assert receiver.names == ["transaction.created"]


def test_a_silent_receiver_times_out_and_holds_up_nobody(client_of):
    """
    It accepts and says nothing; meanwhile the API answers, and the attempt ends as a timeout.
    """
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(100)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with Emulator(webhook_url=url, webhook_timeout=0.3, retry_factor=0) as emulator:
            api = client_of(emulator)
            id = api.create()["id"]
            emulator.approve(id)
            assert api.get(id)["status"] == "approved"
            emulator.wait_for_deliveries(30)
            assert {each.error for each in emulator.deliveries} == {"ReadTimeout"}
            assert not emulator.webhook_enabled


@pytest.mark.parametrize(
    "options",
    [
        *(
            {"webhook_url": url}
            for url in ("nonsense", "ftp://x/", "http://", "http://[", "http://127.0.0.1:99999/", 5)
        ),
        {"webhook_headers": {"a": 1}},
        {"webhook_headers": {"a b": "c"}},
        {"webhook_headers": "x"},
        {"webhook_secret": 12},
        {"webhook_secret": ""},
        {"webhook_timeout": -1},
        {"webhook_timeout": "x"},
        {"disable_on_error": "non"},
        {"webhook_objects": "transaction"},
        {"webhook_objects": ("transactions",)},
        {"retry_factor": -1},
        {"state": ""},
        {"state": ":memory:"},
        {"state": 5},
        {"settings": {"payouts": False}},
    ],
    ids=str,
)
def test_what_could_never_work_is_refused_at_once(options):
    """
    With the name of the setting, instead of ten failed deliveries.
    """
    with pytest.raises(InvalidArgument, match=next(iter(options))):
        Emulator(**options)


def test_settings_may_be_replaced_as_a_whole(emulator):
    """
    What is assigned counts from then on.
    """
    emulator.settings = Settings(payouts=False)
    assert not emulator.settings.payouts
    with pytest.raises(InvalidArgument):
        emulator.settings = {"payouts": True}
    with pytest.raises(InvalidArgument):
        emulator.webhook_url = "nonsense"


@pytest.mark.parametrize(
    "options",
    [
        {"path_prefix": "transactions"},
        {"path_prefix": None},
        {"times": 0},
        {"times": "a"},
        {"status": "500"},
        {"status": 999},
        {"headers": {"X": "é€"}},
        {"headers": {"X": 1}},
        {"content_type": "x\r\ny"},
        {"body": 5},
        {"cut": "never"},
        {"method": 5},
        {"wait": -1},
    ],
    ids=str,
)
def test_a_fault_that_could_never_happen_is_refused(emulator, options):
    """
    A test that asks for it would otherwise test nothing.
    """
    with pytest.raises(InvalidArgument):
        emulator.fail_next(**{"path_prefix": "/v1", **options})


def test_a_receiver_that_drips_is_given_up_in_time(client_of, free_port, eventually):
    """
    The time is for the whole answer, not for each byte.
    """
    done = threading.Event()

    def drip(listener):
        line, _ = listener.accept()
        with line:
            while not done.wait(0.2):
                with contextlib.suppress(OSError):
                    line.sendall(b"HTTP/1.1 200 OK\r\n"[:1])

    with socket.create_server(("127.0.0.1", free_port)) as listener:
        threading.Thread(target=drip, args=(listener,), daemon=True).start()
        with Emulator(webhook_url=f"http://127.0.0.1:{free_port}/", webhook_timeout=0.5, retry_factor=1000) as slow:
            client_of(slow).create()
            eventually(lambda: slow.deliveries)
            assert slow.deliveries[0].status is None
        done.set()


def test_an_event_can_be_delivered_again(api, emulator, receiver):
    """
    By the record or its rank: same bytes, one more time.
    """
    api.create()
    emulator.wait_for_deliveries()
    emulator.redeliver(emulator.deliveries[0])
    emulator.wait_for_deliveries()
    emulator.redeliver(-1)
    emulator.wait_for_deliveries()
    assert len(receiver.received) == 3
    assert len({body for _, body in receiver.received}) == 1
    receiver.verify(SANDBOX_WEBHOOK_SECRET)
    with pytest.raises(InvalidArgument):
        emulator.redeliver(99)


def test_no_receiver_means_no_delivery(api, emulator):
    """
    Without an address nothing is attempted, nothing is pending.
    """
    api.create()
    emulator.wait_for_deliveries(0)
    assert emulator.deliveries == []


def test_many_changes_at_once_are_each_told_once(api, emulator, receiver):
    """
    Forty transactions approved from eight threads: forty and forty events, no doublet.
    """
    ids = [api.create()["id"] for _ in range(40)]
    threads = [threading.Thread(target=lambda part=ids[n::8]: [emulator.approve(id) for id in part]) for n in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    emulator.wait_for_deliveries()
    told = sorted((event["name"], event["object_id"]) for event in receiver.events)
    assert told == sorted((f"transaction.{what}", id) for what in ("created", "approved") for id in ids)


def test_the_push_of_a_good_number_reaches_the_shop(receiver, client_of):
    """
    The whole way: create, push, delay, approved, told.
    """
    with Emulator(webhook_url=receiver.url, delay=0.01) as emulator:
        api = client_of(emulator)
        api.push(api.create())
        receiver.wait_for(2)
    assert sorted(receiver.names) == ["transaction.approved", "transaction.created"]


def test_a_payer_who_was_told_otherwise_keeps_to_it(receiver, client_of, hand_clock):
    """
    A decision taken by hand before the delay is over stands; the timer then changes nothing.
    """
    with Emulator(webhook_url=receiver.url, delay=5, clock=hand_clock) as emulator:
        api = client_of(emulator)
        created, other = api.create(), api.create()
        api.push(created)
        api.push(other)
        emulator.decline(created["id"])
        hand_clock.passed += 6
        receiver.wait_for(4)
        emulator.wait_for_deliveries()
        assert emulator.transaction(created["id"])["status"] == "declined"
        assert emulator.transaction(other["id"])["status"] == "approved"


def test_what_waits_at_stop_is_sent_after_start(api, emulator, receiver):
    """
    An outage of the emulator loses no event: a payment made meanwhile is told afterwards.
    """
    created = api.create()
    emulator.wait_for_deliveries()
    emulator.stop()
    emulator.approve(created["id"])
    emulator.start()
    emulator.wait_for_deliveries()
    assert receiver.names == ["transaction.created", "transaction.approved"]


def test_nothing_of_a_customer_is_in_a_repr_of_a_delivery(api, emulator, receiver):
    """
    Bodies and headers stay out of logs and failed asserts.
    """
    api.create(customer={"firstname": "Ayaba", "lastname": "H", "email": "ayaba@example.bj"}, description="geheim")
    emulator.wait_for_deliveries()
    assert "geheim" not in repr(emulator.deliveries)
    assert "SIGNATURE" not in repr(emulator.deliveries)


def test_the_entity_of_an_answer_has_all_that_is_embedded(client_of, make_receiver):
    """
    webhook_entity="api": customer, currency, payment method, balance, refunds, and the account in full.
    """
    shop = make_receiver()
    with shop.server, Emulator(webhook_url=shop.url, webhook_entity="api") as emulator:
        id = client_of(emulator).create(customer={"firstname": "A", "lastname": "B", "email": "a@b.bj"})["id"]
        emulator.approve(id)
        emulator.wait_for_deliveries()
    approved = next(each for each in shop.events if each["name"] == "transaction.approved")
    entity = approved["entity"]
    kinds = [entity[name]["klass"] for name in ("customer", "currency", "payment_method", "balance")]
    assert kinds == ["v1/customer", "v1/currency", "v1/payment_method", "v1/balance"]
    assert entity["refunds"] == []
    assert approved["account"]["id"] == entity["account_id"]
    assert {"business_name", "api_keys", "currencies"} <= set(approved["account"])


@pytest.mark.parametrize("key", [5, None, "sk_sandbox_é", "sk_sandbox_a\nb"])
def test_a_key_that_no_header_can_carry_is_refused(key):
    """
    In French, and at once.
    """
    with pytest.raises(InvalidArgument, match="ASCII"):
        Emulator(secret_key=key)
