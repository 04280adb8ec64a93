"""
The program's functions, and how the threads of a connector reach them without keeping the connector alive.

A running thread keeps alive what it can reach. A function of the program may hold the connector that it was given to:
if the threads held the function, no such connector would ever be collected.
"""

import contextlib
import weakref
from typing import Any, Callable, ContextManager, Dict, FrozenSet, Optional

from fedapay_sync.transport.exchange import Exchange
from fedapay_sync.workflow.callbacks.program_code import call_in

Observer = Callable[[Exchange], object]
#: Makes the context manager that one call of a callback is made in.
Around = Callable[[], ContextManager[Any]]


class Functions(Dict[str, Callable[[Any], Any]]):
    """The callbacks by kind, what each call of them is made in, and the observer. The connector alone holds them."""

    def __init__(self, observer: Optional[Observer] = None, around: Optional[Around] = None) -> None:
        super().__init__()
        self.observer = observer
        self.around: Around = around or contextlib.nullcontext


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

    def kinds(self) -> FrozenSet[str]:
        """The kinds that there is a function for."""
        return frozenset(self._functions() or ())

    def function(self, kind: str) -> Callable[[Any], Any]:
        """The program's function of that kind, for a caller that holds the connector meanwhile."""
        functions = self._functions()
        if functions is None:
            raise ReferenceError("the connector of this callback is gone")
        return functions[kind]

    def callback(self, kind: str) -> Callable[[Any], Any]:
        """Calls that function, and does not hold it."""
        return lambda argument: call_in(self.around, self.function(kind), argument)

    def around(self) -> ContextManager[Any]:
        """A context for one call of a function of the program."""
        functions = self._functions()
        return contextlib.nullcontext() if functions is None else functions.around()

    def _observe(self, exchange: Exchange) -> None:
        functions = self._functions()
        if functions is not None and functions.observer is not None:
            functions.observer(exchange)


def _ignore(reference: object) -> None:
    pass
