"""
Confirms with FedaPay's API what was told, before it is believed.

What does not prove itself is stored as unconfirmed: acknowledged, but ending nothing. A sum that cannot be read; an
event that contradicts an earlier one; a transaction of which only its merchant reference says that it is ours; and with
``confirm_with_api`` each end that a webhook tells, as a good signature proves that the sender has the secret, and a
secret can be stolen. Here, on threads that no webhook waits for, the transaction is read; what FedaPay says goes into
the store like any other event, and an unconfirmed event that FedaPay does not bear out is told as suspect.
"""

from typing import Any, Dict, Optional

from fedapay_sync.common.logging import get_logger
from fedapay_sync.concurrency.thread_pool import DaemonThreadPool
from fedapay_sync.enums import PAID_STATUSES
from fedapay_sync.errors import FedapayError, InvalidArgument, NotFound
from fedapay_sync.models import Transaction
from fedapay_sync.store import Accepted, StoredEvent
from fedapay_sync.workflow.callbacks.ends import PermanentFailure
from fedapay_sync.workflow.callbacks.retry_policy import ROUND
from fedapay_sync.workflow.context import Context
from fedapay_sync.workflow.reconciliation.keyring import Keyring
from fedapay_sync.workflow.reconciliation.status_reader import StatusReader
from fedapay_sync.workflow.webhooks.history import contents
from fedapay_sync.workflow.webhooks.inbox import Inbox

log = get_logger(__name__)

#: FedaPay is asked so often before an event is called unfounded: its API may lag behind its webhooks.
_READINGS = 3


class Unconfirmed(FedapayError):
    """FedaPay does not say so yet; to be tried again like a callback that failed."""


class Confirmation:
    """The unconfirmed events of one connector."""

    def __init__(self, context: Context, inbox: Inbox, statuses: StatusReader, keyring: Keyring) -> None:
        self._environment = context.config.environment
        self._store = context.store
        self._inbox = inbox
        self._statuses = statuses
        self._keyring = keyring
        self._pool = DaemonThreadPool("fedapay-confirm", 4)

    def schedule(self, accepted: Accepted) -> None:
        """
        Ask FedaPay on another thread, if that event is to be confirmed: threads may be waiting for its transaction.

        If FedaPay does not answer, the event is still owed to the callback, which asks again.
        """
        transaction_id = accepted.to_confirm
        if transaction_id is None:
            return
        try:
            self._pool.submit(lambda: self._ask(transaction_id))
        except RuntimeError as error:
            # The webhook is stored, and must be answered 200.
            log.error("no thread to confirm transaction %s now: %s", transaction_id, error)

    def close(self) -> None:
        """Ask nothing new."""
        self._pool.close()

    def confirm(self, work: StoredEvent) -> bool:
        """
        Read the transaction of an unconfirmed event, and store the event as FedaPay bears it out, to be told like any
        other; false if FedaPay denies it.

        Raises:
            FedapayError: FedaPay did not answer, or does not say so yet.
        """
        transaction = self._read(work.entity_id)
        event = _borne_out(work, transaction)
        if event is not None:
            self._inbox.ingest_confirmed(event, work.source)
            return True
        # It is denied, if FedaPay has denied it before: an attempt that had no answer says nothing.
        if work.attempts % ROUND < _READINGS or not (work.last_error or "").startswith(Unconfirmed.__name__):
            raise Unconfirmed(f"FedaPay ne confirme pas (encore) {work.name} de la transaction {work.entity_id}.")
        is_signed = work.source == "webhook"
        log.error(
            "%s of %s was told, but FedaPay does not bear it out%s",
            work.name,
            work.entity_id,
            ": it was well signed, is the webhook secret stolen?" if is_signed else "",
        )
        return False

    def _read(self, transaction_id: str) -> Optional[Transaction]:
        """
        The transaction, with a key of its account; None if FedaPay does not know it.

        Raises:
            PermanentFailure: it cannot be asked for.
            FedapayError: FedaPay did not answer, or this program has no key of the account that asked for it.
        """
        keys = self._keyring.by_account()
        asked = self._store.payments.of_transaction(self._environment, transaction_id)
        if asked is not None and asked.account not in keys:
            raise Unconfirmed(f"Aucune clé de ce programme n'est celle du compte de la transaction {transaction_id}.")
        for key in keys.values() if asked is None else [keys[asked.account]]:
            try:
                return self._statuses.read(transaction_id, key)
            except NotFound:
                log.info("FedaPay does not know transaction %s", transaction_id)
            except InvalidArgument as error:
                raise PermanentFailure(error.message) from None
        return None

    def _ask(self, transaction_id: str) -> None:
        try:
            self._read(transaction_id)
        except (FedapayError, PermanentFailure) as error:
            log.warning("status of %s, told by a webhook, not confirmed yet: %s", transaction_id, error)


def _borne_out(work: StoredEvent, transaction: Optional[Transaction]) -> Optional[Dict[str, Any]]:
    """The event with the entity that FedaPay gives, if it says the same; only the name is the sender's."""
    event, is_deletion = contents(work), work.name == "transaction.deleted"
    if work.status in PAID_STATUSES:
        if transaction is None or not transaction.was_paid:
            return None
        return {**event, "entity": transaction.to_dict()}
    if transaction is None:
        return event if is_deletion else None
    entity = transaction.to_dict()
    if is_deletion:
        return {**event, "entity": entity} if transaction.is_deleted and not transaction.was_paid else None
    if transaction.status == work.status or entity.get(f"{work.status}_at"):
        # It may have moved on since; the event is about then.
        return {**event, "entity": {**entity, "status": work.status}}
    return None
