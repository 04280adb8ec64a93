"""
Checks FedaPay's address, the API key for it and the webhook secrets, so that no key goes to the wrong place.
"""

import re
import urllib.parse
from typing import Any, Optional, Sequence, Set, Tuple, Union

from fedapay_sync.common.env import API_KEY, API_URL, AUTH_KEY, from_environment
from fedapay_sync.common.hosts import is_loopback_host, is_private_host
from fedapay_sync.common.logging import get_logger
from fedapay_sync.common.masking import fingerprint, mask
from fedapay_sync.common.published import PUBLISHED_KEYS, PUBLISHED_SECRETS
from fedapay_sync.enums import Environment
from fedapay_sync.errors import ConfigError

log = get_logger(__name__)

SANDBOX_URL = "https://sandbox-api.fedapay.com"
LIVE_URL = "https://api.fedapay.com"

#: Hosts of FedaPay whose environment is certain (documentation, page « sending requests »).
_HOSTS = {"sandbox-api.fedapay.com": Environment.sandbox, "api.fedapay.com": Environment.live}
#: What remains of a secret where only its beginning was copied.
_BARE_PREFIX = re.compile(r"wh_?(?:(?:sandbox|live|test)_?)?\Z")
#: A signing secret of fewer characters can be guessed from one signature.
_SHORTEST_SECRET = 16
_warned_of: Set[str] = set()


def is_loopback(url: str) -> bool:
    """Whether that URL stays on this machine."""
    return is_loopback_host(split_url(url).hostname or "")


def split_url(url: Any) -> urllib.parse.SplitResult:
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
    parts = split_url(url.strip() if isinstance(url, str) else url)
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
    if parts.scheme == "http" and not _is_near(url):
        raise _in_clear_text(url)
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
    if key in PUBLISHED_KEYS:
        if not _is_near(url):
            raise ConfigError(
                f"{mask(key)} est la clé publiée de l'émulateur : tout le monde la connaît, et {mask(url)} n'est ni "
                f"cette machine ni un réseau privé. Donner dans {source} la clé secrète du tableau de bord FedaPay, "
                f"ou l'adresse de l'émulateur dans {API_URL}."
            )
    elif split_url(url).scheme == "http" and not is_loopback(url):
        raise _in_clear_text(url)
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


def _is_near(url: str) -> bool:
    """Whether that URL leads to this machine or to a private network, where an emulator may be."""
    host = split_url(url).hostname or ""
    return is_loopback_host(host) or is_private_host(host)


def _in_clear_text(url: str) -> ConfigError:
    return ConfigError(
        f"Adresse de l'API FedaPay en clair : {mask(url)}. La clé API circulerait à découvert ; écrire https:// "
        "(http:// n'est admis que sur cette machine, et vers un réseau privé avec la clé publiée de l'émulateur)."
    )


def environment_of_key(key: str) -> Optional[Environment]:
    """The environment that a key's prefix tells, if it does."""
    for each in Environment:
        if key.startswith(f"sk_{each.value}_"):
            return each
    return None


def environment_of_url(url: str) -> Optional[Environment]:
    """The environment of one of FedaPay's own hosts."""
    return _HOSTS.get(split_url(url).hostname or "")


def webhook_secrets(given: Union[str, Sequence[str], None]) -> Tuple[str, ...]:
    """
    The webhook secrets, several of them while one replaces another; empty if none is configured.

    Raises:
        ConfigError: a key of the API where a webhook secret belongs, an empty secret, or the beginning of one.
    """
    # An empty list or variable says that there is none. An empty text was meant to be one.
    value = given if given or isinstance(given, str) else from_environment(AUTH_KEY)
    listed = value.split(",") if isinstance(value, str) else value or ()
    if not isinstance(listed, (list, tuple)) or not all(isinstance(each, str) for each in listed):
        raise ConfigError(
            f"Secret de webhook illisible : {type(value).__name__}. Donner le secret wh_… en texte, ou une liste "
            "de tels textes pendant un changement de secret."
        )
    secrets = tuple(each.strip() for each in listed if each.strip())
    # Between commas there may be nothing: « $NEW,$OLD » before and after a change of the secret.
    if (isinstance(value, str) and not secrets) or (not isinstance(value, str) and len(secrets) < len(listed)):
        raise ConfigError(
            f"Secret de webhook vide : n'importe qui pourrait signer. Donner dans {AUTH_KEY} ou "
            "fedapay_webhooks_secret_key le secret wh_… du tableau de bord FedaPay, page Webhooks, ou ne rien donner."
        )
    for secret in secrets:
        if _BARE_PREFIX.match(secret):
            raise ConfigError(
                f"Secret de webhook incomplet : « {secret} » n'en est que le début. Le recopier en entier du tableau "
                "de bord FedaPay, page Webhooks."
            )
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


def check_webhook_secrets(secrets: Sequence[str], key: str, url: str) -> None:
    """
    Refuse secrets with which the webhooks of that account cannot be verified, and warn once of what is easily guessed.

    Raises:
        ConfigError: of the other environment, of both, or the published one where webhooks may come from anywhere.
    """
    expected = environment_of_key(key) or environment_of_url(url)
    found = {secret: each for secret in secrets for each in Environment if secret.startswith(f"wh_{each.value}_")}
    if len(set(found.values())) > 1:
        raise ConfigError(
            f"{' et '.join(map(mask, found))} sont des secrets de webhook des deux environnements : un essai en "
            f"sandbox passerait pour un paiement réel. Ne garder dans {AUTH_KEY} que "
            f"{f'celui de la clé API, wh_{expected.value}_…' if expected else 'ceux de la clé API'}."
        )
    for secret, actual in found.items():
        if secret in PUBLISHED_SECRETS and not _is_near(url):
            raise ConfigError(
                f"{mask(secret)} est le secret publié de l'émulateur : n'importe qui pourrait signer un paiement. "
                f"Donner dans {AUTH_KEY} le secret wh_… du tableau de bord FedaPay, page Webhooks, ou l'adresse de "
                f"l'émulateur dans {API_URL} au lieu de {mask(url)}."
            )
        if expected and actual != expected:
            raise ConfigError(
                f"{mask(secret)} est un secret de webhook {actual}, mais la clé et l'adresse de l'API sont "
                f"{expected}. Donner dans {AUTH_KEY} le secret wh_{expected}_… du tableau de bord FedaPay, page "
                "Webhooks, du même environnement."
            )
    for number, secret in enumerate(secrets, 1):
        if len(secret) < _SHORTEST_SECRET and fingerprint(secret) not in _warned_of:
            _warned_of.add(fingerprint(secret))
            # Not shown, not even masked: without a prefix it would be shown whole.
            log.warning(
                "webhook secret number %d has %d characters, fewer than %d: it can be guessed, or was not copied whole",
                number,
                len(secret),
                _SHORTEST_SECRET,
            )


def require_webhook_secrets(secrets: Sequence[object], consequence: str) -> None:
    """
    Refuse to go on without a webhook secret.

    Raises:
        ConfigError: there is none; it says what could not be done.
    """
    if not secrets:
        raise ConfigError(
            f"Secret de webhook manquant : {consequence}. Définir {AUTH_KEY} ou fedapay_webhooks_secret_key avec le "
            "secret wh_… du tableau de bord FedaPay, page Webhooks."
        )
