"""Click groups that speak French."""

from typing import Any, List, Optional, Tuple

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
