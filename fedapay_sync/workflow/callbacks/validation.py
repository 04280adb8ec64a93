"""What may be called back, and under which name."""

import inspect
import sys
from datetime import datetime
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple, Union

from fedapay_sync.common.masking import escape_controls
from fedapay_sync.errors import ConfigError
from fedapay_sync.workflow.callbacks.program_code import named_object

#: A name, or a name and those that it had before.
Name = Union[str, Sequence[str], None]

#: Names that a setter gives, to callbacks of other kinds.
_FIXED = frozenset({"payment", "restored"})
#: The program that was run, as itself and as ``multiprocessing`` runs it again in a child. Under a name of its own the
#: child's function would be another callback, and each order delivered by both.
_MAIN = frozenset({"__main__", "__mp_main__"})
#: What Apache's mod_wsgi and uWSGI call a module that they were given the file of.
_OF_A_FILE = ("_mod_wsgi_", "uwsgi_file_")
#: As the database takes them.
_LONGEST_NAME = 200


class CheckedName(NamedTuple):
    """A name, and those that it had before."""

    name: str
    former: Tuple[str, ...]


def checked_around(given: Any) -> Any:
    """
    A function that makes the context of one call, or None.

    Raises:
        ConfigError: what cannot be called.
    """
    if given is None or callable(given):
        return given
    raise ConfigError(
        f"around_callback : une fonction qui rend un gestionnaire de contexte est attendue (app.app_context, par "
        f"exemple), reçu {type(given).__name__}."
    )


def check_callback(callback: Any, what: str, arguments: Sequence[str] = ("event",)) -> None:
    """
    Refuse what cannot be called as a callback.

    Args:
        arguments: what it is called with.

    Raises:
        ConfigError: not callable, asynchronous, a generator, or made for other arguments.
    """
    if not callable(callback):
        raise ConfigError(f"{what} : une fonction est attendue, reçu {type(callback).__name__}.")
    called = getattr(callback, "__call__", None)  # noqa: B004 - its code is inspected, not whether it exists
    if inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(called):
        raise ConfigError(
            f"{what} est une fonction asynchrone, que personne n'attendrait ici. Supprimer « async » devant « def », "
            "et les « await » dans son corps."
        )
    if any(
        check(each)
        for check in (inspect.isgeneratorfunction, inspect.isasyncgenfunction)
        for each in (callback, called)
    ):
        raise ConfigError(f"{what} contient « yield » : appelée, elle ne ferait rien. Remplacer yield par return.")
    try:
        signature = inspect.signature(callback, follow_wrapped=False)
    except (TypeError, ValueError):
        # Written in C, without a signature to be read.
        return
    try:
        signature.bind(*arguments)
    except TypeError:
        raise ConfigError(
            f"{what} est appelée avec {_counted(arguments)} ({', '.join(arguments)}), et celle-ci est faite pour "
            f"d'autres : {_shown(callback)}({', '.join(map(_shown_parameter, signature.parameters.values()))})."
        ) from None


def checked_name(given: Name, callback: Any, what: str) -> CheckedName:
    """
    The name of a callback: the one given, or else module and qualified name of the function.

    Raises:
        ConfigError: no such name, or a function that has none.
    """
    if given is None:
        return CheckedName(_checked_text(_name_of(callback), what), ())
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, (tuple, list)) or not names:
        raise ConfigError(
            f'{what} : name= attend un texte, ou le nouveau nom suivi des anciens (name=("nouveau", "ancien")), '
            f"reçu {type(given).__name__}."
        )
    checked: List[str] = [_checked_text(each, what) for each in names]
    if not _FIXED.isdisjoint(checked):
        raise ConfigError(
            f"{what} : « payment » et « restored » sont les noms d'on_payment et d'on_restored. En changer."
        )
    if len(set(checked)) != len(checked):
        raise ConfigError(f"{what} : name= répète un nom : {', '.join(map(_quoted, checked))}.")
    return CheckedName(checked[0], tuple(checked[1:]))


def checked_since(given: Any, what: str) -> Optional[float]:
    """
    An instant in UTC epoch seconds.

    Raises:
        ConfigError: no instant, or one without a time zone.
    """
    if given is None:
        return None
    if isinstance(given, datetime) and given.utcoffset() is not None:
        return given.timestamp()
    shown = "un datetime sans fuseau" if isinstance(given, datetime) else type(given).__name__
    raise ConfigError(
        f"{what} : since= attend un datetime avec son fuseau, par exemple datetime(2026, 11, 1, tzinfo=timezone.utc), "
        f"reçu {shown}."
    )


def is_same_function(one: Any, other: Any) -> bool:
    """Whether they are the same function, or the same method of the same object."""
    if one is other:
        return True
    return inspect.isroutine(one) and type(one) is type(other) and bool(one == other)


def _name_of(callback: Any) -> str:
    named = named_object(callback)
    module = str(getattr(named, "__module__", None) or "")
    if module in _MAIN or module.startswith(_OF_A_FILE):
        module = _imported_name(named, module)
    return f"{module}.{named.__qualname__}".lstrip(".")


def _imported_name(named: Any, module: str) -> str:
    """What that module is called where another program imports it: the module that was run, or the file's stem."""
    names = getattr(named, "__globals__", None) or vars(sys.modules.get(module) or sys.modules["__main__"])
    spec, file = names.get("__spec__"), names.get("__file__")
    if spec is not None and not str(spec.name).startswith(_OF_A_FILE):
        return str(spec.name)
    return str(file).replace("\\", "/").rpartition("/")[2].partition(".")[0] if file else module


def _checked_text(name: Any, what: str) -> str:
    if isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and name.isprintable() and name == name.strip():
        return name
    shown = _quoted(name[:40]) if isinstance(name, str) else type(name).__name__
    raise ConfigError(
        f"{what} : un nom est un texte d'une ligne, de 1 à {_LONGEST_NAME} caractères, sans blanc autour ; "
        f'reçu {shown}. En donner un avec name="…".'
    )


def _quoted(name: str) -> str:
    return f"« {escape_controls(name)} »"


def _shown(callback: Any) -> str:
    return str(getattr(named_object(callback), "__qualname__", "fonction"))


def _shown_parameter(parameter: inspect.Parameter) -> str:
    """Its name alone: a default may be a key."""
    return str(parameter.replace(default=inspect.Parameter.empty, annotation=inspect.Parameter.empty))


def _counted(arguments: Sequence[str]) -> str:
    return "un argument" if len(arguments) == 1 else f"{len(arguments)} arguments"
