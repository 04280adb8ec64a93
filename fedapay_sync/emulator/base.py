"""EmulatorBase: the commands that act on the whole emulator: clock, faults, settings, recorded calls, reset."""

from typing import Dict, List, Mapping, Optional, Sequence, Union

from fedapay_sync.common.masking import mask
from fedapay_sync.emulator.domain.clock import EmulatorClock
from fedapay_sync.emulator.domain.settings import Settings
from fedapay_sync.emulator.faults.faults import ApiFault, Faults
from fedapay_sync.emulator.middleware import ApiRequest, RecordingMiddleware
from fedapay_sync.emulator.resources.phones import Phones
from fedapay_sync.emulator.shop import Shop
from fedapay_sync.errors import ConfigError, InvalidArgument


class EmulatorBase(Shop):
    """The first shop, with the commands that act on all shops."""

    _middleware: RecordingMiddleware
    _shops: Dict[str, Shop]

    @property
    def clock(self) -> EmulatorClock:
        """L'heure de l'émulateur, que ``clock.advance(hours=24)`` fait sauter."""
        return self._context.clock

    @property
    def faults(self) -> Faults:
        """Les pannes demandées : ``faults.webhook.duplicate(times=2)``, ``faults.api.slow(seconds=3)``…"""
        return self._context.faults

    @property
    def settings(self) -> Settings:
        """Ce que les sources ne disent pas de FedaPay ; chaque réglage peut changer à tout moment."""
        return self._context.settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self._context.settings.take(settings)

    @property
    def shops(self) -> List[Shop]:
        """Les boutiques, l'émulateur lui-même en tête."""
        return list(self._shops.values())

    def shop(self, secret_key: str) -> Shop:
        """
        La boutique d'une clé.

        Raises:
            InvalidArgument: aucune n'a cette clé.
        """
        if secret_key not in self._shops:
            raise InvalidArgument(
                f"Aucune boutique de l'émulateur n'a la clé {mask(secret_key)}. Les donner par shops= ou --shop.",
                field="secret_key",
            )
        return self._shops[secret_key]

    @property
    def url(self) -> str:
        """Adresse à donner au client à la place de ``https://sandbox-api.fedapay.com``."""
        return self._context.base_url()

    # What happened

    @property
    def requests(self) -> List[ApiRequest]:
        """Appels reçus par l'API, du plus ancien au plus récent (les 5000 derniers)."""
        return self._middleware.requests

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
        Fait échouer les prochains appels dont le chemin commence ainsi ; ``faults.api`` a les pannes courantes.

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
        fault = ApiFault(
            "api.fail_next",
            path=path_prefix,
            method=method,
            status=status,
            body=body,
            content_type=content_type,
            headers=headers,
            cut=cut,
            applied=applied,
            wait=wait,
            times=times,
            details={"status": status, "cut": cut},
        )
        self._context.faults.add(fault)

    def reset(self) -> None:
        """
        Oublie tout ce qui est arrivé, dans toutes les boutiques et dans le fichier d'état : objets, événements,
        livraisons, appels reçus, pannes demandées.

        Restent les clés, les réglages, l'adresse de ``webhook_url``, et l'heure : elle ne recule jamais.

        Raises:
            ConfigError: le fichier d'état n'a pas pu être vidé ; rien n'est oublié.
        """
        self._check_open()
        with self._context.lock:
            try:
                with self._services.data.atomic():
                    self._context.file.clear()
                    self._context.save_time(self.clock.ahead)
                    self._context.save_owner()
                    for shop in self._shops.values():
                        shop._services.clear()
            except ConfigError:
                for shop in self._shops.values():
                    shop._services.data.reload()
                raise
            for shop in self._shops.values():
                shop._services.cancel_pending()
        self._context.faults.clear()
        self._middleware.clear()

    # Inside

    def _deliver_ready(self) -> None:
        # A payer answers whichever shop has asked.
        for each in self._shops.values():
            each._services.deliveries.deliver_ready()

    def _all_phones(self) -> Sequence[Phones]:
        # A payer has one phone, whichever shop asks for the payment.
        return [each._services.phones for each in self._shops.values()]
