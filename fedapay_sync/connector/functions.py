"""
The program's functions, and how the threads of a connector reach them without keeping the connector alive.

A running thread keeps alive what it can reach. A function of the program may hold the connector that it was given to:
if the threads held the function, no such connector would ever be collected.
"""

import contextlib
import weakref
from typing import Any, Callable, ContextManager, Dict, List, NamedTuple, Optional

from fedapay_sync.common.hosting import is_interactive
from fedapay_sync.common.logging import get_logger
from fedapay_sync.errors import ConfigError
from fedapay_sync.store.callback_records import CallbackName
from fedapay_sync.store.states import CallbackKind
from fedapay_sync.transport.exchange import Exchange
from fedapay_sync.workflow.callbacks.program_code import call_in
from fedapay_sync.workflow.callbacks.validation import is_same_function

log = get_logger(__name__)

Observer = Callable[[Exchange], object]
#: Makes the context manager that one call of a callback is made in.
Around = Callable[[], ContextManager[Any]]
#: Whether callbacks that would run inline shall wait; what it is given then calls them.
Postpone = Callable[[Callable[[], None]], bool]


class Registered(NamedTuple):
    """
    A callback of the program.

    Attributes:
        is_set: a setter has set it, and may replace it.
    """

    name: CallbackName
    function: Callable[[Any], Any]
    is_set: bool


class Functions(Dict[str, Registered]):
    """The callbacks by name, what each call of them is made in, and the observer. The connector alone holds them."""

    def __init__(self, observer: Optional[Observer] = None, around: Optional[Around] = None) -> None:
        super().__init__()
        self.observer = observer
        self.around: Around = around or contextlib.nullcontext
        #: Asked before callbacks run inline; see ``InlineRunner``.
        self.postpone: Postpone = lambda run: False

    def register(self, callback: Registered, what: str) -> bool:
        """
        Have that callback from now on; false if it is there already.

        Raises:
            ConfigError: another function has its name.
        """
        name = callback.name.name
        present = self.get(name)
        if present is not None and not (present.is_set and callback.is_set):
            if is_same_function(present.function, callback.function) and present.name.kind == callback.name.kind:
                if present.name == callback.name:
                    return False
            elif is_interactive():
                log.warning("callback %s is replaced by the function that was just defined under that name", name)
            else:
                raise ConfigError(
                    f"{what} : le nom « {name} » est déjà pris, par une autre fonction ou pour d'autres événements, et "
                    'une seule serait appelée. Donner un nom à chacune : name="…".'
                )
        self._check_former(callback.name, what)
        self[name] = callback
        return True

    def _check_former(self, added: CallbackName, what: str) -> None:
        """Each former name is one function's, and no function has it now: at each start it is given up."""
        names = [added, *(each.name for each in self.values() if each.name.name != added.name)]
        former = [old for each in names for old in each.former]
        for old in former:
            if any(each.name == old for each in names):
                raise ConfigError(
                    f"{what} : « {old} » n'est pas un ancien nom, une fonction est enregistrée sous lui. "
                    "L'ôter de name=, ou ne plus enregistrer cette fonction."
                )
            if former.count(old) > 1:
                raise ConfigError(
                    f"{what} : « {old} » est l'ancien nom de deux fonctions, et ce qui lui est dû n'irait qu'à l'une. "
                    "L'ôter de name= à l'autre."
                )

    def has(self, kind: CallbackKind) -> bool:
        """Whether there is a callback of that kind."""
        return any(each.name.kind == kind for each in list(self.values()))


class WeakConnector:
    """A connector and its functions, as its threads reach them."""

    def __init__(self, connector: object, functions: Functions) -> None:
        # With a callback the reference of a connector in a cycle is cleared before the finalizers of that cycle run, in
        # Python 3.14 too: no function is called whose files and sessions have been finalized.
        self._connector = weakref.ref(connector, _ignore)
        self._functions = weakref.ref(functions, _ignore)
        self.observer = None if functions.observer is None else self._observe

    def hold(self) -> Optional[object]:
        """The connector, which lives as long as the caller keeps it; None if it is being collected."""
        return self._connector()

    def names(self) -> List[CallbackName]:
        """The callbacks that the program has."""
        return [each.name for each in list((self._functions() or {}).values())]

    def function(self, name: str) -> Callable[[Any], Any]:
        """The program's function of that name, for a caller that holds the connector meanwhile."""
        functions = self._functions()
        if functions is None:
            raise ReferenceError("the connector of this callback is gone")
        return functions[name].function

    def callback(self, name: str) -> Callable[[Any], Any]:
        """Calls that function, and does not hold it."""
        return lambda argument: call_in(self.around, self.function(name), argument)

    def around(self) -> ContextManager[Any]:
        """A context for one call of a function of the program."""
        functions = self._functions()
        return contextlib.nullcontext() if functions is None else functions.around()

    def postpone(self, run: Callable[[], None]) -> bool:
        """Whether callbacks that would run inline in this thread have to wait."""
        functions = self._functions()
        return functions is not None and functions.postpone(run)

    def _observe(self, exchange: Exchange) -> None:
        functions = self._functions()
        if functions is not None and functions.observer is not None:
            functions.observer(exchange)


def _ignore(reference: object) -> None:
    pass
