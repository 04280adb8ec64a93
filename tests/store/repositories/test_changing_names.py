"""Callbacks whose names are added, renamed, dropped and gone, in any order, with processes that die meanwhile."""

import uuid

import pytest
from hypothesis import settings
from support.names_machine import run
from support.store_machine import LONG, SETTINGS, files_in


def test_each_callback_is_called_once_for_what_it_is_owed_whatever_its_name(tmp_path):
    """
    None twice, none for what it is not owed, and what nobody has a function for is said.
    """
    run(files_in(tmp_path), settings(SETTINGS, max_examples=25))


def test_so_it_is_on_a_server(postgres_server):
    """
    The same on PostgreSQL, fewer of them: each statement is a way there and back.
    """
    run(lambda: postgres_server.schema_url(f"t{uuid.uuid4().hex}"), settings(SETTINGS, max_examples=10))


@pytest.mark.long
@pytest.mark.faults(row=13)
def test_each_callback_is_called_once_at_length(tmp_path):
    """
    The same, many more of them, each with more steps.
    """
    run(files_in(tmp_path), LONG)


@pytest.mark.long
@pytest.mark.faults(row=13)
def test_so_it_is_on_a_server_at_length(postgres_server):
    """
    The same on PostgreSQL, a few more than every day.
    """
    run(lambda: postgres_server.schema_url(f"t{uuid.uuid4().hex}"), settings(LONG, max_examples=60))
