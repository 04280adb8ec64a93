"""Payouts: create, start, schedule; what had no answer is looked at and never started twice."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Dict, Iterable, List, Optional, Tuple, Union

from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.secret import Key
from fedapay_sync.errors import (
    ApiError,
    InvalidArgument,
    OutcomeUnknown,
    ServerFault,
    TransactionId,
    TransportError,
    UnreadableAnswer,
)
from fedapay_sync.models import Payout, PayoutBatch
from fedapay_sync.models.params.bodies import PayoutBody, PayoutStartBody, checked_body
from fedapay_sync.resources.base import Params, build_model, checked_list
from fedapay_sync.resources.batches import BatchCreatable
from fedapay_sync.resources.idempotency import NO_ANSWER, IdempotentCreatable
from fedapay_sync.resources.mixins import Manageable, Searchable

log = get_logger(__name__)

#: Statuses of a payout that has been started, and has not failed.
_UNDER_WAY = ("scheduled", "started", "processing", "sent")

When = Union[datetime, str, None]


class Payouts(IdempotentCreatable[Payout], BatchCreatable[Payout, PayoutBatch], Manageable[Payout], Searchable[Payout]):
    """
    Dépôts : de l'argent versé à un bénéficiaire, pris sur le solde du même opérateur.

    Créer un dépôt ne verse rien ; ``start`` ou ``schedule`` l'envoie. FedaPay ouvre les dépôts sur demande (403 avant)
    et dit peu de leurs webhooks : lire leur statut.
    """

    path = "payouts"
    model = Payout
    body = PayoutBody
    batch = PayoutBatch

    def create_many(
        self, payouts: Iterable[Params], *, include: Any = None, api_key: Optional[Key] = None
    ) -> PayoutBatch:
        """
        Crée plusieurs dépôts en un appel ; ce que FedaPay refuse est dans ``errors``, le reste est créé.

        Raises:
            InvalidArgument: un attribut que FedaPay refuserait certainement ; rien n'a été envoyé.
            OutcomeUnknown: la réponse s'est perdue ; ``error.merchant_references`` donne la référence de chacun, à
                chercher avant de recommencer.
        """
        return self._post_batch(payouts, include, api_key)

    def start(
        self, id: TransactionId, *, phone_number: Optional[Mapping[str, str]] = None, api_key: Optional[Key] = None
    ) -> Payout:
        """
        Envoie un dépôt maintenant.

        Args:
            phone_number: ``{"number": …, "country": …}`` à créditer, si ce n'est pas celui du bénéficiaire.

        Raises:
            OutcomeUnknown: la réponse s'est perdue et le dépôt est encore en attente : le relire avant de recommencer.
        """
        return self.start_many([{"id": id, "phone_number": phone_number}], api_key=api_key)[0]

    def schedule(
        self,
        id: TransactionId,
        scheduled_at: Union[datetime, str],
        *,
        phone_number: Optional[Mapping[str, str]] = None,
        api_key: Optional[Key] = None,
    ) -> Payout:
        """
        Envoie un dépôt plus tard.

        Args:
            scheduled_at: datetime avec fuseau, ou texte « AAAA-MM-JJ HH:MM:SS » en temps universel.
        """
        if scheduled_at is None:
            raise InvalidArgument(
                "scheduled_at : un moment est attendu ; pour envoyer tout de suite, appeler start.",
                field="scheduled_at",
            )
        item = {"id": id, "scheduled_at": scheduled_at, "phone_number": phone_number}
        return self.start_many([item], api_key=api_key)[0]

    def start_many(
        self,
        payouts: Iterable[Union[TransactionId, Payout, Params]],
        *,
        scheduled_at: When = None,
        api_key: Optional[Key] = None,
    ) -> List[Payout]:
        """
        Envoie plusieurs dépôts en un appel, maintenant ou plus tard.

        Jamais refait de lui-même : un dépôt envoyé deux fois est payé deux fois. Quand la réponse se perd, les dépôts
        sont relus, et rendus s'ils sont tous partis.

        Args:
            payouts: identifiants, ``Payout``, ou dictionnaires ``{"id": …, "scheduled_at": …, "phone_number": …}``.
            scheduled_at: moment de ceux qui n'en ont pas ; maintenant si absent.

        Raises:
            InvalidArgument: un identifiant ou un moment illisible ; rien n'a été envoyé.
            OutcomeUnknown: la réponse s'est perdue et l'un d'eux est encore en attente.
        """
        items = [self._start_item(each, scheduled_at) for each in checked_list(payouts, "payouts")]
        ids = [str(each["id"]) for each in items]
        twice = next((each for each in ids if ids.count(each) > 1), None)
        if twice is not None:
            raise InvalidArgument(f"payouts : le dépôt {twice} est donné deux fois.", field="payouts")
        try:
            response = self._requestor.request("PUT", "/payouts/start", api_key=api_key, body={"payouts": items})
            listed = response.body.get("v1/payouts") if isinstance(response.body, dict) else response.body
            models = [build_model(Payout, each, response) for each in listed] if isinstance(listed, list) else []
            started = {str(each.id): each for each in models}
            if set(started) != set(ids):
                raise response.unreadable(f"une liste « v1/payouts » de {', '.join(ids)} est attendue")
            return [started[each] for each in ids]
        except NO_ANSWER as doubt:
            return self._after_doubtful_start(items, api_key, doubt)

    def _start_item(self, item: Union[TransactionId, Payout, Params], scheduled_at: When) -> Dict[str, Any]:
        if isinstance(item, Payout):
            item = {"id": item.id}
        wanted: Dict[str, Any] = dict(item) if isinstance(item, Mapping) else {"id": item}
        if wanted.get("scheduled_at") is None:
            wanted["scheduled_at"] = scheduled_at
        return checked_body(PayoutStartBody, wanted)

    def _after_doubtful_start(
        self,
        items: List[Dict[str, Any]],
        api_key: Optional[Key],
        doubt: Union[OutcomeUnknown, ServerFault, UnreadableAnswer],
    ) -> List[Payout]:
        """The payouts, if they have all left as was asked; never a second start."""
        log.warning("start of %d payouts had no answer (%s); looking at them", len(items), doubt.code)
        try:
            seen = [self.retrieve(each["id"], api_key=api_key) for each in items]
        except (ApiError, TransportError) as error:
            log.warning("looking at a payout failed: %s", error.code)
            seen = []
        waiting = [each.id for each, item in zip(seen, items) if not _has_left(each, item)]
        if seen and not waiting:
            return seen
        told = ", ".join(str(each) for each in waiting) or "aucun n'a pu être relu"
        raise OutcomeUnknown(
            "L'envoi des dépôts n'a pas eu de réponse lisible, et FedaPay ne dit pas partis : "
            f"{told}. Les relire dans une minute, et ne "
            "renvoyer que ceux qui sont encore « pending ».",
            method="PUT",
            path="/payouts/start",
            cause=doubt.code,
        )

    def _other_differences(self, made: Payout, sent: Dict[str, Any]) -> Tuple[str, ...]:
        differing = ["mode"] if made.mode not in (None, sent.get("mode")) else []
        # A creation starts nothing: what has left is older.
        differing += ["status"] if made.status not in (None, "pending") else []
        return tuple(differing)


def _has_left(payout: Payout, item: Dict[str, Any]) -> bool:
    """Whether a payout is on its way, and at the moment that was asked for if there was one."""
    timely = item.get("scheduled_at") is None or payout.scheduled_at is not None
    return payout.status in _UNDER_WAY and timely
