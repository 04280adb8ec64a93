"""``/v1/invoices``. FedaPay's way of counting a total is not known, so none is counted."""

from typing import ClassVar, Mapping

from fedapay_sync.emulator.http.errors import bilingual
from fedapay_sync.emulator.http.validation import text
from fedapay_sync.emulator.resources import crud
from fedapay_sync.emulator.resources.crud import ReferencedResource

_TEXTS = "number status discount_type notes due_at sent_at paid_at partially_paid_at".split()
_NUMBERS = """
    tax discount_amount ttc sub_total discount before_tax tax_amount total_amount_paid invoice_products_count
    customer_id
""".split()


class Invoices(ReferencedResource):
    """Invoices; numbers and dates are what the client gave, null when it gave none."""

    kind = "invoice"
    failed = (
        bilingual("La création de la facture a échoué", "Invoice creation failed"),
        bilingual("La mise à jour de la facture a échoué", "Invoice update failed"),
    )
    fields = """
        id number reference status tax discount_type discount_amount ttc sub_total discount before_tax tax_amount
        total_amount_paid notes invoice_products_count due_at sent_at paid_at partially_paid_at customer_id
        currency_id account_id created_at updated_at deleted_at
    """.split()
    readers: ClassVar[Mapping[str, crud.Reader]] = {
        **dict.fromkeys(_TEXTS, text),
        **dict.fromkeys(_NUMBERS, crud.number),
        "reference": crud.reference,
        "currency_id": crud.currency_id,
        "currency": crud.currency,
    }
