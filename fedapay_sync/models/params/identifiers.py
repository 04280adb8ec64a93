"""Checks what becomes part of an address: identifiers, merchant references, codes of operators."""

import re
from typing import Any

from fedapay_sync.common.masking import safe_repr
from fedapay_sync.enums import MethodesPaiement
from fedapay_sync.errors import InvalidArgument, TransactionId

_MAX_REFERENCE = 255
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
#: A number that no object has.
_NO_ID = re.compile(r"-\d+\Z|0+\Z")


def checked_id(value: Any, field: str = "id_transaction") -> str:
    """
    An identifier that stays one segment of a path.

    Raises:
        InvalidArgument: anything else.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 63:
        return str(value)
    if isinstance(value, str) and _ID.match(value) and not _NO_ID.match(value):
        return str(value)
    raise InvalidArgument(
        f"{field} : {safe_repr(value)} n'est pas un identifiant FedaPay ; un nombre à partir de 1, ou un texte de "
        "lettres, chiffres, « - » et « _ » est attendu.",
        field=field,
    )


def checked_transaction_id(value: Any) -> str:
    """
    The id of a transaction, in the one way in which it is stored and compared.

    Raises:
        InvalidArgument: anything that is no identifier.
    """
    return canonical_id(checked_id(value))


def canonical_id(text: str) -> str:
    """One way to write an id: FedaPay's are numbers, and 0123 is 123."""
    return text.lstrip("0") or "0" if text.isascii() and text.isdigit() else text


def checked_reference(reference: Any) -> str:
    """
    A merchant reference that can be looked up again.

    Raises:
        InvalidArgument: anything else. ``.`` and ``..`` would be walked through, and blanks around it may be cut off by
            FedaPay, which would then not know it under the name that was given.
    """
    if (
        isinstance(reference, str)
        and 0 < len(reference) <= _MAX_REFERENCE
        and reference.isprintable()
        and reference == reference.strip()
        and reference not in (".", "..")
    ):
        return str(reference)
    as_text = ""
    if isinstance(reference, int):
        as_text = ' Un nombre se donne dans un texte à soi, comme "CMD-17" : une autre base aurait aussi un 17.'
    raise InvalidArgument(
        f"merchant_reference : {safe_repr(reference)} est refusé ; un texte d'une ligne, de 1 à {_MAX_REFERENCE} "
        f"caractères, sans espace au début ni à la fin, est attendu, unique pour toujours dans ce compte.{as_text}",
        field="merchant_reference",
    )


def checked_mode(mode: Any) -> str:
    """
    The code of an operator, which may be one that this version does not know.

    Raises:
        InvalidArgument: anything that cannot be a code.
    """
    return checked_id(mode.name if isinstance(mode, MethodesPaiement) else mode, "mode")


def public_id(stored: str) -> TransactionId:
    """An id out of the store, as FedaPay gives it: a number where it is one."""
    return int(stored) if stored.isascii() and stored.isdigit() else stored
