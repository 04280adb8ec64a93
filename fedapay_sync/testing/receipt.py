"""Checks that a webhook was received and its callbacks did not fail; if not, says in French what to do."""

import threading
from typing import TYPE_CHECKING, List, NamedTuple, Optional

from fedapay_sync.common.masking import mask

if TYPE_CHECKING:
    from fedapay_sync.emulator import Delivery, Emulator
    from fedapay_sync.store import StoredEvent

_LONGEST_ANSWER = 200
_OWN_CONNECTOR = (
    "Une boutique qui construit son connecteur elle-même (create_app) reçoit ses webhooks par "
    "fedapay_emulator.deliver_to(app) ; une boutique qui tourne sur un port, par "
    'fedapay_emulator.webhook_url = "http://127.0.0.1:…/webhooks/fedapay" ; la fixture fedapay_connector les reçoit '
    "elle-même. Si ce programme n'en attend pas (il lit les statuts) : fedapay_emulator.deliver_to(None)."
)


# AssertionErrors: pytest shows them as the failure of a test, and not as an error of this package.
class WebhookNotReceived(AssertionError):
    """
    Le payeur a répondu, et personne n'a reçu le webhook qui le dit : ni adresse, ni 2xx.

    Attributes:
        event: nom de l'événement, comme ``transaction.approved``.
        id_transaction: la transaction.
        delivery: le dernier essai, ou ``None`` s'il n'y en a pas eu.
    """

    def __init__(self, message: str, event: str, id_transaction: int, delivery: "Optional[Delivery]") -> None:
        # All of them: what is in ``args`` survives pickling.
        super().__init__(message, event, id_transaction, delivery)
        self.event = event
        self.id_transaction = id_transaction
        self.delivery = delivery

    def __str__(self) -> str:
        return str(self.args[0])


class CallbackFailed(AssertionError):
    """
    Un callback de la boutique a échoué ; HTTP a pourtant répondu 200, et le callback reste dû.

    Attributes:
        callback: son nom.
        event: nom de l'événement.
        error: ce qu'il a levé, aussi dans ``__cause__`` ; ``None`` s'il a rendu une coroutine.
    """

    def __init__(self, message: str, callback: str, event: str, error: Optional[BaseException]) -> None:
        super().__init__(message, callback, event, error)
        self.callback = callback
        self.event = event
        self.error = error

    def __str__(self) -> str:
        return str(self.args[0])


class PaymentRequestMissing(AssertionError):
    """Une réponse du payeur était donnée d'avance, et aucune demande de payer n'est venue avant la fin du test."""


class _Failure(NamedTuple):
    callback: str
    event: str
    problem: str
    error: Optional[BaseException]


class CallbackFailures:
    """The failures of callbacks with the transactions of one emulator; inside ``with``, new ones are noted."""

    def __init__(self, emulator: "Emulator") -> None:
        self._emulator = emulator
        self._lock = threading.Lock()
        self._seen: List[_Failure] = []

    def __enter__(self) -> "CallbackFailures":
        from fedapay_sync.workflow.callbacks.calling import failure_observers

        failure_observers.append(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        from fedapay_sync.workflow.callbacks.calling import failure_observers

        failure_observers.remove(self._note)

    def raise_first(self) -> None:
        """
        Forget the failures that were noted.

        Raises:
            CallbackFailed: there were some; it is the first one.
        """
        with self._lock:
            seen, self._seen = self._seen, []
        if not seen:
            return
        first = seen[0]
        others = f" Échecs en tout : {len(seen)}." if len(seen) > 1 else ""
        raise CallbackFailed(
            f"Le callback {first.callback} a échoué avec {first.event} : {mask(first.problem)}. L'événement est sur "
            "disque et FedaPay a eu son 200 ; le callback reste dû, et sera rappelé plus tard : rien ne se verrait "
            "dans ce test. Si cet échec est voulu : with pytest.raises(fedapay_sync.testing.CallbackFailed)." + others,
            first.callback,
            first.event,
            first.error,
        ) from first.error

    def _note(self, work: "StoredEvent", problem: str, error: Optional[BaseException]) -> None:
        # Not those of an earlier test, whose callback has outlived it.
        if any(str(each["id"]) == work.entity_id for each in self._emulator.transactions):
            with self._lock:
                self._seen.append(_Failure(work.callback_name or "(sans nom)", work.name, problem, error))


class Receipt:
    """
    What becomes of the webhook about a transaction, from here on.

    Args:
        number: the transaction, whose answer is still to come.
    """

    def __init__(self, emulator: "Emulator", number: int) -> None:
        self._emulator = emulator
        self._number = number
        self._status = emulator.transaction(number)["status"]
        self._last = max((each.id for each in emulator.deliveries), default=0)

    def check(self) -> None:
        """
        Whether one endpoint has received it, or a fault that the test asked for is the reason why none has.

        Raises:
            WebhookNotReceived: no endpoint has.
        """
        emulator = self._emulator
        status = emulator.transaction(self._number)["status"]
        if status == self._status or emulator._needs_no_webhook or "transaction" not in emulator._objects:
            return
        event = f"transaction.{status}"
        waiting = emulator._undelivered(event, self._number)
        attempts = [
            each
            for each in emulator.deliveries
            if each.id > self._last and (each.event, each.object_id) == (event, self._number)
        ]
        if any(emulator._counts(each) for each in attempts):
            return
        if any(each.fault for each in attempts) or any(each.get("fault") for each in waiting):
            return
        last = attempts[-1] if attempts else None
        raise WebhookNotReceived(
            f"Personne n'a reçu le webhook {event} de la transaction {self._number}. "
            + (self._no_attempt(is_waiting=bool(waiting)) if last is None else _tried(last, is_over=not waiting)),
            event,
            self._number,
            last,
        ) from (None if last is None else last.exception)

    def _no_attempt(self, *, is_waiting: bool) -> str:
        url = mask(self._emulator.webhook_url or "")
        if is_waiting:
            return f"Il n'est pas encore parti vers {url} : un webhook d'avant lui y attend toujours sa réponse."
        if not url:
            return f"L'émulateur ne livre à personne. {_OWN_CONNECTOR}"
        earlier = [each for each in self._emulator.deliveries if not self._emulator._counts(each)]
        tried = f" {_tried(earlier[-1], is_over=True)}" if earlier else ""
        return f"L'adresse {url} est coupée, comme FedaPay le fait après dix échecs.{tried}"


def _tried(delivery: "Delivery", *, is_over: bool) -> str:
    """What was tried, what came of it, and what to do."""
    count = f"{delivery.attempt} essai{'s' if delivery.attempt > 1 else ''}"
    over = "" if is_over else ", d'autres suivront"
    return f"Adresse {mask(delivery.url)}, {count}{over}, {_answer(delivery)}"


def _answer(delivery: "Delivery") -> str:
    if delivery.exception is not None:
        raised = f"{type(delivery.exception).__name__}: {delivery.exception}"
        return f"l'application a levé {mask(raised)} (un serveur répond alors 500) : voir sa trace ci-dessus."
    if delivery.status is None:
        what = f"aucune réponse ({delivery.error})."
        return f"{what} {_remedy_without_answer(delivery.error)}"
    text = " ".join(delivery.answer.decode("utf-8", "replace").split())
    begins = f" « {mask(text[:_LONGEST_ANSWER])} »" if text else ""
    return f"dernière réponse {delivery.status}{begins}. {_remedy(delivery.status, text)}".rstrip()


def _remedy_without_answer(error: str) -> str:
    if "Timeout" in error:
        return "La route doit répondre dès que le webhook est gardé : ne pas y attendre la fin d'un paiement."
    return f"Rien n'y écoute. {_OWN_CONNECTOR}"


def _remedy(status: int, text: str) -> str:
    if status == 400 and text == "bad signature":
        return (
            "La signature est refusée : le connecteur a un autre secret que fedapay_emulator.webhook_secret. Donner à "
            "create_app les réglages de la fixture fedapay_config, ou ne pas écraser FEDAPAY_AUTH_KEY."
        )
    if status in (400, 401, 403):
        return (
            "Ce n'est pas notre route qui refuse, mais ce qui est devant elle : CSRFProtect ou une page de connexion. "
            "En exempter cette route (csrf.exempt), que FedaPay appelle sans jeton ni session."
        )
    if 300 <= status < 400:
        return (
            "FedaPay ne suit pas les redirections. Si ce qui est devant notre route renvoie à une page de connexion "
            "(before_request), y laisser passer celle-ci. Si c'est la barre finale ou https, l'adresse exacte : "
            'deliver_to(app, "https://…/webhooks/fedapay/").'
        )
    if status in (404, 405):
        return (
            "L'application n'a pas de route POST à cette adresse : donner celle de ses webhooks, "
            'deliver_to(app, "/webhooks/fedapay").'
        )
    if status == 503:
        return "La boutique n'a pas pu garder le webhook ; le journal « fedapay_sync » dit pourquoi."
    return "La route doit répondre 200 une fois le webhook gardé ; le journal de l'application dit ce qui l'a empêchée."
