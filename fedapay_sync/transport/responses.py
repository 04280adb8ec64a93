"""Parses FedaPay's answers: a success and its body, or the error that a caller can act upon."""

import json
import math
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Type

from fedapay_sync.common.masking import mask
from fedapay_sync.errors import (
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
from fedapay_sync.models.schema.values import MAX_DEPTH, is_deep

#: Attributes of customers that hold their names.
_NAMES = frozenset({"firstname", "lastname", "full_name"})
#: Decoded bytes of an answer that are read at most.
MAX_RESPONSE = 2 * 1024 * 1024

#: What a call that changes nothing leaves to do.
READ_AGAIN = "Ce n'était qu'une lecture, rien n'a changé : relire plus tard."

#: Of FedaPay's complaints, so much is kept at most: characters of a text, fields, reasons for one field.
_MAX_TEXT, _MAX_FIELDS, _MAX_REASONS = 500, 100, 20
_MAX_LOOK = 2000

_ERRORS: Dict[int, Tuple[Type[ApiError], str]] = {
    400: (BadRequest, "Vérifier les valeurs envoyées."),
    401: (AuthenticationError, "Vérifier FEDAPAY_API_KEY : la clé secrète (sk_…) du même environnement que "
          "FEDAPAY_API_URL est attendue."),
    403: (Forbidden, "Relire l'objet : il n'est peut-être plus dans un état qui le permet. Sinon ce compte n'a pas ce "
          "droit, ou la clé est d'un autre environnement."),
    404: (NotFound, "Vérifier l'identifiant, et que la clé est celle du compte et de l'environnement qui l'ont créé."),
    409: (Conflict, "Une autre opération est en cours : relire l'objet avant de recommencer."),
    422: (BadRequest, "Vérifier les valeurs envoyées."),
    429: (RateLimited, "Ralentir, puis recommencer."),
}  # fmt: skip
#: What POST creates at the top; any other name there is the code of an operator.
_COLLECTIONS = frozenset("/accounts /customers /invoices /pages /transactions /webhooks".split())
_LEADS: Dict[Type[ApiError], str] = {
    ServerFault: "Défaut chez FedaPay",
    ApiError: "FedaPay a répondu autre chose qu'attendu",
}


@dataclass(frozen=True, repr=False)
class Response:
    """A successful answer of FedaPay's: a 2xx and its decoded body (``None`` if empty)."""

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
        raise self.unreadable(f"un objet {f'« {envelope} » ' if envelope else ''}est attendu, reçu {_type_of(body)}")

    def unreadable(self, problem: str) -> UnreadableAnswer:
        """The error that a success amounts to when it does not say what was asked for."""
        path = mask(self.path)
        facts = {"status": self.status, "method": self.method, "path": path}
        return _unreadable_answer(f"{self.method} {path}, HTTP {self.status}", problem, facts)


def parse_response(
    method: str,
    path: str,
    status: int,
    raw: bytes,
    *,
    retry_after: Optional[str],
    now: float,
    sent: Optional[bytes] = None,
) -> Response:
    """
    The answer that these bytes are, or the error that they amount to.

    Args:
        raw: the decoded body, or its first ``MAX_RESPONSE`` bytes and some more.
        retry_after: the header of that name.
        sent: the body of the request; the names in it are not quoted.

    Raises:
        ApiError: anything but a success.
    """
    body, problem = decode_body(raw)
    if 200 <= status < 300 and not problem:
        return Response(status, body, method, path)
    facts: Dict[str, Any] = {"status": status, "method": method, "path": mask(path)}
    where = f"{method} {mask(path)}, HTTP {status}"
    if 200 <= status < 300:
        raise _unreadable_answer(where, problem, facts)
    complaint = _parse_complaint(body, _names_in(sent))
    kind, advice = _ERRORS.get(status, (ApiError, "Vérifier FEDAPAY_API_URL, sinon prévenir FedaPay."))
    if status == 429 or retry_after is not None:
        facts["retry_after"] = _retry_after(retry_after or "", now)
    if 300 <= status < 400:
        advice = "L'adresse redirige ailleurs ; rien n'a été suivi. Vérifier FEDAPAY_API_URL."
    elif 500 <= status < 600:
        kind = ServerFault
        advice = (
            "Recommencer plus tard."
            if method == "GET"
            else "La requête a pu être exécutée quand même : relire l'objet avant de la refaire."
        )
    elif kind is BadRequest and complaint.errors:
        advice = "Vérifier ces valeurs, puis recommencer."
    elif status == 400 and method == "POST" and _takes_a_mode(path):
        advice += (
            " Si elles sont justes : en sandbox, seule la méthode momo_test est admise ; en réel, l'opérateur doit "
            "être activé pour le compte."
        )
    elif kind is AuthenticationError and path == "/oauth/token":
        advice = (
            "Vérifier client_id et client_secret : ceux de l'application, dans le même environnement que "
            "FEDAPAY_API_URL."
        )
    elif kind is Forbidden and path.startswith("/payouts"):
        advice = (
            "Le plus souvent, les dépôts ne sont pas activés pour ce compte : le demander à FedaPay. Sinon, relire le "
            "dépôt : il n'est plus dans un état qui le permet."
        )
    elif kind is RateLimited and facts["retry_after"]:
        advice = f"Attendre {facts['retry_after']:.0f} s, puis recommencer."
    said = f"« {complaint.message} »" if complaint.message else problem or "sans message"
    code = f" (code {complaint.code})" if complaint.code else ""
    fields = "".join(f" {name and f'{name} : '}{', '.join(why)}." for name, why in complaint.errors.items())
    raise kind(
        f"{_LEADS.get(kind, 'FedaPay a refusé')} ({where}) : {said}{code}.{fields[:1000]} {advice}",
        fedapay_message=complaint.message,
        fedapay_code=complaint.code,
        errors=complaint.errors,
        **facts,
    )


def _takes_a_mode(path: str) -> bool:
    return path.startswith("/payouts") or (path.count("/") == 1 and path not in _COLLECTIONS)


def _unreadable_answer(where: str, problem: str, facts: Mapping[str, Any]) -> UnreadableAnswer:
    advice = (
        READ_AGAIN
        if facts["method"] == "GET"
        else "La requête a pu être exécutée : relire l'objet chez FedaPay avant de la refaire."
    )
    return UnreadableAnswer(f"Réponse de FedaPay illisible ({where}) : {problem}. {advice}", **facts)


def _type_of(body: Any) -> str:
    """What a body is, in French."""
    return {type(None): "un corps vide", list: "une liste", dict: "un objet", str: "un texte"}.get(
        type(body), "un nombre"
    )


def decode_body(raw: bytes) -> Tuple[Any, str]:
    """The decoded body, and what is wrong with it in French if it is no JSON."""
    if not raw.strip():
        return None, ""
    if len(raw) > MAX_RESPONSE:
        return None, f"plus de {MAX_RESPONSE // (1024 * 1024)} Mio"
    try:
        body = json.loads(
            raw.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_unique_names
        )
    except (ValueError, RecursionError):
        html = raw.lstrip()[:1] == b"<"
        return None, "une page HTML au lieu de JSON" if html else "du texte qui n'est pas du JSON"
    # Few brackets, as in nearly every answer: not a level too many.
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and is_deep(body):
        return None, f"plus de {MAX_DEPTH} niveaux"
    return body, ""


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_constant(text)


def _unique_names(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    """An object. With one name twice, two readers would see two amounts or two statuses."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("one name twice")
    return made


class _Complaint(NamedTuple):
    """What FedaPay says about an error, masked."""

    message: str = ""
    code: str = ""
    errors: Mapping[str, List[str]] = {}


def _parse_complaint(body: Any, names: Sequence[str]) -> _Complaint:
    """
    From any shape: ``{message, errors}``, the older ``{error: {code, message, param}}``, OAuth's ``{error: text}``.
    """
    if not isinstance(body, dict):
        return _Complaint()
    error = body.get("error")
    source = error if isinstance(error, dict) else body
    message = next((each for each in (source.get("message"), error) if isinstance(each, str)), "")
    code, fields, param = source.get("code"), source.get("errors"), source.get("param")
    if not fields and isinstance(param, str) and param:
        fields = {param: message or "refusé"}
    named = fields if isinstance(fields, dict) else {"": fields} if fields else {}
    return _Complaint(
        message=_masked_line(message, names),
        code=_masked_line(str(code), names) if isinstance(code, (str, int)) and not isinstance(code, bool) else "",
        errors={_masked_line(name, names): _reasons(why, names) for name, why in islice(named.items(), _MAX_FIELDS)},
    )


def _names_in(content: Optional[bytes]) -> List[str]:
    """The names of people in a body that was sent: no pattern knows them, and FedaPay may quote them."""
    found: List[str] = []
    waiting: List[Any] = [json.loads(content)] if content else []
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
            texts = [each.strip() for name, each in value.items() if name in _NAMES and isinstance(each, str)]
            found += [each for each in texts if each]
    return found


def _reasons(why: Any, names: Sequence[str]) -> List[str]:
    """Reasons as texts, however they came."""
    listed = why if isinstance(why, list) else [why]
    return [
        _masked_line(each if isinstance(each, str) else json.dumps(_masked(each), ensure_ascii=False), names)
        for each in listed[:_MAX_REASONS]
    ]


def _masked(value: Any) -> Any:
    """What is masked before it is written: an escaped line end hides a number behind a letter."""
    if isinstance(value, dict):
        return {mask(name): _masked(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_masked(each) for each in value[:_MAX_REASONS]]
    return mask(value[:_MAX_LOOK]) if isinstance(value, str) else value


def _masked_line(text: str, names: Sequence[str]) -> str:
    """A text of FedaPay's on one line, masked, without those names, and not too long."""
    looked_at = text[:_MAX_LOOK]
    for name in names:
        looked_at = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "***", looked_at, flags=re.IGNORECASE)
    line = mask("".join(each if each.isprintable() else " " for each in looked_at))
    if len(text) > _MAX_LOOK:
        # The cut may have gone through an address or a number, which no rule recognizes any more.
        line = line[:-300]
    return line[:_MAX_TEXT].strip()


def _retry_after(text: str, now: float) -> Optional[float]:
    """Seconds to wait, from a number or a date; None if it is neither."""
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) < 8:
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
