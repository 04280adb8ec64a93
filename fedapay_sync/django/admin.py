"""Admin pages of payments and events. They read columns and no bodies: no customer is shown, and nothing is changed."""

from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Dict, List

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.views.decorators.http import require_POST

from fedapay_sync.connector.connector import Connector, config_of
from fedapay_sync.display.words import transaction_state
from fedapay_sync.django import fedapay
from fedapay_sync.django.models import Event, Payment
from fedapay_sync.errors import FedapayError
from fedapay_sync.store.repositories.overview import OverviewRepository
from fedapay_sync.store.sqlite.connection import file_of

#: Lines of one page.
_LIMIT = 100
_STATES = {
    "intent": "à demander",
    "created": "en attente",
    "sent": "en attente",
    "unknown": "réponse perdue, à redemander avec la même référence",
    "failed": "pas demandé",
}
_WORKS = ("", "dû à un callback", "mis de côté")


class _ReadOnlyAdmin(admin.ModelAdmin):
    """One page, of rows that are not Django's."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """FedaPay alone adds."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What FedaPay has told is not changed here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """``fedapay_purge`` erases what is old."""
        return False

    def get_urls(self) -> List[Any]:
        """The page alone: there is no object to be shown or changed."""
        name = f"fedapay_{self.opts.model_name}_changelist"
        return [path("", self.admin_site.admin_view(self.changelist_view), name=name)]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        sought = request.GET.get("q", "").strip()[:200]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": str(self.opts.verbose_name_plural).capitalize(),
            "sought": sought,
            "limit": _LIMIT,
        }
        try:
            connector = fedapay.connector
            if _has_database(connector):
                context.update(self.lines(request, connector, sought))
        except FedapayError as error:
            context["problem"] = error.message
        return TemplateResponse(request, f"admin/fedapay/{self.opts.model_name}s.html", context)

    def lines(self, request: HttpRequest, connector: Connector, sought: str) -> Dict[str, Any]:
        """What the page shows."""
        raise NotImplementedError


@admin.register(Payment)
class PaymentAdmin(_ReadOnlyAdmin):
    """The payments of this project, newest first."""

    def lines(self, request: HttpRequest, connector: Connector, sought: str) -> Dict[str, Any]:
        """The newest ones, or the one that is sought."""
        config = config_of(connector)
        found = _overview(connector).payments(config.environment, config.accounts, sought, _LIMIT)
        return {
            "payments": [
                {
                    "line": each,
                    "state": transaction_state(each.status).word
                    if each.status
                    else _STATES.get(each.state, each.state),
                    "created_at": _instant(each.created_at),
                }
                for each in found
            ]
        }


@admin.register(Event)
class EventAdmin(_ReadOnlyAdmin):
    """The events, those first that a callback has left aside."""

    def get_urls(self) -> List[Any]:
        """The page, and what its button calls."""
        replay = self.admin_site.admin_view(require_POST(self.replay_view))
        return [*super().get_urls(), path("rappeler", replay, name="fedapay_event_replay")]

    def lines(self, request: HttpRequest, connector: Connector, sought: str) -> Dict[str, Any]:
        """The newest ones, or those that are sought; before them what is parked."""
        config = config_of(connector)
        found = _overview(connector).events(config.environment, config.accounts, sought, _LIMIT)
        return {
            "parked": [] if sought else connector.parked(),
            "can_replay": request.user.has_perm("fedapay.replay_event"),  # type: ignore[attr-defined, unused-ignore]
            "events": [
                {
                    "line": each,
                    "status": transaction_state(each.status).word if each.status else "",
                    "work": _WORKS[each.work],
                    "received_at": _instant(each.received_at),
                }
                for each in found
            ],
        }

    def replay_view(self, request: HttpRequest) -> HttpResponse:
        """Have the callbacks called again that have left an event aside."""
        if not request.user.has_perm("fedapay.replay_event"):  # type: ignore[attr-defined, unused-ignore]
            raise PermissionDenied
        key, callback = request.POST.get("event_key", ""), request.POST.get("callback", "")
        try:
            # Without a key it would be all of them.
            count = fedapay.replay(key, callback=callback or None) if key else 0
        except FedapayError as error:
            messages.error(request, error.message)
        else:
            if count:
                messages.success(request, "Rappelé : le callback sera appelé dans quelques secondes.")
            else:
                messages.warning(request, "Cet événement n'est plus mis de côté.")
        return redirect("admin:fedapay_event_changelist")


def _overview(connector: Connector) -> OverviewRepository:
    return connector._per_process.get().store.overview


def _has_database(connector: Connector) -> bool:
    """Whether there is one: a page that is read makes none."""
    url = config_of(connector).db_url
    return not url.startswith("sqlite:") or Path(file_of(url)).exists()


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
