"""The project's connector: made at first use from its settings, and anew where a test changes them."""

import functools
import inspect
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Tuple, TypeVar, Union, cast, overload

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections, transaction

from fedapay_sync.common.env import test_settings
from fedapay_sync.common.frames import private, private_methods
from fedapay_sync.common.hosting import warn_once
from fedapay_sync.common.logging import get_logger
from fedapay_sync.connector.connector import Connector
from fedapay_sync.connector.forwarding import ConnectorMethods
from fedapay_sync.connector.functions import Functions, Registered
from fedapay_sync.connector.registration import W
from fedapay_sync.django.database import database_name
from fedapay_sync.django.settings import read_settings
from fedapay_sync.django.transactions import (
    fresh_connections,
    has_open_transaction,
    postpone_until_commit,
    run_after_commit,
)
from fedapay_sync.errors import ConfigError
from fedapay_sync.models import FedapayPay, PaiementSetup, UserData
from fedapay_sync.workflow.callbacks.validation import Name, check_callback

log = get_logger(__name__)

F = TypeVar("F", bound=Callable[..., Any])

APPLICATION = "fedapay_sync.django"
#: No function was given, not even None: the call makes a decorator.
_ABSENT: Any = object()


_IN_TRANSACTION = (
    "fedapay.pay est appelée dans une transaction ouverte (atomic, ATOMIC_REQUESTS) : annulée ensuite, le client "
    "paierait une commande qui n'existe pas. Appeler fedapay.pay_on_commit, ou sortir du bloc d'abord."
)


def _warned_in_transactions(method: F) -> F:
    """That method of the connector, with a warning where a transaction is open."""

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        if has_open_transaction():
            warn_once(_IN_TRANSACTION)
        return method(*args, **kwargs)

    return cast(F, private(call))


class _Made(NamedTuple):
    """A connector, and what it was made for."""

    connector: Connector
    made_for: Tuple[Optional[str], Mapping[str, Any]]


@private_methods
class ProjectConnector(ConnectorMethods):
    """
    Le connecteur d'un projet Django, ``from fedapay_sync.django import fedapay``. Ses méthodes sont celles de
    ``Connector``.

    Il est fait à la première utilisation, du réglage ``FEDAPAY`` : ``API_KEY``, ``API_URL``, ``AUTH_KEY`` (le secret
    des webhooks), ``DB_URL`` et ``CALLBACKS``, chacun sinon dans l'environnement (``FEDAPAY_API_KEY``…) ; et, si
    besoin, ``API_KEYS``, ``CALLBACK_TIMEOUT``, ``CONFIRM_WITH_API``, ``KEEP_BODIES_DAYS``, ``OBSERVER``,
    ``ON_TIMEOUT``, ``POLL_RATE``, comme les arguments de ``Connector``.

    Sans ``DB_URL``, les paiements sont gardés dans ``DATABASES["default"]`` si c'est PostgreSQL, et sinon dans un
    fichier à côté de celui de SQLite, ou dans ``BASE_DIR``.

    Les fonctions données à ``on_paid``, ``on_webhook``… dans le ``fedapay_callbacks.py`` d'une application sont
    trouvées au démarrage. Chacune est appelée avec des connexions saines (``close_old_connections``).
    """

    pay = _warned_in_transactions(ConnectorMethods.pay)

    def __init__(self) -> None:
        self._functions = Functions()
        # A dictionary, whose setdefault is atomic: no lock that a fork could leave locked.
        self._made: Dict[str, _Made] = {}
        self._atomic: Dict[Tuple[int, str], Any] = {}

    @property
    def connector(self) -> Connector:
        """
        Le connecteur lui-même. Le faire n'ouvre rien et ne démarre rien.

        Raises:
            ConfigError: Django n'est pas prêt, l'application manque à ``INSTALLED_APPS``, ou un réglage est refusé.
        """
        made, made_for = self._made.get("made"), (database_name(), dict(test_settings))
        if made is None or made.made_for != made_for:
            # While tests run, the name of the database is another one: what was made before must not write there.
            self._forget_connector()
            made = self._made.setdefault("made", _Made(self._build(), made_for))
        return made.connector

    def _build(self) -> Connector:
        """The connector of the settings as they are now, with the callbacks; nothing is opened."""
        connector = self._configured()
        for each in list(self._functions.values()):
            connector._register(each, APPLICATION)
        return connector

    def _configured(self) -> Connector:
        """The same without callbacks: it has nothing to be closed, and may be made to look at."""
        _check_installed()
        connector = Connector(**read_settings(), around_callback=fresh_connections)
        connector._callbacks.postpone = postpone_until_commit
        connector.wsgi_app()  # says that webhooks come in here, and refuses without a secret
        return connector

    def _forget_connector(self) -> None:
        """Close what was made; the next use reads the settings anew."""
        made = self._made.pop("made", None)
        if made is not None:
            made.connector.close()

    @overload
    def on_webhook(
        self, callback: W, *, name: Name = None, since: Any = None, atomic: Union[bool, str] = False
    ) -> W: ...

    @overload
    def on_webhook(
        self, *, name: Name = None, since: Any = None, atomic: Union[bool, str] = False
    ) -> Callable[[W], W]: ...

    def on_webhook(
        self, callback: Any = _ABSENT, *, name: Name = None, since: Any = None, atomic: Union[bool, str] = False
    ) -> Any:
        """
        Comme ``Connector.on_webhook``.

        Args:
            name: son nom dans la base ; par défaut son module et son nom.
            since: à une fonction nouvelle, donner aussi ce qui est venu depuis cet instant.
            atomic: l'appeler dans une transaction, ``True`` pour celle de la base ``default``, ou le nom d'une autre :
                si elle lève, rien de ce qu'elle a écrit ne reste, et elle est rappelée.
        """
        more = {"name": name, "since": since}
        return self._given(
            "on_webhook", callback, atomic, lambda function: ConnectorMethods.on_webhook(self, function, **more)
        )

    @overload
    def on_paid(
        self,
        callback: W,
        *,
        name: Name = None,
        since: Any = None,
        unknown: bool = False,
        atomic: Union[bool, str] = False,
    ) -> W: ...

    @overload
    def on_paid(
        self, *, name: Name = None, since: Any = None, unknown: bool = False, atomic: Union[bool, str] = False
    ) -> Callable[[W], W]: ...

    def on_paid(
        self,
        callback: Any = _ABSENT,
        *,
        name: Name = None,
        since: Any = None,
        unknown: bool = False,
        atomic: Union[bool, str] = False,
    ) -> Any:
        """
        Comme ``Connector.on_paid`` : de quoi livrer la commande.

        Args:
            name: comme pour ``on_webhook``.
            since: comme pour ``on_webhook``.
            unknown: aussi les paiements que cette base n'a pas demandés.
            atomic: comme pour ``on_webhook``.

        Example::

            @fedapay.on_paid(atomic=True)
            def livrer(event):
                Commande.objects.filter(reference=event.entity.merchant_reference).update(payee=True)
        """
        more = {"name": name, "since": since, "unknown": unknown}
        return self._given(
            "on_paid", callback, atomic, lambda function: ConnectorMethods.on_paid(self, function, **more)
        )

    def pay_on_commit(
        self,
        setup: PaiementSetup,
        client_infos: Optional[UserData],
        montant_paiement: int,
        *,
        merchant_reference: str,
        then: Optional[Callable[[FedapayPay], Any]] = None,
        using: Optional[str] = None,
        **more: Any,
    ) -> None:
        """
        Lance un paiement quand la transaction ouverte est confirmée, et jamais si elle est annulée : le client n'est
        pas invité à payer une commande qui n'existe pas. Tout de suite s'il n'y a pas de transaction.

        Args:
            setup: comme pour ``pay``, et de même pour ce qui suit.
            client_infos: le client.
            montant_paiement: montant en francs entiers.
            merchant_reference: référence de la commande, par laquelle on la retrouve ; obligatoire ici.
            then: fonction appelée ensuite avec ce que ``pay`` a rendu : pour garder son identifiant.
            using: le nom de la base de données de cette transaction, ``default`` sinon.
            more: les autres arguments de ``pay``.

        Raises:
            ConfigError: un argument que ``pay`` n'a pas, une base inconnue, ou ``then`` n'est pas une fonction.

        Ce que ``pay`` lève sort du bloc ``atomic``, la commande confirmée : rappeler ``pay`` avec la même référence
        est sans danger.
        """
        if not isinstance(merchant_reference, str) or not merchant_reference:
            raise ConfigError("pay_on_commit : merchant_reference est attendue, un texte, pour retrouver la commande.")
        if then is not None:
            check_callback(then, "pay_on_commit (then=)", ["paiement"])
        if using is not None and using not in connections:
            raise ConfigError(f"pay_on_commit : using={using!r} n'est pas une base de DATABASES.")
        arguments: Dict[str, Any] = {**more, "merchant_reference": merchant_reference}
        try:
            inspect.signature(Connector.pay).bind(self, setup, client_infos, montant_paiement, **arguments)
        except TypeError as error:
            raise ConfigError(f"pay_on_commit : {error}. Ses arguments sont ceux de pay.") from None

        def pay() -> None:
            payment = self.connector.pay(setup, client_infos, montant_paiement, **arguments)
            if then is not None:
                then(payment)

        run_after_commit(pay, using)

    def __repr__(self) -> str:
        made = self._made.get("made")
        return f"ProjectConnector({made.connector if made is not None else 'pas encore fait'!s})"

    def _given(self, what: str, callback: Any, atomic: Union[bool, str], register: Callable[[Any], Any]) -> Any:
        if callback is _ABSENT:
            return lambda function: self._given(what, function, atomic, register)
        check_callback(callback, what)
        register(self._in_transaction(what, callback, atomic) if atomic is not False else callback)
        return callback

    def _in_transaction(self, what: str, callback: Any, atomic: Union[bool, str]) -> Any:
        if not (atomic is True or (isinstance(atomic, str) and atomic in connections)):
            raise ConfigError(f"{what} : atomic={atomic!r} : True, ou le nom d'une base de DATABASES, est attendu.")
        alias = atomic if isinstance(atomic, str) else DEFAULT_DB_ALIAS
        # One for each function: registered again, it is the same callback.
        return self._atomic.setdefault((id(callback), alias), transaction.atomic(using=alias)(callback))

    def _register(self, callback: Registered, what: str) -> None:
        self._functions.register(callback, what)
        made = self._made.get("made")
        if made is not None:
            made.connector._register(callback, what)


def _check_installed() -> None:
    if not apps.ready:
        raise ConfigError(
            "FedaPay : Django n'est pas encore prêt. Employer fedapay dans une fonction (une vue, une commande), et "
            "non à l'import d'un module ; dans un script, appeler d'abord django.setup()."
        )
    if not apps.is_installed(APPLICATION):
        raise ConfigError(
            f'FedaPay : ajouter "{APPLICATION}" à INSTALLED_APPS. Sans elle les fedapay_callbacks.py ne sont pas '
            "trouvés, et une commande payée ne serait pas livrée."
        )
