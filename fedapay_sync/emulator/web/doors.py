"""Which of the two applications a request is for."""

from typing import TYPE_CHECKING, Iterable

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: The one page that FedaPay has among the addresses of its API.
RECEIPT = "/v1/transactions/receipt"


def two_doors(api: "WSGIApplication", site: "WSGIApplication") -> "WSGIApplication":
    """``/v1`` is the API's; every other address, and the receipt, is a page."""

    def door(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        app = api if path.startswith("/v1") and path != RECEIPT else site
        return app(environ, start_response)

    return door
