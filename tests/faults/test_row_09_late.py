"""Row 9: repeated, reordered, and after the link was deleted."""

import json
import random

import pytest
import requests
from support.shops import rows

from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData, sign

pytestmark = pytest.mark.faults(row=9)

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")


@pytest.mark.parametrize("seed", range(3))
def test_a_payment_after_its_link_was_deleted_is_told_once_as_late_in_whatever_order(
    connector, emulator, store, eventually, seed
):
    """
    The deletion at the deadline crossed the payer's code: five events, each twenty times, shuffled.
    """
    told = []
    connector.on_webhook(lambda event: told.append((event.name, event.late, event.attempt)))
    number = connector.pay(SETUP, CLIENT, 500).id_transaction
    emulator.webhook_url = None
    assert connector.finalise(number, timeout=0.1, on_timeout="delete").status.name == "TIMEOUT"
    entity = {**emulator.transaction(number), "deleted_at": None}
    names = ["updated", "declined", "approved", "transferred"]
    events = [
        {"name": f"transaction.{name}", "object": "transaction", "object_id": number, "entity": {
            **entity, "status": entity["status"] if name == "updated" else name,
            f"{name}_at": "2026-01-01T00:00:00.000Z"}}
        for name in names
    ] * 20  # fmt: skip
    random.Random(seed).shuffle(events)

    for event in events:
        body = json.dumps(event).encode()
        header = {"X-FEDAPAY-SIGNATURE": sign(body, emulator.webhook_secret)}
        assert requests.post(connector.webhook_url, data=body, headers=header, timeout=15).status_code == 200

    wanted = {f"transaction.{name}" for name in names}
    eventually(lambda: wanted <= {name for name, _, _ in told})
    eventually(lambda: rows(store, "SELECT count(*) FROM fp_event WHERE work_state <> 'done'") == [(0,)])
    assert sorted(name for name, _, _ in told if name in wanted) == sorted(wanted)
    final = {"transaction.declined", "transaction.approved", "transaction.transferred"}
    assert {late for name, late, _ in told if name in final} == {True}
    assert connector.finalise(number, timeout=0).paid
