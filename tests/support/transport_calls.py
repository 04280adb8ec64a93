"""A transport that waits for nothing, alone or in a connector, and a look at what every error of it owes."""

import pickle
import re
import traceback

import pytest
from support.raw_server import answers

from fedapay_sync.common.masking import mask
from fedapay_sync.errors import FedapayError
from fedapay_sync.transport.transport import Transport

KEY = "sk_sandbox_TresSecretDuMarchand"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOjUxMjM0NX0.c2lnbmF0dXJl"
GOOD = answers(200, {"v1/transaction": {"id": 1}})


class Pauses(list):
    """How to wait between two attempts: at once, remembering how long it would have been."""

    def __call__(self, seconds):
        self.append(seconds)


def transport_to(url, *, timeouts=(1.0, 0.25), **options):
    return Transport(url, timeouts=timeouts, **{"pause": Pauses(), **options})


def repeat_at_once(connector):
    """Have it repeat a failed call without a pause: how long one would be is tested with the transport."""
    runtime = connector._per_process.get()
    runtime.transport.pause = runtime.quick_transport.pause = Pauses()
    return connector


def ask(transport, method="GET", path="/transactions/1", **options):
    return transport.request(method, path, key=KEY, **options)


def failure(transport, method="GET", path="/transactions/1", **options):
    """The error of a call that must fail, after a look at what every error must have."""
    with pytest.raises(FedapayError) as caught:
        ask(transport, method, path, **options)
    error = caught.value
    assert (error.method, error.path) == (method, mask(path))
    assert method in error.message and str(error) == error.message
    assert re.search(r"relire|vérifier|recommencer|prévenir|Ralentir|droit", error.message, re.IGNORECASE), (
        error.message
    )
    assert_tells_no_secret(error)
    return error


def assert_tells_no_secret(error, *secrets):
    """Neither the error, nor what it came from, nor its pickle, nor its traceback."""
    chain, one = [], error
    while one is not None:
        chain.append(one)
        one = one.__cause__ or one.__context__
    told = "".join(f"{one!r}{one.__dict__!r}" for one in chain)
    told += "".join(traceback.format_exception(type(error), error, error.__traceback__))
    told += repr(pickle.dumps(error))
    for secret in (KEY, TOKEN, "search=", *secrets):
        assert secret not in told
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error) and str(copy) == str(error) and copy.__dict__ == error.__dict__
