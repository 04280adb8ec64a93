"""
Idempotent creation, by merchant reference: what had no answer is looked up before it is sent again.

The reference goes out with the first POST. When its answer is lost, that reference is looked up, what is found is
adopted, and only what is certainly not there is sent again: FedaPay keeps the reference unique, so a first POST that
arrives after all is refused, not doubled.
"""

import secrets
from typing import Any, Dict, Optional, Sequence, Tuple, Union

from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.masking import mask
from fedapay_sync.common.secret import Key
from fedapay_sync.errors import (
    ApiError,
    BadRequest,
    Conflict,
    FedapayError,
    Forbidden,
    InvalidArgument,
    NotFound,
    OutcomeUnknown,
    ReferenceTaken,
    ServerFault,
    TransactionId,
    TransportError,
    UnreadableAnswer,
)
from fedapay_sync.models import Customer
from fedapay_sync.models.asked import Asked, Comparison, shows_payer
from fedapay_sync.models.params.bodies import checked_body
from fedapay_sync.models.params.identifiers import checked_id, checked_reference
from fedapay_sync.resources.base import (
    M,
    Params,
    list_params,
    merge_attributes,
)
from fedapay_sync.resources.mixins import Creatable
from fedapay_sync.transport.encoding import quote_segment

log = get_logger(__name__)

#: After these it is unknown whether FedaPay did what it was asked.
NO_ANSWER = (OutcomeUnknown, ServerFault, UnreadableAnswer)

#: Waits before the searches for an object whose creation had no answer, in seconds.
_SEARCH_DELAYS = (0.0, 1.0, 3.0)
#: No further search begins after so long, in seconds: each may be slow itself.
_SEARCH_SECONDS = 20.0
#: How often one creation is sent at most.
_MAX_SENDS = 2


def new_reference() -> str:
    """A merchant reference that no other object has."""
    return f"fs-{secrets.token_hex(16)}"


class IdempotentCreatable(Creatable[M]):
    """Has ``POST /{path}`` and ``GET /{path}/merchant/{reference}``."""

    def by_merchant_reference(
        self, reference: str, *, include: Any = None, api_key: Optional[Key] = None, **params: Any
    ) -> M:
        """
        Lit l'objet qui porte cette référence marchande.

        Args:
            include: objets à joindre, comme ``"customer,currency"``.

        Raises:
            NotFound: aucun ne la porte.
        """
        path = f"/{self.path}/merchant/{quote_segment(checked_reference(reference))}"
        query = list_params(None, None, None, include, params)
        return self._check_reference(
            self._read(self._requestor.request("GET", path, api_key=api_key, params=query)), reference
        )

    def create(self, body: Optional[Params] = None, *, api_key: Optional[Key] = None, **attributes: Any) -> M:
        """
        Crée un objet, une seule fois même si une réponse se perd. Rien n'est encore demandé ni versé à personne.

        Sans ``merchant_reference`` une est inventée. Quand la réponse se perd, l'objet est cherché sous sa référence
        et rendu s'il existe ; il n'est envoyé de nouveau que s'il n'existe certainement pas. Recommencer avec la même
        référence et les mêmes attributs rend l'objet qui existe déjà.

        Args:
            body: attributs de FedaPay, en dictionnaire ; ceux donnés par nom s'y ajoutent. Le montant est en francs
                entiers, la devise ``{"iso": "XOF"}`` ou ``"XOF"``.

        Raises:
            InvalidArgument: un attribut que FedaPay refuserait certainement ; rien n'a été envoyé.
            ReferenceTaken: la référence désigne déjà un autre objet.
            BadRequest: FedaPay refuse ; ``errors`` dit quels champs.
            OutcomeUnknown: FedaPay ne répond plus ; recommencer avec ``error.merchant_reference`` est sans danger.
        """
        sent = checked_body(self.body, merge_attributes(body, attributes))
        sent.setdefault("merchant_reference", new_reference())
        try:
            return self.create_new(sent, api_key=api_key)
        except (BadRequest, Conflict) as refusal:
            return self._adopt_existing(sent, api_key, refusal)

    def create_new(self, sent: Dict[str, Any], *, api_key: Optional[Key] = None) -> M:
        """
        Create an object under a reference that is new: one that is taken is refused, not adopted.

        Args:
            sent: a checked body with a merchant reference.
        """
        doubt: Optional[FedapayError] = None
        for _ in range(_MAX_SENDS):
            try:
                return self._check_reference(self._post(sent, api_key), sent["merchant_reference"])
            except NO_ANSWER as error:
                if getattr(error, "merchant_reference", None):
                    raise
                doubt = error
            except (ApiError, TransportError) as error:
                if doubt is None:
                    raise
                # Refused, or not even sent, the second time: the first one may have arrived after all.
                found, absent = self._search_by_reference(sent, api_key)
                if found is not None:
                    return found
                if absent and isinstance(error, (BadRequest, Conflict)):
                    raise
                break
            log.warning("creation had no answer (%s); looking for its merchant reference", doubt.code)
            found, absent = self._search_by_reference(sent, api_key)
            if found is not None:
                return found
            if not absent:
                break
        reference = sent["merchant_reference"]
        assert doubt is not None  # the loop ends otherwise only by returning or raising
        doubt.merchant_reference = reference
        raise add_to_message(
            doubt,
            f"L'objet n'a pas été retrouvé sous merchant_reference={mask(reference)!r} : recommencer avec cette même "
            "référence (error.merchant_reference), qui le retrouvera s'il existe et ne le créera pas deux fois.",
        )

    def _adopt_existing(self, sent: Dict[str, Any], api_key: Optional[Key], refusal: Union[BadRequest, Conflict]) -> M:
        """What an earlier call made under the reference, if FedaPay refuses it for that; else the refusal."""
        if "merchant_reference" not in refusal.errors:
            raise refusal
        try:
            found = self._find_by_reference(sent, api_key)
        except (ApiError, TransportError) as error:
            log.warning("the reference is taken, and by what cannot be told: %s", error.code)
            found = None
        if found is None:
            raise refusal
        return found

    def _search_by_reference(self, sent: Dict[str, Any], api_key: Optional[Key]) -> Tuple[Optional[M], bool]:
        """What bears the reference, and else whether the last word was that nothing does."""
        transport = self._requestor.transport
        end = transport.clock.monotonic() + _SEARCH_SECONDS
        absent = False
        for wait in _SEARCH_DELAYS:
            if wait:
                transport.pause(wait)
            try:
                found = self._find_by_reference(sent, api_key)
            except (ApiError, TransportError) as error:
                log.warning("looking for a merchant reference failed: %s", error.code)
                absent = False
            else:
                if found is not None:
                    return found, False
                absent = True
            if transport.clock.monotonic() > end:
                break
        return None, absent

    def _find_by_reference(self, sent: Dict[str, Any], api_key: Optional[Key]) -> Optional[M]:
        try:
            found = self.by_merchant_reference(sent["merchant_reference"], include=sent.get("include"), api_key=api_key)
        except NotFound:
            return None
        return self._check_same(found, sent, api_key)

    def _check_same(self, made: M, sent: Dict[str, Any], api_key: Optional[Key]) -> M:
        """
        That object, once it is certain that it is the one that was sent.

        Raises:
            ReferenceTaken: the reference belongs to another.
        """
        asked = Asked.of_body(sent)
        differing = (*self.differences(made, [asked], api_key), *self._other_differences(made, sent))
        if differing:
            raise reference_taken(asked.reference, getattr(made, "id", None), differing)
        return made

    def differences(self, made: M, asked: Sequence[Asked], api_key: Optional[Key]) -> Tuple[str, ...]:
        """
        The fields that prove that an object which bears the reference is none of these payments; none if it is one.

        Its payer is asked for, where FedaPay has not shown him and he is to be compared.
        """
        shown = made.to_dict()
        if any(each.knows_payer() for each in asked) and not shows_payer(shown):
            shown = {**shown, "customer": self._customer_of(shown, api_key)}
        comparison = Comparison()
        for each in asked:
            comparison = each.compare(shown)
            if not comparison.different:
                break
        if comparison.remarkable and not comparison.different:
            log.warning(
                "%s %s was found under its reference with another %s than is asked for now",
                self.path,
                getattr(made, "id", None),
                ", ".join(comparison.remarkable),
            )
        return comparison.different

    def _other_differences(self, made: M, sent: Dict[str, Any]) -> Tuple[str, ...]:
        """Fields of its kind alone that prove that it is another."""
        return ()

    def _customer_of(self, shown: Dict[str, Any], api_key: Optional[Key]) -> Optional[Dict[str, Any]]:
        """The customer of an object that shows only their number; None where FedaPay does not show it."""
        number = shown.get("customer_id")
        if number is None:
            return None
        try:
            path = f"/customers/{checked_id(number, 'customer_id')}"
            response = self._requestor.request("GET", path, api_key=api_key)
            return dict(response.object(Customer.envelope))
        except (BadRequest, Forbidden, NotFound, InvalidArgument) as error:
            log.info("customer %s not shown by FedaPay (%s)", number, error.code)
            return None

    def _check_reference(self, made: M, reference: str) -> M:
        """
        That object, unless it bears another reference.

        Raises:
            UnreadableAnswer: FedaPay answered with another object.
        """
        theirs, number = getattr(made, "merchant_reference", None), getattr(made, "id", None)
        if theirs not in (None, reference):
            raise UnreadableAnswer(
                f"FedaPay a répondu par un autre objet ({number}, référence {mask(theirs)!r} au lieu de "
                f"{mask(reference)!r}). Ne rien livrer ni verser sur sa foi ; recommencer avec cette même référence, "
                "et prévenir FedaPay si cela dure.",
                merchant_reference=reference,
            )
        return made


def reference_taken(reference: str, number: Optional[TransactionId], differing: Sequence[str]) -> ReferenceTaken:
    """The error that says whose the reference is."""
    names = ", ".join(differing)
    return ReferenceTaken(
        f"merchant_reference={mask(reference)!r} désigne déjà chez FedaPay l'objet {number}, qui est un autre que "
        f"celui qui est demandé ({names} : autre valeur). Rien n'a été demandé à personne. Donner une référence neuve, "
        "ou lire cet objet.",
        field="merchant_reference",
        merchant_reference=reference,
        id_transaction=number,
        fields=tuple(differing),
    )


def add_to_message(error: FedapayError, more: str) -> FedapayError:
    """The same error, which says more."""
    error.message = f"{error.message} {more}"
    error.args = (error.message,)
    return error
