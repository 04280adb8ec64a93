"""The page with the receipt of a payment, for its payer to open and print."""

from flask import Flask, Response, render_template, request

from fedapay_sync.emulator.routing import RECEIPT_PATH
from fedapay_sync.emulator.web.token_lookup import Shops, find_by_token, transaction_facts
from fedapay_sync.enums import PAID_STATUSES


def add_receipt(app: Flask, shops: Shops) -> None:
    """The page of the receipt."""

    def receipt() -> Response:
        at = find_by_token(shops, request.args.get("token", ""))
        paid = at is not None and at.fresh and at.record["status"] in PAID_STATUSES
        about = transaction_facts(at) if at is not None and paid else None
        return Response(render_template("receipt.html", about=about), 200 if paid else 404)

    app.add_url_rule(RECEIPT_PATH, "receipt", receipt)
