"""What one payment asks of the database, counted: each commit is a wait for the disk."""

import pytest
from support.raw_server import RawServer, answers
from support.statements import statements_of

from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.store import Store
from fedapay_sync.store.tables import PaymentRow

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")


@pytest.fixture(params=["sqlite", "postgres"])
def db_url(request):
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def statements(caplog):
    """The statements of a call."""
    return lambda call: statements_of(caplog, call)


@pytest.fixture
def pay(make_connector):
    connector = make_connector()
    numbers = iter(range(100))

    def pay():
        return connector.pay(SETUP, CLIENT, 500, merchant_reference=f"CMD-{next(numbers)}")

    pay()
    return pay


def fewest(statements, call):
    """Of five calls, that which nothing else of the process has written beside."""
    return min((statements(call) for _ in range(5)), key=len)


def test_a_payment_is_two_commits_and_three_statements(pay, statements):
    """
    The intent before the creation; the id and the claim of the prompt, together, before the prompt.
    """
    seen = fewest(statements, pay)

    assert seen.count("COMMIT") == 2
    ours = [each.split()[0] for each in seen if "fp_payment" in each or "fp_event" in each]
    assert ours == ["INSERT", "UPDATE", "SELECT"]


def test_another_process_sees_each_step_before_fedapay_is_asked(make_connector, db_url):
    """
    The intent before the creation; its id, and that the prompt may have gone out, before the prompt.
    """
    seen = []
    other = Store(db_url)
    made = {"id": 7, "status": "pending", "amount": 500, "payment_token": "t", "payment_url": "https://p.example/t"}

    def look(server, connection, request):
        rows = PaymentRow.select(PaymentRow.state, PaymentRow.transaction_id).tuples()
        seen.append((request.target, *other.read(lambda database: list(rows.execute(database)))))
        is_creation = request.target == "/v1/transactions"
        body = {"v1/transaction": made} if is_creation else {"v1/payment_intent": {"id": 1, "status": "pending"}}
        return answers(200, body)(server, connection, request)

    with RawServer(look) as server:
        make_connector(fedapay_api_url=server.url).pay(SETUP, CLIENT, 500)
    other.close()

    assert seen == [("/v1/transactions", ("intent", None)), ("/v1/momo_test", ("sent", "7"))]


def test_where_fedapay_sends_no_token_the_prompt_is_claimed_once_it_has(make_connector, db_url):
    """
    A death while the token is asked for leaves a payment whose prompt may still go out.
    """
    seen = []
    other = Store(db_url)

    def look(server, connection, request):
        rows = PaymentRow.select(PaymentRow.state).tuples()
        seen.append((request.target, *other.read(lambda database: list(rows.execute(database)))))
        body = {
            "/v1/transactions": {"v1/transaction": {"id": 7, "status": "pending", "amount": 500}},
            "/v1/transactions/7/token": {"token": "t", "url": "https://p.example/t"},
        }.get(request.target, {"v1/payment_intent": {"id": 1, "status": "pending"}})
        return answers(200, body)(server, connection, request)

    with RawServer(look) as server:
        make_connector(fedapay_api_url=server.url).pay(SETUP, CLIENT, 500)
    other.close()

    assert [state for _, (state,) in seen] == ["intent", "created", "sent"]
