"""Base class of the models: reading, writing, comparing, repr without customers' data."""

import json
from dataclasses import dataclass
from typing import Any, Callable, ClassVar, Dict, Mapping, Optional, Tuple, Type, TypeVar

from fedapay_sync.common.frames import private
from fedapay_sync.common.masking import mask
from fedapay_sync.models.schema import checked_mapping, load, reader_of, schema_of, to_plain, unknown_fields

Json = Dict[str, Any]
M = TypeVar("M", bound="Model")


class Model:
    """
    Objet de FedaPay, immuable.

    Les champs que cette version ne connaît pas sont gardés dans ``extra``.
    """

    # In a slot, so that __dict__ shows the fields and nothing else.
    __slots__ = ("__dict__", "__weakref__", "extra")

    #: Clé de l'enveloppe autour de l'objet dans les réponses de l'API, par exemple ``v1/transaction``.
    envelope: ClassVar[str] = ""
    #: Fields that a repr shows: never a customer's data, a token or a key.
    _repr_fields: ClassVar[Tuple[str, ...]] = ("id",)

    extra: Dict[str, Any]

    def __init_subclass__(cls) -> None:
        # The dataclass decorator leaves alone what the class defines itself.
        cls.__hash__ = None  # type: ignore[assignment]
        cls.__repr__ = Model.__repr__  # type: ignore[method-assign]

    def __new__(cls: Type[M], *args: Any, **kwargs: Any) -> M:
        made = super().__new__(cls)
        object.__setattr__(made, "extra", {})
        return made

    @classmethod
    @private
    def from_dict(cls: Type[M], data: Mapping[str, Any], *, strict: bool = False) -> M:
        """
        Lit un objet tel que FedaPay l'envoie, sans son enveloppe.

        Args:
            data: l'objet.
            strict: refuser une valeur de la mauvaise forme au lieu de la garder telle quelle.

        Raises:
            InvalidArgument: ce n'est pas un objet, ou un champ indispensable manque.
        """
        if type(data) is not dict:
            data = checked_mapping(cls, data)
        made: M
        if strict:
            made = cls(**load(cls, data, strict=True))
            object.__setattr__(made, "extra", unknown_fields(cls, data))
        else:
            kind: Any = cls
            made = reader_of(kind)(data)
        return made

    def to_dict(self) -> Dict[str, Any]:
        """L'objet en types simples que JSON sait écrire, champs inconnus compris."""
        kind: Any = type(self)
        dumped: Dict[str, Any] = dict(schema_of(kind).dump(self))
        return {**to_plain(self.extra), **dumped}

    #: Nom de pydantic pour la même chose.
    model_dump = to_dict

    def to_json(self) -> str:
        """L'objet en JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def _shown_fields(self) -> Dict[str, Any]:
        """What a repr and a table show: never a customer's data, a token or a key."""
        return {name: _repr_value(name, getattr(self, name)) for name in self._repr_fields}

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self._shown_fields().items())
        return f"{type(self).__name__}({fields})"

    def __reduce__(self) -> Tuple[Callable[..., Any], Tuple[Any, ...]]:
        return _restore, (type(self), dict(self.__dict__), self.extra)


@dataclass(frozen=True)
class FedapayObject(Model):
    """
    Objet que FedaPay garde sous un numéro.

    Attributes:
        klass: genre de l'objet, comme ``v1/currency``.
        id: identifiant FedaPay.
    """

    klass: Optional[str] = None
    id: Optional[int] = None


def _restore(kind: Type[M], values: Dict[str, Any], extra: Dict[str, Any]) -> M:
    made = Model.__new__(kind)
    made.__dict__.update(values)
    object.__setattr__(made, "extra", extra)
    return made


def _repr_value(name: str, value: Any) -> Any:
    """A value that may be shown: a part shows itself, a text loses its secrets, an address its query."""
    if isinstance(value, Model):
        return value
    value = to_plain(value)
    if isinstance(value, str):
        return mask(value.partition("?")[0] if name == "url" else value)
    return value
