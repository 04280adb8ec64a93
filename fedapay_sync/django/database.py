"""The database of the payments, unless ``DB_URL`` names one: the project's PostgreSQL, or a file beside its own."""

import importlib.util
from pathlib import Path
from typing import Any, Dict, Optional
from urllib.parse import quote, urlencode

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils.connection import ConnectionDoesNotExist

from fedapay_sync.errors import ConfigError

#: In the options of Django's connections, and no settings of libpq's; the encoding and the name in the server's list of
#: sessions are ours.
_OF_DJANGO = frozenset(
    {"application_name", "isolation_level", "assume_role", "server_side_binding", "pool", "client_encoding",
     "cursor_factory", "context", "row_factory", "prepare_threshold", "autocommit"}
)  # fmt: skip
_SAY_WHICH = (
    'Donner une base aux paiements : FEDAPAY = {…, "DB_URL": "sqlite:////var/lib/boutique/fedapay.db"}, ou une URL '
    "postgresql://."
)


def database_name() -> Optional[str]:
    """What ``DATABASES["default"]`` is called now: while tests run, the test database."""
    try:
        return str(connections[DEFAULT_DB_ALIAS].settings_dict.get("NAME") or "")
    except (ImproperlyConfigured, ConnectionDoesNotExist):
        return None


def default_url() -> str:
    """
    Where the payments are kept, as ``DATABASES["default"]`` is now.

    Raises:
        ConfigError: it says nothing that could be used.
    """
    try:
        connection: Any = connections[DEFAULT_DB_ALIAS]
    except (ImproperlyConfigured, ConnectionDoesNotExist) as error:
        raise ConfigError(f'DATABASES["default"] ne se charge pas ({_first_line(error)}). {_SAY_WHICH}') from None
    given: Dict[str, Any] = connection.settings_dict
    if connection.vendor == "postgresql":
        return _server_url(given)
    return _file_url(connection, str(given.get("NAME") or ""))


def _server_url(given: Dict[str, Any]) -> str:
    if importlib.util.find_spec("psycopg2") is None:
        other = " (psycopg 3, que Django emploie, ne suffit pas)" if importlib.util.find_spec("psycopg") else ""
        raise ConfigError(
            f'DATABASES["default"] est PostgreSQL, et les paiements y seraient gardés par psycopg2, qui n\'est pas '
            f"installé{other}. L'installer, à côté : pip install 'fedapay_sync[postgres]'. Ou donner une autre base : "
            'FEDAPAY = {…, "DB_URL": "…"}.'
        )
    options = {name: value for name, value in (given.get("OPTIONS") or {}).items() if name not in _OF_DJANGO}
    role = (given.get("OPTIONS") or {}).get("assume_role")
    if role:
        escaped = str(role).replace("\\", "\\\\").replace(" ", "\\ ")
        options["options"] = f"{options.get('options', '')} -c role={escaped}".strip()
    named = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "NAME"}
    found = {name: given[key] for name, key in named.items() if given.get(key)}
    query = {name: value for name, value in {**options, **found}.items() if name not in ("user", "password", "dbname")}
    # Empty, it is libpq's own: the local socket, as it is for Django.
    query.setdefault("host", "")
    if "service" in query and not query["host"]:
        del query["host"]
    user, password, name = (quote(str(found.get(key, "")), safe="") for key in ("user", "password", "dbname"))
    login = f"{user}:{password}@" if password else f"{user}@" if user else ""
    return f"postgresql://{login}/{name}?{urlencode(query, quote_via=quote, safe='')}"


def _file_url(connection: Any, name: str) -> str:
    """A file beside the project's SQLite file, or in its folder; its name holds that of the (test) database."""
    if connection.vendor == "sqlite":
        if connection.is_in_memory_db() or name.startswith("file:"):
            raise ConfigError(
                f'DATABASES["default"] est en mémoire, comme dans les tests, et les paiements doivent durer. Dans un '
                f"test, hériter de fedapay_sync.django.test.FedapayMixin, ou demander la fixture fedapay_emulator. "
                f"{_SAY_WHICH}"
            )
        path = Path(name)
        path = path.with_name(f"{path.stem}.fedapay{path.suffix or '.db'}")
    else:
        folder = getattr(settings, "BASE_DIR", None)
        if not folder or not name:
            raise ConfigError(
                f'Les paiements ne peuvent pas être gardés dans DATABASES["default"] ({connection.display_name}), et '
                f"BASE_DIR ne dit pas où mettre un fichier. {_SAY_WHICH}"
            )
        path = Path(folder) / f"{Path(name).name}.fedapay.db"
    return f"sqlite:///{quote(str(path.absolute()).replace(chr(92), '/'), errors='surrogateescape')}"


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
