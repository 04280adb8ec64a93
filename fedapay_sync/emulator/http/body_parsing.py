"""Parses request bodies and query strings: JSON, or forms with brackets as PHP writes them."""

import json
import math
import re
from typing import Any, Dict, List, Tuple
from urllib.parse import parse_qsl

from fedapay_sync.emulator.http.errors import Refusal, bilingual

_MAX_DEPTH = 32
_MAX_FIELDS = 2000
_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)\Z")

_FORM = "application/x-www-form-urlencoded"

#: The name under which a body that is a list is handed on, where a list is allowed.
BARE_LIST = ""

NO_FORM = bilingual("Le corps de la requête n'est pas un formulaire lisible", "The request body is not a readable form")
NO_JSON = bilingual("Le corps de la requête n'est pas du JSON valide", "The request body is not valid JSON")
NO_OBJECT = bilingual("Le corps de la requête doit être un objet JSON", "The request body must be a JSON object")
TOO_DEEP = bilingual("Le corps de la requête est trop imbriqué", "The request body is nested too deeply")
BAD_TEXT = bilingual(
    "Le corps de la requête contient un caractère invalide", "The request body has an invalid character"
)
CONTRADICTION = bilingual("Un champ du formulaire en contredit un autre :", "A field of the form contradicts another:")


def read_body(raw: bytes, content_type: str, *, lists: bool = False) -> Dict[str, Any]:
    """
    The attributes of a body, JSON or form.

    Args:
        lists: a list is accepted as well.

    Raises:
        Refusal: 400, the body cannot be read.
    """
    if not raw.strip():
        return {}
    if content_type.partition(";")[0].strip().lower() == _FORM:
        return read_form(raw)
    try:
        body = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise Refusal(400, NO_JSON) from None
    if lists and isinstance(body, list):
        body = {BARE_LIST: body}
    if not isinstance(body, dict):
        raise Refusal(400, NO_OBJECT)
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
        raise Refusal(400, NO_FORM) from None
    result: Dict[str, Any] = {}
    for key, value in pairs:
        matched = _KEY.match(key)
        # Unbalanced brackets are part of the name.
        steps = [matched[1], *re.findall(r"\[([^\[\]]*)\]", matched[2])] if matched else [key]
        if len(steps) > _MAX_DEPTH:
            raise Refusal(400, TOO_DEEP)
        try:
            _put(result, steps, value)
        except (TypeError, AttributeError):
            raise Refusal(400, CONTRADICTION, about=key[:80]) from None
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
        # items[][a]=1&items[][b][c]=2&items[][b][d]=3&items[][a]=4: a value given again begins the next item.
        if not items or _has(_expect(items[-1], dict), rest[1:]):
            items.append({})
        _put(items[-1], rest[1:], value)


def _has(target: Any, steps: List[str]) -> bool:
    """Whether there is something at the end of these steps; a list always has room for more."""
    for step in steps:
        if step == "" or not isinstance(target, dict) or step not in target:
            return False
        target = target[step]
    return True


def _expect(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _check(body: Dict[str, Any]) -> None:
    """Refuse what could not be serialized again: absurd depth, lone surrogates."""
    todo: List[Tuple[Any, int]] = [(body, 0)]
    while todo:
        value, depth = todo.pop()
        if depth > _MAX_DEPTH:
            raise Refusal(400, TOO_DEEP)
        if isinstance(value, dict):
            todo += [(each, depth + 1) for pair in value.items() for each in pair]
        elif isinstance(value, list):
            todo += [(each, depth + 1) for each in value]
        elif isinstance(value, float) and not math.isfinite(value):
            # 1e999 is JSON and yet no number that could be written back.
            raise Refusal(400, NO_JSON)
        elif isinstance(value, str):
            try:
                value.encode("utf-8")
            except UnicodeEncodeError:
                raise Refusal(400, BAD_TEXT) from None
