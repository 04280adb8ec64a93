"""A call to the API as a text to copy: for a shell, and for Python."""

import json
import shlex
from typing import Any, List, Optional

from ..front import ApiRequest
from ..logs import masked

_KEY = "FEDAPAY_API_KEY"


def curl(call: ApiRequest, base_url: str) -> str:
    """The call once more by curl; the key comes from the variable that has it."""
    lines = [f"curl -X {call.method} {shlex.quote(_address(call, base_url))}"]
    if call.key:
        lines.append(f'-H "Authorization: Bearer ${_KEY}"')
    if call.body:
        lines += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(_text(call.body))}"]
    return " \\\n  ".join(lines)


def python(call: ApiRequest, base_url: str) -> str:
    """The call once more by requests."""
    lines = ["import os", "", "import requests", "", "reponse = requests.request("]
    given: List[str] = [repr(call.method), repr(_address(call, base_url))]
    if call.key:
        given.append(f'headers={{"Authorization": f"Bearer {{os.environ[{_KEY!r}]}}"}}')
    body = _json(call.body)
    if body is not None:
        given.append(f"json={body!r}")
    elif call.body:
        given.append(f"data={_text(call.body)!r}")
    lines += [f"    {each}," for each in (*given, "timeout=30")]
    return "\n".join([*lines, ")", "print(reponse.status_code, reponse.text)"])


def pretty(body: bytes) -> str:
    """A body as a person reads it, without the keys that it may carry."""
    text = _text(body)
    found = _json(text.encode("utf-8"))
    return text if found is None else indented(found)


def indented(value: Any) -> str:
    """An answer as a person reads it."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def _address(call: ApiRequest, base_url: str) -> str:
    return masked(base_url + call.path + (f"?{call.query}" if call.query else ""))


def _text(body: bytes) -> str:
    return masked(body.decode("utf-8", "replace"))


def _json(body: bytes) -> Optional[Any]:
    try:
        return json.loads(_text(body)) if body else None
    except (ValueError, RecursionError):
        return None
