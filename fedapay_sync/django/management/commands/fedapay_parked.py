"""``manage.py fedapay_parked``."""

from fedapay_sync.cli.maintenance import parked
from fedapay_sync.django.management.click_command import ClickCommand


class Command(ClickCommand):
    """Montre les événements mis de côté."""

    help = "Montre les événements mis de côté."
    command = parked
