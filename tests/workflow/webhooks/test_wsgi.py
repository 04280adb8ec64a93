"""The webhook endpoint: what is well signed is kept and answered 200, everything else is refused in constant words."""

import io
import json
import logging
import socket
import sqlite3
import threading
import time

import flask
import pytest
import requests

import fedapay_sync.flask
from fedapay_sync import signature
from fedapay_sync.errors import ConfigError
from fedapay_sync.workflow.webhooks.wsgi import MAX_BODY

SECRET = "wh_sandbox_de_ces_essais"


def event_of(status="approved", number=101, **changes):
    """A webhook as FedaPay writes it, but for what the test changes."""
    entity = {"klass": "v1/transaction", "id": number, "status": status, "amount": 500, "currency_id": 1}
    entity.update({f"{status}_at": "2026-11-20T10:00:00.000Z", "updated_at": "2026-11-20T10:00:00.000Z"})
    return {"name": f"transaction.{status}", "object": "transaction", "object_id": number, "entity": entity, **changes}


def body_of(event):
    return json.dumps(event).encode()


def rows_of(db_url):
    """The stored events: name, entity_id, work_state."""
    with sqlite3.connect(db_url[len("sqlite:///") :]) as database:
        found = database.execute("SELECT name, entity_id, work_state FROM fp_event ORDER BY id").fetchall()
    database.close()
    return found


class Answer:
    def __init__(self, status, text, headers):
        self.status, self.text, self.headers = status, text, {name.lower(): value for name, value in headers}


class Served:
    """The integrated server, over HTTP."""

    def __init__(self, connector):
        connector.start_webhook_server()
        self.url = connector.webhook_url
        self.root = self.url[: -len("/webhooks")]

    def __call__(self, body, headers, method="POST", path="/webhooks"):
        answer = requests.request(method, self.root + path, data=body, headers=headers, timeout=10)
        return Answer(answer.status_code, answer.text, answer.headers.items())


class Wsgi:
    """The bare WSGI application, called as a server calls it."""

    def __init__(self, connector):
        self.app = connector.wsgi_app("webhooks")

    def __call__(self, body, headers, method="POST", path="/webhooks"):
        environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO(body)}
        environ["CONTENT_LENGTH"] = str(len(body))
        environ.update({"HTTP_" + name.upper().replace("-", "_"): _latin(value) for name, value in headers.items()})
        told = []
        body = b"".join(self.app(environ, lambda status, headers: told.append((status, headers))))
        ((status, found),) = told
        return Answer(int(status[:3]), body.decode(), found)


class Blueprint:
    """The Flask blueprint, in an application of the user."""

    def __init__(self, connector):
        self.app = flask.Flask("boutique")
        self.app.register_blueprint(fedapay_sync.flask.blueprint(connector, "/webhooks"))

    def __call__(self, body, headers, method="POST", path="/webhooks"):
        headers = {name: _latin(value) for name, value in headers.items()}
        with self.app.test_client() as client:
            answer = client.open(path, method=method, data=body, headers=headers)
        return Answer(answer.status_code, answer.get_data(as_text=True), answer.headers.items())


def _latin(value):
    return value.decode("latin-1") if isinstance(value, bytes) else value


@pytest.fixture(params=[Served, Wsgi, Blueprint])
def endpoint(request, make_connector):
    """Each way to receive webhooks; all three must answer alike."""
    return request.param(make_connector(use_listen_server=True, fedapay_webhooks_secret_key=SECRET))


@pytest.fixture(scope="module")
def signed():
    """The headers of a good delivery of that body."""

    def sign(body, secret=SECRET, shift=0, **more):
        return {signature.HEADER: signature.sign(body, secret, int(time.time()) + shift), **more}

    return sign


GOOD = body_of(event_of())
BAD_SIGNATURES = {
    "none": lambda signed: {},
    "empty": lambda signed: {signature.HEADER: ""},
    "malformed": lambda signed: {signature.HEADER: "nonsense"},
    "without time": lambda signed: {signature.HEADER: signed(GOOD)[signature.HEADER].partition(",")[2]},
    "two times": lambda signed: {signature.HEADER: "t=1," + signed(GOOD)[signature.HEADER]},
    "time no number": lambda signed: {signature.HEADER: "t=1e9,s=" + "0" * 64},
    "old": lambda signed: signed(GOOD, shift=-310),
    "future": lambda signed: signed(GOOD, shift=310),
    "other secret": lambda signed: signed(GOOD, secret="wh_sandbox_autre"),
    "other body": lambda signed: signed(GOOD + b" "),
    "not ASCII": lambda signed: {signature.HEADER: "t=1,s=é".encode("latin-1")},
    "not UTF-8": lambda signed: {signature.HEADER: b"t=\xff\xfe,s=\x80"},
    "giant": lambda signed: {signature.HEADER: "t=1,s=" + "0" * 8000},
}


@pytest.mark.parametrize("kind", BAD_SIGNATURES)
def test_a_bad_signature_is_answered_400_and_nothing_is_kept(endpoint, signed, db_url, caplog, kind):
    """
    C2: no header, a header that is not ASCII or no signature at all is a 400, not a 500 with a traceback.
    """
    with caplog.at_level(logging.INFO):
        answer = endpoint(GOOD, BAD_SIGNATURES[kind](signed))

    assert (answer.status, answer.text) == (400, "bad signature\n")
    assert "Traceback" not in caplog.text
    assert endpoint(GOOD, signed(GOOD)).status == 200
    assert [row[:2] for row in rows_of(db_url)] == [("transaction.approved", "101")]


@pytest.mark.parametrize("body", [b"\xff\xfe\x00", b"", b"[" * 50_000])
def test_an_unsigned_body_that_cannot_be_read_is_a_400_too(endpoint, body):
    """
    C2: nobody reads a body before its signature is checked.
    """
    assert endpoint(body, {}).status == 400


WELL_SIGNED = {
    "no JSON": b"name=transaction.approved",
    "empty": b"",
    "not UTF-8": b'{"name": "\xff\xfe"}',
    "a list": b"[]",
    "a number": b"12",
    "null": b"null",
    "deep nest": b'{"name":"a.b","entity":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "deep nest of objects": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "NaN": b'{"name": "transaction.approved", "entity": {"id": NaN}}',
    "infinity": b'{"name": "transaction.approved", "entity": {"id": 1, "status": "approved", "amount": 1e400}}',
    "giant number": b'{"name": "transaction.approved", "entity": {"id": ' + b"9" * 5000 + b"}}",
    "lone surrogates": b'{"name": "transaction.\\ud800", "entity": {"id": "\\udfff", "status": "\\ud800"}}',
    "surrogates elsewhere": body_of(event_of(note="\ud800", **{"\udfff": 1})),
    "NUL": b'{"name": "transaction.\\u0000", "entity": {"id": 1}}',
    "unknown event": body_of(event_of(name="comet.sighted", object="comet")),
    "unknown status": body_of(event_of("levitated")),
    "partial refund": body_of(event_of("approved_partially_refunded")),
    "a payout": body_of({"name": "payout.sent", "object": "payout", "entity": {"id": 7, "status": "sent"}}),
    "a customer": body_of({"name": "customer.created", "entity": {"klass": "v1/customer", "id": 8}}),
    "an account": body_of({"name": "account.updated", "entity": {"id": 9, "updated_at": 10**30}}),
    "missing id": body_of({"name": "transaction.approved", "entity": {"status": "approved"}}),
    "id a list": body_of({"name": "transaction.approved", "entity": {"id": [1], "status": "approved"}}),
    "id true": body_of({"name": "transaction.approved", "entity": {"id": True, "status": "approved"}}),
    "missing entity": body_of({"name": "transaction.approved"}),
    "entity a text": body_of({"name": "transaction.approved", "entity": "{}"}),
    "missing name": body_of({"entity": {"id": 1, "status": "approved"}}),
    "name a number": body_of({"name": 5, "entity": {"id": 1}}),
    "long name": body_of({"name": "x" * 5000, "entity": {"id": 1}}),
    "odd amount": body_of({"name": "transaction.approved", "entity": {"id": 1, "status": "approved", "amount": [1]}}),
    "lists for objects": body_of(
        {"name": "transaction.updated", "entity": {"id": 1, "custom_metadata": [], "sub_accounts_commissions": [1]}}
    ),
    "null fields": body_of({"name": "transaction.updated", "object": None, "entity": {"id": 1, "status": None}}),
}


@pytest.mark.parametrize("kind", WELL_SIGNED)
def test_a06_what_is_well_signed_is_kept_and_answered_200(endpoint, signed, db_url, caplog, kind):
    """
    A6, C2: unknown events, objects and statuses, and what cannot be read at all, are on disk and acknowledged.

    A refusal would only make FedaPay repeat it, and after ten switch the webhook off.
    """
    body = WELL_SIGNED[kind]
    for _ in range(2):
        answer = endpoint(body, signed(body))
        assert (answer.status, answer.text) == (200, "ok\n")

    assert len(rows_of(db_url)) == 1
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("kind", WELL_SIGNED)
def test_the_webhook_callback_survives_whatever_was_kept(make_connector, signed, eventually, db_url, kind):
    """
    Either the event reaches the callback as an event, or it lies aside: none is tried for ever.
    """
    connector = make_connector(fedapay_webhooks_secret_key=SECRET)
    seen = []
    connector.on_webhook(seen.append)
    body = WELL_SIGNED[kind]

    assert Wsgi(connector)(body, signed(body)).status == 200

    eventually(lambda: {row[2] for row in rows_of(db_url)} <= {"done", "dead"})
    assert len(seen) == sum(row[2] == "done" for row in rows_of(db_url))
    for event in seen:
        assert event.event_key and isinstance(event.paid, bool) and repr(event) and event.to_dict()


@pytest.mark.parametrize("confirm", [False, True])
def test_what_is_stored_is_answered_200_where_no_thread_is_to_be_had(
    make_connector, signed, eventually, emulator, monkeypatch, confirm
):
    """
    Its callback comes with the next event, once there are threads again.
    """
    start, scarce = threading.Thread.start, ("fedapay-callback", "fedapay-confirm")

    def refuse(thread):
        if scarce and thread.name.startswith(scarce):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    connector = make_connector(fedapay_webhooks_secret_key=SECRET, confirm_with_api=confirm)
    seen = []
    connector.on_webhook(seen.append)
    assert Wsgi(connector)(GOOD, signed(GOOD)).status == 200
    scarce = ()
    later = body_of(event_of("pending", 102))
    assert Wsgi(connector)(later, signed(later)).status == 200

    eventually(lambda: {str(event.object_id) for event in seen} >= ({"102"} if confirm else {"101", "102"}))


def test_other_methods_and_paths_are_refused(endpoint, signed):
    """
    Only POST to the one path is a webhook.
    """
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        answer = endpoint(GOOD if method == "PUT" else b"", signed(GOOD), method=method)
        assert answer.status == 405
        assert "POST" in answer.headers["allow"]
    for path in ("/", "/webhook", "/webhooks/1", "/webhooks%2F..", "/%ff"):
        assert endpoint(GOOD, signed(GOOD), path=path).status == 404


def test_c01_a_giant_body_is_refused_and_not_kept(endpoint, signed, db_url):
    """
    C1: 1 MB, announced, is answered 413, signed or not, and so is one byte too many; the last that is admitted is read.
    """
    giant = b"x" * 1_000_000
    assert endpoint(giant, signed(giant)).status == 413
    assert endpoint(giant, {}).status == 413
    full = b" " * MAX_BODY
    assert endpoint(full + b" ", signed(full + b" ")).status == 413

    assert endpoint(full, signed(full)).status == 200
    assert len(rows_of(db_url)) == 1


class Endless(io.RawIOBase):
    """A chunked body as a server hands it over: no length, and no end for a long time."""

    def __init__(self):
        self.read_so_far = 0

    def readable(self):
        return True

    def readinto(self, buffer):
        if self.read_so_far > 100_000_000:
            return 0
        self.read_so_far += len(buffer)
        buffer[:] = b"x" * len(buffer)
        return len(buffer)


@pytest.mark.faults(row=11)
@pytest.mark.parametrize("kind", [Wsgi, Blueprint])
def test_c01_a_chunked_giant_is_not_read_to_its_end(make_connector, kind):
    """
    C1: without an announced length no more is read than is admitted.
    """
    app, endless = kind(make_connector(fedapay_webhooks_secret_key=SECRET)).app, Endless()
    environ = {
        "REQUEST_METHOD": "POST", "PATH_INFO": "/webhooks", "SERVER_NAME": "x", "SERVER_PORT": "80",
        "wsgi.url_scheme": "http", "wsgi.input": endless, "wsgi.input_terminated": True,
        "HTTP_TRANSFER_ENCODING": "chunked",
    }  # fmt: skip
    told = []

    list(app(environ, lambda status, headers, exc_info=None: told.append(status)))

    assert told[0].startswith("413")
    assert endless.read_so_far < 2 * MAX_BODY


@pytest.mark.parametrize("kind", [Wsgi, Blueprint])
@pytest.mark.parametrize("length", ["9" * 5000, "²", "-1", "abc", "1_0", ""])
def test_an_odd_content_length_is_no_error_of_ours(make_connector, kind, length):
    """
    A server that lets one through gets an answer, not an exception.
    """
    app = kind(make_connector(fedapay_webhooks_secret_key=SECRET)).app
    told = []
    environ = {
        "REQUEST_METHOD": "POST", "PATH_INFO": "/webhooks", "SERVER_NAME": "x", "SERVER_PORT": "80",
        "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(GOOD), "CONTENT_LENGTH": length,
    }  # fmt: skip

    list(app(environ, lambda status, headers, exc_info=None: told.append(status)))

    assert told[0][:3] in ("400", "413")


def exchange(endpoint, request):
    """Everything that the server says to these bytes, until it closes."""
    host, port = endpoint.root[len("http://") :].split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        said = b""
        try:
            while chunk := connection.recv(65536):
                said += chunk
        except ConnectionError:
            pass
    return said


@pytest.fixture
def served(make_connector):
    return Served(make_connector(use_listen_server=True, fedapay_webhooks_secret_key=SECRET))


def test_no_body_follows_the_head_of_an_answer_to_head(served):
    """
    It would be read as the beginning of the next answer on that connection.
    """
    said = exchange(served, b"HEAD /webhooks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 405") and said.endswith(b"\r\n\r\n")


@pytest.mark.faults(row=11)
def test_c01_a_giant_over_a_raw_socket_is_413(served):
    """
    C1: announced and never sent, or sent in chunks without end.
    """
    head = b"POST /webhooks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    announced = exchange(served, head + b"Content-Length: 300000000\r\n\r\n")
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    chunked = exchange(served, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 5)

    assert announced.split()[1] == b"413"
    assert not chunked or chunked.split()[1] == b"413"


@pytest.mark.faults(row=11)
@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GARBAGE\r\n\r\n",
        b"POST /webhooks HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"POST /webhooks HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
        b"POST /webhooks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
def test_garbage_on_the_wire_is_a_client_error_and_the_next_webhook_is_taken(served, signed, request_bytes):
    """
    Whatever comes in, FedaPay's next delivery is answered 200.
    """
    said = exchange(served, request_bytes.replace(b"Host: x", b"Host: x\r\nConnection: close"))

    assert not said or said.split()[1] in (b"400", b"404", b"501")
    assert b"Traceback" not in said
    assert served(GOOD, signed(GOOD)).status == 200


def test_a_chunked_webhook_is_read(served, signed):
    """
    A proxy may send on without a length.
    """
    answer = requests.post(served.url, data=iter([GOOD[:10], GOOD[10:]]), headers=signed(GOOD), timeout=10)

    assert answer.status_code == 200


def test_b02_no_agregateur_header_is_needed_and_one_is_accepted(endpoint, signed):
    """
    B2: the async connector answers 404 without a header that nobody documents.
    """
    assert endpoint(GOOD, signed(GOOD)).status == 200
    assert endpoint(GOOD, signed(GOOD, agregateur="Fedapay")).status == 200
    assert endpoint(GOOD, signed(GOOD, agregateur="autre")).status == 200


def test_spaces_and_further_parts_in_the_signature_are_accepted(endpoint, signed):
    """
    ``t=…, s=…`` with a space and with parts of tomorrow worked in the async connector.
    """
    header = signed(GOOD)[signature.HEADER].replace(",", ", v2=abc , ")

    assert endpoint(GOOD, {signature.HEADER: header}).status == 200


@pytest.mark.faults(row=9)
def test_a12_the_same_event_twenty_times_is_one_callback(make_connector, signed, eventually, db_url):
    """
    A12: also after a restart, when nothing is remembered but what is on disk.
    """
    seen = []
    for _ in range(2):
        connector = make_connector(use_listen_server=True, fedapay_webhooks_secret_key=SECRET)
        connector.on_webhook(seen.append)
        endpoint = Served(connector)
        for _ in range(10):
            assert endpoint(GOOD, signed(GOOD)).status == 200
        eventually(lambda: rows_of(db_url) == [("transaction.approved", "101", "done")])
        connector.close()

    assert [(event.name, event.attempt, event.paid) for event in seen] == [("transaction.approved", 1, True)]


def test_a12_two_partial_refunds_are_two_callbacks(make_connector, signed, eventually):
    """
    A12: the second of two partial refunds is not taken for the first.
    """
    connector = make_connector(fedapay_webhooks_secret_key=SECRET)
    seen = []
    connector.on_webhook(seen.append)
    endpoint = Wsgi(connector)
    for second in (1, 2):
        event = event_of("approved_partially_refunded")
        event["entity"]["updated_at"] = f"2026-11-20T10:00:0{second}.000Z"
        assert endpoint(body_of(event), signed(body_of(event))).status == 200

    eventually(lambda: len(seen) == 2)
    assert len({event.event_key for event in seen}) == 2


def test_a_store_that_is_broken_is_answered_503_and_taken_later(endpoint, signed, db_url, tmp_path, caplog):
    """
    A5: what is not on disk is never acknowledged; the repeat is taken as new, not as known.
    """
    blocked, aside = tmp_path / "store", tmp_path / "aside"
    if blocked.exists():
        blocked.rename(aside)
    blocked.write_text("not a folder")

    answer = endpoint(GOOD, signed(GOOD))

    assert (answer.status, answer.text) == (503, "try again\n")
    assert int(answer.headers["retry-after"]) > 0
    assert "Traceback" not in caplog.text
    blocked.unlink()
    if aside.exists():
        aside.rename(blocked)
    assert endpoint(GOOD, signed(GOOD)).status == 200
    assert len(rows_of(db_url)) == 1


def test_answers_are_constant_and_say_nothing_of_the_request(endpoint, signed):
    """
    Whoever probes learns nothing, and no server names itself.
    """
    answers = [
        endpoint(GOOD, signed(GOOD)),
        endpoint(b"<script>", {}),
        endpoint(b"", {}, method="PUT"),
        endpoint(b"x" * 300_000, {}),
    ]

    assert [answer.status for answer in answers] == [200, 400, 405, 413]
    for answer in answers:
        assert len(answer.text) < 200 and "script" not in answer.text
        assert SECRET not in str(answer.headers)


@pytest.mark.parametrize("given", [f"wh_sandbox_nouveau,{SECRET}", ["wh_sandbox_nouveau", SECRET]])
def test_while_a_secret_is_changed_both_are_good(make_connector, signed, given):
    """
    FedaPay signs with the old one until the moment it signs with the new one.
    """
    endpoint = Wsgi(make_connector(fedapay_webhooks_secret_key=given))

    assert endpoint(GOOD, signed(GOOD)).status == 200
    assert endpoint(GOOD, signed(GOOD, secret="wh_sandbox_nouveau")).status == 200
    assert endpoint(GOOD, signed(GOOD, secret="wh_sandbox_trop_vieux")).status == 400


@pytest.mark.parametrize("secret", [[], None])
def test_c04_without_a_secret_nothing_can_be_served(make_connector, secret):
    """
    C4: without a secret anybody could sign. That an empty one is refused is tested with the configuration.
    """
    connector = make_connector(fedapay_webhooks_secret_key=secret)
    body = b"{}"
    header = "t=1,s=" + "0" * 64
    with pytest.raises(ConfigError, match="FEDAPAY_AUTH_KEY"):
        make_connector(fedapay_webhooks_secret_key=secret, use_listen_server=True)
    with pytest.raises(ConfigError):
        connector.wsgi_app()
    with pytest.raises(ConfigError):
        fedapay_sync.flask.blueprint(connector)
    with pytest.raises(ConfigError):
        connector.verify_signature(body, header)
    with pytest.raises(ConfigError):
        connector.receive(body, header)


def test_bad_signatures_from_strangers_do_not_fill_the_log(endpoint, signed, caplog):
    """
    Whichever way they come in; each is answered 400, and FedaPay's next delivery is taken.
    """
    for _ in range(40):
        assert endpoint(GOOD, signed(GOOD, secret="wh_sandbox_de_personne")).status == 400
    assert endpoint(GOOD, signed(GOOD)).status == 200

    assert sum("webhook refused" in each.getMessage() for each in caplog.records) == 10


def test_the_blueprint_lives_in_an_application_that_reads_bodies_itself(make_connector, signed):
    """
    A ``before_request`` that looked at the body does not take it from us.
    """
    endpoint = Blueprint(make_connector(fedapay_webhooks_secret_key=SECRET))

    @endpoint.app.before_request
    def look():
        flask.request.get_data()

    assert endpoint(GOOD, signed(GOOD)).status == 200


def test_two_blueprints_in_one_application(make_connector, signed):
    """
    Two merchant accounts, each with its path, its secret and its name.
    """
    app = flask.Flask("boutique")
    for name in ("a", "b"):
        connector = make_connector(fedapay_webhooks_secret_key=f"wh_sandbox_{name}")
        app.register_blueprint(fedapay_sync.flask.blueprint(connector, f"/{name}", name))
    client = app.test_client()

    assert client.post("/a", data=GOOD, headers=signed(GOOD, secret="wh_sandbox_a")).status_code == 200
    assert client.post("/b", data=GOOD, headers=signed(GOOD, secret="wh_sandbox_a")).status_code == 400


def test_a_mounted_application_without_a_path_takes_every_post(make_connector, signed):
    """
    Mounted at its address by another application, the path is none of its business.
    """
    app = make_connector(fedapay_webhooks_secret_key=SECRET).wsgi_app()
    told = []
    environ = {
        "REQUEST_METHOD": "POST", "PATH_INFO": "", "CONTENT_LENGTH": str(len(GOOD)), "wsgi.input": io.BytesIO(GOOD),
        "HTTP_X_FEDAPAY_SIGNATURE": signed(GOOD)[signature.HEADER],
    }  # fmt: skip

    assert b"".join(app(environ, lambda status, headers: told.append(status))) == b"ok\n"
    assert told == ["200 OK"]
