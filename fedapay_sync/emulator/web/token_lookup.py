"""What stands behind a token, and what a page tells of it."""

from contextlib import ExitStack, contextmanager
from typing import Any, Callable, Dict, Iterator, NamedTuple, Optional, Sequence

from fedapay_sync.emulator.domain.rules import CURRENCIES
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.services import ShopServices

#: The shops whose transactions the pages show.
Shops = Callable[[], Sequence[ShopServices]]


class TokenMatch(NamedTuple):
    """
    A transaction, and the shop that it belongs to.

    Attributes:
        fresh: the token still opens it; else its day is over.
    """

    shop: ShopServices
    record: Record
    fresh: bool


def find_by_token(shops: Shops, token: str) -> Optional[TokenMatch]:
    """The transaction of a token of ours, also of one that is too old; None for anything else."""
    for stale in (False, True):
        for shop in shops():
            record = shop.transactions.by_token(token, stale=stale)
            if record is not None:
                return TokenMatch(shop, record, not stale)
    return None


@contextmanager
def locked_by_token(shops: Shops, token: str) -> Iterator[Optional[TokenMatch]]:
    """What is behind a token, while nobody else changes it."""
    with ExitStack() as steps:
        for shop in shops():
            steps.enter_context(shop.data.atomic())
        yield find_by_token(shops, token)


def transaction_facts(at: TokenMatch) -> Dict[str, Any]:
    """What every page says of a transaction."""
    record = at.record
    return {
        "shop": at.shop.accounts.describe(record["account_id"], in_full=False)["name"],
        "iso": next(each["iso"] for each in CURRENCIES if each["id"] == record["currency_id"]),
        **{name: record[name] for name in ("id", "amount", "amount_debited", "description", "reference", "status")},
        "approved_at": record["approved_at"],
    }
