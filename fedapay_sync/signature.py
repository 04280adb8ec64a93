"""
Signature des webhooks : ``sign`` la fait, ``verify`` la contrôle.

Forme (SDK officiels, et une livraison réelle de 2024) : ``X-FEDAPAY-SIGNATURE: t=<secondes>,s=<hex>``,
HMAC-SHA256 du texte ``<t>.<corps brut>`` avec le secret du webhook pour clé.
"""

import hashlib
import hmac
import math
import re
from typing import List, Optional, Sequence, Tuple, Union

from fedapay_sync.common.clock import SYSTEM_CLOCK
from fedapay_sync.common.frames import private
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
        timestamp: secondes Unix ; l'heure présente si absent.

    Example:
        >>> sign(b"{}", "wh_sandbox_test", 1700000000)[:20]
        't=1700000000,s=a4a1d'
    """
    stamp = str(int(SYSTEM_CLOCK.now()) if timestamp is None else timestamp)
    return f"t={stamp},s={_digest(payload, secret, stamp)}"


@private
def verify(
    payload: bytes,
    header: Optional[str],
    secrets: Union[str, Sequence[str]],
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
        ConfigError: aucun secret, secret vide, ou tolérance nulle ou infinie.
    """
    candidates = [secrets] if isinstance(secrets, str) else list(secrets)
    if not candidates or not all(isinstance(each, str) and each.strip() for each in candidates):
        raise ConfigError(
            "Aucun secret de webhook, ou un secret vide : n'importe qui pourrait signer. "
            "Donner le secret wh_… du tableau de bord FedaPay (FEDAPAY_AUTH_KEY)."
        )
    if not 0 < tolerance < math.inf:
        raise ConfigError(
            f"Tolérance de signature {tolerance!r} : un nombre de secondes plus grand que 0 est attendu "
            f"({TOLERANCE} par défaut). Le contrôle de l'heure ne se coupe pas."
        )
    stamp, signatures = _parse(header)
    matched = None
    # Every secret against every signature, no early exit: the time taken says nothing about either.
    for rank, secret in enumerate(candidates):
        expected = _digest(payload, secret, stamp).encode("ascii")
        for signature in signatures:
            if hmac.compare_digest(expected, signature.encode("ascii")) and matched is None:
                matched = rank
    if matched is None:
        raise SignatureError(
            "Signature de webhook fausse : aucun des secrets connus ne l'a faite. Vérifier que FEDAPAY_AUTH_KEY est "
            "bien le secret de ce webhook, dans le même environnement, et que le corps est transmis tel que reçu."
        )
    drift = (SYSTEM_CLOCK.now() if now is None else now) - int(stamp)
    if not abs(drift) <= tolerance:
        raise SignatureError(
            f"Signature de webhook hors délai : l'heure signée est à {abs(drift):.0f} s de la nôtre, "
            f"{tolerance:g} s au plus sont admises. Vérifier l'horloge de cette machine."
        )
    return matched


def _digest(payload: bytes, secret: str, stamp: str) -> str:
    return hmac.new(secret.encode("utf-8"), stamp.encode("ascii") + b"." + payload, hashlib.sha256).hexdigest()


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
