"""Makes the body of a transaction's creation from the arguments of ``pay``."""

from typing import Any, Dict, Mapping, Optional

from fedapay_sync.common.countries import currency_of
from fedapay_sync.errors import InvalidArgument
from fedapay_sync.models.params.amounts import checked_amount
from fedapay_sync.models.params.bodies import TransactionBody, checked_body
from fedapay_sync.models.payment import PaiementSetup, UserData

#: What the payer reads where the shop says nothing.
_DESCRIPTION = "Paiement"


def transaction_request(
    setup: PaiementSetup,
    client: Optional[UserData],
    amount: int,
    callback_url: Optional[str],
    custom_metadata: Optional[Mapping[str, Any]],
    description: Optional[str],
    merchant_reference: Optional[str],
) -> Dict[str, Any]:
    """
    The body of a creation.

    Raises:
        InvalidArgument: something that FedaPay would certainly refuse, or that is no payment.
    """
    setup = checked_setup(setup)
    client = checked_client(client)
    return checked_body(
        TransactionBody,
        {
            "description": description or _DESCRIPTION,
            "amount": checked_amount(amount),
            "currency": {"iso": currency_of(setup.pays).value},
            "callback_url": callback_url or None,
            "customer": None if client is None else _customer(client, setup),
            "custom_metadata": custom_metadata,
            "merchant_reference": merchant_reference,
        },
    )


def checked_setup(setup: Any) -> PaiementSetup:
    """
    The setup of a payment.

    Raises:
        InvalidArgument: anything else.
    """
    if isinstance(setup, PaiementSetup):
        return setup
    raise InvalidArgument(
        f"setup : un PaiementSetup est attendu, reçu {type(setup).__name__}. Exemple, dans le bac à sable : "
        "PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test).",
        field="setup",
    )


def checked_client(client: Any) -> Optional[UserData]:
    """
    The payer, or None.

    Raises:
        InvalidArgument: anything else.
    """
    if client is None or isinstance(client, UserData):
        return client
    raise InvalidArgument(
        f"client_infos : un UserData est attendu, reçu {type(client).__name__}. Exemple : "
        "UserData(nom='Doe', prenom='John', email='john@example.com', tel='0164000001').",
        field="client_infos",
    )


def _customer(client: UserData, setup: PaiementSetup) -> Dict[str, Any]:
    customer: Dict[str, Any] = {"firstname": client.prenom, "lastname": client.nom}
    if client.email is not None:
        customer["email"] = client.email
    if client.tel is not None:
        customer["phone_number"] = {"number": client.tel, "country": setup.pays.value}
    return customer
