"""``/v1/pages``: payment pages, each a link that many payers may use."""

from typing import List, Mapping

from fedapay_sync.emulator.http.call import Call, Route
from fedapay_sync.emulator.http.errors import bilingual
from fedapay_sync.emulator.http.serializers import Record, pick
from fedapay_sync.emulator.http.validation import text
from fedapay_sync.emulator.resources import crud
from fedapay_sync.emulator.resources.crud import ReferencedResource

_LIGHT = "id name reference description created_at updated_at".split()

_READERS: Mapping[str, crud.Reader] = {
    **dict.fromkeys("name description callback_url image_url thank_you long_description".split(), text),
    "reference": crud.reference,
    "amount": crud.amount,
    "published": crud.boolean,
    "enable_phone_number": crud.boolean,
    "custom_fields": crud.items,
    "currency_id": crud.currency_id,
    "currency": crud.currency,
}


class PaymentPages(ReferencedResource):
    """Payment pages; which fields a creation needs is unknown, so none is required; defaults are those of a fixture."""

    kind = "page"
    failed = (
        bilingual("La création de la page a échoué", "Page creation failed"),
        bilingual("La mise à jour de la page a échoué", "Page update failed"),
    )
    fields = """
        id name reference description amount published enable_phone_number callback_url image_url custom_fields
        thank_you long_description currency_id account_id created_at updated_at deleted_at
    """.split()
    readers = _READERS

    def routes(self) -> List[Route]:
        return [*super().routes(), ("GET", "/v1/pages/<reference>/light", self.light)]

    def light(self, call: Call, reference: str) -> Record:
        return {"v1/page": {"klass": "v1/page", **pick(self.by_reference(reference), _LIGHT)}}

    def defaults(self) -> Record:
        return {**super().defaults(), "published": True, "enable_phone_number": False, "custom_fields": []}
