"""
L'API de FedaPay telle quelle, sans base ni webhooks : chaque appel part, chaque réponse revient en modèle.

``Connector`` est fait pour encaisser ; ``Integration`` pour tout le reste, et pour qui veut tout conduire soi-même.
"""

import logging
from collections.abc import Mapping
from typing import Any, Callable, Optional, Tuple

from fedapay_sync.common.credentials import api_key as checked_key
from fedapay_sync.common.credentials import api_url as checked_url
from fedapay_sync.common.env import API_KEY, API_URL, from_environment
from fedapay_sync.common.frames import private_methods
from fedapay_sync.common.secret import Key, Secret
from fedapay_sync.enums import TypesPaiement
from fedapay_sync.errors import ConfigError, InvalidArgument, TransactionId
from fedapay_sync.models import (
    Balance,
    Currency,
    Event,
    Log,
    PaiementSetup,
    PaymentIntent,
    Transaction,
    TransactionDeleteStatus,
    TransactionToken,
    UserData,
    Webhook,
)
from fedapay_sync.models.pagination import PagedList
from fedapay_sync.models.params.payment import checked_client, checked_setup, transaction_request
from fedapay_sync.resources.api import Api
from fedapay_sync.transport.exchange import Exchange, checked_observer
from fedapay_sync.transport.transport import BUDGET, TIMEOUTS, Transport

Params = Optional[Mapping[str, Any]]


@private_methods
class Integration(Api):
    """
    Toutes les ressources de FedaPay pour un compte marchand.

    Les ressources sont des attributs (``integration.payouts.create(...)``) ; les noms du connecteur asynchrone sont des
    méthodes. Sûre entre threads et après un ``fork``. La construction n'ouvre rien.

    Args:
        api_url: adresse de l'API (``FEDAPAY_API_URL``).
        logger: journal où noter chaque appel : méthode, chemin, statut, durée ; ni clé, ni contenu.
        default_api_key: clé secrète (``FEDAPAY_API_KEY``) ; chaque méthode en accepte une autre, ``api_key``.
        account: compte rattaché au nom duquel agir (en-tête ``FedaPay-Account``).
        timeouts: délais de connexion et de lecture, en secondes.
        budget: durée totale d'un appel, nouveaux essais compris, en secondes.
        observer: fonction appelée avec un ``Exchange`` après chaque essai.

    Raises:
        ConfigError: adresse ou clé manquante, ou qui ne vont pas ensemble ; délai, journal ou fonction qui n'en est pas
            (c'est aussi une ``ValueError``).

    Example:
        >>> [devise.iso for devise in integration.currencies.list()]
        ['XOF', 'GNF']
    """

    def __init__(
        self,
        api_url: Optional[str] = None,
        logger: Optional[logging.Logger] = None,
        default_api_key: Optional[str] = None,
        *,
        account: Optional[TransactionId] = None,
        timeouts: Tuple[float, float] = TIMEOUTS,
        budget: float = BUDGET,
        observer: Optional[Callable[[Exchange], object]] = None,
    ) -> None:
        url = checked_url(api_url, f"{API_URL} ou api_url")
        key = Secret(checked_key(default_api_key or from_environment(API_KEY), url, f"{API_KEY} ou default_api_key"))
        self.fedapay_api_url = url
        transport = Transport(url, timeouts=timeouts, budget=budget, observer=_logging_observer(logger, observer))

        def key_for(given: Optional[Key]) -> Secret:
            if given is None or isinstance(given, Secret):
                return given or key
            return Secret(checked_key(given, url, "api_key"))

        super().__init__(transport, key_for, account)

    def __enter__(self) -> "Integration":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        # Debuggers and error reports show the object of a construction that has failed, too.
        url = vars(self).get("fedapay_api_url")
        return f"Integration({'construction échouée' if url is None else repr(url)})"

    # -- noms du connecteur asynchrone ----------------------------------------------------------------------------

    def get_all_transactions(self, params: Params = None, api_key: Optional[str] = None) -> PagedList[Transaction]:
        """Liste les transactions ; voir ``transactions.search``."""
        return self.transactions.search(api_key=api_key, **_checked_params(params))

    def get_transaction_by_fedapay_id(self, fedapay_id: TransactionId, api_key: Optional[str] = None) -> Transaction:
        """Lit une transaction par son identifiant FedaPay."""
        return self.transactions.retrieve(fedapay_id, api_key=api_key)

    def get_transaction_by_merchant_reference(
        self, merchant_reference: str, api_key: Optional[str] = None
    ) -> Transaction:
        """Lit la transaction qui porte cette référence marchande."""
        return self.transactions.by_merchant_reference(merchant_reference, api_key=api_key)

    def update_transaction(
        self, fedapay_id: TransactionId, data_to_update: Mapping[str, Any], api_key: Optional[str] = None
    ) -> Transaction:
        """Modifie une transaction et rend son nouvel état."""
        return self.transactions.update(fedapay_id, data_to_update, api_key=api_key)

    def delete_transaction(self, fedapay_id: TransactionId, api_key: Optional[str] = None) -> TransactionDeleteStatus:
        """Annule une transaction encore en attente."""
        return self.transactions.delete(fedapay_id, api_key=api_key)

    def create_transaction(
        self,
        setup: PaiementSetup,
        client_infos: Optional[UserData],
        montant_paiement: int,
        callback_url: Optional[str] = None,
        api_key: Optional[str] = None,
        merchant_reference: Optional[str] = None,
        custom_metadata: Optional[Mapping[str, Any]] = None,
        description: Optional[str] = None,
    ) -> Transaction:
        """
        Crée une transaction, une seule fois même si une réponse se perd. Rien n'est encore demandé au client.

        Args:
            setup: pays et méthode de paiement ; le pays donne la devise.
            client_infos: le client, ou ``None``.
            montant_paiement: montant en francs entiers, plus grand que 0.
            callback_url: page de la boutique où FedaPay renvoie le navigateur du client (ce n'est pas le webhook).
            merchant_reference: référence unique de la boutique ; une est inventée si elle manque.
            custom_metadata: données de la boutique, rendues telles quelles ; rien de confidentiel.
            description: texte montré au client.
        """
        body = transaction_request(
            setup, client_infos, montant_paiement, callback_url, custom_metadata, description, merchant_reference
        )
        return self.transactions.create(body, api_key=api_key)

    def get_transaction_link(self, id_transaction: TransactionId, api_key: Optional[str] = None) -> TransactionToken:
        """Donne un jeton de paiement et le lien de la page où le client peut payer."""
        return self.transactions.token(id_transaction, api_key=api_key)

    def set_payment_method(
        self, client_infos: Optional[UserData], setup: PaiementSetup, token: str, api_key: Optional[str] = None
    ) -> PaymentIntent:
        """
        Invite le client à payer sur son téléphone, sans redirection.

        Args:
            client_infos: le client ; sans ``tel``, FedaPay prend le numéro de la transaction.
            setup: pays et méthode de paiement.
            token: jeton donné par ``get_transaction_link``.
        """
        setup, client = checked_setup(setup), checked_client(client_infos)
        if setup.method is None or setup.type_paiement == TypesPaiement.AVEC_REDIRECTION:
            raise InvalidArgument(
                "setup : une méthode sans redirection est attendue, par exemple "
                "PaiementSetup(pays=Pays.benin, method=MethodesPaiement.mtn_open). Avec redirection il n'y a rien à "
                "appeler : donner le lien de paiement au client.",
                field="setup",
            )
        number = None if client is None else client.tel
        return self.payment_intents.create(
            setup.method, token, number=number, country=setup.pays.value, api_key=api_key
        )

    def get_all_balances(self, params: Params = None, api_key: Optional[str] = None) -> PagedList[Balance]:
        """Liste les soldes du compte."""
        return self.balances.list(api_key=api_key, **_checked_params(params))

    def get_balance_by_id(self, balance_id: TransactionId, api_key: Optional[str] = None) -> Balance:
        """Lit un solde."""
        return self.balances.retrieve(balance_id, api_key=api_key)

    def get_all_currencies(self, params: Params = None, api_key: Optional[str] = None) -> PagedList[Currency]:
        """Liste les devises."""
        return self.currencies.list(api_key=api_key, **_checked_params(params))

    def get_currency_by_id(self, currency_id: TransactionId, api_key: Optional[str] = None) -> Currency:
        """Lit une devise par son identifiant."""
        return self.currencies.retrieve(currency_id, api_key=api_key)

    def get_all_events(self, params: Params = None, api_key: Optional[str] = None) -> PagedList[Event]:
        """Liste les événements du compte."""
        return self.events.list(api_key=api_key, **_checked_params(params))

    def get_event_by_id(self, event_id: str, api_key: Optional[str] = None) -> Event:
        """Lit un événement."""
        return self.events.retrieve(event_id, api_key=api_key)

    def get_all_logs(self, params: Params = None, api_key: Optional[str] = None) -> PagedList[Log]:
        """Liste les appels reçus par l'API."""
        return self.logs.list(api_key=api_key, **_checked_params(params))

    def get_log_by_id(self, log_id: str, api_key: Optional[str] = None) -> Log:
        """Lit un appel reçu par l'API."""
        return self.logs.retrieve(log_id, api_key=api_key)

    def get_all_webhooks(self, params: Params = None, api_key: Optional[str] = None) -> PagedList[Webhook]:
        """Liste les webhooks du compte."""
        return self.webhooks.list(api_key=api_key, **_checked_params(params))

    def get_webhook_by_id(self, webhook_id: TransactionId, api_key: Optional[str] = None) -> Webhook:
        """Lit un webhook."""
        return self.webhooks.retrieve(webhook_id, api_key=api_key)


def _checked_params(params: Params) -> Mapping[str, Any]:
    """
    Query parameters, to be handed on by name.

    Raises:
        InvalidArgument: no dictionary, or a name that Python would take for something else.
    """
    if params is None:
        return {}
    if (
        not isinstance(params, Mapping)
        or not all(isinstance(name, str) for name in params)
        or not {"api_key", "self"}.isdisjoint(params)
    ):
        raise InvalidArgument(
            "params : un dictionnaire de paramètres de FedaPay est attendu, comme {'per_page': 50} ; la clé se donne "
            f"par api_key. Reçu {type(params).__name__}.",
            field="params",
        )
    return params


def _logging_observer(
    logger: Optional[logging.Logger], observer: Optional[Callable[[Exchange], object]]
) -> Optional[Callable[[Exchange], object]]:
    """One observer that calls both the logger and the user's observer."""
    observer = checked_observer(observer)
    if logger is None:
        return observer
    if not isinstance(logger, logging.Logger):
        raise ConfigError(
            f"logger : un logging.Logger est attendu, comme logging.getLogger('boutique'), ou None ; reçu "
            f"{type(logger).__name__}."
        )
    call_log = logger

    def log_exchange(exchange: Exchange) -> None:
        outcome = exchange.status if exchange.status is not None else exchange.error
        call_log.info("%s %s: %s in %.3f s", exchange.method, exchange.path, outcome, exchange.seconds)
        if observer is not None:
            observer(exchange)

    return log_exchange
