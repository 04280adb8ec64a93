"""
Mixins: the calls that resources share, one class for each endpoint.

A resource gives its path, its model and its body, and takes the mixins of the endpoints that FedaPay has for it.
"""

from typing import Any, Generic, Optional, Type, TypeVar

from fedapay_sync.common.secret import Key
from fedapay_sync.errors import InvalidArgument, TransactionId
from fedapay_sync.models import Model, QueueOptions
from fedapay_sync.models.pagination import PagedList
from fedapay_sync.models.params.bodies import checked_body
from fedapay_sync.resources.base import M, Params, Resource, list_params, merge_attributes, read_object

V = TypeVar("V", bound=Model)


class Retrievable(Resource[M]):
    """Has ``GET /{path}/{id}``."""

    def retrieve(self, id: TransactionId, *, include: Any = None, api_key: Optional[Key] = None, **params: Any) -> M:
        """
        Lit un objet par son identifiant.

        Args:
            include: objets à joindre, comme ``"customer,currency"``, là où FedaPay le permet.
            params: autres paramètres, transmis tels quels, comme ``locale="en"``.

        Raises:
            NotFound: il n'existe pas, ou pas dans ce compte.
        """
        query = list_params(None, None, None, include, params)
        response = self._requestor.request("GET", self._path_to(id), api_key=api_key, params=query)
        found = self._read(response)
        # A currency may be asked for by its name.
        if str(id).isdigit() and str(getattr(found, "id", id)) != str(int(id)):
            raise response.unreadable(f"l'objet {id} est attendu, reçu {getattr(found, 'id', None)}")
        return found


class Listable(Resource[M]):
    """Has ``GET /{path}``."""

    def list(
        self,
        *,
        page: Optional[int] = None,
        per_page: Optional[int] = None,
        filters: Optional[Params] = None,
        include: Any = None,
        api_key: Optional[Key] = None,
        **params: Any,
    ) -> PagedList[M]:
        """
        Liste les objets, du plus récent au plus ancien. La parcourir va chercher les pages suivantes au besoin.

        Args:
            page: première page à lire, à partir de 1.
            per_page: objets par page ; FedaPay en donne 25 si rien n'est demandé, et ne dit pas son maximum.
            filters: filtres de FedaPay, transmis tels quels : ``{"type": "transaction.approved"}`` pour les
                événements, ``{"compare": {"status": {"op": "=", "value": "approved"}}}`` pour les transactions.
            include: objets à joindre, comme ``"customer,currency"``.
            params: autres paramètres, transmis tels quels ; FedaPay peut refuser (400) ceux qu'il ne connaît pas.
        """
        return self._list_page(f"/{self.path}", list_params(page, per_page, filters, include, params), api_key)


class Searchable(Resource[M]):
    """Has ``GET /{path}/search``."""

    def search(
        self,
        text: str = "*",
        *,
        page: Optional[int] = None,
        per_page: Optional[int] = None,
        filters: Optional[Params] = None,
        include: Any = None,
        api_key: Optional[Key] = None,
        **params: Any,
    ) -> PagedList[M]:
        """Cherche un texte ; FedaPay ne dit pas dans quels champs. Voir ``list`` pour le reste."""
        if not isinstance(text, str):
            raise InvalidArgument(f"text : un texte est attendu, reçu {type(text).__name__}.", field="text")
        more = {"search": text, **params}
        return self._list_page(f"/{self.path}/search", list_params(page, per_page, filters, include, more), api_key)


class Creatable(Resource[M]):
    """Has ``POST /{path}``."""

    def create(self, body: Optional[Params] = None, *, api_key: Optional[Key] = None, **attributes: Any) -> M:
        """
        Crée un objet.

        Args:
            body: attributs de FedaPay, en dictionnaire ; ceux donnés par nom s'y ajoutent.

        Raises:
            InvalidArgument: un attribut que FedaPay refuserait certainement ; rien n'a été envoyé.
            BadRequest: FedaPay refuse ; ``errors`` dit quels champs.
            OutcomeUnknown: la réponse s'est perdue ; chercher l'objet avant de recommencer.
        """
        return self._post(checked_body(self.body, merge_attributes(body, attributes)), api_key)

    def _post(self, body: Params, api_key: Optional[Key]) -> M:
        return self._read(self._requestor.request("POST", f"/{self.path}", api_key=api_key, body=body))


class Updatable(Resource[M]):
    """Has ``PUT /{path}/{id}``."""

    def update(
        self, id: TransactionId, body: Optional[Params] = None, *, api_key: Optional[Key] = None, **attributes: Any
    ) -> M:
        """
        Modifie les attributs donnés et rend le nouvel état de l'objet.

        Raises:
            InvalidArgument: un attribut que FedaPay refuserait certainement ; rien n'a été envoyé.
            Forbidden: l'objet n'est plus dans un état qui le permet.
        """
        changes = checked_body(self.body, merge_attributes(body, attributes), partial=True)
        if not changes:
            raise InvalidArgument("body : il n'y a rien à modifier ; donner au moins un attribut.", field="body")
        return self._read(self._requestor.request("PUT", self._path_to(id), api_key=api_key, body=changes))


class Deletable(Resource[M]):
    """Has ``DELETE /{path}/{id}``."""

    def delete(self, id: TransactionId, *, api_key: Optional[Key] = None) -> None:
        """
        Supprime un objet.

        Raises:
            NotFound: il n'existe pas.
            Forbidden: il n'est plus dans un état qui le permet.
        """
        self._requestor.request("DELETE", self._path_to(id), api_key=api_key)


class Manageable(Retrievable[M], Listable[M], Creatable[M], Updatable[M], Deletable[M]):
    """Has all five of the usual calls."""


class Subscribable(Resource[M]):
    """Has ``POST /{path}/subscribe``."""

    def subscribe(self, *, api_key: Optional[Key] = None) -> QueueOptions:
        """Ouvre une file AMQP où FedaPay publie ; pour qui a un client AMQP, comme l'outil officiel. Inutile sinon."""
        response = self._requestor.request("POST", f"/{self.path}/subscribe", api_key=api_key, body={})
        return read_object(QueueOptions, response)


class Verifiable(Resource[M], Generic[M, V]):
    """Has ``GET /{path}/{reference}/verify``."""

    #: What answers: the object, and the settings of the account that published it.
    verification: Type[V]

    def verify(self, reference: str, *, api_key: Optional[Key] = None) -> V:
        """Vue publique d'un objet, avec ses réglages, par sa référence."""
        path = self._path_to(reference, "/verify", field="reference")
        return read_object(self.verification, self._requestor.request("GET", path, api_key=api_key))
