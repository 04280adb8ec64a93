"""Where the payments are kept unless ``DB_URL`` says so: beside the project's own database, or in it."""

import pytest

from fedapay_sync import ConfigError, Connector
from fedapay_sync.connector.connector import config_of


@pytest.fixture
def project_url(shop, django_settings):
    """The URL that the project's connector has with that default database."""
    from django.db import connections
    from django.db.utils import load_backend
    from django.test import override_settings

    def url_of(**given):
        backend = load_backend(given.pop("ENGINE"))
        values = {"HOST": "", "PORT": "", "USER": "", "PASSWORD": "", "OPTIONS": {}, **given}
        # What a project with that database has as its connection: never opened here.
        wrapper = backend.DatabaseWrapper({**connections["default"].settings_dict, **values}, "default")
        with override_settings(FEDAPAY={**django_settings, "DB_URL": None}):
            before = connections["default"]
            connections["default"] = wrapper
            try:
                return config_of(shop._configured()).db_url
            finally:
                connections["default"] = before

    return url_of


POSTGRES = "django.db.backends.postgresql"
SQLITE = "django.db.backends.sqlite3"


def test_beside_the_file_of_the_project(project_url, tmp_path):
    """
    Its name holds that of the project's file, so that a test database has another than the shop's.
    """
    assert project_url(ENGINE=SQLITE, NAME=tmp_path / "db.sqlite3") == f"sqlite:///{tmp_path}/db.fedapay.sqlite3"
    assert project_url(ENGINE=SQLITE, NAME=f"{tmp_path}/test db") == f"sqlite:///{tmp_path}/test%20db.fedapay.db"


@pytest.mark.parametrize("name", [":memory:", "file:memorydb_default?mode=memory&cache=shared", "file:shop.db"])
def test_a_database_in_memory_keeps_no_payments(project_url, name):
    """
    That of a test without our fixtures: the shop's own is never written in its place.
    """
    with pytest.raises(ConfigError, match="FedapayMixin"):
        project_url(ENGINE=SQLITE, NAME=name)


def test_where_the_project_has_mysql_the_payments_are_in_a_file(shop, django_settings, monkeypatch):
    """
    In BASE_DIR, under the name of the database; a check says so, and a project without that folder is told what to do.
    """
    from django.conf import settings
    from django.db import connections
    from django.test import override_settings

    from fedapay_sync.django.checks import check_project

    connection = connections["default"]
    monkeypatch.setattr(connection, "vendor", "mysql", raising=False)
    monkeypatch.setitem(connection.settings_dict, "NAME", "shop")
    with override_settings(FEDAPAY={**django_settings, "DB_URL": None}):
        assert config_of(shop._configured()).db_url == f"sqlite:///{settings.BASE_DIR}/shop.fedapay.db"
        assert [each.id for each in check_project()] == ["fedapay.W003"]
        with override_settings(BASE_DIR=None), pytest.raises(ConfigError, match="BASE_DIR"):
            shop._configured()
    assert check_project() == []


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({"HOST": "db", "PORT": "5433"}, "postgresql:///shop?host=db&port=5433"),
        ({"USER": "awa", "PASSWORD": "a@/b%?"}, "postgresql://awa:a%40%2Fb%25%3F@/shop?host="),
        ({"HOST": "/run/pg"}, "postgresql:///shop?host=%2Frun%2Fpg"),
        ({"OPTIONS": {"sslmode": "require", "pool": True}}, "postgresql:///shop?sslmode=require&host="),
        ({"OPTIONS": {"service": "shop"}, "NAME": ""}, "postgresql:///?service=shop"),
        ({"OPTIONS": {"options": "-c x=1", "assume_role": "a b"}},
         "postgresql:///shop?options=-c%20x%3D1%20-c%20role%3Da%5C%20b&host="),
    ],
)  # fmt: skip
def test_in_the_postgresql_of_the_project(project_url, given, url):
    """
    By its host or socket, with the options that libpq has.
    """
    assert project_url(**{"ENGINE": POSTGRES, "NAME": "shop", **given}) == url


def test_the_driver_that_is_missing_is_named(project_url, monkeypatch):
    """
    A project with psycopg 3 alone lacks psycopg2.
    """
    import importlib.util

    find = importlib.util.find_spec
    project_url(ENGINE=POSTGRES, NAME="shop")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "psycopg2" else find(name))
    with pytest.raises(ConfigError, match="psycopg2") as caught:
        project_url(ENGINE=POSTGRES, NAME="shop")
    assert "fedapay_sync[postgres]" in str(caught.value)


def test_payments_are_kept_in_a_real_postgresql(project_url, postgres_server, emulator):
    """
    With the user, the password and the search path of the project.
    """
    postgres_server.execute('CREATE SCHEMA "django"')
    url = project_url(
        ENGINE=POSTGRES,
        NAME="postgres",
        USER=postgres_server.user,
        PASSWORD=postgres_server.password,
        HOST="127.0.0.1",
        PORT=postgres_server.port,
        OPTIONS={"options": "-c search_path=django", "sslmode": "disable"},
    )
    with Connector(emulator.url, api_key=emulator.secret_key, db_url=url) as connector:
        connector.cancel_all_listens()
        assert connector.health().database
        overview = connector._per_process.get().store.overview
        for sought in ("", "CMD-1"):
            assert overview.payments("sandbox", ["label"], sought, 10) == []
            assert overview.events("sandbox", ["label"], sought, 10) == []
    assert postgres_server.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'django'")[0][0] > 3


def test_the_name_of_the_test_database_is_read_at_first_use(shop, django_settings, monkeypatch, tmp_path):
    """
    Made before the test runner had set its database up, a connector is made anew: it would write into the shop's own.
    """
    from django.db import connections
    from django.test import override_settings

    with override_settings(FEDAPAY={**django_settings, "DB_URL": None}):
        before = shop.connector
        monkeypatch.setitem(connections["default"].settings_dict, "NAME", str(tmp_path / "test_shop.sqlite3"))
        after = shop.connector

    assert before is not after
    assert config_of(after).db_url == f"sqlite:///{tmp_path}/test_shop.fedapay.sqlite3"
