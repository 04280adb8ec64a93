"""
Holds a key of the API or a webhook secret, from the configuration to the header and the HMAC.

It is no text and has no text form: what shows, logs, copies or pickles objects shows nothing of it. A subclass of
``str`` would be shown whole by tools that know texts.
"""

import hmac
from typing import Any, Callable, NoReturn, Union

from fedapay_sync.common.masking import fingerprint


class Secret:
    """
    A secret text.

    Attributes:
        label: a fingerprint, which may be stored and logged.
    """

    __slots__ = ("_reveal", "label")

    def __init__(self, text: str) -> None:
        # In a closure: not an attribute that a debugger lists.
        self._reveal: Callable[[], str] = lambda: text
        self.label = fingerprint(text)

    def reveal(self) -> str:
        """The text itself, for where it is sent or signs."""
        return self._reveal()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        ours, theirs = (each.reveal().encode("utf-8", "surrogatepass") for each in (self, other))
        return hmac.compare_digest(ours, theirs)

    def __hash__(self) -> int:
        return hash(self.label)

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, specification: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: Any) -> "Secret":
        return self


#: A key as a program gives it, or as we hold it.
Key = Union[str, Secret]


def held(key: Key) -> Secret:
    """That key in its holder."""
    return key if isinstance(key, Secret) else Secret(key)
