"""Faults on demand: each strikes as often as was asked, the same way each time, and says that it did."""

import socket
import threading
import time
from contextlib import ExitStack

import pytest
import requests

from fedapay_sync import signature
from fedapay_sync.emulator import Emulator
from fedapay_sync.emulator.faults.registry import CATALOGUE, add, add_text
from fedapay_sync.errors import InvalidArgument, SignatureError


def test_the_next_two_webhooks_come_twice_and_the_third_once(api, emulator, receiver):
    """
    The same body, each rightly signed; the deliveries say which fault it was.
    """
    fault = emulator.faults.webhook.duplicate(times=2)
    for _ in range(3):
        api.create()
    emulator.wait_for_deliveries()

    bodies = [body for _, body in receiver.received]
    assert sorted(bodies.count(each) for each in set(bodies)) == [1, 2, 2]
    receiver.verify(emulator.webhook_secret)
    assert sorted(each.fault for each in emulator.deliveries) == ["", *["webhook.duplicate"] * 4]
    assert (fault.left, fault.struck, emulator.faults.active) == (0, 2, [])


def test_a_duplicate_may_be_many(api, emulator, receiver):
    """
    ``copies`` is how often it comes altogether.
    """
    emulator.faults.webhook.duplicate(copies=7)
    api.create()
    emulator.wait_for_deliveries()

    assert len(receiver.received) == 7


def test_held_webhooks_come_last_first(api, emulator, receiver):
    """
    As many as were asked for, one after another; the next one comes as always, perhaps between them.
    """
    emulator.faults.webhook.reorder(count=3, within=60)
    ids = [api.create()["id"] for _ in range(4)]
    emulator.wait_for_deliveries()

    came = [event["object_id"] for event in receiver.events]
    assert [each for each in came if each != ids[3]] == ids[2::-1]
    assert sorted(came) == ids


def test_held_webhooks_do_not_wait_for_ever(api, emulator, receiver):
    """
    When there are too few, they come after ``within`` seconds.
    """
    emulator.faults.webhook.reorder(count=9, within=3600)
    ids = [api.create()["id"] for _ in range(2)]
    assert receiver.received == []
    emulator.clock.advance(hours=1)
    emulator.wait_for_deliveries()

    assert [event["object_id"] for event in receiver.events] == ids[::-1]


def test_a_delayed_webhook_comes_by_the_clock_of_the_emulator(api, emulator, receiver):
    """
    Not before; signed with the real time of its sending.
    """
    emulator.faults.webhook.delay(seconds=7200)
    late = api.create()["id"]
    prompt = api.create()["id"]
    receiver.wait_for(1)
    emulator.clock.advance(minutes=119)
    assert [event["object_id"] for event in receiver.events] == [prompt]
    emulator.clock.advance(minutes=2)
    emulator.wait_for_deliveries()

    assert [event["object_id"] for event in receiver.events] == [prompt, late]
    receiver.verify(emulator.webhook_secret)


def test_a_delay_is_kept_in_the_state_file(client_of, make_receiver, tmp_path):
    """
    After a restart the webhook is still late, and comes.
    """
    shop = make_receiver()
    with shop.server, Emulator(state=tmp_path / "state.db", webhook_url=shop.url) as emulator:
        emulator.faults.webhook.delay(seconds=3600)
        client_of(emulator).create()
        emulator.stop()
        emulator.start()
        assert shop.received == []
        emulator.clock.advance(hours=2)
        emulator.wait_for_deliveries()

        assert shop.names == ["transaction.created"]


def test_a_dropped_webhook_never_comes_and_is_not_repeated(api, emulator, receiver):
    """
    FedaPay believes that it came; the log of deliveries says that it did not.
    """
    emulator.faults.webhook.drop()
    lost, next_one = api.create()["id"], api.create()["id"]
    emulator.wait_for_deliveries()

    assert [event["object_id"] for event in receiver.events] == [next_one]
    first = emulator.deliveries[0]
    assert (first.object_id, first.error, first.fault, first.succeeded) == (lost, "Dropped", "webhook.drop", False)


@pytest.mark.parametrize("name", ["wrong_signature", "old_stamp"])
def test_a_bad_signature_is_one_attempt_only(name, api, emulator, receiver):
    """
    The receiver refuses it; the next attempt is as it should be.
    """
    receiver.answers.extend(["400 BAD REQUEST", "200 OK"])
    getattr(emulator.faults.webhook, name)()
    api.create()
    emulator.wait_for_deliveries()

    (first, body), (second, _) = receiver.received
    with pytest.raises(SignatureError):
        signature.verify(body, first["HTTP_X_FEDAPAY_SIGNATURE"], emulator.webhook_secret)
    signature.verify(body, second["HTTP_X_FEDAPAY_SIGNATURE"], emulator.webhook_secret)
    assert [each.fault for each in emulator.deliveries] == [f"webhook.{name}", ""]


def test_an_old_stamp_is_rightly_signed_for_its_time(api, emulator, receiver):
    """
    Only the time is wrong.
    """
    emulator.faults.webhook.old_stamp(seconds=1000)
    began = time.time()
    api.create()
    receiver.wait_for(1)
    headers, body = receiver.received[0]

    signature.verify(body, headers["HTTP_X_FEDAPAY_SIGNATURE"], emulator.webhook_secret, now=began - 1000)


def test_a_slow_answer_is_the_right_one(api, emulator):
    """
    It comes after the time asked for, and the log of calls says why.
    """
    emulator.faults.api.slow(seconds=0.3, method="get")
    id = api.create()["id"]
    began = time.monotonic()
    assert api.get(id)["id"] == id

    assert time.monotonic() - began >= 0.3
    assert [each.fault for each in emulator.requests] == ["", "api.slow"]
    assert emulator.requests[1].seconds >= 0.3


@pytest.mark.parametrize(
    ("name", "options", "status", "body"),
    [
        ("error_500", {}, 500, b""),
        ("bad_gateway", {}, 502, None),
        ("too_many", {"retry_after": 7}, 429, b""),
    ],
)
def test_an_error_comes_instead_of_the_answer(name, options, status, body, api, emulator):
    """
    Nothing is made; the call after it is answered as always.
    """
    getattr(emulator.faults.api, name)(path="/v1/transactions", **options)
    answer = api("POST", "/v1/transactions", json={})

    assert answer.status_code == status
    assert answer.content == body or b"<html>" in answer.content
    assert answer.headers.get("Retry-After") == ("7" if name == "too_many" else None)
    assert emulator.transactions == []
    api.create()


def test_an_error_may_hide_that_the_call_was_applied(api, emulator):
    """
    500, and the transaction is there.
    """
    emulator.faults.api.error_500(applied=True)
    answer = api("POST", "/v1/transactions", json={"description": "x", "amount": 5, "currency": {"iso": "XOF"}})

    assert answer.status_code == 500
    assert len(emulator.transactions) == 1


@pytest.mark.parametrize(("when", "made"), [("before", 0), ("during", 1), ("after", 1)])
def test_a_cut_leaves_no_answer(when, made, api, emulator, eventually):
    """
    Before the work nothing is made; during and after it is.
    """
    emulator.faults.api.cut(when)
    with pytest.raises(requests.ConnectionError):
        api.create()

    eventually(lambda: len(emulator.requests) == 1)
    assert len(emulator.transactions) == made
    assert emulator.requests[0].status == 0


def test_a_seed_repeats_the_run(api, emulator):
    """
    The same calls are struck; another seed strikes others; a bounded one stops.
    """

    def run(seed, **more):
        emulator.faults.clear()
        fault = emulator.faults.api.error_500(probability=0.4, seed=seed, **more)
        return [api("GET", "/v1/currencies").status_code for _ in range(30)], fault

    first, fault = run(7)
    assert run(7)[0] == first
    assert run(8)[0] != first
    assert fault.struck == first.count(500)
    assert 3 < first.count(500) < 27
    assert run(7, times=2)[0].count(500) == 2
    assert emulator.faults.active == []


def test_a_seed_that_was_not_given_is_told(emulator):
    """
    So that what was seen can be seen again.
    """
    fault = emulator.faults.webhook.drop(probability=0.5)

    assert isinstance(fault.seed, int)
    assert fault.to_dict() == {
        "id": fault.id,
        "name": "webhook.drop",
        "left": None,
        "probability": 0.5,
        "seed": fault.seed,
        "struck": 0,
        "options": {},
    }


def test_faults_are_listed_and_taken_back(api, emulator):
    """
    In the order asked; a removed one strikes no more, nor does one that has ended.
    """
    kept = emulator.faults.api.too_many(path="/v1/balances")
    gone = emulator.faults.api.error_500()
    assert emulator.faults.active == [kept, gone]
    emulator.faults.remove(gone.id)
    api.create()
    assert emulator.faults.active == [kept]
    with pytest.raises(InvalidArgument, match="Aucune panne active"):
        emulator.faults.remove(gone.id)
    emulator.faults.clear()

    assert emulator.faults.active == []


def test_fail_next_is_one_of_them(api, emulator):
    """
    One machinery: it is listed, and cleared with the others.
    """
    emulator.fail_next("/v1/transactions", times=3)
    (fault,) = emulator.faults.active
    assert (fault.name, fault.left) == ("api.fail_next", 3)
    emulator.faults.clear()

    api.create()


@pytest.mark.parametrize(
    "ask",
    [
        lambda faults: faults.webhook.duplicate(copies=1),
        lambda faults: faults.webhook.delay(seconds=-1),
        lambda faults: faults.webhook.reorder(count=True),
        lambda faults: faults.webhook.drop(times=0),
        lambda faults: faults.webhook.drop(probability=1.5),
        lambda faults: faults.webhook.drop(seed=3),
        lambda faults: faults.webhook.drop(path="/v1"),
        lambda faults: faults.api.slow(seconds=float("nan")),
        lambda faults: faults.api.cut("sideways"),
        lambda faults: faults.api.error_500(path="/elsewhere"),
        lambda faults: faults.api.too_many(retry_after="soon"),
        lambda faults: faults.api.bad_gateway(probability=0),
    ],
)
def test_what_is_no_fault_is_refused_in_french(ask, emulator):
    """
    At once, and nothing is kept of it.
    """
    with pytest.raises(InvalidArgument) as error:
        ask(emulator.faults)

    assert error.value.field
    assert emulator.faults.active == []


def test_each_fault_has_a_name_for_the_command_line(emulator):
    """
    Every method is in the catalogue, with what it does; each can be asked for by its name.
    """
    needed = {"webhook.delay": "seconds=1", "api.slow": "seconds=1"}
    for name, (about, words) in CATALOGUE.items():
        assert about.endswith((".", "jamais."))
        assert {"times", "probability", "seed"} <= set(words)
        assert add_text(emulator.faults, f"{name}:{needed.get(name, '')},times=2").name == name

    assert len(emulator.faults.active) == len(CATALOGUE) == 11


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("webhook.lose", "Pannes : webhook.duplicate"),
        ("webhook.delay", "Il manque à webhook.delay : seconds="),
        ("webhook.drop:often", "MOT=VALEUR"),
        ("webhook.drop:path=/v1", "n'est pas un mot de webhook.drop"),
        ("api.slow:seconds=long", "seconds='long'"),
        ("api.__init__", "n'est pas une panne"),
    ],
)
def test_a_wrong_text_says_what_is_expected(text, said, emulator):
    """
    In French, with the words that there are.
    """
    with pytest.raises(InvalidArgument) as error:
        add_text(emulator.faults, text)

    assert said in str(error.value)


def test_a_fault_by_name_takes_any_json(emulator):
    """
    What is no name is refused, not looked up.
    """
    for name in (None, 3, ["webhook.drop"], {}):
        with pytest.raises(InvalidArgument):
            add(emulator.faults, name, {})


def test_many_callers_spend_a_fault_once_each(emulator, client_of):
    """
    Five uses among forty calls at the same time are five.
    """
    emulator.faults.api.too_many(times=5)
    statuses = []

    def call():
        client = client_of(emulator)
        statuses.extend(client("GET", "/v1/currencies").status_code for _ in range(5))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert (statuses.count(429), len(statuses)) == (5, 40)


def test_calls_that_are_held_up_go_on_when_all_faults_are_taken_back(emulator, client_of, eventually):
    """
    However many there are, and although their faults are spent: a call can always take them back.
    """
    emulator.faults.api.slow(seconds=3600, times=20)
    answers = []

    def call():
        answers.append(client_of(emulator)("GET", "/v1/currencies").status_code)

    threads = [threading.Thread(target=call) for _ in range(20)]
    for each in threads:
        each.start()
    eventually(lambda: emulator.faults.active == [])
    requests.delete(f"{emulator.url}/_emulateur/faults", timeout=10)
    for each in threads:
        each.join(10)

    assert answers == [200] * 20


def test_however_many_calls_are_slow_the_dashboard_answers(emulator, eventually):
    """
    A call can take the fault back: those held longest go on before the time.
    """
    emulator.faults.api.slow(seconds=300, probability=1)
    host, port = emulator.url[len("http://") :].split(":")
    call = f"GET /v1/balances HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {emulator.secret_key}\r\n\r\n"
    with ExitStack() as lines:
        for _ in range(60):
            line = lines.enter_context(socket.create_connection((host, int(port))))
            line.sendall(call.encode("ascii"))
        # All but those that are still held have been answered.
        eventually(lambda: len(emulator.requests) == 60 - 24)

        assert requests.get(f"{emulator.url}/pannes", timeout=5).status_code == 200
        assert requests.delete(f"{emulator.url}/_emulateur/faults", timeout=5).status_code == 200
        eventually(lambda: len(emulator.requests) == 60)
