"""The methods of a connector that keep its database: what is parked, what is old, what comes from elsewhere."""

import os
from pathlib import Path
from typing import List, Optional, Union

from fedapay_sync.common.config import days
from fedapay_sync.connector.standing import Standing
from fedapay_sync.models import WebhookHistory
from fedapay_sync.store import Purged, StoredEvent
from fedapay_sync.workflow.callbacks.retry_policy import next_round
from fedapay_sync.workflow.waits.outcomes import event_of


class Upkeep(Standing):
    """The upkeep of a connector's database."""

    def parked(self) -> List[WebhookHistory]:
        """
        Les événements mis de côté : ceux dont le callback a échoué jusqu'au bout, et ceux qui sont illisibles.

        ``last_error`` dit pourquoi.
        """
        return [event_of(work) for work in self._parked()]

    def replay(self, event_key: Optional[str] = None) -> int:
        """
        Rappelle le callback des événements mis de côté, et rend leur nombre.

        Ils gardent leur ``event_key``, et ``attempt`` continue. Un événement illisible est relu.

        Args:
            event_key: la clé d'un seul événement ; tous par défaut.
        """
        parts = self._here()
        count = sum(parts.store.replay(work, next_round(work.attempts)) for work in self._parked(event_key))
        parts.callbacks.notify()
        return count

    def _parked(self, event_key: Optional[str] = None) -> List[StoredEvent]:
        environment, accounts = self._config.environment, list(self._config.accounts)
        return self._here().store.parked(environment, accounts, event_key)

    def purge(self, older_than_days: float) -> Purged:
        """
        Efface de la base les attentes et paiements finis, et le corps des événements traités, plus vieux que cela.

        Les clés des événements restent pour toujours : répété après des années, un événement est encore reconnu. Ce
        que FedaPay peut encore changer (moins de trois jours) et ce qui est mis de côté restent aussi.

        Args:
            older_than_days: âge en jours, 0 ou plus.

        Raises:
            ConfigError: ce n'est pas un nombre de jours.
        """
        return self._here().store.purge(days(older_than_days, "older_than_days") * 86400)

    def import_async(self, path: Union[str, "os.PathLike[str]"]) -> int:
        """
        Reprend les attentes de la base du connecteur asynchrone, et rend le nombre de celles qui sont nouvelles.

        Cette base n'est que lue. Chaque attente garde le temps qui lui reste, ses webhooks déjà reçus sont gardés
        comme les autres. Recommencer ne change rien. Appeler ensuite ``restore``.

        Args:
            path: fichier SQLite du connecteur asynchrone, ``processes.db``.

        Raises:
            StoreError: le fichier n'existe pas, ou n'est pas une telle base.
        """
        return self._here().moving.import_file(Path(path))
