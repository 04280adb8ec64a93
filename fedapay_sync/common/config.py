"""
A connector's settings, read and checked when it is made: an argument outweighs the environment variable.
"""

import importlib.util
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union

from fedapay_sync.common.computed_once import computed_once
from fedapay_sync.common.credentials import (
    api_key,
    api_url,
    check_webhook_secrets,
    environment_of_key,
    environment_of_url,
    require_webhook_secrets,
    split_url,
    webhook_secrets,
)
from fedapay_sync.common.env import API_KEY, DB_URL, ENDPOINT_NAME, from_environment
from fedapay_sync.common.masking import mask, safe_repr
from fedapay_sync.common.secret import Key, Secret
from fedapay_sync.enums import CallbackMode, OnTimeout
from fedapay_sync.errors import ConfigError

DEFAULT_ENDPOINT_NAME = "webhooks"
DEFAULT_DB_URL = "sqlite:///fedapay_connector_persisted_data/processes.db"
DEFAULT_PORT = 3000
#: How long a wait lasts unless said otherwise, in seconds.
DEFAULT_TIMEOUT = 600.0
#: Status readings a second, of all processes that share a database.
DEFAULT_POLL_RATE = 5.0
_EXAMPLE_SERVER = "postgresql://utilisateur:mot-de-passe@hote:5432/base"


@dataclass(frozen=True, repr=False)
class Config:
    """
    Configuration complète et contrôlée d'un connecteur.

    Attributes:
        callbacks: où courent les callbacks.
        callback_timeout: attente des callbacks en cours à la fermeture, en secondes.
        api_keys: autres clés API du programme, pour reprendre après un redémarrage les paiements faits avec elles.
        confirm_with_api: relire chez FedaPay ce qu'un webhook dit d'une transaction, avant d'y croire.
        keep_bodies_days: jours pendant lesquels le corps d'un événement traité est gardé ; ``None`` sans limite.
        poll_rate: lectures de statut par seconde, de tous les processus qui partagent la base.
    """

    api_url: str
    api_key: Secret
    webhook_secrets: Tuple[Secret, ...]
    use_listen_server: bool
    endpoint_name: str
    host: str
    port: int
    db_url: str
    callbacks: CallbackMode
    callback_timeout: float
    on_timeout: OnTimeout
    api_keys: Tuple[Secret, ...]
    confirm_with_api: bool
    keep_bodies_days: Optional[float]
    poll_rate: float
    print_log_to_console: bool
    save_log_to_file: bool

    @computed_once
    def environment(self) -> str:
        """``sandbox`` or ``live``; for a key and a host that do not say, the host itself."""
        known = environment_of_key(self.api_key.reveal()) or environment_of_url(self.api_url)
        return known.value if known else (urllib.parse.urlsplit(self.api_url).hostname or "inconnu")[:16]

    @computed_once
    def account(self) -> str:
        """The label of the connector's own merchant account."""
        return self.api_key.label

    @computed_once
    def keys_by_account(self) -> Dict[str, Secret]:
        """The keys that the program has, by the label of their account; the connector's own first."""
        return {key.label: key for key in (self.api_key, *self.api_keys)}

    @property
    def accounts(self) -> Tuple[str, ...]:
        """The labels of all the merchant accounts that the program has a key of."""
        return tuple(self.keys_by_account)

    def checked_key(self, given: Optional[Key]) -> Secret:
        """The key for one call: the one given, or the connector's own."""
        if given is None:
            return self.api_key
        return given if isinstance(given, Secret) else Secret(api_key(given, self.api_url, "api_key"))

    def __repr__(self) -> str:
        return f"Config(api_url={self.api_url!r}, environment={self.environment!r})"


def read_config(given: Mapping[str, Any]) -> Config:
    """
    The configuration from a connector's arguments, by name, and, where they are silent, the environment.

    Raises:
        ConfigError: something is missing, contradictory or dangerous.
    """
    url = api_url(given["fedapay_api_url"])
    secrets = webhook_secrets(given["fedapay_webhooks_secret_key"])
    if given["use_listen_server"]:
        require_webhook_secrets(secrets, "le serveur intégré ne pourrait rien vérifier")
    key = api_key(given["api_key"] or from_environment(API_KEY), url)
    check_webhook_secrets(secrets, key, url)
    keep_days = given["keep_bodies_days"]
    return Config(
        api_url=url,
        api_key=Secret(key),
        webhook_secrets=tuple(map(Secret, secrets)),
        use_listen_server=bool(given["use_listen_server"]),
        endpoint_name=_checked_endpoint(given["listen_server_endpoint_name"]),
        host=given["host"],
        port=_checked_port(given["listen_server_port"]),
        db_url=database_url(given["db_url"]),
        callbacks=_checked_mode(given["callbacks"]),
        callback_timeout=_checked_seconds(given["callback_timeout"], "callback_timeout"),
        on_timeout=timeout_policy(given["on_timeout"]),
        api_keys=tuple(Secret(api_key(each, url, "api_keys")) for each in _as_list(given["api_keys"])),
        confirm_with_api=bool(given["confirm_with_api"]),
        keep_bodies_days=None if keep_days is None else checked_days(keep_days, "keep_bodies_days"),
        poll_rate=_checked_rate(given["poll_rate"]),
        print_log_to_console=bool(given["print_log_to_console"]),
        save_log_to_file=bool(given["save_log_to_file"]),
    )


def _as_list(keys: Any) -> Sequence[Any]:
    """One key, or several of them."""
    if isinstance(keys, str):
        return [keys]
    if not isinstance(keys, (list, tuple, set, frozenset)):
        raise ConfigError(
            f'api_keys={safe_repr(keys)} : une liste de clés API est attendue, par exemple ["sk_live_…"].'
        )
    return list(keys)


def timeout_policy(value: Union[OnTimeout, str]) -> OnTimeout:
    """``keep`` or ``delete``."""
    try:
        return OnTimeout(value)
    except ValueError:
        raise ConfigError(
            f"on_timeout={safe_repr(value)} : « keep » (garder le lien payable, par défaut) ou « delete » "
            "(annuler la transaction à l'échéance) est attendu."
        ) from None


def _checked_mode(value: Union[CallbackMode, str]) -> CallbackMode:
    try:
        return CallbackMode(value)
    except ValueError:
        raise ConfigError(
            f"callbacks={safe_repr(value)} : « here » (sur des threads de ce processus, par défaut), « worker » (dans "
            "des processus qui appellent run) ou « inline » (dans le thread qui reçoit) est attendu."
        ) from None


def database_url(given: Optional[str] = None) -> str:
    """
    The URL of a database that outlives this process; that of a file names it by its absolute path.

    Raises:
        ConfigError: in memory, or a kind of database that this version does not know.
    """
    url = given or from_environment(DB_URL, DEFAULT_DB_URL) or DEFAULT_DB_URL
    if "\0" in urllib.parse.unquote(str(url)):
        # Neither a file nor a server can be named so. Not quoted: the password may have it.
        raise ConfigError(
            f"{DB_URL} contient %00, le caractère nul, qu'aucun nom de fichier, de base ou mot de passe ne peut avoir. "
            "L'enlever ; un % seul s'écrit %25."
        )
    if str(url).startswith(("postgresql://", "postgres://")):
        return _checked_server_url(url)
    if ":memory:" in str(url) or url in ("sqlite://", "sqlite:///"):
        raise ConfigError(
            f"{DB_URL}={mask(url)} ne peut pas garder les paiements en attente : une base en mémoire disparaît "
            "avec le processus. Donner un fichier, par exemple sqlite:///dossier/base.db."
        )
    if split_url(url).scheme != "sqlite" or not url.startswith("sqlite:///"):
        raise ConfigError(
            f"{DB_URL}={mask(url)} n'est pas une base connue de cette version. Donner un fichier SQLite, "
            "sqlite:///dossier/base.db (chemin relatif) ou sqlite:////var/lib/boutique/base.db (absolu), ou un "
            f"serveur PostgreSQL, {_EXAMPLE_SERVER}."
        )
    return _absolute(url)


def _absolute(url: str) -> str:
    """The same file, wherever the program goes from here: a daemon changes its folder."""
    name, mark, query = url[len("sqlite:///") :].partition("?")
    try:
        path = str(Path(urllib.parse.unquote(name, errors="surrogateescape")).expanduser().absolute())
    except (OSError, RuntimeError) as error:
        raise ConfigError(
            f"{DB_URL}={mask(url)} : ce chemin ne peut pas être rendu absolu ({error}). Donner un chemin absolu, par "
            "exemple sqlite:////var/lib/boutique/base.db."
        ) from None
    return f"sqlite:///{urllib.parse.quote(path, errors='surrogateescape')}{mark}{query}"


def _checked_server_url(url: str) -> str:
    parts = split_url(url)
    # An empty host is libpq's own: the local socket. A service names server and database in a file.
    settings = urllib.parse.parse_qs(parts.query, keep_blank_values=True)
    has_server = bool(parts.hostname) or not settings.keys().isdisjoint({"host", "service"})
    has_name = bool(parts.path.strip("/")) or not settings.keys().isdisjoint({"dbname", "service"})
    if not has_server or not has_name or parts.fragment or "@" in parts.path or parts.netloc.count("@") > 1:
        # Not quoted: whatever is wrong in it may be the password.
        raise ConfigError(
            f"{DB_URL} : URL PostgreSQL illisible, ou sans serveur ou sans base. Une URL comme {_EXAMPLE_SERVER} est "
            "attendue ; dans le mot de passe, écrire %40 pour @, %2F pour /, %3A pour :, %3F pour ? et %23 pour #."
        )
    if importlib.util.find_spec("psycopg2") is None:
        raise ConfigError(
            f"{DB_URL} désigne PostgreSQL, mais psycopg2 n'est pas installé. "
            "L'installer : pip install 'fedapay_sync[postgres]'."
        )
    return url


def _checked_endpoint(given: Optional[str]) -> str:
    name = given or from_environment(ENDPOINT_NAME, DEFAULT_ENDPOINT_NAME) or DEFAULT_ENDPOINT_NAME
    path = str(name).strip("/")
    if not path or not all(
        part.replace("-", "").replace("_", "").replace(".", "").isalnum() for part in path.split("/")
    ):
        raise ConfigError(
            f"listen_server_endpoint_name={safe_repr(name)} : un chemin simple est attendu, par exemple « webhooks »."
        )
    return path


def _checked_port(given: Optional[int]) -> int:
    port = DEFAULT_PORT if given is None else given
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        expected = "un nombre entier de 0 à 65535 est attendu (0 prend un port libre)"
        raise ConfigError(f"listen_server_port={safe_repr(given)} : {expected}.")
    return port


def _checked_seconds(given: Optional[float], name: str) -> float:
    value = 10.0 if given is None else given
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
        raise ConfigError(f"{name}={safe_repr(given)} : un nombre de secondes, 0 ou plus, est attendu.")
    return float(value)


def _checked_rate(given: float) -> float:
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0.01 <= given <= 1000:
        raise ConfigError(
            f"poll_rate={safe_repr(given)} : un nombre de lectures par seconde, de 0.01 à 1000, est attendu. Enlever "
            f"l'argument pour {DEFAULT_POLL_RATE:g} par seconde."
        )
    return float(given)


def checked_days(given: float, name: str) -> float:
    """
    A number of days, 0 or more.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 <= given <= 36500:
        raise ConfigError(f"{name}={safe_repr(given)} : un nombre de jours de 0 à 36500 est attendu.")
    return float(given)


def differences(first: Dict[str, Any], second: Dict[str, Any]) -> Sequence[str]:
    """The names that the second call gives with other values than the first."""
    return sorted(name for name, value in second.items() if first.get(name) != value)
