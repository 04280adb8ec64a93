"""
Whatever bytes come well signed: they are kept, as an event or aside, and nothing but that happens.
"""

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fedapay_sync import Connector, signature
from fedapay_sync.errors import EventError
from fedapay_sync.workflow.webhooks.history import decode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
EVENTS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["transaction.approved", "payout.sent", "x" * 70]) | JSON,
        "entity": JSON
        | st.fixed_dictionaries(
            {"id": st.integers() | st.text(max_size=70)},
            optional={
                "klass": st.text(max_size=8).map(lambda text: f"v1/{text}") | JSON,
                "status": JSON,
                "amount": JSON,
                "currency_id": JSON,
                "updated_at": JSON,
                "deleted_at": JSON,
            },
        ),
    },
    optional={"object": JSON, "object_id": JSON, "account": JSON},
)


def cut_somewhere(text):
    """The text with a piece of it gone, or another put in."""
    places = st.tuples(st.integers(0, len(text)), st.integers(0, len(text)), st.binary(max_size=4))
    return places.map(lambda parts: text[: min(parts[:2])] + parts[2] + text[max(parts[:2]) :])


WHOLE = EVENTS.map(lambda event: json.dumps(event).encode())
BODIES = WHOLE | WHOLE.flatmap(cut_somewhere) | st.binary(max_size=60) | JSON.map(lambda v: json.dumps(v).encode())

DEEP = b'{"name": "transaction.approved", "entity": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
LONG = b'{"name": "transaction.approved", "entity": {"id": ' + b"7" * 5_000 + b"}}"


@settings(max_examples=400, deadline=None)
@given(BODIES)
@example(DEEP)
@example(LONG)
@example(b'{"name": 1e400, "entity": {"id": -Infinity}}')
@example(b"\xef\xbb\xbf{}")
@example(b'"\\ud800"')
def test_the_reader_gives_an_object_or_its_own_error(body):
    """
    Arbitrary bytes, JSON cut anywhere, nests and numbers without end.
    """
    try:
        assert isinstance(decode(body), dict)
    except EventError:
        return


@pytest.fixture(scope="module")
def inbox(tmp_path_factory):
    """The entrance of a shop that nothing is told of."""
    connector = Connector(
        "https://sandbox-api.fedapay.com",
        api_key="sk_sandbox_x",
        fedapay_webhooks_secret_key="wh_x",
        db_url=f"sqlite:///{tmp_path_factory.mktemp('inbox')}/processes.db",
    )
    yield connector._per_process.get().inbox
    connector.close()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(BODIES)
@example(DEEP)
@example(LONG)
def test_whatever_is_well_signed_is_kept_once(inbox, body):
    """
    Refused, FedaPay would repeat it ten times and then switch the webhook off. The second time it is known.
    """
    header = signature.sign(body, "wh_x")
    inbox.receive(body, header)

    assert not inbox.receive(body, header).new
