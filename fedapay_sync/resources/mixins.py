"""
The verbs that resources share.

A resource says where it lives, what it is made of and what is sent to it, and takes the verbs that FedaPay has for it.
"""

from typing import Any, Optional, Type

from fedapay_sync.errors import InvalidArgument, TransactionId
from fedapay_sync.models import QueueOptions
from fedapay_sync.models.pagination import PagedList
from fedapay_sync.models.params.bodies import checked
from fedapay_sync.resources.base import M, Params, Resource, given, listing


class Retrievable(Resource[M]):
    """Has ``GET /{path}/{id}``."""

    def retrieve(self, id: TransactionId, *, include: Any = None, api_key: Optional[str] = None, **params: Any) -> M:
        """
        Lit un objet par son identifiant.

        Args:
            include: objets à joindre, comme ``"customer,currency"``, là où FedaPay le permet.
            params: autres paramètres, transmis tels quels, comme ``locale="en"``.

        Raises:
            NotFound: il n'existe pas, ou pas dans ce compte.
        """
        query = listing(None, None, None, include, params)
        answer = self._caller.call("GET", self._address(id), api_key=api_key, params=query)
        found: M = self._read(answer)
        # A currency may be asked for by its name.
        if str(id).isdigit() and str(getattr(found, "id", id)) != str(int(id)):
            raise answer.unreadable(f"l'objet {id} est attendu, reçu {getattr(found, 'id', None)}")
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
        api_key: Optional[str] = None,
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
        return self._page(f"/{self.path}", listing(page, per_page, filters, include, params), api_key)


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
        api_key: Optional[str] = None,
        **params: Any,
    ) -> PagedList[M]:
        """Cherche un texte ; FedaPay ne dit pas dans quels champs. Voir ``list`` pour le reste."""
        if not isinstance(text, str):
            raise InvalidArgument(f"text : un texte est attendu, reçu {type(text).__name__}.", field="text")
        more = {"search": text, **params}
        return self._page(f"/{self.path}/search", listing(page, per_page, filters, include, more), api_key)


class Creatable(Resource[M]):
    """Has ``POST /{path}``."""

    def create(self, body: Optional[Params] = None, *, api_key: Optional[str] = None, **attributes: Any) -> M:
        """
        Crée un objet.

        Args:
            body: attributs de FedaPay, en dictionnaire ; ceux donnés par nom s'y ajoutent.

        Raises:
            InvalidArgument: un attribut que FedaPay refuserait certainement ; rien n'a été envoyé.
            BadRequest: FedaPay refuse ; ``errors`` dit quels champs.
            OutcomeUnknown: la réponse s'est perdue ; chercher l'objet avant de recommencer.
        """
        return self._post(checked(self.body, given(body, attributes)), api_key)

    def _post(self, body: Params, api_key: Optional[str]) -> M:
        made: M = self._read(self._caller.call("POST", f"/{self.path}", api_key=api_key, body=body))
        return made


class Updatable(Resource[M]):
    """Has ``PUT /{path}/{id}``."""

    def update(
        self, id: TransactionId, body: Optional[Params] = None, *, api_key: Optional[str] = None, **attributes: Any
    ) -> M:
        """
        Modifie les attributs donnés et rend le nouvel état de l'objet.

        Raises:
            InvalidArgument: un attribut que FedaPay refuserait certainement ; rien n'a été envoyé.
            Forbidden: l'objet n'est plus dans un état qui le permet.
        """
        changes = checked(self.body, given(body, attributes), partial=True)
        if not changes:
            raise InvalidArgument("body : il n'y a rien à modifier ; donner au moins un attribut.", field="body")
        updated: M = self._read(self._caller.call("PUT", self._address(id), api_key=api_key, body=changes))
        return updated


class Deletable(Resource[M]):
    """Has ``DELETE /{path}/{id}``."""

    def delete(self, id: TransactionId, *, api_key: Optional[str] = None) -> None:
        """
        Supprime un objet.

        Raises:
            NotFound: il n'existe pas.
            Forbidden: il n'est plus dans un état qui le permet.
        """
        self._caller.call("DELETE", self._address(id), api_key=api_key)


class Subscribable(Resource[M]):
    """Has ``POST /{path}/subscribe``."""

    def subscribe(self, *, api_key: Optional[str] = None) -> QueueOptions:
        """Ouvre une file AMQP où FedaPay publie ; pour qui a un client AMQP, comme l'outil officiel. Inutile sinon."""
        answer = self._caller.call("POST", f"/{self.path}/subscribe", api_key=api_key, body={})
        options: QueueOptions = self._read(answer, QueueOptions)
        return options


class Verifiable(Resource[M]):
    """Has ``GET /{path}/{reference}/verify``."""

    #: What answers: the object, and the settings of who published it.
    verification: Type[Any]

    def _verify(self, reference: str, api_key: Optional[str]) -> Any:
        answer = self._caller.call("GET", self._address(reference, "/verify", field="reference"), api_key=api_key)
        return self._read(answer, self.verification)
