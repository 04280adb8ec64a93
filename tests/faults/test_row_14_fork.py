"""Row 14: a parent and its children use one connector at the same time, and nobody reads another's answer."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData

pytestmark = [pytest.mark.faults(row=14), pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")]

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
QUESTIONS = 100


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_of_three_hundred_answers_after_a_fork_none_is_anothers(make_connector):
    """
    An inherited connection would give each the answers of the others.
    """
    connector = make_connector()
    numbers = [connector.pay(SETUP, CLIENT, 100 + place).id_transaction for place in range(3)]

    def wrong(place):
        asked = [connector.check_status(numbers[place]) for _ in range(QUESTIONS)]
        return sum(each.id != numbers[place] or each.amount != 100 + place for each in asked)

    children = [child_of(lambda place=place: wrong(place)) for place in (0, 1)]
    with ThreadPoolExecutor(1) as pool:
        here = pool.submit(wrong, 2)
        assert [result() for result in children] == [0, 0]
        assert here.result(60) == 0


def child_of(work):
    """The number that ``work`` gives in a forked child, as its exit code; 99 if it fails."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = min(work(), 98)
        finally:
            os._exit(code)

    return lambda: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
