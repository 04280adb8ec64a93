"""
Clears the local variables of the frames that an error leaves behind.

Error trackers, and logs that show local variables, read the frames of a traceback: below a public function lie keys,
tokens and customers. Lines and names of functions stay, for whoever looks for the fault. The frame of the program that
called is the program's own.
"""

import functools
import sys
import traceback
from typing import Any, Callable, Dict, Optional, Type, TypeVar, cast

from fedapay_sync.errors import FedapayError

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C")


def private(function: F) -> F:
    """
    The same function, whose errors carry no local variable of it or of what it calls, and none of our errors a foreign
    one, which may carry a request with its key.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        # What the program handles while it calls is its own, and in the chain of what is raised here.
        handled = sys.exc_info()[1]
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            # This frame is in the traceback, too.
            args, kwargs = (), {}
            clear_frames(error, handled)
            raise
        finally:
            del handled

    return cast(F, call)


def private_methods(cls: Type[C]) -> Type[C]:
    """A class whose constructor, public functions and properties are :func:`private`; an alias stays an alias."""
    made: Dict[int, Any] = {}
    for name, value in list(vars(cls).items()):
        if name.startswith("_") and name not in ("__init__", "__enter__", "__exit__"):
            continue
        if id(value) not in made:
            made[id(value)] = _made_private(value)
        if made[id(value)] is not value:
            setattr(cls, name, made[id(value)])
    return cls


def clear_frames(error: BaseException, handled: Optional[BaseException] = None) -> None:
    """
    Clear the finished frames of an error and of those in its chain, as far as one that was being handled before; cut
    what is foreign out of the chain of ours.
    """
    seen = {id(handled)}
    current: Optional[BaseException] = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        traceback.clear_frames(current.__traceback__)
        following = current.__cause__ if current.__cause__ is not None else current.__context__
        if isinstance(current, FedapayError) and following is not handled and not isinstance(following, FedapayError):
            if following is not None:
                traceback.clear_frames(following.__traceback__)
            suppressed = current.__suppress_context__
            current.__cause__, current.__context__ = None, handled
            current.__suppress_context__ = suppressed
            following = None
        current = following


def _made_private(value: Any) -> Any:
    if isinstance(value, classmethod):
        return classmethod(private(value.__func__))
    if isinstance(value, staticmethod):
        return staticmethod(private(value.__func__))
    if isinstance(value, property):
        return property(private(value.fget) if value.fget else None, value.fset, value.fdel, value.__doc__)
    return private(value) if callable(value) and hasattr(value, "__code__") else value
