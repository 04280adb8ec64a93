"""The methods of a connector by which webhooks come in: our server, an application that exists, or by hand."""

from typing import Any, Mapping, Optional, Union

from fedapay_sync.common.env import AUTH_KEY
from fedapay_sync.common.hosting import is_reloader_parent
from fedapay_sync.common.logging import get_logger
from fedapay_sync.connector.runtime import Parts
from fedapay_sync.connector.standing import Standing
from fedapay_sync.errors import ConfigError
from fedapay_sync.workflow.webhooks.wsgi import Receive, WebhookApp

log = get_logger(__name__)


class Receiving(Standing):
    """A connector's doors for webhooks."""

    _has_receiver: bool

    def start_webhook_server(self) -> None:
        """
        Démarre le serveur de webhooks dans un thread ; sans effet s'il tourne déjà.

        Sans effet aussi dans le premier des deux processus de ``flask run --debug`` (ou ``manage.py runserver``) :
        il ne fait que surveiller les fichiers, et c'est le second qui sert.

        Raises:
            PortUnavailable: le port est pris.
            ConfigError: le connecteur a été construit sans ``use_listen_server=True``.
        """
        if not self._config.use_listen_server:
            raise ConfigError(
                "Ce connecteur n'a pas de serveur de webhooks : le construire avec use_listen_server=True, ou monter "
                "connector.wsgi_app (ou le blueprint de fedapay_sync.flask) dans l'application existante."
            )
        if is_reloader_parent():
            log.info("webhook server not started in the reloader's first process; the second one serves")
            return
        parts = self._here()
        parts.store.open()
        server = parts.serve(self.receive)
        log.info("webhook server listening on %s", server.url)

    @property
    def webhook_url(self) -> str:
        """Adresse locale du serveur de webhooks, chemin compris ; vide s'il ne tourne pas."""
        server = self._per_process.get().server
        return f"{server.url}/{self._config.endpoint_name}" if server is not None and server.is_running else ""

    def receive(self, payload: bytes, signature: Optional[str]) -> None:
        """
        Reçoit un webhook : contrôle la signature et garde l'événement. Au retour, il est sur disque : répondre 200.

        Args:
            payload: corps brut de la requête, octet pour octet.
            signature: valeur de l'en-tête ``X-FEDAPAY-SIGNATURE``.

        Raises:
            SignatureError: pas signé par FedaPay, ou trop vieux : répondre 400.
            StoreError: pas gardé : répondre 503, FedaPay reviendra.
        """
        self._expect_webhooks().inbox.receive(payload, signature)

    def verify_signature(self, payload: bytes, signature: Optional[str]) -> bool:
        """
        Vrai si FedaPay a signé ce corps, récemment. Ne rend jamais faux : lève.

        Raises:
            SignatureError: signature absente, illisible, fausse ou hors du délai de 300 s.
            ConfigError: aucun secret de webhook n'est configuré, ou le corps n'est pas en octets.
        """
        self._expect_webhooks().inbox.verify(payload, signature)
        return True

    def save_webhook(self, event: Union[Mapping[str, Any], str, bytes]) -> None:
        """
        Garde un événement dont la signature a déjà été vérifiée. Au retour, il est sur disque.

        Raises:
            EventError: ce n'est pas un événement décodé.
            StoreError: pas gardé : répondre 503, FedaPay reviendra.
        """
        self._expect_webhooks().inbox.save(event)

    def wsgi_app(self, path: Optional[str] = None) -> WebhookApp:
        """
        Application WSGI qui reçoit les webhooks, à monter dans une application existante.

        Args:
            path: chemin des webhooks ; ``None`` si l'application est montée à leur adresse.
        """
        self._check_can_verify()
        self._expect_webhooks()
        receive: Receive = self.receive
        return WebhookApp(receive, path)

    def _expect_webhooks(self) -> Parts:
        """Webhooks come here, so that status checks may be rare."""
        self._has_receiver = True
        parts = self._here()
        parts.watches.has_receiver = True
        return parts

    def _check_can_verify(self) -> None:
        if not self._config.webhook_secrets:
            raise ConfigError(
                f"Secret de webhook manquant : rien ne pourrait être vérifié. Définir {AUTH_KEY} ou "
                "fedapay_webhooks_secret_key avec le secret wh_… du tableau de bord FedaPay, page Webhooks."
            )
