"""An object of a web framework with the methods of a connector: those of the one that is current at the call."""

import functools
from typing import TYPE_CHECKING, Any, Callable, TypeVar, cast

from fedapay_sync.common.frames import private, private_methods
from fedapay_sync.common.hosting import is_reloader_parent
from fedapay_sync.common.logging import get_logger
from fedapay_sync.connector.connector import Connector
from fedapay_sync.connector.registration import CallbackRegistration

if TYPE_CHECKING:
    from typing_extensions import Concatenate, ParamSpec

    from fedapay_sync.resources.api import Api

    P = ParamSpec("P")

log = get_logger(__name__)

R = TypeVar("R")


def _forwarded(method: "Callable[Concatenate[Connector, P], R]") -> "Callable[Concatenate[ConnectorMethods, P], R]":
    """That method of the current connector."""

    @functools.wraps(method)
    def call(self: "ConnectorMethods", *args: Any, **kwargs: Any) -> Any:
        return method(self.connector, *args, **kwargs)

    return cast("Callable[Concatenate[ConnectorMethods, P], R]", private(call))


@private_methods
class ConnectorMethods(CallbackRegistration):
    """The methods of ``Connector``, but for those that serve webhooks without an application."""

    @property
    def connector(self) -> Connector:
        """Le connecteur d'ici."""
        raise NotImplementedError

    @property
    def api(self) -> "Api":
        """Toutes les ressources de FedaPay, pour l'application courante : ``fedapay.api.payouts.create(...)``."""
        return self.connector.api

    pay = _forwarded(Connector.pay)
    adopt = _forwarded(Connector.adopt)
    accept = _forwarded(Connector.accept)
    forget = _forwarded(Connector.forget)
    returned = _forwarded(Connector.returned)
    check_status = _forwarded(Connector.check_status)
    get_transaction_by_merchant_reference = _forwarded(Connector.get_transaction_by_merchant_reference)
    cancel = _forwarded(Connector.cancel)
    finalise = _forwarded(Connector.finalise)
    finalise_many = _forwarded(Connector.finalise_many)
    as_completed = _forwarded(Connector.as_completed)
    listen = _forwarded(Connector.listen)
    listen_many = _forwarded(Connector.listen_many)
    cancel_listen = _forwarded(Connector.cancel_listen)
    cancel_all_listens = _forwarded(Connector.cancel_all_listens)
    receive = _forwarded(Connector.receive)
    verify_signature = _forwarded(Connector.verify_signature)
    save_webhook = _forwarded(Connector.save_webhook)
    run = _forwarded(Connector.run)
    run_owed = _forwarded(Connector.run_owed)
    owes_callbacks = _forwarded(Connector.owes_callbacks)
    health = _forwarded(Connector.health)
    parked = _forwarded(Connector.parked)
    replay = _forwarded(Connector.replay)
    purge = _forwarded(Connector.purge)
    backup = _forwarded(Connector.backup)
    import_async = _forwarded(Connector.import_async)
    close = _forwarded(Connector.close)

    def start(self) -> int:
        """
        Comme ``Connector.start`` ; sans effet dans le premier des deux processus de ``flask run --debug`` ou de
        ``manage.py runserver``, qui ne sert rien. Inutile sous un serveur : la première requête le fait.
        """
        connector = self.connector
        return 0 if _is_left_to_the_reloaded_process() else connector.start()

    def restore(self) -> int:
        """Comme ``Connector.restore`` ; sans effet dans le premier des deux processus d'un serveur qui se recharge."""
        connector = self.connector
        return 0 if _is_left_to_the_reloaded_process() else connector.restore()


def _is_left_to_the_reloaded_process() -> bool:
    if not is_reloader_parent():
        return False
    log.info("nothing started in the reloader's first process; the second one serves")
    return True
