"""What an answer becomes: the error that says what to do, in any shape FedaPay has for it, without a secret."""

import gzip
import json
import pickle
import re
import time
import urllib.parse
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.raw_server import RawServer, answers, http, says
from support.secret_samples import SECRETS
from support.transport_calls import KEY, ask, failure, transport_to

from fedapay_sync.common.masking import mask
from fedapay_sync.enums import MethodesPaiement, Pays, TransactionStatus
from fedapay_sync.errors import ApiError, FedapayError, InvalidArgument, OutcomeUnknown, ServerFault, UnreadableAnswer
from fedapay_sync.transport.encoding import build_query
from fedapay_sync.transport.responses import parse_response


def refusal(status, said, method="POST", path="/transactions", retry_after=None):
    raw = said if isinstance(said, bytes) else json.dumps(said).encode()
    with pytest.raises(ApiError) as caught:
        parse_response(method, path, status, raw, retry_after=retry_after, now=0.0)
    return caught.value


NO = {"message": "Opération non autorisée", "errors": {}}
SENTENCES = [
    (
        (400, {"message": "La création a échoué", "errors": {"amount": ["doit être supérieur à 0"]}}),
        "FedaPay a refusé (POST /transactions, HTTP 400) : « La création a échoué ». amount : doit être supérieur à 0. "
        "Vérifier ces valeurs, puis recommencer.",
    ),
    (
        (400, NO, "POST", "/momo_test"),
        "FedaPay a refusé (POST /momo_test, HTTP 400) : « Opération non autorisée ». Vérifier les valeurs envoyées. Si "
        "elles sont justes : en sandbox, seule la méthode momo_test est admise ; en réel, l'opérateur doit être activé "
        "pour le compte.",
    ),
    (
        (401, b"", "GET", "/currencies"),
        "FedaPay a refusé (GET /currencies, HTTP 401) : sans message. Vérifier FEDAPAY_API_KEY : la clé secrète (sk_…) "
        "du même environnement que FEDAPAY_API_URL est attendue.",
    ),
    (
        (403, NO, "POST", "/payouts"),
        "FedaPay a refusé (POST /payouts, HTTP 403) : « Opération non autorisée ». Le plus souvent, les dépôts ne sont "
        "pas activés pour ce compte : le demander à FedaPay. Sinon, relire le dépôt : il n'est plus dans un état qui "
        "le permet.",
    ),
    (
        (403, NO, "DELETE", "/transactions/5"),
        "FedaPay a refusé (DELETE /transactions/5, HTTP 403) : « Opération non autorisée ». Relire l'objet : il n'est "
        "peut-être plus dans un état qui le permet. Sinon ce compte n'a pas ce droit, ou la clé est d'un autre "
        "environnement.",
    ),
    (
        (404, b"", "GET", "/transactions/5"),
        "FedaPay a refusé (GET /transactions/5, HTTP 404) : sans message. Vérifier l'identifiant, et que la clé est "
        "celle du compte et de l'environnement qui l'ont créé.",
    ),
    (
        (409, b""),
        "FedaPay a refusé (POST /transactions, HTTP 409) : sans message. Une autre opération est en cours : relire "
        "l'objet avant de recommencer.",
    ),
    (
        (429, b"", "GET", "/events", "12"),
        "FedaPay a refusé (GET /events, HTTP 429) : sans message. Attendre 12 s, puis recommencer.",
    ),
    (
        (502, b"<html>Bad Gateway</html>"),
        "Défaut chez FedaPay (POST /transactions, HTTP 502) : une page HTML au lieu de JSON. La requête a pu être "
        "exécutée quand même : relire l'objet avant de la refaire.",
    ),
    (
        (500, {"message": ""}, "GET", "/payouts/5"),
        "Défaut chez FedaPay (GET /payouts/5, HTTP 500) : sans message. Recommencer plus tard.",
    ),
    (
        (302, b"", "GET", "/events"),
        "FedaPay a répondu autre chose qu'attendu (GET /events, HTTP 302) : sans message. L'adresse redirige "
        "ailleurs ; rien n'a été suivi. Vérifier FEDAPAY_API_URL.",
    ),
]


@pytest.mark.parametrize(("case", "sentence"), SENTENCES, ids=lambda value: str(value[0])[:3])
def test_the_sentence_says_what_happened_and_what_to_do(case, sentence):
    """
    Whole, as a person reads it.
    """
    assert refusal(*case).message == sentence


def test_field_errors_are_there_for_a_form():
    """
    By name, as lists of texts.
    """
    error = refusal(400, {"message": "Non", "errors": {"amount": ["faux", "vide"], "mode": "faux"}})
    assert error.errors == {"amount": ["faux", "vide"], "mode": ["faux"]}
    assert (error.status, error.fedapay_message, error.fedapay_code) == (400, "Non", "")


@pytest.mark.parametrize(
    ("said", "message", "code", "errors"),
    [
        (
            {"error": {"code": "x1", "message": "Ancien", "param": "amount"}},
            "Ancien",
            "x1",
            {"amount": ["Ancien"]},
        ),
        ({"error": {"message": "Ancien", "param": None}}, "Ancien", "", {}),
        ({"error": {"param": "amount"}}, "", "", {"amount": ["refusé"]}),
        (
            {"code": "INVALID_PARAMS", "message": "Non", "errors": {"scheduled_at": ["invalid_datetime"]}},
            "Non",
            "INVALID_PARAMS",
            {"scheduled_at": ["invalid_datetime"]},
        ),
        ({"code": 42}, "", "42", {}),
        ({"code": ["a"], "error": "invalid_client"}, "invalid_client", "", {}),
        ({"code": True, "message": 5, "errors": 0}, "", "", {}),
    ],
)
def test_the_older_shapes_are_read_as_well(said, message, code, errors):
    """
    The envelope ``error``, a code, OAuth's bare text; the code stands in the sentence.
    """
    error = refusal(400, said)
    assert (error.fedapay_message, error.fedapay_code, error.errors) == (message, code, errors)
    assert (f"(code {code})" in error.message) == bool(code)


FILLER = st.sampled_from(["", "x", " mot", "\n", "\x1b[31m", "\x00"]) | st.integers(480, 2100).map(
    lambda length: "mot " * (length // 4) + "." * (length % 4)
)
NAMES = st.sampled_from(["message", "errors", "code", "error", "param", "champ", "why"])
STATUSES = st.sampled_from([302, 400, 401, 403, 404, 409, 422, 429, 500, 503, 999])


def everything_of(error):
    """Its text, its facts and its pickle."""
    return str(error) + repr(error.__dict__) + pickle.dumps(error).decode("latin-1")


@settings(max_examples=400, deadline=None)
@given(secret=SECRETS, before=FILLER, after=FILLER, places=st.lists(NAMES, min_size=1, max_size=3), status=STATUSES)
def test_no_secret_stands_in_the_text_of_an_error(secret, before, after, places, status):
    """
    Quoted back at us in a message, a code, a field or its reasons; cut in the middle or not; in text, facts and pickle.
    """
    text, hidden = secret
    said = f"{before} {text} {after}"
    for name in reversed(places):
        said = {name: said, "errors": {said: [said]}} if isinstance(said, str) else {name: said}

    # A secret that is a word of ours, like "transact", would be found in every error.
    assume(hidden not in everything_of(refusal(status, said="", path="/transactions/1")))

    # Eight digits that stand there are taken for an id, which a reader of the error needs.
    asked = "1" if re.fullmatch(r"\d{8}", text) else text.split("?")[0].split()[0]
    error = refusal(status, said, path=f"/transactions/{asked}")

    assert hidden not in everything_of(error)
    assert all(each.isprintable() for each in (error.message, error.fedapay_message, error.fedapay_code))


@pytest.mark.parametrize("secret", ["jean.dupont@example.bj", "+2290164000001", KEY, "01 64 00 00 01"])
@pytest.mark.parametrize("cut", [490, 500, 1990, 2000])
def test_a_secret_that_a_cut_goes_through_does_not_come_out_in_part(secret, cut):
    """
    Half an address is no e-mail any more, but still a person's name.
    """
    for before in range(cut - len(secret) - 2, cut + 3):
        error = refusal(400, {"message": "." * before + " " + secret, "errors": {"champ": "." * before + " " + secret}})
        told = str(error) + repr(error.__dict__)
        for part in (secret[len(secret) - 8 :], secret[:8]):
            assert part not in told or part in mask(secret)


def test_a_giant_complaint_is_cut_and_quick():
    """
    As many fields, reasons and letters as fit into two megabytes.
    """
    for said in (
        {"errors": {f"f{n}": ["a." * 900] * 10 for n in range(100)}},
        {"message": "a@a." * 500_000},
        {"errors": {"://a:" * 300_000: 1}},
        {"errors": ["x"] * 900_000},
    ):
        start = time.perf_counter()
        error = refusal(400, said)
        assert time.perf_counter() - start < 10
        assert len(error.message) < 3000
        assert len(pickle.dumps(error)) < 1_500_000


# -- hostile bodies ------------------------------------------------------------------------------------------------

HOSTILE = {
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a NUL": b'{"id": 1}\x00',
    "a NUL inside": b'{"status": "pen\x00ding"}',
    "one name twice": b'{"v1/transaction": {"id": 1, "status": "pending", "status": "approved"}}',
    "one envelope twice": b'{"v1/transaction": {"id": 1}, "v1/transaction": {"id": 2}}',
    "a number of a million digits": b'{"id": ' + b"9" * 1_000_000 + b"}",
    "a number that is none": b'{"id": 1e99999999999}',
    "two objects": b'{"id": 1}{"id": 2}',
    "a comma too many": b'{"id": 1,}',
    "single quotes": b"{'id': 1}",
    "Latin-1": '{"firstname": "Zoé"}'.encode("latin-1"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_json_that_two_readers_would_read_differently_is_refused(name):
    """
    On a POST too: the error says to look first.
    """
    with RawServer(answers(200, HOSTILE[name])) as server:
        error = failure(transport_to(server.url, timeouts=(1, 5)), "POST", body={})
        assert type(error) is UnreadableAnswer
        assert server.methods == ["POST"]


@pytest.mark.parametrize(
    "kind", ["text/html", "application/octet-stream", "", "\xff", "application/json; charset=latin-1"]
)
def test_the_content_type_decides_nothing(kind):
    """
    JSON in UTF-8 is JSON in UTF-8, whatever it is called.
    """
    with RawServer(answers(200, '{"a": "é"}'.encode(), Content_Type=kind)) as server:
        assert ask(transport_to(server.url)).body == {"a": "é"}


LOST = {
    "a body that is cut": says(b'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"v1/transaction": {"id": 1}}'),
    "a giant length": says(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n{}"),
    "gzip that is cut": answers(200, gzip.compress(b'{"a": "' + b"x" * 9999 + b'"}')[:-20], Content_Encoding="gzip"),
    "deflate that is none": answers(200, b"\x00garbage\xff", Content_Encoding="deflate"),
    "ten thousand headers": says(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 10_000 + b"\r\n{}"),
    "a header without an end": says(b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 100_000),
    "a status of four digits": says(b"HTTP/1.1 2000 OK\r\n\r\n{}"),
    "a negative status": says(b"HTTP/1.1 -200 OK\r\n\r\n{}"),
    "HTTP/9": says(b"HTTP/9.9 OK\r\n\r\n{}"),
    "cut before a word": says(b""),
    "cut within the headers": says(b"HTTP/1.1 200 OK\r\nContent-Length"),
}
# Some of them are read by one version of the libraries and refused by another: either way it is ours.
IN_DOUBT = {"gzip that is cut", "a header without an end", "cut within the headers"}


@pytest.mark.faults(row=12)
@pytest.mark.parametrize("name", LOST)
def test_an_answer_that_is_broken_on_the_way_is_in_doubt(name):
    """
    The POST may have been done, and was sent once; a GET is asked again.
    """
    with RawServer(LOST[name]) as server:
        transport = transport_to(server.url, timeouts=(1, 5))
        if name in IN_DOUBT:
            try:
                assert ask(transport, "POST", body={}).body is None
            except FedapayError as error:
                assert type(error) in (OutcomeUnknown, UnreadableAnswer)
            assert server.methods == ["POST"]
            return
        assert type(failure(transport, "POST", body={})) is OutcomeUnknown
        assert server.methods == ["POST"]
        server(LOST[name])
        assert type(failure(transport)) is OutcomeUnknown
        assert server.methods == ["GET"] * 4


def test_more_body_than_announced_is_not_read():
    """
    What comes after the announced length belongs to no call: the next one opens a connection of its own.
    """
    extra = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" + http(200, b'{"forged": true}')
    with RawServer(says(extra, keeps=True)) as server:
        transport = transport_to(server.url)
        assert [ask(transport).body for _ in range(3)] == [{}] * 3


STRANGE = {
    "999": (http(999, b"{}"), ApiError),
    "204 with a body": (http(204, b'{"a": 1}'), None),
    "304": (b"HTTP/1.1 304 Not Modified\r\n\r\n", ApiError),
    "304 with a place": (http(304, b"", Location="/v1/x"), ApiError),
    "101": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", ApiError),
    "103, then 200": (b"HTTP/1.1 103 Early Hints\r\n\r\n" + http(200, b"{}"), ApiError),
    "100, then 500": (b"HTTP/1.1 100 Continue\r\n\r\n" + http(500), ServerFault),
    "a redirect to itself": (http(307, b"", Location="/v1/transactions"), ApiError),
}


@pytest.mark.parametrize("name", STRANGE)
def test_an_unexpected_status_is_an_answer_or_an_error_of_ours(name):
    """
    And one request.
    """
    raw, kind = STRANGE[name]
    with RawServer(says(raw)) as server:
        transport = transport_to(server.url)
        if kind is None:
            assert ask(transport, "POST", body={}).body is None
        else:
            assert type(failure(transport, "POST", body={})) is kind
        assert server.methods == ["POST"]


# -- headers -------------------------------------------------------------------------------------------------------


def test_the_headers_are_those_of_the_official_clients():
    """
    The new names and the older ones; no promise of idempotency that FedaPay does not keep.
    """
    with RawServer(answers(200, b"{}")) as server:
        transport = transport_to(server.url)
        ask(transport, headers={"FedaPay-Account": "30211"})
        ask(transport, "POST", body={})
        ask(transport, "POST")
        got, posted, bare = (each.headers for each in server.requests)
    version = got["x-version"]
    assert version
    assert {name: got[name] for name in got if name.startswith(("x-", "user", "auth", "feda", "content"))} == {
        "user-agent": f"fedapay_sync/{version}",
        "x-fedapay-lib": "fedapay_sync PythonLib",
        "x-fedapay-lib-version": version,
        "x-fedapay-api-version": "v1",
        "x-source": "fedapay_sync PythonLib",
        "x-version": version,
        "x-api-version": "v1",
        "authorization": f"Bearer {KEY}",
        "fedapay-account": "30211",
    }
    assert posted["content-type"] == "application/json" and "fedapay-account" not in posted
    assert bare["content-length"] == "0"
    assert "idempotency-key" not in posted


BAD_HEADERS = [
    {"Authorization": "Bearer sk_other"},
    {"authorization": "x"},
    {"Host": "evil.example"},
    {"Content-Length": "0"},
    {"Transfer-Encoding": "chunked"},
    {"FedaPay-Account\r\nX-Evil": "1"},
    {"FedaPay-Account": "1\r\nX-Evil: 1"},
    {"FedaPay-Account": "1\n"},
    {"FedaPay-Account\n": "1"},
    {"FedaPay-Account": " 1"},
    {"FedaPay-Account": "é"},
    {"FedaPay-Account": ""},
    {"FedaPay-Account": 30211},
    {"FedaPay-Account": None},
    {"": "1"},
    {"a b": "1"},
    {"é": "1"},
    {5: "1"},
    {b"X": b"1"},
]


@pytest.mark.parametrize("headers", BAD_HEADERS, ids=repr)
def test_what_cannot_be_a_header_is_refused_before_the_network(headers):
    """
    In French, with the field; no caller replaces the key or the bounds of the request.
    """
    with RawServer(answers(200, b"{}")) as server:
        with pytest.raises(InvalidArgument, match="En-tête HTTP") as caught:
            ask(transport_to(server.url), "POST", body={}, headers=headers)
        assert caught.value.field == "headers" and "\n" not in caught.value.message
        assert server.connections == 0


@given(name=st.text(max_size=12), value=st.text(max_size=12))
def test_any_header_is_sent_alone_or_refused(any_server, name, value):
    """
    What gets through arrives as one header of that value, beside the key.
    """
    any_server(answers(200, b"{}"))
    try:
        ask(transport_to(any_server.url), headers={name: value})
    except InvalidArgument:
        assert not any_server.requests
        return
    (request,) = any_server.requests
    assert request.headers[name.lower()] == value
    assert request.headers["authorization"] == f"Bearer {KEY}"


@pytest.fixture(scope="module")
def any_server():
    with RawServer(answers(200, b"{}")) as server:
        yield server


COTONOU = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (datetime(2026, 10, 14, 9, 0, tzinfo=COTONOU), "2026-10-14 08:00:00"),
        (date(2026, 10, 14), "2026-10-14"),
        (TransactionStatus.approved, "approved"),
        (Pays.benin, "bj"),
        (MethodesPaiement.sbin, "sbin"),
        (True, "true"),
        (Decimal("12.50"), "12.50"),
        ("é", "é"),
    ],
)
def test_a_parameter_is_written_as_fedapay_writes_it(value, sent):
    """
    Dates in universal time, members by their word at FedaPay, at the top and in a filter.
    """
    text = build_query({"a": value, "filters": {"b": [value]}})

    assert urllib.parse.parse_qsl(text[1:]) == [("a", sent), ("filters[b][]", sent)]


@pytest.mark.parametrize(
    "value", [b"x", {1}, object(), lambda: 1, datetime(2026, 10, 14), 1j], ids=lambda value: type(value).__name__
)
def test_a_parameter_without_a_text_is_refused_by_name(value):
    """
    Python's own text for it would be searched for, and nothing found.
    """
    for params, name in (({"status": value}, "status"), ({"filters": {"a": [value]}}, "filters[a][]")):
        with pytest.raises(InvalidArgument) as caught:
            build_query(params)
        assert caught.value.field == name and caught.value.message.startswith(f"{name} : ")
