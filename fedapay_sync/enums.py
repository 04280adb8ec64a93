"""Les mots de FedaPay : pays, devises, méthodes, statuts."""

from enum import Enum
from typing import Dict, FrozenSet


class _StrEnum(str, Enum):
    """A text that is one of a few. Prints as its value on every Python from 3.9 to 3.13."""

    __str__ = str.__str__
    __format__ = str.__format__  # type: ignore[assignment]


class Pays(_StrEnum):
    """Pays où FedaPay encaisse, par code ISO 3166-1 en minuscules."""

    benin = "bj"
    cote_d_ivoire = "ci"
    niger = "ne"
    senegal = "sn"
    togo = "tg"
    guinee = "gn"
    mali = "ml"
    burkina_faso = "bf"


class Monnaies(_StrEnum):
    """Devises, par code ISO 4217. Aucune des deux n'a de centimes."""

    xof = "XOF"
    gnf = "GNF"


class MethodesPaiement(_StrEnum):
    """
    Méthodes de paiement sans redirection.

    Le nom du membre est le code envoyé à FedaPay (``mtn_open``), sa valeur le nom à montrer.
    ``momo_test`` est la seule méthode de l'environnement sandbox.
    """

    mtn_open = "MTN Mobile Money Bénin"
    moov = "Moov Bénin"
    sbin = "Celtis Bénin"
    mtn_ci = "MTN Mobile Money Côte d'Ivoire"
    moov_tg = "Moov Togo"
    togocel = "Togocel T-Money"
    free_sn = "Free Sénégal"
    airtel_ne = "Airtel Niger"
    mtn_open_gn = "MTN Mobile Money Guinée"
    momo_test = "Momo Test (sandbox)"


class TypesPaiement(_StrEnum):
    """Avec redirection : le client paie sur la page de FedaPay. Sans : son téléphone l'invite à payer."""

    AVEC_REDIRECTION = "avec_redirection"
    SANS_REDIRECTION = "sans_redirection"


class TransactionStatus(_StrEnum):
    """Statuts d'une transaction. Un statut que FedaPay ajouterait reste un texte simple."""

    created = "created"
    pending = "pending"
    approved = "approved"
    declined = "declined"
    canceled = "canceled"
    expired = "expired"
    transferred = "transferred"
    refunded = "refunded"
    approved_partially_refunded = "approved_partially_refunded"
    transferred_partially_refunded = "transferred_partially_refunded"


class PayoutStatus(_StrEnum):
    """Statuts d'un dépôt. Un statut que FedaPay ajouterait reste un texte simple."""

    pending = "pending"
    scheduled = "scheduled"
    started = "started"
    processing = "processing"
    sent = "sent"
    failed = "failed"


class EventFutureStatus(_StrEnum):
    """
    Comment une attente a pris fin.

    ``RESOLVED`` veut dire « statut final connu », pas « payé » : lire ``Outcome.paid``.
    """

    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    RESOLVED = "resolved"
    CANCELLED_INTERNALLY = "cancelled_internally"


class OutcomeState(_StrEnum):
    """
    Où en est un paiement, en un mot : ``Outcome.state``.

    Deux mots disent que l'argent a été débité : ``paid`` et ``refunded``. Un statut que FedaPay ajouterait est un
    ``UnknownState``, un texte qui a aussi un ``label``.
    """

    #: Payé, comme demandé ; aussi quand une partie a été rendue depuis.
    paid = "paid"
    #: Le client, ou son opérateur, a refusé. Il peut encore payer par le même lien.
    declined = "declined"
    #: Le lien ne peut plus être payé.
    expired = "expired"
    #: Annulé. Si c'est par l'opérateur (solde insuffisant), le client peut encore payer par le même lien.
    canceled = "canceled"
    #: Pas encore fini, ou pas encore su ; le client peut payer à tout instant.
    pending = "pending"
    #: Payé, puis rendu en entier.
    refunded = "refunded"
    #: Payé, mais ni le montant ni la devise demandés : à vérifier par une personne.
    suspect = "suspect"

    @property
    def label(self) -> str:
        """Le mot à montrer, en français : « payé », « en attente »…"""
        return _STATE_LABELS[self.value]


#: What FedaPay's statuses that end a wait say in one word. A part that was given back leaves the payment paid.
STATUS_STATES: Dict[str, OutcomeState] = {
    TransactionStatus.approved: OutcomeState.paid,
    TransactionStatus.transferred: OutcomeState.paid,
    TransactionStatus.approved_partially_refunded: OutcomeState.paid,
    TransactionStatus.transferred_partially_refunded: OutcomeState.paid,
    TransactionStatus.refunded: OutcomeState.refunded,
    TransactionStatus.declined: OutcomeState.declined,
    TransactionStatus.canceled: OutcomeState.canceled,
    TransactionStatus.expired: OutcomeState.expired,
}


class UnknownState(str):
    """L'état d'un paiement quand ce n'est aucun des ``OutcomeState`` : le statut de FedaPay, tel qu'il est venu."""

    __slots__ = ()

    @property
    def label(self) -> str:
        """Le texte à montrer."""
        return _STATE_LABELS.get(self, f"statut « {self} »")


_STATE_LABELS = {
    "paid": "payé",
    "declined": "refusé",
    "expired": "expiré",
    "canceled": "annulé",
    "pending": "en attente",
    "refunded": "remboursé",
    "suspect": "suspect",
    "not_found": "inconnu de FedaPay",
}


class OnTimeout(_StrEnum):
    """Que faire d'un paiement encore en attente à l'échéance."""

    KEEP = "keep"
    DELETE = "delete"


class CallbackMode(_StrEnum):
    """Où courent les callbacks de ce qu'un processus reçoit."""

    #: Dans ce processus, sur des threads à part.
    HERE = "here"
    #: Dans les processus qui appellent ``run`` ; celui-ci paie, attend et reçoit.
    WORKER = "worker"
    #: Dans le thread qui a reçu l'événement, avant qu'il ne revienne.
    INLINE = "inline"


class Environment(_StrEnum):
    """Environnement FedaPay : rien n'est partagé entre les deux."""

    sandbox = "sandbox"
    live = "live"


#: Statuts où le client a été débité, même si la somme a été rendue depuis (comme dans les SDK officiels).
PAID_STATUSES: FrozenSet[str] = frozenset(
    {
        TransactionStatus.approved,
        TransactionStatus.transferred,
        TransactionStatus.refunded,
        TransactionStatus.approved_partially_refunded,
        TransactionStatus.transferred_partially_refunded,
    }
)

#: Statuts après lesquels FedaPay laisse le client essayer encore : la même transaction peut devenir ``approved``.
RETRIED_STATUSES: FrozenSet[str] = frozenset({TransactionStatus.declined, TransactionStatus.canceled})

#: Statuts qui mettent fin à une attente.
FINAL_STATUSES: FrozenSet[str] = PAID_STATUSES | RETRIED_STATUSES | {TransactionStatus.expired}

#: Statuts d'un dépôt qui est arrivé, ou qui n'arrivera pas sans être relancé.
FINAL_PAYOUT_STATUSES: FrozenSet[str] = frozenset({PayoutStatus.sent, PayoutStatus.failed})
