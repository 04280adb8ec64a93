"""``fedapay-sync backup``, ``forget``, ``import-async``, ``parked``, ``purge``, ``replay``: the shop's database."""

import contextlib
from datetime import datetime, timezone
from pathlib import Path
from typing import Iterator, List, Optional

import click

from fedapay_sync.cli.scope import current_scope
from fedapay_sync.common.config import database_url
from fedapay_sync.common.env import DB_URL
from fedapay_sync.common.masking import escape_controls
from fedapay_sync.connector.connector import Connector
from fedapay_sync.errors import FedapayError
from fedapay_sync.models.params.identifiers import checked_transaction_id
from fedapay_sync.store import StoredEvent
from fedapay_sync.store.states import EventKind
from fedapay_sync.store.store import Store
from fedapay_sync.workflow.callbacks.retry_policy import next_round

HELP = click.help_option("--help", "-h", help="Montrer cette aide.")


@contextlib.contextmanager
def database() -> Iterator[Store]:
    """The existing database; a missing one is not created."""
    scope = current_scope()
    with told():
        store = Store(scope.db_url or database_url())
        if store.path is not None and not store.path.exists():
            raise click.ClickException(
                f"la base {store.path} n'existe pas. Définir {DB_URL}, ou changer de dossier."
                if scope.db_url is None
                else f"la base {store.path} n'existe pas encore : le premier paiement ou webhook la crée."
            )
        try:
            yield store
        finally:
            store.close()


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Turns our errors into the command's."""
    try:
        yield
    except FedapayError as error:
        raise click.ClickException(str(error)) from None


_CALLBACK = click.option("--callback", metavar="NOM", help="Ceux d'un seul callback.")


@click.command("parked")
@_CALLBACK
@HELP
def parked(callback: Optional[str]) -> None:
    """
    Montrer les événements mis de côté.

    Ce sont ceux dont un callback a échoué jusqu'au bout, et ceux qui n'ont pas pu être lus. Aucune donnée de client
    n'est montrée.
    """
    with database() as store:
        found = _parked(store, callback=callback)
    for work in found:
        received = datetime.fromtimestamp(work.received_at, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
        # Written by others: FedaPay, the exception of a callback. A terminal would obey what is in it.
        key = escape_controls(work.event_key)
        said = escape_controls(f"{counted(work.attempts, 'essai')} : {work.last_error}")
        by = f", callback {escape_controls(work.callback_name)}" if work.callback_name else ""
        click.echo(f"{key}\n    {escape_controls(work.name)}, reçu le {received}{by}, {said}")
    click.echo(f"{counted(len(found), 'événement')} mis de côté.")


def _parked(store: Store, event_key: Optional[str] = None, callback: Optional[str] = None) -> List[StoredEvent]:
    scope = current_scope()
    return store.callbacks.parked(scope.environment, scope.accounts, event_key, callback)


@click.command("replay")
@click.argument("key", metavar="[CLÉ]", required=False)
@_CALLBACK
@HELP
def replay(key: Optional[str], callback: Optional[str]) -> None:
    """
    Rappeler les callbacks des événements mis de côté.

    CLÉ est celle d'un seul événement, telle que « parked » la montre. Le programme qui a les callbacks les reprend
    dans les deux secondes, ou à son prochain démarrage.
    """
    with database() as store:
        found: List[StoredEvent] = _parked(store, key, callback)
        if key is not None and not found:
            raise click.ClickException(f"aucun événement mis de côté n'a la clé {key}.")
        count = sum(store.callbacks.replay(work, next_round(work.attempts)) for work in found)
    click.echo(f"{counted(count, 'événement')} à rappeler.")
    if any(work.kind == EventKind.unreadable for work in found):
        click.echo("Ceux qui étaient illisibles seront relus ; s'ils le sont encore, ils seront remis de côté.")


@click.command("forget")
@click.argument("id_transaction", metavar="ID")
@click.option("--live", is_flag=True, help="Une transaction du compte réel ; sans cela, de sandbox ou d'un émulateur.")
@HELP
def forget(id_transaction: str, live: bool) -> None:
    """
    Ne plus suivre une transaction.

    ID est celui que pay a rendu. Le paiement est oublié et son attente annulée : utile quand un émulateur a été vidé.
    Les événements déjà reçus restent. Une transaction payée entre-temps n'est plus cherchée chez FedaPay.
    """
    with database() as store:
        number = checked_transaction_id(id_transaction)
        forgotten = store.payments.forget("live" if live else "sandbox", number)
    if not forgotten:
        raise click.ClickException(
            f"rien n'est suivi sous {number} ici. Essayer avec --live, ou vérifier {DB_URL}."
            if not live
            else f"rien n'est suivi sous {number} ici. Essayer sans --live, ou vérifier {DB_URL}."
        )
    click.echo(f"Transaction {number} oubliée.")


@click.command("purge")
@click.option("--days", type=click.FloatRange(0, 36500), metavar="N", help="Âge en jours de ce qui est effacé.")
@click.option("--customer", metavar="RÉFÉRENCE|ID", help="Le paiement dont le client est effacé.")
@click.option("--live", is_flag=True, help="Avec --customer : un paiement du compte réel.")
@HELP
def purge(days: Optional[float], customer: Optional[str], live: bool) -> None:
    """
    Effacer ce qui est fini depuis N jours, ou ce qu'un client a laissé.

    Avec --days, les attentes et les paiements finis, et le corps des événements traités ; ce qui a moins de trois jours
    peut encore changer, et reste. Avec --customer, le corps des événements d'un paiement et ce qui a été demandé avec
    lui. Les clés des événements restent : répété, un événement est encore reconnu.
    """
    if (days is None) == (customer is None):
        raise click.UsageError("donner --days N ou --customer RÉFÉRENCE, un seul des deux.")
    environment = current_scope().environment
    if live and environment not in (None, "live"):
        raise click.UsageError(f"--live : cette application est réglée pour {environment}.")
    with database() as store:
        if customer is not None:
            _erase(store, environment or ("live" if live else "sandbox"), customer)
            return
        purged = store.retention.purge(float(days or 0) * 86400)
    click.echo(
        f"Effacé : {counted(purged.listens, 'attente')}, {counted(purged.payments, 'paiement')}, "
        f"{counted(purged.bodies, 'corps')} d'événements."
    )


def _erase(store: Store, environment: str, customer: str) -> None:
    scope = current_scope()
    erased = store.retention.erase_payment(environment, customer, scope.accounts)
    if not erased.known:
        hint = " Essayer avec --live ?" if scope.environment is None else ""
        raise click.ClickException(f"aucun paiement {customer} dans cette base ({environment}).{hint}")
    click.echo(f"Effacé : {counted(erased.bodies, 'corps')} d'événements.")
    if erased.kept:
        kept = counted(erased.kept, "corps")
        click.echo(f"Gardé : {kept}, encore dus à un callback ou mis de côté. Recommencer après.")


@click.command("backup")
@click.argument("path", metavar="FICHIER", type=click.Path(path_type=Path))
@HELP
def backup(path: Path) -> None:
    """
    Copier la base dans un fichier neuf.

    La boutique peut tourner : la copie est tout ce qui est confirmé à cet instant. Le fichier est en mode 0600. Pour la
    remettre en place, voir docs/sauvegarde.md.
    """
    with database() as store:
        store.backup(path)
    click.echo(f"Base copiée dans {path} ({path.stat().st_size} octets).")


@click.command("import-async")
@click.argument("path", metavar="FICHIER", type=click.Path(path_type=Path))
@HELP
def import_async(path: Path) -> None:
    """
    Reprendre les attentes du connecteur asynchrone.

    FICHIER est sa base, processes.db ; elle n'est que lue. Les réglages sont ceux des variables FEDAPAY_*. Le
    programme reprend ensuite ces attentes par restore.
    """
    with told(), Connector() as connector:
        count = connector.import_async(path)
    click.echo(f"{counted(count, 'attente')} à reprendre par restore.")


def counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count > 1 and not what.endswith('s') else ''}"
