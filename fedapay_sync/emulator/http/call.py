"""Call: one parsed request to the API; pages of lists, and batches."""

from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Callable, Dict, FrozenSet, Iterable, List, Mapping, NamedTuple, Sized, Tuple

from fedapay_sync.emulator.http.errors import MALFORMED, NOT_FOUND, Refusal, bilingual, missing_param
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.http.validation import items_of

_PER_PAGE = 25
_MOST_DIGITS = 18
_NO_PAGE = bilingual("n'est pas un nombre entier, 1 ou plus", "is not a whole number, 1 or more")

#: Answers a call: ``handler(call, **parts of the address)``; None is an empty answer, as after a deletion.
Handler = Callable[..., Any]
#: HTTP method, address with ``<parts>``, handler.
Route = Tuple[str, str, Handler]


class Created(NamedTuple):
    """The answer to a creation, whose status is a setting."""

    answer: Any


@dataclass(frozen=True)
class Call:
    """
    A parsed request.

    Attributes:
        body: attributes of the body, JSON or form.
        query: attributes of the query string, brackets parsed.
    """

    body: Record = field(default_factory=dict)
    query: Record = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def params(self) -> Record:
        """Query and body together: ``include`` and ``locale`` may stand in either."""
        return {**self.query, **self.body}

    @property
    def include(self) -> FrozenSet[str]:
        """Names of the objects to embed."""
        return frozenset(each.strip() for each in str(self.params.get("include", "")).split(",") if each.strip())

    @property
    def locale(self) -> str:
        """``en`` when English was asked for, else ``fr``."""
        return "en" if self.params.get("locale") == "en" else "fr"

    def page(self, name: str, items: Iterable[Any], serialize: Callable[[Any], Record]) -> Dict[str, Any]:
        """One page of a list, in the order given, with its ``meta``; only that page is serialized."""
        number, per_page = self._whole("page", 1), self._whole("per_page", _PER_PAGE)
        listed: Any = items if isinstance(items, Sized) else list(items)
        total_pages = -(-len(listed) // per_page)
        start = (number - 1) * per_page
        kept = islice(listed, start, start + per_page) if number <= total_pages else ()
        return {
            name: [serialize(each) for each in kept],
            "meta": {
                "current_page": number,
                "next_page": number + 1 if number < total_pages else None,
                "prev_page": number - 1 if number > 1 else None,
                "per_page": per_page,
                "total_pages": total_pages,
                "total_count": len(listed),
            },
        }

    def _whole(self, name: str, default: int) -> int:
        """A whole number of the query, 1 or more; empty as in a form is absent."""
        text = str(self.query.get(name, "")).strip()
        if not text:
            return default
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else 0
        if number < 1:
            raise Refusal(400, MALFORMED, {name: [_NO_PAGE]})
        return number


def make_each(call: Call, name: str, make: Callable[[Record], Record]) -> Tuple[List[Record], List[Record]]:
    """
    Makes each item of the batch of that name that can be made.

    Returns the made ones, and the errors of the others: how FedaPay reports those is unknown; here by index and reason.
    """
    wanted = items_of(call.body.get(name))
    if not wanted:
        raise missing_param(name)
    made: List[Record] = []
    errors: List[Record] = []
    for index, each in enumerate(wanted):
        try:
            made.append(make(each if isinstance(each, dict) else {}))
        except Refusal as refusal:
            errors.append({"index": index, **refusal.to_dict(call.locale)})
    return made, errors


def id_of(text: str) -> int:
    """The id in an address; 404 for what cannot be one."""
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise Refusal(404, NOT_FOUND)
    return int(text)
