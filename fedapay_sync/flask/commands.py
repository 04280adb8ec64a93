"""``flask fedapay check|worker|parked|replay|purge|emulator``: the command line's own, for this application."""

import urllib.parse
from typing import Any, Dict, List, Optional, Tuple

import click
import flask
from flask.cli import ScriptInfo

from fedapay_sync.cli.groups import Context, LazyGroup, sentence
from fedapay_sync.cli.scope import current_connector
from fedapay_sync.common.env import API_URL, from_environment
from fedapay_sync.common.hosts import is_loopback_host, is_private_host
from fedapay_sync.common.masking import escape_controls, mask
from fedapay_sync.connector.connector import Connector, config_of
from fedapay_sync.flask.settings import EXTENSION

#: Where Flask's own server listens unless told otherwise.
_FLASK_PORT = "5000"


class _Commands(LazyGroup):
    """Runs the commands in the context of the application, with its connector as their object."""

    def invoke(self, ctx: click.Context) -> Any:
        app = ctx.ensure_object(ScriptInfo).load_app()
        ctx.obj = app.extensions[EXTENSION]
        try:
            with app.app_context():
                return super().invoke(ctx)
        except click.ClickException as error:
            # It may quote what others have written, and a terminal would obey it.
            click.echo(escape_controls(sentence(error)), err=True)
            ctx.exit(error.exit_code)

    def resolve_command(
        self, ctx: click.Context, args: List[str]
    ) -> Tuple[Optional[str], Optional[click.Command], List[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name == "emulator":
            ctx.default_map = {name: _of_the_emulator(ctx.obj)}
        return name, command, rest


@click.group(
    EXTENSION,
    cls=_Commands,
    short_help="Paiements FedaPay de cette application.",
    modules={
        "check": ("fedapay_sync.cli.check", "Vérifier les réglages, la base et FedaPay."),
        "emulator": ("fedapay_sync.cli.emulator", "Servir un FedaPay à l'adresse de FEDAPAY_API_URL."),
        "parked": ("fedapay_sync.cli.maintenance", "Montrer les événements mis de côté."),
        "purge": ("fedapay_sync.cli.maintenance", "Effacer ce qui est fini depuis longtemps."),
        "replay": ("fedapay_sync.cli.maintenance", "Rappeler le callback des événements mis de côté."),
        "worker": ("fedapay_sync.flask.commands", "Appeler les callbacks de cette application."),
    },
)
@click.help_option("--help", "-h", help="Montrer cette aide.")
@click.pass_context
def commands(ctx: click.Context) -> None:
    """Paiements FedaPay de cette application : ses réglages, sa base et ses callbacks."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


commands.context_class = Context


@click.command("worker")
@click.help_option("--help", "-h", help="Montrer cette aide.")
def worker() -> None:
    """
    Appeler les callbacks de cette application.

    Continue jusqu'à SIGTERM ou Ctrl-C, finit ce qui est en cours, et sort avec 0.
    """
    from fedapay_sync.cli.worker import run  # as late as the commands themselves

    connector = current_connector()
    assert connector is not None
    run(connector, f"flask fedapay worker : {flask.current_app.name}")


def _of_the_emulator(connector: Connector) -> Dict[str, Any]:
    """What an emulator has to be like for that application to use it, by the names of its options' parameters."""
    config = config_of(connector)
    parts = urllib.parse.urlsplit(config.api_url)
    host = parts.hostname or ""
    if parts.scheme != "http" or not (is_loopback_host(host) or is_private_host(host)):
        raise click.ClickException(
            f"{API_URL}={mask(config.api_url)} n'est pas l'adresse d'un émulateur. Donner à cette application une "
            "adresse de cette machine, par exemple http://127.0.0.1:8800 ; l'émulateur y répondra."
        )
    is_here = is_loopback_host(host)
    port = from_environment("FLASK_RUN_PORT", _FLASK_PORT)
    return {
        "host": host if is_here else "0.0.0.0",
        "port": str(parts.port or 80),
        "allow_hosts": () if is_here else (host,),
        "secret_key": config.api_key.reveal(),
        "webhook_secret": config.webhook_secrets[0].reveal(),
        "webhook_url": f"http://127.0.0.1:{port}/{config.endpoint_name}",
    }
