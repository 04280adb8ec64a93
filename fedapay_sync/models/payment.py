"""Models of a payment as a program asks for it, and of what ``pay`` gives back."""

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Dict, Optional, Tuple, Type, TypeVar, Union

import marshmallow.validate

from fedapay_sync.common.countries import COUNTRIES, SANDBOX_METHOD, push_methods
from fedapay_sync.common.frames import private_methods
from fedapay_sync.common.hosting import is_interactive
from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.masking import safe_repr
from fedapay_sync.display.payments import payment_html, payment_state
from fedapay_sync.enums import Environment, MethodesPaiement, Pays, TransactionStatus, TypesPaiement
from fedapay_sync.errors import InvalidArgument, InvalidCountryPaymentCombination
from fedapay_sync.models.base import Model
from fedapay_sync.models.schema import to_plain
from fedapay_sync.models.transaction import PaymentIntent, Transaction, TransactionToken

log = get_logger(__name__)

W = TypeVar("W", Pays, MethodesPaiement, TypesPaiement)

_email = marshmallow.validate.Email()
_PHONE = re.compile(r"\+?[0-9]{6,20}\Z")


def enum_member(kind: Type[W], value: Any, field: str) -> W:
    """
    The member meant by a member, its value or its name.

    Raises:
        InvalidArgument: no such member.
    """
    for member in kind:
        if value == member.value or value == member.name:
            return member
    known = ", ".join(f"{member.name} ({member.value})" for member in kind)
    raise InvalidArgument(f"{field}={safe_repr(value)} est inconnu. Valeurs possibles : {known}.", field=field)


def checked_phone_number(number: Any, field: str = "tel") -> str:
    """
    A phone number that could be one. Its form is left as given: what FedaPay accepts differs by country and date.

    Raises:
        InvalidArgument: not a text, or not the characters of a phone number.
    """
    text = number.strip() if isinstance(number, str) else ""
    digits = text.replace(" ", "").replace("-", "").replace(".", "")
    if not _PHONE.match(digits):
        raise InvalidArgument(
            f"{field} n'est pas un numéro de téléphone : un texte de 6 à 20 chiffres est attendu, par exemple "
            "'0164000001' (entre guillemets : un nombre perdrait son premier zéro).",
            field=field,
        )
    return text


@private_methods
@dataclass(frozen=True)
class UserData(Model):
    """
    Le client qui paie.

    Attributes:
        nom: nom de famille, non vide (FedaPay refuse un nom vide).
        prenom: prénom, non vide.
        email: adresse e-mail ; elle identifie le client chez FedaPay. ``None`` si seul le téléphone est connu.
        tel: numéro de téléphone, de préférence dans sa forme locale complète (``0164000001`` au Bénin).

    Raises:
        InvalidArgument: un champ n'a pas la forme attendue.
    """

    _repr_fields: ClassVar[Tuple[str, ...]] = ()

    nom: str
    prenom: str
    email: Optional[str] = None
    tel: Optional[str] = None

    def __post_init__(self) -> None:
        for field in ("nom", "prenom"):
            value = getattr(self, field)
            if not isinstance(value, str) or not value.strip():
                raise InvalidArgument(f"{field} est vide : FedaPay demande un texte non vide.", field=field)
        if self.email is not None:
            try:
                _email(self.email if isinstance(self.email, str) else "")
            except marshmallow.ValidationError:
                raise InvalidArgument(
                    "email n'est pas une adresse e-mail : la forme nom@domaine.bj est attendue, ou None "
                    "si le client n'en a pas.",
                    field="email",
                ) from None
        if self.tel is not None:
            object.__setattr__(self, "tel", checked_phone_number(self.tel))


@private_methods
@dataclass(frozen=True)
class PaiementSetup(Model):
    """
    Où et comment le client paie.

    Attributes:
        pays: pays du client ; il donne la devise.
        method: opérateur à solliciter ; ``MethodesPaiement.momo_test`` en sandbox. Sans objet avec redirection.
        type_paiement: sans redirection (le téléphone invite à payer) ou avec (page de FedaPay).

    Raises:
        InvalidCountryPaymentCombination: le pays n'a pas cette méthode, ou la méthode manque.
        InvalidArgument: pays, méthode ou type inconnu.
    """

    _repr_fields: ClassVar[Tuple[str, ...]] = ("pays", "method", "type_paiement")

    pays: Pays
    method: Optional[MethodesPaiement] = None
    type_paiement: TypesPaiement = TypesPaiement.SANS_REDIRECTION

    def __post_init__(self) -> None:
        country = enum_member(Pays, self.pays, "pays")
        kind = enum_member(TypesPaiement, self.type_paiement or TypesPaiement.SANS_REDIRECTION, "type_paiement")
        method = None if self.method is None else enum_member(MethodesPaiement, self.method, "method")
        if kind == TypesPaiement.AVEC_REDIRECTION:
            if method is not None:
                log.warning("payment method ignored: the payer chooses it on the payment page")
            method = None
        else:
            _check_combination(country, method)
        object.__setattr__(self, "pays", country)
        object.__setattr__(self, "method", method)
        object.__setattr__(self, "type_paiement", kind)


def _check_combination(country: Pays, method: Optional[MethodesPaiement]) -> None:
    if method is not None and method in push_methods(country):
        return
    label = COUNTRIES[country].label
    offered = sorted(each.name for each in COUNTRIES[country].push)
    problem = (
        f"Il manque la méthode de paiement pour le pays {label}"
        if method is None
        else f"{method.name} ({method.value}) n'est pas une méthode de paiement du pays {label}"
    )
    remedy = (
        f"Méthodes possibles : {', '.join(offered)} (momo_test en sandbox)"
        if offered
        else "Ce pays ne paie que sur la page de FedaPay (momo_test en sandbox)"
    )
    raise InvalidCountryPaymentCombination(
        f"{problem}. {remedy}, ou type_paiement=TypesPaiement.AVEC_REDIRECTION pour la page de paiement.",
        field="method",
    )


def number_to_push(
    setup: PaiementSetup, client: Optional[UserData], payment_contact: Optional[str], environment: str
) -> Optional[str]:
    """
    The number to push to; None where the payer chooses on the payment page.

    Raises:
        InvalidCountryPaymentCombination: that environment has no such method.
        InvalidArgument: no number, or none that could be one.
    """
    if setup.type_paiement == TypesPaiement.AVEC_REDIRECTION:
        return None
    if environment == Environment.sandbox and setup.method != SANDBOX_METHOD:
        # FedaPay answers « Opération non autorisée », which does not say what to do.
        raise InvalidCountryPaymentCombination(
            f"{setup.method.name if setup.method else 'Cette méthode'} n'existe pas en sandbox : seule momo_test "
            "y est admise (method=MethodesPaiement.momo_test, numéro 0164000001 pour un paiement accepté).",
            field="method",
        )
    if environment == Environment.live and setup.method == SANDBOX_METHOD:
        raise InvalidCountryPaymentCombination(
            "momo_test n'existe qu'en sandbox : choisir l'opérateur du client, par exemple "
            "method=MethodesPaiement.mtn_open au Bénin.",
            field="method",
        )
    if payment_contact is not None:
        return checked_phone_number(payment_contact, "payment_contact")
    if client is None or client.tel is None:
        raise InvalidArgument(
            "Aucun numéro à débiter : donner payment_contact ou client_infos.tel, ou choisir "
            "type_paiement=TypesPaiement.AVEC_REDIRECTION.",
            field="payment_contact",
        )
    return client.tel


@dataclass(frozen=True)
class FedapayPay(Model):
    """
    Un paiement lancé : la transaction existe chez FedaPay et le client est invité à payer. Rien n'est encore payé.

    Attributes:
        transaction_data: la transaction créée.
        link_and_token_data: lien de la page de paiement et son jeton.
        set_methode_data: réponse à l'invitation envoyée au téléphone ; ``None`` avec redirection.
        status: dernier statut connu.
    """

    transaction_data: Transaction
    link_and_token_data: TransactionToken
    set_methode_data: Optional[PaymentIntent] = None
    status: Union[TransactionStatus, str, None] = None

    def _shown_fields(self) -> Dict[str, Any]:
        # The link holds a token that opens the payment page: it is shown to the person who types, and in no log.
        link = {"payment_link": self.payment_link} if is_interactive() else {}
        return {
            "id_transaction": self.id_transaction,
            "amount": to_plain(self.transaction_data.amount),
            "status": to_plain(self.status),
            "state": payment_state(self).word,
            **link,
        }

    def _repr_html_(self) -> str:
        return payment_html(self)

    @property
    def id_transaction(self) -> int:
        """Identifiant FedaPay de la transaction, à donner à ``finalise``."""
        return self.transaction_data.id

    @property
    def transaction(self) -> Transaction:
        """La transaction créée."""
        return self.transaction_data

    @property
    def payment_link(self) -> Optional[str]:
        """Lien de la page où le client peut payer."""
        return self.link_and_token_data.payment_link


@dataclass(frozen=True)
class PaymentHistory(FedapayPay):
    """Ce que reçoit le callback de paiement : un paiement vient d'être lancé par ``pay``."""
