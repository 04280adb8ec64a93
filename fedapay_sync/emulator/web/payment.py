"""The hosted payment page: choice of a payment method, wait for the payer, result."""

from typing import Any, Dict, Optional

from flask import Flask, Response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from fedapay_sync.common.countries import COUNTRIES
from fedapay_sync.emulator.domain.phone_numbers import NUMBER_FORMATS, national
from fedapay_sync.emulator.domain.rules import CARD_MODE, charge
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.web import cards
from fedapay_sync.emulator.web.payment_methods import countries, home_of, operators
from fedapay_sync.emulator.web.return_url import return_url
from fedapay_sync.emulator.web.token_lookup import Shops, TokenMatch, find_by_token, locked_by_token, transaction_facts
from fedapay_sync.emulator.web.translations import link, printable
from fedapay_sync.enums import PAID_STATUSES, Environment, Pays, TransactionStatus

_S = TransactionStatus
_BACK_AFTER = 5


def add_payment(app: Flask, shops: Shops) -> None:
    """The page behind the link of a transaction."""
    page = _PaymentPage(shops)
    app.add_url_rule("/process/<token>", "payment", page.show, methods=["GET"])
    app.add_url_rule("/process/<token>", "pay", page.pay, methods=["POST"])
    app.add_url_rule("/process/<token>/etat", "payment_state", page.state)
    # A token has no slash: this address answers 404 as well.
    app.add_url_rule("/process/<path:token>", "no_payment", page.show)


class _PaymentPage:
    def __init__(self, shops: Shops) -> None:
        self._shops = shops

    def show(self, token: str) -> AnyResponse:
        """Form, wait, result or closed page, as the transaction's status wants."""
        with locked_by_token(self._shops, token) as at:
            return _page(at, token) if at is not None else _closed("unknown", 404)

    def state(self, token: str) -> Dict[str, Any]:
        """Polled by the page: another text when it has something else to show."""
        at = find_by_token(self._shops, token)
        return {"state": _state(at) if at is not None else None}

    def pay(self, token: str) -> AnyResponse:
        with locked_by_token(self._shops, token) as at:
            if at is None:
                return _closed("unknown", 404)
            # Else a second window, or a late click: the next page shows the status.
            if at.fresh and at.shop.transactions.is_payable(at.record):
                card = request.form.get("moyen") == "carte"
                wrong = _pay_by_card(at) if card else _pay_by_phone(at)
                if wrong:
                    return _form(at, token, wrong)
        return _follow(token)


def _follow(token: str) -> AnyResponse:
    """Redirect to the next page; ``suite`` tells the payer in this payment from one that opens an old link."""
    return redirect(link("payment", token=token, suite=1), 303)


def _page(at: TokenMatch, token: str) -> AnyResponse:
    record = at.record
    if record["deleted_at"]:
        return _closed("deleted", 410)
    if record["status"] in PAID_STATUSES:
        return _result(at, token, "paid" if "suite" in request.args else "paid_before")
    if not at.fresh or record["status"] == _S.expired:
        return _closed("expired", 410)
    if "changer" in request.args and at.shop.transactions.is_payable(record):
        return _form(at, token, {})
    if record["status"] == _S.pending:
        if not record["attempt"]:
            return _form(at, token, {})
        return _wait(at, token) if "suite" in request.args else _follow(token)
    return _result(at, token, record["status"])


def _closed(why: str, status: int) -> Response:
    return Response(render_template("closed.html", why=why), status)


def _form(at: TokenMatch, token: str, wrong: Dict[str, str]) -> Response:
    rules = at.shop.data.rules
    offered = countries(rules, transaction_facts(at)["iso"])
    customer = at.shop.transactions.customer_of(at.record)
    home = home_of(customer, offered)
    country = _country(offered) or home
    known = national(home, customer.get("phone") or "") if country is home else None
    names = operators(rules, country)
    fees = {mode: _price(at, mode) - at.record["amount"] for mode in [*names, CARD_MODE]}
    return _respond(
        "payment.html",
        at,
        token,
        status=400 if wrong else 200,
        wrong=wrong,
        countries={each.value: COUNTRIES[each] for each in offered},
        country=country.value,
        code=COUNTRIES[country].dialling_code,
        form=NUMBER_FORMATS[country],
        operators=names,
        fees=fees,
        card=request.values.get("moyen") == "carte",
        card_mode=CARD_MODE,
        # Never the digits of a card.
        operator=request.form.get("operateur", ""),
        number=printable(request.form.get("numero", known or ""), 40),
        cards=cards,
        sandbox=rules.environment is Environment.sandbox and at.shop.payment_intents.is_automatic,
    )


def _wait(at: TokenMatch, token: str) -> Response:
    return _respond(
        "wait.html",
        at,
        token,
        state=_state(at),
        number=at.record["prompted"] or "",
        price=_price(at, at.record["mode"]),
        again=_as_sent(at),
    )


def _result(at: TokenMatch, token: str, what: str) -> Response:
    record = at.record
    return _respond(
        "result.html",
        at,
        token,
        what=what,
        good=what in ("paid", "paid_before"),
        back_after=_BACK_AFTER if what == "paid" else None,
        receipt=record.get("receipt_token"),
        again=at.fresh and at.shop.transactions.is_payable(record),
    )


def _respond(template: str, at: TokenMatch, token: str, *, status: int = 200, **values: Any) -> Response:
    """A page of a transaction: what it is about, and the way back to the shop."""
    back = return_url(at.record["callback_url"], at.record["id"], at.record["status"])
    return Response(render_template(template, about=transaction_facts(at), token=token, back=back, **values), status)


def _pay_by_phone(at: TokenMatch) -> Dict[str, str]:
    """Prompt the payer's phone; or the errors by field."""
    rules = at.shop.data.rules
    country = _country(countries(rules, transaction_facts(at)["iso"]))
    if country is None:
        return {"pays": "choose_country"}
    mode = request.form.get("operateur", "")
    number = national(country, request.form.get("numero", "")[:40])
    wrong = {
        **({} if mode in operators(rules, country) else {"operateur": "choose_operator"}),
        **({} if number else {"numero": "wrong_number"}),
    }
    if not wrong and number:
        at.shop.payment_intents.prompt(at.record, mode, number)
    return wrong


def _pay_by_card(at: TokenMatch) -> Dict[str, str]:
    """Debit the card; or the errors by field."""
    given = {name: request.form.get(name, "")[:40] for name in ("carte", "expire", "code")}
    today = at.shop.data.stamp()
    brand = cards.brand_of(given["carte"])
    wrong = {
        **({} if brand else {"carte": "wrong_card"}),
        **({} if cards.lives(given["expire"], int(today[:4]), int(today[5:7])) else {"expire": "wrong_expiry"}),
        **({} if cards.is_code(given["code"]) else {"code": "wrong_code"}),
    }
    if not wrong:
        card = cards.read(given["carte"])
        at.shop.transactions.start_attempt(at.record, CARD_MODE, None, card=card.brand)
        at.shop.transactions.move(at.record["id"], card.status)
    return wrong


def _country(offered: Any) -> Optional[Pays]:
    """The chosen country, if it is offered."""
    return next((each for each in offered if each.value == request.values.get("pays")), None)


def _as_sent(at: TokenMatch) -> Optional[Dict[str, str]]:
    """The form fields that prompt the same phone once more."""
    rules, record = at.shop.data.rules, at.record
    for each in countries(rules, transaction_facts(at)["iso"]):
        number = national(each, record["prompted"] or "")
        if number and record["mode"] in operators(rules, each):
            return {"pays": each.value, "operateur": record["mode"], "numero": number}
    return None


def _price(at: TokenMatch, mode: str) -> int:
    data = at.shop.data
    return charge(at.record["amount"], data.rules.rate(mode), data.settings.fees_by).debited


def _state(at: TokenMatch) -> str:
    record: Record = at.record
    return f"{record['status']} {record['updated_at']} {at.fresh}"
