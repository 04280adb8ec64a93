"""What an observer is shown: each attempt, after it, and nothing from which a secret or a customer could be read."""

import dataclasses
import json
import logging
import pickle
import string

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from support.raw_server import RawServer, answers, closes
from support.transport_calls import GOOD, KEY, TOKEN, Pauses, ask, transport_to

from fedapay_sync.errors import FedapayError, InvalidArgument, NotSent, OutcomeUnknown, UnreadableAnswer
from fedapay_sync.transport.exchange import Exchange, build_exchange

CUSTOMER = {
    "firstname": "Ayaba",
    "lastname": "Hounkpatin",
    "email": "ayaba.hounkpatin@example.bj",
    "phone_number": {"number": "64000001", "country": "bj"},
}
TRANSACTION = {
    "klass": "v1/transaction",
    "id": 512345,
    "reference": "trx_q7M_1791796445318",
    "amount": 15000,
    "description": "Commande de Ayaba Hounkpatin",
    "status": "pending",
    "mode": "momo_test",
    "custom_metadata": {"ayaba": 64000001},
    "created_at": "2026-10-12T09:14:05.318Z",
    "approved_at": None,
    "payment_token": TOKEN,
    "payment_url": f"https://sandbox-process.fedapay.com/{TOKEN}",
    "customer": CUSTOMER,
    "currency": {"iso": "XOF", "code": 952, "name": "FCFA"},
    "flags": [],
}


def look(sent=None, received=b"", path="/transactions", error=None):
    return build_exchange(
        "POST", path, attempt=1, status=200, seconds=0.1, error=error, sent=as_json(sent), received=as_json(received)
    )


def as_json(value):
    return value if value is None or isinstance(value, bytes) else json.dumps(value).encode()


def everything_told(exchange):
    """All that a program can read from it without the memory of the process."""
    return "".join(
        [
            repr(exchange),
            str(exchange),
            json.dumps(dataclasses.asdict(exchange), ensure_ascii=False),
            repr(exchange.__dict__),
            *(repr(getattr(exchange, name)) for name in dir(exchange)),
            *(pickle.dumps(exchange, protocol).decode("latin-1") for protocol in range(pickle.HIGHEST_PROTOCOL + 1)),
        ]
    )


def test_each_attempt_is_shown_once_when_it_is_over():
    """
    Two that failed and one that went well: numbered, timed, with status and the name of our error.
    """
    seen = []
    with RawServer(closes, answers(503, {"message": "non"}), GOOD) as server:
        ask(transport_to(server.url, observer=seen.append), params={"search": "Jean Dupont"})

    assert [(each.attempt, each.status, each.error) for each in seen] == [
        (1, None, "OutcomeUnknown"),
        (2, 503, "ServerFault"),
        (3, 200, ""),
    ]
    assert {(each.method, each.path) for each in seen} == {("GET", "/transactions/1")}
    assert all(0 <= each.seconds < 5 for each in seen)
    assert [each.received for each in seen] == [None, {"message": "***"}, {"v1/transaction": {"id": 1}}]
    assert all(each.sent is None for each in seen)


def test_what_is_refused_before_the_network_is_no_attempt(free_port):
    """
    What cannot be sent is not shown; a connection that does not open is.
    """
    seen = []
    transport = transport_to(f"http://127.0.0.1:{free_port}", observer=seen.append, pause=Pauses())
    with pytest.raises(InvalidArgument):
        ask(transport, "POST", body={"a": object()})
    assert seen == []
    with pytest.raises(NotSent):
        ask(transport, "POST", body={})
    assert [(each.attempt, each.status, each.error) for each in seen] == [(n, None, "NotSent") for n in (1, 2, 3, 4)]


def test_a_doubtful_post_and_an_unreadable_answer_are_shown():
    """
    With what was sent, blotted; what came and cannot be read is a blot.
    """
    seen = []
    with RawServer(closes, answers(200, b"<html>Ayaba</html>")) as server:
        transport = transport_to(server.url, observer=seen.append)
        with pytest.raises(OutcomeUnknown):
            ask(transport, "POST", body={"amount": 5, "description": "Ayaba"})
        with pytest.raises(UnreadableAnswer):
            ask(transport, "POST", body={"amount": 6})
    assert [(each.sent, each.received, each.error) for each in seen] == [
        ({"amount": 5, "description": "***"}, None, "OutcomeUnknown"),
        ({"amount": 6}, "***", "UnreadableAnswer"),
    ]


def test_an_observer_that_fails_changes_nothing(caplog):
    """
    The call has its answer; the log has the class of the failure and not its text.
    """

    def observer(exchange):
        raise RuntimeError(f"bad luck {KEY}")

    with RawServer(GOOD) as server:
        assert ask(transport_to(server.url, observer=observer)).status == 200
    (record,) = [each for each in caplog.records if each.name.startswith("fedapay_sync")]
    assert "RuntimeError" in record.getMessage() and "bad luck" not in record.getMessage()


def test_what_helps_stays_readable():
    """
    Ids, amounts, statuses, modes, dates, FedaPay's references; the rest is a blot, names are kept.
    """
    shown = look({"amount": 15000, "currency": {"iso": "XOF"}, "customer": CUSTOMER}, {"v1/transaction": TRANSACTION})

    assert shown.sent == {
        "amount": 15000,
        "currency": {"iso": "XOF"},
        "customer": {
            "firstname": "***",
            "lastname": "***",
            "email": "***",
            "phone_number": {"number": "***", "country": "bj"},
        },
    }
    assert shown.received["v1/transaction"] == {
        **TRANSACTION,
        "description": "***",
        "custom_metadata": "***",
        "payment_token": "***",
        "payment_url": "***",
        "customer": shown.sent["customer"],
        "currency": {"iso": "XOF", "code": 952, "name": "***"},
    }


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"name": "transaction.approved"}, {"name": "transaction.approved"}),
        ({"name": "Boutique Ayaba"}, {"name": "***"}),
        ({"name": "jean.dupont"}, {"name": "***"}),
        ({"entity": json.dumps(TRANSACTION)}, {"entity": "***"}),
        ({"phone_number": 64000001, "number": [64000001]}, {"phone_number": "***", "number": ["***"]}),
        ({"phone_number": {"local": 64000001, "id": 5}}, {"phone_number": {"local": "***", "id": "***"}}),
        ({"id": 2290164000001}, {"id": "***"}),
        ({"errors": {"amount": ["faux"]}}, {"errors": {"amount": ["***"]}}),
        ({"jean@example.bj": 1, KEY: 2}, {"***": 2}),
        ({"status": "payé par Jean"}, {"status": "***"}),
        ({"created_at": "chez Jean", "flag": True}, {"created_at": "***", "flag": True}),
        ([], []),
        ("Jean", "***"),
    ],
)
def test_what_is_not_certainly_harmless_is_a_blot(value, shown):
    """
    Texts under names that people fill, names that are none, numbers that are telephones.
    """
    assert look(value).sent == shown


def test_a_merchants_reference_in_a_path_is_a_blot():
    """
    It may be a name; the rest of the path stays.
    """
    assert look(path="/transactions/merchant/Jean%20Dupont").path == "/transactions/merchant/***"
    assert look(path="/transactions/512345/token").path == "/transactions/512345/token"


LETTERS = string.ascii_letters + string.digits
BODY = st.text(LETTERS, min_size=12, max_size=30)
SECRETS = st.one_of(
    BODY.map(lambda body: (f"sk_live_{body}", body)),
    BODY.map(lambda body: (f"wh_sandbox_{body}", body)),
    BODY.map(lambda body: (f"eyJ{body}.eyJ{body}.{body}", body)),
    BODY.map(lambda body: (f"{body}@example.bj", body)),
    st.text(string.digits, min_size=8, max_size=8).map(lambda number: (f"+22901{number}", number)),
    st.text(string.digits, min_size=8, max_size=8).map(lambda number: (f"01{number}", number)),
)
FIELDS = st.sampled_from(
    sorted({*TRANSACTION, *CUSTOMER, "name", "iso", "type", "object", "errors", "message", "entity", "x", "code"})
)
PLACES = st.recursive(
    st.just(None),
    lambda inner: st.tuples(st.sampled_from(["list", "key"]), inner) | st.tuples(FIELDS, inner),
    max_leaves=4,
)


def planted(secret, place):
    """The secret at that place of some JSON; as a name where the place says so."""
    if place is None:
        return secret
    where, inner = place
    if where == "list":
        return [1, planted(secret, inner)]
    if where == "key":
        return {secret: 1, "amount": planted(secret, inner)}
    return {"id": 1, where: planted(secret, inner)}


@settings(max_examples=400, deadline=None)
@given(secret=SECRETS, place=PLACES, in_path=st.booleans())
@example((KEY, KEY), ("reference", None), True)
@example(("01" + "64000001", "64000001"), ("key", ("custom_metadata", ("key", None))), False)
def test_no_secret_can_be_read_from_an_exchange(secret, place, in_path):
    """
    Keys, tokens, e-mails and numbers, as texts or as names, anywhere in either body or in the path.
    """
    text, hidden = secret
    # What is told of any exchange is no secret.
    assume(hidden not in everything_told(look({}, {}, "/x", FedapayError(""))))
    body = planted(text, place)
    told = everything_told(look(body, body, f"/x/{text}" if in_path else "/x", FedapayError(text)))
    assert hidden not in told


PEOPLE = st.sampled_from(["Ayaba", "Hounkpatin", "Zoé Kérékou", "64000001", "ayaba", "rue 12.055, Cotonou"])
THEIRS = st.sampled_from(
    sorted({*CUSTOMER, "description", "merchant_reference", "message", "ip", "payment_token", "metadata", "address"})
)


@given(person=PEOPLE, field=THEIRS, around=st.sampled_from([[], ["customer"], ["v1/transaction", "customer"]]))
def test_no_customer_can_be_read_from_an_exchange(person, field, around):
    """
    What stands under the names of a customer's fields, or in a free text.
    """
    body = {field: person}
    for name in reversed(around):
        body = {name: body}
    told = everything_told(look(body, body, f"/payouts/merchant/{person}"))
    assert person not in told and json.dumps(person)[1:-1] not in told


@given(number=st.integers(10_000_000, 99_999_999), field=st.sampled_from(["number", "phone_number", "tel", "msisdn"]))
def test_no_number_of_a_telephone_can_be_read_from_an_exchange(number, field):
    """
    Written as a number it is one all the same.
    """
    body = {"customer": {field: number, "phone_number": {"number": number}}, "custom_metadata": {"caller": [number]}}
    assert str(number) not in everything_told(look(body, body))


@given(received=st.binary(max_size=80))
def test_any_bytes_can_be_shown(received):
    """
    An answer that makes no sense makes no error here.
    """
    exchange = look(received=received)
    assert pickle.loads(pickle.dumps(exchange)) == exchange
    assert isinstance(exchange, Exchange)


def test_the_log_of_urllib3_shows_no_query_of_ours(caplog):
    """
    Its own records say where and how; what we asked for is a blot. What others ask is left as it is.
    """
    caplog.set_level(logging.DEBUG)
    with RawServer(GOOD, GOOD, closes, GOOD) as server:
        transport = transport_to(server.url)
        for _ in range(2):
            ask(transport, params={"search": "Jean Dupont", "token": TOKEN, "email": "jean@example.bj"})
        told = "".join(f"{each.getMessage()}{each.__dict__}" for each in caplog.records)
        assert "urllib3" in told and "/v1/transactions/1?***" in told
        for secret in ("Dupont", TOKEN, "example.bj", KEY):
            assert secret not in told
        logging.getLogger("urllib3.connectionpool").debug("GET /theirs?search=%s", "Jean")
        assert caplog.records[-1].getMessage() == "GET /theirs?search=Jean"


def test_headers_that_cannot_be_read_are_logged_without_the_query(caplog):
    """
    urllib3 warns with the whole address when it gives up on a header.
    """
    with RawServer(lambda server, connection, request: connection.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n: no name\r\n bad\r\n\r\n{}"
    )) as server:  # fmt: skip
        ask(transport_to(server.url), params={"search": "Dupont"})
    assert "Dupont" not in "".join(f"{each.getMessage()}{each.__dict__}{each.exc_text}" for each in caplog.records)
