"""A property that is computed at first use and kept."""

from typing import Any, Callable, Generic, Optional, Type, TypeVar, overload

T = TypeVar("T")


class computed_once(Generic[T]):
    """
    As ``functools.cached_property``, without the lock that it has before Python 3.12: one for all objects of a class.
    A thread that computes at a fork would leave it locked, and the child would wait for it for ever.

    Computed by two threads at once, it is the same value twice.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: Type[Any], name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: Type[Any]) -> "computed_once[T]": ...

    @overload
    def __get__(self, instance: object, owner: Optional[Type[Any]] = None) -> T: ...

    def __get__(self, instance: Any, owner: Optional[Type[Any]] = None) -> Any:
        if instance is None:
            return self
        # Found there from now on: this is no data descriptor.
        value = instance.__dict__[self._name] = self._compute(instance)
        return value
