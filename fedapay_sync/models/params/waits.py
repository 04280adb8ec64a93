"""Checks what a caller that waits gives: a number of seconds, identifiers, what a browser brought back."""

from collections.abc import Iterable, Mapping
from typing import Any, List, Union
from urllib.parse import parse_qs

from fedapay_sync.common.masking import safe_repr
from fedapay_sync.errors import InvalidArgument, TransactionId
from fedapay_sync.models.params.identifiers import canonical_id, checked_transaction_id, public_id


def checked_timeout(timeout: float) -> float:
    """
    Seconds to wait.

    Raises:
        InvalidArgument: no number of seconds, negative, not finite, or more than a month.
    """
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 <= timeout <= 31 * 86400:
        raise InvalidArgument(
            f"timeout={safe_repr(timeout)} : un nombre de secondes de 0 (regarder une fois) à {31 * 86400} est "
            "attendu ; 600 par défaut.",
            field="timeout",
        )
    return float(timeout)


def checked_ids(ids: Iterable[TransactionId]) -> List[TransactionId]:
    """
    The identifiers of transactions, a text in the one way in which it is stored.

    Raises:
        InvalidArgument: no list, or one of them is no identifier.
    """
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable):
        raise InvalidArgument(
            f"ids={safe_repr(ids)} : une liste d'identifiants FedaPay est attendue ; pour un seul, appeler listen.",
            field="ids",
        )
    given = list(ids)
    for each in given:
        checked_transaction_id(each)
    return [canonical_id(each) if isinstance(each, str) else each for each in given]


def _query_of(text: str) -> str:
    """The query of an address, or the text itself."""
    before, mark, after = text.partition("#")[0].partition("?")
    return after if mark else before


def id_of_return(query: Union[Mapping[str, Any], str]) -> TransactionId:
    """
    The transaction that the payer's browser comes back from. FedaPay adds ``id`` and ``status`` to the address
    (documentation, page « checkout »); neither is signed.

    Args:
        query: the parameters as a mapping, of texts or of lists of texts; a query string; or a whole address.

    Raises:
        InvalidArgument: no id, or more than one.
    """
    found: Any = None
    if isinstance(query, Mapping):
        several = query.getlist("id") if hasattr(query, "getlist") else query.get("id")
        found = several if isinstance(several, (list, tuple)) else [] if several is None else [several]
    elif isinstance(query, str):
        found = parse_qs(_query_of(query)).get("id", [])
    if not isinstance(found, (list, tuple)) or len(found) != 1:
        given = safe_repr(query) if isinstance(query, str) else type(query).__name__
        raise InvalidArgument(
            f"returned : un « id » et un seul est attendu dans l'adresse de retour, reçu {given}. Donner ses "
            "paramètres, request.args avec Flask, request.GET avec Django, et pas d'« id » à soi dans callback_url.",
            field="id",
        )
    return public_id(checked_transaction_id(found[0]))
