"""The pytest plugin as pytest sees it: found by itself, out of the way, and put back as it was."""

import socket
import subprocess
import sys
from typing import Dict

import pytest

from fedapay_sync.emulator import SANDBOX_SECRET_KEY

LEAKS: Dict[str, str] = {
    "FEDAPAY_API_KEY": "sk_live_vraie",
    "FEDAPAY_API_URL": "https://api.fedapay.com",
    "FEDAPAY_AUTH_KEY": "wh_live_vrai",
    "FEDAPAY_DB_URL": "sqlite:////nowhere/at/all.db",
    "FEDAPAY_ENDPOINT_NAME": "ailleurs",
}


@pytest.fixture
def run(pytester: pytest.Pytester):
    """``run(test file)``: pytest in a process of its own, where only the entry point brings the plugin."""

    def run(source: str, *options: str, conftest: str = "") -> pytest.RunResult:
        pytester.makeconftest(conftest)
        pytester.makepyfile(source)
        # Hypothesis has no part in it, and takes longer to load than the rest.
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:hypothesispytest", *options)

    return run


def test_the_variables_of_the_developer_are_neither_read_nor_lost(run, monkeypatch):
    """
    Inside they lead to the emulator, after the test they are what they were.
    """
    for name, value in LEAKS.items():
        monkeypatch.setenv(name, value)

    result = run(
        f"""
        import os
        from fedapay_sync import Connector

        def test_inside(fedapay_emulator):
            assert os.environ["FEDAPAY_API_KEY"] == {SANDBOX_SECRET_KEY!r}
            assert os.environ["FEDAPAY_API_URL"] == fedapay_emulator.url
            assert "FEDAPAY_ENDPOINT_NAME" not in os.environ
            Connector().api.balances.list()

        def test_after():
            assert {{name: os.environ[name] for name in {LEAKS!r}}} == {LEAKS!r}
        """
    )

    result.assert_outcomes(passed=2)


def test_nothing_leaves_the_machine_while_a_fixture_is_in_use(run):
    """
    By name, by address, by a library, without a connection: the error names the host and says what to do.
    """
    result = run(
        """
        import socket
        import pytest
        import requests
        from fedapay_sync import Integration
        from fedapay_sync.testing import NetworkForbidden

        def connect(address):
            with socket.socket() as each:
                each.connect(address)

        def send(address):
            with socket.socket(type=socket.SOCK_DGRAM) as each:
                each.sendto(b"x", address)

        @pytest.mark.parametrize("way, host", [
            (lambda: requests.get("https://api.fedapay.com/v1/balances", timeout=1), "api.fedapay.com"),
            (lambda: Integration("https://api.fedapay.com", None, "sk_live_x").balances.list(), "api.fedapay.com"),
            (lambda: socket.create_connection(("192.0.2.1", 80), 1), "192.0.2.1"),
            (lambda: socket.gethostbyname("example.com"), "example.com"),
            (lambda: connect(("example.com", 80)), "example.com"),
            (lambda: send(("192.0.2.1", 53)), "192.0.2.1"),
        ])
        def test_way(fedapay_emulator, way, host):
            with pytest.raises(NetworkForbidden, match=f"veut joindre {host}.*fedapay_emulator.url") as raised:
                way()
            assert raised.value.host == host

        def test_this_machine(fedapay_emulator):
            host, _, port = fedapay_emulator.url.rpartition("/")[2].partition(":")
            for name in (host, "localhost"):
                socket.create_connection((name, int(port)), 5).close()
            for infos in (socket.getaddrinfo(None, 0), socket.getaddrinfo("::1", 0)):
                assert infos
        """
    )

    result.assert_outcomes(passed=7)


def test_the_network_is_put_back_as_it_was(run):
    """
    Before, after a test that passed and after one that failed.
    """
    result = run(
        """
        import socket

        WAYS = [(socket.socket, "connect"), (socket.socket, "connect_ex"), (socket.socket, "sendto"),
                (socket, "getaddrinfo"), (socket, "gethostbyname")]
        BEFORE = [vars(owner).get(name) for owner, name in WAYS]

        def test_before():
            assert [vars(owner).get(name) for owner, name in WAYS] == BEFORE

        def test_passes(fedapay_emulator):
            assert not [1 for (owner, name), was in zip(WAYS, BEFORE) if vars(owner).get(name) is was]

        def test_after():
            test_before()

        def test_fails(fedapay_emulator):
            raise ValueError

        def test_at_last():
            test_before()
        """
    )

    result.assert_outcomes(passed=4, failed=1)


def test_what_a_test_patches_itself_leaves_nothing_of_ours_behind(run, monkeypatch):
    """
    An earlier ``monkeypatch`` is undone last, and puts back what it found: that must not be the emulator's.
    """
    monkeypatch.setenv("FEDAPAY_API_KEY", "sk_live_vraie")
    result = run(
        """
        import os
        import socket

        import pytest

        @pytest.fixture(autouse=True)
        def settings_of_the_project(monkeypatch):
            monkeypatch.setenv("DEBUG", "1")

        @pytest.mark.parametrize("turn", range(3))
        def test_inside(monkeypatch, fedapay_emulator, turn):
            monkeypatch.setenv("FEDAPAY_API_KEY", "sk_sandbox_autre")
            monkeypatch.setattr(socket, "gethostbyname", lambda name: "127.0.0.1")
            monkeypatch.setattr(socket.socket, "connect", socket.socket.connect)

        def test_after():
            assert os.environ["FEDAPAY_API_KEY"] == "sk_live_vraie"
            assert "FEDAPAY_API_URL" not in os.environ
            # One at most: they do not pile up from test to test.
            assert not hasattr(getattr(socket.gethostbyname, "__wrapped__", None), "__wrapped__")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
                line.connect(("192.0.2.1", 9))
        """
    )

    result.assert_outcomes(passed=4)


@pytest.mark.skipif(not hasattr(socket.socket, "sendmsg"), reason="no sendmsg here")
def test_the_rarer_ways_out_are_closed_too(run):
    """
    A datagram of several pieces, a name asked for with all its addresses; a connected socket may send pieces.
    """
    result = run(
        """
        import socket

        import pytest
        from fedapay_sync.testing import NetworkForbidden

        def test_ways(fedapay_emulator):
            with pytest.raises(NetworkForbidden):
                socket.gethostbyname_ex("api.fedapay.com")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line, pytest.raises(NetworkForbidden):
                line.sendmsg([b"x"], [], 0, ("192.0.2.1", 9))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
                line.connect(("127.0.0.1", 9))
                assert line.sendmsg((b"a", b"b")) == 2
        """
    )

    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("admitted", ['["192.0.2.7"]', '"192.0.2.7"'], ids=["list", "text"])
def test_a_host_that_was_admitted_may_be_called(run, admitted):
    """
    A name, and the addresses that it has; nothing else.
    """
    result = run(
        """
        import socket
        import pytest
        from fedapay_sync.testing import NetworkForbidden

        def test_admitted(fedapay_emulator):
            with socket.socket(type=socket.SOCK_DGRAM) as each:
                assert each.connect_ex(("192.0.2.7", 9)) >= 0
                with pytest.raises(NetworkForbidden):
                    each.connect_ex(("192.0.2.8", 9))
        """,
        conftest=f"""
        import pytest

        @pytest.fixture
        def fedapay_allowed_hosts():
            return {admitted}
        """,
    )

    result.assert_outcomes(passed=1)


def test_a_projects_own_fixture_goes_before_ours(run):
    """
    Ours is still there under its long name; the emulator's arguments are a fixture, too.
    """
    result = run(
        """
        def test_names(payer, fedapay_payer, webhook, fedapay_webhook, fedapay_emulator):
            assert (payer, webhook) == ("mine", "mine too")
            assert type(fedapay_payer).__name__ == "Payer"
            assert fedapay_webhook().body
            assert fedapay_emulator.secret_key == "sk_live_essai"
        """,
        conftest="""
        import pytest

        @pytest.fixture
        def payer():
            return "mine"

        @pytest.fixture
        def webhook():
            return "mine too"

        @pytest.fixture
        def fedapay_emulator_options():
            return {"secret_key": "sk_live_essai"}
        """,
    )

    result.assert_outcomes(passed=1)


def test_a_shop_made_once_for_all_tests_goes_on_working(run):
    """
    A connector made in the first test, at the head of a module as it were, finds the emulator of the second.
    """
    result = run(
        """
        import threading
        from fedapay_sync import Connector, MethodesPaiement, PaiementSetup, Pays, UserData

        made, told = [], []
        SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
        CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")

        def shop():
            if not made:
                made.append(Connector())
                made[0].on_webhook(lambda event: told.append(event.paid))
            return made[0]

        def buy(fedapay_emulator, payer):
            # No webhook comes here: finalise reads the status.
            fedapay_emulator.deliver_to(None)
            payment = shop().pay(SETUP, CLIENT, 1000)
            payer.agrees()
            assert shop().finalise(payment.id_transaction, timeout=10).paid

        def test_first(fedapay_emulator, payer):
            buy(fedapay_emulator, payer)

        def test_second(fedapay_emulator, payer):
            buy(fedapay_emulator, payer)
            assert len(fedapay_emulator.transactions) == 1

        def test_no_thread_of_a_test_is_left():
            assert [each.name for each in threading.enumerate() if "fedapay" in each.name] == []
        """
    )

    result.assert_outcomes(passed=3)


def test_workers_of_xdist_do_not_meet(run):
    """
    Each has its own emulators and databases.
    """
    result = run(
        """
        import pytest
        from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData

        @pytest.mark.parametrize("amount", range(100, 108))
        def test_pay(fedapay_connector, fedapay_emulator, payer, amount):
            setup = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
            client = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
            payment = fedapay_connector.pay(setup, client, amount)
            payer.agrees()
            assert fedapay_connector.finalise(payment.id_transaction, timeout=10).amount == amount
            assert [each["amount"] for each in fedapay_emulator.transactions] == [amount]
        """,
        "-n",
        "2",
    )

    result.assert_outcomes(passed=8)


def test_it_loads_nothing_until_a_fixture_is_asked_for(run):
    """
    Neither the connector nor what it needs is imported where the package is only installed.
    """
    result = run(
        """
        import sys

        HEAVY = ["fedapay_sync.connector", "fedapay_sync.emulator", "requests", "flask", "peewee", "marshmallow"]

        def test_nothing():
            assert "fedapay_sync.testing" in sys.modules
            assert [each for each in HEAVY if each in sys.modules] == []
        """
    )

    result.assert_outcomes(passed=1)


def test_the_package_does_not_need_pytest():
    """
    Everything but the plugin is imported where there is none.
    """
    code = (
        "import sys; sys.modules['pytest'] = None\n"
        "import fedapay_sync\n"
        "fedapay_sync.Connector\n"
        "import fedapay_sync.emulator, fedapay_sync.cli\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
