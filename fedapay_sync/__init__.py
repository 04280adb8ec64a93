"""
fedapay_sync : encaisser avec FedaPay depuis Python, sans asyncio.

``FedapayConnector`` mène un paiement du début à la fin ; ``Connector`` est la même chose sans l'instance partagée.
"""

from typing import TYPE_CHECKING, Any, List

if TYPE_CHECKING:
    from fedapay_sync._public import *  # noqa: F403
    from fedapay_sync._public import __version__ as __version__

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # The names come when one is asked for: a command or a worker that only passes by here loads no library.
        # import_module and not "from . import": that would ask this function for the submodule.
        import importlib

        public = importlib.import_module("fedapay_sync._public")
        if name == "__all__":
            return public.__all__
        if name not in public.__all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return globals().setdefault(name, getattr(public, name))

    def __dir__() -> List[str]:
        import importlib

        return sorted({*globals(), *importlib.import_module("fedapay_sync._public").__all__})
