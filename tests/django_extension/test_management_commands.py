"""``manage.py fedapay_…`` and the system checks: what they say, start and refuse."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fedapay_sync import Connector, MethodesPaiement, PaiementSetup, Pays, UserData

ROOT = Path(__file__).resolve().parents[2]
SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")

#: A project in a process of its own; the settings are those of the tests of this folder.
PROJECT = """
import os, sys, threading
sys.path.insert(0, os.environ["TESTS"])
from pathlib import Path
from support import django_shop
import django
from django.conf import settings
settings.configure(**django_shop.settings(Path.cwd(), FEDAPAY={"API_URL": os.environ["EMULATOR"],
    "API_KEY": os.environ["KEY"], "AUTH_KEY": os.environ["SECRET"], "CALLBACKS": "worker"}))
django.setup()
from django.core.management import call_command
"""


def manage(name, *arguments, **options):
    from django.core.management import call_command

    out = io.StringIO()
    call_command(name, *arguments, stdout=out, **options)
    return out.getvalue()


def refused(name, *arguments, **options):
    from django.core.management import CommandError

    with pytest.raises(CommandError) as caught:
        manage(name, *arguments, **options)
    return str(caught.value)


@pytest.fixture
def in_project(tmp_path, emulator):
    """Starts a program in the project, in a process of its own."""
    pytest.importorskip("django")
    started = []

    def start(program):
        environment = {
            **os.environ,
            "TESTS": str(ROOT / "tests"),
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "PYTHONIOENCODING": "utf-8",
            "EMULATOR": emulator.url,
            "KEY": emulator.secret_key,
            "SECRET": emulator.webhook_secret,
        }
        process = subprocess.Popen(
            [sys.executable, "-c", PROJECT + program],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def output_of(process):
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 0, output
    return output


# In processes


def test_migrate_check_and_shell_start_and_open_nothing(in_project, tmp_path):
    """
    Not even where callbacks are owed: no thread, no connector, no file of the payments.
    """
    found = output_of(
        in_project("""
call_command("migrate", verbosity=0, run_syncdb=True)
call_command("check", deploy=True, fail_level="CRITICAL")
call_command("shell", command="from support.django_shop.models import Order; print(Order.objects.count(), 'orders')")
from fedapay_sync.django import fedapay
print([each.name for each in threading.enumerate()], fedapay)
""")
    )

    assert "0 orders" in found
    assert "['MainThread'] ProjectConnector(pas encore fait)" in found
    assert sorted(each.name for each in tmp_path.iterdir()) == ["shop.sqlite3"]


def test_owed_callbacks_wait_for_a_worker_that_ends_with_sigterm(in_project, emulator, tmp_path, eventually):
    """
    ``CALLBACKS="worker"``: the process that received the webhook and ``migrate`` call none; ``fedapay_worker`` does.
    """
    found = output_of(
        in_project("""
call_command("migrate", verbosity=0, run_syncdb=True)
from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.django import fedapay
from support.django_shop.models import Order
Order.objects.create(reference="CMD-1")
setup = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
client = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
payment = fedapay.pay(setup, client, 500, merchant_reference="CMD-1")
import requests, json
from fedapay_sync import sign
number = payment.id_transaction
entity = {"id": number, "status": "approved", "amount": 500, "currency_id": 1, "klass": "v1/transaction",
          "reference": "x", "merchant_reference": "CMD-1"}
body = json.dumps({"id": 1, "name": "transaction.approved", "object": "transaction", "entity": entity}).encode()
fedapay.receive(body, sign(body, os.environ["SECRET"]))
call_command("migrate", verbosity=0)
print(Order.objects.get().delivered, "delivered")
""")
    )
    assert "0 delivered" in found
    worker = in_project('call_command("fedapay_worker")')
    database = Connector(emulator.url, api_key=emulator.secret_key, db_url=f"sqlite:///{tmp_path}/shop.fedapay.sqlite3")
    eventually(lambda: database.health().workers)
    eventually(lambda: not sum(each.count for each in database.health().owed.values()))
    database.close()
    worker.send_signal(signal.SIGTERM)
    output_of(worker)
    found = output_of(
        in_project("""
from support.django_shop.models import Order
print(Order.objects.get().delivered, "delivered")
""")
    )
    assert "1 delivered" in found


def test_django_is_imported_by_its_own_part_alone():
    """
    A shop without Django needs none.
    """
    program = (
        "import sys, fedapay_sync, fedapay_sync.flask, fedapay_sync.testing, fedapay_sync.cli, fedapay_sync.emulator\n"
        "print([each for each in sys.modules if each.partition('.')[0] == 'django'])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )

    assert found.stdout == "[]\n"


# The commands


def test_check_says_what_is_well(shop, django_settings):
    """
    It reads once at FedaPay, and makes no database.
    """
    from django.test import override_settings

    found = manage("fedapay_check")

    assert "clé : acceptée (sandbox)" in found
    assert "n'existe pas encore" in found
    with override_settings(FEDAPAY={**django_settings, "API_KEY": "sk_sandbox_another"}):
        assert "à corriger : clé" in refused("fedapay_check")


def test_parked_replay_and_purge_are_those_of_the_command_line(shop):
    """
    With their options; what is refused is said in one French line.
    """
    assert "n'existe pas encore" in refused("fedapay_parked")
    shop.pay(SETUP, CLIENT, 500)
    assert manage("fedapay_parked", callback="livrer").endswith("0 événement mis de côté.\n")
    assert manage("fedapay_replay") == "0 événement à rappeler.\n"
    assert "aucun événement mis de côté n'a la clé no-such" in refused("fedapay_replay", "no-such")
    assert manage("fedapay_purge", "--days", "30").startswith("Effacé : 0 attente")
    assert manage("fedapay_purge", days=30.0).startswith("Effacé : 0 attente")
    assert "un seul des deux" in refused("fedapay_purge")
    assert "valeur refusée pour --days" in refused("fedapay_purge", "--days=-1")


def test_a_wrong_setting_is_an_error_of_each_command(shop, django_settings):
    """
    And no traceback.
    """
    from django.test import override_settings

    with override_settings(FEDAPAY={**django_settings, "API_KEY": ""}):
        for name in ("fedapay_check", "fedapay_parked", "fedapay_replay", "fedapay_purge"):
            assert "il manque API_KEY" in refused(name)
        assert "il manque API_KEY" in refused("fedapay_worker", skip_checks=True)


# The system checks


def ids(**changes):
    from django.test import override_settings

    from fedapay_sync.django import checks

    with override_settings(**changes):
        return [each.id for check in (checks.check_project, checks.check_deployment) for each in check()]


def test_what_is_around_the_connector_is_checked(shop, django_settings, monkeypatch):
    """
    Each with an id, so that a project may silence it.
    """
    from django.conf import settings

    here = {**django_settings, "CALLBACKS": "here"}
    live = {**here, "API_URL": "https://api.fedapay.com", "API_KEY": "sk_live_x", "AUTH_KEY": "wh_live_x"}

    assert ids(FEDAPAY=live) == []
    assert ids(FEDAPAY=here) == ["fedapay.W011"]
    assert ids(FEDAPAY={**live, "CALLBACKS": "inline"}) == ["fedapay.W012"]
    assert ids(FEDAPAY=live, ROOT_URLCONF="support.django_shop.no_routes") == ["fedapay.W001"]
    assert ids(FEDAPAY=live, FEDAPAY_API_KEY="sk_live_x") == ["fedapay.W002"]
    monkeypatch.setitem(settings.DATABASES["default"], "ATOMIC_REQUESTS", True)
    assert ids(FEDAPAY=live) == ["fedapay.I001"]


def test_the_checks_are_run_by_manage_py(shop, django_settings):
    """
    The last ones with ``--deploy``.
    """
    from django.core.management import CommandError
    from django.core.management.base import SystemCheckError
    from django.test import override_settings

    with override_settings(FEDAPAY={**django_settings, "AUTH_KEY": ""}), pytest.raises(SystemCheckError, match="E001"):
        manage("check")
    with pytest.raises(CommandError, match=r"fedapay\.W012"):
        manage("check", deploy=True, fail_level="WARNING")
