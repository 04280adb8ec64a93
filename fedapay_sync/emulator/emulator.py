"""L'émulateur lui-même : il réunit registres, API, webhooks et minuterie."""

import os
from typing import List, Mapping, Optional, Sequence, Union

from ..clock import SYSTEM_CLOCK, Clock
from ..server import WebServer
from . import checks, shapes
from .books import Books
from .controls import Controls
from .deliveries import Delivery
from .front import ApiRequest, Fault, Front
from .parts import Parts
from .rules import SANDBOX_SECRET_KEY, rules_of
from .settings import Settings
from .shapes import Record
from .tables import FileState, State
from .web import Site, two_doors

# Larger than any body the API itself refuses with a JSON answer.
_MAX_BODY = 4 * 1024 * 1024


class Emulator(Controls):
    """
    Un FedaPay à soi, sur cette machine : l'API, les webhooks signés, et un payeur qui obéit.

    Rien n'arrive de soi-même tant que ``delay`` est ``None`` : un paiement reste en attente jusqu'à
    ``approve``, ``decline`` ou ``cancel``. Avec ``delay``, le payeur répond après ce nombre de secondes : en
    sandbox les deux numéros de test de FedaPay acceptent et les autres refusent ; en production il accepte.

    Args:
        secret_key: clé attendue ; ``sk_sandbox_…`` suit les règles du sandbox, ``sk_live_…`` celles de
            production.
        webhook_secret: secret qui signe tous les webhooks ; par défaut celui de l'environnement, documenté.
        webhook_url: adresse à prévenir ; ``None`` : personne, hors les webhooks créés par ``/v1/webhooks``.
        webhook_headers: en-têtes ajoutés à chaque livraison à cette adresse.
        webhook_objects: objets dont les événements sont livrés : ``"transaction"``, ``"customer"``, ``"payout"``
            (les noms des événements de dépôts sont devinés). FedaPay les livre tous, sauf choix du tableau de bord.
        webhook_entity: ``"record"`` (forme des événements) ou ``"api"`` (forme des réponses, objets compris).
        webhook_timeout: secondes laissées au receveur pour toute sa réponse.
        disable_on_error: couper le webhook de ``webhook_url`` après dix essais sans succès, comme FedaPay.
        delay: secondes avant que le payeur réponde ; ``None`` : jamais de lui-même.
        host: adresse d'écoute.
        port: port d'écoute ; 0 prend un port libre et le garde d'un démarrage à l'autre.
        clock: horloge des dates et des minuteries ; les signatures portent l'heure réelle.
        retry_factor: multiplie l'attente entre deux essais de livraison (2, 4, 8… 120 s).
        state: fichier qui garde tout d'un démarrage à l'autre, même après un arrêt brutal ; ``None`` : rien ne
            survit à l'objet.
        settings: ce que les sources ne disent pas de FedaPay, comme les dépôts ouverts ou fermés ; copiés.

    Raises:
        InvalidArgument: une valeur n'est pas de celles attendues.
        ConfigError: ``state`` n'est pas un fichier d'état, ou un autre émulateur l'utilise.

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
        state: Union[str, "os.PathLike[str]", None] = None,
        settings: Optional[Settings] = None,
    ) -> None:
        rules = rules_of(secret_key)
        self.secret_key = secret_key
        self._settings = Settings()
        if settings is not None:
            self._settings.take(settings)
        self._objects = checks.objects("webhook_objects", webhook_objects)
        self._entity = checks.one_of("webhook_entity", webhook_entity, ("record", "api"))
        delay = None if delay is None else checks.seconds("delay", delay)
        retry_factor = checks.factor("retry_factor", retry_factor)
        webhook_timeout = checks.seconds("webhook_timeout", webhook_timeout, above_zero=True)
        disable_on_error = checks.yes_no("disable_on_error", disable_on_error)
        webhook_headers = checks.headers("webhook_headers", webhook_headers)
        if webhook_url is not None:
            checks.address("webhook_url", webhook_url)
        secret = rules.webhook_secret if webhook_secret is None else checks.text("webhook_secret", webhook_secret)
        path = checks.state("state", state)
        kept = State() if path is None else FileState(path)
        try:
            self._books = Books(rules, clock, lambda: self.url, self._announce, state=kept, settings=self._settings)
            self._parts = Parts(
                self._books,
                secret_key=secret_key,
                delay=delay,
                webhook_url=webhook_url,
                webhook_headers=webhook_headers,
                disable_on_error=disable_on_error,
                webhook_secret=secret,
                webhook_timeout=webhook_timeout,
                retry_factor=retry_factor,
            )
            site = Site(lambda: [self._parts], host)
            self._front = Front(two_doors(self._parts.api(), site.build()))
            self._server = WebServer(self._front, host=host, port=port, name="fedapay-emulator", max_body=_MAX_BODY)
        except BaseException:
            kept.close()
            raise
        self._webhooks = self._parts.webhooks
        self._deliveries = self._parts.deliveries
        self._resumed = False

    # Running

    def start(self) -> None:
        """
        Ouvre le port ; sans effet si l'émulateur tourne déjà.

        Raises:
            PortUnavailable: port pris, ou adresse étrangère à cette machine.
            ConfigError: un autre émulateur a pris le fichier d'état entre-temps.
        """
        # Under the lock: the first call waits until what the file says has been taken up again.
        self._front.let_go(False)
        with self._books.lock:
            reopened = self._books.open()
            try:
                self._server.start()
            except BaseException:
                if reopened:
                    self._books.close()
                raise
            if reopened or not self._resumed:
                self._parts.resume()
                self._resumed = True
        self._parts.timers.start()
        self._deliveries.start()

    def stop(self) -> None:
        """Ferme le port et le fichier d'état, suspend webhooks et minuteries ; ``start`` reprend où l'on en était."""
        self._front.let_go(True)
        self._server.stop()
        self._parts.timers.stop()
        self._deliveries.stop()
        self._books.close()

    def __enter__(self) -> "Emulator":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Adresse à donner au client à la place de ``https://sandbox-api.fedapay.com``."""
        return self._server.url

    @property
    def settings(self) -> Settings:
        """Ce que les sources ne disent pas de FedaPay ; chaque réglage peut changer à tout moment."""
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self._settings.take(settings)

    # The merchant's dashboard

    @property
    def webhook_url(self) -> Optional[str]:
        """Adresse prévenue, parmi celles de ``/v1/webhooks`` ; la changer réactive un webhook coupé."""
        return self._webhooks.url

    @webhook_url.setter
    def webhook_url(self, url: Optional[str]) -> None:
        self._check_open()
        self._webhooks.url = None if url is None else checks.address("webhook_url", url)

    @property
    def webhook_secret(self) -> str:
        """Secret qui signe tous les webhooks ; peut être changé à tout moment."""
        return self._deliveries.secret

    @webhook_secret.setter
    def webhook_secret(self, secret: str) -> None:
        self._deliveries.secret = checks.text("webhook_secret", secret)

    @property
    def webhook_enabled(self) -> bool:
        """Faux quand dix essais sans succès ont coupé le webhook de ``webhook_url``."""
        return self._webhooks.enabled

    @property
    def deliveries(self) -> List[Delivery]:
        """Essais de livraison, du plus ancien au plus récent (les 2000 derniers)."""
        return self._deliveries.made

    def wait_for_deliveries(self, timeout: float = 10) -> None:
        """
        Attend qu'il ne reste aucun webhook à livrer, nouveaux essais compris.

        Raises:
            TimeoutError: il en reste à l'échéance.
        """
        self._deliveries.wait(timeout)

    def redeliver(self, delivery: Union[int, Delivery]) -> None:
        """Livre encore une fois le même événement : même corps, signature fraîche."""
        self._check_open()
        self._deliveries.send_again(delivery)

    # What happened

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
        body: Union[bytes, str] = b"",
        content_type: str = "text/html",
        headers: Optional[Mapping[str, str]] = None,
        times: int = 1,
        cut: Optional[str] = None,
        applied: bool = False,
        wait: float = 0.0,
    ) -> None:
        """
        Fait échouer les prochains appels dont le chemin commence ainsi.

        Args:
            path_prefix: début du chemin, comme ``/v1/transactions``.
            method: méthode HTTP visée ; ``None`` : toutes.
            status: code répondu à la place de FedaPay.
            body: corps répondu ; un texte est écrit en UTF-8.
            content_type: type du corps.
            headers: en-têtes de plus, comme ``{"Retry-After": "1"}``.
            times: nombre d'appels touchés.
            cut: ``"before"`` coupe la connexion sans rien faire, ``"during"`` avant que l'opération soit faite
                (``wait`` secondes plus tard), ``"after"`` une fois qu'elle l'est.
            applied: faire l'opération, et répondre qu'elle a échoué.
            wait: secondes d'attente ; ``stop`` ne les attend pas.

        Raises:
            InvalidArgument: une valeur n'est pas de celles attendues.
        """
        extra = dict(headers or {})
        raw = body.encode("utf-8") if isinstance(body, str) else body
        self._front.add_fault(Fault(path_prefix, method, status, raw, content_type, extra, cut, applied, wait, times))

    # Inside

    def _announce(self, name: str, kind: str, number: int, entity: Record, answer: Record) -> None:
        """Called by the books under their lock: only queues."""
        if kind in self._objects:
            shown = entity if self._entity == "record" else answer
            account = self._parts.accounts.told(entity.get("account_id"), in_full=self._entity == "api")
            self._webhooks.send(name, number, shapes.webhook_body(name, kind, number, shown, account))
