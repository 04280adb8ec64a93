"""Finds the transaction of a payment token among all shops, and the facts that pages show of it."""

from contextlib import ExitStack, contextmanager
from typing import Any, Dict, Iterator, NamedTuple, Optional, Sequence

from fedapay_sync.emulator.domain.rules import CURRENCIES
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.services import ShopServices

#: The shops whose transactions the pages show.
Shops = Sequence[ShopServices]


class TokenMatch(NamedTuple):
    """
    The transaction of a token, and its shop.

    Attributes:
        fresh: the token has not expired.
    """

    shop: ShopServices
    record: Record
    fresh: bool


def find_by_token(shops: Shops, token: str) -> Optional[TokenMatch]:
    """The transaction of a valid token, also of an expired one; None for anything else."""
    for stale in (False, True):
        for shop in shops:
            record = shop.transactions.by_token(token, stale=stale)
            if record is not None:
                return TokenMatch(shop, record, not stale)
    return None


@contextmanager
def locked_by_token(shops: Shops, token: str) -> Iterator[Optional[TokenMatch]]:
    """The transaction of a token, under the lock of all shops, as one step."""
    with ExitStack() as steps:
        for shop in shops:
            steps.enter_context(shop.data.atomic())
        yield find_by_token(shops, token)


def transaction_facts(at: TokenMatch) -> Dict[str, Any]:
    """What each page shows of a transaction."""
    record = at.record
    return {
        "shop": at.shop.accounts.describe(record["account_id"], in_full=False)["name"],
        "iso": next(each["iso"] for each in CURRENCIES if each["id"] == record["currency_id"]),
        **{name: record[name] for name in ("id", "amount", "amount_debited", "description", "reference", "status")},
        "approved_at": record["approved_at"],
    }
