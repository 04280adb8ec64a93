"""The holder of a secret shows nothing of it, whatever is done with it."""

import copy
import json
import logging
import pickle
import traceback

import pytest
import sentry_sdk

from fedapay_sync.common.secret import Secret, held

TEXT = "sk_live_Zq81Geheim"


def test_no_text_of_it_comes_out(caplog):
    secret = Secret(TEXT)
    logging.getLogger("of the shop").warning("key %s %r", secret, [secret])
    shown = [
        str(secret), repr(secret), f"{secret}", f"{secret:>40}", format(secret), repr({"key": secret}),
        repr(vars(type(secret))), caplog.text, json.dumps(secret, default=repr), repr(dir(secret)),
    ]  # fmt: skip
    assert not [each for each in shown if "Geheim" in each]
    with pytest.raises(TypeError):
        vars(secret)
    for give_away in (pickle.dumps, json.dumps):
        with pytest.raises(TypeError):
            give_away(secret)
    assert not isinstance(secret, str) and secret.reveal() == TEXT


def test_trackers_that_know_texts_see_nothing():
    """
    In a frame whose local variable it is, as in every frame of ours while a call is under way.
    """
    sent = []

    def fails(key):
        raise ValueError("no")

    with sentry_sdk.isolation_scope():
        sentry_sdk.init(
            dsn="https://public@sentry.example/1",
            before_send=lambda event, hint: sent.append(event),
            default_integrations=False,
            include_source_context=False,
        )
        try:
            fails(Secret(TEXT))
        except ValueError as error:
            sentry_sdk.capture_exception(error)
            shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        sentry_sdk.init()
    frames = [frame["vars"] for frame in sent[0]["exception"]["values"][0]["stacktrace"]["frames"]]
    assert "Secret(***)" in json.dumps(frames[-1]) and "Geheim" not in json.dumps(frames)
    assert "key = Secret(***)" in shown and "Geheim" not in shown


def test_it_compares_and_hashes_as_its_text_and_is_no_text():
    assert Secret(TEXT) == Secret(TEXT) != Secret("sk_live_other")
    assert len({Secret(TEXT), Secret(TEXT)}) == 1 and Secret(TEXT) != TEXT
    assert copy.copy(Secret(TEXT)) == copy.deepcopy(Secret(TEXT)) == held(TEXT) == held(Secret(TEXT))
    assert Secret("\ud800") == Secret("\ud800")
