"""
Classifies a failed attempt: whether FedaPay may have got it, and after which delay the same may be sent again.
"""

import random
import ssl
from typing import Optional

import requests

from fedapay_sync.common.masking import mask
from fedapay_sync.errors import NotSent, OutcomeUnknown, TransportError
from fedapay_sync.transport.connections import was_sent
from fedapay_sync.transport.responses import READ_AGAIN
from fedapay_sync.transport.sessions import NoSuchBundle

_MAX_RETRY_AFTER = 30.0
_RETRIED_STATUSES = frozenset({429, 502, 503, 504})
#: Causes that the next attempt would meet again.
_LASTING = frozenset({"SSLCertVerificationError", "NoSuchBundle", "InvalidURL", "LocationParseError"})


def _backoff(attempt: int) -> float:
    """Full jitter, at most 10 s."""
    return random.uniform(0, min(0.5 * 2 ** (attempt - 1), 10.0))


def retry_delay(method: str, error: Exception, attempt: int) -> Optional[float]:
    """Seconds to wait before the same call is made again, or None where it must not be."""
    if isinstance(error, NotSent):
        return None if error.cause in _LASTING else _backoff(attempt)
    if method != "GET":
        return None
    if isinstance(error, OutcomeUnknown):
        return _backoff(attempt)
    if getattr(error, "status", 0) not in _RETRIED_STATUSES:
        return None
    asked: Optional[float] = getattr(error, "retry_after", None)
    if asked is None:
        return _backoff(attempt)
    return asked if asked <= _MAX_RETRY_AFTER else None


def transport_error(method: str, path: str, error: BaseException, base_url: str) -> TransportError:
    cause = _cause(error)
    facts = {"method": method, "path": mask(path), "cause": type(cause).__name__}
    where = f"{method} {mask(path)} ({mask(base_url)}, {type(cause).__name__})"
    if not was_sent():
        return NotSent(
            f"FedaPay est injoignable : {where}. Rien n'a été envoyé. {_advice(error, cause)}, puis recommencer.",
            **facts,
        )
    advice = (
        READ_AGAIN
        if method == "GET"
        else "La requête est peut-être arrivée : relire l'objet chez FedaPay avant de la refaire."
    )
    return OutcomeUnknown(f"Pas de réponse lisible de FedaPay : {where}. {advice}", **facts)


def _advice(error: BaseException, cause: BaseException) -> str:
    """What to check when no connection opens."""
    if isinstance(cause, NoSuchBundle):
        return f"Le fichier de certificats {mask(cause)} n'existe pas : vérifier REQUESTS_CA_BUNDLE"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            "Le certificat du serveur n'est pas reconnu : vérifier FEDAPAY_API_URL et l'heure de la machine ; derrière "
            "un proxy d'entreprise, donner son fichier de certificats dans REQUESTS_CA_BUNDLE"
        )
    if isinstance(error, requests.exceptions.ProxyError):
        return "Le proxy ne laisse pas passer : vérifier HTTPS_PROXY et NO_PROXY"
    return "Vérifier la connexion et FEDAPAY_API_URL"


def _cause(error: BaseException) -> BaseException:
    """The error at the bottom, beneath requests' and urllib3's wrappers."""
    for inner in (getattr(error, "reason", None), *getattr(error, "args", ())):
        if isinstance(inner, BaseException):
            return _cause(inner)
    return error
