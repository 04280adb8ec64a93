"""Which shop a call to the API is for: that of its key."""

from typing import TYPE_CHECKING, Iterable, List, Sequence, Tuple

from fedapay_sync.emulator.lazily import Lazily
from fedapay_sync.emulator.services import Parts

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Counter:
    """The APIs of all shops as one WSGI application; what opens none of them is the first one's to refuse."""

    def __init__(self, shops: Sequence[Parts]) -> None:
        self._doors: List[Tuple[Parts, WSGIApplication]] = [(each, Lazily(each.api)) for each in shops]

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        key = environ.get("HTTP_AUTHORIZATION", "").partition(" ")[2].strip()
        return self._door(key)(environ, start_response)

    def _door(self, key: str) -> "WSGIApplication":
        if len(self._doors) > 1:
            for parts, app in self._doors:
                with parts.books.lock:
                    if parts.is_key(key):
                        return app
        return self._doors[0][1]
