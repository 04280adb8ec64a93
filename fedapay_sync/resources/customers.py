"""Customers: payers and payees."""

from fedapay_sync.models import Customer
from fedapay_sync.models.params.bodies import CustomerBody
from fedapay_sync.resources.mixins import Manageable, Searchable


class Customers(Manageable[Customer], Searchable[Customer]):
    """
    Clients.

    L'adresse e-mail est l'identité d'un client chez FedaPay : en créer un sous une adresse connue met à jour celui qui
    existe. Recommencer après une réponse perdue est donc sans danger.
    """

    path = "customers"
    model = Customer
    body = CustomerBody
