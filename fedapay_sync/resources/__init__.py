"""Les objets de l'API FedaPay, une classe chacun."""

from .base import Page
from .transactions import Transactions

__all__ = ["Page", "Transactions"]
