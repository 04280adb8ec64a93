"""
The tables of the store as Peewee models, and the version of their schema.

They are never bound to a database: every query is executed on the connection of the thread that owns one.
"""

from typing import Any

import peewee

from fedapay_sync.store.states import (
    OPEN_STATES,
    OWED_STATES,
    CallbackKind,
    EventKind,
    ListenState,
    PaymentState,
    WorkState,
    literals,
)

SCHEMA_VERSION = 6
#: The oldest schema whose programs can work with these tables: an older one refuses them. Until 1.0.0 that is the
#: present one. From then on it stays where it is as long as steps only add: tables, indexes, columns that may be left
#: out of an INSERT and need not be read, with no other meaning for what is there.
COMPATIBLE_FROM = 6


_CALL_STATES = (*OWED_STATES, WorkState.done, WorkState.dead)


class Table(peewee.Model):
    """Common ancestor of the tables."""


def _add_partial_index(table: Any, name: str, columns: str, condition: str) -> None:
    """Index those rows only: the condition of a query is to be in the same words."""
    on = f"{table._meta.table_name} ({columns})"
    table.add_index(peewee.SQL(f"CREATE INDEX IF NOT EXISTS {name} ON {on} WHERE {condition}"))


class _AutoIncrement(peewee.Node):
    """Ids are given once: SQLite gives that of a deleted row again unless told not to, PostgreSQL never does."""

    def __sql__(self, ctx: Any) -> Any:
        return ctx.literal("" if ctx.state.field_types["BIGAUTO"] == "BIGSERIAL" else "AUTOINCREMENT")


class EventRow(Table):
    """One fact told by FedaPay, or by us, and whether callbacks have been given it yet."""

    id = peewee.BigAutoField(constraints=[_AutoIncrement()])
    dedup_key = peewee.CharField(64, unique=True)
    # Shown to the user.
    event_key = peewee.CharField(160)
    environment = peewee.CharField(16)
    # Our own label of the merchant account.
    account = peewee.CharField(32)
    name = peewee.CharField(64)
    object = peewee.CharField(32)
    entity_id = peewee.CharField(64)
    status = peewee.CharField(40, null=True)
    is_final = peewee.SmallIntegerField(constraints=[peewee.Check("is_final IN (0,1)")])
    late = peewee.SmallIntegerField(constraints=[peewee.Check("late IN (0,1)")])
    suspect = peewee.SmallIntegerField(constraints=[peewee.Check("suspect IN (0,1)")])
    # Whether an earlier event had said already that this transaction is paid.
    repeats = peewee.SmallIntegerField(constraints=[peewee.Check("repeats IN (0,1)")])
    # webhook, status, events, manual or local.
    source = peewee.CharField(16)
    # The raw bytes that were signed.
    body = peewee.BlobField()
    body_sha256 = peewee.CharField(64)
    # UTC epoch seconds, like all times here.
    received_at = peewee.DoubleField()
    # Ready until it is given to callbacks; what FedaPay has to confirm first, or could not be read, is work of its own.
    work_state = peewee.CharField(8, constraints=[peewee.Check(f"work_state IN ({literals(*WorkState)})")])
    # The attempt number is the fencing token of the work.
    attempts = peewee.IntegerField(constraints=[peewee.SQL("DEFAULT 0")], default=0)
    # When any process may take the work; while it runs, the end of the lease.
    run_after = peewee.DoubleField(constraints=[peewee.SQL("DEFAULT 0")], default=0)
    # As store.owner.new_owner makes it.
    lease_owner = peewee.CharField(80, null=True)
    finished_at = peewee.DoubleField(null=True)
    last_error = peewee.CharField(500, null=True)
    # What an older version that has the tables open leaves out has the values that it would have given.
    kind = peewee.CharField(
        12,
        constraints=[
            peewee.SQL(f"DEFAULT {literals(EventKind.fact)}"), peewee.Check(f"kind IN ({literals(*EventKind)})")
        ],
        default=EventKind.fact,
    )  # fmt: skip
    # Whether this database asked for the payment that the event is about.
    known = peewee.SmallIntegerField(constraints=[peewee.SQL("DEFAULT 0"), peewee.Check("known IN (0,1)")], default=0)

    class Meta:
        """Where the rows live."""

        table_name = "fp_event"
        indexes = ((("entity_id", "id"), False),)
        constraints = (peewee.Check(f"(work_state = {literals(WorkState.running)}) = (lease_owner IS NOT NULL)"),)


_add_partial_index(EventRow, "fp_event_todo", "run_after, id", f"work_state IN ({literals(*OWED_STATES)})")
_add_partial_index(EventRow, "fp_event_parked", "id", f"work_state = {literals(WorkState.dead)}")


class CallbackRow(Table):
    """A name that functions of the program are called under, for one account."""

    id = peewee.BigAutoField(constraints=[_AutoIncrement()])
    environment = peewee.CharField(16)
    account = peewee.CharField(32)
    name = peewee.CharField(200)
    kind = peewee.CharField(12, constraints=[peewee.Check(f"kind IN ({literals(*CallbackKind)})")])
    # It is given the events that came after this one.
    after_event = peewee.BigIntegerField()
    # When a process last had a function for it.
    seen_at = peewee.DoubleField()
    # A name that was given up for another: the row of that one.
    same_as = peewee.BigIntegerField(null=True)

    class Meta:
        """Where the rows live."""

        table_name = "fp_callback"
        indexes = ((("environment", "account", "name"), True),)


class CallRow(Table):
    """The call of one callback with one event."""

    id = peewee.BigAutoField(constraints=[_AutoIncrement()])
    event_id = peewee.BigIntegerField()
    callback_id = peewee.BigIntegerField()
    work_state = peewee.CharField(8, constraints=[peewee.Check(f"work_state IN ({literals(*_CALL_STATES)})")])
    # As in fp_event.
    attempts = peewee.IntegerField()
    run_after = peewee.DoubleField()
    lease_owner = peewee.CharField(80, null=True)
    finished_at = peewee.DoubleField(null=True)
    last_error = peewee.CharField(500, null=True)

    class Meta:
        """Where the rows live."""

        table_name = "fp_call"
        indexes = ((("event_id", "callback_id"), True),)
        constraints = (peewee.Check(f"(work_state = {literals(WorkState.running)}) = (lease_owner IS NOT NULL)"),)


_add_partial_index(CallRow, "fp_call_todo", "callback_id, run_after, id", f"work_state IN ({literals(*OWED_STATES)})")
_add_partial_index(CallRow, "fp_call_parked", "callback_id", f"work_state = {literals(WorkState.dead)}")


class ListenRow(Table):
    """A wait for the end of a transaction, until a deadline that survives restarts."""

    id = peewee.BigAutoField(constraints=[_AutoIncrement()])
    environment = peewee.CharField(16)
    transaction_id = peewee.CharField(64)
    # Fingerprint of the key that the payment was made with.
    account = peewee.CharField(32)
    state = peewee.CharField(10, constraints=[peewee.Check(f"state IN ({literals(*ListenState)})")])
    deadline = peewee.DoubleField()
    timeout = peewee.DoubleField()
    # Whether the transaction is to be deleted at FedaPay at the deadline.
    delete_at_deadline = peewee.SmallIntegerField(constraints=[peewee.Check("delete_at_deadline IN (0,1)")])
    # Whether the end is owed to the callback of restored listens.
    owed = peewee.SmallIntegerField(constraints=[peewee.Check("owed IN (0,1)")])
    event_id = peewee.BigIntegerField(null=True)
    owner = peewee.CharField(80, null=True)
    # End of the owner's lease; once it timed out, when any process may poll whether it was paid after all.
    run_after = peewee.DoubleField(constraints=[peewee.SQL("DEFAULT 0")], default=0)
    attempts = peewee.IntegerField(constraints=[peewee.SQL("DEFAULT 0")], default=0)
    created_at = peewee.DoubleField()
    closed_at = peewee.DoubleField(null=True)

    class Meta:
        """Where the rows live."""

        table_name = "fp_listen"
        indexes = ((("environment", "transaction_id"), True),)


_add_partial_index(ListenRow, "fp_listen_open", "deadline", f"state IN ({literals(*OPEN_STATES)})")
_add_partial_index(ListenRow, "fp_listen_late", "run_after", f"state = {literals(ListenState.timed_out)}")
_add_partial_index(ListenRow, "fp_listen_ended", "closed_at", "closed_at IS NOT NULL")


class PaymentRow(Table):
    """What was asked for, written before FedaPay is asked."""

    id = peewee.BigAutoField(constraints=[_AutoIncrement()])
    environment = peewee.CharField(16)
    account = peewee.CharField(32)
    merchant_reference = peewee.CharField(255, index=True)
    amount = peewee.BigIntegerField()
    currency = peewee.CharField(3)
    # FedaPay's number for that currency, from its answer.
    currency_id = peewee.IntegerField(null=True)
    transaction_id = peewee.CharField(64, null=True)
    state = peewee.CharField(12, constraints=[peewee.Check(f"state IN ({literals(*PaymentState)})")])
    created_at = peewee.DoubleField()
    updated_at = peewee.DoubleField()
    # When any process may poll FedaPay again; NULL once it is over. 0, at once, is what an older version leaves here.
    run_after = peewee.DoubleField(constraints=[peewee.SQL("DEFAULT 0")], default=0, null=True)
    # How often that was done. With run_after it tells one poll from the next.
    looks = peewee.IntegerField(constraints=[peewee.SQL("DEFAULT 0")], default=0)
    # When FedaPay said first that it knows no such merchant reference.
    absent_at = peewee.DoubleField(null=True)
    # Digests of what was asked besides the sum, as JSON; NULL from an older version.
    traits = peewee.TextField(null=True)
    # When a person accepted what was paid, though it is not what was asked.
    accepted_at = peewee.DoubleField(null=True)

    class Meta:
        """Where the rows live."""

        table_name = "fp_payment"
        # The second with both: SQLite would take the first one for its environment, and go through all payments.
        indexes = ((("environment", "account", "merchant_reference"), True), (("transaction_id", "environment"), False))


_add_partial_index(PaymentRow, "fp_payment_due", "run_after", "run_after IS NOT NULL")


class LeaseRow(Table):
    """A lease on what one process at a time may do, on whichever machine: when the next one may."""

    name = peewee.CharField(80, primary_key=True)
    run_after = peewee.DoubleField()
    # The outage whose events are being read: when the last event before it had come.
    since = peewee.DoubleField(null=True)

    class Meta:
        """Where the rows live."""

        table_name = "fp_turn"


class BudgetRow(Table):
    """The budget of status readings of an account: when the next may be made, and what is more urgent than others."""

    id = peewee.BigAutoField(constraints=[_AutoIncrement()])
    environment = peewee.CharField(16)
    account = peewee.CharField(32)
    # The first slot that is not granted yet.
    free_from = peewee.DoubleField(constraints=[peewee.SQL("DEFAULT 0")], default=0)
    # Until then a process reads lists to decide deadlines.
    listed_until = peewee.DoubleField(constraints=[peewee.SQL("DEFAULT 0")], default=0)
    # Until then deadlines and payments just begun wait for slots; then what a thread waits for.
    urgent_until = peewee.DoubleField(constraints=[peewee.SQL("DEFAULT 0")], default=0)
    waited_until = peewee.DoubleField(constraints=[peewee.SQL("DEFAULT 0")], default=0)

    class Meta:
        """Where the rows live."""

        table_name = "fp_budget"
        indexes = ((("environment", "account"), True),)


class MetaRow(Table):
    """The version of these tables, in one row."""

    schema_version = peewee.IntegerField()
    # The oldest version that can still work with them.
    compatible_from = peewee.IntegerField()

    class Meta:
        """Where the rows live."""

        table_name = "fp_meta"
        primary_key = False


#: What is read of a listen. First what is to be known to end it: ``ingestion`` puts columns of other tables there.
LISTEN_COLUMNS = (
    "environment", "transaction_id", "id", "owed", "account", "state", "owner", "run_after", "created_at", "deadline",
    "timeout", "delete_at_deadline", "closed_at",
)  # fmt: skip

TABLES = (EventRow, CallbackRow, CallRow, ListenRow, PaymentRow, LeaseRow, BudgetRow, MetaRow)
