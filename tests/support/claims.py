"""Work of the callback queue, taken as a plain shop takes it that has one callback of each kind."""

from fedapay_sync.store.callback_records import CallbackName, Wanted
from fedapay_sync.store.states import CallbackKind
from fedapay_sync.workflow.callbacks.names import NamedCallback


def wanted(store, *, environment="sandbox", accounts=("shop",), kinds=("webhook",)):
    """The work of callbacks of these kinds, which are registered under the names of their kinds."""
    names = [CallbackName(kind, CallbackKind(kind)) for kind in kinds]
    numbers = store.callback_names.register(environment, accounts, names)
    return Wanted(environment, list(accounts), [each.kind for each in names], list(numbers))


def claim(store, owner="A", *, lease=60.0, limit=10, busy=(), **subject):
    """Take that work."""
    return store.callbacks.acquire(owner, wanted(store, **subject), lease=lease, limit=limit, busy=busy)


def named(handler, kind="webhook"):
    """A callback of this process that has the name of its kind."""
    return NamedCallback(CallbackName(kind, CallbackKind(kind)), handler, lambda: handler)


#: How the callbacks of each event are: the event's own work until it is given to them.
STATES = """
SELECT e.entity_id, COALESCE(k.work_state, e.work_state), COALESCE(k.attempts, e.attempts),
       CASE WHEN k.id IS NULL THEN e.last_error ELSE k.last_error END
FROM fp_event e LEFT JOIN fp_call k ON k.event_id = e.id ORDER BY e.id, k.id
"""


def states(store):
    """The state of each call that is left, or else of its event: object, state, attempts and last error."""
    return store.read(lambda database: [tuple(row) for row in database.execute_sql(STATES).fetchall()])


def state(store, number):
    """The same of the one event about that object."""
    (found,) = [row[1:] for row in states(store) if row[0] == str(number)]
    return found
