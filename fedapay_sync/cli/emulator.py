"""``fedapay-sync emulator``: serves an emulator until Ctrl-C or SIGTERM."""

import math
import os
import re
import signal
import threading
from typing import Any, Dict, Optional, Tuple

import click

from fedapay_sync.emulator import SANDBOX_SECRET_KEY, Emulator, Settings
from fedapay_sync.emulator.access import is_loopback
from fedapay_sync.emulator.domain.settings import set_from_text
from fedapay_sync.emulator.faults.registry import CATALOGUE, add_text
from fedapay_sync.emulator.http.endpoints import HEADER_NAME, HEADER_TEXT
from fedapay_sync.errors import ConfigError, InvalidArgument, PortUnavailable


def _headers(_: click.Context, __: click.Parameter, values: Tuple[str, ...]) -> Dict[str, str]:
    headers = {}
    for each in values:
        name, equals, value = each.partition("=")
        if not equals or not HEADER_NAME.match(name) or not HEADER_TEXT.match(value):
            raise click.BadParameter("NOM=VALEUR est attendu, comme agregateur=Fedapay.")
        headers[name] = value
    return headers


def _settings(_: click.Context, __: click.Parameter, values: Tuple[str, ...]) -> Settings:
    settings = Settings()
    for each in values:
        try:
            set_from_text(settings, each)
        except InvalidArgument as error:
            raise click.BadParameter(str(error)) from None
    return settings


def _shops(_: click.Context, __: click.Parameter, values: Tuple[str, ...]) -> Dict[str, str]:
    shops = {}
    for each in values:
        key, equals, name = each.partition("=")
        if not equals or not name.strip():
            # The key is not repeated.
            raise click.BadParameter("CLÉ=NOM est attendu, comme sk_sandbox_b=Boutique B.")
        shops[key] = name
    return shops


def _settings_help() -> str:
    choices = ", ".join(f"{each.name}={'|'.join(each.written)}" for each in Settings.known())
    return f"Ce que FedaPay ne dit pas de lui-même ; peut être répété. {choices}."


def _url(_: click.Context, __: click.Parameter, value: Optional[str]) -> Optional[str]:
    if value is not None and not re.match(r"https?://[^/\s]", value):
        raise click.BadParameter("une adresse http:// ou https:// est attendue.")
    return value


def _number(kind: type, low: float, high: float, expected: str) -> Any:
    """A click callback that reads a number and refuses others in French."""

    def read(_: click.Context, __: click.Parameter, value: str) -> Any:
        try:
            number = kind(value)
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            raise click.BadParameter(f"{value!r} n'est pas {expected}.")
        return number

    return read


@click.command("emulator")
@click.option(
    "--port",
    default="0",
    metavar="PORT",
    callback=_number(int, 0, 65535, "un port, de 0 à 65535"),
    help="Port d'écoute ; 0, le défaut, prend un port libre.",
)
@click.option("--host", default="127.0.0.1", metavar="ADRESSE", help="Adresse d'écoute (127.0.0.1).")
@click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="NOM",
    help="Un autre nom sous lequel on l'appelle, comme celui de son conteneur ; peut être répété.",
)
@click.option("--webhook-url", metavar="URL", callback=_url, help="Adresse à prévenir des événements.")
@click.option(
    "--webhook-object",
    "webhook_objects",
    multiple=True,
    default=("transaction",),
    metavar="NOM",
    help="Objets dont les événements sont livrés : transaction (le défaut), customer, payout ; peut être répété.",
)
@click.option(
    "--webhook-header",
    "webhook_headers",
    multiple=True,
    metavar="NOM=VALEUR",
    callback=_headers,
    help="En-tête ajouté à chaque webhook ; peut être répété.",
)
@click.option("--webhook-secret", metavar="SECRET", help="Secret qui signe les webhooks.")
@click.option(
    "--secret-key",
    default=SANDBOX_SECRET_KEY,
    metavar="CLÉ",
    help="Clé attendue : sk_sandbox_… suit les règles du sandbox, sk_live_… celles de production.",
)
@click.option(
    "--delay",
    default="2",
    metavar="SECONDES",
    callback=_number(float, 0, 86_400, "un nombre de secondes, de 0 à 86400"),
    help="Temps que met le payeur à répondre (2).",
)
@click.option(
    "--state",
    metavar="FICHIER",
    help="Fichier qui garde tout d'un démarrage à l'autre, même après un arrêt brutal ; sans lui rien ne survit.",
)
@click.option("--payouts/--no-payouts", default=True, help="Dépôts ouverts (le défaut), ou refusés (403).")
@click.option(
    "--setting",
    "settings",
    multiple=True,
    metavar="NOM=VALEUR",
    callback=_settings,
    help=_settings_help(),
)
@click.option(
    "--time-factor",
    default="1",
    metavar="N",
    callback=_number(float, 1, 1_000_000, "un nombre de 1 à 1000000"),
    help="Secondes de l'émulateur pour une seconde réelle (1) : --time-factor 3600 fait d'un jour 24 secondes.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="PANNE:MOT=VALEUR,…",
    help="Panne demandée dès le départ, comme webhook.duplicate:times=2 ou api.slow:seconds=3,probability=0.2,seed=1 ; "
    f"peut être répétée. Pannes : {', '.join(CATALOGUE)}.",
)
@click.option(
    "--shop",
    "shops",
    multiple=True,
    metavar="CLÉ=NOM",
    callback=_shops,
    help="Une boutique de plus, avec ses propres livres ; peut être répétée.",
)
@click.help_option("--help", "-h", help="Montrer cette aide.")
def emulator(
    host: str, state: Optional[str], payouts: bool, settings: Settings, faults: Tuple[str, ...], **options: Any
) -> None:
    """
    Servir un FedaPay à soi sur cette machine.

    La première ligne écrite sur la sortie dit son adresse, dès qu'il répond. Arrêt par Ctrl-C.
    """
    settings.payouts = settings.payouts and payouts
    try:
        fedapay = Emulator(host=host, state=state, settings=settings, **options)
        for fault in faults:
            add_text(fedapay.faults, fault)
    except (InvalidArgument, ConfigError) as error:
        raise click.UsageError(str(error)) from None
    # Both end the wait below by an exception: setting an Event in a handler can deadlock with its own wait().
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.default_int_handler)
    try:
        fedapay.start()
        _announce(fedapay, host, state)
        _wait_for_ever()
    except PortUnavailable as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        # A second signal ends the process at once.
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)
    finally:
        fedapay.stop()


def _announce(fedapay: Emulator, host: str, state: Optional[str]) -> None:
    if not is_loopback(host):
        click.echo(
            f"Attention : {host} est joignable depuis d'autres machines, et la clé de l'émulateur n'est pas un secret.",
            err=True,
        )
    for shop in fedapay.shops:
        click.echo(f"Clé API : {shop.secret_key} ({shop.name})", err=True)
    click.echo(f"Secret des webhooks : {fedapay.webhook_secret}", err=True)
    click.echo(f"Webhooks : {fedapay.webhook_url or 'aucun (--webhook-url)'}", err=True)
    click.echo(f"État : {state or 'en mémoire, perdu à la fin (--state)'}", err=True)
    for fault in fedapay.faults.active:
        seed = "" if fault.seed is None else f", graine {fault.seed}"
        click.echo(f"Panne demandée : {fault.name}{seed}", err=True)
    click.echo(f"Tableau de bord : {fedapay.desk_url}", err=True)
    click.echo(f"Téléphone des payeurs : {fedapay.phone_url}", err=True)
    # Programs wait for this line: it is the last to be written, and flushed.
    click.echo(f"FedaPay emulator: {fedapay.url}")


def _wait_for_ever() -> None:
    # On Windows a wait without timeout cannot be interrupted by Ctrl-C before Python 3.14.
    timeout = 0.2 if os.name == "nt" else None
    never = threading.Event()
    while not never.wait(timeout):
        pass
