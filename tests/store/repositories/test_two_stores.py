"""
The store under any order of deliveries, waits, claims, crashes and hours, as reliability.md 12.2 describes it.
"""

import uuid

import pytest
from hypothesis import settings
from support.store_machine import LONG, SETTINGS, files_in, run


def test_any_order_of_things_on_a_file(tmp_path):
    """
    Every accepted key ran, none had two live owners, none ran again without a crash after its effect.
    """
    run(files_in(tmp_path))


def test_any_order_of_things_on_a_server(postgres_server):
    """
    The same on PostgreSQL, fewer of them: each statement is a way there and back.
    """
    run(lambda: postgres_server.schema_url(f"t{uuid.uuid4().hex}"), settings(SETTINGS, max_examples=10))


@pytest.mark.long
@pytest.mark.faults(row=13)
def test_any_order_of_things_on_a_file_at_length(tmp_path):
    """
    The same, as many times as the plan of the tests asks for.
    """
    run(files_in(tmp_path), LONG)


@pytest.mark.long
@pytest.mark.faults(row=13)
def test_any_order_of_things_on_a_server_at_length(postgres_server):
    """
    The same on PostgreSQL, a few more than every day.
    """
    run(lambda: postgres_server.schema_url(f"t{uuid.uuid4().hex}"), settings(LONG, max_examples=60))
