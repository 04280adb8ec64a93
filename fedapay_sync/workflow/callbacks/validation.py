"""What may be called back."""

import inspect
from typing import Any

from fedapay_sync.errors import ConfigError


def checked_around(given: Any) -> Any:
    """
    A function that makes the context of one call, or None.

    Raises:
        ConfigError: what cannot be called.
    """
    if given is None or callable(given):
        return given
    raise ConfigError(
        f"around_callback : une fonction qui rend un gestionnaire de contexte est attendue (app.app_context, par "
        f"exemple), reçu {type(given).__name__}."
    )


def check_callback(callback: Any, name: str) -> None:
    """
    Refuse what cannot be called as a callback.

    Raises:
        ConfigError: not callable, or asynchronous.
    """
    if not callable(callback):
        raise ConfigError(f"{name} : une fonction est attendue, reçu {type(callback).__name__}.")
    called = getattr(callback, "__call__", None)  # noqa: B004 - its code is inspected, not whether it exists
    if inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(called):
        raise ConfigError(
            f"{name} est une fonction asynchrone, que personne n'attendrait ici. Supprimer « async » devant « def », "
            "et les « await » dans son corps."
        )
