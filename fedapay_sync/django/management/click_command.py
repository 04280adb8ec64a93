"""Runs a command of ``fedapay-sync`` as a command of ``manage.py``, for the project's connector."""

import contextlib
from typing import Any, ClassVar, Dict, List, TextIO, cast

import click
from django.core.management.base import BaseCommand, CommandError, CommandParser

from fedapay_sync.cli.groups import sentence
from fedapay_sync.common.masking import escape_controls
from fedapay_sync.django import fedapay
from fedapay_sync.errors import FedapayError


class ClickCommand(BaseCommand):
    """
    A management command that has the options of a click command, and does what that does.

    Attributes:
        command: the click command.
        hidden: its parameters that mean nothing here.
    """

    # They are what fedapay_check shows in its own way, and a worker says itself what it cannot begin with.
    requires_system_checks: ClassVar[List[str]] = []
    command: click.Command
    hidden = ("help", "target", "live")

    def add_arguments(self, parser: CommandParser) -> None:
        for each in self._parameters():
            if isinstance(each, click.Argument):
                parser.add_argument(each.name, nargs="?" if not each.required else None, metavar=each.metavar)
            elif isinstance(each, click.Option):
                kind: Dict[str, Any] = {"action": "store_true"} if each.is_flag else {"metavar": each.metavar}
                parser.add_argument(*each.opts, dest=each.name, help=each.help, **kind)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run it, and turn its errors into Django's."""
        try:
            # The stream itself: Django's wrapper ends each write with a line, an empty one too.
            with contextlib.redirect_stdout(cast(TextIO, getattr(self.stdout, "_out", self.stdout))):
                self.command.main(
                    self._words(options), prog_name=self._name(), standalone_mode=False, obj=fedapay.connector
                )
        except click.ClickException as error:
            # It may quote what others have written, and a terminal would obey it.
            raise CommandError(escape_controls(sentence(error))) from None
        except FedapayError as error:
            raise CommandError(escape_controls(f"Erreur : {error}")) from None

    def _parameters(self) -> List[click.Parameter]:
        return [each for each in self.command.params if each.name not in self.hidden]

    def _words(self, options: Dict[str, Any]) -> List[str]:
        """The options as the command line of click has them."""
        words: List[str] = []
        last: List[str] = []
        for each in self._parameters():
            value = options.get(str(each.name))
            if value is None or value is False:
                continue
            if isinstance(each, click.Argument):
                last = ["--", str(value)]
            else:
                words += [each.opts[0]] if value is True else [each.opts[0], str(value)]
        return words + last

    def _name(self) -> str:
        return f"manage.py {type(self).__module__.rpartition('.')[2]}"
