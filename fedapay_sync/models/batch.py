"""The answer to a creation of several objects in one call."""

from typing import Any, ClassVar, List, Optional, Tuple

from fedapay_sync.models.base import Model


class Batch(Model):
    """Réponse à une création par lot : ce qui a été créé, et ``errors``."""

    _repr_fields: ClassVar[Tuple[str, ...]] = ("created_count", "error_count")
    #: The field that holds what was created.
    _created_field: ClassVar[str]
    errors: Optional[List[Any]]

    @property
    def created_count(self) -> int:
        """Nombre d'objets créés."""
        return _count(getattr(self, self._created_field))

    @property
    def error_count(self) -> int:
        """Nombre de refus."""
        return _count(self.errors)


def _count(found: Any) -> int:
    return len(found) if isinstance(found, list) else 0
