"""Logs of the calls that FedaPay's API got."""

from fedapay_sync.models import Log
from fedapay_sync.resources.mixins import Listable, Retrievable, Subscribable


class Logs(Retrievable[Log], Listable[Log], Subscribable[Log]):
    """
    Appels reçus par l'API, avec ce qui fut envoyé et répondu : données de clients comprises.

    Filtres : ``filters={"method": "POST", "status": 400}``.
    """

    path = "logs"
    model = Log
