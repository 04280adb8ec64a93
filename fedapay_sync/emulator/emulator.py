"""L'émulateur lui-même : il réunit registre, API, webhooks et minuterie."""

import math
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from ..clock import SYSTEM_CLOCK, Clock
from ..enums import TransactionStatus
from ..errors import InvalidArgument
from ..server import WebServer
from . import shapes
from .api import Api
from .front import ApiRequest, Fault, Front
from .ledger import Ledger
from .refusal import Refusal
from .rules import EXPIRY, SANDBOX_SECRET_KEY, TRANSFER, rules_of
from .shapes import Record
from .timers import Timers
from .webhooks import Delivery, Webhooks

TransactionId = Union[int, str]

_S = TransactionStatus
# Larger than any body the API itself refuses with a JSON answer.
_MAX_BODY = 4 * 1024 * 1024


class Emulator:
    """
    Un FedaPay à soi, sur cette machine : l'API, les webhooks signés, et un payeur qui obéit.

    Rien n'arrive de soi-même tant que ``delay`` est ``None`` : un paiement reste en attente jusqu'à
    ``approve``, ``decline`` ou ``cancel``. Avec ``delay``, le payeur répond après ce nombre de secondes : en
    sandbox les deux numéros de test de FedaPay acceptent et les autres refusent ; en production il accepte.

    Args:
        secret_key: clé attendue ; ``sk_sandbox_…`` suit les règles du sandbox, ``sk_live_…`` celles de
            production.
        webhook_secret: secret qui signe les webhooks ; par défaut celui de l'environnement, documenté.
        webhook_url: adresse à prévenir ; ``None`` : personne.
        webhook_headers: en-têtes ajoutés à chaque livraison.
        webhook_objects: objets dont les événements sont livrés ; ajouter ``"customer"`` pour les clients.
        webhook_entity: ``"record"`` (forme des événements) ou ``"api"`` (forme des réponses, objets compris).
        webhook_timeout: secondes laissées au receveur.
        disable_on_error: couper le webhook après dix essais sans succès, comme FedaPay.
        delay: secondes avant que le payeur réponde ; ``None`` : jamais de lui-même.
        host: adresse d'écoute.
        port: port d'écoute ; 0 prend un port libre et le garde d'un démarrage à l'autre.
        clock: horloge des dates et des minuteries ; les signatures portent l'heure réelle.
        retry_factor: multiplie l'attente entre deux essais de livraison (2, 4, 8… 120 s).

    Example:
        >>> with Emulator() as emulator:
        ...     emulator.transactions
        []
    """

    def __init__(
        self,
        *,
        secret_key: str = SANDBOX_SECRET_KEY,
        webhook_secret: Optional[str] = None,
        webhook_url: Optional[str] = None,
        webhook_headers: Optional[Mapping[str, str]] = None,
        webhook_objects: Sequence[str] = ("transaction",),
        webhook_entity: str = "record",
        webhook_timeout: float = 10.0,
        disable_on_error: bool = True,
        delay: Optional[float] = None,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock = SYSTEM_CLOCK,
        retry_factor: float = 1.0,
    ) -> None:
        if webhook_entity not in ("record", "api"):
            raise InvalidArgument(
                f"webhook_entity={webhook_entity!r} : « record » ou « api » est attendu.",
                field="webhook_entity",
            )
        self.secret_key = secret_key
        self._rules = rules_of(secret_key)
        self._delay = None if delay is None else _not_negative("delay", delay)
        self._objects = frozenset(webhook_objects)
        self._entity = webhook_entity
        self._timers = Timers(clock)
        self._webhooks = Webhooks(
            self._timers,
            clock,
            url=webhook_url,
            secret=webhook_secret or self._rules.webhook_secret,
            headers=webhook_headers,
            timeout=webhook_timeout,
            retry_factor=_not_negative("retry_factor", retry_factor),
            disable_on_error=disable_on_error,
        )
        self._ledger = Ledger(self._rules, clock, lambda: self.url, self._announce)
        self._front = Front(Api(self._ledger, self._rules, secret_key, self._prompted).build())
        self._server = WebServer(self._front, host=host, port=port, name="fedapay-emulator", max_body=_MAX_BODY)

    # Running

    def start(self) -> None:
        """
        Ouvre le port ; sans effet si l'émulateur tourne déjà.

        Raises:
            PortUnavailable: port pris, ou adresse étrangère à cette machine.
        """
        self._server.start()
        self._timers.start()
        self._webhooks.start()

    def stop(self) -> None:
        """Ferme le port et suspend webhooks et minuteries ; ``start`` reprend où l'on en était."""
        self._server.stop()
        self._timers.stop()
        self._webhooks.stop()

    def __enter__(self) -> "Emulator":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Adresse à donner au client à la place de ``https://sandbox-api.fedapay.com``."""
        return self._server.url

    # The merchant's dashboard

    @property
    def webhook_url(self) -> Optional[str]:
        """Adresse prévenue ; la changer réactive un webhook coupé."""
        return self._webhooks.url

    @webhook_url.setter
    def webhook_url(self, url: Optional[str]) -> None:
        self._webhooks.url = url

    @property
    def webhook_secret(self) -> str:
        """Secret qui signe les webhooks ; peut être changé à tout moment."""
        return self._webhooks.secret

    @webhook_secret.setter
    def webhook_secret(self, secret: str) -> None:
        self._webhooks.secret = secret

    @property
    def webhook_enabled(self) -> bool:
        """Faux quand dix essais sans succès ont coupé le webhook."""
        return self._webhooks.enabled

    @property
    def deliveries(self) -> List[Delivery]:
        """Essais de livraison, du plus ancien au plus récent (les 2000 derniers)."""
        return self._webhooks.deliveries

    def wait_for_deliveries(self, timeout: float = 10) -> None:
        """
        Attend qu'il ne reste aucun webhook à livrer, nouveaux essais compris.

        Raises:
            TimeoutError: il en reste à l'échéance.
        """
        self._webhooks.wait(timeout)

    def redeliver(self, delivery: Union[int, Delivery]) -> None:
        """Livre encore une fois le même événement : même corps, signature fraîche."""
        self._webhooks.send_again(delivery)

    # The payer and the operator

    def approve(self, id: TransactionId, *, force: bool = False) -> None:
        """
        Le payeur accepte : la transaction devient ``approved``.

        Args:
            id: identifiant de la transaction.
            force: passer outre ce que FedaPay permet, pour éprouver un cas rare (payée au moment même où elle
                est supprimée).

        Raises:
            InvalidArgument: transaction inconnue, ou qui ne peut pas être payée dans son état.
        """
        self._ledger.move(_number(id), _S.approved.value, force=force)

    def decline(self, id: TransactionId, *, force: bool = False) -> None:
        """Le payeur refuse : la transaction devient ``declined``. Voir ``approve``."""
        self._ledger.move(_number(id), _S.declined.value, force=force)

    def cancel(self, id: TransactionId, *, force: bool = False) -> None:
        """L'opérateur refuse (solde, plafond) : la transaction devient ``canceled``. Voir ``approve``."""
        self._ledger.move(_number(id), _S.canceled.value, force=force)

    def expire(self, id: TransactionId, *, force: bool = False) -> None:
        """Les 24 heures sont passées : la transaction devient ``expired``. Voir ``approve``."""
        self._ledger.move(_number(id), _S.expired.value, force=force)

    def transfer(self, id: TransactionId, *, force: bool = False) -> None:
        """Les trois jours sont passés : la transaction payée devient ``transferred``. Voir ``approve``."""
        self._ledger.move(_number(id), _S.transferred.value, force=force)

    # What happened

    @property
    def transactions(self) -> List[Dict[str, Any]]:
        """Copies des transactions, de la plus ancienne à la plus récente, client et devise compris."""
        return [self._ledger.answer(each, "customer,currency") for each in self._ledger.all()]

    def transaction(self, id: TransactionId) -> Dict[str, Any]:
        """
        Copie d'une transaction, client et devise compris.

        Raises:
            InvalidArgument: transaction inconnue.
        """
        try:
            return self._ledger.answer(self._ledger.get(_number(id)), "customer,currency")
        except Refusal:
            raise InvalidArgument(f"L'émulateur n'a pas de transaction {id!r}.", field="id") from None

    @property
    def requests(self) -> List[ApiRequest]:
        """Appels reçus par l'API, du plus ancien au plus récent (les 5000 derniers)."""
        return self._front.requests

    def fail_next(
        self,
        path_prefix: str,
        *,
        method: Optional[str] = None,
        status: int = 500,
        body: bytes = b"",
        content_type: str = "text/html",
        headers: Optional[Mapping[str, str]] = None,
        times: int = 1,
        cut: Optional[str] = None,
    ) -> None:
        """
        Fait échouer les prochains appels dont le chemin commence ainsi.

        Args:
            path_prefix: début du chemin, comme ``/v1/transactions``.
            method: méthode HTTP visée ; ``None`` : toutes.
            status: code répondu à la place de FedaPay.
            body: corps répondu.
            content_type: type du corps.
            headers: en-têtes de plus, comme ``{"Retry-After": "1"}``.
            times: nombre d'appels touchés.
            cut: ``"before"`` coupe la connexion sans rien faire, ``"after"`` une fois l'opération faite.
        """
        self._front.add_fault(Fault(path_prefix, method, status, body, content_type, dict(headers or {}), cut, times))

    # Inside

    def _announce(self, name: str, kind: str, number: int, entity: Record, answer: Record) -> None:
        """Called by the ledger under its lock: only queues."""
        if kind in self._objects:
            shown = entity if self._entity == "record" else answer
            self._webhooks.send(name, number, shapes.webhook_body(name, kind, number, shown))
        # A second late: the ledger counts by the other of the two clocks.
        if name == "transaction.created":
            self._timers.after(EXPIRY + 1, self._ledger.age)
        elif name == "transaction.approved":
            self._timers.after(TRANSFER + 1, self._ledger.age)

    def _prompted(self, record: Record, number: str) -> None:
        """A payer has been asked to pay, and answers after the delay if there is one."""
        if self._delay is None:
            return
        status = _S.approved if self._rules.payer_agrees(number) else _S.declined
        attempt = record["attempt"]
        self._timers.after(self._delay, lambda: self._ledger.move(record["id"], status.value, attempt=attempt))


def _number(id: TransactionId) -> int:
    text = str(id)
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise InvalidArgument(f"id={id!r} : un identifiant de transaction est attendu.", field="id")
    return int(text)


def _not_negative(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise InvalidArgument(f"{name}={value!r} : un nombre de secondes, 0 ou plus, est attendu.", field=name)
    return float(value)
