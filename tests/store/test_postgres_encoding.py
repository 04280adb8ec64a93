"""Which letters a PostgreSQL database can hold: all of them, or it is refused before it is used."""

import uuid

import pytest

from fedapay_sync.errors import ConfigError
from fedapay_sync.store import Store


@pytest.fixture
def database_in(postgres_server):
    """Databases of that encoding on the server, dropped at the end."""
    made = []

    def make(encoding):
        name = f"d{uuid.uuid4().hex}"
        postgres_server.execute(
            f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
        )
        made.append(name)
        return postgres_server.url.rpartition("/")[0] + f"/{name}"

    yield make
    for name in made:
        postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("encoding", ["LATIN1", "LATIN9", "SQL_ASCII"])
def test_a_database_that_is_not_in_utf_8_is_refused_with_what_to_do(database_in, encoding):
    """
    At the start and each time, before any table is made: later, a letter that it lacks would stop a callback's end.
    """
    store = Store(database_in(encoding))
    for _ in range(2):
        with pytest.raises(ConfigError, match=rf"{encoding}.*ENCODING 'UTF8'.*FEDAPAY_DB_URL") as refused:
            store.open()
        assert "motdepasse" not in str(refused.value)
    store.close()


def test_a_database_in_utf_8_under_another_language_is_taken(database_in):
    store = Store(database_in("UTF8"))
    store.open()
    store.close()


def test_the_encoding_of_the_connection_is_ours_whatever_the_url_says(postgres_url):
    """
    A URL copied from another program must not bring its letters with it.
    """
    store = Store(f"{postgres_url}&client_encoding=latin1")
    assert store.write(lambda database: database.execute_sql("SELECT %s", ("œ€’",)).fetchone()[0]) == "œ€’"
    store.close()
