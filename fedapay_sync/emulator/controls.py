"""Controls of a shop: moves transactions, payouts and phones as a test asks, and gives copies of the records."""

import copy
from typing import Any, Dict, List, Optional, Sequence, Union

from fedapay_sync.emulator import arguments
from fedapay_sync.emulator.domain.phone_numbers import bare
from fedapay_sync.emulator.http.errors import Refusal
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.resources.payout_ledger import PayoutLedger
from fedapay_sync.emulator.resources.phones import Phone, Phones
from fedapay_sync.emulator.resources.transaction_ledger import TransactionLedger
from fedapay_sync.emulator.services import ShopServices
from fedapay_sync.enums import TransactionStatus
from fedapay_sync.errors import InvalidArgument

#: L'identifiant d'une transaction ou d'un dépôt, en nombre ou en texte.
Id = Union[int, str]

#: What may be made of a transaction and of a payout, by the names that control calls and dashboard use.
MOVES = ("approve", "decline", "cancel", "expire", "transfer")
PAYOUT_ENDS = ("send", "fail")

_S = TransactionStatus
_EMBEDDED = ("customer", "currency")


class Controls:
    """Moves transactions, payouts and phones of one shop, and copies its records."""

    _services: ShopServices

    # The payer and the operator

    def approve(self, id: Id, *, force: bool = False) -> None:
        """
        Le payeur accepte : la transaction devient ``approved``.

        Args:
            id: identifiant de la transaction.
            force: passer outre ce que FedaPay permet, pour éprouver un cas rare (payée au moment même où elle
                est supprimée).

        Raises:
            InvalidArgument: transaction inconnue, ou qui ne peut pas être payée dans son état.
        """
        self._move(id, _S.approved, force)

    def decline(self, id: Id, *, force: bool = False) -> None:
        """Le payeur refuse : la transaction devient ``declined``. Voir ``approve``."""
        self._move(id, _S.declined, force)

    def cancel(self, id: Id, *, force: bool = False) -> None:
        """L'opérateur refuse (solde, plafond) : la transaction devient ``canceled``. Voir ``approve``."""
        self._move(id, _S.canceled, force)

    def expire(self, id: Id, *, force: bool = False) -> None:
        """Les 24 heures sont passées : la transaction devient ``expired``. Voir ``approve``."""
        self._move(id, _S.expired, force)

    def transfer(self, id: Id, *, force: bool = False) -> None:
        """Les trois jours sont passés : la transaction payée devient ``transferred``. Voir ``approve``."""
        self._move(id, _S.transferred, force)

    def send_payout(self, id: Id) -> None:
        """
        Le dépôt démarré arrive chez son bénéficiaire : il devient ``sent``.

        Raises:
            InvalidArgument: dépôt inconnu, ou qui n'a pas été démarré.
        """
        self._check_open()
        self._services.payouts.finish(_number(id), "sent")
        self._deliver_ready()

    def fail_payout(self, id: Id) -> None:
        """Le dépôt démarré n'aboutit pas : il devient ``failed``. Voir ``send_payout``."""
        self._check_open()
        self._services.payouts.finish(_number(id), "failed")
        self._deliver_ready()

    def phone(self, number: str) -> Phone:
        """
        Le téléphone de ce numéro, écrit avec ou sans indicatif : ce qu'on lui demande, et ce qu'il répond.

        Raises:
            InvalidArgument: ce n'est pas un numéro de téléphone.

        Example:
            >>> emulator.phone("0166000001").prompts
            []
        """
        return Phone(arguments.phone("number", number), self._all_phones, self._check_open, self._deliver_ready)

    @property
    def phones(self) -> List[Phone]:
        """Les téléphones qui ont été sollicités, le dernier en tête."""
        numbers = {bare(each): each for phones in self._all_phones() for each in reversed(phones.numbers)}
        return [self.phone(each) for each in reversed(list(numbers.values()))]

    # What happened

    @property
    def transactions(self) -> List[Dict[str, Any]]:
        """Copies des transactions, de la plus ancienne à la plus récente, client et devise compris."""
        return self._copies(self._services.transactions)

    def recent_transactions(self, limit: int) -> List[Dict[str, Any]]:
        """Comme ``transactions``, les ``limit`` dernières seulement : sans copier les autres."""
        return self._copies(self._services.transactions, limit)

    def transaction(self, id: Id) -> Dict[str, Any]:
        """
        Copie d'une transaction, client et devise compris.

        Raises:
            InvalidArgument: transaction inconnue.
        """
        return self._copy(self._services.transactions, id, "transaction")

    @property
    def payouts(self) -> List[Dict[str, Any]]:
        """Copies des dépôts, du plus ancien au plus récent, client et devise compris."""
        return self._copies(self._services.payouts)

    def recent_payouts(self, limit: int) -> List[Dict[str, Any]]:
        """Comme ``payouts``, les ``limit`` derniers seulement."""
        return self._copies(self._services.payouts, limit)

    def payout(self, id: Id) -> Dict[str, Any]:
        """
        Copie d'un dépôt, client et devise compris.

        Raises:
            InvalidArgument: dépôt inconnu.
        """
        return self._copy(self._services.payouts, id, "dépôt")

    # Inside

    def _all_phones(self) -> Sequence[Phones]:
        """The phones among which prompts are looked for."""
        return [self._services.phones]

    def _move(self, id: Id, status: TransactionStatus, force: bool) -> None:
        self._check_open()
        self._services.transactions.move(_number(id), status.value, force=force)
        self._deliver_ready()

    def _deliver_ready(self) -> None:
        """Deliver to applications, in this thread, what has come of a call."""
        self._services.deliveries.deliver_ready()

    def _check_open(self) -> None:
        if not self._services.data.state.is_open:
            raise InvalidArgument(
                "L'émulateur est arrêté et son fichier d'état fermé : rien n'y changerait. L'appeler après start().",
                field="state",
            )

    def _copy(self, ledger: Union[TransactionLedger, PayoutLedger], id: Id, what: str) -> Record:
        number = _number(id)
        with self._services.data.lock:
            try:
                return copy.deepcopy(ledger.answer(ledger.get(number), _EMBEDDED))
            except Refusal:
                raise InvalidArgument(f"L'émulateur n'a pas de {what} {id!r}.", field="id") from None

    def _copies(self, ledger: Union[TransactionLedger, PayoutLedger], limit: Optional[int] = None) -> List[Record]:
        """The last ones, oldest first."""
        with self._services.data.lock:
            return [copy.deepcopy(ledger.answer(each, _EMBEDDED)) for each in reversed(ledger.newest_first()[:limit])]


def _number(id: Id) -> int:
    text = str(id)
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise InvalidArgument(f"id={id!r} : un identifiant rendu par l'API est attendu.", field="id")
    return int(text)
