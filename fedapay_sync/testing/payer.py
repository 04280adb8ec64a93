"""Payer: answers the payment requests of the tested shop."""

import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Deque, List, Optional, Set, Union

from fedapay_sync.concurrency.wake_event import WakeEvent
from fedapay_sync.errors import InvalidArgument
from fedapay_sync.testing.receipt import CallbackFailures, PaymentRequestMissing, Receipt, WebhookNotReceived

if TYPE_CHECKING:
    from fedapay_sync.emulator import Emulator, Prompt

#: The longest wait for webhooks and callbacks to be done, in seconds.
PATIENCE = 5.0
_POLL = 0.01


class Payer:
    """
    Le client qui a reçu la demande de payer.

    Chaque méthode vise la transaction ``id``, ou sans elle la dernière qui attend encore ; s'il n'y en a pas, la
    prochaine demande sur un téléphone, dès qu'elle vient (pour une boutique qui paie et attend dans le même appel). Au
    retour, les webhooks sont livrés et les callbacks des connecteurs ont été appelés (5 s au plus) ; en mode ``inline``
    et ``worker``, dans ce thread. Elle rend l'identifiant de la transaction, ou ``None`` si elle est à venir.

    Chacune échoue si personne n'a reçu le webhook (``WebhookNotReceived``), ou si un callback a échoué
    (``CallbackFailed``). Pour une transaction à venir, c'est le geste suivant, ou la fin du test, qui échoue ; aussi si
    aucune n'est venue (``PaymentRequestMissing``).
    """

    def __init__(self, emulator: "Emulator") -> None:
        self._emulator = emulator
        self._lock = threading.Lock()
        self._plans: Deque[str] = deque()
        self._ignored: Set[int] = set()
        self._closed = WakeEvent()
        self._thread: Optional[threading.Thread] = None
        self._is_watching = False
        self._failures = CallbackFailures(emulator)
        self._not_received: List[WebhookNotReceived] = []

    def agrees(self, id: Union[int, str, None] = None) -> Optional[int]:
        """Il paie : ``approved``."""
        return self._does("agree", id)

    def refuses(self, id: Union[int, str, None] = None) -> Optional[int]:
        """Il refuse : ``declined`` (réglage ``refusal``)."""
        return self._does("refuse", id)

    def wrong_pin(self, id: Union[int, str, None] = None) -> Optional[int]:
        """Il se trompe de code : ``declined`` (réglage ``wrong_pin``)."""
        return self._does("wrong_pin", id)

    def no_money(self, id: Union[int, str, None] = None) -> Optional[int]:
        """Son solde manque : ``canceled`` (réglage ``no_money``)."""
        return self._does("no_money", id)

    def ignores(self, id: Union[int, str, None] = None) -> Optional[int]:
        """Il ne répond pas : la transaction reste ``pending``, et n'attend plus ce payeur."""
        return self._does("ignore", id)

    def __enter__(self) -> "Payer":
        self._failures.__enter__()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        from fedapay_sync.testing.fixtures import wait_until_idle

        self._closed.set()
        if self._thread is not None:
            self._thread.join()
            # The callback that the answer has brought may still be running.
            wait_until_idle(self._emulator)
        self._failures.__exit__()
        if kind is None and self._thread is not None:
            # With an answer that was given ahead no gesture could say so.
            self._failures.raise_first()
            self._raise_not_received()
            self._raise_unused()

    # Inside

    def _does(self, answer: str, id: Union[int, str, None]) -> Optional[int]:
        from fedapay_sync.testing.fixtures import wait_until_idle

        self._raise_not_received()
        number = self._last_waiting() if id is None else int(self._emulator.transaction(id)["id"])
        if number is None:
            self._plan(answer)
            return None
        receipt = Receipt(self._emulator, number)
        self._answer(number, answer)
        wait_until_idle(self._emulator)
        # What was raised first is the cause of the rest.
        self._failures.raise_first()
        receipt.check()
        return number

    def _raise_not_received(self) -> None:
        """Raise what went wrong with an answer that was given ahead."""
        with self._lock:
            problems, self._not_received = self._not_received, []
        if problems:
            raise problems[0]

    def _raise_unused(self) -> None:
        with self._lock:
            unused = list(self._plans)
        if unused:
            raise PaymentRequestMissing(
                f"Le payeur avait une réponse d'avance ({', '.join(unused)}), et aucune demande de payer n'est venue : "
                "pay n'a pas été appelée, ou a échoué. Regarder ce que la boutique a répondu avant payer.agrees() (un "
                "formulaire refusé par CSRFProtect ?), ou ôter cette réponse."
            )

    def _last_waiting(self) -> Optional[int]:
        """The newest transaction that has not been answered."""
        for each in reversed(self._emulator.transactions):
            if each["status"] == "pending" and not each["deleted_at"] and each["id"] not in self._ignored:
                return int(each["id"])
        return None

    def _prompts(self) -> "List[Prompt]":
        return [each for phone in self._emulator.phones for each in phone.prompts]

    def _answer(self, number: int, answer: str) -> None:
        prompt = next((each for each in self._prompts() if each.id_transaction == number), None)
        if answer == "ignore":
            self._ignored.add(number)
        if prompt is not None:
            getattr(self._emulator.phone(prompt.number), answer)(number)
        else:
            self._answer_on_page(number, answer)

    def _answer_on_page(self, number: int, answer: str) -> None:
        """No phone was prompted: the answer is given on the payment page."""
        emulator, settings = self._emulator, self._emulator.settings
        statuses = {"refuse": settings.refusal, "wrong_pin": settings.wrong_pin, "no_money": settings.no_money}
        if answer == "agree":
            emulator.approve(number)
        elif statuses.get(answer) == "canceled":
            emulator.cancel(number)
        elif statuses.get(answer) == "declined":
            emulator.decline(number)

    def _plan(self, answer: str) -> None:
        """Keep the answer for the next prompt, which another thread or the next line of the test will cause."""
        with self._lock:
            self._plans.append(answer)
            if not self._is_watching:
                self._is_watching = True
                self._thread = threading.Thread(target=self._watch, name="fedapay-payer", daemon=True)
                self._thread.start()

    def _watch(self) -> None:
        while not self._closed.wait(_POLL):
            with self._lock:
                prompts = self._prompts()
                if not self._plans:
                    self._is_watching = False
                    return
                plan = self._plans.popleft() if prompts else None
            if plan is not None:
                # Without the lock: the shop's callbacks, which may run here, may plan another answer.
                with suppress(InvalidArgument):  # the shop took the transaction back meanwhile
                    self._answer_planned(max(prompts).id_transaction, plan)

    def _answer_planned(self, number: int, answer: str) -> None:
        receipt = Receipt(self._emulator, number)
        self._answer(number, answer)
        with suppress(TimeoutError):
            self._emulator.wait_for_deliveries(PATIENCE)
        try:
            receipt.check()
        except WebhookNotReceived as problem:
            with self._lock:
                self._not_received.append(problem)
