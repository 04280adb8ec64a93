"""Transactions: asking a customer for money."""

from typing import Any, Dict, Mapping, Optional, Union

from ..enums import MethodesPaiement
from ..errors import Forbidden, InvalidArgument, TransactionId, TransactionIsNotPendingAnymore
from ..models import PaymentIntent, Transaction, TransactionDeleteStatus, TransactionToken
from .base import Listable, Retrievable, Searchable, Updatable, checked_id, quoted

_MAX_REFERENCE = 255


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
    shown = repr(reference[:80]) if isinstance(reference, str) else f"un {type(reference).__name__}"
    raise InvalidArgument(
        f"merchant_reference : {shown} est refusé ; un texte d'une ligne, de 1 à {_MAX_REFERENCE} caractères, sans "
        "espace au début ni à la fin, est attendu. Il doit être unique.",
        field="merchant_reference",
    )


class Transactions(Retrievable[Transaction], Listable[Transaction], Searchable[Transaction], Updatable[Transaction]):
    """Collectes. FedaPay n'offre pas de remboursement par l'API : il se fait dans le tableau de bord."""

    path = "transactions"
    model = Transaction

    def create(self, body: Mapping[str, Any], *, api_key: Optional[str] = None) -> Transaction:
        """
        Crée une transaction. Rien n'est encore demandé au client.

        Après ``OutcomeUnknown``, chercher d'abord la référence marchande avant de recommencer.

        Args:
            body: attributs de FedaPay : ``description``, ``amount``, ``currency``, ``customer``,
                ``merchant_reference``, ``callback_url``, ``custom_metadata``…
        """
        if not isinstance(body, Mapping):
            raise InvalidArgument(f"body : un dictionnaire est attendu, reçu {type(body).__name__}.", field="body")
        created: Transaction = self._read(self._call("POST", "/transactions", api_key=api_key, body=body))
        return created

    def by_merchant_reference(self, reference: str, *, api_key: Optional[str] = None) -> Transaction:
        """Lit la transaction qui porte cette référence marchande. Lève ``NotFound`` s'il n'y en a pas."""
        path = f"/transactions/merchant/{quoted(checked_reference(reference))}"
        found: Transaction = self._read(self._call("GET", path, api_key=api_key))
        return found

    def token(self, id: TransactionId, *, api_key: Optional[str] = None) -> TransactionToken:
        """Donne un jeton de paiement et le lien de la page où le client peut payer."""
        answer = self._call("POST", f"/transactions/{checked_id(id)}/token", api_key=api_key, body={})
        token: TransactionToken = self._read(answer, TransactionToken)
        if not isinstance(token.token, str) or not token.token:
            raise answer.unreadable("un jeton « token » est attendu")
        return token

    def push(
        self,
        mode: Union[MethodesPaiement, str],
        token: str,
        *,
        number: Optional[str] = None,
        country: Optional[str] = None,
        api_key: Optional[str] = None,
    ) -> PaymentIntent:
        """
        Invite le client à payer sur son téléphone. Le résultat vient plus tard, sur la transaction.

        Args:
            mode: opérateur, ou son code s'il est nouveau ; ``momo_test`` en sandbox.
            token: jeton de la transaction.
            number: numéro à débiter ; celui du client si absent.
            country: code du pays du numéro.
        """
        code = mode.name if isinstance(mode, MethodesPaiement) else checked_id(mode, "mode")
        body: Dict[str, Any] = {"token": token}
        if number is not None:
            # Nested: at the top level FedaPay does not see it and refuses.
            body["phone_number"] = {"number": number, "country": country}
        answer = self._call("POST", f"/{code}", api_key=api_key, body=body)
        # Older forms of this answer carry only a message; both fields are optional.
        intent: PaymentIntent = self._read(answer, PaymentIntent)
        return intent

    def delete(self, id: TransactionId, *, api_key: Optional[str] = None) -> TransactionDeleteStatus:
        """
        Annule une transaction encore en attente : son lien ne permet plus de payer.

        Raises:
            TransactionIsNotPendingAnymore: elle n'est plus en attente (FedaPay répond 403).
        """
        try:
            answer = self._call("DELETE", f"/transactions/{checked_id(id)}", api_key=api_key)
        except Forbidden as error:
            facts = {**error.__dict__, "id_transaction": id}
            facts["message"] = (
                f"La transaction {id} n'est plus en attente et ne peut plus être annulée. Lire son statut. "
                f"({error.message})"
            )
            raise TransactionIsNotPendingAnymore(**facts) from None
        return TransactionDeleteStatus(delete_status=True, status_code=answer.status)
