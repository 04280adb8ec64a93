"""The statements that a call makes the database execute."""

import logging


def statements_of(caplog, call):
    """Call it, and give the statements that Peewee has logged meanwhile, in their order."""
    with caplog.at_level(logging.DEBUG, logger="peewee"):
        caplog.clear()
        call()
    logged = [record.msg for record in caplog.records if record.name == "peewee"]
    return [each if isinstance(each, str) else each[0] for each in logged]
