"""The hosted payment page: where a payer chooses how to pay, waits, and sees what came of it."""

from flask import Flask, Response, render_template

from .found import Shops, facts, found


def add_payment(app: Flask, shops: Shops) -> None:
    """The page behind the link of a transaction."""

    def page(token: str) -> Response:
        at = found(shops, token)
        open_ = at is not None and at.fresh and not at.record["deleted_at"]
        about = facts(at) if at is not None and open_ else None
        return Response(render_template("payment.html", about=about), 200 if open_ else 404)

    app.add_url_rule("/process/<path:token>", "payment", page)
