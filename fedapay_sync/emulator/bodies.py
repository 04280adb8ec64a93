"""Request bodies and queries as FedaPay reads them: JSON, or forms with brackets as PHP writes them."""

import json
import re
from typing import Any, Dict, List, Tuple
from urllib.parse import parse_qsl

from .refusal import Refusal

_MAX_DEPTH = 32
_MAX_FIELDS = 2000
_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)\Z")

_FORM = "application/x-www-form-urlencoded"


def read_body(raw: bytes, content_type: str) -> Dict[str, Any]:
    """
    The attributes sent, whichever way they were written.

    Raises:
        Refusal: 400, if there is nothing a program could work with.
    """
    if not raw.strip():
        return {}
    if content_type.partition(";")[0].strip().lower() == _FORM:
        return read_form(raw)
    try:
        body = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise Refusal(400, "Le corps de la requête n'est pas du JSON valide") from None
    if not isinstance(body, dict):
        raise Refusal(400, "Le corps de la requête doit être un objet JSON")
    _check(body)
    return body


def read_form(raw: bytes) -> Dict[str, Any]:
    """
    ``customer[phone_number][number]=1&tags[]=a`` as nested objects and lists; every value is a text.

    Raises:
        Refusal: 400, if two fields contradict each other or the nesting is absurd.
    """
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise Refusal(400, "Le corps de la requête n'est pas un formulaire lisible") from None
    result: Dict[str, Any] = {}
    for key, value in pairs:
        matched = _KEY.match(key)
        # Brackets that do not pair up are letters of the name.
        steps = [matched[1], *re.findall(r"\[([^\[\]]*)\]", matched[2])] if matched else [key]
        if len(steps) > _MAX_DEPTH:
            raise Refusal(400, "Le formulaire est trop imbriqué")
        try:
            _put(result, steps, value)
        except (TypeError, AttributeError):
            raise Refusal(400, f"Le champ {key[:80]} contredit un autre champ du formulaire") from None
    return result


def _put(target: Dict[str, Any], steps: List[str], value: str) -> None:
    """Write one value; TypeError or AttributeError when something of another shape is there already."""
    name, rest = steps[0], steps[1:]
    if not rest:
        if isinstance(target.get(name), (dict, list)):
            raise TypeError
        target[name] = value
    elif rest[0] != "":
        _put(_expect(target.setdefault(name, {}), dict), rest, value)
    else:
        items = _expect(target.setdefault(name, []), list)
        if not rest[1:]:
            items.append(value)
            return
        # items[][a]=1&items[][b]=2&items[][a]=3: a name seen again begins the next item.
        if not items or rest[1] in _expect(items[-1], dict):
            items.append({})
        _put(items[-1], rest[1:], value)


def _expect(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _check(body: Dict[str, Any]) -> None:
    """Refuse what could not be written back: absurd depth, half characters."""
    todo: List[Tuple[Any, int]] = [(body, 0)]
    while todo:
        value, depth = todo.pop()
        if depth > _MAX_DEPTH:
            raise Refusal(400, "Le corps de la requête est trop imbriqué")
        if isinstance(value, dict):
            todo += [(each, depth + 1) for pair in value.items() for each in pair]
        elif isinstance(value, list):
            todo += [(each, depth + 1) for each in value]
        elif isinstance(value, str):
            try:
                value.encode("utf-8")
            except UnicodeEncodeError:
                raise Refusal(400, "Le corps de la requête contient un caractère invalide") from None
