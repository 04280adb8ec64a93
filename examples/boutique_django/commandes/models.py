"""Ce que la boutique garde de ses commandes."""

from uuid import uuid4

from django.db import models


class Commande(models.Model):
    """Une commande ; sa référence est aussi celle du paiement chez FedaPay, et l'adresse de sa page."""

    reference = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    article = models.CharField(max_length=40)
    montant = models.PositiveIntegerField()
    telephone = models.CharField(max_length=20)
    id_transaction = models.CharField(max_length=40, blank=True, db_index=True)
    payee = models.BooleanField(default=False)
    creee = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-creee",)

    def __str__(self) -> str:
        return f"{self.article}, {self.montant} F"
