"""Model of the OAuth token with which an application acts for a merchant's account."""

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, ClassVar, Optional, Tuple, Union

from fedapay_sync.models.base import Model
from fedapay_sync.models.schema import read_datetime


def _parse_moment(value: Any) -> datetime:
    """A moment from Unix seconds, as FedaPay sends them in a text, or from the ISO text that we write."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and value.isascii() and value.isdigit():
        try:
            return datetime.fromtimestamp(int(value), timezone.utc)
        except (OverflowError, OSError, ValueError):
            raise ValueError("un nombre de secondes est attendu") from None
    return read_datetime(value)


@dataclass(frozen=True)
class OAuthToken(Model):
    """
    Jeton OAuth. Il s'emploie comme une clé API ; rien ne l'affiche, sauf ``to_dict``.

    Attributes:
        access_token: le jeton.
        scope: droits accordés, ``read_write`` par exemple.
        created_at: instant de la création, en UTC.
        expires_in: durée de vie en secondes, si FedaPay la dit.
    """

    _repr_fields: ClassVar[Tuple[str, ...]] = ("token_type", "scope", "created_at")

    access_token: Optional[str] = None
    token_type: Optional[str] = None
    scope: Optional[str] = None
    created_at: Optional[datetime] = field(default=None, metadata={"read": _parse_moment})
    expires_in: Union[int, str, None] = None
