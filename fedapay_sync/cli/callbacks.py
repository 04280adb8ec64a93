"""``fedapay-sync callbacks list|rename|drop``: the names under which a program's functions are called."""

from typing import List, Optional

import click

from fedapay_sync.cli.groups import Group
from fedapay_sync.cli.maintenance import HELP, counted, database
from fedapay_sync.common.masking import escape_controls
from fedapay_sync.store.callback_records import CALLBACK_BEAT, KnownCallback

#: A process that still runs has said that it has a function no longer ago than this, in seconds.
_LIVES = 3 * CALLBACK_BEAT


@click.group("callbacks", cls=Group)
@HELP
@click.pass_context
def callbacks(ctx: click.Context) -> None:
    """
    Montrer, renommer ou abandonner des callbacks.

    Chaque fonction enregistrée par on_webhook ou on_paid a un nom dans la base, avec ce qui lui est dû. La base est
    celle de FEDAPAY_DB_URL.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@callbacks.command("list")
@HELP
def list_names() -> None:
    """Montrer les callbacks que la base connaît, et ce qui leur est dû."""
    with database() as store:
        found, now = store.callback_names.all(), store.clock.now()
    for each in found:
        name = escape_controls(each.name)
        if each.same_as is not None:
            click.echo(f"{name}\n    ancien nom de {escape_controls(each.same_as)}")
            continue
        gone = " — PERSONNE NE L'A PLUS" if each.is_gone(now) else ""
        click.echo(
            f"{name}\n    {each.environment}, {each.kind} : {_owed(each, now)}, {each.parked} mis de côté ; "
            f"enregistré il y a {_duration(now - each.seen_at)}{gone}"
        )
    click.echo(f"{counted(len([each for each in found if each.same_as is None]), 'callback')}.")


@callbacks.command("rename")
@click.argument("old", metavar="ANCIEN")
@click.argument("new", metavar="NOUVEAU")
@HELP
def rename(old: str, new: str) -> None:
    """
    Donner à NOUVEAU ce qui est dû à ANCIEN.

    Comme name=("NOUVEAU", "ANCIEN") dans le programme. Un processus qui a encore sa fonction sous l'ancien nom
    continue, pour le nouveau. Changer ensuite le nom dans le programme.
    """
    with database() as store:
        known = store.callback_names.all()
        problem = _problem_of_renaming(known, old, new)
        if problem is not None:
            raise click.ClickException(problem)
        store.callback_names.rename(old, new)
    click.echo(f"{escape_controls(old)} s'appelle maintenant {escape_controls(new)}.")


@callbacks.command("drop")
@click.argument("name", metavar="NOM")
@click.option("--yes", "-y", is_flag=True, help="Ne pas demander de confirmation.")
@HELP
def drop(name: str, yes: bool) -> None:
    """
    Oublier un callback et annuler ce qui lui est dû.

    Les événements restent dans la base, et restent dus aux autres callbacks. Refusé tant qu'un processus a la
    fonction : l'arrêter d'abord.
    """
    with database() as store:
        found = [each for each in store.callback_names.all() if each.name == name and each.same_as is None]
        if not found:
            raise click.ClickException(_unknown(name))
        age = store.clock.now() - max(each.seen_at for each in found)
        if age < _LIVES:
            raise click.ClickException(
                f"un processus a enregistré {escape_controls(name)} il y a {_duration(age)}. Arrêter le programme qui "
                f"l'a, attendre {_duration(_LIVES - age)} et recommencer."
            )
        left = sum(each.owed + each.parked for each in found)
        if left and not yes and not _is_confirmed(f"Annuler {counted(left, 'appel')} de {escape_controls(name)} ?"):
            click.echo("Rien n'est annulé.")
            return
        count = store.callback_names.drop(name)
    click.echo(f"{escape_controls(name)} oublié, {counted(count, 'appel')} annulé{'s' if count > 1 else ''}.")


def _is_confirmed(question: str) -> bool:
    answer: str = click.prompt(question, type=click.Choice(["oui", "non"]), default="non", prompt_suffix=" ")
    return answer == "oui"


def _problem_of_renaming(known: List[KnownCallback], old: str, new: str) -> Optional[str]:
    """Why that cannot be done, or None."""
    live = {each.name: each for each in known if each.same_as is None}
    if old not in live:
        return _unknown(old)
    if old == new:
        return "les deux noms sont les mêmes."
    fixed = {"payment", "restored"}
    if old in fixed or new in fixed:
        return "payment et restored sont les noms d'on_payment et d'on_restored, et ne se renomment pas."
    if not (0 < len(new) <= 200 and new.isprintable() and new == new.strip()):
        return "un nom est un texte d'une ligne, de 1 à 200 caractères, sans blanc autour."
    return None


def _unknown(name: str) -> str:
    return f"la base ne connaît aucun callback {escape_controls(name)} : fedapay-sync callbacks list les montre."


def _owed(callback: KnownCallback, now: float) -> str:
    if callback.oldest is None:
        return "rien de dû"
    age = _duration(now - callback.oldest)
    return f"{counted(callback.owed, 'événement')} {'dus' if callback.owed > 1 else 'dû'} depuis {age}"


def _duration(seconds: float) -> str:
    """So many seconds in words, as rough as they are long."""
    for size, unit in ((86400, "j"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
