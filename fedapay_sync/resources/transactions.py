"""Transactions: create once, token, fees, receipt, delete."""

from typing import Any, Iterable, Optional, Union

from fedapay_sync.common.secret import Key
from fedapay_sync.enums import MethodesPaiement
from fedapay_sync.errors import Forbidden, InvalidArgument, TransactionId, TransactionIsNotPendingAnymore
from fedapay_sync.models import (
    Fees,
    ReceiptLink,
    Transaction,
    TransactionBatch,
    TransactionDeleteStatus,
    TransactionToken,
)
from fedapay_sync.models.params.bodies import TransactionBody
from fedapay_sync.models.params.identifiers import checked_mode
from fedapay_sync.resources.base import Params, read_object, read_with_text
from fedapay_sync.resources.batches import BatchCreatable
from fedapay_sync.resources.idempotency import IdempotentCreatable
from fedapay_sync.resources.mixins import Listable, Retrievable, Searchable, Updatable


class Transactions(
    Retrievable[Transaction],
    Listable[Transaction],
    Searchable[Transaction],
    IdempotentCreatable[Transaction],
    BatchCreatable[Transaction, TransactionBatch],
    Updatable[Transaction],
):
    """Collectes. FedaPay n'offre pas de remboursement par l'API : il se fait dans le tableau de bord."""

    path = "transactions"
    model = Transaction
    body = TransactionBody
    batch = TransactionBatch

    def create_many(
        self, transactions: Iterable[Params], *, include: Any = None, api_key: Optional[Key] = None
    ) -> TransactionBatch:
        """
        Crée plusieurs transactions en un appel ; ce que FedaPay refuse est dans ``errors``, le reste est créé.

        Raises:
            InvalidArgument: un attribut que FedaPay refuserait certainement ; rien n'a été envoyé.
            OutcomeUnknown: la réponse s'est perdue ; ``error.merchant_references`` donne la référence de chacune, à
                chercher avant de recommencer.
        """
        return self._post_batch(transactions, include, api_key)

    def token(self, id: TransactionId, *, api_key: Optional[Key] = None) -> TransactionToken:
        """Donne un jeton de paiement et le lien de la page où le client peut payer."""
        address = self._path_to(id, "/token", field="id_transaction")
        response = self._requestor.request("POST", address, api_key=api_key, body={})
        return read_with_text(TransactionToken, response, "token", "jeton")

    def fees(self, token: str, mode: Union[MethodesPaiement, str], *, api_key: Optional[Key] = None) -> Fees:
        """
        Frais qu'un paiement par cet opérateur coûterait, sans rien demander au client.

        Args:
            token: jeton de la transaction.
            mode: opérateur, ou son code.
        """
        if not isinstance(token, str) or not token.strip():
            raise InvalidArgument("token : le jeton de paiement de la transaction est attendu.", field="token")
        params = {"token": token, "mode": checked_mode(mode)}
        response = self._requestor.request("GET", "/transactions/fees", api_key=api_key, params=params)
        return read_object(Fees, response)

    def receipt_link(self, id: TransactionId, *, force: bool = False, api_key: Optional[Key] = None) -> ReceiptLink:
        """
        Donne le lien du reçu d'une transaction payée, valable 24 heures.

        Args:
            force: demander un lien neuf même si l'ancien vaut encore.
        """
        body = {"force": True} if force else {}
        response = self._requestor.request("POST", self._path_to(id, "/receipt_url"), api_key=api_key, body=body)
        return read_with_text(ReceiptLink, response, "url", "lien")

    def delete(self, id: TransactionId, *, api_key: Optional[Key] = None) -> TransactionDeleteStatus:
        """
        Annule une transaction encore en attente : son lien ne permet plus de payer.

        Raises:
            TransactionIsNotPendingAnymore: elle n'est plus en attente (FedaPay répond 403).
        """
        try:
            response = self._requestor.request("DELETE", self._path_to(id, field="id_transaction"), api_key=api_key)
        except Forbidden as error:
            facts = {**error.__dict__, "id_transaction": id}
            facts["message"] = (
                f"La transaction {id} n'est plus en attente et ne peut plus être annulée. Lire son statut. "
                f"({error.message})"
            )
            raise TransactionIsNotPendingAnymore(**facts) from None
        return TransactionDeleteStatus(delete_status=True, status_code=response.status)
