"""Found by the application ``fedapay_sync.django``."""

from typing import Any, Callable, List

from django.db.models import F
from support.django_shop.models import Order

from fedapay_sync.django import fedapay

#: What a test adds; called with each paid event after the order is written.
after: List[Callable[[Any], object]] = []


@fedapay.on_paid(atomic=True)
def deliver(event):
    """Deliver the order, once."""
    Order.objects.filter(reference=event.entity.merchant_reference).update(delivered=F("delivered") + 1)
    for each in after:
        each(event)
