"""``manage.py fedapay_replay``."""

from fedapay_sync.cli.maintenance import replay
from fedapay_sync.django.management.click_command import ClickCommand


class Command(ClickCommand):
    """Rappelle les callbacks des événements mis de côté."""

    help = "Rappelle les callbacks des événements mis de côté."
    command = replay
