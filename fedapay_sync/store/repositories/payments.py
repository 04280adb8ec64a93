"""Payments: what was asked for under each merchant reference, written before FedaPay is asked."""

from functools import cache
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

import peewee

from fedapay_sync.errors import TransactionId
from fedapay_sync.models.asked import amount_shown, currency_shown
from fedapay_sync.store.database import Database
from fedapay_sync.store.records import Payment, RecentPayment
from fedapay_sync.store.repositories.repository import Repository
from fedapay_sync.store.repositories.rows import close_listens, listen_row, payment_of, payment_under, recent_payments
from fedapay_sync.store.repositories.sql import rows_of
from fedapay_sync.store.repositories.statement import Statement, parameter, unless_there
from fedapay_sync.store.repositories.verdicts import accept, examine
from fedapay_sync.store.states import (
    OPEN_STATES,
    OWED_STATES,
    EventKind,
    ListenState,
    PaymentState,
    WorkState,
)
from fedapay_sync.store.tables import EventRow, PaymentRow

#: A payment is polled for the first time so many seconds after it was touched, unless said otherwise.
POLL_IN = 60.0

_KEY = ("environment", "account", "merchant_reference")
_INTENT = Statement(
    lambda: unless_there(
        PaymentRow.insert(
            state=PaymentState.intent,
            created_at=parameter("now"),
            updated_at=parameter("now"),
            **{name: parameter(name) for name in (*_KEY, "amount", "currency", "traits", "run_after")},
        ),
        *_KEY,
    )
)
_TOLD = Statement(
    lambda: (
        EventRow.select(EventRow.id)
        .where(
            EventRow.entity_id == parameter("transaction_id"),
            EventRow.environment == parameter("environment"),
            EventRow.object == "transaction",
        )
        .limit(1)
    )
)
_ACCOUNTS = "SELECT transaction_id, account FROM fp_payment WHERE environment = ? AND transaction_id IN ({})"


class PaymentRepository(Repository):
    """One row for each merchant reference."""

    def add_intent(
        self,
        environment: str,
        account: str,
        reference: str,
        *,
        amount: int,
        currency: str,
        traits: Optional[str] = None,
        poll_in: float = POLL_IN,
    ) -> Optional[Payment]:
        """
        Write down what is about to be asked; if the reference is known already, return what was asked then.

        Whatever becomes of the process that asks: after ``poll_in`` seconds any process may poll the payment.

        Args:
            traits: what else was asked, as JSON; see :class:`fedapay_sync.models.asked.Asked`.
        """

        def add(database: Database) -> Optional[Payment]:
            now = self._clock.now()
            values = {"environment": environment, "account": account, "merchant_reference": reference}
            added = _INTENT.execute(
                database, **values, amount=amount, currency=currency, traits=traits, now=now, run_after=now + poll_in
            ).rowcount
            return None if added else payment_under(database, environment, account, reference)

        return self._engine.write(add)

    def transition(
        self,
        environment: str,
        account: str,
        reference: str,
        state: PaymentState,
        *,
        transaction_id: Optional[TransactionId] = None,
        currency_id: Optional[int] = None,
        traits: Optional[str] = None,
        only_from: Sequence[PaymentState] = (),
        poll_in: float = POLL_IN,
    ) -> bool:
        """
        Move a payment on, with the id that FedaPay gave it; false if it is not known.

        With the id, what was told of that transaction before is compared with what was asked. Its polls begin anew,
        the first in ``poll_in`` seconds; one that failed needs none. With ``only_from``, also false, and nothing
        moved, if it is in another state: of all who try, one succeeds. A transaction that is another reference's
        already is given to none.
        """
        number = None if transaction_id is None else str(transaction_id)
        values: Dict[str, Any] = {"environment": environment, "account": account, "merchant_reference": reference}
        changes = {"transaction_id": number, "currency_id": currency_id} if number is not None else {}
        if traits is not None:
            changes["traits"] = traits
        statement = _transition(PaymentState(state), tuple(changes), tuple(only_from))

        def move(database: Database) -> bool:
            now = self._clock.now()
            run_after = None if state == PaymentState.failed else now + poll_in
            moved = bool(statement.execute(database, now=now, run_after=run_after, **values, **changes).rowcount)
            if moved and number is not None and _TOLD.execute(database, **{**values, **changes}).fetchone():
                _examine(database, environment, number)
            return moved

        return self._engine.write(move)

    def adopt(
        self,
        environment: str,
        account: str,
        reference: str,
        *,
        transaction_id: TransactionId,
        amount: int,
        currency: str,
        currency_id: Optional[int] = None,
    ) -> Payment:
        """
        Make that transaction the payment under that reference, as a person has decided, and the sum that it carries
        the sum that was asked. A row that is there already for another transaction stays as it is, and is returned.
        """
        number = str(transaction_id)
        sums = {"amount": amount, "currency": currency, "currency_id": currency_id, "traits": None}

        def write(database: Database) -> Payment:
            now = self._clock.now()
            there = payment_of(database, environment, number) or payment_under(
                database, environment, account, reference
            )
            if there is None:
                PaymentRow.insert(
                    environment=environment, account=account, merchant_reference=reference, created_at=now,
                    transaction_id=number, state=PaymentState.sent, updated_at=now, run_after=now, **sums,
                ).execute(database)  # fmt: skip
            elif there.merchant_reference == reference and there.transaction_id in (None, number):
                PaymentRow.update(
                    transaction_id=number, state=PaymentState.sent, updated_at=now, run_after=now, looks=0, **sums
                ).where(*_row(environment, there.account, reference)).execute(database)
            else:
                return there
            _examine(database, environment, number, adopted=True)
            found = payment_of(database, environment, number)
            assert found is not None  # written in this transaction
            return found

        return self._engine.write(write)

    def accept(self, environment: str, transaction_id: TransactionId, accounts: Sequence[str]) -> bool:
        """
        Take what was paid for what was asked, as a person has decided, and tell once that it is paid: that sum is what
        was asked from now on. False if it is no payment of these accounts, or nothing that was told of it is suspect.
        """
        number = str(transaction_id)

        def write(database: Database) -> bool:
            payment = payment_of(database, environment, number)
            if payment is None or payment.account not in accounts:
                return False
            shown = accept(database, environment, number)
            if shown is None:
                return False
            sums = {"amount": amount_shown(shown), "currency": currency_shown(shown)}
            changes = {name: value for name, value in sums.items() if value is not None}
            PaymentRow.update(accepted_at=self._clock.now(), **changes).where(
                PaymentRow.environment == environment, PaymentRow.transaction_id == number
            ).execute(database)
            return True

        return self._engine.write(write)

    def forget(self, environment: str, transaction_id: TransactionId, accounts: Optional[Sequence[str]] = None) -> bool:
        """
        Drop the payment of that transaction, end the wait for it, and confirm nothing more that was told of it; false
        if there is nothing of that kind. The facts that FedaPay has told stay, and are told.

        Args:
            accounts: what is another account's stays; None for those of all.
        """
        number = str(transaction_id)

        def write(database: Database) -> bool:
            now = self._clock.now()
            conditions = [PaymentRow.environment == environment, PaymentRow.transaction_id == number]
            if accounts is not None:
                conditions.append(PaymentRow.account.in_(list(accounts)))
            dropped = PaymentRow.delete().where(*conditions).execute(database)
            if payment_of(database, environment, number) is not None:
                return False
            listen = listen_row(database, environment, number)
            if listen is not None and listen["state"] in OPEN_STATES:
                close_listens(database, [listen], ListenState.cancelled, now)
                dropped += 1
            dropped += (
                EventRow.update(work_state=WorkState.done, lease_owner=None, finished_at=now)
                .where(
                    EventRow.environment == environment,
                    EventRow.entity_id == number,
                    EventRow.kind == EventKind.unconfirmed,
                    EventRow.work_state.in_(OWED_STATES),
                )
                .execute(database)
            )
            return bool(dropped)

        return self._engine.write(write)

    def under_reference(self, environment: str, account: str, reference: str) -> Optional[Payment]:
        """What was asked for under that merchant reference."""
        return self._engine.read(lambda database: payment_under(database, environment, account, reference))

    def of_transaction(self, environment: str, transaction_id: TransactionId) -> Optional[Payment]:
        """What was asked for under that transaction, if this database saw it asked."""
        return self._engine.read(lambda database: payment_of(database, environment, str(transaction_id)))

    def recent(
        self, environment: str, account: str, *, amount: int, currency: str, seconds: float
    ) -> List[RecentPayment]:
        """
        Payments of that sum that were asked for in the last so many seconds and did not fail, the newest first; of all
        payments the newest two hundred are looked at.
        """

        subject = (environment, account, amount, currency)
        return self._engine.read(lambda database: recent_payments(database, subject, seconds, self._clock.now()))

    def accounts_of(self, environment: str, transaction_ids: Iterable[str]) -> Dict[str, str]:
        """The accounts that asked for these transactions, of those that this database saw asked."""
        ids = list(transaction_ids)
        return self._engine.read(lambda database: dict(rows_of(database, _ACCOUNTS, [environment], ids)))


@cache
def _transition(state: PaymentState, changed: Tuple[str, ...], only_from: Tuple[PaymentState, ...]) -> Statement:
    """Moves a payment to that state and changes these columns with it, if it is in one of those states."""

    def compose() -> Any:
        conditions = [getattr(PaymentRow, name) == parameter(name) for name in _KEY]
        if only_from:
            conditions.append(PaymentRow.state.in_(only_from))
        if "transaction_id" in changed:
            other = PaymentRow.alias()
            others = other.select(other.id).where(
                other.transaction_id == parameter("transaction_id"),
                other.environment == parameter("environment"),
                other.merchant_reference != parameter("merchant_reference"),
            )
            conditions.append(~peewee.fn.EXISTS(others))
        return PaymentRow.update(
            state=state, looks=0, absent_at=None, updated_at=parameter("now"), run_after=parameter("run_after"),
            **{name: parameter(name) for name in changed},
        ).where(*conditions)  # fmt: skip

    return Statement(compose)


def _row(environment: str, account: str, reference: str) -> Tuple[Any, ...]:
    return (
        PaymentRow.environment == environment,
        PaymentRow.account == account,
        PaymentRow.merchant_reference == reference,
    )


def _examine(database: Database, environment: str, transaction_id: str, *, adopted: bool = False) -> None:
    payment = payment_of(database, environment, transaction_id)
    if payment is not None:
        examine(database, environment, transaction_id, payment.asked, adopted=adopted)
