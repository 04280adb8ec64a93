"""``manage.py fedapay_worker``."""

import os
from typing import Any

import click
from django.core.management.base import BaseCommand, CommandError

from fedapay_sync.cli.worker import run
from fedapay_sync.common.masking import escape_controls
from fedapay_sync.django import fedapay
from fedapay_sync.errors import FedapayError


class Command(BaseCommand):
    """Appelle les callbacks de ce projet jusqu'à SIGTERM ou Ctrl-C, et finit ce qui est en cours."""

    help = "Appelle les callbacks de ce projet jusqu'à SIGTERM ou Ctrl-C, et finit ce qui est en cours."

    def handle(self, *args: Any, **options: Any) -> None:
        """Work until a signal comes."""
        project = os.path.basename(os.getcwd())
        try:
            run(fedapay.connector, f"manage.py fedapay_worker : {project}")
        except click.ClickException as error:
            raise CommandError(escape_controls(f"Erreur : {error.message}")) from None
        except FedapayError as error:
            raise CommandError(escape_controls(f"Erreur : {error}")) from None
