"""Shop: the public methods of one merchant, on its own data and behind its own secret key."""

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple, TypeVar, Union

from fedapay_sync.common.clock import SYSTEM_CLOCK
from fedapay_sync.common.masking import fingerprint
from fedapay_sync.emulator import arguments
from fedapay_sync.emulator.controls import Controls
from fedapay_sync.emulator.delivery.application import read_application
from fedapay_sync.emulator.delivery.samples import EVENT_NAMES, sample_event
from fedapay_sync.emulator.delivery.sender import Delivery
from fedapay_sync.emulator.domain.rules import ACCOUNT, Rules, rules_of
from fedapay_sync.emulator.http import serializers
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.services import ShopOptions, ShopServices
from fedapay_sync.emulator.storage.context import EmulatorContext
from fedapay_sync.emulator.storage.shop_data import ShopData
from fedapay_sync.emulator.storage.state_file import NamespacedState
from fedapay_sync.errors import InvalidArgument
from fedapay_sync.signature import HEADER, sign

A = TypeVar("A")

# Fields that an event changes in a transaction that is not in its status yet.
_MOVED = ("status", "mode", "commission", "fees", "amount_debited", "amount_transferred")


class SignedWebhook(NamedTuple):
    """
    Un webhook, prêt à être envoyé à une boutique.

    Attributes:
        body: corps, octet pour octet ce qui est signé.
        headers: en-têtes, signature comprise.
    """

    body: bytes
    headers: Dict[str, str]


class Shop(Controls):
    """
    Une boutique : une clé secrète, et ce qui n'est qu'à elle : transactions, clients, dépôts, soldes, webhooks.

    Rendue par ``emulator.shop(clé)`` ; l'émulateur lui-même est sa première boutique.
    """

    def __init__(
        self,
        context: EmulatorContext,
        secret_key: str,
        options: ShopOptions,
        *,
        name: Optional[str] = None,
        has_namespace: bool = False,
        webhook_secret: Optional[str] = None,
        webhook_url: Optional[str] = None,
        webhook_headers: Optional[Mapping[str, str]] = None,
    ) -> None:
        rules = rules_of(secret_key)
        self.secret_key = secret_key
        self._context = context
        self._objects = options.objects
        self._needs_no_webhook = False
        self._services = ShopServices(
            ShopData(
                rules,
                context,
                self._on_event,
                state=NamespacedState(context.file, fingerprint(secret_key)) if has_namespace else context.file,
                account=_account(secret_key, name, has_namespace=has_namespace),
            ),
            options,
            secret_key=secret_key,
            webhook_url=webhook_url,
            webhook_headers=webhook_headers,
            webhook_secret=_secret(rules, webhook_secret),
        )

    @property
    def name(self) -> str:
        """Nom que portent ses webhooks et ses pages de paiement."""
        with self._context.lock:
            return str(self._services.accounts.describe(None, in_full=False)["name"])

    # The merchant's dashboard

    @property
    def webhook_url(self) -> Optional[str]:
        """Adresse prévenue, parmi celles de ``/v1/webhooks`` ; la changer réactive un webhook coupé."""
        return self._services.webhooks.url

    @webhook_url.setter
    def webhook_url(self, url: Optional[str]) -> None:
        self._check_open()
        self._services.webhooks.url = None if url is None else arguments.address("webhook_url", url)
        self._needs_no_webhook = False

    def deliver_to(self, app: A, path: Optional[str] = None) -> A:
        """
        Livre les webhooks à une application WSGI, sans port ni serveur, et la rend ; à la place de ``webhook_url``.

        Elle est appelée dans le thread du test, comme par un client de test : par ``payer``, par ce qui fait agir le
        payeur ou l'opérateur (``approve``, ``phone(…).agree``), par ``redeliver``, ``clock.advance`` et
        ``wait_for_deliveries``. Ce qui naît d'un appel de la boutique, comme ``transaction.created``, attend l'un
        d'eux. Avec ``delay``, l'émulateur agit de lui-même, et livre sur ses propres threads.

        Signature, essais, coupure au dixième échec : comme à une adresse. Ce que l'application lève compte comme un
        500, et reste dans ``delivery.exception``.

        Args:
            app: l'application, ou son ``test_client()``, ou le client de test de Django ; une autre prend la place de
                la première. ``None`` : cette boutique n'attend pas de webhook, et ``payer`` n'exige pas qu'il soit
                reçu.
            path: chemin de sa route, ou adresse entière (``https://boutique.test/hook``) ; par défaut celui de la
                route que ``fedapay_sync`` y a posée.

        Raises:
            InvalidArgument: ce n'est pas une application WSGI, ou sa route n'est pas connue : la donner.

        Example:
            >>> from fedapay_sync.emulator import Emulator
            >>> def boutique(environ, start_response):
            ...     start_response("200 OK", [])
            ...     return [b""]
            >>> emulateur = Emulator()
            >>> emulateur.deliver_to(boutique, "/webhooks/fedapay") is boutique
            True
            >>> emulateur.webhook_url
            'http://localhost/webhooks/fedapay'
        """
        self._check_open()
        application = None if app is None else read_application(app, path)
        self._services.webhooks.set_own(None if application is None else application.url, application)
        self._needs_no_webhook = app is None
        return app

    @property
    def webhook_secret(self) -> str:
        """Secret qui signe tous les webhooks ; peut être changé à tout moment."""
        return self._services.sender.secret

    @webhook_secret.setter
    def webhook_secret(self, secret: str) -> None:
        self._services.sender.secret = arguments.text("webhook_secret", secret)

    @property
    def webhook_enabled(self) -> bool:
        """Faux quand dix essais sans succès ont coupé le webhook de ``webhook_url``."""
        return self._services.webhooks.enabled

    @property
    def deliveries(self) -> List[Delivery]:
        """Essais de livraison, du plus ancien au plus récent (les 2000 derniers)."""
        return self._services.deliveries.log.deliveries()

    def wait_for_deliveries(self, timeout: float = 10) -> None:
        """
        Attend qu'il ne reste aucun webhook à livrer, nouveaux essais compris ; ceux d'une application de
        ``deliver_to`` sont livrés ici.

        Raises:
            TimeoutError: il en reste à l'échéance.
        """
        self._services.deliveries.wait(timeout)

    def redeliver(self, delivery: Union[int, Delivery]) -> None:
        """Livre encore une fois le même événement : même corps, signature fraîche."""
        self._check_open()
        self._services.deliveries.send_again(delivery)
        self._services.deliveries.deliver_ready()

    def signed_webhook(
        self,
        event: str = "transaction.approved",
        id: Union[int, str, None] = None,
        *,
        secret: Optional[str] = None,
        age: float = 0,
        changes: Optional[Mapping[str, Any]] = None,
    ) -> SignedWebhook:
        """
        Un webhook signé, à envoyer soi-même ; l'émulateur n'envoie rien, et rien n'y change.

        Args:
            event: nom de l'événement, comme ``transaction.declined``.
            id: transaction dont il parle ; sans elle, un objet inventé.
            secret: un autre secret que celui de la boutique, pour une fausse signature.
            age: secondes écoulées depuis la signature.
            changes: champs de l'objet à changer.

        Raises:
            InvalidArgument: événement ou transaction inconnus.

        Example:
            >>> from fedapay_sync.emulator import Emulator
            >>> Emulator().signed_webhook("transaction.declined").body[:31]
            b'{"name":"transaction.declined",'
        """
        number = None if id is None else int(self.transaction(id)["id"])
        with self._context.lock:
            kind, entity = self._entity_of_event(event, number)
            entity = {**entity, **(changes or {})}
            account = self._services.accounts.describe(entity.get("account_id"), in_full=False)
        body = serializers.webhook_body(event, kind, entity["id"], entity, account)
        at = int(SYSTEM_CLOCK.now() - age)
        signed = sign(body, secret or self.webhook_secret, at)
        return SignedWebhook(body, {"Content-Type": "application/json", HEADER: signed})

    # Inside

    @property
    def _has_application(self) -> bool:
        return self._services.webhooks.application is not None

    def _counts(self, delivery: Delivery) -> bool:
        """Whether FedaPay takes it for delivered."""
        return self._services.sender.is_done(delivery)

    def _undelivered(self, event: str, number: int) -> List[Record]:
        """Copies of the jobs that are to deliver that event, and are not over."""
        with self._context.lock:
            jobs = self._services.data.table("deliveries")
            return [dict(job) for job in jobs if (job["event"], job["object_id"]) == (event, number)]

    def _entity_of_event(self, event: str, number: Optional[int]) -> Tuple[str, Record]:
        """The kind of object, and its entity in that event: of that transaction, or of an invented object."""
        made = sample_event(event, self._services.data)
        if made is None:
            known = ", ".join(f"{kind}.{what}" for kind, names in EVENT_NAMES.items() for what in names)
            raise InvalidArgument(f"event={event!r} : inconnu. Événements : {known}.", field="event")
        kind, example = made
        if number is None:
            return made
        if kind != "transaction":
            raise InvalidArgument(f"{event} ne concerne pas une transaction : ne pas donner id.", field="id")
        record = self._services.transactions.get(number)
        entity = serializers.transaction_record(record, self._services.data.base_url())
        status = example["status"]
        if status in ("pending", entity["status"]):
            return kind, entity
        own = {"amount_debited": record["amount"], "amount_transferred": record["amount"], "fees": 0}
        moved = {name: own.get(name, example[name]) if example[name] is not None else None for name in _MOVED}
        return kind, {**entity, **moved, f"{status}_at": example["updated_at"], "updated_at": example["updated_at"]}

    def _on_event(self, name: str, kind: str, number: int, entity: Record, answer: Record) -> None:
        """Called by the data under their lock: only queues deliveries."""
        settings = self._context.settings
        if kind not in self._objects or (name == "transaction.expired" and not settings.expiry_webhook):
            return
        as_api = settings.webhook_entity == "api"
        account = self._services.accounts.describe(entity.get("account_id"), in_full=as_api)
        shown = answer if as_api else entity
        self._services.webhooks.send(name, number, serializers.webhook_body(name, kind, number, shown, account))


def _secret(rules: Rules, given: Optional[str]) -> str:
    return rules.webhook_secret if given is None else arguments.text("webhook_secret", given)


def _account(secret_key: str, name: Optional[str], *, has_namespace: bool) -> Dict[str, Any]:
    """The account that a key opens, always the same for the same key."""
    if not has_namespace:
        return {**ACCOUNT, **({} if name is None else {"name": name})}
    mark = fingerprint(secret_key)
    # Beside the ids that the clock gives, and beside the first shop's account.
    number = ACCOUNT["id"] + 1 + int(mark, 16) % 10_000_000
    return {**ACCOUNT, "id": number, "name": name or f"Boutique {mark[:4]}", "reference": f"acc_{mark[:5]}"}
