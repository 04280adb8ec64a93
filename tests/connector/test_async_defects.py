"""
What goes wrong in the asynchronous connector 2.0.3, and not here: the rows that no other test names.

The number of a test is that of its row in the list of that connector's defects.
"""

import ast
import io
import json
import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from support.raw_server import RawServer, answers

from fedapay_sync import (
    ApiError,
    EventFutureStatus,
    FedapayError,
    MethodesPaiement,
    PaiementSetup,
    Pays,
    StoreError,
    UserData,
    signature,
)
from fedapay_sync.workflow.reconciliation.polling_policy import Pace

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
NEVER = Pace(first=10_000, factor=2, longest=10_000)
QUICK = Pace(first=0.02, factor=1.2, longest=0.1)
ROOT = Path(__file__).resolve().parents[2]


def webhook(emulator, number, status="approved"):
    entity = {"klass": "v1/transaction", "id": number, "status": status, "amount": 500, "currency_id": 1}
    body = json.dumps({"name": f"transaction.{status}", "object": "transaction", "entity": entity}).encode()
    return body, signature.sign(body, emulator.webhook_secret)


def pay(connector):
    return connector.pay(SETUP, CLIENT, 500).id_transaction


def test_a05_a_webhook_that_could_not_be_stored_is_taken_at_its_repetition(
    make_connector, emulator, db_url, eventually
):
    """
    A5: refused while the table is away, it is not "already processed" when FedaPay sends it again.
    """
    connector, seen = make_connector(pace=NEVER), []
    connector.on_webhook(seen.append)
    number = pay(connector)
    handle = connector.listen(number)
    body, signed = webhook(emulator, number)
    with sqlite3.connect(db_url[len("sqlite:///") :]) as database:
        database.execute("ALTER TABLE fp_event RENAME TO away")
        database.commit()
        with pytest.raises(StoreError):
            connector.receive(body, signed)
        database.execute("ALTER TABLE away RENAME TO fp_event")
    database.close()

    connector.receive(body, signed)

    assert handle.result(timeout=5).paid
    eventually(lambda: seen)
    assert [event.paid for event in seen] == [True]


def test_a07_at_the_deadline_nothing_is_deleted_unasked(make_connector, emulator, clock):
    """
    A7: the link stays payable, and no DELETE is sent.
    """
    connector = make_connector(clock=clock, pace=NEVER)
    number = pay(connector)
    handle = connector.listen(number, timeout=30)
    clock.advance(31)

    assert handle.result().status == EventFutureStatus.TIMEOUT
    assert not [request for request in emulator.requests if request.method == "DELETE"]
    emulator.approve(number)
    assert connector.check_status(number).was_paid


@pytest.mark.parametrize("path", ["/v1/transactions/", "/v1/momo_test"])
def test_a14_an_error_after_the_creation_says_which_transaction_and_a_retry_makes_no_other(
    make_connector, emulator, path
):
    """
    A14: the second call or the third fails; with the same reference there is one transaction.
    """
    connector = make_connector()
    emulator.fail_next(path, method="POST", status=500, times=1)
    try:
        first = connector.pay(SETUP, CLIENT, 500, merchant_reference="CMD-1").id_transaction
    except FedapayError as error:
        first = error.id_transaction
        assert first is not None and error.merchant_reference == "CMD-1"

    assert connector.pay(SETUP, CLIENT, 500, merchant_reference="CMD-1").id_transaction == first
    assert [each["id"] for each in emulator.transactions] == [first]


def test_b05_a_callback_that_blocks_delays_no_webhook_and_no_wait(connector, emulator, eventually, caplog):
    """
    B5: callbacks have threads of their own, and what they raise is a warning, not a whisper.
    """
    release, reached = threading.Event(), threading.Event()

    def slow(event):
        reached.set()
        release.wait(20)
        raise ValueError("la boutique dort")

    connector.on_webhook(slow)
    first, second = pay(connector), pay(connector)
    emulator.approve(first)
    try:
        assert reached.wait(5)
        emulator.approve(second)
        begun = time.monotonic()
        assert connector.finalise(second, timeout=10).paid
        assert time.monotonic() - begun < 3
    finally:
        release.set()
    eventually(lambda: "la boutique dort" in caplog.text)


def test_b09_after_a_locked_database_the_same_payment_can_be_waited_for(make_connector, emulator, db_url):
    """
    B9: a wait that could not be written is an error; asked for again, it is a wait.
    """
    connector = make_connector(pace=QUICK)
    number = pay(connector)
    with sqlite3.connect(db_url[len("sqlite:///") :]) as database:
        database.execute("ALTER TABLE fp_listen RENAME TO away")
        database.commit()
        with pytest.raises(StoreError):
            connector.listen(number)
        database.execute("ALTER TABLE away RENAME TO fp_listen")
    database.close()

    emulator.approve(number)
    assert connector.finalise(number, timeout=10).paid


def test_b12_no_annotation_needs_a_newer_python_than_the_metadata_say():
    """
    B12: ``X | None``, evaluated at import, ends the import on 3.9. (The whole suite runs there, too: py39-oldest.)
    """
    found = []
    for path in sorted((ROOT / "fedapay_sync").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 9))
        for node in ast.walk(tree):
            for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
                if annotation is not None and any(isinstance(each, ast.BitOr) for each in ast.walk(annotation)):
                    found.append(f"{path.name}:{annotation.lineno}")
    assert not found


@pytest.mark.parametrize(
    ("body", "header"),
    [
        (b"{}", None),
        (b"{}", ""),
        (b"{}", "t=1,s=\u00e9"),
        (b"\xff\xfe", None),
        (b"\xff\xfe", "t=1,s=00"),
        (b"not json", "garbage"),
        (b"[]", "t=,s="),
    ],
)
def test_c02_a_bad_request_from_anyone_is_400_without_a_traceback(make_connector, body, header, caplog, db_url):
    """
    C2: a constant answer, one line in the log, nothing on disk.
    """
    app, answers = make_connector().wsgi_app(), []
    environ = {
        "REQUEST_METHOD": "POST", "PATH_INFO": "/", "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }  # fmt: skip
    if header is not None:
        environ["HTTP_X_FEDAPAY_SIGNATURE"] = header
    said = b"".join(app(environ, lambda status, headers: answers.append(status)))

    assert answers == ["400 Bad Request"] and said == b"bad signature\n"
    assert "Traceback" not in caplog.text and len(caplog.records) == 1
    assert not os.path.exists(db_url[len("sqlite:///") :])


def test_c06_calls_share_a_connection_and_errors_are_ours_with_fedapays_words(make_connector):
    """
    C6: ten reads, one connection; a refusal is one of our errors, with FedaPay's own message in it.
    """
    transaction = {"v1/transaction": {"klass": "v1/transaction", "id": 7, "status": "pending", "amount": 500}}
    refusal = {"message": "Montant trop petit"}
    plays = [answers(200, json.dumps(transaction).encode())] * 10 + [answers(400, json.dumps(refusal).encode())]
    with RawServer(*plays) as server:
        connector = make_connector(fedapay_api_url=server.url)
        for _ in range(10):
            assert connector.check_status(7).amount == 500
        with pytest.raises(ApiError, match="Montant trop petit"):
            connector.check_status(7)
        assert server.connections == 1
        connector.close()


def test_c09_a_webhook_during_a_mass_cancel_does_not_wait_for_it(make_connector, emulator, eventually):
    """
    C9: threads and locks are made for each other here; 150 cancels hold up nobody.
    """
    connector = make_connector(pace=NEVER)
    number = pay(connector)
    for other in range(1, 151):
        connector.listen(other, timeout=600)
    cancelling = threading.Thread(target=connector.cancel_all_listens)
    handle = connector.listen(number)
    body, signed = webhook(emulator, number)
    cancelling.start()
    begun = time.monotonic()
    connector.receive(body, signed)
    assert time.monotonic() - begun < 2
    cancelling.join(30)
    assert handle.done()
