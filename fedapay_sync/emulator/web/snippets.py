"""Renders a recorded API call as text to copy: a curl command, and the arguments for ``call.txt`` in Python."""

import json
import shlex
from typing import Any, List, Optional

from fedapay_sync.emulator.middleware import ApiRequest
from fedapay_sync.emulator.resources.logs import masked

_JSON = "application/json"


def curl(call: ApiRequest, base_url: str) -> str:
    """The call once more by curl; the key comes from the variable that has it."""
    # All of it is quoted: the client chose each word, the method too. Raw: a body may begin with @.
    lines = [f"curl -X {shlex.quote(call.method)} {shlex.quote(_address(call, base_url))}"]
    if call.key:
        lines.append('-H "Authorization: Bearer $FEDAPAY_API_KEY"')
    if call.body:
        kind = shlex.quote(f"Content-Type: {call.content_type or _JSON}")
        lines += [f"-H {kind}", f"--data-raw {shlex.quote(_text(call.body))}"]
    return " \\\n  ".join(lines)


def arguments(call: ApiRequest, base_url: str) -> List[str]:
    """The arguments of ``requests.request`` in Python, besides the key."""
    given = [repr(call.method), repr(_address(call, base_url))]
    body = _json(call.body)
    if body is not None and _is_json(call):
        return [*given, f"json={body!r}"]
    # As bytes: requests would not encode a text as UTF-8.
    return [*given, f"data={_text(call.body)!r}.encode()"] if call.body else given


def kind(call: ApiRequest) -> Optional[str]:
    """The type of its body, as Python writes a text; None where ``requests`` says it by itself."""
    return repr(call.content_type) if call.body and not _is_json(call) else None


def pretty(body: bytes) -> str:
    """A body as a person reads it, without the keys that it may carry."""
    text = _text(body)
    found = _json(text.encode("utf-8"))
    return text if found is None else indented(found)


def indented(value: Any) -> str:
    """An answer as a person reads it."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def _is_json(call: ApiRequest) -> bool:
    return (call.content_type or _JSON).partition(";")[0].strip().lower() == _JSON


def _address(call: ApiRequest, base_url: str) -> str:
    return masked(base_url + call.path + (f"?{call.query}" if call.query else ""))


def _text(body: bytes) -> str:
    return masked(body.decode("utf-8", "replace"))


def _json(body: bytes) -> Optional[Any]:
    try:
        return json.loads(_text(body)) if body else None
    except (ValueError, RecursionError):
        return None
