"""
Configuration: read when it is used, and refused with a sentence that says value, expectation and remedy.
"""

import copy
import os
import pickle
from pathlib import Path
from urllib.parse import quote

import pytest

from fedapay_sync.common import config
from fedapay_sync.common.config import Config, database_url, read_config
from fedapay_sync.common.credentials import api_key, api_url, webhook_secrets
from fedapay_sync.common.env import from_environment
from fedapay_sync.common.published import SANDBOX_SECRET_KEY, SANDBOX_WEBHOOK_SECRET
from fedapay_sync.common.secret import Secret
from fedapay_sync.enums import OnTimeout
from fedapay_sync.errors import ConfigError
from fedapay_sync.store.sqlite.connection import file_of

SANDBOX = "https://sandbox-api.fedapay.com"
LIVE = "https://api.fedapay.com"
KEY = "sk_sandbox_Zq81"
SECRET = "wh_sandbox_7Qd2"


def made(**changes) -> Config:
    arguments = {
        "fedapay_api_url": SANDBOX,
        "use_listen_server": None,
        "listen_server_endpoint_name": None,
        "listen_server_port": None,
        "fedapay_webhooks_secret_key": SECRET,
        "print_log_to_console": None,
        "save_log_to_file": None,
        "callback_timeout": None,
        "db_url": None,
        "api_key": KEY,
        "host": "127.0.0.1",
        "on_timeout": OnTimeout.KEEP,
        "api_keys": (),
        "confirm_with_api": False,
        "keep_bodies_days": 30,
        "poll_rate": 5,
        "callbacks": "here",
        **changes,
    }
    return read_config(arguments)


def refusal(**changes) -> str:
    with pytest.raises(ConfigError) as refused:
        made(**changes)
    return str(refused.value)


def test_what_is_not_given_has_a_default():
    """
    Sandbox address and key are enough.
    """
    settings = made()

    assert (settings.host, settings.port, settings.endpoint_name) == ("127.0.0.1", 3000, "webhooks")
    assert file_of(settings.db_url) == Path.cwd() / "fedapay_connector_persisted_data" / "processes.db"
    assert (settings.callback_timeout, settings.on_timeout) == (10.0, "keep")
    assert (settings.use_listen_server, settings.print_log_to_console, settings.save_log_to_file) == (False,) * 3
    assert (settings.environment, settings.api_keys) == ("sandbox", ())


def test_the_environment_is_read_at_each_call(monkeypatch):
    """
    A variable set after import counts, a changed one too, and an argument outweighs it.
    """
    monkeypatch.setenv("FEDAPAY_API_URL", SANDBOX)
    monkeypatch.setenv("FEDAPAY_API_KEY", f"  {KEY}\n")
    monkeypatch.setenv("FEDAPAY_AUTH_KEY", f"{SECRET}, wh_sandbox_old ,")
    monkeypatch.setenv("FEDAPAY_ENDPOINT_NAME", "/crochets/fedapay/")
    monkeypatch.setenv("FEDAPAY_DB_URL", "sqlite:////ici.db")
    silent = {"fedapay_api_url": None, "api_key": None, "fedapay_webhooks_secret_key": None}

    first = made(**silent)
    monkeypatch.setenv("FEDAPAY_DB_URL", "sqlite:////ailleurs.db")
    second = made(**silent, listen_server_endpoint_name="mien")

    secrets = [each.reveal() for each in (first.api_key, *first.webhook_secrets)]
    assert (first.api_url, secrets) == (SANDBOX, [KEY, SECRET, "wh_sandbox_old"])
    assert (first.endpoint_name, first.db_url) == ("crochets/fedapay", "sqlite:////ici.db")
    assert (second.endpoint_name, second.db_url) == ("mien", "sqlite:////ailleurs.db")


@pytest.mark.parametrize("value", ["", "  ", "\t"])
def test_an_empty_variable_counts_as_absent(monkeypatch, value):
    """
    As ``FEDAPAY_API_KEY=`` in a file of settings means it.
    """
    monkeypatch.setenv("FEDAPAY_API_KEY", value)

    assert from_environment("FEDAPAY_API_KEY") is None
    assert from_environment("FEDAPAY_API_KEY", "autre") == "autre"
    assert "manquante" in refusal(api_key=None)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (f"{SANDBOX}/", SANDBOX),
        (f"{SANDBOX}/v1", SANDBOX),
        (f"{SANDBOX}/v1/", SANDBOX),
        (f"  {LIVE}/v1 ", LIVE),
        ("HTTPS://api.fedapay.com", LIVE),
        ("https://relais.example.bj:8443/fedapay/v1", "https://relais.example.bj:8443/fedapay"),
        ("http://localhost:8000/v1", "http://localhost:8000"),
        ("http://127.0.0.1:3999", "http://127.0.0.1:3999"),
        ("http://127.8.9.1", "http://127.8.9.1"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://emulator:8080/v1", "http://emulator:8080"),
    ],
)
def test_the_address_of_the_api_in_all_its_forms(given, read):
    """
    With /v1 or a slash at its end it is the same one; plain http stays on this machine.
    """
    assert api_url(given) == read


def test_a_missing_address_is_told_with_both_addresses():
    """
    Copy one of them and go on.
    """
    said = refusal(fedapay_api_url=None)

    assert all(word in said for word in ("manquante", "FEDAPAY_API_URL", "fedapay_api_url", SANDBOX, LIVE))


@pytest.mark.parametrize(
    "url",
    [
        "sandbox",
        "api.fedapay.com",
        "ftp://api.fedapay.com",
        "https://",
        "https:///v1",
        "https://api.fedapay.com?a=1",
        "https://api.fedapay.com#a",
        "https://moi:motdepasse@api.fedapay.com",
        "https://:motdepasse@api.fedapay.com",
        "https://@api.fedapay.com",
        "https://api.fedapay.com\\@evil.example",
        "https://api.fedapay.com:abc",
        "https://api.fedapay.com:99999",
        "http://[::1",
        "   ",
        42,
    ],
)
def test_what_is_no_address_is_refused(url):
    """
    With the value, without a password in it, and with an address that would do.
    """
    said = refusal(fedapay_api_url=url)

    assert "illisible" in said
    assert SANDBOX in said
    assert "motdepasse" not in said


@pytest.mark.parametrize(
    "url",
    [
        "http://api.fedapay.com",
        "http://sandbox-api.fedapay.com/v1",
        "http://192.168.1.10:8000",
        "http://emulator:8080",
        "http://emulateur.internal",
        "http://134744072",
        "http://0x8080808",
        "http://127.0.0.1.evil.example",
        "http://127.evil.example/v1",
        "http://localhost.evil.example",
        "http://0.0.0.0:8000",
        "http://128.0.0.1",
    ],
)
def test_plain_http_does_not_leave_this_machine(url):
    """
    The key would travel readable: also to a name that only begins like a loopback address.
    """
    said = refusal(fedapay_api_url=url)

    assert all(word in said for word in (url, "en clair", "découvert", "https://"))


@pytest.mark.parametrize("key", [None, "", "   ", 5, b"sk_live_1"])
def test_a_missing_key_is_told_with_its_two_forms(key):
    """
    Where it goes and what it looks like.
    """
    said = refusal(api_key=key)

    assert all(word in said for word in ("Clé API", "manquante", "FEDAPAY_API_KEY", "sk_sandbox_…", "sk_live_…"))


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("pk_sandbox_Qwerty77", ("pk_sandbox_***", "publique", "sk_")),
        ("wh_live_Qwerty77", ("wh_live_***", "secret de webhook", "FEDAPAY_AUTH_KEY", "sk_")),
        ("sk_live_Qwerty77", ("sk_live_***", "clé live", "adresse sandbox", "sk_sandbox_…", LIVE)),
        ("sk_sandbox_Qwer ty77", ("illisible", "espaces", "recopier")),
        ("sk_sandbox_\u200bQwerty77", ("illisible", "invisibles", "recopier")),
        ("sk_sandbox_Qwerty77é", ("illisible", "recopier")),
        ("sk_sandbox_Qwer\tty77", ("illisible", "recopier")),
    ],
)
def test_a_key_that_is_certainly_wrong_is_refused_and_not_shown(key, words):
    """
    Public, of a webhook, of the other environment, badly copied; for one call as for the connector.
    """
    for said in (refusal(api_key=key), refusal(api_keys=[key])):
        assert all(word in said for word in words), said
        assert "Qwer" not in said
    with pytest.raises(ConfigError):
        made().checked_key(key)


def test_a_sandbox_key_does_not_go_to_the_live_address():
    """
    The same, the other way round.
    """
    said = refusal(fedapay_api_url=LIVE)

    assert all(word in said for word in ("sk_sandbox_***", "clé sandbox", "adresse live", "sk_live_…", SANDBOX))


@pytest.mark.parametrize("key", ["fp_key_live_1", "un-jeton-oauth", "sk_1", "sk_live_1"])
def test_other_keys_pass(key):
    """
    What we do not know is FedaPay's to judge; on a host that we do not know every key may be right.
    """
    assert api_key(f" {key}\n", "https://relais.example.bj") == key


def test_one_further_key_may_be_given_as_a_text():
    """
    It is one key and not as many as it has letters.
    """
    settings = made(api_keys="sk_sandbox_autre")

    assert settings.api_keys == (Secret("sk_sandbox_autre"),)
    assert len(settings.accounts) == 2


def test_a_key_is_found_again_by_its_fingerprint():
    """
    After a restart the store knows only fingerprints.
    """
    settings = made(api_keys=["sk_sandbox_autre"])

    assert [settings.keys_by_account[account].reveal() for account in settings.accounts] == [KEY, "sk_sandbox_autre"]
    assert "0" * 12 not in settings.keys_by_account
    assert settings.account == settings.accounts[0]
    assert KEY not in settings.account
    assert settings.checked_key(None) == Secret(KEY)
    assert settings.checked_key("sk_sandbox_autre ") == Secret("sk_sandbox_autre")


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (None, ()),
        ((), ()),
        (SECRET, (SECRET,)),
        (f" {SECRET} ,wh_b,, ", (SECRET, "wh_b")),
        ([SECRET, " wh_b "], (SECRET, "wh_b")),
    ],
)
def test_webhook_secrets_in_all_their_forms(given, read):
    """
    One, several with commas, a list; between commas there may be nothing.
    """
    assert webhook_secrets(given) == read


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("sk_live_Qwerty77", ("sk_live_***", "clé de l'API", "wh_…", "page Webhooks")),
        ([SECRET, "pk_live_Qwerty77"], ("pk_live_***", "wh_…")),
        ("wh_live_Qwer ty77", ("illisible", "espaces", "recopier")),
        ("wh_live_Qwerty77\udcff", ("illisible", "recopier")),
        (b"wh_live_Qwerty77", ("illisible", "bytes", "wh_…")),
        (["wh_live_a", 77], ("illisible", "wh_…")),
        (77, ("illisible", "int", "wh_…")),
    ],
)
def test_what_is_no_webhook_secret_is_refused_and_not_shown(given, words):
    """
    Better now than at the first webhook.
    """
    said = refusal(fedapay_webhooks_secret_key=given)

    assert all(word in said.lower() or word in said for word in words), said
    assert "Qwer" not in said


@pytest.mark.parametrize("secret", [None, [], ()])
def test_the_server_does_not_run_without_a_secret(secret):
    """
    It could check nothing.
    """
    said = refusal(use_listen_server=True, fedapay_webhooks_secret_key=secret)

    assert all(word in said for word in ("manquant", "FEDAPAY_AUTH_KEY", "fedapay_webhooks_secret_key", "wh_…"))


@pytest.mark.parametrize(
    "url",
    ["sqlite:///:memory:", "sqlite://", "sqlite:///", "sqlite://:memory:", "sqlite:///file::memory:?cache=shared"],
)
def test_a_database_in_memory_is_refused(url):
    """
    It would lose the payments with the process.
    """
    said = refusal(db_url=url)

    assert all(word in said for word in (f"FEDAPAY_DB_URL={url}", "en mémoire", "sqlite:///dossier/base.db"))


@pytest.mark.parametrize(
    "url",
    [
        "mysql://boutique:motdepasse@localhost/b",
        "mysql://boutique:mot/motdepasse@localhost/b",
        "mysql://boutique:mot@motdepasse@localhost/b",
        "mysql://[motdepasse",
        "postgresql+psycopg2://boutique:motdepasse@localhost/b",
        "processes.db",
        "/var/lib/base.db",
        "sqlite:base.db",
        "sqlite://base.db",
        "http://localhost/base",
        42,
    ],
)
def test_an_unknown_database_is_refused_without_its_password(url):
    """
    Also where the password has signs in it that it must not have.
    """
    said = refusal(db_url=url)

    assert all(word in said for word in ("FEDAPAY_DB_URL=", "base connue", "sqlite:///dossier/base.db"))
    assert "boutique:***@" in said or "motdepasse@" not in said


def test_a_database_file_passes():
    assert database_url("sqlite:////var/lib/b.db") == "sqlite:////var/lib/b.db"
    assert database_url("sqlite:////var/lib/b.db?mode=rw") == "sqlite:////var/lib/b.db?mode=rw"


@pytest.mark.parametrize("name", ["b.db", "a/b.db", "é ?#%.db", b"\xff.db"])
def test_a_relative_path_is_made_absolute_at_once(name, tmp_path, monkeypatch):
    """
    From the folder in which the program is now, not from the one to which it goes as a daemon.
    """
    monkeypatch.chdir(tmp_path)
    url = database_url(f"sqlite:///{quote(name)}")
    monkeypatch.chdir("/")

    assert url.startswith("sqlite:////")
    assert file_of(url) == tmp_path / os.fsdecode(name)


def test_a_relative_path_from_a_folder_that_is_gone_is_refused(tmp_path, monkeypatch):
    """
    With what to do, and not with an error of the system's.
    """
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    assert all(word in refusal(db_url="sqlite:///b.db") for word in ("FEDAPAY_DB_URL", "chemin absolu"))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://boutique:secret@localhost/b",
        "postgres://boutique:s%2Fcret@db.example.com:6543/b?sslmode=require",
        "postgresql:///b?host=/var/run/postgresql",
        "postgresql://[::1]:5432/b",
    ],
)
def test_a_database_server_passes(url, monkeypatch):
    """
    As it was given: psycopg2 reads it.
    """
    assert database_url(url) == url
    monkeypatch.setenv("FEDAPAY_DB_URL", url)
    assert database_url() == url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://boutique:mot/motdepasse@localhost/b",
        "postgresql://boutique:mot@motdepasse@localhost/b",
        "postgresql://boutique:mot?motdepasse@localhost/b",
        "postgresql://boutique:mot#motdepasse@localhost/b",
        "postgresql://boutique:motdepasse@localhost:port/b",
        "postgres://boutique:motdepasse@localhost",
        "postgresql://boutique:motdepasse@/b",
        "postgresql://",
    ],
)
def test_an_unreadable_database_server_is_refused_without_its_password(url):
    """
    With an example, and how the signs that do not belong in a password are written.
    """
    said = refusal(db_url=url)

    assert all(
        word in said for word in ("FEDAPAY_DB_URL", "postgresql://utilisateur:mot-de-passe@hote:5432/base", "%40")
    )
    assert "boutique" not in said and "mot?" not in said


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///base%00.db",
        "sqlite:///base\0.db",
        "postgresql://boutique:mot%00depasse@localhost/b",
        "postgresql://localhost/b%00",
        "postgresql://localhost/b?sslmode=%00",
    ],
)
def test_a_nul_in_a_database_url_is_refused(url):
    """
    Here, and not with a ValueError of the system's where the database is opened.
    """
    said = refusal(db_url=url)

    assert all(word in said for word in ("FEDAPAY_DB_URL", "%00", "%25")) and "depasse" not in said
    assert file_of(database_url("sqlite:///a%2500.db")).name == "a%00.db"


@pytest.mark.parametrize("port", [0, 1, 3000, 65535])
def test_a_port_passes(port):
    """
    0 takes a free one.
    """
    assert made(listen_server_port=port).port == port


@pytest.mark.parametrize("port", [-1, 65536, 80.0, "3000", True])
def test_what_is_no_port_is_refused(port):
    """
    With its value and the range.
    """
    said = refusal(listen_server_port=port)

    assert all(word in said for word in (f"listen_server_port={port!r}", "de 0 à 65535", "port libre"))


@pytest.mark.parametrize("name", ["/", "a//b", "a/../b", "..", "a b", "a?b", "a#b", "<regle>", "a\n"])
def test_what_is_no_path_is_refused(name):
    """
    With its value and an example.
    """
    said = refusal(listen_server_endpoint_name=name)

    assert all(word in said for word in (f"listen_server_endpoint_name={name!r}", "chemin simple", "« webhooks »"))


@pytest.mark.parametrize(
    ("name", "path"), [("webhooks", "webhooks"), ("/a/b-c_d.e/", "a/b-c_d.e"), ("crochets", "crochets")]
)
def test_a_path_passes_with_or_without_slashes(name, path):
    """
    As one writes it.
    """
    assert made(listen_server_endpoint_name=name).endpoint_name == path


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "10", True])
def test_what_is_no_time_is_refused(seconds):
    """
    With its value.
    """
    said = refusal(callback_timeout=seconds)

    assert all(word in said for word in (f"callback_timeout={seconds!r}", "nombre de secondes"))


@pytest.mark.parametrize("policy", ["", "supprimer", None, 3, []])
def test_an_unknown_policy_is_refused(policy):
    """
    With its value and both words.
    """
    said = refusal(on_timeout=policy)

    assert all(word in said for word in (f"on_timeout={policy!r}", "« keep »", "« delete »"))


def test_a_policy_may_be_a_text():
    """
    The member or its value.
    """
    assert made(on_timeout="delete").on_timeout is OnTimeout.DELETE


@pytest.mark.parametrize(
    ("url", "key", "environment"),
    [
        (SANDBOX, "fp_key_1", "sandbox"),
        (LIVE, "fp_key_1", "live"),
        ("http://127.0.0.1:8000", KEY, "sandbox"),
        ("https://relais.example.bj", "sk_live_1", "live"),
        ("https://relais.boutique.example.bj", "fp_key_1", "relais.boutique."),
    ],
)
def test_the_environment_comes_from_the_key_or_the_host(url, key, environment):
    """
    Where neither says it, the host itself keeps two environments apart.
    """
    settings = made(fedapay_api_url=url, api_key=key, fedapay_webhooks_secret_key=None)

    assert settings.environment == environment


def test_a_configuration_shows_no_secret():
    """
    Neither its repr nor that of a copy.
    """
    settings = made(api_keys=["sk_sandbox_autre"])

    with pytest.raises(TypeError, match="secret"):
        pickle.dumps(settings)
    for each in (settings, copy.deepcopy(settings)):
        assert each == settings
        assert KEY not in repr(each)
        assert SECRET not in f"{each}"
        assert "autre" not in repr(each)


def test_differences_are_named():
    """
    What the second call says otherwise.
    """
    assert config.differences({"a": 1, "b": 2}, {"b": 2, "c": None, "a": 3, "d": 4}) == ["a", "d"]


@pytest.mark.parametrize("rate", [0.01, 5, 2.5, 1000])
def test_a_rate_passes(rate):
    assert made(poll_rate=rate).poll_rate == rate


@pytest.mark.parametrize("rate", [0, -1, 0.001, 1001, True, None, "5", float("nan"), float("inf")])
def test_what_is_no_rate_is_refused(rate):
    """
    Neither none at all, which would leave every payment unseen, nor a storm.
    """
    said = refusal(poll_rate=rate)
    assert said.startswith("poll_rate=") and "de 0.01 à 1000" in said and "5 par seconde" in said


@pytest.mark.parametrize(
    "argument",
    [
        "listen_server_endpoint_name",
        "listen_server_port",
        "callback_timeout",
        "on_timeout",
        "keep_bodies_days",
        "poll_rate",
    ],
)
@pytest.mark.parametrize("secret", ["sk_live_Zq81", "wh_live_7Qd2 ", "fp_key_live_Ab12?"])
def test_a_key_pasted_into_the_wrong_argument_is_not_shown(argument, secret):
    """
    The error names the argument, and not the key.
    """
    said = refusal(**{argument: secret + " "})

    assert said.startswith(argument)
    assert "***" in said and not any(part in said for part in ("Zq81", "7Qd2", "Ab12"))


@pytest.mark.parametrize("keys", [5, None, {"sk_live_Zq81": 1}, True])
def test_what_is_no_list_of_keys_is_refused(keys):
    """
    With what is expected, and without what may be a key.
    """
    said = refusal(api_keys=keys)

    assert "api_keys=" in said and "une liste de clés API est attendue" in said and "Zq81" not in said


PUBLISHED = {"api_key": SANDBOX_SECRET_KEY, "fedapay_webhooks_secret_key": SANDBOX_WEBHOOK_SECRET}


@pytest.mark.parametrize("secret", ["", "  ", ",", " , ", [""], [SECRET, ""], ("  ",)])
def test_an_empty_webhook_secret_is_refused(secret):
    """
    A text was meant to be a secret, and with an empty one anybody could sign.
    """
    said = refusal(fedapay_webhooks_secret_key=secret)

    assert all(word in said for word in ("vide", "n'importe qui", "FEDAPAY_AUTH_KEY", "page Webhooks"))


@pytest.mark.parametrize("secret", ["wh_sandbox_", "wh_live", "wh_", "wh", ["wh_sandbox_", SECRET]])
def test_the_beginning_of_a_webhook_secret_is_refused(secret):
    """
    Everybody could guess the rest of it.
    """
    said = refusal(fedapay_webhooks_secret_key=secret)

    assert all(word in said for word in ("incomplet", "début", "en entier", "page Webhooks"))


@pytest.mark.parametrize(
    ("url", "key", "secret", "words"),
    [
        (SANDBOX, KEY, "wh_live_Qwertyuiop77", ("wh_live_***", "secret de webhook live", "wh_sandbox_…")),
        (LIVE, "sk_live_1", "wh_sandbox_Qwertyuiop77", ("wh_sandbox_***", "secret de webhook sandbox", "wh_live_…")),
        (LIVE, "fp_key_1", "wh_sandbox_Qwertyuiop77", ("wh_sandbox_***", "wh_live_…")),
        ("https://relais.example.bj", "sk_live_1", "wh_sandbox_Qwertyuiop77", ("wh_live_…",)),
        (SANDBOX, KEY, "wh_sandbox_Qwertyuiop77,wh_live_Qwertyuiop77", ("deux environnements", "wh_sandbox_…")),
        (
            "https://relais.example.bj",
            "fp_1",
            ["wh_live_Qwer7", "wh_sandbox_Qwer7"],
            ("deux environnements", "clé API"),
        ),
    ],
)
def test_a_webhook_secret_of_the_other_environment_is_refused(url, key, secret, words):
    """
    A trial in sandbox, which anybody pays, would pass for a real payment.
    """
    said = refusal(fedapay_api_url=url, api_key=key, fedapay_webhooks_secret_key=secret)

    assert all(word in said for word in (*words, "FEDAPAY_AUTH_KEY")), said
    assert "Qwer" not in said


@pytest.mark.parametrize("url", [SANDBOX, "https://relais.example.bj", "https://41.79.217.1", "https://134744072"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"api_key": SANDBOX_SECRET_KEY}, ("sk_sandbox_***", "FEDAPAY_API_KEY", "FEDAPAY_API_URL")),
        ({"api_keys": [SANDBOX_SECRET_KEY]}, ("sk_sandbox_***", "api_keys", "FEDAPAY_API_URL")),
        ({"fedapay_webhooks_secret_key": SANDBOX_WEBHOOK_SECRET}, ("wh_sandbox_***", "FEDAPAY_AUTH_KEY", "signer")),
    ],
)
def test_what_the_emulator_publishes_does_not_protect_a_shop(url, changes, words):
    """
    Everybody can read it, and sign a payment with it.
    """
    said = refusal(fedapay_api_url=url, **changes)

    assert all(word in said for word in (*words, "publié", "l'adresse de l'émulateur")), said


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "emulator", "fedapay_emulator", "10.1.2.3", "172.20.0.5", "192.168.1.10",
     "[fd00::1]", "emulator.internal", "poste.local", "shop.test"],
)  # fmt: skip
def test_the_emulator_may_be_in_another_container(host):
    """
    On this machine or a private network, without https, with the key that protects nothing.
    """
    settings = made(fedapay_api_url=f"http://{host}:8080", **PUBLISHED)

    assert (settings.api_url, settings.webhook_secrets) == (f"http://{host}:8080", (Secret(SANDBOX_WEBHOOK_SECRET),))


def test_no_other_key_goes_to_the_emulators_container_in_clear_text():
    """
    Neither for one call nor to find a payment again.
    """
    settings = made(fedapay_api_url="http://emulator:8080", **PUBLISHED)

    with pytest.raises(ConfigError, match="en clair"):
        settings.checked_key(KEY)
    assert "en clair" in refusal(fedapay_api_url="http://emulator:8080", **{**PUBLISHED, "api_keys": [KEY]})


def test_a_short_webhook_secret_is_warned_of_once(caplog):
    """
    It is not shown, as the beginning of a short secret is most of it.
    """
    for _ in range(3):
        made(fedapay_webhooks_secret_key=["wh_sandbox_7Qd2Zk9LrT4", "Court-15-signes"])
    made(fedapay_webhooks_secret_key="Exactly16signs!!")

    (line,) = [each.getMessage() for each in caplog.records if "webhook secret" in each.getMessage()]
    assert "number 2 has 15 characters, fewer than 16" in line and "Court" not in line
