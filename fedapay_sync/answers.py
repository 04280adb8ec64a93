"""What FedaPay's answers mean: a success and its body, or the error that a caller can act upon."""

import json
import math
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Dict, List, Mapping, Optional, Tuple, Type

from .errors import (
    ApiError,
    AuthenticationError,
    BadRequest,
    Conflict,
    Forbidden,
    NotFound,
    RateLimited,
    ServerFault,
    UnreadableAnswer,
)
from .masking import mask

#: Decoded bytes of an answer that are read at most.
MAX_BODY = 2 * 1024 * 1024
#: Levels of nesting in an answer that are read at most: deeper, Python's recursion ends in whoever walks through it.
MAX_DEPTH = 50

_ERRORS: Dict[int, Tuple[Type[ApiError], str]] = {
    400: (BadRequest, "Vérifier les valeurs envoyées ; en sandbox, seule la méthode momo_test est admise, et en "
          "réel chaque opérateur doit être activé pour le compte."),
    401: (AuthenticationError, "Vérifier FEDAPAY_API_KEY (clé secrète sk_…) et qu'elle est du même environnement que "
          "FEDAPAY_API_URL."),
    403: (Forbidden, "Ce compte n'a pas ce droit, ou l'objet n'est plus dans un état qui le permet."),
    404: (NotFound, "Vérifier l'identifiant, et que la clé est celle du compte qui l'a créé."),
    409: (Conflict, "Une autre opération est en cours ; relire l'objet avant de recommencer."),
    422: (BadRequest, "Vérifier les valeurs envoyées."),
    429: (RateLimited, "Ralentir, puis recommencer."),
}  # fmt: skip


@dataclass(frozen=True, repr=False)
class Answer:
    """What FedaPay said: a 2xx and its decoded body (``None`` if empty)."""

    status: int
    body: Any
    method: str = ""
    path: str = ""

    def object(self, envelope: str) -> Dict[str, Any]:
        """The object inside that envelope, or the bare object where there is none."""
        body = self.body
        if isinstance(body, dict) and isinstance(body.get(envelope), dict):
            body = body[envelope]
        if isinstance(body, dict):
            return body
        raise self.unreadable(f"un objet {f'« {envelope} » ' if envelope else ''}est attendu, reçu {_kind(body)}")

    def unreadable(self, problem: str) -> UnreadableAnswer:
        """The error that a success amounts to when it does not say what was asked for."""
        return _unreadable(f"{self.method} {self.path}, HTTP {self.status}", problem, self._facts())

    def _facts(self) -> Dict[str, Any]:
        return {"status": self.status, "method": self.method, "path": self.path}


def judged(method: str, path: str, status: int, raw: bytes, *, retry_after: Optional[str], now: float) -> Answer:
    """
    The answer that these bytes are, or the error that they amount to.

    Args:
        raw: the decoded body, or its first ``MAX_BODY`` bytes and some more.
        retry_after: the header of that name.

    Raises:
        ApiError: anything but a success.
    """
    facts: Dict[str, Any] = {"status": status, "method": method, "path": mask(path)}
    where = f"{method} {mask(path)}, HTTP {status}"
    body, problem = _decode(raw)
    if 200 <= status < 300:
        if problem:
            raise _unreadable(where, problem, facts)
        return Answer(body=body, **facts)
    message, errors = _complaint(body)
    kind, advice = _ERRORS.get(status, (ApiError, "Réponse inattendue : réessayer, puis prévenir FedaPay."))
    if 300 <= status < 400:
        kind, advice = ApiError, "FedaPay redirige ailleurs : vérifier FEDAPAY_API_URL. Rien n'a été suivi."
    elif status >= 500:
        kind, advice = ServerFault, "Le défaut est chez FedaPay ou chez l'opérateur ; recommencer plus tard."
    if status == 429 or retry_after is not None:
        facts["retry_after"] = _retry_after(retry_after or "", now)
    details = "".join(f" {field and f'{field} : '}{', '.join(reasons)}." for field, reasons in errors.items())
    said = f"« {message} »" if message else problem or "sans message"
    raise kind(
        f"FedaPay a refusé ({where}) : {said}.{details[:1000]} {advice}",
        fedapay_message=message,
        errors=errors,
        **facts,
    )


def _unreadable(where: str, problem: str, facts: Mapping[str, Any]) -> UnreadableAnswer:
    return UnreadableAnswer(
        f"Réponse de FedaPay illisible ({where}) : {problem}. La requête a pu être exécutée : "
        "relire la transaction avant de la refaire.",
        **facts,
    )


def _kind(body: Any) -> str:
    """What a body is, in French."""
    return {type(None): "un corps vide", list: "une liste", dict: "un objet", str: "un texte"}.get(
        type(body), "un nombre"
    )


def _decode(raw: bytes) -> Tuple[Any, str]:
    """The decoded body, and what is wrong with it in French if it is no JSON."""
    if not raw.strip():
        return None, ""
    if len(raw) > MAX_BODY:
        return None, f"plus de {MAX_BODY // (1024 * 1024)} Mio"
    try:
        body = json.loads(raw.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        html = raw.lstrip()[:1] == b"<"
        return None, "une page HTML au lieu de JSON" if html else "du texte qui n'est pas du JSON"
    return (None, f"plus de {MAX_DEPTH} niveaux") if _is_deep(body) else (body, "")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_constant(text)


def _is_deep(body: Any) -> bool:
    """Whether the body nests deeper than we follow. Level by level: recursion is what it protects from."""
    level: List[Any] = [[body]]
    for _ in range(MAX_DEPTH + 1):
        inside = (each for box in level for each in (box.values() if isinstance(box, dict) else box))
        level = [each for each in inside if isinstance(each, (dict, list))]
    return bool(level)


def _complaint(body: Any) -> Tuple[str, Dict[str, List[str]]]:
    """FedaPay's message and field errors, masked, from either of its two error shapes."""
    if not isinstance(body, dict):
        return "", {}
    source = body["error"] if isinstance(body.get("error"), dict) else body
    message, fields = source.get("message"), source.get("errors")
    errors = (
        {mask(name): [mask(each) for each in _listed(reasons)] for name, reasons in fields.items()}
        if isinstance(fields, dict)
        else {"": [mask(each) for each in _listed(fields)]}
        if fields
        else {}
    )
    return (mask(message.strip()[:500]) if isinstance(message, str) else ""), errors


def _listed(reasons: Any) -> List[str]:
    """Reasons as texts, however they came."""
    return [
        each if isinstance(each, str) else json.dumps(each, ensure_ascii=False)
        for each in (reasons if isinstance(reasons, list) else [reasons])
    ]


def _retry_after(text: str, now: float) -> Optional[float]:
    """Seconds to wait, from a number or a date; None if it is neither."""
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) < 8:
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
