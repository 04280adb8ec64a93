"""What the admin pages are about: models without tables, for their names and permissions. Nothing is kept in them."""

from django.db import models


class Payment(models.Model):
    """A payment that this project has asked for."""

    class Meta:
        managed = False
        default_permissions = ("view",)
        verbose_name = "paiement"
        verbose_name_plural = "paiements"


class Event(models.Model):
    """An event that FedaPay has told."""

    class Meta:
        managed = False
        default_permissions = ("view",)
        permissions = (("replay_event", "Peut rappeler les callbacks d'un événement mis de côté"),)
        verbose_name = "événement"
        verbose_name_plural = "événements"
