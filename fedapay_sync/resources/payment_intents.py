"""Payment intents: the prompt to pay on the customer's phone."""

from typing import Any, Dict, Optional, Union

from fedapay_sync.common.secret import Key
from fedapay_sync.enums import MethodesPaiement
from fedapay_sync.errors import InvalidArgument
from fedapay_sync.models import PaymentIntent
from fedapay_sync.models.params.bodies import PhoneBody, checked_body
from fedapay_sync.models.params.identifiers import checked_mode
from fedapay_sync.resources.base import Resource, read_object

#: The mode stands at the root of FedaPay's addresses, beside these.
_RESOURCES = frozenset(
    "accounts balances currencies customers events invoices logs oauth pages payouts transactions webhooks".split()
)


class PaymentIntents(Resource[PaymentIntent]):
    """Invitations à payer, une par essai. FedaPay ne permet pas de les relire : le résultat est sur la transaction."""

    path = "payment_intents"
    model = PaymentIntent

    def create(
        self,
        mode: Union[MethodesPaiement, str],
        token: str,
        *,
        number: Optional[str] = None,
        country: Optional[str] = None,
        api_key: Optional[Key] = None,
    ) -> PaymentIntent:
        """
        Invite le client à payer sur son téléphone. Le résultat vient plus tard, sur la transaction.

        Jamais refaite d'elle-même : après ``OutcomeUnknown``, relire la transaction.

        Args:
            mode: opérateur, ou son code s'il est nouveau ; ``momo_test`` en sandbox.
            token: jeton de la transaction.
            number: numéro à débiter ; celui du client si absent.
            country: code du pays du numéro.
        """
        if not isinstance(token, str) or not token.strip():
            raise InvalidArgument("token : le jeton de paiement de la transaction est attendu.", field="token")
        code = checked_mode(mode)
        if code in _RESOURCES:
            raise InvalidArgument(f"mode : « {code} » est une adresse de FedaPay, pas un opérateur.", field="mode")
        if country is not None and number is None:
            raise InvalidArgument("number : il manque, et country est donné sans lui.", field="number")
        body: Dict[str, Any] = {"token": token}
        if number is not None:
            # Nested: at the top level FedaPay does not see it and refuses.
            body["phone_number"] = checked_body(PhoneBody, {"number": number, "country": country})
        response = self._requestor.request("POST", f"/{code}", api_key=api_key, body=body)
        # Older forms of this answer carry only a message; id, reference and status are optional.
        return read_object(PaymentIntent, response)
