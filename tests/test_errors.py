"""
Errors: they travel between processes with their facts, and have the parents that a program expects.
"""

import copy
import pickle

import pytest

from fedapay_sync import errors
from fedapay_sync.errors import (
    ApiError,
    FedapayError,
    FedapayServerError,
    Forbidden,
    InvalidArgument,
    PortUnavailable,
    RateLimited,
)


def every_class(root=FedapayError):
    return [root, *(each for child in root.__subclasses__() for each in every_class(child))]


CLASSES = sorted({each for each in every_class() if each.__module__ == errors.__name__}, key=lambda kind: kind.__name__)

FACTS = {
    "id_transaction": 512345,
    "field": "email",
    "host": "127.0.0.1",
    "port": 3000,
    "method": "POST",
    "path": "/v1/transactions",
    "cause": "ConnectTimeout",
    "status": 422,
    "fedapay_message": "Montant invalide",
    "errors": {"amount": ["doit être positif"]},
    "retry_after": 2.5,
    "expected": "15000 XOF",
    "received": "150 XOF",
}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "travel",
    [copy.copy, copy.deepcopy]
    + [
        lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    ],
)
def test_an_error_keeps_its_facts_when_it_travels(kind, travel):
    """
    Through every pickle protocol and both copies: class, sentence, facts.
    """
    there = travel(kind("Paiement refusé : é, 500 F.", **FACTS))

    assert type(there) is kind
    assert str(there) == there.message == "Paiement refusé : é, 500 F."
    assert there.args == ("Paiement refusé : é, 500 F.",)
    assert {name: getattr(there, name) for name in FACTS} == FACTS


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_has_a_code_a_root_and_a_docstring(kind):
    """
    The code is the class's own name, for a journal; one except catches the whole package.
    """
    error = kind("non")

    assert error.code == kind.__name__
    assert error.code.isascii()
    assert isinstance(error, FedapayError)
    assert kind.__doc__
    assert "non" in repr(error)
    assert error.id_transaction is None


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_without_a_sentence_is_still_one(kind):
    """
    No argument, an empty text.
    """
    assert str(kind()) == ""
    assert str(pickle.loads(pickle.dumps(kind()))) == ""


@pytest.mark.parametrize(
    ("name", "parent"),
    [
        ("ConfigError", ValueError),
        ("InvalidArgument", ValueError),
        ("InvalidCountryPaymentCombination", InvalidArgument),
        ("PortUnavailable", OSError),
        ("NotSent", errors.TransportError),
        ("OutcomeUnknown", errors.TransportError),
        ("TransactionIsNotPendingAnymore", Forbidden),
        *[
            (name, ApiError)
            for name in "BadRequest AuthenticationError Forbidden NotFound Conflict RateLimited ServerFault "
            "UnreadableAnswer".split()
        ],
    ],
)
def test_an_error_has_the_parents_that_a_program_catches(name, parent):
    """
    As the tree at the top of the module draws it.
    """
    assert issubclass(getattr(errors, name), parent)


def test_the_tree_at_the_top_of_the_module_names_every_class():
    """
    Who reads the page misses none.
    """
    assert CLASSES
    assert [kind.__name__ for kind in CLASSES if kind.__name__ not in errors.__doc__] == []


def test_the_facts_have_defaults():
    """
    An error raised in haste can be asked for everything.
    """
    assert (ApiError().status, ApiError().errors, ApiError().fedapay_message) == (0, {}, "")
    assert RateLimited().retry_after is None
    assert InvalidArgument().field == ""


def test_a_taken_port_is_an_os_error_with_our_sentence():
    """
    ``except OSError`` catches it; its text is ours and not "[Errno …]".
    """
    with pytest.raises(OSError, match=r"^Le port 3000 est pris\.$") as refused:
        raise PortUnavailable("Le port 3000 est pris.", host="127.0.0.1", port=3000)

    assert (refused.value.host, refused.value.port) == ("127.0.0.1", 3000)


def test_the_name_of_the_asynchronous_connector_catches_the_same():
    """
    ``except FedapayServerError`` goes on working.
    """
    assert FedapayServerError is ApiError
