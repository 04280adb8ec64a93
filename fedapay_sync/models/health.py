"""Model of how a connector is: its database, its callbacks, its payments."""

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Dict, Mapping, Optional, Tuple

from fedapay_sync.display.connectors import health_html
from fedapay_sync.models.schema import to_plain


@dataclass(frozen=True)
class OwedCallbacks:
    """
    Ce qui est dû à un callback : les événements qu'il n'a pas encore traités, ceux qu'il traite compris.

    Attributes:
        count: nombre d'événements.
        oldest: depuis combien de secondes le plus ancien est là ; ``None`` si rien n'est dû.
    """

    count: int = 0
    oldest: Optional[float] = None


@dataclass(frozen=True)
class Health:
    """
    L'état d'un connecteur, en nombres et en instants : ni secret, ni donnée d'un client.

    Attributes:
        database: vrai si la base a répondu à temps ; sinon, tout ce qui vient d'elle est ``None``.
        schema: version de ses tables.
        working: vrai si ce processus appelle les callbacks et suit les paiements.
        workers: nombre de processus de travail qui vivent.
        owed: ce qui est dû à chaque callback que la base connaît, par son nom. Ce pour quoi elle n'en
            connaît pas encore y est sous ``webhook``, ``payment`` ou ``restored``.
        parked: nombre d'événements mis de côté, que ``parked()`` montre.
        followed: nombre de paiements dont le statut est lu de temps en temps chez FedaPay.
        last_webhook_at: quand est venu le dernier webhook signé qui a appris quelque chose, en UTC ; ``None`` s'il
            n'y en a pas parmi les dix mille derniers événements de la base.
        last_answer_at: quand FedaPay a répondu pour la dernière fois à ce processus, en UTC ; ``None`` si jamais.
        problems: ce qui ne va pas, en phrases courtes ; vide si tout va bien.
    """

    database: bool
    working: bool
    schema: Optional[int] = None
    workers: Optional[int] = None
    owed: Optional[Mapping[str, OwedCallbacks]] = None
    parked: Optional[int] = None
    followed: Optional[int] = None
    last_webhook_at: Optional[datetime] = None
    last_answer_at: Optional[datetime] = None
    problems: Tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Vrai si rien n'est dans ``problems``."""
        return not self.problems

    def _repr_html_(self) -> str:
        return health_html(self)

    def as_dict(self) -> Dict[str, Any]:
        """Le tout en types simples que JSON sait écrire."""
        return {"ok": self.ok, **to_plain(dataclasses.asdict(self))}

    to_dict = as_dict
    model_dump = as_dict
