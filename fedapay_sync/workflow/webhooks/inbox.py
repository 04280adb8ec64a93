"""
Takes facts about payments in: a webhook, a status read at FedaPay, an event that the program hands over.

Whatever the way, a fact is committed under the same key, once. Only after the commit are waiting threads and the
callback worker notified, and only then may the caller acknowledge it.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Dict, Optional

from fedapay_sync.common.credentials import require_webhook_secrets
from fedapay_sync.common.logging import get_logger
from fedapay_sync.concurrency.notifier import Notifier
from fedapay_sync.errors import EventError
from fedapay_sync.signature import verify
from fedapay_sync.store import Accepted, NewEvent, StoredEvent
from fedapay_sync.store.states import EventKind, WorkState
from fedapay_sync.workflow.callbacks.ends import PermanentFailure
from fedapay_sync.workflow.callbacks.worker import CallbackWorker
from fedapay_sync.workflow.context import Context
from fedapay_sync.workflow.webhooks.event_identity import Identity, event_from_transaction, identify
from fedapay_sync.workflow.webhooks.history import decode

log = get_logger(__name__)


class Inbox:
    """The inbox of one connector."""

    def __init__(self, context: Context, notifier: Notifier, callbacks: CallbackWorker) -> None:
        self._config, self._store, self._clock, _ = context
        self._notifier = notifier
        self._callbacks = callbacks

    def verify(self, payload: bytes, header: Optional[str]) -> None:
        """
        Make sure that FedaPay signed these bytes, lately.

        Raises:
            SignatureError: it did not, or not lately.
            ConfigError: there is no secret to check with, or the body was decoded.
        """
        require_webhook_secrets(self._config.webhook_secrets, "la signature ne peut pas être vérifiée")
        rank = verify(payload, header, self._config.webhook_secrets, now=self._clock.now())
        if rank:
            log.info("webhook signed with secret number %d of the list", rank + 1)

    def receive(self, payload: bytes, header: Optional[str]) -> Accepted:
        """
        Take a webhook in. When this returns it is on disk and may be acknowledged.

        What is well signed is kept even if we cannot read it: refusing it would only make FedaPay repeat it and
        then switch the webhook off.

        Raises:
            SignatureError: not from FedaPay, or too old.
            StoreError: not on disk; FedaPay must send it again.
        """
        self.verify(payload, header)
        try:
            event = decode(bytes(payload))
        except EventError as error:
            return self._set_aside(bytes(payload), error)
        return self._take(event, bytes(payload), "webhook")

    def save(self, event: Any) -> Accepted:
        """
        Take in an event that the program has verified itself.

        A text that we cannot read is kept like a webhook that we cannot read: it was well signed.

        Raises:
            EventError: it is neither an object nor a text.
            StoreError: not on disk.
        """
        if isinstance(event, (str, bytes, bytearray, memoryview)):
            payload = event.encode("utf-8", "surrogatepass") if isinstance(event, str) else bytes(event)
            try:
                event = decode(payload)
            except EventError as error:
                return self._set_aside(payload, error, "manual")
        if not isinstance(event, Mapping):
            raise EventError(
                f"save_webhook attend l'événement décodé (un dictionnaire), reçu {type(event).__name__}. "
                "Avec Flask : request.get_json()."
            )
        try:
            # Nothing that could not be read again: NaN is no JSON.
            text = json.dumps(dict(event), separators=(",", ":"), sort_keys=True, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise EventError(f"save_webhook : l'événement ne s'écrit pas en JSON ({type(error).__name__}).") from None
        # From the text, so that its parts are what JSON makes of them, whatever the program put in.
        return self._take(json.loads(text), text.encode("ascii"), "manual")

    def ingest_status(self, transaction: Mapping[str, Any]) -> Accepted:
        """Take in a transaction just read from FedaPay, as the event it amounts to."""
        event = event_from_transaction(transaction)
        return self._keep(event, _body(event), "status", from_api=True)

    def ingest_listed(self, event: Mapping[str, Any]) -> Accepted:
        """Take in an event out of FedaPay's list, in the form that its webhook has."""
        return self._keep(dict(event), _body(event), "events")

    def ingest_confirmed(self, event: Dict[str, Any], source: str) -> Accepted:
        """Take in an event whose entity is by now what FedaPay's API says of it."""
        return self._keep(event, _body(event), source, from_api=True)

    def reread(self, work: StoredEvent) -> Accepted:
        """
        Try once more to read what was set aside; this version may know how.

        Raises:
            PermanentFailure: it does not.
        """
        try:
            event = decode(work.body)
            self._identified(event, _digest(work.body))
        except EventError as error:
            raise PermanentFailure(error.message) from None
        return self._take(event, work.body, work.source)

    def _take(self, event: Dict[str, Any], body: bytes, source: str) -> Accepted:
        """Keep what was told from outside: as a fact, or as unconfirmed until FedaPay's API confirms it."""
        return self._keep(event, body, source, to_confirm=self._config.confirm_with_api)

    def _identified(self, event: Mapping[str, Any], digest: str, account: Optional[str] = None) -> Identity:
        return identify(
            event,
            environment=self._config.environment,
            account=account or self._config.account,
            body_sha256=digest,
        )

    def _keep(
        self, event: Dict[str, Any], body: bytes, source: str, *, from_api: bool = False, to_confirm: bool = False
    ) -> Accepted:
        digest = _digest(body)
        try:
            identity = self._identified(event, digest)
        except EventError as error:
            return self._set_aside(body, error, source)
        config = self._config
        others = dict.fromkeys(account for account in config.accounts if account != config.account)
        new = NewEvent(
            **identity.__dict__,
            environment=config.environment,
            account=config.account,
            source=source,
            body=body,
            body_sha256=digest,
            received_at=self._store.clock.now(),
            entity=event["entity"],
            from_api=from_api,
            to_confirm=to_confirm,
            accounts=config.accounts,
            # Stored before a change of the API's key, the same fact lies under the old key's label.
            also_known_as=tuple(self._identified(event, digest, account).dedup_key for account in others),
        )
        with self._callbacks.claiming() as claiming:
            accepted = self._store.events.accept(new, claiming and claiming.claim)
            taken = claiming.held(accepted.calls or ()) if claiming else []
            self._callbacks.held.add(taken)
        self._announce(identity.name, identity.entity_id, accepted, source)
        if accepted.calls is not None:
            self._callbacks.begin(taken)
        elif accepted.new:
            self._callbacks.notify()
        return accepted

    def _announce(self, name: str, entity_id: str, accepted: Accepted, source: str) -> None:
        if accepted.taken_back:
            log.error("transaction %s was told paid, and FedaPay now says that it is not what was asked", entity_id)
        if not accepted.new:
            log.info("%s: %s of %s was known already", source, name, entity_id)
            return
        log.info("%s stored: %s for %s", source, name, entity_id)
        if accepted.late:
            log.warning(
                "%s for %s came after the wait had ended; the callback is told that it is late",
                name,
                entity_id,
            )
        if accepted.suspect:
            log.error("%s for %s says paid, and it is not the payment that was asked for", name, entity_id)
        if accepted.to_confirm:
            log.info("%s for %s is not believed before FedaPay's API says so, too", name, entity_id)
        if accepted.is_final:
            self._notifier.notify(entity_id)

    def _set_aside(self, body: bytes, error: EventError, source: str = "webhook") -> Accepted:
        digest = _digest(body)
        log.error("%s that cannot be read set aside (sha256 %s): %s", source, digest[:12], error)
        config, kind = self._config, EventKind.unreadable
        return self._store.events.accept(
            NewEvent(
                dedup_key=hashlib.sha256(f"{kind}:{config.environment}:{digest}".encode()).hexdigest(),
                event_key=f"{config.environment}:{config.account}:{kind}:{digest[:16]}",
                environment=config.environment,
                account=config.account,
                name=kind,
                object=kind,
                entity_id=digest[:16],
                status=None,
                is_final=False,
                is_paid=False,
                source=source,
                body=body,
                body_sha256=digest,
                received_at=self._store.clock.now(),
                work_state=WorkState.dead,
                last_error=error.message[:500],
                kind=kind,
            )
        )


def _body(event: Mapping[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode("ascii")


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
