"""Encodes what a call sends (path, query, headers, body), or refuses it before anything leaves."""

import json
import urllib.parse
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from numbers import Real
from typing import Any, Dict, Iterator, Optional, Tuple

import marshmallow

from fedapay_sync._version import VERSION
from fedapay_sync.common.masking import mask
from fedapay_sync.enums import MethodesPaiement
from fedapay_sync.errors import InvalidArgument
from fedapay_sync.models.params.fields import HEADER_NAME, HEADER_VALUE, Moment

# No call needs them; FedaPay writes them into its log of calls. The last three are what older clients send.
_HEADERS = {
    "User-Agent": f"fedapay_sync/{VERSION}",
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "Connection": "keep-alive",
    "X-FedaPay-Lib": "fedapay_sync PythonLib",
    "X-FedaPay-Lib-Version": VERSION,
    "X-FedaPay-Api-Version": "v1",
    "X-Source": "fedapay_sync PythonLib",
    "X-Version": VERSION,
    "X-Api-Version": "v1",
}
#: Sender, receiver and end of the request are said by these: not for a caller to set.
_OURS = frozenset(
    "authorization proxy-authorization host connection content-type content-length transfer-encoding expect te "
    "trailer upgrade cookie accept accept-encoding".split()
)
_MOMENT = Moment()


def quote_segment(part: object) -> str:
    """
    One segment of a path that cannot become two, whatever it holds.

    Raises:
        InvalidArgument: it would be none, or lead elsewhere.
    """
    text = str(part)
    try:
        if text not in ("", ".", ".."):
            return urllib.parse.quote(text, safe="")
    except UnicodeError:
        pass
    raise InvalidArgument(
        f"{text[:20]!r} ne peut pas faire partie d'une adresse : une référence lisible est attendue.",
        field="reference",
    )


def build_query(params: Optional[Mapping[str, Any]]) -> str:
    """A query string in FedaPay's form: ``filters[type]=…``, ``key[]=…``, true and false in small letters."""
    try:
        pairs = [pair for name, value in (params or {}).items() for pair in _query_pairs(name, value)]
        return "?" + urllib.parse.urlencode(pairs) if pairs else ""
    except (UnicodeError, RecursionError):
        raise InvalidArgument(
            "Paramètre illisible : du texte Unicode bien formé est attendu, et rien qui se contienne lui-même.",
            field="params",
        ) from None


def _query_pairs(name: str, value: Any) -> Iterator[Tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _query_pairs(f"{name}[{key}]", each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _query_pairs(f"{name}[]", each)
    elif value is not None:
        yield name, _query_text(name, value)


def _query_text(name: str, value: Any) -> str:
    """
    One value of a query.

    Raises:
        InvalidArgument: what has no text that FedaPay would understand.
    """
    if isinstance(value, Enum):
        # The code of an operator is the member's name, as in a body.
        value = value.name if isinstance(value, MethodesPaiement) else value.value
    if isinstance(value, bool):
        return str(value).lower()
    problem = f"un texte, un nombre, une date ou une liste est attendu, reçu {type(value).__name__}"
    try:
        if isinstance(value, datetime):
            return str(_MOMENT.read(value))
        if isinstance(value, (str, Real, Decimal, date)):
            return str(value)
    except marshmallow.ValidationError as error:
        problem = str(error.messages[0])
    except ValueError:
        problem = "ce nombre a trop de chiffres"
    raise InvalidArgument(f"{mask(name)[:80]} : {problem}.", field=name)


def encode_json(body: Mapping[str, Any]) -> bytes:
    """The JSON to send. What cannot be written is refused here, where it is certain that nothing was sent."""
    try:
        return json.dumps(dict(body), ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgument(
            f"Ce corps ne s'écrit pas en JSON ({type(error).__name__}) : donner des dictionnaires, listes, textes, "
            "nombres finis, vrai, faux ou None.",
            field="body",
        ) from None


def build_headers(given: Optional[Mapping[str, str]], *, has_body: bool) -> Dict[str, str]:
    """
    The headers of a call but the key: ours, and what the caller adds.

    Raises:
        InvalidArgument: what cannot be a header, or one that is not for a caller to set.
    """
    headers = dict(_HEADERS)
    for name, value in (given or {}).items():
        if not isinstance(name, str) or not HEADER_NAME.match(name) or name.lower() in _OURS:
            raise InvalidArgument(
                f"En-tête HTTP refusé : {mask(repr(name))[:120]}. Un nom comme FedaPay-Account est attendu ; ceux "
                "qui portent la clé ou délimitent la requête ne se changent pas.",
                field="headers",
            )
        if not isinstance(value, str) or not HEADER_VALUE.match(value):
            raise InvalidArgument(
                f"En-tête HTTP {mask(name)} illisible : un texte ASCII d'une seule ligne est attendu, sans espace au "
                "début ni à la fin.",
                field="headers",
            )
        headers[name] = value
    if has_body:
        headers["Content-Type"] = "application/json"
    return headers
