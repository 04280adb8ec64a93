"""The click group ``fedapay-sync``: loads commands when they are asked for, and reports errors in French."""

import sys
from typing import Any, Dict, Optional, Sequence, Tuple

import click

from fedapay_sync._version import VERSION
from fedapay_sync.cli.groups import LazyGroup, sentence
from fedapay_sync.common.masking import escape_controls

#: Imported on demand: Flask and waitress are not needed to print a help page.
_COMMANDS: Dict[str, Tuple[str, str]] = {
    "backup": ("fedapay_sync.cli.maintenance", "Copier la base pendant que la boutique tourne."),
    "callbacks": ("fedapay_sync.cli.callbacks", "Montrer, renommer ou abandonner des callbacks."),
    "check": ("fedapay_sync.cli.check", "Vérifier les réglages, la base et FedaPay."),
    "demo": ("fedapay_sync.cli.demo", "Essayer un paiement complet, sans compte ni réseau."),
    "emulator": ("fedapay_sync.cli.emulator", "Servir un FedaPay à soi sur cette machine."),
    "forget": ("fedapay_sync.cli.maintenance", "Ne plus suivre une transaction."),
    "import-async": ("fedapay_sync.cli.maintenance", "Reprendre les attentes du connecteur asynchrone."),
    "parked": ("fedapay_sync.cli.maintenance", "Montrer les événements mis de côté."),
    "purge": ("fedapay_sync.cli.maintenance", "Effacer ce qui est fini depuis longtemps."),
    "replay": ("fedapay_sync.cli.maintenance", "Rappeler le callback des événements mis de côté."),
    "worker": ("fedapay_sync.cli.worker", "Appeler les callbacks d'un programme."),
}


class _Main(LazyGroup):
    """Reports errors in French."""

    def main(  # type: ignore[override,unused-ignore]
        self,
        args: Optional[Sequence[str]] = None,
        prog_name: Optional[str] = None,
        complete_var: Optional[str] = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        try:
            result = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.ClickException as error:
            if not standalone_mode:
                raise
            # It may quote what others have written, and a terminal would obey it.
            click.echo(escape_controls(sentence(error)), err=True)
            sys.exit(error.exit_code)
        except click.Abort:
            if not standalone_mode:
                raise
            sys.exit(1)
        if standalone_mode:
            sys.exit(result if isinstance(result, int) else 0)
        return result


@click.group(cls=_Main, name="fedapay-sync", modules=_COMMANDS)
@click.help_option("--help", "-h", help="Montrer cette aide.")
@click.version_option(VERSION, "--version", message="fedapay-sync %(version)s", help="Montrer la version installée.")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Paiements FedaPay : essayer, servir un émulateur, entretenir la base."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
