"""``fedapay-sync check``: whether the settings of a shop, its database and FedaPay's API work together."""

from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional

import click

from fedapay_sync.cli.progress import make_printable
from fedapay_sync.cli.scope import current_connector
from fedapay_sync.cli.worker import connector_at
from fedapay_sync.common.config import Config
from fedapay_sync.common.credentials import is_loopback
from fedapay_sync.common.masking import escape_controls
from fedapay_sync.connector.connector import Connector, config_of, count_of_callbacks
from fedapay_sync.enums import CallbackMode
from fedapay_sync.errors import AuthenticationError, FedapayError, Forbidden
from fedapay_sync.models.health import Health
from fedapay_sync.store.sqlite.connection import file_of


class Checked(NamedTuple):
    """One thing that was looked at: what, whether it is well, and what was found, in French."""

    what: str
    is_well: bool
    found: str


def check_connector(connector: Connector, *, is_program: bool = True) -> Iterator[Checked]:
    """
    Look at a connector's settings, FedaPay's API and the database, one after the other; nothing is started, and no
    database is made.

    Args:
        is_program: it is a program's, with its callbacks; if not, the settings alone are looked at.
    """
    config = config_of(connector)
    yield from _api(connector, config)
    yield _secret(config)
    health = connector.health() if _has_database(config) else None
    yield _database(config, health)
    yield from _work(connector, config, health, is_program)


@click.command("check")
@click.argument("target", metavar="[MODULE:NOM]", required=False)
@click.help_option("--help", "-h", help="Montrer cette aide.")
def check(target: Optional[str]) -> None:
    """
    Vérifier les réglages, la base et FedaPay.

    MODULE:NOM désigne le connecteur d'un programme ; sans lui, les réglages sont ceux des variables FEDAPAY_*, ou de
    l'application Flask. Ne démarre rien, n'envoie qu'une lecture à FedaPay, et sort avec 1 si quelque chose ne va pas.
    """
    make_printable()
    try:
        program = connector_at(target) if target else current_connector()
        connector = program or Connector()
    except FedapayError as error:
        raise click.ClickException(str(error)) from None
    show(check_connector(connector, is_program=program is not None))


def show(results: Iterator[Checked]) -> None:
    """Print each result as it comes; exit code 1 if one is not well."""
    failed: List[str] = []
    for each in results:
        mark = click.style("✓", fg="green") if each.is_well else click.style("✗", fg="red")
        # It may quote what FedaPay or a database server answered.
        click.echo(f"{mark} {each.what} : {escape_controls(each.found)}")
        if not each.is_well:
            failed.append(each.what)
    if failed:
        raise click.ClickException(f"à corriger : {', '.join(dict.fromkeys(failed))}.")


def _api(connector: Connector, config: Config) -> Iterator[Checked]:
    where = "cette machine, un émulateur" if is_loopback(config.api_url) else config.environment
    try:
        # One line of what is read all the time to follow payments up: a key that may do it is good.
        connector.api.transactions.list(per_page=1)
    except (AuthenticationError, Forbidden) as error:
        yield Checked("adresse", True, f"{config.api_url} répond ({where})")
        yield Checked("clé", False, f"FedaPay la refuse : {error}")
    except FedapayError as error:
        yield Checked("adresse", False, str(error))
    else:
        yield Checked("adresse", True, f"{config.api_url} répond ({where})")
        yield Checked("clé", True, f"acceptée ({config.environment})")


def _secret(config: Config) -> Checked:
    count = len(config.webhook_secrets)
    if not count:
        return Checked(
            "secret", False, "manquant, aucun webhook ne peut être vérifié : définir FEDAPAY_AUTH_KEY (wh_…)"
        )
    return Checked("secret", True, "présent" if count == 1 else f"{count} présents, le temps d'en changer")


def _has_database(config: Config) -> bool:
    return not config.db_url.startswith("sqlite:") or Path(file_of(config.db_url)).exists()


def _database(config: Config, health: Optional[Health]) -> Checked:
    name = f"{file_of(config.db_url)}" if config.db_url.startswith("sqlite:") else "PostgreSQL"
    if health is None:
        return Checked("base", True, f"{name}, qui n'existe pas encore : le premier paiement ou webhook la crée")
    if not health.database:
        return Checked("base", False, f"{name} : {' '.join(health.problems)}")
    return Checked("base", True, f"{name}, version {health.schema}, {health.parked} mis de côté")


def _work(connector: Connector, config: Config, health: Optional[Health], is_program: bool) -> Iterator[Checked]:
    if config.callbacks != CallbackMode.WORKER:
        where = "dans le thread qui reçoit" if config.callbacks == CallbackMode.INLINE else "dans chaque processus"
        count = count_of_callbacks(connector)
        if count or not is_program:
            yield Checked("callbacks", True, f"{count}, {where}" if count else where)
        else:
            known = "aucun : rien n'est livré de lui-même (on_paid ; dans un projet Django, fedapay_callbacks.py)"
            yield Checked("callbacks", False, known)
    elif health is None or not health.workers:
        how = "en lancer un (flask fedapay worker, manage.py fedapay_worker, ou fedapay-sync worker MODULE:NOM)"
        yield Checked("worker", False, f"aucun ne vit, et lui seul appelle les callbacks : {how}")
    else:
        yield Checked("worker", True, f"{health.workers} en vie")
    for problem in health.problems if health is not None and health.database else ():
        if not problem.startswith("Aucun processus de travail"):
            yield Checked("travail", False, problem)
