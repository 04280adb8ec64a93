"""What FedaPay is asked for, checked before it is asked."""

import json
from typing import Any, Dict, Mapping, Optional

from ..catalogue import currency_of
from ..errors import InvalidArgument
from .payment import PaiementSetup, UserData, whole_amount

#: More francs than that, the database cannot write down.
_MAX_AMOUNT = 10**15


def transaction_request(
    setup: PaiementSetup,
    client: Optional[UserData],
    amount: int,
    callback_url: Optional[str],
    custom_metadata: Optional[Mapping[str, Any]],
    description: Optional[str],
) -> Dict[str, Any]:
    """
    The body of a creation, without the merchant reference.

    Raises:
        InvalidArgument: something that FedaPay would certainly refuse, or that is no payment.
    """
    if not isinstance(setup, PaiementSetup):
        raise InvalidArgument(
            f"setup : un PaiementSetup est attendu, reçu {type(setup).__name__}. Exemple : "
            "PaiementSetup(pays=Pays.benin, method=MethodesPaiement.mtn_open).",
            field="setup",
        )
    if client is not None and not isinstance(client, UserData):
        raise InvalidArgument(
            f"client_infos : un UserData est attendu, reçu {type(client).__name__}. Exemple : "
            "UserData(nom='Doe', prenom='John', email='john@example.com', tel='0164000001').",
            field="client_infos",
        )
    body: Dict[str, Any] = {
        "description": _text(description, "description") or "Paiement",
        "amount": _amount(amount),
        "currency": {"iso": currency_of(setup.pays).value},
    }
    if _text(callback_url, "callback_url"):
        body["callback_url"] = callback_url
    if client is not None:
        body["customer"] = _customer(client, setup)
    if custom_metadata is not None:
        body["custom_metadata"] = _json_object(custom_metadata)
    return body


def _amount(amount: Any) -> int:
    francs = whole_amount(amount)
    if francs > _MAX_AMOUNT:
        raise InvalidArgument(
            f"montant_paiement : plus de {_MAX_AMOUNT} francs, vérifier l'unité.", field="montant_paiement"
        )
    return francs


def _customer(client: UserData, setup: PaiementSetup) -> Dict[str, Any]:
    customer: Dict[str, Any] = {"firstname": client.prenom, "lastname": client.nom}
    if client.email is not None:
        customer["email"] = client.email
    if client.tel is not None:
        customer["phone_number"] = {"number": client.tel, "country": setup.pays.value}
    return customer


def _text(value: Optional[str], field: str) -> Optional[str]:
    if value is not None and not isinstance(value, str):
        raise InvalidArgument(f"{field} : un texte est attendu, reçu {type(value).__name__}.", field=field)
    return value


def _json_object(value: Mapping[str, Any]) -> Dict[str, Any]:
    try:
        if not isinstance(value, Mapping):
            raise TypeError(type(value).__name__)
        copied: Dict[str, Any] = json.loads(json.dumps(dict(value), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgument(
            f"custom_metadata : un dictionnaire de textes, nombres et listes est attendu ({error}).",
            field="custom_metadata",
        ) from None
    return copied
