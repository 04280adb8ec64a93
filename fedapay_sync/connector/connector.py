"""
Le connecteur : payer, attendre, recevoir les webhooks, reprendre après un redémarrage.

Une façade : chaque méthode dit ce qu'elle promet et passe la main à un service de ``workflow``. L'instance unique et
partagée du processus, ``FedapayConnector``, en est une sous-classe (``shared.py``).
"""

import os
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterable, Iterator, List, Mapping, Optional, Sequence, Union

from fedapay_sync.common.clock import SYSTEM_CLOCK, Clock
from fedapay_sync.common.config import (
    DEFAULT_POLL_RATE,
    DEFAULT_PORT,
    DEFAULT_TIMEOUT,
    Config,
    checked_days,
    read_config,
)
from fedapay_sync.common.credentials import require_webhook_secrets
from fedapay_sync.common.frames import private_methods
from fedapay_sync.common.hosting import is_reloader_parent, warn_where_waiting_blocks, warn_without_threads
from fedapay_sync.common.logging import attach_handlers, get_logger
from fedapay_sync.common.masking import mask
from fedapay_sync.connector.appearance import connector_card, connector_text
from fedapay_sync.connector.functions import Around, Functions, Observer, Registered, WeakConnector
from fedapay_sync.connector.per_process import PerProcess
from fedapay_sync.connector.registration import CallbackRegistration, OutcomeCallback
from fedapay_sync.connector.working import FirstRequest, StopEvent, work_until_stopped
from fedapay_sync.display.background_log import keep_out_of_cells
from fedapay_sync.display.interrupts import explain, explain_asking
from fedapay_sync.display.waits import shown_wait
from fedapay_sync.enums import CallbackMode, OnTimeout
from fedapay_sync.errors import ConfigError, InvalidArgument, TransactionId
from fedapay_sync.models import (
    FedapayPay,
    Health,
    Outcome,
    PaiementSetup,
    Transaction,
    TransactionDeleteStatus,
    UserData,
    WebhookHistory,
)
from fedapay_sync.models.params.identifiers import checked_transaction_id
from fedapay_sync.models.params.waits import checked_timeout, id_of_return
from fedapay_sync.store import Purged, StoredEvent
from fedapay_sync.store.states import CallbackKind
from fedapay_sync.transport.exchange import checked_observer
from fedapay_sync.workflow.callbacks.retry_policy import next_round
from fedapay_sync.workflow.callbacks.validation import checked_around
from fedapay_sync.workflow.reconciliation.polling_policy import Pace, PollingPolicy
from fedapay_sync.workflow.webhooks.history import history_of
from fedapay_sync.workflow.webhooks.wsgi import WebhookApp

if TYPE_CHECKING:
    # The services are loaded with the first runtime, and not by a program that only imports the package.
    from fedapay_sync.connector.runtime import Runtime
    from fedapay_sync.resources.api import Api
    from fedapay_sync.workflow.waits.listens import Listen

log = get_logger(__name__)


@private_methods
class Connector(CallbackRegistration):
    """
    Un compte FedaPay : paiements, attentes, webhooks.

    Sûr entre threads, entre processus qui partagent la base, et après un ``fork``. La construction n'ouvre rien et
    ne démarre rien. Un argument absent est lu dans l'environnement au moment de la construction.

    Celui que le programme ne garde plus ferme de lui-même ses threads, sa base et ses connexions ; ses fonctions ne
    sont ensuite plus appelées. Le gardent : l'application où il est monté, son serveur de webhooks jusqu'à ``close``,
    une attente gardée ou dont un callback est encore à appeler, un callback en cours.

    Args:
        fedapay_api_url: adresse de l'API (``FEDAPAY_API_URL``).
        use_listen_server: démarrer ici un serveur de webhooks avec ``start_webhook_server``.
        listen_server_endpoint_name: chemin des webhooks (``FEDAPAY_ENDPOINT_NAME``, ``webhooks`` par défaut).
        listen_server_port: port du serveur de webhooks, 3000 par défaut ; 0 prend un port libre.
        fedapay_webhooks_secret_key: secret des webhooks (``FEDAPAY_AUTH_KEY``) ; plusieurs, séparés par des
            virgules, pendant un changement de secret.
        print_log_to_console: montrer le journal dans le terminal. Sans lui, ce que les threads de fond notent ne vient
            pas dans les cellules d'un notebook : le connecteur, affiché, montre leurs derniers avertissements.
        save_log_to_file: écrire le journal dans ``logs/fedapay_sync.log`` ; plein (5 Mo), il est mis de côté, et les
            cinq derniers sont gardés.
        callbacks: où courent les callbacks : ``"here"``, sur des threads de ce processus ; ``"worker"``, dans des
            processus qui appellent ``run`` (celui-ci paie, attend et reçoit) ; ``"inline"``, dans le thread qui a reçu
            l'événement, avant qu'il ne revienne (tests, CGI, hébergement sans threads).
        callback_timeout: attente des callbacks en cours à la fermeture, en secondes.
        db_url: base des paiements en attente (``FEDAPAY_DB_URL``).
        api_key: clé secrète de l'API (``FEDAPAY_API_KEY``).
        host: adresse d'écoute du serveur de webhooks.
        on_timeout: à l'échéance d'une attente, ``"keep"`` garde le lien payable, ``"delete"`` annule la transaction.
        confirm_with_api: relire chaque transaction chez FedaPay avant de croire ce qu'un webhook dit de sa fin. Un
            secret de webhook volé ne suffit alors pas à faire passer une commande pour payée.
        api_keys: autres clés du programme, pour reprendre les paiements faits avec elles.
        keep_bodies_days: jours pendant lesquels le corps d'un événement traité reste dans la base ; ``None`` sans
            limite, 0 pour l'effacer dès qu'il est traité (au plus un jour après, si c'est un paiement que cette base
            n'a pas demandé). Sa clé reste : répété, il est reconnu.
        poll_rate: lectures de statut par seconde, de tous les processus qui partagent la base. Les appels que fait le
            programme lui-même (``check_status``…) n'y comptent pas.
        around_callback: fonction qui rend un gestionnaire de contexte, fait pour chaque appel d'un callback : le
            contexte de l'application, les connexions de sa base.
        observer: fonction appelée avec un ``Exchange`` après chaque appel à FedaPay ; ni clé, ni donnée de client.
        clock: horloge, pour les tests.
        pace: rythme des lectures de statut, pour les tests.

    Raises:
        ConfigError: réglage manquant, contradictoire ou dangereux.
    """

    def __init__(
        self,
        fedapay_api_url: Optional[str] = None,
        use_listen_server: Optional[bool] = False,
        listen_server_endpoint_name: Optional[str] = None,
        listen_server_port: Optional[int] = DEFAULT_PORT,
        fedapay_webhooks_secret_key: Union[str, Sequence[str], None] = None,
        print_log_to_console: Optional[bool] = False,
        save_log_to_file: Optional[bool] = False,
        callback_timeout: Optional[float] = 10,
        db_url: Optional[str] = None,
        *,
        callbacks: Union[CallbackMode, str] = CallbackMode.HERE,
        api_key: Optional[str] = None,
        host: str = "127.0.0.1",
        on_timeout: Union[OnTimeout, str] = OnTimeout.KEEP,
        confirm_with_api: bool = False,
        api_keys: Sequence[str] = (),
        keep_bodies_days: Optional[float] = 30,
        poll_rate: float = DEFAULT_POLL_RATE,
        around_callback: Optional[Around] = None,
        observer: Optional[Observer] = None,
        clock: Clock = SYSTEM_CLOCK,
        pace: Optional[Pace] = None,
    ) -> None:
        # By name, and before there is another local: each setting is written once here, once in Config.
        self._config = read_config(locals())
        self._callbacks = Functions(checked_observer(observer), checked_around(around_callback))
        self._expects_webhooks = False
        self._per_process = PerProcess(self, lambda connector: connector._build_runtime(clock, pace))
        self._running = threading.Lock()
        keep_out_of_cells()
        attach_handlers(console=self._config.print_log_to_console, file=self._config.save_log_to_file)
        _living.add(self)

    @property
    def api(self) -> "Api":
        """Toutes les ressources de FedaPay, appel par appel : ``connector.api.payouts.create(...)``."""
        return self._per_process.get().api

    # -- payer --------------------------------------------------------------------------------------------------

    def pay(
        self,
        setup: PaiementSetup,
        client_infos: Optional[UserData],
        montant_paiement: int,
        callback_url: Optional[str] = None,
        api_key: Optional[str] = None,
        merchant_reference: Optional[str] = None,
        custom_metadata: Optional[Mapping[str, Any]] = None,
        description: Optional[str] = None,
        *,
        payment_contact: Optional[str] = None,
        again: bool = False,
    ) -> FedapayPay:
        """
        Lance un paiement : crée la transaction et invite le client à payer. Rien n'est encore payé.

        Avec une ``merchant_reference`` déjà utilisée, rend le paiement existant ; le client n'est invité que s'il ne
        l'a certainement pas encore été. Après une coupure, rappeler ``pay`` avec la même référence est sans danger.

        Rien d'autre n'est à faire pour apprendre la fin du paiement : elle parvient au callback de webhook, par le
        webhook ou, s'il se perd, par une lecture du statut, ici ou dans un autre processus qui a la même base.

        Args:
            setup: pays et méthode de paiement.
            client_infos: le client ; peut être ``None`` avec redirection ou avec ``payment_contact``.
            montant_paiement: montant en francs entiers, plus grand que 0.
            callback_url: page de la boutique où FedaPay renvoie le navigateur du client (ce n'est pas le webhook).
            api_key: clé d'un autre compte marchand, pour ce paiement.
            merchant_reference: référence unique de la boutique ; une est inventée si elle manque.
            custom_metadata: données de la boutique, rendues telles quelles ; rien de confidentiel.
            description: texte montré au client.
            payment_contact: numéro à débiter s'il n'est pas ``client_infos.tel``.
            again: sans référence, demander même si ce paiement (même client, montant, moyen, texte, données) vient
                d'être demandé il y a moins de dix minutes.

        Raises:
            InvalidArgument: un argument est refusé ; rien n'a été envoyé.
            DuplicatePayment: dans un notebook ou une console, sans référence : ce paiement vient d'être demandé, une
                cellule relancée peut-être ; rien n'a été envoyé. Ailleurs, un avertissement, une fois.
            ReferenceTaken: la référence désigne un autre paiement ; ``error.id_transaction`` et ``error.fields``
                disent lequel et ce qui diffère. ``adopt`` passe outre.
            AmountMismatch: FedaPay a créé la transaction avec un autre montant ou une autre devise.
            OutcomeUnknown: la réponse s'est perdue ; rappeler ``pay`` avec la même référence.
            ApiError: FedaPay a refusé. ``error.id_transaction`` est donné si la transaction existe déjà.
            StoreError: la base n'a pas répondu ; rappeler ``pay`` avec la même référence.

        Example:
            >>> paiement = connector.pay(setup, client, 1000, merchant_reference="CMD-17")
            >>> paiement.status.value
            'pending'
        """
        try:
            return self._started_runtime().payments.pay(
                setup,
                client_infos,
                montant_paiement,
                payment_contact=payment_contact,
                callback_url=callback_url,
                api_key=api_key,
                merchant_reference=merchant_reference,
                custom_metadata=custom_metadata,
                description=description,
                again=again,
            )
        except KeyboardInterrupt as error:
            explain_asking(error, merchant_reference is not None)
            raise error

    def adopt(
        self, merchant_reference: str, id_transaction: TransactionId, api_key: Optional[str] = None
    ) -> Transaction:
        """
        Décide qu'une transaction est bien le paiement de cette référence, quand ``pay`` a levé ``ReferenceTaken`` ou
        qu'elle vient d'un autre programme. À n'appeler qu'après vérification par une personne.

        Le montant et la devise qu'elle porte maintenant deviennent ce qui est demandé ; ``pay`` avec cette référence
        la rend, ``finalise`` et le callback la traitent comme les autres.

        Raises:
            NotFound: FedaPay ne la connaît pas.
            ReferenceTaken: la référence ou la transaction appartient déjà à un autre paiement de cette base.
            StoreError: la base n'a pas répondu ; rien n'est décidé, recommencer.
        """
        return self._started_runtime().decisions.adopt(merchant_reference, id_transaction, api_key)

    def accept(self, id_transaction: TransactionId) -> None:
        """
        Décide qu'un paiement « suspect » vaut ce qui était demandé. À n'appeler qu'après vérification par une personne.

        ``finalise`` le rend ensuite payé, et le callback de webhook l'apprend une fois, ``paid`` vrai.

        Raises:
            InvalidArgument: cette base n'a pas demandé ce paiement, ou rien n'en est suspect.
            StoreError: la base n'a pas répondu ; rien n'est décidé, recommencer.
        """
        self._started_runtime().decisions.accept(id_transaction)

    def forget(self, id_transaction: TransactionId) -> bool:
        """
        Cesse de suivre une transaction : ce qu'un émulateur vidé a laissé, par exemple. Faux s'il n'y avait rien.

        Ses attentes finissent par ``CANCELLED``. Les événements que FedaPay a envoyés restent, et restent dus.
        ``StoreError`` si la base n'a pas répondu : recommencer.
        """
        return self._per_process.get().decisions.forget(id_transaction)

    def returned(self, query: Union[Mapping[str, Any], str]) -> Outcome:
        """
        Dit où en est le paiement dont la page de FedaPay renvoie le navigateur du client (``callback_url``).

        Seul l'``id`` de l'adresse est lu. Le ``status`` qu'elle porte n'est pas signé, n'importe qui peut l'écrire : il
        est ignoré. La réponse vient de la base, ou de FedaPay si elle ne sait pas encore. L'``id`` aussi peut être
        celui d'un autre paiement : chercher la commande par ``outcome.id_transaction``, jamais l'inverse.

        Args:
            query: les paramètres de l'adresse : ``request.args`` (Flask), ``request.GET`` (Django), ou le texte.

        Raises:
            InvalidArgument: pas d'``id`` lisible.
            NotFound: ni cette base ni FedaPay ne connaissent cette transaction.
            StatusUnknown: FedaPay ne répond pas ; montrer « paiement en cours de vérification ».
            AmountMismatch: payé, mais ni le montant ni la devise demandés.
            StoreError: la base n'a pas répondu ; montrer la même chose.

        Example:
            >>> connector.returned({"id": str(paiement.id_transaction), "status": "approved"}).paid
            True
        """
        return self._started_runtime().lookup.now(id_of_return(query))

    def check_status(self, id_transaction: TransactionId, api_key: Optional[str] = None) -> Transaction:
        """
        Lit une transaction chez FedaPay, maintenant.

        Un statut final est aussi gardé : il met fin aux attentes et parvient au callback de webhook, une seule fois.

        Raises:
            NotFound: FedaPay ne connaît pas cette transaction.
            TransportError: FedaPay n'a pas répondu.
            StoreError: la base n'a pas répondu ; rappeler plus tard.
        """
        return self._started_runtime().statuses.read(id_transaction, api_key)

    def get_transaction_by_merchant_reference(self, merchant_id: str, api_key: Optional[str] = None) -> Transaction:
        """
        Lit chez FedaPay la transaction qui porte cette référence marchande.

        Raises:
            NotFound: aucune transaction ne la porte.
        """
        return self._per_process.get().api.transactions.by_merchant_reference(merchant_id, api_key=api_key)

    def cancel(self, id_transaction: TransactionId, api_key: Optional[str] = None) -> TransactionDeleteStatus:
        """
        Annule chez FedaPay une transaction encore en attente, et met fin aux attentes (``CANCELLED``).

        Raises:
            TransactionIsNotPendingAnymore: elle n'est plus en attente ; lire son statut.
            StoreError: la base n'a pas répondu, avant l'annulation ou juste après ; lire son statut.
        """
        runtime = self._started_runtime()
        number = checked_transaction_id(id_transaction)
        deleted = runtime.api.transactions.delete(number, api_key=runtime.keyring.key_for(number, api_key))
        runtime.listens.cancel(number)
        return deleted

    # -- attendre -----------------------------------------------------------------------------------------------

    def finalise(
        self,
        id_transaction: TransactionId,
        timeout: float = DEFAULT_TIMEOUT,
        *,
        on_timeout: Union[OnTimeout, str, None] = None,
        api_key: Optional[str] = None,
        progress: Optional[bool] = None,
    ) -> Outcome:
        """
        Attend la fin d'un paiement et rend son résultat.

        Bloque le thread appelant. Peut être rappelée sans risque, dans ce processus ou un autre : tous ceux
        qui attendent reçoivent la même réponse. Elle ne dure jamais plus que ``timeout`` et 30 secondes.

        Dans un notebook, une carte montre l'état et le temps passé, dans un terminal une ligne ; ailleurs, rien.
        Interrompue (Ctrl-C), elle lève ``KeyboardInterrupt`` ; le paiement reste suivi, la rappeler continue.

        Args:
            id_transaction: identifiant FedaPay, donné par ``pay``.
            timeout: délai en secondes ; à l'échéance le statut est vérifié chez FedaPay avant de conclure.
                0 regarde une fois.
            on_timeout: ``"keep"`` ou ``"delete"``, pour cette attente.
            api_key: clé du compte marchand, si ce n'est pas celle du connecteur.
            progress: ``False`` ne montre rien.

        Raises:
            NotFound: ni cette base ni FedaPay ne connaissent cette transaction.
            StatusUnknown: FedaPay ne répond pas à l'échéance. Le paiement reste suivi ; rappeler plus tard.
            AmountMismatch: payé, mais ni le montant ni la devise demandés.
            StoreError: la base n'a pas répondu. Ce n'est pas un résultat : rappeler.

        Example:
            >>> resultat = connector.finalise(paiement.id_transaction)
            >>> resultat.paid
            True
        """
        warn_where_waiting_blocks()
        try:
            with shown_wait(id_transaction, checked_timeout(timeout), progress) as shown:
                listens = self._started_runtime().listens
                return shown.ended(
                    listens.finalise(id_transaction, timeout, on_timeout=on_timeout, api_key=api_key, tick=shown.tick)
                )
        except KeyboardInterrupt as error:
            explain(error, id_transaction)
            raise error

    def listen(
        self,
        id_transaction: TransactionId,
        timeout: float = DEFAULT_TIMEOUT,
        *,
        on_timeout: Union[OnTimeout, str, None] = None,
        api_key: Optional[str] = None,
        callback: Optional[OutcomeCallback] = None,
    ) -> "Listen":
        """
        Commence à attendre sans bloquer ; le résultat se demande à ce qui est rendu.

        Args:
            id_transaction: identifiant FedaPay, donné par ``pay``.
            timeout: délai en secondes ; à l'échéance le statut est vérifié chez FedaPay avant de conclure.
            on_timeout: ``"keep"`` ou ``"delete"``, pour cette attente.
            api_key: clé du compte marchand, si ce n'est pas celle du connecteur.
            callback: fonction appelée une fois avec l'``Outcome``, sur un autre thread ; ``outcome.error`` est
                ``NotFound`` si ni cette base ni FedaPay ne connaissent la transaction. Si ce processus meurt avant,
                personne d'autre ne peut l'appeler : l'attente, elle, reste, et ``on_restored`` en reçoit la fin.

        Raises:
            ConfigError: le callback n'est pas une fonction ordinaire.
            StoreError: la base n'a pas répondu ; rappeler est sans danger.
        """
        return self._started_runtime().listens.listen(
            id_transaction, timeout, on_timeout=on_timeout, api_key=api_key, callback=callback
        )

    def listen_many(
        self,
        ids: Iterable[TransactionId],
        timeout: float = DEFAULT_TIMEOUT,
        *,
        on_timeout: Union[OnTimeout, str, None] = None,
        api_key: Optional[str] = None,
        callback: Optional[OutcomeCallback] = None,
    ) -> List["Listen"]:
        """
        Commence à attendre plusieurs transactions sans bloquer, des milliers s'il le faut ; rend une attente pour
        chacune, dans le même ordre.

        Comme autant d'appels à ``listen``, en quelques écritures au lieu de milliers. Les premières lectures de statut
        sont espacées d'un cinquième de seconde, pour ménager FedaPay ; les webhooks n'attendent pas.

        Args:
            ids: identifiants FedaPay.
            timeout: délai de chacune, en secondes.
            on_timeout: ``"keep"`` ou ``"delete"``, pour ces attentes.
            api_key: clé du compte marchand, si ce n'est pas celle du connecteur.
            callback: fonction appelée une fois pour chacune avec son ``Outcome``, sur un autre thread.

        Raises:
            InvalidArgument: ce n'est pas une liste d'identifiants ; rien n'est attendu.
            StoreError: la base n'a pas tout écrit. Ce qui l'a été reste suivi ; rappeler avec la même liste est sans
                danger, et le callback n'est alors appelé qu'une fois.

        Example:
            >>> attentes = connector.listen_many([paiement.id_transaction])
            >>> attentes[0].result().paid
            True
        """
        return self._started_runtime().listens.listen_many(
            ids, timeout, on_timeout=on_timeout, api_key=api_key, callback=callback
        )

    def finalise_many(
        self,
        ids: Iterable[TransactionId],
        timeout: float = DEFAULT_TIMEOUT,
        *,
        on_timeout: Union[OnTimeout, str, None] = None,
        api_key: Optional[str] = None,
        progress: Optional[bool] = None,
    ) -> List[Outcome]:
        """
        Attend la fin de plusieurs paiements et rend leurs résultats, dans l'ordre des identifiants.

        Une seule échéance pour tous, et un seul thread. Un paiement qui pose problème n'arrête pas les autres : ce que
        ``finalise`` lèverait pour lui est dans ``outcome.error``, et ``outcome.state`` vaut ``suspect``
        (``AmountMismatch``), ``not_found`` (``NotFound``) ou ``pending`` (``StatusUnknown``). Interrompue (Ctrl-C),
        elle ne perd rien : les paiements restent suivis, la rappeler rend aussitôt ceux qui ont fini.

        Args:
            ids: identifiants FedaPay.
            timeout: délai en secondes, le même pour tous ; à l'échéance FedaPay est interrogé.
            on_timeout: ``"keep"`` ou ``"delete"``, pour ces attentes.
            api_key: clé du compte marchand, si ce n'est pas celle du connecteur.
            progress: montrer une barre de progression, si ``tqdm`` est installé ; par défaut dans un terminal ou un
                notebook seulement.

        Raises:
            InvalidArgument: ce n'est pas une liste d'identifiants ; rien n'est attendu.
            StoreError: la base n'a pas répondu. Ce n'est pas un résultat : rappeler.

        Example:
            >>> [resultat] = connector.finalise_many([paiement.id_transaction])
            >>> resultat.state.label
            'payé'
        """
        warn_where_waiting_blocks()
        return self._started_runtime().completions.all(
            ids, timeout, on_timeout=on_timeout, api_key=api_key, progress=progress
        )

    def as_completed(
        self,
        ids: Iterable[TransactionId],
        timeout: float = DEFAULT_TIMEOUT,
        *,
        on_timeout: Union[OnTimeout, str, None] = None,
        api_key: Optional[str] = None,
        progress: Optional[bool] = None,
    ) -> Iterator[Outcome]:
        """
        Comme ``finalise_many``, mais rend chaque résultat dès qu'il est connu, le premier fini d'abord. Un identifiant
        donné deux fois n'y est qu'une fois. Les attentes commencent à l'appel ; sortir de la boucle n'annule rien.
        Mêmes erreurs, ``StoreError`` aussi au milieu de la boucle : rappeler rend aussitôt ceux qui ont fini.

        Example:
            >>> for resultat in connector.as_completed([paiement.id_transaction], timeout=60):
            ...     etat = (resultat.id_transaction, resultat.state)
        """
        warn_where_waiting_blocks()
        return self._started_runtime().completions.in_order(
            ids, timeout, on_timeout=on_timeout, api_key=api_key, progress=progress
        )

    def cancel_listen(self, transaction_id: TransactionId) -> bool:
        """
        Met fin à l'attente d'une transaction, partout, sans toucher à la transaction ; faux s'il n'y en a pas.
        ``StoreError`` si la base n'a pas répondu : recommencer.
        """
        return self._per_process.get().listens.cancel(transaction_id)

    def cancel_all_listens(self, reason: Optional[str] = None) -> int:
        """Met fin à toutes les attentes ouvertes et rend leur nombre ; ``StoreError`` si la base n'a pas répondu."""
        count = self._per_process.get().listens.cancel_all()
        log.info("%d listens cancelled: %s", count, reason or "no reason given")
        return count

    # -- recevoir les webhooks ----------------------------------------------------------------------------------------

    def start_webhook_server(self) -> None:
        """
        Démarre le serveur de webhooks dans un thread ; sans effet s'il tourne déjà. Il tourne jusqu'à ``close``, aussi
        quand le programme ne garde pas le connecteur.

        Sans effet aussi dans le premier des deux processus de ``flask run --debug`` (ou ``manage.py runserver``) :
        il ne fait que surveiller les fichiers, et c'est le second qui sert.

        Raises:
            PortUnavailable: le port est pris.
            ConfigError: le connecteur a été construit sans ``use_listen_server=True``.
            StoreError: la base ne répond pas ; sans elle, rien ne pourrait être confirmé.
        """
        if not self._config.use_listen_server:
            raise ConfigError(
                "Ce connecteur n'a pas de serveur de webhooks : le construire avec use_listen_server=True, ou monter "
                "connector.wsgi_app (ou le blueprint de fedapay_sync.flask) dans l'application existante."
            )
        if is_reloader_parent():
            log.info("webhook server not started in the reloader's first process; the second one serves")
            return
        runtime = self._started_runtime()
        runtime.store.open()
        server = runtime.serve(self.receive)
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
        runtime = self._receiving_runtime()
        accepted = runtime.inbox.receive(payload, signature)
        runtime.confirmation.schedule(accepted)

    def verify_signature(self, payload: bytes, signature: Optional[str]) -> bool:
        """
        Vrai si FedaPay a signé ce corps, récemment. Ne rend jamais faux : lève.

        Raises:
            SignatureError: signature absente, illisible, fausse ou hors du délai de 300 s.
            ConfigError: aucun secret de webhook n'est configuré, ou le corps n'est pas en octets.
        """
        self._per_process.get().inbox.verify(payload, signature)
        return True

    def save_webhook(self, event: Union[Mapping[str, Any], str, bytes]) -> None:
        """
        Garde un événement dont la signature a déjà été vérifiée. Au retour, il est sur disque.

        Raises:
            EventError: ce n'est pas un événement décodé.
            StoreError: pas gardé : répondre 503, FedaPay reviendra.
        """
        runtime = self._receiving_runtime()
        accepted = runtime.inbox.save(event)
        runtime.confirmation.schedule(accepted)

    def wsgi_app(self, path: Optional[str] = None) -> WebhookApp:
        """
        Application WSGI qui reçoit les webhooks, à monter dans une application existante.

        Args:
            path: chemin des webhooks ; ``None`` si l'application est montée à leur adresse.
        """
        require_webhook_secrets(self._config.webhook_secrets, "rien ne pourrait être vérifié")
        self._expects_webhooks = True
        runtime = self._per_process.peek()
        if runtime is not None:
            # A callback was registered before.
            runtime.policy.has_receiver = True
        return WebhookApp(self.receive, path, on_request=FirstRequest(self.start))

    # -- travailler et reprendre --------------------------------------------------------------------------------

    def start(self) -> int:
        """
        Commence le travail de ce processus : rappeler les callbacks dus, suivre les paiements, et reprendre, une fois,
        les attentes d'un processus disparu ; rend leur nombre.

        Construire un connecteur, enregistrer un callback ou monter la route des webhooks n'ouvre et ne démarre rien. Le
        travail commence ici, ou à la première méthode qui paie, attend ou reçoit, ou à la première requête de
        l'application où le connecteur est monté. À appeler après un ``fork``, jamais avant.

        Raises:
            StoreError: la base n'a pas répondu ; recommencer.
        """
        runtime = self._started_runtime()
        if not runtime.works or not self._callbacks.has(CallbackKind.restored):
            return 0
        return runtime.restore_once()

    def run(self, stop: Optional[StopEvent] = None) -> None:
        """
        Travaille jusqu'à SIGTERM, SIGINT (Ctrl-C) ou ``stop``, puis ferme : une ligne sous systemd, ou la commande
        ``fedapay-sync worker``.

        Avec ``callbacks="worker"``, c'est ici que courent les callbacks. Si la base ne répond pas au début, réessaie.

        Args:
            stop: un ``threading.Event`` ; à donner hors du thread principal, qui seul reçoit les signaux.

        Raises:
            ConfigError: aucun callback n'est enregistré, ou ``run`` tourne déjà.
        """
        self._require_callbacks("run")
        if not self._running.acquire(blocking=False):
            raise ConfigError("run : ce connecteur travaille déjà dans un autre thread. Un seul appel suffit.")
        try:
            runtime = self._per_process.get()
            runtime.callbacks.is_left = False
            # What is owed is due at any time, and not only when an event brings a thread along.
            runtime.callbacks.is_inline = False
            # Whichever process of the shop takes them in.
            runtime.policy.has_receiver |= bool(self._config.webhook_secrets)

            def begin() -> None:
                runtime.store.open()
                self.start()
                runtime.worker_processes.begin_to_beat()

            work_until_stopped(begin, lambda: runtime.is_closing, stop, self.close)
        finally:
            self._running.release()

    def run_owed(self, timeout: float = 60) -> int:
        """
        Appelle, dans ce thread, les callbacks dus à l'instant, et rend leur nombre : pour cron, ou un hébergement sans
        threads.

        Un callback qui échoue est noté et reste dû, comme partout.

        Args:
            timeout: après tant de secondes, aucun autre n'est commencé.

        Raises:
            ConfigError: aucun callback n'est enregistré, ou ce n'est pas une durée.
            StoreError: la base n'a pas répondu ; recommencer.
        """
        seconds = checked_timeout(timeout)
        self._require_callbacks("run_owed")
        runtime = self._per_process.get()
        with runtime.open_meanwhile():
            if not runtime.works:
                runtime.worker_processes.beat_once()
            return runtime.callbacks.inline.run(seconds)

    def restore(self) -> int:
        """
        Reprend les attentes laissées ouvertes par un processus disparu, et rend leur nombre.

        Chacune va à un seul processus. FedaPay est interrogé sur chacune ; son résultat va au callback de
        ``on_restored``. Les callbacks encore dus sont rappelés. Si aucun événement n'est venu depuis plus de vingt
        minutes, ceux que FedaPay a gardés entre-temps sont lus, sans attendre qu'ils le soient.

        Raises:
            ConfigError: aucun callback de reprise n'est défini.
            StoreError: la base n'a pas répondu ; recommencer.
        """
        if not self._callbacks.has(CallbackKind.restored):
            raise ConfigError(
                "Aucun callback de reprise : personne n'apprendrait la fin des attentes reprises. Appeler d'abord "
                "on_restored (ou set_on_persited_listening_processes_loading_finished_callback)."
            )
        runtime = self._started_runtime()
        if not runtime.works:
            log.info("restoring is left to the worker processes")
            return 0
        return runtime.restore()

    def owes_callbacks(self) -> bool:
        """
        Vrai si un callback d'ici est dû maintenant, ou en cours : de quoi attendre, dans un test, qu'il ait agi.
        ``StoreError`` si la base n'a pas répondu.
        """
        runtime = self._per_process.peek()
        return runtime is not None and runtime.callbacks.has_owed()

    def health(self) -> Health:
        """
        Dit comment va ce connecteur, en deux secondes au plus, base absente comprise : pour une page de surveillance.

        Ne démarre rien et ne demande rien à FedaPay. ``problems`` dit en français ce qui ne va pas : la base ne répond
        pas, ou un callback est dû depuis plus de cinq minutes. Des événements mis de côté sont comptés, sans plus.

        Example:
            >>> etat = connector.health()
            >>> etat.ok, etat.problems, etat.parked
            (True, (), 0)
        """
        return self._per_process.get().health.check()

    # -- entretenir la base -------------------------------------------------------------------------------------------

    def parked(self, callback: Optional[str] = None) -> List[WebhookHistory]:
        """
        Les événements mis de côté : ceux dont un callback a échoué jusqu'au bout, et ceux qui sont illisibles.

        ``callback`` dit lequel, ``last_error`` pourquoi. Un événement que plusieurs callbacks ont laissé y est pour
        chacun. ``StoreError`` si la base n'a pas répondu.

        Args:
            callback: le nom d'un seul callback ; tous par défaut.
        """
        return [history_of(work) for work in self._parked(self._per_process.get(), callback=callback)]

    def replay(self, event_key: Optional[str] = None, *, callback: Optional[str] = None) -> int:
        """
        Rappelle les callbacks qui ont laissé des événements de côté, et rend le nombre de ces rappels.

        Ils gardent leur ``event_key``, et ``attempt`` continue. Un événement illisible est relu.
        ``StoreError`` si la base n'a pas répondu : recommencer, aucun n'est rappelé deux fois.

        Args:
            event_key: la clé d'un seul événement ; tous par défaut.
            callback: le nom d'un seul callback ; tous par défaut.
        """
        runtime = self._per_process.get()
        parked = self._parked(runtime, event_key, callback)
        count = sum(runtime.store.callbacks.replay(work, next_round(work.attempts)) for work in parked)
        if runtime.has_begun:
            runtime.callbacks.notify()
        return count

    def purge(self, older_than_days: Optional[float] = None, *, customer: Optional[TransactionId] = None) -> Purged:
        """
        Efface de la base les attentes et paiements finis, et le corps des événements traités, plus vieux que cela ; ou,
        avec ``customer``, ce que le client d'un paiement a laissé.

        Les clés des événements restent pour toujours : répété après des années, un événement est encore reconnu. Ce
        que FedaPay peut encore changer (moins de trois jours), ce qui est dû et ce qui est mis de côté restent aussi.
        La place libérée est rendue au disque, par petits morceaux (PostgreSQL le fait de lui-même).

        Args:
            older_than_days: âge en jours, 0 ou plus.
            customer: référence marchande ou identifiant d'un paiement de ce client ; à répéter pour chacun.

        Raises:
            ConfigError: ni l'un ni l'autre, les deux, ou ce n'est pas un nombre de jours.
            InvalidArgument: cette base ne connaît pas ce paiement.
            StoreError: la base n'a pas répondu, ou le disque est plein ; recommencer.
        """
        retention = self._per_process.get().store.retention
        if customer is None and older_than_days is not None:
            return retention.purge(checked_days(older_than_days, "older_than_days") * 86400)
        if customer is None or older_than_days is not None:
            raise ConfigError(
                "purge : donner older_than_days=… (un âge en jours) ou customer=… (un paiement), un seul."
            )
        erased = retention.erase_payment(self._config.environment, str(customer), self._config.accounts)
        if not erased.known:
            raise InvalidArgument(
                f"customer : cette base ne connaît aucun paiement {mask(customer)!r}.", field="customer"
            )
        return Purged(0, 0, erased.bodies)

    def backup(self, path: Union[str, "os.PathLike[str]"]) -> None:
        """
        Écrit une copie de la base dans un fichier neuf, en mode 0600, pendant que la boutique tourne : tout ce qui est
        confirmé à cet instant, et rien à moitié.

        Raises:
            ConfigError: le fichier existe ou ne peut pas être écrit, ou la base est un serveur PostgreSQL.
            StoreError: la base ne peut pas être lue, ou la copie n'est pas saine ; elle est alors effacée.
        """
        self._per_process.get().store.backup(Path(path))

    def import_async(self, path: Union[str, "os.PathLike[str]"]) -> int:
        """
        Reprend les attentes de la base du connecteur asynchrone, et rend le nombre de celles qui sont nouvelles.

        Cette base n'est que lue. Chaque attente garde le temps qui lui reste, ses webhooks déjà reçus sont gardés
        comme les autres. Recommencer ne change rien. Appeler ensuite ``restore``.

        Args:
            path: fichier SQLite du connecteur asynchrone, ``processes.db``.

        Raises:
            StoreError: le fichier n'existe pas, ou n'est pas une telle base ; ou celle d'ici n'a pas répondu.
        """
        return self._per_process.get().async_import.import_file(Path(path))

    # -- fermer -------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """
        Ferme : le serveur répond à ce qui est arrivé puis s'arrête, les attentes de ce processus finissent par
        ``CANCELLED_INTERNALLY`` et restent sur disque, les callbacks dus à l'instant sont encore appelés tant qu'un
        thread est libre, et ceux qui sont en cours, ceux de ``listen`` aussi, ont ``callback_timeout`` secondes.

        Peut être appelée n'importe où et plusieurs fois, par un gestionnaire de signal aussi ; revient au plus cinq
        secondes après les callbacks.
        """
        runtime = self._per_process.peek()
        if runtime is not None:
            # Forgotten only when closed: what comes meanwhile, a callback's call or a last webhook, finds these
            # runtime, and builds no other that would never be closed.
            runtime.close()
            self._per_process.forget(runtime)

    def __del__(self) -> None:
        # Comes in any thread, inside any lock; after a construction that has failed, too.
        per_process = vars(self).get("_per_process")
        if per_process is not None:
            per_process.drop(self)

    def __enter__(self) -> "Connector":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        # Debuggers and error reports show the object of a construction that has failed, too.
        return connector_text(self)

    def _repr_html_(self) -> str:
        return connector_card(self)

    # -- the runtime of this process ----------------------------------------------------------------------------

    def _build_runtime(self, clock: Clock, pace: Optional[Pace]) -> "Runtime":
        from fedapay_sync.connector.runtime import Runtime

        warn_without_threads()
        policy = PollingPolicy(pace, has_receiver=self._expects_webhooks)
        runtime = Runtime(self._config, clock, policy, WeakConnector(self, self._callbacks))
        for callback in self._callbacks.values():
            runtime.set_callback(callback.name)
        return runtime

    def _require_callbacks(self, method: str) -> None:
        if not self._callbacks:
            raise ConfigError(
                f"{method} : aucun callback n'est enregistré, il n'y aurait rien à faire. Appeler d'abord on_webhook, "
                "on_paid, on_payment ou on_restored."
            )

    def _started_runtime(self) -> "Runtime":
        """This process's runtime, with owed callbacks being looked for and payments being followed up."""
        runtime = self._per_process.get()
        runtime.start()
        return runtime

    def _receiving_runtime(self) -> "Runtime":
        """The same where webhooks come in, so that status polls may be rare."""
        self._expects_webhooks = True
        runtime = self._started_runtime()
        runtime.policy.has_receiver = True
        return runtime

    def _parked(
        self, runtime: "Runtime", event_key: Optional[str] = None, callback: Optional[str] = None
    ) -> List[StoredEvent]:
        accounts = list(self._config.accounts)
        return runtime.store.callbacks.parked(self._config.environment, accounts, event_key, callback)

    def _register(self, callback: Registered, what: str) -> None:
        if self._callbacks.register(callback, what):
            self._per_process.get().set_callback(callback.name)

    # -- les noms du connecteur asynchrone ----------------------------------------------------------------------

    fedapay_pay = pay
    fedapay_check_transaction_status = check_status
    fedapay_get_transaction_data = check_status
    fedapay_get_transaction_data_by_merchant_id = get_transaction_by_merchant_reference
    fedapay_finalise = finalise
    fedapay_cancel_transaction = cancel
    fedapay_save_webhook_data = save_webhook
    cancel_future_event = cancel_listen
    cancel_all_future_event = cancel_all_listens
    load_persisted_listening_processes = restore
    shutdown_cleanup = close


def count_of_callbacks(connector: Connector) -> int:
    """How many callbacks the program has registered."""
    return len(connector._callbacks)


def config_of(connector: Connector) -> Config:
    """Its settings, for the command line."""
    return connector._config


#: Weakly: this list must not keep a forgotten connector alive.
_living: "weakref.WeakSet[Connector]" = weakref.WeakSet()


def living(api_url: str) -> List[Connector]:
    """The connectors of this process that talk to that address."""
    return [each for each in list(_living) if each._config.api_url == api_url]


def call_owed(connector: Connector, timeout: float) -> None:
    """Call in this thread what a connector owes, where only an event or a worker process would have it called."""
    runtime = connector._per_process.peek()
    if connector._callbacks and runtime is not None and (runtime.callbacks.is_inline or runtime.callbacks.is_left):
        connector.run_owed(timeout)
