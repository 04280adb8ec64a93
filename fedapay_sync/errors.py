"""
Les erreurs de ``fedapay_sync``. Une classe existe là où un programme ferait autre chose.

::

    FedapayError
    ├── ConfigError                          clé, adresse, secret ou base mal réglés (aussi ValueError)
    ├── InvalidArgument                      argument refusé avant tout envoi (aussi ValueError)
    │   ├── InvalidCountryPaymentCombination le pays n'a pas cette méthode de paiement
    │   ├── DuplicatePayment                 le même paiement vient d'être demandé (notebook, console)
    │   └── ReferenceTaken                   la référence marchande est celle d'un autre paiement
    ├── SignatureError                       webhook dont la signature ne prouve rien
    ├── EventError                           événement illisible
    ├── StoreError                           la base n'a pas pu écrire ou lire
    ├── PortUnavailable                      le port du serveur de webhooks est pris (aussi OSError)
    ├── TransportError                       pas de réponse de FedaPay
    │   ├── NotSent                          la requête n'est certainement pas arrivée
    │   └── OutcomeUnknown                   la requête est peut-être arrivée
    ├── ApiError (alias FedapayServerError)  FedaPay a répondu, et c'est un refus ou un défaut
    │   ├── BadRequest                       400, 422
    │   ├── AuthenticationError              401
    │   ├── Forbidden                        403
    │   │   └── TransactionIsNotPendingAnymore
    │   ├── NotFound                         404
    │   ├── Conflict                         409
    │   ├── RateLimited                      429
    │   ├── ServerFault                      5xx
    │   └── UnreadableAnswer                 ni JSON, ni la forme attendue, ou trop gros
    ├── StatusUnknown                        à l'échéance, FedaPay n'a pas dit où en est le paiement
    └── AmountMismatch                       payé, mais pas ce qui était demandé
"""

from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Type, Union

TransactionId = Union[int, str]


class FedapayError(Exception):
    """
    Racine de toutes les erreurs du paquet.

    Attributes:
        id_transaction: transaction FedaPay concernée, quand elle existe déjà ; sinon ``None``.
        merchant_reference: référence du paiement que ``pay`` lançait, à redonner pour le reprendre ; sinon ``None``.
    """

    id_transaction: Optional[TransactionId] = None
    merchant_reference: Optional[str] = None

    def __init__(self, message: str = "", **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.__dict__.update(facts)

    @property
    def code(self) -> str:
        """Nom anglais et stable de l'erreur, fait pour un journal ou une recherche."""
        return type(self).__name__

    def __reduce__(self) -> Tuple[Callable[..., Any], Tuple[Any, ...]]:
        return _rebuild, (type(self), dict(self.__dict__), self.args)


def _rebuild(kind: Type[FedapayError], facts: Dict[str, Any], args: Tuple[Any, ...]) -> FedapayError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


class ConfigError(FedapayError, ValueError):
    """Configuration manquante, contradictoire ou dangereuse."""


class InvalidArgument(FedapayError, ValueError):
    """
    Argument refusé avant tout envoi à FedaPay.

    Attributes:
        field: nom de l'argument refusé.
    """

    field: str = ""


class InvalidCountryPaymentCombination(InvalidArgument):
    """Le pays n'offre pas cette méthode de paiement sans redirection."""


class DuplicatePayment(InvalidArgument):
    """
    Le même paiement a été demandé il y a moins de dix minutes, et le client peut encore le payer ou l'a payé : une
    cellule relancée. Rien n'a été envoyé. ``pay(…, again=True)`` demande une seconde fois.

    Attributes:
        id_transaction: le premier paiement ; ``None`` si la réponse à sa création s'est perdue.
        merchant_reference: la référence du premier ; ``pay`` avec elle le rend.
    """


class ReferenceTaken(InvalidArgument):
    """
    La référence marchande désigne déjà un objet qui n'est pas ce qui est demandé. Rien n'a été demandé au client.

    Attributes:
        id_transaction: l'objet que la référence désigne ; ``None`` s'il n'en a pas encore.
        merchant_reference: la référence.
        fields: ce qui diffère, par exemple ``("currency", "customer")``.
    """

    field: str = "merchant_reference"
    fields: Tuple[str, ...] = ()


class SignatureError(FedapayError):
    """La signature d'un webhook est absente, illisible, fausse ou hors du délai admis."""


class EventError(FedapayError):
    """L'événement donné n'a pas la forme d'un événement FedaPay."""


class StoreError(FedapayError):
    """
    La base, fichier ou serveur, n'a pas pu garder ou lire ce qui lui était confié ; rien n'a été confirmé.

    Attributes:
        permanent: la base refuse cette écriture-là, et la refuserait encore ; le reste n'en souffre pas.
    """

    permanent: bool = False


class PortUnavailable(FedapayError, OSError):
    """
    L'adresse d'écoute demandée n'est pas disponible.

    Attributes:
        host: adresse demandée.
        port: port demandé.
    """

    host: str = ""
    port: int = 0

    # OSError.__new__ and __str__ have ideas of their own about arguments; ours is one sentence.
    def __str__(self) -> str:
        return self.message


class TransportError(FedapayError):
    """
    Aucune réponse utilisable de FedaPay.

    Attributes:
        method: méthode HTTP.
        path: chemin appelé, sans clé ni jeton.
        cause: nom de la classe d'erreur d'origine.
    """

    method: str = ""
    path: str = ""
    cause: str = ""


class NotSent(TransportError):
    """La connexion n'a pas pu s'ouvrir : FedaPay n'a rien reçu, la requête peut être refaite sans risque."""


class OutcomeUnknown(TransportError):
    """
    La requête est peut-être arrivée, la réponse non.

    Ne jamais refaire un POST après cette erreur sans avoir d'abord relu la transaction
    (par sa référence marchande) chez FedaPay.
    """


class ApiError(FedapayError):
    """
    FedaPay a répondu autre chose qu'un succès.

    Attributes:
        status: code HTTP de la réponse.
        fedapay_message: message de FedaPay, secrets et coordonnées masqués ; vide s'il n'y en avait pas.
        fedapay_code: code d'erreur de FedaPay, quand il en donne un (``INVALID_PARAMS``) ; sinon vide.
        errors: erreurs par champ, comme ``{"amount": ["doit être supérieur à 0"]}``.
        method: méthode HTTP.
        path: chemin appelé, sans clé ni jeton.
    """

    status: int = 0
    fedapay_message: str = ""
    fedapay_code: str = ""
    errors: Mapping[str, List[str]] = {}
    method: str = ""
    path: str = ""


#: Nom du connecteur asynchrone pour la même erreur.
FedapayServerError = ApiError


class BadRequest(ApiError):
    """Paramètre manquant ou refusé, ou opérateur non activé (400, 422)."""


class AuthenticationError(ApiError):
    """Clé API absente, fausse ou d'un autre environnement (401)."""


class Forbidden(ApiError):
    """Opération non autorisée pour ce compte ou dans cet état (403)."""


class TransactionIsNotPendingAnymore(Forbidden):
    """La transaction n'est plus en attente : elle ne peut plus être annulée."""


class NotFound(ApiError):
    """Adresse ou identifiant inconnu de FedaPay (404)."""


class Conflict(ApiError):
    """Conflit avec une autre opération (409)."""


class RateLimited(ApiError):
    """
    Trop de requêtes (429).

    Attributes:
        retry_after: secondes demandées par FedaPay avant un nouvel essai, ou ``None``.
    """

    retry_after: Optional[float] = None


class ServerFault(ApiError):
    """Défaut du côté de FedaPay ou de l'opérateur (5xx)."""


class UnreadableAnswer(ApiError):
    """La réponse n'est pas du JSON, n'a pas la forme attendue, ou dépasse la taille admise."""


class StatusUnknown(FedapayError):
    """
    L'échéance est passée et FedaPay n'a pas pu dire où en est le paiement.

    Ce n'est pas un échec : le paiement reste suivi, et ``finalise`` peut être rappelée.
    """


class AmountMismatch(FedapayError):
    """
    Le paiement porte un autre montant ou une autre devise que ce qui était demandé.

    Attributes:
        expected: montant et devise demandés.
        received: montant et devise payés.
    """

    expected: str = ""
    received: str = ""
