"""Registry of faults by name: for the command line, the control API and the dashboard."""

import inspect
from typing import Any, Callable, Dict, Mapping, Tuple

from fedapay_sync.emulator.faults.faults import ApiFaults, Fault, Faults, WebhookFaults
from fedapay_sync.errors import InvalidArgument

_COMMON = {"webhook": ("times", "probability", "seed"), "api": ("path", "method", "times", "probability", "seed")}


def _catalogue() -> Dict[str, Tuple[str, Tuple[str, ...]]]:
    found = {}
    for group, kind in (("webhook", WebhookFaults), ("api", ApiFaults)):
        for name, method in vars(kind).items():
            if not name.startswith("_"):
                own = [each.name for each in inspect.signature(method).parameters.values()][1:-1]
                first = inspect.cleandoc(method.__doc__).partition("\n")[0]
                found[f"{group}.{name}"] = first, (*own, *_COMMON[group])
    return found


#: Name of a fault -> what it does, in French, and its options.
CATALOGUE = _catalogue()


def add(faults: Faults, name: Any, options: Mapping[str, Any]) -> Fault:
    """
    ``add(faults, "webhook.delay", {"seconds": 5})``.

    Raises:
        InvalidArgument: no such fault, an unknown option, or a required one missing.
    """
    if not isinstance(name, str) or name not in CATALOGUE:
        raise InvalidArgument(f"{name!r} n'est pas une panne. Pannes : {', '.join(CATALOGUE)}.", field="fault")
    known = CATALOGUE[name][1]
    for each in options:
        if each not in known:
            raise InvalidArgument(f"{each!r} n'est pas un mot de {name}. Mots : {', '.join(known)}.", field="fault")
    group, _, method = name.partition(".")
    make: Callable[..., Fault] = getattr(getattr(faults, group), method)
    try:
        inspect.signature(make).bind(**options)
    except TypeError:
        raise InvalidArgument(f"Il manque à {name} : {_needed(make)}=.", field="fault") from None
    return make(**options)


def add_text(faults: Faults, text: str) -> Fault:
    """``webhook.delay:seconds=5,times=2``, as the command line has it."""
    name, _, rest = text.partition(":")
    options: Dict[str, Any] = {}
    for each in filter(None, (part.strip() for part in rest.split(","))):
        word, equals, value = (part.strip() for part in each.partition("="))
        if not equals:
            raise InvalidArgument(f"{each!r} : MOT=VALEUR est attendu, comme times=2.", field="fault")
        options[word] = _value(value)
    return add(faults, name.strip(), options)


def _value(text: str) -> Any:
    """A number, yes or no, else a text; the fault itself checks which it takes."""
    yes_no = {"oui": True, "true": True, "non": False, "false": False}.get(text.lower())
    if yes_no is not None:
        return yes_no
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _needed(make: Callable[..., Fault]) -> str:
    every = inspect.signature(make).parameters.values()
    return ", ".join(each.name for each in every if each.default is each.empty and each.kind is each.KEYWORD_ONLY)
