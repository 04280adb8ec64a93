"""Whose payments a command is about: those of the application that runs it, or all that a database has."""

from typing import List, NamedTuple, Optional

import click

from fedapay_sync.connector.connector import Connector, config_of


class Scope(NamedTuple):
    """
    Without values: the database of the environment, with all that is in it.

    Attributes:
        environment: ``sandbox`` or ``live``.
        accounts: the labels of the merchant accounts.
    """

    db_url: Optional[str] = None
    environment: Optional[str] = None
    accounts: Optional[List[str]] = None


def current_connector() -> Optional[Connector]:
    """The connector of the application that runs this command; None for ``fedapay-sync``."""
    return click.get_current_context().find_object(Connector)


def current_scope() -> Scope:
    """What this command is about."""
    connector = current_connector()
    if connector is None:
        return Scope()
    config = config_of(connector)
    return Scope(config.db_url, config.environment, list(config.accounts))
