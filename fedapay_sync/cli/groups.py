"""Click groups that speak French, and errors in one French line."""

import importlib
from typing import Any, Dict, List, Mapping, Optional, Tuple

import click

_HEADINGS = {"Commands": "Commandes"}


class Formatter(click.HelpFormatter):
    """Writes click's headings in French."""

    def write_usage(self, prog: str, args: str = "", prefix: Optional[str] = None) -> None:
        super().write_usage(prog, args, prefix or "Utilisation : ")

    def write_heading(self, heading: str) -> None:
        super().write_heading(_HEADINGS.get(heading, heading) + " ")


class Context(click.Context):
    """The context of a command whose help is in French."""

    formatter_class = Formatter


class Group(click.Group):
    """A group that says in French which commands there are. Its function is called without one, too, to show help."""

    context_class = Context

    def __init__(self, *args: Any, **settings: Any) -> None:
        ours = {"invoke_without_command": True, "subcommand_metavar": "COMMANDE [ARGUMENTS]..."}
        super().__init__(*args, **{**ours, **settings})

    def get_command(self, ctx: click.Context, cmd_name: str) -> Optional[click.Command]:
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            command.context_class = Context
        return command

    def resolve_command(
        self, ctx: click.Context, args: List[str]
    ) -> Tuple[Optional[str], Optional[click.Command], List[str]]:
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            ctx.fail(f"Commande inconnue : {args[0]}. Commandes : {', '.join(self.list_commands(ctx))}.")
        return super().resolve_command(ctx, args)


class LazyGroup(Group):
    """
    Imports a command when it is asked for.

    Args:
        modules: command → the module that holds a click command of the same name (``_`` for ``-``), and its help.
    """

    def __init__(self, *args: Any, modules: Mapping[str, Tuple[str, str]], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._modules: Dict[str, Tuple[str, str]] = dict(modules)

    def list_commands(self, ctx: click.Context) -> List[str]:
        return sorted(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> Optional[click.Command]:
        if cmd_name not in self._modules:
            return None
        command: click.Command = getattr(
            importlib.import_module(self._modules[cmd_name][0]), cmd_name.replace("-", "_")
        )
        command.context_class = Context
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._modules[name][1]) for name in self.list_commands(ctx)])


def sentence(error: click.ClickException) -> str:
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
