"""Ce que la boutique garde de ses commandes."""

from typing import Optional
from uuid import uuid4

from sqlalchemy.orm import Mapped, mapped_column

from boutique.extensions import db


class Commande(db.Model):  # type: ignore[misc]
    """Une commande ; sa référence est aussi celle du paiement chez FedaPay, et l'adresse de sa page."""

    reference: Mapped[str] = mapped_column(primary_key=True, default=lambda: uuid4().hex)
    article: Mapped[str]
    montant: Mapped[int]
    telephone: Mapped[str]
    id_transaction: Mapped[Optional[str]] = mapped_column(index=True)
    payee: Mapped[bool] = mapped_column(default=False)
