"""``/v1/logs``: one record of each API call, with keys and secrets masked."""

import re
from typing import Any, Mapping, Optional

from fedapay_sync.common.logging import get_logger
from fedapay_sync.emulator.http import serializers
from fedapay_sync.emulator.http.call import Call
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.resources.events import LogResource
from fedapay_sync.emulator.storage.shop_data import ShopData
from fedapay_sync.errors import ConfigError

log = get_logger("fedapay_sync.emulator")

_KEPT = 2000
# An answer with logs is logged too: without a limit the texts would double with each list of logs.
_LONGEST = 16_384
_NOT_RECORDED = "{}"

#: A key, or the value of a field that holds one; the prefix stays and shows what kind of key it was.
_KEYS = re.compile(r"\b((?:sk|pk|wh)_(?:live|sandbox)_)[A-Za-z0-9_-]+")
_NAMES = "client_secret|access_token|api_key|secret_key|private_key|password"
_SECRET = re.compile(rf'("(?:{_NAMES})"\s*:\s*)"(?:[^"\\]|\\.)*"')
_IN_FORM = re.compile(rf"((?:^|&)(?:{_NAMES})=)[^&\s]+")
# Headers that name the client and its version, newest form first.
_VERSION = ("X-FedaPay-Lib-Version", "X-Version")
_SOURCE = ("X-FedaPay-Lib", "X-Source")


class Logs(LogResource):
    """The last calls made with a valid key; query, body and answer of one are JSON inside strings."""

    kind = "log"
    fields = """
        id method url status ip_address version source query body response account_id created_at updated_at
    """.split()

    def __init__(self, data: ShopData) -> None:
        super().__init__(data.append_log("logs", _KEPT))
        self._data = data

    def add(self, method: str, path: str, address: Optional[str], call: Call, status: int, answer: Any) -> None:
        """Record a call. Under the lock of the data; a state file that refuses it spoils no answer."""
        try:
            self._add(method, path, address, call, status, answer)
        except ConfigError as error:
            log.warning("emulator could not log %s %s: %s", method, path, error)

    def _add(self, method: str, path: str, address: Optional[str], call: Call, status: int, answer: Any) -> None:
        self._records.add(
            self._data.stamp(),
            self._data.account_id,
            method=method,
            url=masked(path),
            status=status,
            ip_address=address or "",
            version=_said(call.headers, _VERSION),
            source=_said(call.headers, _SOURCE),
            query=_text(call.query),
            body=_text(_doubled(call.body, path)),
            response=_text(_opened(answer)),
        )


def _doubled(body: Record, path: str) -> Record:
    """The attributes once more under the name of their resource, as FedaPay's web framework adds them."""
    resource = path.split("/")[2:3]
    name = resource[0][:-1] if resource and resource[0].endswith("s") else ""
    return {**body, name: body} if body and name and name not in body else body


def _opened(answer: Any) -> Any:
    """The object inside the envelope."""
    inner = [value for name, value in answer.items() if name.startswith("v1/")] if isinstance(answer, dict) else []
    if inner and not isinstance(inner[0], dict):
        return inner[0]
    return {name: value for name, value in inner[0].items() if name != "klass"} if inner else answer


def _text(value: Any) -> str:
    text = serializers.compact({} if value is None else value)
    return masked(text) if len(text) <= _LONGEST else _NOT_RECORDED


def masked(text: str) -> str:
    """The text without keys and secrets."""
    text = _SECRET.sub(r'\1"[FILTERED]"', _KEYS.sub(r"\1***", text))
    return _IN_FORM.sub(r"\1[FILTERED]", text)


def _said(headers: Mapping[str, str], names: Any) -> str:
    return next((headers[name] for name in names if headers.get(name)), "Unknown")
