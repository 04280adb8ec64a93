"""Payment pages, which a merchant publishes and FedaPay hosts."""

from typing import Optional

from fedapay_sync.common.secret import Key
from fedapay_sync.models import PageVerification, PaymentPage
from fedapay_sync.models.params.bodies import PageBody
from fedapay_sync.resources.base import read_object
from fedapay_sync.resources.mixins import Manageable, Verifiable


class Pages(Manageable[PaymentPage], Verifiable[PaymentPage, PageVerification]):
    """Pages de paiement hébergées par FedaPay."""

    path = "pages"
    model = PaymentPage
    body = PageBody
    verification = PageVerification

    def light(self, reference: str, *, api_key: Optional[Key] = None) -> PaymentPage:
        """Vue publique réduite d'une page, par sa référence."""
        path = self._path_to(reference, "/light", field="reference")
        return read_object(PaymentPage, self._requestor.request("GET", path, api_key=api_key))
