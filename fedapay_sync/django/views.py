"""The webhook view: plain, so that Django runs it on a thread under ASGI as under WSGI."""

from typing import Any, Optional

from django.core.exceptions import RequestDataTooBig
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from fedapay_sync.django import fedapay
from fedapay_sync.server import MAX_BODY
from fedapay_sync.signature import HEADER
from fedapay_sync.workflow.webhooks.refusals import RefusalLog
from fedapay_sync.workflow.webhooks.wsgi import POST_ONLY, TOO_LARGE, TRY_AGAIN, Reply, raw_body, reply_to

_refusals = RefusalLog()


def _webhook(request: HttpRequest) -> HttpResponse:
    """Take a webhook in: 200 once it is on disk."""
    if request.method != "POST":
        return _response(POST_ONLY)
    try:
        body = _body_of(request)
    except (UnreadablePostError, OSError):
        return _response(TRY_AGAIN)
    if body is None:
        return _response(TOO_LARGE)
    return _response(reply_to(fedapay.receive, _refusals, body, request.headers.get(HEADER)))


def _body_of(request: Any) -> Optional[bytes]:
    """The raw body; None if it is larger than ours may be, whatever the project admits."""
    length = str(request.META.get("CONTENT_LENGTH") or "")
    environ = getattr(request, "environ", None)
    if not length and environ is not None and environ.get("wsgi.input_terminated"):
        # Sent in chunks. Django takes a request without a length for one without a body.
        return raw_body(environ["wsgi.input"], "", True)
    if length.isdigit() and (len(length) > 9 or int(length) > MAX_BODY):
        return None
    try:
        return bytes(request.body)
    except RequestDataTooBig:
        # DATA_UPLOAD_MAX_MEMORY_SIZE is about forms; refused with 400, FedaPay would switch the webhook off.
        return bytes(request.read(MAX_BODY + 1))


def _response(reply: Reply) -> HttpResponse:
    return HttpResponse(reply.body, status=reply.status, headers=dict(reply.headers))


def _outside_transactions(view: Any) -> Any:
    """The view without the transaction of ATOMIC_REQUESTS, of whichever database: what it keeps, it commits itself."""
    for alias in connections:
        view = transaction.non_atomic_requests(alias)(view)
    return view


webhook = csrf_exempt(_outside_transactions(_webhook))
# FedaPay has no account: LoginRequiredMiddleware would send it to the login page.
webhook.login_required = False
