"""Makes a reader for each field of a dataclass from its annotation."""

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import (
    Any,
    Callable,
    Dict,
    FrozenSet,
    List,
    NamedTuple,
    Tuple,
    Type,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from fedapay_sync.common.logging import get_logger
from fedapay_sync.models.schema.values import (
    Francs,
    read_bool,
    read_datetime,
    read_decimal,
    read_francs,
    read_int,
    read_text,
)

log = get_logger(__name__)

Read = Callable[[Any], Any]

#: What a reader raises when it cannot read.
READ_ERRORS = (ValueError, TypeError, ArithmeticError, AttributeError)

_READERS: Dict[Any, Read] = {
    int: read_int,
    str: read_text,
    bool: read_bool,
    Francs: read_francs,
    Decimal: read_decimal,
    datetime: read_datetime,
    Any: lambda value: value,
}


def _enum_reader(kind: Type[Enum], open_ended: bool) -> Read:
    known = {member.value: member for member in kind}

    def read(value: Any) -> Any:
        if isinstance(value, str):
            if value in known:
                return known[value]
            if open_ended:
                return value
        raise ValueError(f"l'un de ces mots est attendu : {', '.join(map(str, known))}")

    return read


def _model_reader(model: Any, strict: bool) -> Read:
    def read(value: Any) -> Any:
        # Asked first: a Mapping is found out by an abstract class, which takes longer than what is decided here.
        if type(value) is dict:
            return model.from_dict(value, strict=strict)
        if isinstance(value, model):
            return value
        if isinstance(value, Mapping):
            return model.from_dict(value, strict=strict)
        raise ValueError("un objet est attendu")

    return read


def _mapping_reader(value: Any) -> Any:
    if type(value) is dict or isinstance(value, Mapping):
        return dict(value)
    raise ValueError("un objet est attendu")


def _list_reader(read: Read) -> Read:
    def read_all(value: Any) -> List[Any]:
        if isinstance(value, (list, tuple)):
            return [read(each) for each in value]
        raise ValueError("une liste est attendue")

    return read_all


def _reader(kind: Any, strict: bool) -> Tuple[Read, bool]:
    """How to read that annotation, and whether None is one of its values."""
    if get_origin(kind) is Union:
        options = [option for option in get_args(kind) if option is not type(None)]
        optional = len(options) < len(get_args(kind))
        words = [option for option in options if isinstance(option, type) and issubclass(option, Enum)]
        if words:
            return _enum_reader(words[0], open_ended=str in options), optional
        if len(options) > 1:
            return _first_of([_reader(option, strict)[0] for option in options]), optional
        return _reader(options[0], strict)[0], optional
    if get_origin(kind) is list:
        return _list_reader(_reader(get_args(kind)[0], strict)[0]), False
    if get_origin(kind) is dict:
        return _mapping_reader, False
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enum_reader(kind, open_ended=False), False
    if hasattr(kind, "from_dict"):
        return _model_reader(kind, strict), False
    return _READERS[kind], kind is Any


def _first_of(readers: List[Read]) -> Read:
    def read(value: Any) -> Any:
        problem = ValueError("valeur inattendue")
        for each in readers:
            try:
                return each(value)
            except ValueError as error:
                problem = error
        raise problem

    return read


def _tolerant(read: Read, owner: str, wire: str) -> Read:
    """That reader, which keeps what it cannot read as it came, with a warning."""

    def keep(value: Any) -> Any:
        try:
            return read(value)
        except READ_ERRORS:
            log.warning("odd value kept as it came: %s.%s", owner, wire)
            return value

    return keep


class FieldReader(NamedTuple):
    """How one field of a model is read, by marshmallow and by the compiled reader alike."""

    field: "Field[Any]"
    #: Its name at FedaPay.
    wire: str
    kind: Any
    read: Read
    optional: bool

    @property
    def only(self) -> Any:
        """The type of its values, if there is but one beside None."""
        options = [each for each in get_args(self.kind) if each is not type(None)]
        return options[0] if get_origin(self.kind) is Union and len(options) == 1 else self.kind

    @property
    def required(self) -> bool:
        """Whether the object means nothing without it."""
        return self.field.default is MISSING and self.field.default_factory is MISSING

    def default(self) -> Any:
        """Its value where FedaPay sends nothing."""
        return self.field.default if self.field.default_factory is MISSING else self.field.default_factory()


@cache
def field_readers(model: Any, strict: bool = False) -> List[FieldReader]:
    """
    How the fields of a dataclass are read, in their order.

    The annotation says it; ``metadata`` may give another name (``wire``) or a reader of its own (``read``).
    """
    hints = get_type_hints(model)
    found: List[FieldReader] = []
    for each in fields(model):
        if each.init:
            wire = each.metadata.get("wire", each.name)
            read, optional = _reader(hints[each.name], strict)
            read = each.metadata.get("read", read)
            read = read if strict else _tolerant(read, model.__name__, wire)
            found.append(FieldReader(each, wire, hints[each.name], read, optional))
    return found


@cache
def known_fields(model: Any) -> FrozenSet[str]:
    """The names at FedaPay of the fields that a model has."""
    return frozenset(each.wire for each in field_readers(model))


def unknown_fields(model: Any, data: Mapping[str, Any]) -> Dict[str, Any]:
    """What a model has no field for, in the order it came."""
    known = known_fields(model)
    return {name: value for name, value in data.items() if name not in known}
