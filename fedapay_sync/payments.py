"""
Asking a customer for money, once.

What is about to be asked is written down first, under a merchant reference that FedaPay keeps unique. After a
doubtful POST that reference is looked up before anything is sent again.
"""

import hashlib
import json
import secrets
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional

from .api import Api
from .callbacks import Callbacks
from .catalogue import SANDBOX_METHOD, currency_of
from .clock import SYSTEM_CLOCK, Clock
from .config import Config
from .enums import Environment, Monnaies, TransactionStatus, TypesPaiement
from .errors import (
    ApiError,
    BadRequest,
    FedapayError,
    InvalidArgument,
    InvalidCountryPaymentCombination,
    NotFound,
    OutcomeUnknown,
    ServerFault,
    TransportError,
    UnreadableAnswer,
)
from .masking import fingerprint, get_logger
from .models import FedapayPay, PaiementSetup, PaymentIntent, Transaction, TransactionToken, UserData
from .models.payment import phone_number, whole_amount
from .store import LOCAL, PAYMENT_NAME, NewEvent, Payment

if TYPE_CHECKING:
    from .store import Store

log = get_logger(__name__)

_MAX_REFERENCE = 255

#: Waits before the looks for a transaction whose creation had no answer, in seconds.
_LOOKS = (0.0, 1.0, 3.0)

_NO_ANSWER = (OutcomeUnknown, ServerFault, UnreadableAnswer)


class Payments:
    """The payments of one connector."""

    def __init__(
        self,
        config: Config,
        store: "Store",
        api: Api,
        callbacks: Callbacks,
        clock: Clock = SYSTEM_CLOCK,
        *,
        pause: Callable[[float], object],
    ) -> None:
        self._config = config
        self._store = store
        self._transactions = api.transactions
        self._callbacks = callbacks
        self._clock = clock
        self._pause = pause

    def pay(
        self,
        setup: PaiementSetup,
        client_infos: Optional[UserData],
        montant_paiement: int,
        *,
        payment_contact: Optional[str] = None,
        callback_url: Optional[str] = None,
        api_key: Optional[str] = None,
        merchant_reference: Optional[str] = None,
        custom_metadata: Optional[Mapping[str, Any]] = None,
        description: Optional[str] = None,
    ) -> FedapayPay:
        """Create a transaction, ask for its token if it came without, push it to the phone, owe the callback."""
        key = self._config.checked_key(api_key)
        body = _request(setup, client_infos, montant_paiement, callback_url, custom_metadata, description)
        contact = self._contact(setup, client_infos, payment_contact)
        reference = _reference(merchant_reference)
        body["merchant_reference"] = reference
        transaction, is_new = self._transaction(body, reference, currency_of(setup.pays), key)
        try:
            payment = self._started(transaction, setup, contact, key) if is_new else self._known(transaction, key)
        except FedapayError as error:
            error.id_transaction = transaction.id
            raise
        if is_new:
            self._store.set_payment(self._config.environment, fingerprint(key), reference, "sent")
            self._owe_callback(payment)
        return payment

    def _contact(
        self, setup: PaiementSetup, client: Optional[UserData], payment_contact: Optional[str]
    ) -> Optional[str]:
        """The number to push to; None where the payer chooses on the payment page."""
        if setup.type_paiement == TypesPaiement.AVEC_REDIRECTION:
            return None
        if self._config.environment == Environment.sandbox and setup.method != SANDBOX_METHOD:
            # FedaPay answers « Opération non autorisée », which tells nobody what to do.
            raise InvalidCountryPaymentCombination(
                f"{setup.method.name if setup.method else 'Cette méthode'} n'existe pas en sandbox : seule momo_test "
                "y est admise (method=MethodesPaiement.momo_test, numéro 0164000001 pour un paiement accepté).",
                field="method",
            )
        if payment_contact is not None:
            return phone_number(payment_contact, "payment_contact")
        if client is None or client.tel is None:
            raise InvalidArgument(
                "Aucun numéro à débiter : donner payment_contact ou client_infos.tel, ou choisir "
                "type_paiement=TypesPaiement.AVEC_REDIRECTION.",
                field="payment_contact",
            )
        return client.tel

    # -- creation -----------------------------------------------------------------------------------------------

    def _transaction(
        self, body: Dict[str, Any], reference: str, currency: Monnaies, key: str
    ) -> "tuple[Transaction, bool]":
        """The transaction under that reference, and whether this call made it."""
        environment, account = self._config.environment, fingerprint(key)
        amount = body["amount"]
        known = self._store.remember_intent(environment, account, reference, amount=amount, currency=currency.value)
        if known is not None:
            found = self._of_known(known, amount, currency, key)
            if found is not None:
                return found, False
        try:
            created = self._transactions.create(body, api_key=key)
        except _NO_ANSWER as error:
            return self._after_doubt(reference, account, key, error, amount), True
        except ApiError as error:
            if known is not None and isinstance(error, BadRequest) and "merchant_reference" in error.errors:
                # The earlier attempt had arrived after all.
                return self._adopted(
                    self._transactions.by_merchant_reference(reference, api_key=key),
                    reference,
                    account,
                    amount,
                ), True
            self._store.set_payment(environment, account, reference, "failed")
            raise
        except TransportError:
            # NotSent: nobody was asked anything, and the same reference may be used again.
            self._store.set_payment(environment, account, reference, "failed")
            raise
        return self._adopted(created, reference, account, amount), True

    def _of_known(self, known: Payment, amount: int, currency: Monnaies, key: str) -> Optional[Transaction]:
        """The transaction of an earlier call with the same reference, or None if FedaPay has none."""
        if (known.amount, known.currency) != (amount, currency.value):
            raise InvalidArgument(
                f"merchant_reference={known.merchant_reference!r} désigne déjà un paiement de {known.amount} "
                f"{known.currency} ; celui-ci est de {amount} {currency.value}. Donner une référence neuve.",
                field="merchant_reference",
                id_transaction=known.transaction_id,
            )
        if known.transaction_id is not None:
            return self._transactions.retrieve(known.transaction_id, api_key=key)
        try:
            found = self._transactions.by_merchant_reference(known.merchant_reference, api_key=key)
        except NotFound:
            return None
        return self._adopted(found, known.merchant_reference, known.account, amount)

    def _after_doubt(self, reference: str, account: str, key: str, doubt: FedapayError, amount: int) -> Transaction:
        """The POST may have arrived: look for its transaction instead of sending it again."""
        log.warning("creation had no answer (%s); looking for its merchant reference", doubt)
        for wait in _LOOKS:
            if wait:
                self._pause(wait)
            try:
                found = self._transactions.by_merchant_reference(reference, api_key=key)
            except NotFound:
                continue
            except (ApiError, TransportError) as error:
                log.warning("looking for the merchant reference failed: %s", error)
                continue
            return self._adopted(found, reference, account, amount)
        self._store.set_payment(self._config.environment, account, reference, "unknown")
        doubt.args = (
            f"{doubt.args[0]} La transaction n'a pas été retrouvée sous merchant_reference={reference!r} : rappeler "
            "pay avec cette même référence, elle ne peut pas être créée deux fois.",
        )
        raise doubt

    def _adopted(self, transaction: Transaction, reference: str, account: str, amount: int) -> Transaction:
        """Remember whose transaction it is, once it is certain that it is this payment's."""
        if transaction.merchant_reference not in (None, reference):
            raise UnreadableAnswer(
                f"FedaPay a répondu par une autre transaction ({transaction.id}, référence "
                f"{transaction.merchant_reference!r} au lieu de {reference!r}). Ne rien livrer ; prévenir FedaPay.",
                id_transaction=transaction.id,
            )
        self._store.set_payment(
            self._config.environment,
            account,
            reference,
            "created",
            transaction_id=transaction.id,
            currency_id=transaction.currency_id if isinstance(transaction.currency_id, int) else None,
        )
        return transaction

    # -- after creation -----------------------------------------------------------------------------------------

    def _started(self, transaction: Transaction, setup: PaiementSetup, contact: Optional[str], key: str) -> FedapayPay:
        link = self._link(transaction, key)
        if contact is None or setup.method is None:
            return FedapayPay(transaction, link, None, transaction.status)
        try:
            intent: Optional[PaymentIntent] = self._transactions.push(
                setup.method, link.token or "", number=contact, country=setup.pays.value, api_key=key
            )
            status = (intent and intent.status) or transaction.status
        except _NO_ANSWER as error:
            # The prompt may be on the phone already: never a second one. Where it stands, FedaPay knows.
            log.warning("push of %s had no answer (%s); looking at the transaction", transaction.id, error)
            transaction = self._transactions.retrieve(transaction.id, api_key=key)
            intent, status = None, transaction.status
        return FedapayPay(transaction, link, intent, status)

    def _link(self, transaction: Transaction, key: str) -> TransactionToken:
        """FedaPay sends token and link with the creation since 2025; where it does not, they are asked for."""
        if transaction.payment_token and transaction.payment_url:
            return TransactionToken(transaction.payment_token, transaction.payment_url)
        return self._transactions.token(transaction.id, api_key=key)

    def _known(self, transaction: Transaction, key: str) -> FedapayPay:
        """A payment made by an earlier call: shown as it stands, nobody is asked again."""
        waiting = transaction.status == TransactionStatus.pending and not transaction.is_deleted
        link = self._link(transaction, key) if waiting else TransactionToken()
        return FedapayPay(transaction, link, None, transaction.status)

    def _owe_callback(self, payment: FedapayPay) -> None:
        if not self._callbacks.has(PAYMENT_NAME):
            return
        environment, id_transaction = self._config.environment, str(payment.id_transaction)
        event_key = f"{environment}:{self._config.account}:payment:{id_transaction}"
        body = json.dumps(payment.to_dict()).encode("ascii")
        self._store.owe_payment_callback(
            NewEvent(
                dedup_key=hashlib.sha256(event_key.encode()).hexdigest(),
                event_key=event_key,
                environment=environment,
                account=self._config.account,
                name=PAYMENT_NAME,
                object="payment",
                entity_id=id_transaction,
                status=None,
                is_final=False,
                is_paid=False,
                source=LOCAL,
                body=body,
                body_sha256=hashlib.sha256(body).hexdigest(),
                received_at=self._clock.now(),
            )
        )
        self._callbacks.notify()


def _request(
    setup: PaiementSetup,
    client: Optional[UserData],
    amount: int,
    callback_url: Optional[str],
    custom_metadata: Optional[Mapping[str, Any]],
    description: Optional[str],
) -> Dict[str, Any]:
    """What FedaPay is asked for, without the reference."""
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
        "amount": whole_amount(amount),
        "currency": {"iso": currency_of(setup.pays).value},
    }
    if _text(callback_url, "callback_url"):
        body["callback_url"] = callback_url
    if client is not None:
        body["customer"] = _customer(client, setup)
    if custom_metadata is not None:
        body["custom_metadata"] = _json_object(custom_metadata)
    return body


def _customer(client: UserData, setup: PaiementSetup) -> Dict[str, Any]:
    customer: Dict[str, Any] = {"firstname": client.prenom, "lastname": client.nom}
    if client.email is not None:
        customer["email"] = client.email
    if client.tel is not None:
        customer["phone_number"] = {"number": client.tel, "country": setup.pays.value}
    return customer


def _reference(given: Optional[str]) -> str:
    if given is None:
        return f"fs-{secrets.token_hex(16)}"
    if not isinstance(given, str) or not given.strip() or len(given) > _MAX_REFERENCE or not given.isprintable():
        raise InvalidArgument(
            f"merchant_reference={str(given)[:80]!r} : un texte d'une ligne, de 1 à {_MAX_REFERENCE} caractères, "
            "est attendu ; il doit être unique.",
            field="merchant_reference",
        )
    return given


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
