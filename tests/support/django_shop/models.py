"""What the shop sells."""

from django.db import models


class Order(models.Model):
    """An order."""

    reference = models.CharField(max_length=40, unique=True)
    delivered = models.IntegerField(default=0)
