"""Invoices: what a merchant sends, and FedaPay collects."""

from typing import Optional

from fedapay_sync.models import Invoice, InvoiceVerification
from fedapay_sync.models.params.bodies import InvoiceBody
from fedapay_sync.resources.mixins import Creatable, Deletable, Listable, Retrievable, Updatable, Verifiable


class Invoices(
    Retrievable[Invoice],
    Listable[Invoice],
    Creatable[Invoice],
    Updatable[Invoice],
    Deletable[Invoice],
    Verifiable[Invoice],
):
    """Factures."""

    path = "invoices"
    model = Invoice
    body = InvoiceBody
    verification = InvoiceVerification

    def verify(self, reference: str, *, api_key: Optional[str] = None) -> InvoiceVerification:
        """Vue publique d'une facture, avec ses réglages, par sa référence."""
        view: InvoiceVerification = self._verify(reference, api_key)
        return view
