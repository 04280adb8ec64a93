"""Model of a currency."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, List, Optional, Tuple

from fedapay_sync.models.base import FedapayObject


@dataclass(frozen=True)
class Currency(FedapayObject):
    """
    Devise ; l'identifiant 1 est le XOF.

    Attributes:
        iso: code ISO 4217 en lettres, ``XOF``.
        code: code ISO 4217 en chiffres, ``952``.
        div: nombre de subdivisions ; 1 pour le XOF, qui n'a pas de centimes.
        modes: codes des opérateurs ouverts dans cette devise.
        created_at: instant de la création, en UTC.
    """

    envelope: ClassVar[str] = "v1/currency"
    _repr_fields: ClassVar[Tuple[str, ...]] = ("id", "iso")

    name: Optional[str] = None
    iso: Optional[str] = None
    code: Optional[int] = None
    prefix: Optional[str] = None
    suffix: Optional[str] = None
    div: Optional[int] = None
    default: Optional[bool] = None
    modes: Optional[List[str]] = None
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None
