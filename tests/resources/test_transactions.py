"""Transactions and what they share with other resources, against the emulator: paths, lists, refusals."""

import pytest
from support.raw_server import RawServer, answers

from fedapay_sync.enums import TransactionStatus
from fedapay_sync.errors import (
    BadRequest,
    Forbidden,
    InvalidArgument,
    NotFound,
    TransactionIsNotPendingAnymore,
    UnreadableAnswer,
)
from fedapay_sync.models import Transaction
from fedapay_sync.resources.api import Api
from fedapay_sync.transport.transport import Transport

WALKING = [
    "1/../../admin",
    "../admin",
    "..",
    ".",
    "",
    " ",
    "1 ",
    "1\n",
    "1/",
    "1?x=1",
    "1#",
    "é",
    "٣",
    "%2e%2e",
    "a" * 65,
]
NO_IDS = [*WALKING, True, False, None, 1.0, 10**5000, b"1", [1], object()]
REFERENCES = [
    "A/7?b",
    "é",
    "deux mots",
    "../admin",
    "a..b",
    "%2F",
    "100%",
    "a&b=c#d",
    "'\"<>",
    "日本",
    "x" * 255,
    "a+b",
    "a;b",
]
NO_REFERENCES = ["", ".", "..", " a", "a ", "\n", "a\nb", "\ud800", "x" * 256, None, 7, True, b"a"]


def api_to(url, key="sk_sandbox_emulateur_fedapay_sync"):
    return Api(Transport(url, timeouts=(1, 5)), lambda given: given or key).transactions


@pytest.fixture
def transactions(emulator):
    return api_to(emulator.url, emulator.secret_key)


@pytest.fixture
def create(transactions):
    def create(**changes):
        return transactions.create({"description": "Essai", "amount": 500, "currency": {"iso": "XOF"}, **changes})

    return create


def calls(transactions):
    return {
        "retrieve": transactions.retrieve,
        "update": lambda id: transactions.update(id, description="x"),
        "delete": transactions.delete,
        "token": transactions.token,
    }


@pytest.mark.parametrize("name", ["retrieve", "update", "delete", "token"])
def test_an_id_that_could_walk_is_refused_before_the_network(name):
    """
    requests would resolve it to another address, with the key.
    """
    with RawServer(answers(200, {})) as server:
        for id in NO_IDS:
            with pytest.raises(InvalidArgument, match="attendu") as caught:
                calls(api_to(server.url))[name](id)
            assert caught.value.field in ("id", "id_transaction")
        assert server.connections == 0


def test_a_reference_stays_one_segment_of_the_path(transactions, create, emulator):
    """
    Slashes, question marks, accents: found again under exactly that name.
    """
    for reference in REFERENCES:
        made = create(merchant_reference=reference)
        found = transactions.by_merchant_reference(reference)
        assert (found.id, found.merchant_reference) == (made.id, reference)
    looks = [each.path for each in emulator.requests if each.method == "GET"]
    assert all(path.startswith("/v1/transactions/merchant/") for path in looks)


@pytest.mark.parametrize("reference", NO_REFERENCES)
def test_a_reference_that_cannot_be_one_is_refused_before_the_network(reference):
    """
    Also the two that every path swallows, and blanks that FedaPay may cut off.
    """
    with RawServer(answers(200, {})) as server:
        with pytest.raises(InvalidArgument) as caught:
            api_to(server.url).by_merchant_reference(reference)
        assert caught.value.field == "merchant_reference"
        assert server.connections == 0


def test_a_transaction_is_created_read_changed_and_deleted(transactions, create, emulator):
    """
    The whole life of one, with the models that FedaPay's answers become.
    """
    made = create(merchant_reference="CMD-1", custom_metadata={"panier": [1, 2]})
    assert isinstance(made, Transaction) and made.status is TransactionStatus.pending
    assert made.amount == 500 and made.custom_metadata == {"panier": [1, 2]}

    assert transactions.retrieve(made.id) == transactions.retrieve(str(made.id)) == made
    assert transactions.update(made.id, description="Autre").description == "Autre"

    deleted = transactions.delete(made.id)
    assert deleted.delete_status and deleted.status_code == 200
    assert transactions.retrieve(made.id).is_deleted
    with pytest.raises(NotFound) as caught:
        transactions.retrieve(1)
    assert caught.value.status == 404 and caught.value.path == "/transactions/1"


def test_a_paid_transaction_cannot_be_deleted_and_the_error_says_so(transactions, create, emulator):
    """
    FedaPay's 403 has a class of its own, with the transaction and all facts of the answer.
    """
    made = create()
    emulator.approve(made.id)

    with pytest.raises(TransactionIsNotPendingAnymore) as caught:
        transactions.delete(made.id)

    error = caught.value
    assert isinstance(error, Forbidden) and error.id_transaction == made.id
    assert (error.status, error.method, error.path) == (403, "DELETE", f"/transactions/{made.id}")
    assert "n'est plus en attente" in str(error) and str(error) == error.message
    assert error.fedapay_message in error.message


def test_a_refused_creation_tells_the_fields(transactions, create):
    """
    FedaPay's reasons, by field.
    """
    with pytest.raises(BadRequest) as caught:
        create(currency="ABC")
    assert list(caught.value.errors) == ["currency"] and "currency" in str(caught.value)


@pytest.mark.parametrize("body", [None, [], "x", {"amount": object()}, {"amount": float("inf")}])
def test_a_body_that_is_no_object_is_refused_before_the_network(body):
    """
    Nothing that cannot be a transaction is sent.
    """
    with RawServer(answers(200, {})) as server:
        with pytest.raises(InvalidArgument):
            api_to(server.url).create(body)
        assert server.connections == 0


def test_a_token_is_given_for_a_waiting_transaction(transactions, create):
    """
    With the page where the customer can pay.
    """
    token = transactions.token(create().id)
    assert token.token and token.payment_link.endswith(token.token)


@pytest.mark.parametrize("answer", [{}, {"token": None}, {"token": ""}, {"token": 5}, {"url": "https://x"}])
def test_a_token_answer_without_a_token_is_an_error(answer):
    """
    Not a push with an empty one.
    """
    with RawServer(answers(200, answer)) as server, pytest.raises(UnreadableAnswer, match="token"):
        api_to(server.url).token(1)


def test_a_list_goes_through_all_pages(transactions, create, emulator):
    """
    Newest first, each once, page after page as they are needed.
    """
    ids = [create().id for _ in range(7)][::-1]

    page = transactions.list(per_page=3)
    assert [each.id for each in page.items] == ids[:3]
    assert (page.meta.current_page, page.meta.total_pages, page.meta.total_count) == (1, 3, 7)
    before = len(emulator.requests)
    assert [each.id for each in page] == ids
    assert len(emulator.requests) == before + 2
    assert [each.id for each in page] == ids, "a page can be gone through again"
    assert [each.id for each in transactions.list(per_page=3, page=2)] == ids[3:]
    assert list(transactions.list(per_page=3, page=9)) == []
    assert "PagedList(transactions, 3 objets" in repr(page)


def test_a_search_finds_and_goes_through_all_pages(transactions, create):
    """
    The text is a parameter, whatever is in it.
    """
    found = [create(description="Sac & pagne #7").id for _ in range(3)][::-1]
    create(description="Autre")

    assert [each.id for each in transactions.search("pagne #7", per_page=2)] == found
    assert len(list(transactions.search(per_page=2))) == 4
    assert list(transactions.search("&page=2")) == []


def page_of(current, following, *ids):
    return answers(
        200,
        {"v1/transactions": [{"id": id} for id in ids], "meta": {"current_page": current, "next_page": following}},
    )


@pytest.mark.parametrize(
    "plays",
    [
        [page_of(1, 2, 1)],  # does not know the parameter: always its first page
        [page_of(1, 1, 1)],
        [page_of(1, 2, 1), page_of(2, 1, 2)],
        [page_of(1, 2, 1), page_of(2, 3)],
        [page_of({"a": 1}, 2, 1), page_of([1], 2, 2)],
        [page_of(1, {"a": 1}, 1)],
        [page_of(1, "soon", 1)],
        [answers(200, {"v1/transactions": [{"id": 1}]})],
        [answers(200, {"v1/transactions": [{"id": 1}], "meta": [1]})],
        [answers(200, [{"id": 1}])],
    ],
)
def test_a_list_that_never_ends_is_ended(plays):
    """
    A server that forgets its place does not keep us for ever, nor break the program.
    """
    with RawServer(*plays) as server:
        assert 1 <= len(list(api_to(server.url).list())) <= 2
        assert len(server.requests) <= 2


@pytest.mark.parametrize(
    "body", [b"{}", b"", b"null", b'{"v1/transactions": {}}', b'{"v1/transactions": [1]}', b"[null]"]
)
def test_something_else_where_a_list_is_due_is_an_error(body):
    """
    With method, path and status.
    """
    with RawServer(answers(200, body)) as server:
        with pytest.raises(UnreadableAnswer) as caught:
            api_to(server.url).list()
        assert (caught.value.method, caught.value.path, caught.value.status) == ("GET", "/transactions", 200)


@pytest.mark.parametrize("id", [None, "1/../2", {"a": 1}, [1], True, 1.5, ""])
def test_a_transaction_without_a_usable_id_is_an_error(id):
    """
    What it is could not be followed.
    """
    with RawServer(answers(200, {"v1/transaction": {"id": id, "status": "pending"}})) as server:
        with pytest.raises(UnreadableAnswer, match="relire"):
            api_to(server.url).retrieve(1)
        assert len(server.requests) == 1


def test_odd_fields_do_not_stop_a_list():
    """
    They are kept as they came.
    """
    items = [{"id": 1, "amount": "12.5"}, {"id": 2, "status": "nouveau", "new_field": [1]}]
    with RawServer(answers(200, {"v1/transactions": items})) as server:
        first, second = api_to(server.url).list()
    assert first.amount == "12.5" and second.status == "nouveau" and second.extra == {"new_field": [1]}
