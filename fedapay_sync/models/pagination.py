"""A list of FedaPay's, read page by page while it is iterated."""

import json
from dataclasses import dataclass
from typing import Any, Callable, ClassVar, Dict, Generic, Iterator, List, Optional, Tuple, TypeVar

from fedapay_sync.display.lists import list_html, size_text
from fedapay_sync.models.base import Model

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class ListMeta(Model):
    """Place d'une page dans sa liste (les pages se comptent à partir de 1)."""

    _repr_fields: ClassVar[Tuple[str, ...]] = ("current_page", "total_pages", "total_count")

    current_page: Optional[int] = None
    next_page: Optional[int] = None
    prev_page: Optional[int] = None
    per_page: Optional[int] = None
    total_pages: Optional[int] = None
    total_count: Optional[int] = None


class _PageReader:
    """How another page is read. A pickle carries neither connection nor key: there it is lost."""

    def __init__(self, read: Optional[Callable[[int], Any]]) -> None:
        self.read = read

    def __deepcopy__(self, memo: Any) -> "_PageReader":
        return self

    def __reduce__(self) -> Tuple[Any, ...]:
        return _PageReader, (None,)


class PagedList(Generic[M]):
    """
    Une liste de FedaPay. La parcourir va chercher les pages suivantes au besoin.

    Fausse quand sa première page est vide. Elle passe par ``pickle``, mais réduite à cette page : la parcourir alors ne
    va rien chercher ; pour tout garder, ``list(liste)``.

    Les objets de la première page portent aussi le nom de la liste (``liste.transactions``), comme dans le
    connecteur asynchrone.

    Attributes:
        items: objets de la première page.
        meta: place de cette page dans la liste. FedaPay donne les soldes et les devises d'un bloc, sans le dire :
            c'est alors une seule page.
    """

    def __init__(self, name: str, items: List[M], meta: Any, following: "Callable[[int], PagedList[M]]") -> None:
        self.name = name
        self.items = items
        self.meta: ListMeta = (
            ListMeta.from_dict(meta)
            if isinstance(meta, dict)
            else ListMeta(current_page=1, per_page=len(items), total_pages=1, total_count=len(items))
        )
        self._page_reader = _PageReader(following)

    @property
    def page(self) -> ListMeta:
        """Place de cette page dans la liste ; la même chose que ``meta``."""
        return self.meta

    def pages(self) -> "Iterator[PagedList[M]]":
        """Cette page et les suivantes, lues l'une après l'autre."""
        page, asked = self, 0
        while True:
            yield page
            meta = page.meta
            read = self._page_reader.read
            if read is None or not page.items or not isinstance(meta.next_page, int):
                return
            if asked == 0 and isinstance(meta.current_page, int):
                asked = meta.current_page
            # A server that does not know the parameter, or forgets to end its list, must not keep us for ever.
            if meta.next_page <= asked:
                return
            asked = meta.next_page
            page = read(asked)

    def __iter__(self) -> Iterator[M]:
        for page in self.pages():
            yield from page.items

    def __bool__(self) -> bool:
        return bool(self.items)

    def __getattr__(self, name: str) -> List[M]:
        if name == self.__dict__.get("name"):
            items: List[M] = self.items
            return items
        raise AttributeError(f"{type(self).__name__} n'a pas d'attribut {name!r}")

    def to_dict(self) -> Dict[str, Any]:
        """La première page en types simples : les objets sous le nom de la liste, et ``meta``."""
        return {self.name: [each.to_dict() for each in self.items], "meta": self.meta.to_dict()}

    #: Nom de pydantic pour la même chose.
    model_dump = to_dict

    def to_json(self) -> str:
        """La première page en JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def __repr__(self) -> str:
        return f"PagedList({self.name}, {size_text(self.items, self.meta)})"

    def _repr_html_(self) -> str:
        return list_html(self.name, [(each, each._shown_fields()) for each in self.items], self.meta)
