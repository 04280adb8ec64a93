"""A Django project on PostgreSQL: callbacks on threads, connections after them, and a restart of the server."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.postgres_server import running_or_skipped

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import json, os, sys, time
sys.path.insert(0, os.environ["TESTS"])
from pathlib import Path
from support import django_shop
import django
from django.conf import settings
database = json.loads(os.environ["DATABASE"])
settings.configure(**django_shop.settings(Path.cwd(), DATABASES={"default": database}, FEDAPAY={
    "API_URL": os.environ["EMULATOR"], "API_KEY": os.environ["KEY"], "AUTH_KEY": os.environ["SECRET"],
    "CALLBACKS": os.environ["MODE"]}))
django.setup()
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData, sign
from fedapay_sync.django import fedapay
from support.django_shop.models import Order

call_command("migrate", verbosity=0, run_syncdb=True)
setup = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
client = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")

def webhook(reference):
    number = fedapay.pay(setup, client, 500, merchant_reference=reference).id_transaction
    entity = {"id": number, "status": "approved", "amount": 500, "currency_id": 1, "klass": "v1/transaction",
              "reference": reference, "merchant_reference": reference}
    event = {"id": number, "name": "transaction.approved", "object": "transaction", "entity": entity}
    return json.dumps(event).encode()

for line in sys.stdin:
    reference = line.strip()
    connection.close_if_unusable_or_obsolete()
    Order.objects.create(reference=reference)
    body = webhook(reference)
    if os.environ["MODE"] == "inline":
        with transaction.atomic():
            fedapay.receive(body, sign(body, os.environ["SECRET"]))
            assert not Order.objects.get(reference=reference).delivered
    else:
        answer = Client().post("/webhooks/fedapay", body, "application/json",
                               HTTP_X_FEDAPAY_SIGNATURE=sign(body, os.environ["SECRET"]))
        assert answer.status_code == 200, answer.content
    connection.close()
    end = time.monotonic() + 30
    while not Order.objects.get(reference=reference).delivered:
        assert time.monotonic() < end, "not delivered"
    connection.close()
    while fedapay.owes_callbacks():
        assert time.monotonic() < end, "still owed"
    print(Order.objects.get(reference=reference).delivered, flush=True)
    connection.close()
fedapay.close()
"""

SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'postgres' AND application_name = 'shop'"


@pytest.mark.parametrize("mode", ["here", "inline"])
def test_after_a_restart_of_postgresql_callbacks_are_called_with_new_connections(emulator, tmp_path, eventually, mode):
    """
    Each order is delivered once, before and after, and Django has no connection left that is idle.
    """
    pytest.importorskip("django")
    with running_or_skipped() as server:
        database = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres",
            "USER": server.user,
            "PASSWORD": server.password,
            "HOST": "127.0.0.1",
            "PORT": str(server.port),
            "OPTIONS": {"application_name": "shop"},
        }
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            cwd=tmp_path,
            env={
                **os.environ,
                "TESTS": str(ROOT / "tests"),
                "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
                "DATABASE": json.dumps(database),
                "EMULATOR": emulator.url,
                "KEY": emulator.secret_key,
                "SECRET": emulator.webhook_secret,
                "MODE": mode,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert [_ordered(process, f"CMD-{number}") for number in range(2)] == ["1", "1"]
            server.restart()
            assert [_ordered(process, f"CMD-{number}") for number in range(2, 4)] == ["1", "1"]
            eventually(lambda: server.execute(SESSIONS) == [(0,)])
        finally:
            process.stdin.close()
            process.wait(30)
            errors = process.stderr.read()
            process.stdout.close()
            process.stderr.close()
    assert process.returncode == 0, errors
    assert "already closed" not in errors


def _ordered(process, reference):
    process.stdin.write(f"{reference}\n")
    process.stdin.flush()
    return process.stdout.readline().strip()
