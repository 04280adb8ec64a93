"""Registers the program's functions under their names: the part that a connector and the Flask extension share."""

import functools
from datetime import datetime
from typing import Any, Callable, List, Optional, Sequence, TypeVar, overload

from fedapay_sync.common.frames import private_methods
from fedapay_sync.connector.functions import Registered
from fedapay_sync.enums import EventFutureStatus
from fedapay_sync.models import Outcome, PaymentHistory, WebhookHistory
from fedapay_sync.store.callback_records import CallbackName
from fedapay_sync.store.states import CallbackKind
from fedapay_sync.workflow.callbacks.validation import Name, check_callback, checked_name, checked_since

OutcomeCallback = Callable[[Outcome], Any]
PaymentCallback = Callable[[PaymentHistory], Any]
WebhookCallback = Callable[[WebhookHistory], Any]
FinalCallback = Callable[[EventFutureStatus, Optional[List[WebhookHistory]]], Any]
C = TypeVar("C", bound=Callable[..., Any])
W = TypeVar("W", bound=WebhookCallback)

#: No function was given, not even None: the call makes a decorator.
_ABSENT: Any = object()


@private_methods
class CallbackRegistration:
    """What takes the program's functions."""

    def on_payment(self, callback: PaymentCallback) -> PaymentCallback:
        """
        Appelle cette fonction après chaque paiement lancé par ``pay``, sur un autre thread. Une seule : la dernière
        donnée remplace la précédente. Son nom est ``payment``.

        Raises:
            ConfigError: ce n'est pas une fonction ordinaire d'un argument.
        """
        return self._set_callback("payment", CallbackKind.payment, callback, "Le callback de paiement")

    @overload
    def on_webhook(self, callback: W, *, name: Name = None, since: Optional[datetime] = None) -> W: ...

    @overload
    def on_webhook(self, *, name: Name = None, since: Optional[datetime] = None) -> Callable[[W], W]: ...

    def on_webhook(self, callback: Any = _ABSENT, *, name: Name = None, since: Optional[datetime] = None) -> Any:
        """
        Appelle cette fonction pour chaque événement, une seule fois, sur un autre thread.

        Si elle lève une exception, elle est rappelée plus tard, avec la même ``event_key``. Plusieurs fonctions peuvent
        être enregistrées : chacune est appelée une fois pour chaque événement, quoi que fassent les autres, et dans
        n'importe quel ordre. La base les connaît par leur nom, d'un redémarrage à l'autre.

        La première fonction reçoit aussi ce qui est venu avant elle. Une fonction ajoutée plus tard reçoit ce qui vient
        à partir du moment où un processus qui l'a commence à travailler.

        Args:
            name: son nom dans la base ; par défaut son module et son nom. Pour en changer sans rien perdre,
                ``name=("nouveau", "ancien")`` : ce qui est dû à l'ancien l'est alors au nouveau.
            since: à une fonction nouvelle, donner aussi ce qui est venu depuis cet instant (un datetime avec fuseau).

        Raises:
            ConfigError: ce n'est pas une fonction ordinaire d'un argument, ou son nom est déjà pris.

        Example:
            >>> @connector.on_webhook(name="comptabilite")
            ... def noter(event):
            ...     ecriture = (event.event_key, event.name, event.entity.amount)
        """
        return self._named_callback("on_webhook", CallbackKind.webhook, callback, name, since)

    @overload
    def on_paid(
        self, callback: W, *, name: Name = None, since: Optional[datetime] = None, unknown: bool = False
    ) -> W: ...

    @overload
    def on_paid(
        self, *, name: Name = None, since: Optional[datetime] = None, unknown: bool = False
    ) -> Callable[[W], W]: ...

    def on_paid(
        self, callback: Any = _ABSENT, *, name: Name = None, since: Optional[datetime] = None, unknown: bool = False
    ) -> Any:
        """
        Appelle cette fonction une fois pour chaque paiement de cette base qui est payé comme demandé : de quoi livrer
        la commande. Comme ``on_webhook`` pour le reste.

        L'événement qu'elle reçoit a ``paid`` et ``known`` vrais, et ``suspect`` faux.

        Args:
            name: comme pour ``on_webhook``.
            since: comme pour ``on_webhook``.
            unknown: aussi les paiements que cette base n'a pas demandés (Checkout.js, un autre programme) ; leur
                montant n'est comparé à rien, c'est à la fonction de le faire.

        Raises:
            ConfigError: ce n'est pas une fonction ordinaire d'un argument, ou son nom est déjà pris.

        Example:
            >>> @connector.on_paid
            ... def livrer(event):
            ...     commande = event.entity.merchant_reference
        """
        kind = CallbackKind.paid_unknown if unknown else CallbackKind.paid
        return self._named_callback("on_paid", kind, callback, name, since)

    def on_restored(self, callback: OutcomeCallback) -> OutcomeCallback:
        """
        Appelle cette fonction, avec un ``Outcome``, à la fin de chaque attente reprise par ``restore``. Une seule : la
        dernière donnée remplace la précédente. Son nom est ``restored``.

        Raises:
            ConfigError: ce n'est pas une fonction ordinaire d'un argument.
        """
        return self._set_callback("restored", CallbackKind.restored, callback, "Le callback de reprise", ["outcome"])

    def _set_webhook_callback(self, callback: WebhookCallback) -> WebhookCallback:
        """
        Appelle cette fonction pour chaque événement, comme ``on_webhook``, sous le nom ``webhook``. Une seule : la
        dernière donnée remplace la précédente.
        """
        return self._set_callback("webhook", CallbackKind.webhook, callback, "Le callback de webhook")

    def _on_restored_pair(self, callback: FinalCallback) -> FinalCallback:
        """Appelle cette fonction, avec ``(status, webhooks)``, à la fin de chaque attente reprise."""
        check_callback(callback, "Le callback de reprise", ["status", "webhooks"])
        unpacked = functools.wraps(callback)(lambda outcome: callback(*outcome))
        self._set_callback("restored", CallbackKind.restored, unpacked, "Le callback de reprise", ["outcome"])
        return callback

    def _named_callback(self, method: str, kind: CallbackKind, callback: Any, name: Name, since: Any) -> Any:
        """Register that callback, or, without one, make the decorator that does."""
        if callback is _ABSENT:
            return lambda function: self._named_callback(method, kind, function, name, since)
        check_callback(callback, method)
        given = checked_name(name, callback, method)
        self._register(
            Registered(CallbackName(given.name, kind, given.former, checked_since(since, method)), callback, False),
            method,
        )
        return callback

    def _set_callback(
        self, name: str, kind: CallbackKind, callback: C, what: str, arguments: Sequence[str] = ("event",)
    ) -> C:
        check_callback(callback, what, arguments)
        self._register(Registered(CallbackName(name, kind), callback, True), what)
        return callback

    def _register(self, callback: Registered, what: str) -> None:
        """Have that callback from now on."""
        raise NotImplementedError

    # -- les noms du connecteur asynchrone ----------------------------------------------------------------------

    set_payment_callback_function = on_payment
    set_webhook_callback_function = _set_webhook_callback
    set_on_persited_listening_processes_loading_finished_callback = _on_restored_pair
