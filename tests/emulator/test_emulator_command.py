"""``fedapay-sync emulator`` as a process of its own."""

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from fedapay_sync.cli import main
from fedapay_sync.emulator import LIVE_SECRET_KEY, SANDBOX_SECRET_KEY

COMMAND = [sys.executable, "-c", "from fedapay_sync.cli import main; main()"]
HERE = Path(__file__).resolve().parents[2]


def environment():
    return {**os.environ, "PYTHONPATH": str(HERE), "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": ""}


def run(*arguments):
    """A command that ends by itself."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


@contextmanager
def serving(*arguments):
    """The process and its address, read from the ready line."""
    process = subprocess.Popen(
        [*COMMAND, "emulator", *arguments],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        line = process.stdout.readline()
        matched = re.fullmatch(r"FedaPay emulator: (http://\S+:\d+)\n", line)
        assert matched, line + process.communicate(timeout=30)[1]
        yield process, matched[1]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_it_is_ready_when_it_says_so_and_stops_cleanly(sent):
    """
    One line on stdout, keys on stderr, exit code 0 without traceback, port free.
    """
    with serving() as (process, url):
        answer = requests.get(
            url + "/v1/transactions", headers={"Authorization": f"Bearer {SANDBOX_SECRET_KEY}"}, timeout=10
        )
        assert answer.status_code == 200
        process.send_signal(sent)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0
        assert out == ""
        assert "Traceback" not in err
        assert SANDBOX_SECRET_KEY in err
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", int(url.rpartition(":")[2])))


def test_a_whole_payment_goes_through_the_command(receiver):
    """
    Key, secret, header, delay and address given as options; the payer agrees without a person.
    """
    with serving(
        *(
            "--webhook-url",
            receiver.url,
            "--webhook-header",
            "agregateur=Fedapay",
            "--webhook-header",
            "X-A=b=c",
        ),
        *("--webhook-secret", "wh_live_other", "--secret-key", LIVE_SECRET_KEY, "--delay", "0.01"),
    ) as (_, url):
        headers = {"Authorization": f"Bearer {LIVE_SECRET_KEY}"}
        body = {"description": "x", "amount": 100, "currency": {"iso": "XOF"}}
        created = requests.post(url + "/v1/transactions", json=body, headers=headers, timeout=10).json()
        push = {
            "token": created["v1/transaction"]["payment_token"],
            "phone_number": {"number": "0197000000", "country": "bj"},
        }
        assert requests.post(url + "/v1/mtn_open", json=push, headers=headers, timeout=10).status_code == 200
        receiver.wait_for(2)
    assert set(receiver.names) == {"transaction.created", "transaction.approved"}
    receiver.verify("wh_live_other")
    assert receiver.received[0][0]["HTTP_AGREGATEUR"] == "Fedapay"
    assert receiver.received[0][0]["HTTP_X_A"] == "b=c"


def test_settings_are_options():
    """
    Payouts closed, 201 for creations, fees borne by the merchant.
    """
    options = ("--no-payouts", "--setting", "create_status=201", "--setting", "fees_by = merchant")
    with serving(*options, "--setting", "link_in_answer=NON") as (_, url):
        headers = {"Authorization": f"Bearer {SANDBOX_SECRET_KEY}"}
        body = {"description": "x", "amount": 1000, "currency": {"iso": "XOF"}, "mode": "momo_test"}
        payout = requests.post(url + "/v1/payouts", json=body, headers=headers, timeout=10)
        assert payout.status_code == 403
        assert payout.json() == {"message": "Opération non autorisée", "errors": {}, "model": None}
        created = requests.post(url + "/v1/transactions", json=body, headers=headers, timeout=10)
        assert created.status_code == 201
        made = created.json()["v1/transaction"]
        assert "payment_token" not in made
        token = requests.post(f"{url}/v1/transactions/{made['id']}/token", headers=headers, timeout=10).json()["token"]
        query = {"token": token, "mode": "momo_test"}
        fees = requests.get(url + "/v1/transactions/fees", params=query, headers=headers, timeout=10).json()
        assert fees["apply_fees_to_merchant"] is True


def test_a_taken_port_is_one_sentence_and_exit_code_1():
    """
    French, on stderr, with port 0 as the way out; no traceback.
    """
    with serving() as (_, url):
        port = url.rpartition(":")[2]
        done = run("emulator", "--port", port)
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"127.0.0.1:{port} est déjà pris" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--webhook-header", "nothing"], "NOM=VALEUR"),
        (["--webhook-header", "a b=c"], "NOM=VALEUR"),
        (["--webhook-header", "a=b\nc"], "NOM=VALEUR"),
        (["--port", "abc"], "0 à 65535"),
        (["--port", "70000"], "0 à 65535"),
        (["--delay", "-1"], "nombre de secondes"),
        (["--delay", "nan"], "nombre de secondes"),
        (["--webhook-url", "ftp://x"], "http://"),
        (["--secret-key", "pk_live_geheim"], "sk_sandbox_"),
        (["--setting", "nothing=1"], "Réglages : payouts, create_status"),
        (["--setting", "create_status=202"], "200 ou 201"),
        (["--setting", "create_status"], "200 ou 201"),
        (["--setting", "fees_by=nobody"], "'payer' ou 'merchant'"),
        (["--setting", "link_in_answer=maybe"], "oui (True) ou non (False)"),
        (["--setting", ""], "Réglages : "),
        (["--nothing"], "option inconnue"),
        (["--port"], "--port"),
    ],
)
def test_a_wrong_option_is_a_french_usage_error(arguments, said):
    """
    Exit code 2, one line that says what is expected, no secret in it.
    """
    done = CliRunner().invoke(main, ["emulator", *arguments])
    assert done.exit_code == 2
    assert said in done.output
    assert done.output.startswith("Erreur : ")
    assert "geheim" not in done.output
    assert "Traceback" not in done.output


def test_a_public_address_is_warned_of():
    """
    On stderr; the ready line names an address that can be called.
    """
    with serving("--host", "0.0.0.0") as (process, url):
        assert url.startswith("http://127.0.0.1:")
        process.terminate()
        assert "Attention : 0.0.0.0" in process.communicate(timeout=30)[1]


def test_help_is_in_french_and_loads_no_server():
    """
    --help and --version import neither Flask nor waitress nor requests.
    """
    assert "Utilisation : " in run("--help").stdout
    assert "Commandes" in run().stdout
    shown = run("emulator", "--help").stdout
    for option in (
        "--webhook-header NOM=VALEUR",
        "--state FICHIER",
        "--payouts / --no-payouts",
        "--setting NOM=VALEUR",
    ):
        assert option in shown
    assert re.fullmatch(r"fedapay-sync \S+\n", run("--version").stdout)
    script = (
        "import sys; from fedapay_sync.cli import main; main(['--help'], standalone_mode=False); "
        "print(sorted({'flask', 'waitress'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_unknown_command_is_named():
    """
    Exit code 2, with the list of those that exist.
    """
    done = run("nothing")
    assert done.returncode == 2
    assert "Commande inconnue : nothing" in done.stderr


def test_the_module_is_the_command():
    """
    python -m fedapay_sync, where no command is on the path.
    """
    done = subprocess.run(
        [sys.executable, "-m", "fedapay_sync", "--help"],
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert "Utilisation : python -m fedapay_sync" in done.stdout


def test_an_object_is_chosen_by_its_name(receiver):
    """
    Events of customers alone; a name that is none is refused.
    """
    with serving("--webhook-url", receiver.url, "--webhook-object", "customer") as (_, url):
        headers = {"Authorization": f"Bearer {SANDBOX_SECRET_KEY}"}
        person = {"firstname": "A", "lastname": "B", "email": "a@b.bj"}
        body = {"description": "x", "amount": 5, "currency": {"iso": "XOF"}, "customer": person}
        assert requests.post(url + "/v1/transactions", json=body, headers=headers, timeout=10).status_code == 200
        receiver.wait_for(1)
    assert receiver.names == ["customer.created"]
    done = run("emulator", "--webhook-object", "customers")
    assert done.returncode == 2
    assert "transaction, customer, payout" in done.stderr


def test_other_names_are_admitted_by_an_option():
    """
    As often as there are names; what is no name is refused with an example.
    """
    with serving("--allow-host", "emulator", "--allow-host", "fedapay.test") as (_, url):
        for name, status in (("emulator:80", 200), ("fedapay.test", 200), ("evil.example", 403)):
            headers = {"Authorization": f"Bearer {SANDBOX_SECRET_KEY}", "Host": name}
            assert requests.get(url + "/v1/balances", headers=headers, timeout=10).status_code == status
    done = run("emulator", "--allow-host", "http://emulator")
    assert done.returncode == 2
    assert "['emulator']" in done.stderr and "Traceback" not in done.stderr


def test_faults_shops_and_time_are_options(tmp_path):
    """
    Asked for at the start, told on stderr, and there from the first call on.
    """
    with serving(
        "--fault", "api.error_500:times=1,path=/v1/currencies", "--fault", "webhook.drop:probability=0.5",
        "--shop", "sk_sandbox_kossi=Chez Kossi", "--time-factor", "100000", "--state", str(tmp_path / "state.db"),
    ) as (process, url):  # fmt: skip
        key = {"Authorization": "Bearer sk_sandbox_kossi"}
        statuses = [requests.get(f"{url}/v1/currencies", headers=key, timeout=10).status_code for _ in range(2)]
        clock = requests.get(f"{url}/_emulateur/clock", timeout=10).json()
        process.terminate()
        _, err = process.communicate(timeout=30)

    assert statuses == [500, 200]
    assert clock["factor"] == 100_000
    assert clock["ahead"] > 100
    assert "Chez Kossi" in err
    assert re.search(r"Panne demandée : webhook\.drop, graine \d+", err)
    assert f"Tableau de bord : {url}/\n" in err
    assert f"Téléphone des payeurs : {url}/telephone/\n" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fault", "webhook.lose"], "Pannes : webhook.duplicate"),
        (["--fault", "api.slow"], "seconds="),
        (["--shop", "sk_sandbox_x"], "CLÉ=NOM"),
        (["--shop", "geheim=Nom"], "une clé sk_sandbox_"),
        (["--time-factor", "0"], "un nombre de 1"),
    ],
)
def test_a_wrong_fault_shop_or_factor_is_a_french_usage_error(arguments, said):
    """
    One sentence that says what is expected, and repeats no key.
    """
    done = run("emulator", *arguments)

    assert done.returncode == 2
    assert said in done.stderr
    assert "geheim" not in done.stderr
    assert "Traceback" not in done.stderr


def test_beyond_this_machine_the_address_of_the_dashboard_has_a_token():
    """
    Printed once, on stderr; without it nothing can be controlled.
    """
    with serving("--host", "0.0.0.0") as (process, url):
        assert requests.get(f"{url}/_emulateur/clock", timeout=10).status_code == 403
        process.terminate()
        _, err = process.communicate(timeout=30)

    assert re.search(r"Tableau de bord : http://127\.0\.0\.1:\d+/\?jeton=[\w-]{20,}\n", err)
