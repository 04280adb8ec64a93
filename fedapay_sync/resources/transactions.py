"""Transactions: asking a customer for money."""

from typing import Any, Dict, Mapping, Optional

from ..enums import MethodesPaiement
from ..errors import Forbidden, InvalidArgument, TransactionId, TransactionIsNotPendingAnymore
from ..models import PaymentIntent, Transaction, TransactionDeleteStatus, TransactionToken
from .base import Listable, Retrievable, Searchable, Updatable, checked_id, quoted


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
        created: Transaction = self._read(self._call("POST", "/transactions", api_key=api_key, body=body))
        return created

    def by_merchant_reference(self, reference: str, *, api_key: Optional[str] = None) -> Transaction:
        """Lit la transaction qui porte cette référence marchande. Lève ``NotFound`` s'il n'y en a pas."""
        if not isinstance(reference, str) or not reference or reference in (".", ".."):
            raise InvalidArgument(
                f"merchant_reference={reference!r} : un texte non vide est attendu.",
                field="merchant_reference",
            )
        found: Transaction = self._read(
            self._call("GET", f"/transactions/merchant/{quoted(reference)}", api_key=api_key)
        )
        return found

    def token(self, id: TransactionId, *, api_key: Optional[str] = None) -> TransactionToken:
        """Donne un jeton de paiement et le lien de la page où le client peut payer."""
        answer = self._call("POST", f"/transactions/{checked_id(id)}/token", api_key=api_key, body={})
        token: TransactionToken = self._read(answer, TransactionToken)
        return token

    def push(
        self,
        mode: MethodesPaiement,
        token: str,
        *,
        number: Optional[str] = None,
        country: Optional[str] = None,
        api_key: Optional[str] = None,
    ) -> PaymentIntent:
        """
        Invite le client à payer sur son téléphone. Le résultat vient plus tard, sur la transaction.

        Args:
            mode: opérateur ; ``momo_test`` en sandbox.
            token: jeton de la transaction.
            number: numéro à débiter ; celui du client si absent.
            country: code du pays du numéro.
        """
        body: Dict[str, Any] = {"token": token}
        if number is not None:
            # Nested: at the top level FedaPay does not see it and refuses.
            body["phone_number"] = {"number": number, "country": country}
        answer = self._call("POST", f"/{mode.name}", api_key=api_key, body=body)
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
            raise TransactionIsNotPendingAnymore(
                f"La transaction {id} n'est plus en attente et ne peut plus être annulée. Lire son statut. "
                f"({error.message})",
                **{**error.__dict__, "message": "", "id_transaction": id},
            ) from None
        return TransactionDeleteStatus(delete_status=True, status_code=answer.status)
