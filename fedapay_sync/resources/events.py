"""Events of the account, as FedaPay keeps them."""

from fedapay_sync.models import Event
from fedapay_sync.resources.mixins import Listable, Retrievable, Subscribable


class Events(Retrievable[Event], Listable[Event], Subscribable[Event]):
    """
    Événements du compte, du plus récent au plus ancien ; ``entity`` est l'objet tel qu'il était alors.

    Filtres : ``filters={"type": "transaction.approved"}``, ``{"object": "transaction", "object_id": 512345}``.
    """

    path = "events"
    model = Event
