"""
Idempotent creation, by merchant reference: what had no answer is looked up before it is sent again.

The reference goes out with the first POST. When its answer is lost, that reference is looked up, what is found is
adopted, and only what is certainly not there is sent again: FedaPay keeps the reference unique, so a first POST that
arrives after all is refused, not doubled.
"""

import secrets
from typing import Any, Dict, Generic, Iterable, List, Optional, Tuple, Type, TypeVar, Union

from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.masking import mask
from fedapay_sync.errors import (
    ApiError,
    BadRequest,
    Conflict,
    FedapayError,
    InvalidArgument,
    NotFound,
    OutcomeUnknown,
    ServerFault,
    TransportError,
    UnreadableAnswer,
)
from fedapay_sync.models import Customer
from fedapay_sync.models.batch import Batch
from fedapay_sync.models.params.bodies import checked_body
from fedapay_sync.models.params.identifiers import checked_id, checked_reference
from fedapay_sync.resources.base import (
    M,
    Params,
    Resource,
    checked_list,
    include_param,
    list_params,
    merge_attributes,
    read_object,
)
from fedapay_sync.resources.mixins import Creatable
from fedapay_sync.transport.encoding import quote_segment

log = get_logger(__name__)

B = TypeVar("B", bound=Batch)
#: After these it is unknown whether FedaPay did what it was asked.
NO_ANSWER = (OutcomeUnknown, ServerFault, UnreadableAnswer)

#: Waits before the searches for an object whose creation had no answer, in seconds.
_SEARCH_DELAYS = (0.0, 1.0, 3.0)
#: No further search begins after so long, in seconds: each may be slow itself.
_SEARCH_SECONDS = 20.0
#: The id of the currency XOF: the only one that is certain (recordings of 2021 to 2026).
_XOF = 1
#: How often one creation is sent at most.
_MAX_SENDS = 2


def new_reference() -> str:
    """A merchant reference that no other object has."""
    return f"fs-{secrets.token_hex(16)}"


class IdempotentCreatable(Creatable[M]):
    """Has ``POST /{path}`` and ``GET /{path}/merchant/{reference}``."""

    def by_merchant_reference(
        self, reference: str, *, include: Any = None, api_key: Optional[str] = None, **params: Any
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

    def create(self, body: Optional[Params] = None, *, api_key: Optional[str] = None, **attributes: Any) -> M:
        """
        Crée un objet, une seule fois même si une réponse se perd. Rien n'est encore demandé ni versé à personne.

        Sans ``merchant_reference`` une est inventée. Quand la réponse se perd, l'objet est cherché sous sa référence
        et rendu s'il existe ; il n'est envoyé de nouveau que s'il n'existe certainement pas. Recommencer avec la même
        référence et les mêmes attributs rend l'objet qui existe déjà.

        Args:
            body: attributs de FedaPay, en dictionnaire ; ceux donnés par nom s'y ajoutent. Le montant est en francs
                entiers, la devise ``{"iso": "XOF"}`` ou ``"XOF"``.

        Raises:
            InvalidArgument: un attribut que FedaPay refuserait certainement (rien n'a été envoyé), ou une référence
                qui désigne déjà un autre objet.
            BadRequest: FedaPay refuse ; ``errors`` dit quels champs.
            OutcomeUnknown: FedaPay ne répond plus ; recommencer avec ``error.merchant_reference`` est sans danger.
        """
        sent = checked_body(self.body, merge_attributes(body, attributes))
        sent.setdefault("merchant_reference", new_reference())
        try:
            return self.create_new(sent, api_key=api_key)
        except (BadRequest, Conflict) as refusal:
            return self._adopt_existing(sent, api_key, refusal)

    def create_new(self, sent: Dict[str, Any], *, api_key: Optional[str] = None) -> M:
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

    def _adopt_existing(self, sent: Dict[str, Any], api_key: Optional[str], refusal: Union[BadRequest, Conflict]) -> M:
        """What an earlier call made under the reference, if FedaPay refuses it for that; else the refusal."""
        if "merchant_reference" not in refusal.errors:
            raise refusal
        try:
            found = self._find_by_reference(sent, api_key)
        except (ApiError, TransportError, InvalidArgument) as error:
            log.warning("the reference is taken, and by what cannot be told: %s", error.code)
            found = None
        if found is None:
            raise refusal
        return found

    def _search_by_reference(self, sent: Dict[str, Any], api_key: Optional[str]) -> Tuple[Optional[M], bool]:
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

    def _find_by_reference(self, sent: Dict[str, Any], api_key: Optional[str]) -> Optional[M]:
        try:
            found = self.by_merchant_reference(sent["merchant_reference"], include=sent.get("include"), api_key=api_key)
        except NotFound:
            return None
        return self._check_same(found, sent, api_key)

    def _check_same(self, made: M, sent: Dict[str, Any], api_key: Optional[str]) -> M:
        """
        That object, once it is certain that it is the one that was sent.

        Raises:
            InvalidArgument: the reference belonged to something else before.
        """
        differing = self._differences(made.to_dict(), sent, api_key)
        if differing:
            number, reference = getattr(made, "id", None), sent["merchant_reference"]
            raise InvalidArgument(
                f"merchant_reference={mask(reference)!r} désigne déjà chez FedaPay l'objet {number}, qui est un autre "
                f"({', '.join(differing)} diffère). Donner une référence neuve, ou lire cet objet.",
                field="merchant_reference",
                merchant_reference=reference,
                id_transaction=number,
            )
        return made

    def _differences(self, there: Dict[str, Any], sent: Dict[str, Any], api_key: Optional[str]) -> List[str]:
        """The attributes in which the two certainly differ; what FedaPay does not show is no difference."""
        names = ("amount", "description", "custom_metadata", "callback_url")
        differing = [name for name in names if _differ(there.get(name), sent.get(name))]
        if "currency_id" in there and (there["currency_id"] == _XOF) != (sent["currency"].get("iso") == "XOF"):
            differing += ["currency"] if there["currency_id"] is not None and "iso" in sent["currency"] else []
        person = sent.get("customer") or {}
        if _differ(there.get("customer_id"), person.get("id")) or _differ(
            self._email_of(there, api_key) if person.get("email") else None, person.get("email")
        ):
            differing.append("customer")
        return differing

    def _email_of(self, there: Dict[str, Any], api_key: Optional[str]) -> Optional[str]:
        """The e-mail of its customer, which is the identity; asked for if it did not come along."""
        if not there.get("customer") and there.get("customer_id") is not None:
            path = f"/customers/{checked_id(there['customer_id'], 'customer_id')}"
            there = {"customer": self._requestor.request("GET", path, api_key=api_key).object(Customer.envelope)}
        email = (there.get("customer") or {}).get("email")
        return email if isinstance(email, str) else None

    def _check_reference(self, made: M, reference: str) -> M:
        """
        That object, unless it bears another reference.

        Raises:
            UnreadableAnswer: FedaPay answered with another object.
        """
        theirs, number = getattr(made, "merchant_reference", None), getattr(made, "id", None)
        if theirs not in (None, reference):
            raise UnreadableAnswer(
                f"FedaPay a répondu par un autre objet ({number}, référence {theirs!r} au lieu de {reference!r}). Ne "
                "rien livrer ni verser sur sa foi ; recommencer avec cette même référence, et prévenir FedaPay si "
                "cela dure.",
                merchant_reference=reference,
            )
        return made


class BatchCreatable(Resource[M], Generic[M, B]):
    """Has ``POST /{path}/batch``."""

    #: What answers a batch: the objects made, and what was refused.
    batch: Type[B]

    def _post_batch(self, items: Iterable[Params], include: Any, api_key: Optional[str]) -> B:
        bodies = [self._checked_item(number, each) for number, each in enumerate(checked_list(items, self.path))]
        references = [each["merchant_reference"] for each in bodies]
        twice = next((each for each in references if references.count(each) > 1), None)
        if twice is not None:
            raise InvalidArgument(
                f"{self.path} : merchant_reference={mask(twice)!r} est donnée deux fois ; elle doit être unique.",
                field="merchant_reference",
            )
        body = {self.path: bodies, "include": include_param(include)}
        sent = {name: value for name, value in body.items() if value is not None}
        try:
            response = self._requestor.request("POST", f"/{self.path}/batch", api_key=api_key, body=sent)
            made = read_object(self.batch, response)
            if not isinstance(getattr(made, self.path), list):
                raise response.unreadable(f"une liste « {self.path} » est attendue")
        except NO_ANSWER as doubt:
            # With these each can be looked up before anything is sent again.
            doubt.__dict__["merchant_references"] = references
            raise
        return made

    def _checked_item(self, number: int, item: Any) -> Dict[str, Any]:
        try:
            body = checked_body(self.body, item)
        except InvalidArgument as error:
            field = f"{self.path}[{number}].{error.field}"
            raise InvalidArgument(f"{self.path}[{number}] : {error.message}", field=field) from None
        body.setdefault("merchant_reference", new_reference())
        return body


def _differ(theirs: Any, ours: Any) -> bool:
    """Whether both are known and not the same; blanks, case and the kind of a number are nothing to FedaPay."""
    if theirs is None or ours is None:
        return False
    if isinstance(theirs, (dict, list)) or isinstance(ours, (dict, list)):
        return bool(theirs != ours)
    return " ".join(str(theirs).split()).lower() != " ".join(str(ours).split()).lower()


def add_to_message(error: FedapayError, more: str) -> FedapayError:
    """The same error, which says more."""
    error.message = f"{error.message} {more}"
    error.args = (error.message,)
    return error
