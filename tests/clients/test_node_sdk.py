"""FedaPay's own Node SDK, as npm gives it, does its whole job against the emulator."""

import json
import os
import shutil
import ssl
import subprocess

import pytest

from fedapay_sync.emulator import Emulator

SDK = "fedapay@1.2.5"
SCRIPT = os.path.join(os.path.dirname(__file__), "node_sdk.js")


def npm(*arguments, timeout):
    """npm, with the machine's own certificates: of these Node knows nothing by itself."""
    bundle = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    trusted = {"NODE_EXTRA_CA_CERTS": bundle} if bundle and os.path.exists(bundle) else {}
    return subprocess.run(
        [shutil.which("npm"), *arguments],
        env={**trusted, **os.environ},
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )


def install(folder):
    """The SDK and what it needs, without running anybody's install scripts."""
    try:
        reached = npm("view", SDK, "version", "--fetch-retries=0", timeout=30).returncode == 0
    except subprocess.TimeoutExpired:
        reached = False
    if not reached:
        pytest.skip(f"npm cannot reach its registry to install {SDK}")
    options = ["--no-audit", "--no-fund", "--ignore-scripts"]
    ended = npm("install", "--prefix", str(folder), *options, SDK, timeout=300)
    assert ended.returncode == 0, ended.stderr


@pytest.fixture(scope="module")
def seen(installed, steps):
    """What each step of the script saw."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm are needed to run FedaPay's Node SDK")
    folder = installed("node_sdk", install)
    with Emulator(delay=0.01, retry_factor=0.01, webhook_objects=("transaction", "customer", "payout")) as emulator:
        return steps(
            [shutil.which("node"), SCRIPT],
            {
                "NODE_PATH": str(folder / "node_modules"),
                "EMULATOR_URL": emulator.url,
                "EMULATOR_KEY": emulator.secret_key,
                "EMULATOR_WEBHOOK_SECRET": emulator.webhook_secret,
            },
        )


@pytest.fixture
def result(seen):
    """``result(step)``: what that step gave."""

    def of(step):
        assert "error" not in seen[step], (step, seen[step])
        return seen[step].get("result")

    return of


@pytest.fixture
def refusal(seen):
    """``refusal(step)``: the error that the SDK made of the answer."""

    def of(step):
        assert "error" in seen[step], (step, seen[step])
        return seen[step]["error"]

    return of


def test_the_sdk_finds_currencies_and_accounts(result):
    """
    Lists without meta, and one of each.
    """
    assert [each["iso"] for each in result("currency.all")["currencies"]] == ["XOF", "GNF"]
    assert result("currency.retrieve")["iso"] == "XOF"
    account = result("account.all")["accounts"][0]
    assert result("account.retrieve")["id"] == account["id"]
    assert result("account.create")["name"] == "Boutique de Node"
    assert result("account.update")["name"] == "Boutique changée"
    assert result("account.delete")["klass"] == "v1/account"


def test_the_sdk_manages_webhooks(result, refusal):
    """
    Created, listed, changed, tried with an event, deleted.
    """
    created = result("webhook.create")
    assert created["klass"] == "v1/webhook"
    assert (created["enabled"], created["ssl_verify"], created["disable_on_error"]) == (True, True, True)
    assert created["http_headers"] == {"agregateur": "Fedapay"}
    assert [each["id"] for each in result("webhook.all")["webhooks"]] == [created["id"]]
    assert result("webhook.all")["meta"]["total_count"] == 1
    assert result("webhook.retrieve") == created
    assert result("webhook.update")["disable_on_error"] is False
    result("webhook.save")
    assert result("webhook.saved")["ssl_verify"] is False
    assert result("webhook.stubEvent")["name"] == "transaction.approved"
    assert result("webhook.stubEvent")["entity"]["status"] == "approved"
    assert result("webhook.sendEvent")["entity"]["status"] == "declined"
    assert result("webhook.sent")["agregateur"] == "Fedapay"
    assert result("webhook.sent")["event"]["entity"] == result("webhook.sendEvent")["entity"]
    assert refusal("webhook.wrongEvent")["message"] == "L'évenement n'existe pas"
    result("webhook.delete")
    assert refusal("webhook.gone")["status"] == 404


def test_the_sdk_manages_customers(result, refusal):
    """
    The whole life of a customer.
    """
    created = result("customer.create")
    assert created["full_name"] == "Ayaba Hounkpatin"
    assert result("customer.all")["customers"][0]["id"] == created["id"]
    assert result("customer.all")["meta"]["per_page"] == 1
    assert result("customer.retrieve")["email"] == created["email"]
    assert result("customer.update")["lastname"] == "Dossou"
    result("customer.save")
    assert result("customer.saved")["lastname"] == "Kérékou"
    result("customer.delete")
    assert "lastname" in refusal("customer.empty")["errors"]


def test_the_sdk_collects_money(result, refusal):
    """
    From creation to approval, told by a webhook that the SDK itself verifies.
    """
    created = result("transaction.create")
    assert created["customer"]["email"] == "ayaba.hounkpatin@example.bj"
    assert created["currency"]["iso"] == "XOF"
    assert created["custom_metadata"] == {"order_id": "0917"}
    assert created["status"] == "pending"
    assert result("transaction.told")["event"]["entity"]["id"] == created["id"]
    assert result("transaction.retrieve")["customer"]["id"] == created["customer_id"]
    assert result("transaction.update")["description"] == "Commande changée"
    result("transaction.save")
    saved = result("transaction.saved")
    assert (saved["description"], saved["status"]) == ("Commande enregistrée", "pending")
    assert saved["custom_metadata"] == {"order_id": "0917"}
    token = result("transaction.generateToken")
    assert token["url"].endswith(token["token"])
    fees = result("transaction.getFees")
    assert fees["amount_debited"] == 15000 + fees["fees"]
    assert result("transaction.sendNow")["payment_intent"]["status"] == "pending"
    assert result("transaction.paid")["event"]["entity"]["status"] == "approved"
    assert result("transaction.approved")["amount_debited"] == fees["amount_debited"]
    assert result("transaction.questions") == [True, False, False]
    assert refusal("transaction.deletePaid")["status"] == 403
    listed = result("transaction.all")
    assert [each["merchant_reference"] for each in listed["transactions"]] == ["CMD 7/2"]
    assert (listed["meta"]["next_page"], listed["meta"]["total_count"]) == (2, 2)
    assert "merchant_reference" in refusal("transaction.twice")["errors"]
    result("transaction.delete")
    assert refusal("transaction.forged")["type"] == "SignatureVerificationError"


def test_the_sdk_pays_out(result, refusal):
    """
    Now, later, one or several; told when the money has gone.
    """
    created = result("payout.create")
    assert (created["status"], created["amount"]) == ("pending", 5000)
    assert result("payout.retrieve")["merchant_reference"] == "PO-41"
    assert result("payout.update")["amount"] == 6000
    assert result("payout.sendNow")["id"] == created["id"]
    assert result("payout.sendNow")["status"] in ("started", "processing", "sent")
    assert result("payout.sent")["event"]["entity"]["sent_at"]
    assert result("payout.schedule")["scheduled_at"]
    assert result("payout.scheduleAll")["payouts"][0]["scheduled_at"]
    assert result("payout.sendAllNow")["payouts"][0]["id"] == result("payout.fourth")["id"]
    result("payout.delete")
    assert len(result("payout.all")["payouts"]) == 2
    assert result("payout.all")["meta"]["total_count"] >= 4
    assert refusal("payout.withoutMode")["status"] == 500


def test_the_sdk_reads_balances_and_journals(result):
    """
    Balances without meta; events and logs with text ids and JSON inside texts.
    """
    assert result("balance.retrieve")["id"] == result("balance.all")["balances"][0]["id"]
    event = result("event.retrieve")
    assert (event["type"], event["object"]) == ("transaction.approved", "transaction")
    assert json.loads(event["entity"])["id"] == event["object_id"] == result("transaction.create")["id"]
    assert len(result("event.all")["events"]) == 1
    log = result("log.retrieve")
    assert (log["source"], log["status"]) == ("FedaPay NodeLib", 200)
    assert result("log.all")["meta"]["per_page"] == 2
    for step in ("event.subscribe", "log.subscribe"):
        assert result(step)["queue"]


def test_the_sdk_reads_refusals(result, refusal):
    """
    Status, message and fields, in the language asked for.
    """
    wrong = refusal("error.amount")
    assert (wrong["type"], wrong["status"]) == ("ApiConnectionError", 400)
    assert wrong["message"] == "La création de la transaction a échoué"
    assert list(wrong["errors"]) == ["amount"]
    english = refusal("error.locale")
    assert english["message"] != wrong["message"]
    assert list(english["errors"]) == ["amount"]
    assert refusal("error.unknown")["status"] == 404
    assert refusal("error.mode")["status"] == 404
    assert refusal("error.key")["status"] == 401
    assert result("error.token")["currencies"]


def test_the_script_ran_to_its_end(seen):
    """
    No step is left out: as many lines as the script has steps.
    """
    with open(SCRIPT, encoding="utf-8") as script:
        named = script.read().count("step('")
    assert len(seen) == named
