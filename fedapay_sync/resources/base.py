"""Base class of the resources, the requestor that they call FedaPay through, and the parameters that they share."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Callable, Dict, Generic, List, Optional, Type, TypeVar

from fedapay_sync.common.frames import private, private_methods
from fedapay_sync.common.masking import safe_repr
from fedapay_sync.common.secret import Key, Secret
from fedapay_sync.errors import InvalidArgument, TransactionId
from fedapay_sync.models import Model
from fedapay_sync.models.pagination import PagedList
from fedapay_sync.models.params.bodies import Body, checked_body
from fedapay_sync.models.params.identifiers import checked_id
from fedapay_sync.transport.responses import Response
from fedapay_sync.transport.transport import Transport

#: What stands in FedaPay's addresses where an id may stand: taken for one, it would call something else.
_OWN_WORDS = frozenset("batch fees light merchant receipt search start stub_event subscribe".split())

M = TypeVar("M", bound=Model)
Params = Mapping[str, Any]


@dataclass(frozen=True, repr=False)
class Requestor:
    """
    Calls FedaPay with the key and the account of one API object, over its transport.

    Attributes:
        key: gives the key for a call: the one given, or that of the program.
        account: account that is acted for (``FedaPay-Account``), or ``None``.
    """

    transport: Transport
    key: Callable[[Optional[Key]], Secret]
    account: Optional[str] = None

    def request(
        self,
        method: str,
        path: str,
        *,
        api_key: Optional[Key],
        params: Optional[Params] = None,
        body: Optional[Params] = None,
        headers: Optional[Mapping[str, str]] = None,
    ) -> Response:
        """One call; what it raises is what :meth:`Transport.request` raises."""
        extra = dict(headers or {})
        if self.account is not None:
            extra["FedaPay-Account"] = self.account
        return self.transport.request(
            method, path, key=self.key(api_key), params=params, body=body, headers=extra or None
        )


class Resource(Generic[M]):
    """One kind of object at FedaPay."""

    path: str
    model: Type[M]
    body: Type[Body] = Body

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        private_methods(cls)

    def __init__(self, requestor: Requestor) -> None:
        self._requestor = requestor

    def _read(self, response: Response) -> M:
        """One of the resource's own objects, which must have an id that can be asked for again."""
        made = read_object(self.model, response)
        try:
            checked_id(getattr(made, "id", None), "id")
        except InvalidArgument as error:
            raise response.unreadable(error.message.rstrip(".")) from None
        return made

    def _path_to(self, id: TransactionId, more: str = "", *, field: str = "id") -> str:
        segment = checked_id(id, field)
        if segment in _OWN_WORDS:
            raise InvalidArgument(
                f"{field} : « {segment} » est une adresse de FedaPay, pas un identifiant.", field=field
            )
        return f"/{self.path}/{segment}{more}"

    def _list_page(self, path: str, params: Dict[str, Any], api_key: Optional[Key]) -> PagedList[M]:
        response = self._requestor.request("GET", path, api_key=api_key, params=params)
        # One recorded list of logs stands under the singular.
        names = (f"v1/{self.path}", self.model.envelope)
        box = response.body if isinstance(response.body, dict) else {}
        items = next((box[name] for name in names if isinstance(box.get(name), list)), response.body)
        if not isinstance(items, list):
            raise response.unreadable(f"une liste « {names[0]} » est attendue")
        return PagedList(
            self.path,
            [build_model(self.model, each, response) for each in items],
            box.get("meta"),
            private(lambda number: self._list_page(path, {**params, "page": number}, api_key)),
        )


def read_object(kind: Type[M], response: Response) -> M:
    """The object that an answer holds, of any kind."""
    return build_model(kind, response.object(kind.envelope), response)


def read_with_text(kind: Type[M], response: Response, name: str, what: str) -> M:
    """The object that an answer holds, which means nothing without the text in that field."""
    made = read_object(kind, response)
    text = getattr(made, name)
    if not isinstance(text, str) or not text:
        raise response.unreadable(f"un {what} « {name} » est attendu")
    return made


def build_model(kind: Type[M], data: Mapping[str, Any], response: Response) -> M:
    """A model out of an answer."""
    try:
        return kind.from_dict(data)
    except InvalidArgument as error:
        raise response.unreadable(error.message.rstrip(".")) from None


def list_params(
    page: Optional[int], per_page: Optional[int], filters: Optional[Params], include: Any, more: Params
) -> Dict[str, Any]:
    """
    The query of a list.

    Raises:
        InvalidArgument: what cannot be a page, or filters that are no dictionary.
    """
    for name, value in (("page", page), ("per_page", per_page)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise InvalidArgument(
                f"{name}={safe_repr(value)} : un nombre entier à partir de 1 est attendu.", field=name
            )
    if filters is not None and not isinstance(filters, Mapping):
        raise InvalidArgument(
            "filters : un dictionnaire est attendu, comme {'type': 'transaction.approved'} ; reçu "
            f"{type(filters).__name__}.",
            field="filters",
        )
    given = {"page": page, "per_page": per_page, "filters": filters, "include": include_param(include), **more}
    return {name: value for name, value in given.items() if value is not None}


def include_param(include: Any) -> Optional[str]:
    """``include`` as it is sent, or None."""
    return None if include is None else str(checked_body(Body, {"include": include})["include"])


def merge_attributes(body: Optional[Params], attributes: Params) -> Dict[str, Any]:
    """
    Attributes given as a dictionary, by name, or both.

    Raises:
        InvalidArgument: no dictionary, or one attribute given twice.
    """
    if body is not None and not isinstance(body, Mapping):
        raise InvalidArgument(
            f"body : un dictionnaire d'attributs est attendu, reçu {type(body).__name__}.", field="body"
        )
    twice = sorted(set(body or ()) & set(attributes))
    if twice:
        raise InvalidArgument(f"{twice[0]} est donné deux fois, dans body et par son nom.", field=twice[0])
    return {**(body or {}), **attributes}


def checked_list(items: Any, field: str) -> List[Any]:
    """
    A list that has something in it.

    Raises:
        InvalidArgument: none, or an empty one.
    """
    listed = list(items) if isinstance(items, Iterable) and not isinstance(items, (str, bytes, Mapping)) else []
    if not listed:
        raise InvalidArgument(f"{field} : une liste d'au moins un élément est attendue.", field=field)
    return listed
