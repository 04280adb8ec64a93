"""
La configuration, lue au moment où l'on s'en sert, et en un seul endroit.

Un argument l'emporte sur la variable d'environnement.
"""

import importlib.util
import ipaddress
import os
import sys
import urllib.parse
from dataclasses import dataclass
from typing import Any, Dict, Optional, Sequence, Tuple, Union

from .enums import Environment, OnTimeout
from .errors import ConfigError
from .masking import fingerprint, mask

API_URL = "FEDAPAY_API_URL"
API_KEY = "FEDAPAY_API_KEY"
AUTH_KEY = "FEDAPAY_AUTH_KEY"
ENDPOINT_NAME = "FEDAPAY_ENDPOINT_NAME"
DB_URL = "FEDAPAY_DB_URL"

DEFAULT_ENDPOINT_NAME = "webhooks"
DEFAULT_DB_URL = "sqlite:///fedapay_connector_persisted_data/processes.db"
DEFAULT_PORT = 3000
_SERVER = "postgresql://utilisateur:mot-de-passe@hote:5432/base"

SANDBOX_URL = "https://sandbox-api.fedapay.com"
LIVE_URL = "https://api.fedapay.com"

#: Hosts of FedaPay whose environment is certain (documentation, page « sending requests »).
_HOSTS = {"sandbox-api.fedapay.com": Environment.sandbox, "api.fedapay.com": Environment.live}


def from_environment(name: str, default: Optional[str] = None) -> Optional[str]:
    """An environment variable as it is now; an empty one counts as absent."""
    value = os.environ.get(name, "").strip()
    return value or default


def is_reloader_child() -> bool:
    """Whether Flask's or Django's reloader started this process: it serves, and its parent only watches files."""
    return "true" in (os.environ.get("WERKZEUG_RUN_MAIN"), os.environ.get("RUN_MAIN"))


def is_reloader_parent() -> bool:
    """
    Whether this process only watches files and will start another one that serves.

    Certain only where the command line says so: who calls ``app.run(debug=True)`` later tells nobody now.
    """
    arguments = sys.argv[1:]
    if is_reloader_child():
        return False
    if os.environ.get("FLASK_RUN_FROM_CLI") == "true" and "run" in arguments:
        debug = os.environ.get("FLASK_DEBUG", "").lower() not in ("", "0", "false", "no")
        return "--no-reload" not in arguments and (debug or "--reload" in arguments)
    return "django" in sys.modules and "runserver" in arguments and "--noreload" not in arguments


def is_loopback(url: str) -> bool:
    """Whether that URL stays on this machine."""
    host = _split(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        # A name. One that begins with 127. is somebody else's machine.
        return False


def _split(url: Any) -> urllib.parse.SplitResult:
    """The parts of a URL; of what is none, no parts."""
    try:
        parts = urllib.parse.urlsplit(url if isinstance(url, str) else "")
        _ = parts.port
    except ValueError:
        return urllib.parse.urlsplit("")
    return parts


def api_url(given: Optional[str] = None, source: str = f"{API_URL} ou fedapay_api_url") -> str:
    """
    The base of the API, without ``/v1`` and without a final slash.

    Raises:
        ConfigError: missing, not a URL, or not https on a foreign host.
    """
    url = given or from_environment(API_URL)
    if not url:
        raise ConfigError(
            f"Adresse de l'API FedaPay manquante. Définir {source} : "
            f"{SANDBOX_URL} pour essayer, {LIVE_URL} pour encaisser."
        )
    parts = _split(url.strip() if isinstance(url, str) else url)
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
    ):
        raise ConfigError(
            f"Adresse de l'API FedaPay illisible : {mask(url)!r}. Une adresse comme {SANDBOX_URL} est attendue."
        )
    if parts.scheme == "http" and not is_loopback(url):
        raise ConfigError(
            f"Adresse de l'API FedaPay en clair : {mask(url)}. La clé API circulerait à découvert ; "
            "écrire https:// (http:// n'est admis que sur cette machine)."
        )
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path[:-3] if path.endswith('/v1') else path}"


def api_key(given: Optional[str], url: str, source: str = f"{API_KEY} ou api_key") -> str:
    """
    A key that may be sent to that URL.

    Raises:
        ConfigError: missing, or certainly not a secret key of that environment.
    """
    if not isinstance(given, str) or not given.strip():
        raise ConfigError(
            f"Clé API FedaPay manquante. Définir {source} avec la clé secrète du tableau de bord FedaPay "
            "(sk_sandbox_… pour essayer, sk_live_… pour encaisser)."
        )
    key = given.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(
            "Clé API FedaPay illisible : elle contient des espaces ou des caractères invisibles. La recopier."
        )
    if key.startswith("pk_"):
        raise ConfigError(
            f"{mask(key)} est une clé publique : elle ne sert que dans une page web. "
            "Donner la clé secrète, qui commence par sk_."
        )
    if key.startswith("wh_"):
        raise ConfigError(
            f"{mask(key)} est un secret de webhook : il va dans {AUTH_KEY}. "
            "Donner ici la clé secrète de l'API, qui commence par sk_."
        )
    expected, actual = environment_of_url(url), environment_of_key(key)
    if expected and actual and expected != actual:
        raise ConfigError(
            f"{mask(key)} est une clé {actual}, mais {url} est l'adresse {expected}. Prendre la clé "
            f"sk_{expected}_…, ou l'adresse {SANDBOX_URL if actual == Environment.sandbox else LIVE_URL}."
        )
    return key


def environment_of_key(key: str) -> Optional[Environment]:
    """The environment that a key's prefix tells, if it does."""
    for each in Environment:
        if key.startswith(f"sk_{each.value}_"):
            return each
    return None


def environment_of_url(url: str) -> Optional[Environment]:
    """The environment of one of FedaPay's own hosts."""
    return _HOSTS.get(_split(url).hostname or "")


def webhook_secrets(given: Union[str, Sequence[str], None]) -> Tuple[str, ...]:
    """
    The webhook secrets, several of them while one replaces another; empty if none is configured.

    Raises:
        ConfigError: a key of the API where a webhook secret belongs.
    """
    value = given if given else from_environment(AUTH_KEY)
    listed = value.split(",") if isinstance(value, str) else value or ()
    if not isinstance(listed, (list, tuple)) or not all(isinstance(each, str) for each in listed):
        raise ConfigError(
            f"Secret de webhook illisible : {type(value).__name__}. Donner le secret wh_… en texte, ou une liste "
            "de tels textes pendant un changement de secret."
        )
    secrets = tuple(each.strip() for each in listed if each.strip())
    for secret in secrets:
        if not secret.isascii() or not secret.isprintable() or " " in secret:
            raise ConfigError(
                "Secret de webhook illisible : il contient des espaces ou des caractères invisibles. Le recopier "
                "du tableau de bord FedaPay, page Webhooks."
            )
        if secret.startswith(("sk_", "pk_")):
            raise ConfigError(
                f"{mask(secret)} est une clé de l'API, pas un secret de webhook. Donner le secret wh_… affiché "
                "dans le tableau de bord FedaPay, page Webhooks."
            )
    return secrets


@dataclass(frozen=True, repr=False)
class Config:
    """
    Configuration complète et contrôlée d'un connecteur.

    Attributes:
        callback_timeout: attente des callbacks en cours à la fermeture, en secondes.
        api_keys: autres clés API du programme, pour reprendre après un redémarrage les paiements faits avec elles.
        confirm_with_api: relire chez FedaPay ce qu'un webhook dit d'une transaction, avant d'y croire.
        keep_bodies_days: jours pendant lesquels le corps d'un événement traité est gardé ; ``None`` sans limite.
    """

    api_url: str
    api_key: str
    webhook_secrets: Tuple[str, ...]
    use_listen_server: bool
    endpoint_name: str
    host: str
    port: int
    db_url: str
    callback_timeout: float
    on_timeout: OnTimeout
    api_keys: Tuple[str, ...]
    confirm_with_api: bool
    keep_bodies_days: Optional[float]
    print_log_to_console: bool
    save_log_to_file: bool

    @property
    def environment(self) -> str:
        """``sandbox`` or ``live``; for a key and a host that do not say, the host itself."""
        known = environment_of_key(self.api_key) or environment_of_url(self.api_url)
        return known.value if known else (urllib.parse.urlsplit(self.api_url).hostname or "inconnu")[:16]

    @property
    def account(self) -> str:
        """Our own label of the merchant account: a fingerprint of its key."""
        return fingerprint(self.api_key)

    @property
    def accounts(self) -> Tuple[str, ...]:
        """Labels of all the keys that the program has."""
        return tuple(fingerprint(key) for key in (self.api_key, *self.api_keys))

    def key_of(self, account: str) -> Optional[str]:
        """The key whose fingerprint that is, among those the program has."""
        return next((key for key in (self.api_key, *self.api_keys) if fingerprint(key) == account), None)

    def checked_key(self, given: Optional[str]) -> str:
        """The key for one call: the one given, or the connector's own."""
        return self.api_key if given is None else api_key(given, self.api_url, "api_key")

    def __repr__(self) -> str:
        return f"Config(api_url={self.api_url!r}, environment={self.environment!r})"


def build(
    *,
    fedapay_api_url: Optional[str],
    use_listen_server: Optional[bool],
    listen_server_endpoint_name: Optional[str],
    listen_server_port: Optional[int],
    fedapay_webhooks_secret_key: Union[str, Sequence[str], None],
    print_log_to_console: Optional[bool],
    save_log_to_file: Optional[bool],
    callback_timeout: Optional[float],
    db_url: Optional[str],
    api_key_given: Optional[str],
    host: str,
    on_timeout: Union[OnTimeout, str],
    api_keys: Sequence[str],
    confirm_with_api: bool = False,
    keep_bodies_days: Optional[float] = 30,
) -> Config:
    """
    The configuration from a connector's arguments and, where they are silent, the environment.

    Raises:
        ConfigError: something is missing, contradictory or dangerous.
    """
    url = api_url(fedapay_api_url)
    secrets = webhook_secrets(fedapay_webhooks_secret_key)
    if use_listen_server and not secrets:
        raise ConfigError(
            f"Secret de webhook manquant : le serveur intégré ne pourrait rien vérifier. Définir {AUTH_KEY} ou "
            "fedapay_webhooks_secret_key avec le secret wh_… du tableau de bord FedaPay, page Webhooks."
        )
    return Config(
        api_url=url,
        api_key=api_key(api_key_given or from_environment(API_KEY), url),
        webhook_secrets=secrets,
        use_listen_server=bool(use_listen_server),
        endpoint_name=_endpoint(listen_server_endpoint_name),
        host=host,
        port=_port(listen_server_port),
        db_url=database_url(db_url),
        callback_timeout=_seconds(callback_timeout, "callback_timeout"),
        on_timeout=timeout_policy(on_timeout),
        api_keys=tuple(
            api_key(each, url, "api_keys") for each in ([api_keys] if isinstance(api_keys, str) else api_keys)
        ),
        confirm_with_api=bool(confirm_with_api),
        keep_bodies_days=None if keep_bodies_days is None else days(keep_bodies_days, "keep_bodies_days"),
        print_log_to_console=bool(print_log_to_console),
        save_log_to_file=bool(save_log_to_file),
    )


def timeout_policy(value: Union[OnTimeout, str]) -> OnTimeout:
    """``keep`` or ``delete``."""
    try:
        return OnTimeout(value)
    except ValueError:
        raise ConfigError(
            f"on_timeout={value!r} : « keep » (garder le lien payable, par défaut) ou « delete » "
            "(annuler la transaction à l'échéance) est attendu."
        ) from None


def database_url(given: Optional[str] = None) -> str:
    """
    The URL of a database that outlives this process.

    Raises:
        ConfigError: in memory, or a kind of database that this version does not know.
    """
    url = given or from_environment(DB_URL, DEFAULT_DB_URL) or DEFAULT_DB_URL
    if str(url).startswith(("postgresql://", "postgres://")):
        return _server_url(url)
    if ":memory:" in str(url) or url in ("sqlite://", "sqlite:///"):
        raise ConfigError(
            f"{DB_URL}={mask(url)} ne peut pas garder les paiements en attente : une base en mémoire disparaît "
            "avec le processus. Donner un fichier, par exemple sqlite:///dossier/base.db."
        )
    if _split(url).scheme != "sqlite" or not url.startswith("sqlite:///"):
        raise ConfigError(
            f"{DB_URL}={mask(url)} n'est pas une base connue de cette version. Donner un fichier SQLite, "
            "sqlite:///dossier/base.db (chemin relatif) ou sqlite:////var/lib/boutique/base.db (absolu), ou un "
            f"serveur PostgreSQL, {_SERVER}."
        )
    return url


def _server_url(url: str) -> str:
    parts = _split(url)
    settings = urllib.parse.parse_qs(parts.query)
    has_server = bool(parts.hostname or "host" in settings)
    has_name = bool(parts.path.strip("/") or "dbname" in settings)
    if not has_server or not has_name or parts.fragment or "@" in parts.path or parts.netloc.count("@") > 1:
        # Not quoted: whatever is wrong in it may be the password.
        raise ConfigError(
            f"{DB_URL} : URL PostgreSQL illisible, ou sans serveur ou sans base. Une URL comme {_SERVER} est "
            "attendue ; dans le mot de passe, écrire %40 pour @, %2F pour /, %3A pour :, %3F pour ? et %23 pour #."
        )
    if importlib.util.find_spec("psycopg2") is None:
        raise ConfigError(
            f"{DB_URL} désigne PostgreSQL, mais psycopg2 n'est pas installé. "
            "L'installer : pip install 'fedapay_sync[postgres]'."
        )
    return url


def _endpoint(given: Optional[str]) -> str:
    name = given or from_environment(ENDPOINT_NAME, DEFAULT_ENDPOINT_NAME) or DEFAULT_ENDPOINT_NAME
    path = str(name).strip("/")
    if not path or not all(
        part.replace("-", "").replace("_", "").replace(".", "").isalnum() for part in path.split("/")
    ):
        raise ConfigError(
            f"listen_server_endpoint_name={name!r} : un chemin simple est attendu, par exemple « webhooks »."
        )
    return path


def _port(given: Optional[int]) -> int:
    port = DEFAULT_PORT if given is None else given
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise ConfigError(
            f"listen_server_port={given!r} : un nombre entier de 0 à 65535 est attendu (0 prend un port libre)."
        )
    return port


def _seconds(given: Optional[float], name: str) -> float:
    value = 10.0 if given is None else given
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
        raise ConfigError(f"{name}={given!r} : un nombre de secondes, 0 ou plus, est attendu.")
    return float(value)


def days(given: float, name: str) -> float:
    """
    A number of days, 0 or more.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 <= given <= 36500:
        raise ConfigError(f"{name}={given!r} : un nombre de jours de 0 à 36500 est attendu.")
    return float(given)


def differences(first: Dict[str, Any], second: Dict[str, Any]) -> Sequence[str]:
    """The names that the second call gives with other values than the first."""
    return sorted(name for name, value in second.items() if first.get(name) != value)
