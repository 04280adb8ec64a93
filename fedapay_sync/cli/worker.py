"""``fedapay-sync worker``: runs the callbacks of a program's connector until it is told to end."""

import importlib
import logging
import os
import sys

import click

from fedapay_sync.common.logging import attach_handlers
from fedapay_sync.connector.connector import Connector
from fedapay_sync.connector.registration import CallbackRegistration
from fedapay_sync.errors import FedapayError


@click.command("worker")
@click.argument("target", metavar="MODULE:NOM")
@click.help_option("--help", "-h", help="Montrer cette aide.")
def worker(target: str) -> None:
    """
    Appeler les callbacks d'un programme.

    MODULE:NOM désigne son connecteur, par exemple boutique:connector ; le module est cherché à partir du dossier où
    l'on est. Continue jusqu'à SIGTERM ou Ctrl-C, finit ce qui est en cours, et sort avec 0.
    """
    run(connector_at(target), f"fedapay-sync worker : {target}")


def run(connector: Connector, what: str) -> None:
    """Work for that connector until a signal comes, with our log on the terminal if the program shows none."""
    if not logging.getLogger("fedapay_sync").hasHandlers():
        attach_handlers(console=True, file=False)
    click.echo(f"{what} (Ctrl-C pour finir)", err=True)
    try:
        connector.run()
    except FedapayError as error:
        raise click.ClickException(str(error)) from None


def connector_at(target: str) -> Connector:
    """The connector that ``MODULE:NOM`` names."""
    module_name, colon, path = target.partition(":")
    if not (module_name and colon and path):
        raise click.BadParameter(f"{target!r} : MODULE:NOM est attendu, par exemple boutique:connector.")
    sys.path.insert(0, os.getcwd())
    try:
        found = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name.split(".")[0] and error.name != module_name:
            raise
        raise click.ClickException(
            f"le module {module_name} n'existe pas à partir de {os.getcwd()}. Aller dans le dossier du programme."
        ) from None
    for name in path.split("."):
        if not hasattr(found, name):
            raise click.ClickException(f"{module_name} n'a pas de {path} : donner le nom de son connecteur.")
        found = getattr(found, name)
    if isinstance(found, CallbackRegistration) and not isinstance(found, Connector):
        raise click.ClickException(
            f"{target} sert plusieurs applications : lancer flask --app {module_name} fedapay worker."
        )
    if not isinstance(found, Connector):
        raise click.ClickException(f"{target} est un {type(found).__name__} : un Connector est attendu.")
    return found
