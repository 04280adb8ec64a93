"""Emulator: builds the shops, the WSGI apps in front of them and the web server, and starts and stops them."""

import os
from typing import Mapping, Optional, Sequence, Union

from werkzeug.middleware.dispatcher import DispatcherMiddleware

from fedapay_sync.common.clock import SYSTEM_CLOCK, Clock
from fedapay_sync.common.masking import fingerprint
from fedapay_sync.common.published import SANDBOX_SECRET_KEY
from fedapay_sync.emulator import arguments
from fedapay_sync.emulator.access import TOKEN_WORD, Access
from fedapay_sync.emulator.base import EmulatorBase
from fedapay_sync.emulator.control_api import PREFIX, ControlApi
from fedapay_sync.emulator.domain.clock import EmulatorClock
from fedapay_sync.emulator.domain.rules import rules_of
from fedapay_sync.emulator.domain.settings import Settings
from fedapay_sync.emulator.middleware import RecordingMiddleware
from fedapay_sync.emulator.routing import LazyApp, ShopRouter, split_by_path
from fedapay_sync.emulator.services import ShopOptions
from fedapay_sync.emulator.shop import Shop
from fedapay_sync.emulator.storage.context import EmulatorContext
from fedapay_sync.emulator.storage.state_file import FileState, State
from fedapay_sync.emulator.web.app import WebApp
from fedapay_sync.server.web_server import WebServer

# Larger than any body the API itself refuses with a JSON answer.
_MAX_BODY = 4 * 1024 * 1024
# A call that a fault holds up keeps its thread: one stays free for the call that takes the fault back.
_THREADS = 32
_MOST_HELD = 24


class Emulator(EmulatorBase):
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
        webhook_timeout: secondes laissées au receveur pour toute sa réponse.
        disable_on_error: couper le webhook de ``webhook_url`` après dix essais sans succès, comme FedaPay.
        delay: secondes avant que le payeur réponde ; ``None`` : jamais de lui-même.
        host: adresse d'écoute.
        port: port d'écoute ; 0 prend un port libre et le garde d'un démarrage à l'autre.
        clock: horloge des dates et des minuteries ; les signatures portent l'heure réelle.
        time_factor: secondes de cette horloge pour une seconde réelle.
        retry_factor: multiplie l'attente entre deux essais de livraison (2, 4, 8… 120 s).
        state: fichier qui garde tout d'un démarrage à l'autre, même après un arrêt brutal ; ``None`` : rien ne
            survit à l'objet.
        settings: ce que les sources ne disent pas de FedaPay, comme les dépôts ouverts ou fermés ; copiés.
        shops: autres boutiques du même émulateur, ``{clé secrète: nom}`` ; chacune a ses transactions, ses clients,
            ses soldes et ses webhooks. Voir ``shop``. La clé ``secret_key`` peut y être, pour donner un nom à la
            première.
        allow_hosts: autres noms sous lesquels on l'appelle, comme celui de son conteneur, ``["emulator"]``.
        webhook_entity: le réglage du même nom, qui l'emporte sur ``settings``.

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
        webhook_entity: Optional[str] = None,
        webhook_timeout: float = 10.0,
        disable_on_error: bool = True,
        delay: Optional[float] = None,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock = SYSTEM_CLOCK,
        time_factor: float = 1.0,
        retry_factor: float = 1.0,
        state: Union[str, "os.PathLike[str]", None] = None,
        settings: Optional[Settings] = None,
        shops: Optional[Mapping[str, str]] = None,
        allow_hosts: Sequence[str] = (),
    ) -> None:
        names = arguments.shops("shops", shops)
        self._access = Access(host, arguments.hosts("allow_hosts", allow_hosts))
        options = ShopOptions(
            delay=None if delay is None else arguments.seconds("delay", delay),
            objects=arguments.objects("webhook_objects", webhook_objects),
            webhook_timeout=arguments.seconds("webhook_timeout", webhook_timeout, above_zero=True),
            retry_factor=arguments.factor("retry_factor", retry_factor),
            disable_on_error=arguments.yes_no("disable_on_error", disable_on_error),
        )
        webhook_headers = arguments.headers("webhook_headers", webhook_headers)
        if webhook_url is not None:
            arguments.address("webhook_url", webhook_url)
        path = arguments.state("state", state)
        context = EmulatorContext(lambda: self._server.url, EmulatorClock(clock, time_factor))
        if settings is not None:
            context.settings.take(settings)
        if webhook_entity is not None:
            context.settings.webhook_entity = webhook_entity
        context.file = State() if path is None else FileState(path)
        try:
            context.load()
            own_name = names.pop(secret_key, None)
            for key in (secret_key, *names):
                rules_of(key)  # refuses what is no key
            marks = {key: fingerprint(key) for key in (secret_key, *names)}
            owner = context.choose_owner(list(marks.values()))
            super().__init__(
                context,
                secret_key,
                options,
                name=own_name,
                has_namespace=marks[secret_key] != owner,
                webhook_secret=webhook_secret,
                webhook_url=webhook_url,
                webhook_headers=webhook_headers,
            )
            others = [
                Shop(context, key, options, name=name, has_namespace=marks[key] != owner) for key, name in names.items()
            ]
            context.save_owner()
            self._shops = {each.secret_key: each for each in (self, *others)}
            services = [each._services for each in self._shops.values()]
            pages = split_by_path(ShopRouter(services), LazyApp(WebApp(services, self._access, self).build))
            controls = LazyApp(ControlApi(self, self._access).build)
            site = DispatcherMiddleware(pages, {PREFIX: controls})
            self._middleware = RecordingMiddleware(site, context.faults, most_held=_MOST_HELD)
            # Outermost: what a page of another site calls uses up no fault, and is not among the requests.
            guarded = self._access.guard(self._middleware, "/v1")
            self._server = WebServer(
                guarded, host=host, port=port, name="fedapay-emulator", threads=_THREADS, max_body=_MAX_BODY
            )
        except BaseException:
            context.file.close()
            raise
        context.clock.on_advance(before=context.save_time, after=self._catch_up, stop=self._next_stop)
        self._resumed = False

    # Running

    def start(self) -> None:
        """
        Ouvre le port ; sans effet si l'émulateur tourne déjà.

        Raises:
            PortUnavailable: port pris, ou adresse étrangère à cette machine.
            ConfigError: un autre émulateur a pris le fichier d'état entre-temps.
        """
        # Under the lock: the first call waits until the services have resumed what the file says was under way.
        self._middleware.set_stopping(False)
        with self._context.lock:
            reopened = self._reopen()
            try:
                self._server.start()
            except BaseException:
                if reopened:
                    self._context.file.close()
                raise
            if reopened or not self._resumed:
                for shop in self._shops.values():
                    shop._services.resume()
                self._resumed = True
        for shop in self._shops.values():
            shop._services.timers.start()
            shop._services.deliveries.start()

    def stop(self) -> None:
        """Ferme le port et le fichier d'état, suspend webhooks et minuteries ; ``start`` reprend où l'on en était."""
        self._middleware.set_stopping(True)
        self._server.stop()
        for shop in self._shops.values():
            shop._services.timers.stop()
        for shop in self._shops.values():
            shop._services.deliveries.stop()
        self._context.release()

    def __enter__(self) -> "Emulator":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def desk_url(self) -> str:
        """Adresse à ouvrir dans un navigateur ; hors de cette machine, elle porte le jeton de cet émulateur-ci."""
        return self._opened("/")

    @property
    def phone_url(self) -> str:
        """Adresse du téléphone des payeurs, à ouvrir dans un navigateur."""
        return self._opened("/telephone/")

    # Inside

    def _reopen(self) -> bool:
        """Open the state file again, if ``stop`` has closed it, and read it anew."""
        if self._context.file.is_open:
            return False
        self._context.file.open()
        self._context.load()
        for shop in self._shops.values():
            shop._services.data.reopen()
        return True

    def _opened(self, path: str) -> str:
        token = self._access.token
        return f"{self.url}{path}" + ("" if token is None else f"?{TOKEN_WORD}={token}")

    def _next_stop(self) -> Optional[float]:
        stops = [shop._services.timers.next_stop() for shop in self._shops.values()]
        return min((each for each in stops if each is not None), default=None)

    def _catch_up(self) -> None:
        for shop in self._shops.values():
            shop._services.catch_up()
