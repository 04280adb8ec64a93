"""Dashboard, write side: the POST forms behind its buttons; each redirects to the page that it came from."""

import re
from typing import Callable, Dict

from flask import Flask, redirect, request
from werkzeug.wrappers import Response

from fedapay_sync.emulator.base import EmulatorBase
from fedapay_sync.emulator.controls import MOVES, PAYOUT_ENDS
from fedapay_sync.emulator.domain.settings import Settings, set_from_text
from fedapay_sync.emulator.faults import registry
from fedapay_sync.emulator.shop import Shop
from fedapay_sync.errors import InvalidArgument

_HOURS = ("1", "24", "72")
# A page of ours, and nothing that a browser reads as another site: browsers drop tabs, and take \ for /.
_OURS = re.compile(r"/(?!/)[!-\[\]-~]*")


class DashboardActions:
    """The buttons for one emulator."""

    def __init__(self, emulator: EmulatorBase) -> None:
        self._emulator = emulator

    def add_to(self, app: Flask) -> None:
        """Register the forms."""
        for rule, name, press in (
            ("/transactions/<int:number>/<move>", "press_move", self.move),
            ("/depots/<int:number>/<end>", "press_payout", self.end_payout),
            ("/livraisons/<int:number>/encore", "press_again", self.deliver_again),
            ("/adresse", "press_address", self.set_address),
            ("/horloge", "press_clock", self.advance),
            ("/pannes", "press_fault", self.add_fault),
            ("/pannes/retirer", "press_no_fault", self.remove_fault),
            ("/reglages", "press_settings", self.set_settings),
            ("/oublier", "press_forget", self.forget),
        ):
            app.add_url_rule(rule, name, _pressed(press), methods=["POST"])

    def move(self, number: int, move: str) -> str:
        """A status change of a transaction, by payer, operator or time."""
        if move not in MOVES:
            raise InvalidArgument(f"{move!r} n'est pas un geste.", field="move")
        getattr(self._shop, move)(number)
        return "paye" if move == "approve" else "change"

    def end_payout(self, number: int, end: str) -> str:
        """The end of a payout."""
        if end not in PAYOUT_ENDS:
            raise InvalidArgument(f"{end!r} n'est pas une fin de dépôt.", field="end")
        getattr(self._shop, f"{end}_payout")(number)
        return "change"

    def deliver_again(self, number: int) -> str:
        """The same event once more."""
        found = [each for each in self._shop.deliveries if each.id == number]
        if not found:
            raise InvalidArgument(f"L'émulateur n'a plus la livraison {number}.", field="id")
        self._shop.redeliver(found[0])
        return "livre"

    def set_address(self) -> str:
        """Where webhooks go; empty: nowhere."""
        self._shop.webhook_url = request.form.get("adresse", "").strip() or None
        return "adresse"

    def advance(self) -> str:
        """Time jumps."""
        hours = request.form.get("heures", "")
        if hours not in _HOURS:
            raise InvalidArgument(f"heures={hours!r} : {', '.join(_HOURS)} est attendu.", field="heures")
        self._emulator.clock.advance(hours=int(hours))
        return "saut"

    def add_fault(self) -> str:
        """One more, with the options that were filled in."""
        words = {name: value.strip() for name, value in request.form.items() if name not in ("panne", "retour")}
        text = ",".join(f"{name}={value}" for name, value in words.items() if value)
        if any("," in value for value in words.values()):
            raise InvalidArgument("Une virgule ne va dans aucun mot d'une panne.", field="panne")
        registry.add_text(self._emulator.faults, f"{request.form.get('panne', '')}:{text}")
        return "panne"

    def remove_fault(self) -> str:
        """One, or all of them."""
        number = request.form.get("numero", "")
        if number:
            self._emulator.faults.remove(int(number) if number.isascii() and number.isdigit() else 0)
        else:
            self._emulator.faults.clear()
        return "sans_panne"

    def set_settings(self) -> str:
        """Those that were sent; all of them, or none if one is wrong."""
        wanted = Settings()
        wanted.take(self._emulator.settings)
        for name, value in request.form.items():
            if name != "retour":
                set_from_text(wanted, f"{name}={value}")
        self._emulator.settings.take(wanted)
        return "regle"

    def forget(self) -> str:
        """As if nothing had happened."""
        self._emulator.reset()
        return "oublie"

    @property
    def _shop(self) -> Shop:
        text = request.args.get("boutique", "0")
        shops: Dict[str, Shop] = {str(rank): each for rank, each in enumerate(self._emulator.shops)}
        if text not in shops:
            raise InvalidArgument(f"boutique={text[:20]!r} : l'émulateur n'en a pas tant.", field="boutique")
        return shops[text]


def _pressed(press: Callable[..., str]) -> Callable[..., Response]:
    def view(**parts: object) -> Response:
        done = press(**parts)
        back = request.form.get("retour", "/")
        if not _OURS.fullmatch(back):
            back = "/"
        return redirect(f"{back}{'&' if '?' in back else '?'}fait={done}", 303)

    return view
