"""Invoices, which a merchant sends and FedaPay collects."""

from fedapay_sync.models import Invoice, InvoiceVerification
from fedapay_sync.models.params.bodies import InvoiceBody
from fedapay_sync.resources.mixins import Creatable, Deletable, Listable, Retrievable, Updatable, Verifiable


class Invoices(
    Retrievable[Invoice],
    Listable[Invoice],
    Creatable[Invoice],
    Updatable[Invoice],
    Deletable[Invoice],
    Verifiable[Invoice, InvoiceVerification],
):
    """Factures."""

    path = "invoices"
    model = Invoice
    body = InvoiceBody
    verification = InvoiceVerification
