"""Makes a marshmallow schema of a dataclass, and our own error of what the schema refuses."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Dict

import marshmallow

from fedapay_sync.errors import InvalidArgument
from fedapay_sync.models.schema.readers import READ_ERRORS, Read, field_readers
from fedapay_sync.models.schema.values import to_plain


class _ReaderField(marshmallow.fields.Field):  # type: ignore[type-arg,unused-ignore]
    """A marshmallow field around one of our readers."""

    def __init__(self, read: Read, **options: Any) -> None:
        super().__init__(**options)
        self._read = read

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        try:
            return self._read(value)
        except READ_ERRORS as error:
            raise marshmallow.ValidationError(str(error)) from None

    def _serialize(self, value: Any, attr: Any, obj: Any, **kwargs: Any) -> Any:
        return to_plain(value)


@cache
def schema_of(model: Any, strict: bool = False) -> marshmallow.Schema:
    """
    The marshmallow schema of a dataclass, made once. It loads to a dict of the model's arguments; what else is in an
    object, ``unknown_fields`` gives.
    """
    values: Dict[str, Any] = {
        each.field.name: _ReaderField(
            each.read, required=each.required, allow_none=each.optional or not strict, data_key=each.wire
        )
        for each in field_readers(model, strict)
    }
    values["Meta"] = type("Meta", (), {"unknown": marshmallow.EXCLUDE})
    kind: Any = type(f"{model.__name__}Schema", (marshmallow.Schema,), values)
    schema: marshmallow.Schema = kind()
    return schema


def checked_mapping(model: Any, data: Any) -> Dict[str, Any]:
    """
    The object as a dictionary of its own.

    Raises:
        InvalidArgument: it is no object.
    """
    if not isinstance(data, Mapping):
        raise InvalidArgument(f"{model.__name__} : un objet est attendu, reçu {type(data).__name__}.", field="")
    return dict(data)


def load(model: Any, data: Mapping[str, Any], strict: bool) -> Dict[str, Any]:
    """
    Read the arguments of a model.

    Raises:
        InvalidArgument: a field without which the object means nothing is missing or unreadable.
    """
    try:
        loaded: Dict[str, Any] = schema_of(model, strict).load(checked_mapping(model, data))
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
