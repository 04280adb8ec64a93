"""``/v1/accounts``: the merchant's accounts; the first is the one that webhooks name."""

from typing import ClassVar, List, Optional

from fedapay_sync.emulator.domain.rules import ACCOUNT
from fedapay_sync.emulator.http.call import Call, Route
from fedapay_sync.emulator.http.errors import NOT_ALLOWED, Refusal, bilingual
from fedapay_sync.emulator.http.serializers import Record, pick
from fedapay_sync.emulator.http.validation import text
from fedapay_sync.emulator.resources.crud import CrudResource, random_code
from fedapay_sync.emulator.storage.shop_data import ShopData

_LIGHT = "id name timezone country created_at updated_at verified reference".split()
_BUSINESS = """
    business_type business_identity_type business_identity_number business_vat_number business_registration_number
    business_category business_website business_address business_name business_phone business_email business_owner
    business_company_capital business_description
""".split()
_REVIEW = """
    blocked blocked_reason submitted reject_reason has_balance_issue last_balance_issue_checked_at balance_issue_diff
    prospect_code deal_closer_code manager_code
""".split()
_DOCUMENTS = """
    business_identity_id business_vat_id business_registration_id business_owner_signature_id business_identity
    business_vat business_registration business_owner_signature
""".split()
_LISTS = "user_accounts users api_keys balances bank_accounts mobile_accounts card_accounts currencies".split()


class Accounts(CrudResource):
    """Accounts; documents and users, which a merchant adds elsewhere, are null or empty here."""

    kind = "account"
    failed = (
        bilingual("La création du compte a échoué", "Account creation failed"),
        bilingual("La mise à jour du compte a échoué", "Account update failed"),
    )
    readers = dict.fromkeys(["name", "timezone", "country", *_BUSINESS], text)
    required = ("name",)
    fields: ClassVar[List[str]] = [*_LIGHT, *_BUSINESS, *_REVIEW, *_DOCUMENTS]

    def __init__(self, data: ShopData) -> None:
        super().__init__(data)
        self.ensure_first()

    def ensure_first(self) -> None:
        """Make the first account if there is none; a name given to the shop replaces that of the file."""
        own, now = self._data.account, self._data.stamp()
        kept = self._table.get(own["id"])
        if kept is None:
            self._table.save({**self.defaults(), **own, "created_at": now, "updated_at": now})
        elif own["name"] not in (ACCOUNT["name"], kept["name"]):
            self._table.save({**kept, "name": own["name"], "updated_at": now})

    def routes(self) -> List[Route]:
        return [("GET", "/v1/accounts/light", self.light), *super().routes()]

    def all(self, call: Call) -> Record:
        """The only list of the three without meta."""
        return {"v1/accounts": [self.serialize(each) for each in self._table.newest_first()]}

    def light(self, call: Call) -> Record:
        """The acting account; a point-of-sale code has no known effect."""
        record = self.get_or_404(str(self._data.account_id))
        return {"v1/account": {"klass": "v1/account", **pick(record, _LIGHT)}}

    def describe(self, account_id: Optional[int], *, in_full: bool) -> Record:
        """An account as webhooks carry it: in the API's form, or short."""
        record = self._table.get(account_id) or self.get_or_404(str(self._data.account["id"]))
        return self.serialize(record) if in_full else pick({"klass": "v1/account", **record}, list(self._data.account))

    def delete(self, call: Call, number: str) -> None:
        if self.get_or_404(number)["id"] == self._data.account["id"]:
            # Every other record belongs to it.
            raise Refusal(403, NOT_ALLOWED)
        super().delete(call, number)

    def defaults(self) -> Record:
        return {"timezone": "UTC", "country": "BJ", "verified": False, "reference": f"acc_{random_code()}"}

    def serialize(self, record: Record) -> Record:
        return {**super().serialize(record), **{name: [] for name in _LISTS}}
