"""How a connector shows itself: what it does in this process, without opening or starting anything that is not open."""

import urllib.parse
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from fedapay_sync.common.config import Config
from fedapay_sync.common.masking import mask
from fedapay_sync.display.background_log import kept_warnings
from fedapay_sync.display.connectors import AT_REST, AT_WORK, BROKEN, CLOSING, connector_html
from fedapay_sync.display.words import State

if TYPE_CHECKING:
    # The services are loaded with the first runtime, and not by a program that only imports the package.
    from fedapay_sync.connector.runtime import Runtime


class _Found(NamedTuple):
    config: Config
    runtime: "Optional[Runtime]"


def connector_text(connector: Any) -> str:
    """The ``repr`` of a connector."""
    name, found = type(connector).__name__, _found(connector)
    if found is None:
        return f"{name}({BROKEN.word})"
    config, runtime = found
    url = mask(_webhook_url(config, runtime))
    return (
        f"{name}({mask(config.api_url)!r}, environment={config.environment!r}, state={_state(runtime).word!r}"
        f"{f', webhook_url={url!r}' if url else ''})"
    )


def connector_card(connector: Any) -> str:
    """The card of a connector."""
    name, found = type(connector).__name__, _found(connector)
    if found is None:
        return connector_html(name, BROKEN)
    config, runtime = found
    state = _state(runtime)
    return connector_html(
        name,
        state,
        environment=config.environment,
        api_url=config.api_url,
        database=_database(config.db_url),
        webhook_url=_webhook_url(config, runtime),
        callbacks=list(vars(connector).get("_callbacks") or ()),
        # Where the work has begun the database is open.
        health=runtime.health.check() if runtime is not None and state == AT_WORK else None,
        warnings=kept_warnings(),
    )


def _found(connector: Any) -> Optional[_Found]:
    """What the connector is made of; None where its construction has failed."""
    parts = vars(connector)
    if "_config" not in parts or "_per_process" not in parts:
        return None
    return _Found(parts["_config"], parts["_per_process"].peek())


def _state(runtime: "Optional[Runtime]") -> State:
    if runtime is None or not (runtime.has_begun or runtime.is_closing):
        return AT_REST
    return CLOSING if runtime.is_closing else AT_WORK


def _webhook_url(config: Config, runtime: "Optional[Runtime]") -> str:
    server = runtime.server if runtime is not None else None
    return f"{server.url}/{config.endpoint_name}" if server is not None and server.is_running else ""


def _database(url: str) -> str:
    """What kind of database, and which: without folders, users and passwords."""
    parts = urllib.parse.urlsplit(url)
    return f"{'SQLite' if parts.scheme == 'sqlite' else 'PostgreSQL'}, {parts.path.rpartition('/')[2]}"
