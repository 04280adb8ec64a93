"""States of rows: texts with a type, alike on every Python."""

import pytest

from fedapay_sync.store.states import OPEN_STATES, ListenState, PaymentState, WorkState, literals


@pytest.mark.parametrize("state", [*ListenState, *PaymentState, *WorkState], ids=repr)
def test_a_state_is_its_text(state):
    """
    In a query, in a log record, as a key: where a row holds it and where the code names it.
    """
    assert f"{state}" == str(state) == state.value == state.name
    assert {state.value: 1}[state] == {state: 1}[state.value]


def test_states_in_the_text_of_a_query():
    """
    As the partial index of open listens says them: another text and the planner would not take it.
    """
    assert literals(*OPEN_STATES) == "'pending','closing','unknown'"
    assert literals(ListenState.timed_out) == "'timed_out'"
