"""
The asynchronous connector, as its package index gives it, does its whole job against the emulator.

Needs a package index: runs when FEDAPAY_SYNC_CLIENTS=1 says so.
"""

import os
import subprocess
import sys

import pytest

from fedapay_sync.emulator import LIVE_SECRET_KEY, Emulator

PACKAGE = "fedapay_connector==2.0.3"
SCRIPT = os.path.join(os.path.dirname(__file__), "async_connector.py")

pytestmark = pytest.mark.skipif(
    os.environ.get("FEDAPAY_SYNC_CLIENTS") != "1", reason="installs another package: run by tox -e clients"
)


def python_of(folder):
    return str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def install(folder):
    """An environment with the connector and what it needs."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
    subprocess.run([python_of(folder), "-m", "pip", "install", "--quiet", PACKAGE], check=True, timeout=600)


@pytest.fixture(scope="module", params=["record", "api"])
def seen(request, installed, steps, tmp_path_factory, free_ports):
    """What each step of the script saw, for both shapes of a webhook's entity."""
    folder = installed("async_connector", install)
    port = free_ports()
    with Emulator(
        secret_key=LIVE_SECRET_KEY,
        delay=0.3,
        retry_factor=0.05,
        webhook_url=f"http://localhost:{port}/webhooks",
        webhook_headers={"agregateur": "Fedapay"},
        webhook_entity=request.param,
        disable_on_error=False,
    ) as emulator:
        return steps(
            [python_of(folder), SCRIPT],
            {
                "FEDAPAY_API_URL": emulator.url,
                "FEDAPAY_API_KEY": emulator.secret_key,
                "FEDAPAY_AUTH_KEY": emulator.webhook_secret,
                "SHOP_PORT": str(port),
            },
            cwd=tmp_path_factory.mktemp("shop"),
        )


@pytest.fixture
def result(seen):
    """``result(step)``: what that step gave."""

    def of(step):
        assert "error" not in seen[step], (step, seen[step])
        return seen[step]["result"]

    return of


def test_integration_handles_transactions(result):
    """
    Made, read by either name, changed, deleted, listed.
    """
    created = result("create_transaction")
    assert (created["status"], created["amount"], created["merchant_reference"]) == ("pending", 15000, "CMD-7")
    assert result("get_transaction_link")["payment_link"].endswith(result("get_transaction_link")["token"])
    assert result("set_payment_method")["status"] == "pending"
    assert result("get_transaction_by_fedapay_id")["id"] == created["id"]
    assert result("get_transaction_by_merchant_reference")["custom_metadata"] == {"order_id": "7"}
    assert result("update_transaction")["description"] == "Changée"
    assert result("delete_transaction")["delete_status"] is True
    assert result("get_all_transactions")["meta"]["total_count"] == 2


def test_integration_reads_everything_else(result, seen):
    """
    Balances and currencies without meta; events and logs with what is inside their texts; webhooks.
    """
    assert result("get_balance_by_id") == result("get_all_balances")["balances"][0]
    assert (
        result("get_currency_by_id") == result("get_currency_by_iso") == result("get_all_currencies")["currencies"][0]
    )
    assert result("get_event_by_id") == result("get_all_events")["events"][0]
    assert result("create_transaction")["id"] in [each["id"] for each in result("entities")]
    assert result("get_log_by_id")["klass"] == "v1/log"
    assert result("log_body")["transaction"]["amount"] == 15000
    assert result("log_response")["id"] == result("create_transaction")["id"]
    assert result("get_all_webhooks")["webhooks"] == [result("get_webhook_by_id")]
    assert result("get_webhook_by_id")["http_headers"] == {"agregateur": "Fedapay"}
    assert "401" in seen["wrong_key"]["error"]["text"]


def test_the_connector_is_paid(result):
    """
    pay, a signed webhook with the header it wants, finalise.
    """
    paid = result("pay")
    id = paid["transaction_data"]["id"]
    assert paid["set_methode_data"]["status"] == "pending"
    status, webhooks = result("finalise")
    assert status == "resolved"
    assert [(each["name"], each["entity"]["id"]) for each in webhooks] == [("transaction.approved", id)]
    assert webhooks[0]["account"]["id"] == 30211
    assert result("data")["status"] == "approved"
    assert result("data_by_reference")["id"] == id


def test_the_connector_gives_up_and_cancels(result, seen):
    """
    What nobody paid is deleted at the end of the wait; what was paid cannot be.
    """
    assert seen["cancel_paid"]["error"]["type"] == "TransactionIsNotPendingAnymore"
    assert result("finalise_unpaid")[0] == "timeout"
    assert result("data_unpaid")["deleted_at"]
    assert result("cancel")["delete_status"] is True
    paid, told = result("callbacks")
    assert len(paid) == 3
    assert "transaction.approved" in told
