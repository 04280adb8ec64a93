"""``manage.py fedapay_check``."""

from fedapay_sync.cli.check import check
from fedapay_sync.django.management.click_command import ClickCommand


class Command(ClickCommand):
    """Vérifie les réglages, la base et FedaPay. Ne démarre rien."""

    help = "Vérifie les réglages, la base et FedaPay. Ne démarre rien."
    command = check
