"""
Signature des webhooks : ``sign`` la fait, ``verify`` la contrôle.

Forme (SDK officiels, et une livraison réelle de 2024) : ``X-FEDAPAY-SIGNATURE: t=<secondes>,s=<hex>``,
HMAC-SHA256 du texte ``<t>.<corps brut>`` avec le secret du webhook pour clé.
"""

import hmac
import math
import re
from decimal import Decimal
from numbers import Real
from typing import Any, List, Optional, Sequence, Tuple, Union

from fedapay_sync.common.clock import SYSTEM_CLOCK
from fedapay_sync.common.frames import private
from fedapay_sync.common.masking import safe_repr
from fedapay_sync.common.secret import Key, Secret, held
from fedapay_sync.errors import ConfigError, SignatureError

HEADER = "X-FEDAPAY-SIGNATURE"

#: Écart admis entre l'heure signée et la nôtre, dans les deux sens, en secondes (valeur des SDK officiels).
TOLERANCE = 300

_MAX_HEADER = 4096
_MAX_SIGNATURES = 8
# int() would also take "1_0", " 12 ", "+12" and Arabic digits.
_TIME = re.compile(r"[0-9]{1,11}\Z")
_HEX = re.compile(r"[0-9a-fA-F]{64}\Z")


@private
def sign(payload: bytes, secret: str, timestamp: Optional[int] = None) -> str:
    """
    Valeur de l'en-tête de signature pour ce corps.

    Args:
        payload: corps brut, octet pour octet.
        secret: secret du webhook (``wh_…``).
        timestamp: secondes Unix entières ; l'heure présente si absent.

    Raises:
        ConfigError: corps qui n'est pas en octets, secret qui n'est pas un texte, ou heure qui n'est pas un entier.

    Example:
        >>> sign(b"{}", "wh_sandbox_test", 1700000000)[:20]
        't=1700000000,s=a4a1d'
    """
    _check_payload(payload)
    if not isinstance(secret, str):
        raise ConfigError(
            f"Secret de signature : un texte est attendu, reçu {type(secret).__name__}. Donner le secret wh_… du "
            "webhook."
        )
    seconds = int(SYSTEM_CLOCK.now()) if timestamp is None else timestamp
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 <= seconds < 10**11:
        raise ConfigError(
            f"timestamp={safe_repr(timestamp)} : un nombre entier de secondes Unix est attendu, par exemple "
            "int(time.time()), ou rien pour l'heure présente."
        )
    return f"t={seconds},s={_digest(payload, Secret(secret), str(seconds))}"


@private
def verify(
    payload: bytes,
    header: Optional[str],
    secrets: Union[Key, Sequence[Key]],
    *,
    tolerance: float = TOLERANCE,
    now: Optional[float] = None,
) -> int:
    """
    Contrôle la signature d'un webhook et rend le rang du secret qui l'a faite.

    Args:
        payload: corps brut reçu, octet pour octet ; ne pas le décoder ni le reconstruire.
        header: valeur de l'en-tête ``X-FEDAPAY-SIGNATURE``.
        secrets: un secret, ou plusieurs pendant un changement de secret.
        tolerance: écart d'horloge admis dans les deux sens, en secondes, plus grand que 0.
        now: secondes Unix ; l'heure présente si absent.

    Raises:
        SignatureError: en-tête absent, illisible, aucun secret ne correspond, ou heure hors du délai.
        ConfigError: corps qui n'est pas en octets, aucun secret, secret vide, tolérance nulle ou infinie, ou heure qui
            n'est pas un nombre.
    """
    _check_payload(payload)
    try:
        candidates = [secrets] if isinstance(secrets, (str, Secret)) else list(secrets)
    except TypeError:
        candidates = []
    known = [held(each) for each in candidates if isinstance(each, Secret) or (isinstance(each, str) and each.strip())]
    if not candidates or len(known) < len(candidates):
        raise ConfigError(
            "Aucun secret de webhook, ou un secret vide, ou qui n'est pas un texte : n'importe qui pourrait signer. "
            "Donner le secret wh_… du tableau de bord FedaPay (FEDAPAY_AUTH_KEY)."
        )
    admitted = _seconds(tolerance)
    if admitted is None or not 0 < admitted < math.inf:
        raise ConfigError(
            f"Tolérance de signature {safe_repr(tolerance)} : un nombre de secondes plus grand que 0 est attendu "
            f"({TOLERANCE} par défaut). Le contrôle de l'heure ne se coupe pas."
        )
    present = SYSTEM_CLOCK.now() if now is None else _seconds(now)
    if present is None:
        raise ConfigError(
            f"now={safe_repr(now)} : un nombre de secondes Unix est attendu, par exemple time.time(), ou rien pour "
            "l'heure présente."
        )
    stamp, signatures = _parse(header)
    matched = None
    # Every secret against every signature, no early exit: the time taken says nothing about either.
    for rank, secret in enumerate(known):
        expected = _digest(payload, secret, stamp).encode("ascii")
        for signature in signatures:
            if hmac.compare_digest(expected, signature.encode("ascii")) and matched is None:
                matched = rank
    if matched is None:
        raise SignatureError(
            "Signature de webhook fausse : aucun des secrets connus ne l'a faite. Vérifier que FEDAPAY_AUTH_KEY est "
            "bien le secret de ce webhook, dans le même environnement, et que le corps est transmis tel que reçu."
        )
    drift = present - int(stamp)
    if not abs(drift) <= admitted:
        raise SignatureError(
            f"Signature de webhook hors délai : l'heure signée est à {abs(drift):.0f} s de la nôtre, "
            f"{admitted:g} s au plus sont admises. Vérifier l'horloge de cette machine."
        )
    return matched


def _check_payload(payload: Any) -> None:
    if not isinstance(payload, (bytes, bytearray, memoryview)):
        raise ConfigError(
            f"Le corps du webhook doit être donné en octets (bytes), reçu {type(payload).__name__} : la signature "
            "porte sur les octets reçus. Avec Flask : request.get_data() ; avec Django : request.body."
        )


def _seconds(value: Any) -> Optional[float]:
    """A number of seconds; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, (Real, Decimal)):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _digest(payload: bytes, secret: Secret, stamp: str) -> str:
    try:
        key = secret.reveal().encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigError(
            "Secret de webhook illisible : il contient la moitié d'un caractère. Le recopier du tableau de bord "
            "FedaPay, page Webhooks."
        ) from None
    return hmac.digest(key, stamp.encode("ascii") + b"." + payload, "sha256").hex()


def _parse(header: Optional[str]) -> Tuple[str, List[str]]:
    """The time exactly as sent, and the signatures in lower case."""
    if not header:
        raise SignatureError(f"Signature de webhook absente : l'en-tête {HEADER} est attendu.")
    if not isinstance(header, str) or len(header) > _MAX_HEADER or not header.isascii():
        raise SignatureError(f"Signature de webhook illisible : {HEADER}: t=…,s=… en ASCII est attendu.")
    stamps: List[str] = []
    signatures: List[str] = []
    for item in header.split(","):
        name, _, value = item.strip().partition("=")
        if name == "t":
            stamps.append(value)
        elif name == "s" and _HEX.match(value) and len(signatures) < _MAX_SIGNATURES:
            signatures.append(value.lower())
    if len(stamps) != 1 or not _TIME.match(stamps[0]):
        raise SignatureError("Signature de webhook illisible : une heure t=<secondes> et une seule est attendue.")
    if not signatures:
        raise SignatureError("Signature de webhook illisible : au moins un s=<64 chiffres hexadécimaux> est attendu.")
    return stamps[0], signatures
