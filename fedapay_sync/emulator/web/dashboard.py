"""Dashboard, read side: the pages that list what happened; the buttons are in ``dashboard_actions``."""

import hashlib
from typing import Any, Dict, List, Sequence

from flask import Flask, abort, g, render_template, request, url_for

from fedapay_sync.emulator.base import EmulatorBase
from fedapay_sync.emulator.delivery.samples import EVENT_NAMES
from fedapay_sync.emulator.delivery.sender import Delivery
from fedapay_sync.emulator.domain.settings import FIXED
from fedapay_sync.emulator.faults import registry
from fedapay_sync.emulator.http.errors import Refusal
from fedapay_sync.emulator.http.serializers import stamp
from fedapay_sync.emulator.middleware import KEPT_ANSWER, KEPT_BODY
from fedapay_sync.emulator.resources.logs import masked
from fedapay_sync.emulator.services import ShopServices
from fedapay_sync.emulator.shop import Shop
from fedapay_sync.emulator.web import dashboard_lists, snippets, translations
from fedapay_sync.emulator.web.token_lookup import Shops

#: The pages, in the order of the navigation.
NAVIGATION = (
    ("dashboard", "Transactions"),
    ("dashboard_payouts", "Dépôts"),
    ("dashboard_customers", "Clients"),
    ("dashboard_events", "Événements"),
    ("dashboard_calls", "Appels"),
    ("dashboard_deliveries", "Webhooks"),
    ("dashboard_faults", "Pannes"),
    ("dashboard_settings", "Réglages"),
)
_STATUSES = "pending approved declined canceled expired transferred refunded deleted".split()
_PAYOUT_STATUSES = "pending started processing sent failed deleted".split()
_METHODS = "GET POST PUT DELETE".split()
_EVENTS = [f"{kind}.{what}" for kind, names in EVENT_NAMES.items() for what in names]


class Dashboard:
    """
    The pages of one emulator.

    Args:
        emulator: its first shop, and what all shops have in common.
        shops: the services of each shop, in the order of ``emulator.shops``.
    """

    def __init__(self, emulator: EmulatorBase, shops: Shops) -> None:
        self._emulator = emulator
        self._shops = shops

    def add_to(self, app: Flask) -> None:
        """Register the pages."""
        app.jinja_env.filters.update(printable_block=translations.printable_block, hour=translations.hour)
        app.jinja_env.filters.update(clock=_clock, stamped=stamp, masked=masked)
        for rule, name, view in (
            ("/", "dashboard", self.transactions),
            ("/transactions/<int:number>", "dashboard_transaction", self.transaction),
            ("/depots", "dashboard_payouts", self.payouts),
            ("/clients", "dashboard_customers", self.customers),
            ("/evenements", "dashboard_events", self.events),
            ("/appels", "dashboard_calls", self.calls),
            ("/appels/<int:number>", "dashboard_call", self.call),
            ("/livraisons", "dashboard_deliveries", self.deliveries),
            ("/livraisons/<int:number>", "dashboard_delivery", self.delivery),
            ("/pannes", "dashboard_faults", self.faults),
            ("/reglages", "dashboard_settings", self.settings),
            ("/oublier", "dashboard_forget", self.forget),
            ("/etat", "dashboard_state", self.state),
        ):
            app.add_url_rule(rule, name, view, methods=["GET"])

    # What there is

    def transactions(self) -> str:
        page = dashboard_lists.transactions(self._services, request.args)
        return self._page("transactions", page=page, statuses=_STATUSES)

    def transaction(self, number: int) -> str:
        try:
            about = dashboard_lists.transaction(self._services, number)
        except Refusal:
            abort(404)
        with self._services.data.lock:
            events = dashboard_lists.of_object(self._services.data.events, number)
        return self._page(
            "transaction",
            about=about,
            events=events,
            deliveries=dashboard_lists.of_object(reversed(self._shop.deliveries), number),
            answer=snippets.indented(about["answer"]),
        )

    def payouts(self) -> str:
        page = dashboard_lists.payouts(self._services, request.args)
        return self._page("payouts", page=page, statuses=_PAYOUT_STATUSES)

    def customers(self) -> str:
        return self._page("customers", page=dashboard_lists.customers(self._services, request.args))

    def events(self) -> str:
        return self._page("events", page=dashboard_lists.events(self._services, request.args), types=_EVENTS)

    # What was said

    def calls(self) -> str:
        page = dashboard_lists.page(
            reversed(self._emulator.requests),
            request.args,
            lambda each: f"{each.path}?{each.query}",
            lambda each: each.body.decode("utf-8", "replace"),
            methode=lambda each: each.method,
            fin=lambda each: "ok" if 200 <= each.status < 400 else "erreur",
        )
        return self._page("calls", page=page, methods=_METHODS)

    def call(self, number: int) -> str:
        call = next((each for each in self._emulator.requests if each.number == number), None)
        if call is None:
            abort(404)
        return self._page(
            "call",
            call=call,
            most=KEPT_ANSWER,
            cut=len(call.body) == KEPT_BODY,
            body=snippets.pretty(call.body),
            answer=snippets.pretty(call.answer),
            curl=snippets.curl(call, self._emulator.url),
            python=render_template(
                "call.txt",
                key=call.key,
                kind=snippets.kind(call),
                arguments=snippets.arguments(call, self._emulator.url),
            ),
        )

    def deliveries(self) -> str:
        page = dashboard_lists.page(
            reversed(self._shop.deliveries),
            request.args,
            lambda each: each.object_id,
            lambda each: each.url,
            type=lambda each: each.event,
            fin=lambda each: "ok" if each.succeeded else "erreur",
        )
        with self._services.data.lock:
            endpoints = [dict(each) for each in self._services.data.table("webhooks").newest_first()]
        return self._page("deliveries", page=page, types=_EVENTS, endpoints=endpoints)

    def delivery(self, number: int) -> str:
        made: Sequence[Delivery] = self._shop.deliveries
        delivery = next((each for each in made if each.id == number), None)
        if delivery is None:
            abort(404)
        return self._page(
            "delivery", each=delivery, body=snippets.pretty(delivery.body), answer=snippets.pretty(delivery.answer)
        )

    # What may be changed

    def faults(self) -> str:
        return self._page("faults", active=self._emulator.faults.active, catalogue=registry.CATALOGUE)

    def settings(self) -> str:
        values = self._emulator.settings.to_dict()
        return self._page("settings", known=self._emulator.settings.known(), values=values, fixed=FIXED)

    def forget(self) -> str:
        return self._page("forget")

    def state(self) -> Dict[str, str]:
        return {"state": self._state()}

    # Inside

    @property
    def _rank(self) -> int:
        """The shop that the reader looks at, by its place in the list."""
        ranks = [str(rank) for rank in range(len(self._shops))]
        text = request.args.get("boutique", "0")
        return ranks.index(text) if text in ranks else 0

    @property
    def _shop(self) -> Shop:
        return self._emulator.shops[self._rank]

    @property
    def _services(self) -> ShopServices:
        return self._shops[self._rank]

    def _page(self, name: str, **values: Any) -> str:
        # The dashboard is in French only, as the command line is.
        g.locale = "fr"
        rank = self._rank

        def to(endpoint: str, **more: Any) -> str:
            """An address of the dashboard, in the same shop."""
            return url_for(endpoint, **more, boutique=rank or None)

        return render_template(
            f"dashboard_{name}.html",
            **values,
            state=self._state(),
            navigation=NAVIGATION,
            to=to,
            rank=rank,
            shops=[each.name for each in self._emulator.shops],
            emulator_clock=self._emulator.clock,
            waiting=len(self._services.data.table("deliveries")),
            webhook_url=self._shop.webhook_url,
            secret_key=self._shop.secret_key,
            base_url=self._emulator.url,
            has_faults=len(self._emulator.faults.active),
            done=translations.DONE.get(request.args.get("fait", "")),
            here=_here(),
        )

    def _state(self) -> str:
        """A digest that changes when something has happened."""
        emulator = self._emulator
        calls = emulator.requests
        last: List[object] = [calls[-1].number if calls else 0]
        for shop, services in zip(emulator.shops, self._shops):
            with services.data.lock:
                newest = next(iter(services.data.events), None)
                tables = [len(services.data.table(name)) for name in ("deliveries", "webhooks")]
            made = shop.deliveries
            last += [newest["id"] if newest else 0, made[-1].id if made else 0, *tables]
            last.append(shop.webhook_enabled)
        last.append([each.to_dict() for each in emulator.faults.active])
        last.append([emulator.settings.to_dict(), round(emulator.clock.ahead) if emulator.clock.factor == 1 else 0])
        return hashlib.sha256(repr(last).encode("utf-8")).hexdigest()[:16]


def _here() -> str:
    """This page, for a button to come back to; without the result of the last button."""
    query = "&".join(part for part in request.query_string.decode("ascii", "replace").split("&") if part[:5] != "fait=")
    return request.path + (f"?{query}" if query else "")


def _clock(seconds: float) -> str:
    return translations.hour(stamp(seconds))
