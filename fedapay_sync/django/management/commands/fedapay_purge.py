"""``manage.py fedapay_purge``."""

from fedapay_sync.cli.maintenance import purge
from fedapay_sync.django.management.click_command import ClickCommand


class Command(ClickCommand):
    """Efface ce qui est fini depuis longtemps, ou ce qu'un client a laissé."""

    help = "Efface ce qui est fini depuis longtemps, ou ce qu'un client a laissé."
    command = purge
