"""Invoices, which a merchant sends and FedaPay collects."""

from fedapay_sync.models import Invoice, InvoiceVerification
from fedapay_sync.models.params.bodies import InvoiceBody
from fedapay_sync.resources.mixins import Manageable, Verifiable


class Invoices(Manageable[Invoice], Verifiable[Invoice, InvoiceVerification]):
    """Factures."""

    path = "invoices"
    model = Invoice
    body = InvoiceBody
    verification = InvoiceVerification
