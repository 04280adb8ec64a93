"""Checks the arguments of the public Python methods: a wrong value raises InvalidArgument at once, in French."""

import math
import os
import re
from collections.abc import Collection, Mapping
from typing import Any, Dict, FrozenSet, Optional, Union

from fedapay_sync.emulator.domain import phone_numbers
from fedapay_sync.emulator.http import endpoints
from fedapay_sync.errors import InvalidArgument

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.\-]*[A-Za-z0-9_])?\Z")
#: Kinds of objects that have events.
OBJECTS = ("transaction", "customer", "payout")


def seconds(name: str, value: Any, *, above_zero: bool = False) -> float:
    """A number of seconds."""
    expected = "un nombre de secondes, plus grand que 0," if above_zero else "un nombre de secondes, 0 ou plus,"
    return _number(name, value, expected, above_zero=above_zero)


def factor(name: str, value: Any) -> float:
    """A factor of time."""
    return _number(name, value, "un nombre, 0 ou plus,")


def share(name: str, value: Any) -> float:
    """A probability."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise _wrong(name, value, "un nombre de 0 à 1, 0 non compris,")
    return float(value)


def hosts(name: str, value: Any) -> FrozenSet[str]:
    """Names of machines, without port."""
    listed = value if isinstance(value, (list, tuple, set, frozenset)) else [value]
    if isinstance(value, str) or not all(isinstance(each, str) and _HOST.match(each) for each in listed):
        raise _wrong(name, value, "une liste de noms de machine sans port, comme ['emulator'],")
    return frozenset(each.lower() for each in listed)


def yes_no(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(name, value, "True ou False")
    return value


def one_of(name: str, value: Any, choices: Collection[Any]) -> Any:
    if value not in choices:
        raise _wrong(name, value, " ou ".join("None" if each is None else f"« {each} »" for each in choices))
    return value


def whole(name: str, value: Any, low: int, high: Optional[int] = None) -> int:
    """A whole number from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        bounds = f"à partir de {low}" if high is None else f"de {low} à {high}"
        raise _wrong(name, value, f"un nombre entier {bounds}")
    return value


def text(name: str, value: Any) -> str:
    """A text that UTF-8 can write, and that is not empty."""
    if not isinstance(value, str) or not value or any("\ud800" <= each <= "\udfff" for each in value):
        raise InvalidArgument(f"{name} : un texte qui n'est pas vide est attendu.", field=name)
    return value


def header_text(name: str, value: Any) -> str:
    """The value of a header."""
    if not isinstance(value, str) or not endpoints.HEADER_TEXT.match(value):
        raise _wrong(name, value, "un texte latin-1 sur une seule ligne")
    return value


def headers(name: str, value: Optional[Mapping[str, str]]) -> Dict[str, str]:
    """HTTP headers; the values may be secrets, and are not repeated in the error."""
    try:
        read = endpoints.headers(dict(value or {}))
        if all(isinstance(each, str) for each in (value or {}).values()):
            return read
    except (ValueError, TypeError):
        pass
    raise InvalidArgument(
        f"{name} : des noms et des valeurs d'en-têtes HTTP sont attendus, comme {{'agregateur': 'Fedapay'}}.",
        field=name,
    )


def address(name: str, value: Any) -> str:
    """The URL of a webhook endpoint."""
    try:
        return endpoints.address(value)
    except ValueError:
        raise _wrong(name, value, "une adresse http:// ou https://") from None


def phone(name: str, value: Any) -> str:
    """A telephone number, digits with at most a plus before them."""
    number = phone_numbers.written(value) if isinstance(value, str) else None
    if number is None:
        raise _wrong(name, value, "un numéro de téléphone de 8 à 15 chiffres")
    return number


def objects(name: str, value: Any) -> FrozenSet[str]:
    """Kinds of objects whose events are delivered."""
    sound = isinstance(value, Collection) and not isinstance(value, (str, bytes))
    if not sound or not all(each in OBJECTS for each in value):
        raise _wrong(name, value, f"une liste de noms parmi {', '.join(OBJECTS)}")
    return frozenset(value)


def shops(name: str, value: Any) -> Dict[str, str]:
    """Secret keys and the names of their shops."""
    sound = value is None or isinstance(value, Mapping)
    if not sound or not all(isinstance(each, str) and each.strip() for each in (value or {}).values()):
        # The keys are not repeated.
        raise InvalidArgument(
            f"{name} : {{clé secrète: nom}} est attendu, comme {{'sk_sandbox_b': 'Boutique B'}}.", field=name
        )
    return dict(value or {})


def state(name: str, value: Any) -> Optional[str]:
    """The path of a state file."""
    if value is None:
        return None
    path: Union[str, bytes] = os.fspath(value) if isinstance(value, (str, os.PathLike)) else ""
    if not isinstance(path, str) or path in ("", ":memory:"):
        raise _wrong(name, value, "le chemin d'un fichier, ou None pour ne rien garder,")
    return path


def _number(name: str, value: Any, expected: str, *, above_zero: bool = False) -> float:
    sound = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf
    if not sound or (above_zero and not value):
        raise _wrong(name, value, expected)
    return float(value)


def _wrong(name: str, value: Any, expected: str) -> InvalidArgument:
    agreed = "attendue" if expected.startswith("une ") else "attendu"
    return InvalidArgument(f"{name}={value!r} : {expected} est {agreed}.", field=name)
