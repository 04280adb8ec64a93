"""OAuth tokens of the emulated API: asked for without a key, then used as one."""

import pytest
import requests

from fedapay_sync.emulator import Emulator
from fedapay_sync.emulator.resources.oauth import OAUTH_CLIENT_ID, OAUTH_CLIENT_SECRET

GOOD = {"grant_type": "client_credentials", "client_id": OAUTH_CLIENT_ID, "client_secret": OAUTH_CLIENT_SECRET}


def ask(emulator, **options):
    """Without any key."""
    return requests.post(emulator.url + "/v1/oauth/token", timeout=10, **options)


@pytest.mark.parametrize("sent", ["json", "data"])
def test_a_known_client_gets_a_token_without_a_key(sent, emulator):
    """
    Flat, with the time as a text of seconds; as JSON and as a form.
    """
    answer = ask(emulator, **{sent: GOOD})
    assert answer.status_code == 200
    token = answer.json()
    assert list(token) == ["access_token", "token_type", "scope", "created_at"]
    assert (token["token_type"], token["scope"]) == ("Bearer", "read_write")
    assert token["created_at"].isdigit()
    assert ask(emulator, json=GOOD).json()["access_token"] != token["access_token"]


def test_a_token_opens_the_api_in_place_of_the_key(api, emulator):
    """
    With FedaPay-Account beside it; a text that is no token opens nothing.
    """
    token = ask(emulator, json=GOOD).json()["access_token"]
    assert api("GET", "/v1/pages", key=token, headers={"FedaPay-Account": "30211"}).status_code == 200
    assert api("GET", "/v1/pages", key=token[:-1]).status_code == 401
    assert api("GET", "/v1/pages", key=token.upper()).status_code == 401


def test_a_token_survives_with_the_file(tmp_path, client_of):
    """
    It opens the next emulator too.
    """
    with Emulator(state=tmp_path / "shop.fedapay") as emulator:
        token = ask(emulator, json=GOOD).json()["access_token"]
    with Emulator(state=tmp_path / "shop.fedapay") as emulator:
        assert client_of(emulator)("GET", "/v1/pages", key=token).status_code == 200


@pytest.mark.parametrize("field", ["client_id", "client_secret"])
def test_an_unknown_client_is_401(field, emulator):
    """
    In French, and in English when asked.
    """
    answer = ask(emulator, json={**GOOD, field: "é" + GOOD[field]})
    assert (answer.status_code, answer.json()) == (401, {"message": "Client OAuth inconnu", "errors": {}})
    english = ask(emulator, json={**GOOD, field: "x", "locale": "en"})
    assert english.json()["message"] == "Unknown OAuth client"


@pytest.mark.parametrize("field", sorted(GOOD))
@pytest.mark.parametrize("value", [None, "", [], {}, 5, True])
def test_what_is_missing_is_named(field, value, emulator):
    """
    400 in FedaPay's own words.
    """
    answer = ask(emulator, json={**GOOD, field: value})
    assert answer.status_code == 400
    assert answer.json()["message"] == f"Paramètre manquant ou la valeur est vide {field}"


def test_another_grant_is_refused(emulator):
    """
    Only client_credentials is known.
    """
    answer = ask(emulator, json={**GOOD, "grant_type": "password"})
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == ["grant_type"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_a_post_gets_a_token(method, api):
    """
    To the router another method is an unknown address.
    """
    assert api(method, "/v1/oauth/token").status_code == 404
