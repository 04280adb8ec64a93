"""
Filters lists by the query: ``search``, and the filters of FedaPay's own command line.

The complete grammar is not known. What is not understood is refused: a filter that is ignored would answer with
records that were not asked for.
"""

import operator
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence

from fedapay_sync.emulator.http.errors import Refusal, bilingual
from fedapay_sync.emulator.http.serializers import Record

_BAD_FILTER = bilingual("Le filtre n'est pas valide", "The filter is invalid")
_COMPARE: Dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

#: Finds the object that a record embeds under a name, like its customer, or None.
Embedded = Callable[[Record, str], Optional[Record]]


def select(
    query: Mapping[str, Any],
    records: Iterable[Record],
    searched: Sequence[str],
    *,
    embedded: Optional[Embedded] = None,
    searched_in: Optional[Mapping[str, Sequence[str]]] = None,
) -> List[Record]:
    """
    The records that the query asks for, in the order given.

    Args:
        searched: fields in which ``search`` looks.
        embedded: finds the embedded objects that filters test.
        searched_in: fields of embedded objects in which ``search`` looks as well.
    """
    words = str(query.get("search") or "*").lower()
    tests = _tests(query.get("filters"), embedded)

    def found(record: Record) -> bool:
        parts = [record.get(name) for name in searched]
        for name, fields in (searched_in or {}).items():
            inner = (embedded(record, name) if embedded else None) or {}
            parts += [inner.get(each) for each in fields]
        return any(words in str(each).lower() for each in parts if each)

    kept = records if words == "*" else filter(found, records)
    return [each for each in kept if all(test(each) for test in tests)] if tests else list(kept)


def match(
    query: Mapping[str, Any], records: Iterable[Record], same: Callable[[Record, str, str], bool]
) -> List[Record]:
    """``filters[name]=value`` of events and logs: all of them, or with ``match=should`` any."""
    wanted = {name: str(value) for name, value in _object(query.get("filters")).items()}
    if not wanted:
        return list(records)
    enough = any if query.get("match") == "should" else all
    return [each for each in records if enough(same(each, name, value) for name, value in wanted.items())]


def _tests(filters: Any, embedded: Optional[Embedded]) -> List[Callable[[Record], bool]]:
    tests: List[Callable[[Record], bool]] = []
    kinds = _object(filters)
    if set(kinds) - {"compare", "includes"}:
        raise _wrong()
    for name, wanted in _object(kinds.get("compare")).items():
        tests.append(_test_of(name, _object(wanted)))
    for kind, wanted in _object(kinds.get("includes")).items():
        for name, value in _object(wanted).items():
            inner = _test_of(name, value if isinstance(value, dict) else {"op": "=", "value": value})
            tests.append(_embedding(kind, inner, embedded))
    return tests


def _test_of(name: str, wanted: Record) -> Callable[[Record], bool]:
    compare = _COMPARE.get(str(wanted.get("op", "=")))
    value = wanted.get("value")
    if compare is None or not isinstance(value, (str, int)):
        raise _wrong()

    def test(record: Record) -> bool:
        have = record.get(name)
        if name not in record or (have is None and compare is not operator.ne):
            return False
        # Numbers as numbers, and everything else, dates too, as text.
        if isinstance(have, (int, float)) and not isinstance(have, bool):
            number = _number(value)
            return number is not None and compare(have, number)
        return compare(str(have), str(value))

    return test


def _embedding(kind: str, test: Callable[[Record], bool], embedded: Optional[Embedded]) -> Callable[[Record], bool]:
    def inside(record: Record) -> bool:
        inner = embedded(record, kind) if embedded else None
        return inner is not None and test(inner)

    return inside


def _number(value: Any) -> Optional[float]:
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _object(value: Any) -> Dict[str, Any]:
    if value in (None, ""):
        return {}
    if not isinstance(value, dict):
        raise _wrong()
    return value


def _wrong() -> Refusal:
    return Refusal(400, _BAD_FILTER, {"filters": [bilingual("n'est pas valide", "is invalid")]})
