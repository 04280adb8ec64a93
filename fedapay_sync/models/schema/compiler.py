"""
Compiles the tolerant reader of a model at its first use.

A list of 100 transactions is nearly nine thousand fields, and marshmallow spends microseconds on each. Here a model
becomes one function, in which a field takes three lines. What FedaPay nearly always sends is taken as it comes; all
else goes to the very readers that marshmallow calls, so both read alike. ``print(reader_source(Transaction))`` shows
it.
"""

import dataclasses
from functools import cache
from typing import Any, Callable, Dict, List

from fedapay_sync.models.schema.marshmallow_schema import load
from fedapay_sync.models.schema.readers import FieldReader, field_readers, known_fields, unknown_fields
from fedapay_sync.models.schema.values import Francs

#: A value of exactly this type is what its reader would give back.
_KEPT_UNREAD = {int: "int", Francs: "int", str: "str", bool: "bool"}


def reader_source(model: Any) -> str:
    """The reader of a model, as Python: a function from a dictionary to the model."""
    fields = field_readers(model)
    lines = ["def read(data):"]
    if any(each.required for each in fields):
        # Nothing else can be refused. marshmallow finds it again, and says it.
        lines += ["    if not data.keys() >= required:", "        refuse(data)"]
    lines.append("    get = data.get")
    for each in fields:
        lines += _field_lines(each)
    if hasattr(model, "__post_init__") or len(fields) < len(dataclasses.fields(model)):
        # It checks or changes what the fields hold, or sets some itself.
        arguments = ", ".join(f"{each.field.name}=v_{each.field.name}" for each in fields)
        lines.append(f"    made = model({arguments})")
    else:
        # The constructor of a frozen class sets its fields one by one; this object no other code holds yet.
        values = ", ".join(f"{each.field.name!r}: v_{each.field.name}" for each in fields)
        lines += ["    made = new(model)", f"    put(made, '__dict__', {{{values}}})"]
    lines += ["    put(made, 'extra', {} if known.issuperset(data) else unknown(data))", "    return made", ""]
    return "\n".join(lines)


def _field_lines(each: FieldReader) -> List[str]:
    name, value = each.field.name, f"v_{each.field.name}"
    taken = _KEPT_UNREAD.get(each.only)
    unless_taken = f" and type({value}) is not {taken}" if taken else ""
    lines = [
        f"    {value} = get({each.wire!r})",
        f"    if {value} is not None{unless_taken}:",
        f"        {value} = read_{name}({value})",
    ]
    if not each.required and each.default() is not None:
        lines += [f"    elif {each.wire!r} not in data:", f"        {value} = default_{name}()"]
    return lines


@cache
def reader_of(model: Any) -> Callable[[Dict[str, Any]], Any]:
    """The tolerant reader of a model."""
    names: Dict[str, Any] = {
        "model": model,
        "known": known_fields(model),
        "unknown": lambda data: unknown_fields(model, data),
        "required": frozenset(each.wire for each in field_readers(model) if each.required),
        "refuse": lambda data: load(model, data, strict=False),
        "new": object.__new__,
        "put": object.__setattr__,
    }
    for each in field_readers(model):
        names[f"read_{each.field.name}"] = each.read
        names[f"default_{each.field.name}"] = each.default
    exec(compile(reader_source(model), f"<reader of {model.__name__}>", "exec"), names)
    read: Callable[[Dict[str, Any]], Any] = names["read"]
    return read
