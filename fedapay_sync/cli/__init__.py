"""The click group ``fedapay-sync``: loads commands when they are asked for, and reports errors in French."""

import importlib
import sys
from typing import Any, Dict, List, Optional, Sequence, Tuple

import click

from fedapay_sync._version import VERSION
from fedapay_sync.cli.groups import Context, Group
from fedapay_sync.common.masking import escape_controls

#: Command → the module that holds a click command of the same name (``_`` for ``-``), and its help. Imported on demand:
#: Flask and waitress are not needed to print a help page.
_COMMANDS: Dict[str, Tuple[str, str]] = {
    "backup": (".maintenance", "Copier la base pendant que la boutique tourne."),
    "callbacks": (".callbacks", "Montrer, renommer ou abandonner des callbacks."),
    "demo": (".demo", "Essayer un paiement complet, sans compte ni réseau."),
    "emulator": (".emulator", "Servir un FedaPay à soi sur cette machine."),
    "forget": (".maintenance", "Ne plus suivre une transaction."),
    "import-async": (".maintenance", "Reprendre les attentes du connecteur asynchrone."),
    "parked": (".maintenance", "Montrer les événements mis de côté."),
    "purge": (".maintenance", "Effacer ce qui est fini depuis longtemps."),
    "replay": (".maintenance", "Rappeler le callback des événements mis de côté."),
    "worker": (".worker", "Appeler les callbacks d'un programme."),
}


class _Main(Group):
    """Imports a command when it is asked for, and reports errors in French."""

    def list_commands(self, ctx: click.Context) -> List[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> Optional[click.Command]:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(_COMMANDS[cmd_name][0], __name__)
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        command.context_class = Context
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][1]) for name in self.list_commands(ctx)])

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
            click.echo(escape_controls(_sentence(error)), err=True)
            sys.exit(error.exit_code)
        except click.Abort:
            if not standalone_mode:
                raise
            sys.exit(1)
        if standalone_mode:
            sys.exit(result if isinstance(result, int) else 0)
        return result


def _sentence(error: click.ClickException) -> str:
    """The error in one French line: what is wrong and what to do."""
    context = getattr(error, "ctx", None)
    hint = f" Voir {context.command_path} --help." if context is not None else ""
    if isinstance(error, click.NoSuchOption):
        return f"Erreur : option inconnue {error.option_name}.{hint}"
    if isinstance(error, click.BadOptionUsage):
        return f"Erreur : l'option {error.option_name} est mal employée (valeur absente ?).{hint}"
    if isinstance(error, click.MissingParameter):
        return f"Erreur : il manque {_name_of(error)}.{hint}"
    if isinstance(error, click.BadParameter) and error.param is not None:
        return f"Erreur : valeur refusée pour {_name_of(error)} : {error.message}{hint}"
    return f"Erreur : {error.message}{hint}"


def _name_of(error: click.BadParameter) -> str:
    return error.param.opts[0] if error.param is not None and error.param.opts else "un argument"


@click.group(cls=_Main, name="fedapay-sync")
@click.help_option("--help", "-h", help="Montrer cette aide.")
@click.version_option(VERSION, "--version", message="fedapay-sync %(version)s", help="Montrer la version installée.")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Paiements FedaPay : essayer, servir un émulateur, entretenir la base."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
