"""
The verbs that resources share.

A resource says where it lives and what it is made of, and takes the verbs that FedaPay has for it.
"""

import re
from typing import Any, Callable, Dict, Generic, Iterator, List, Mapping, Optional, Type, TypeVar

from ..answers import Answer
from ..errors import InvalidArgument, TransactionId
from ..models import ListMeta, Model
from ..transport import Transport, quoted

M = TypeVar("M", bound=Model)

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


def checked_id(value: Any, field: str = "id_transaction") -> str:
    """
    An identifier that stays one segment of a path.

    Raises:
        InvalidArgument: anything else.
    """
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
        return str(value)
    if isinstance(value, str) and _ID.match(value):
        return str(value)
    shown = repr(value[:80]) if isinstance(value, str) else f"un {type(value).__name__}"
    raise InvalidArgument(
        f"{field} : {shown} n'est pas un identifiant FedaPay ; un nombre, ou un texte de lettres, chiffres, « - » "
        "et « _ » est attendu.",
        field=field,
    )


class Page(Generic[M]):
    """
    Une liste de FedaPay, page après page : la parcourir va chercher les pages suivantes au besoin.

    Attributes:
        items: objets de la première page.
        meta: place de cette page dans la liste ; ``None`` si FedaPay ne le dit pas.
    """

    def __init__(self, items: List[M], meta: Optional[ListMeta], following: Callable[[int], "Page[M]"]) -> None:
        self.items = items
        self.meta = meta
        self._following = following

    def __iter__(self) -> Iterator[M]:
        page, asked = self, 0
        while True:
            yield from page.items
            meta = page.meta
            if meta is None or not page.items or not isinstance(meta.next_page, int):
                return
            if asked == 0 and isinstance(meta.current_page, int):
                asked = meta.current_page
            # A server that does not know the parameter, or forgets to end its list, must not keep us for ever.
            if meta.next_page <= asked:
                return
            asked = meta.next_page
            page = self._following(asked)

    def __repr__(self) -> str:
        return f"Page({len(self.items)} objets, {self.meta!r})"


class Resource(Generic[M]):
    """One kind of object at FedaPay."""

    path: str
    model: Type[M]

    def __init__(self, transport: Transport, key: Callable[[Optional[str]], str]) -> None:
        self._transport = transport
        self._key = key

    def _call(
        self,
        method: str,
        path: str,
        *,
        api_key: Optional[str],
        params: Optional[Mapping[str, Any]] = None,
        body: Optional[Mapping[str, Any]] = None,
    ) -> Answer:
        return self._transport.request(method, path, key=self._key(api_key), params=params, body=body)

    def _read(self, answer: Answer, model: Optional[Type[Any]] = None) -> Any:
        kind = model or self.model
        made = _built(kind, answer.object(kind.envelope), answer)
        if kind is self.model:
            try:
                # Without an id that can be asked for again, nobody could follow what it is.
                checked_id(getattr(made, "id", None), "id")
            except InvalidArgument as error:
                raise answer.unreadable(error.message.rstrip(".")) from None
        return made

    def _page(self, path: str, params: Dict[str, Any], api_key: Optional[str]) -> Page[M]:
        answer = self._call("GET", path, api_key=api_key, params=params)
        plural = f"{self.model.envelope}s"
        items = answer.body.get(plural) if isinstance(answer.body, dict) else answer.body
        if not isinstance(items, list):
            raise answer.unreadable(f"une liste « {plural} » est attendue")
        meta = answer.body.get("meta") if isinstance(answer.body, dict) else None
        return Page(
            [_built(self.model, each, answer) for each in items],
            ListMeta.from_dict(meta) if isinstance(meta, dict) else None,
            lambda number: self._page(path, {**params, "page": number}, api_key),
        )


def _built(kind: Type[M], data: Mapping[str, Any], answer: Answer) -> M:
    try:
        return kind.from_dict(data)
    except InvalidArgument as error:
        raise answer.unreadable(error.message.rstrip(".")) from None


class Retrievable(Resource[M]):
    """Has ``GET /{path}/{id}``."""

    def retrieve(self, id: TransactionId, *, api_key: Optional[str] = None) -> M:
        """Lit un objet par son identifiant. Lève ``NotFound`` s'il n'existe pas."""
        found: M = self._read(self._call("GET", f"/{self.path}/{checked_id(id, 'id')}", api_key=api_key))
        return found


class Listable(Resource[M]):
    """Has ``GET /{path}``."""

    def list(self, *, api_key: Optional[str] = None, **params: Any) -> Page[M]:
        """Liste les objets, du plus récent au plus ancien ; ``page`` et ``per_page`` sont ceux de FedaPay."""
        return self._page(f"/{self.path}", params, api_key)


class Searchable(Resource[M]):
    """Has ``GET /{path}/search``."""

    def search(self, text: str = "*", *, api_key: Optional[str] = None, **params: Any) -> Page[M]:
        """Cherche un texte ; FedaPay ne dit pas dans quels champs."""
        return self._page(f"/{self.path}/search", {"search": text, **params}, api_key)


class Updatable(Resource[M]):
    """Has ``PUT /{path}/{id}``."""

    def update(self, id: TransactionId, *, api_key: Optional[str] = None, **changes: Any) -> M:
        """Modifie un objet et rend son nouvel état."""
        answer = self._call("PUT", f"/{self.path}/{checked_id(id, 'id')}", api_key=api_key, body=changes)
        updated: M = self._read(answer)
        return updated


__all__ = ["Listable", "Page", "Resource", "Retrievable", "Searchable", "Updatable", "checked_id", "quoted"]
