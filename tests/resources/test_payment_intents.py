"""The prompt on the phone: what is sent, and what comes back in any of its forms."""

import pytest
from support.raw_server import RawServer, answers

from fedapay_sync import Integration, InvalidArgument, MethodesPaiement, OutcomeUnknown, TransactionStatus


def api_to(url):
    return Integration(url, default_api_key="sk_sandbox_x")


def test_a_push_nests_the_phone_number(emulator):
    """
    At the top level FedaPay does not see it; without one the customer's own is used.
    """
    api = Integration(emulator.url, default_api_key=emulator.secret_key)
    made = api.transactions.create(
        description="Essai",
        amount=500,
        currency="XOF",
        customer={"email": "a@b.bj", "phone_number": {"number": "0164000001", "country": "bj"}},
    )
    token = made.payment_token
    intent = api.payment_intents.create(MethodesPaiement.momo_test, token, number="0166000001", country="bj")
    assert intent.status is TransactionStatus.pending and intent.mode == "momo_test"
    api.payment_intents.create("momo_test", token)

    pushes = [each.json for each in emulator.requests if each.path == "/v1/momo_test"]
    assert pushes == [{"token": token, "phone_number": {"number": "0166000001", "country": "bj"}}, {"token": token}]


def test_the_older_answer_of_the_official_samples_is_read():
    """
    Only a message: neither an id nor a status.
    """
    with RawServer(answers(200, {"message": "success"})) as server:
        intent = api_to(server.url).payment_intents.create("mtn_open", "token")

    assert (intent.id, intent.status, intent.extra) == (None, None, {"message": "success"})


@pytest.mark.parametrize("mode", ["../transactions", "", "mtn open", "mtn/open", None, 1.5, object()])
def test_a_mode_that_could_walk_is_refused_before_the_network(mode):
    """
    It is the whole path of this call.
    """
    with RawServer(answers(200, {})) as server:
        with pytest.raises(InvalidArgument) as caught:
            api_to(server.url).payment_intents.create(mode, "token")
        assert caught.value.field == "mode"
        assert server.connections == 0


def test_a_push_without_an_answer_is_never_repeated(emulator):
    """
    The phone may be ringing.
    """
    api = Integration(emulator.url, default_api_key=emulator.secret_key)
    person = {"email": "a@b.bj", "phone_number": {"number": "0164000001", "country": "bj"}}
    made = api.transactions.create(description="Essai", amount=500, currency="XOF", customer=person)
    emulator.fail_next("/v1/momo_test", cut="after")

    with pytest.raises(OutcomeUnknown):
        api.payment_intents.create("momo_test", made.payment_token)

    assert [each.path for each in emulator.requests].count("/v1/momo_test") == 1
