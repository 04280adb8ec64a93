"""
From a dataclass to a marshmallow schema, so that fields are written once.

Reading what FedaPay sends is tolerant: an odd value is kept as it came, with a warning, because one strange field
must not hide a payment. Checking what we send is strict: the same readers then raise.
"""

import re
from dataclasses import MISSING, Field, fields
from datetime import datetime, timezone
from decimal import Decimal
from enum import Enum
from functools import cache
from numbers import Real
from typing import (
    Any,
    Callable,
    Dict,
    List,
    Mapping,
    NewType,
    Tuple,
    Type,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import marshmallow

from .errors import InvalidArgument
from .masking import get_logger

log = get_logger(__name__)

#: Montant en francs entiers (le XOF et le GNF n'ont pas de centimes).
Francs = NewType("Francs", int)

Read = Callable[[Any], Any]

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}(\.0+)?\Z")
_FRACTION = re.compile(r"\.(\d+)")


def read_francs(value: Any) -> int:
    """500, 500.0 and "500" are 500; 12.5, True and any other text are refused."""
    if isinstance(value, bool):
        raise ValueError("un booléen n'est pas un montant")
    # Real: the numbers of a pandas column are no int and no float.
    if issubclass(type(value), (Real, Decimal)) and value == value // 1:
        return int(value)
    if isinstance(value, str) and _WHOLE.match(value):
        return int(value.partition(".")[0])
    raise ValueError("un nombre entier de francs est attendu")


def _read_int(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    raise ValueError("un nombre entier est attendu")


def _read_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ValueError("un texte est attendu")


def _read_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError("vrai ou faux est attendu")


def _read_decimal(value: Any) -> Decimal:
    if isinstance(value, (int, float, str, Decimal)) and not isinstance(value, bool):
        try:
            number = Decimal(str(value))
        except ArithmeticError:
            number = Decimal("nan")
        if number.is_finite():
            return number
    raise ValueError("un nombre décimal est attendu")


def read_datetime(value: Any) -> datetime:
    """An aware UTC datetime from FedaPay's ISO text, any number of decimals, with or without Z."""
    try:
        moment = value if isinstance(value, datetime) else _moment(value)
        return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)
    except (ValueError, TypeError, AttributeError, OverflowError):
        # Python's own message would quote the value.
        raise ValueError("une date ISO 8601 est attendue") from None


def _moment(text: str) -> datetime:
    # Before 3.11 fromisoformat takes neither Z nor a number of decimals other than 3 or 6.
    text = _FRACTION.sub(lambda found: "." + found.group(1)[:6].ljust(6, "0"), text.strip(), count=1)
    return datetime.fromisoformat(text[:-1] + "+00:00" if text[-1:] in ("Z", "z") else text)


def write_datetime(moment: datetime) -> str:
    """FedaPay's own form: UTC, three decimals, Z."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(value: Any) -> Any:
    """The value as JSON can carry it."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return write_datetime(value)
    if isinstance(value, Decimal):
        return str(value)
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value


_READERS: Dict[Any, Read] = {
    int: _read_int,
    str: _read_text,
    bool: _read_bool,
    Francs: read_francs,
    Decimal: _read_decimal,
    datetime: read_datetime,
    Any: lambda value: value,
}


def _word_reader(kind: Type[Enum], open_ended: bool) -> Read:
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
        if isinstance(value, model):
            return value
        if isinstance(value, Mapping):
            return model.from_dict(value, strict=strict)
        raise ValueError("un objet est attendu")

    return read


def _mapping_reader(value: Any) -> Any:
    if isinstance(value, Mapping):
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
            return _word_reader(words[0], open_ended=str in options), optional
        if len(options) > 1:
            return _first_of([_reader(option, strict)[0] for option in options]), optional
        return _reader(options[0], strict)[0], optional
    if get_origin(kind) is list:
        return _list_reader(_reader(get_args(kind)[0], strict)[0]), False
    if get_origin(kind) is dict:
        return _mapping_reader, False
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _word_reader(kind, open_ended=False), False
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


class _Value(marshmallow.fields.Field):  # type: ignore[type-arg,unused-ignore]
    """A marshmallow field around one of our readers."""

    def __init__(self, read: Read, owner: str, strict: bool, **options: Any) -> None:
        super().__init__(**options)
        self._read = read
        self._owner = owner
        self._strict = strict

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        try:
            return self._read(value)
        except (ValueError, TypeError, ArithmeticError, AttributeError) as error:
            if self._strict:
                raise marshmallow.ValidationError(str(error)) from None
            log.warning("odd value kept as it came: %s.%s", self._owner, attr)
            return value

    def _serialize(self, value: Any, attr: Any, obj: Any, **kwargs: Any) -> Any:
        return plain(value)


def _value(field: "Field[Any]", kind: Any, owner: str, strict: bool) -> _Value:
    read, optional = _reader(kind, strict)
    required = field.default is MISSING and field.default_factory is MISSING
    return _Value(
        read,
        owner,
        strict,
        required=required,
        allow_none=optional or not strict,
        data_key=field.metadata.get("wire", field.name),
    )


@cache
def schema_of(model: Any, strict: bool = False) -> marshmallow.Schema:
    """The marshmallow schema of a dataclass, made once. It loads to a dict of the model's arguments."""
    hints = get_type_hints(model)
    values: Dict[str, Any] = {
        each.name: _value(each, hints[each.name], model.__name__, strict) for each in fields(model) if each.init
    }
    values["Meta"] = type("Meta", (), {"unknown": marshmallow.INCLUDE})
    kind: Any = type(f"{model.__name__}Schema", (marshmallow.Schema,), values)
    schema: marshmallow.Schema = kind()
    return schema


def load(model: Any, data: Mapping[str, Any], strict: bool) -> Dict[str, Any]:
    """
    Read the arguments of a model, unknown fields among them.

    Raises:
        InvalidArgument: a field without which the object means nothing is missing or unreadable.
    """
    if not isinstance(data, Mapping):
        raise InvalidArgument(f"{model.__name__} : un objet est attendu, reçu {type(data).__name__}.", field="")
    try:
        loaded: Dict[str, Any] = schema_of(model, strict).load(dict(data))
    except marshmallow.ValidationError as error:
        problems = error.normalized_messages()
        # Only names and reasons: a value may be a customer's.
        names = ", ".join(f"{name} ({_reason(reasons)})" for name, reasons in problems.items())
        raise InvalidArgument(f"{model.__name__} illisible : {names}.", field=next(iter(problems), "")) from None
    return loaded


def _reason(reasons: Any) -> str:
    text = reasons[0] if isinstance(reasons, list) and reasons else reasons
    if "required" in str(text):
        return "champ manquant"
    return "ne peut pas être nul" if "null" in str(text) else str(text)
