"""Payment pages: what a merchant publishes, and FedaPay collects."""

from typing import Optional

from fedapay_sync.models import PageVerification, PaymentPage
from fedapay_sync.models.params.bodies import PageBody
from fedapay_sync.resources.base import built
from fedapay_sync.resources.mixins import Creatable, Deletable, Listable, Retrievable, Updatable, Verifiable


class Pages(
    Retrievable[PaymentPage],
    Listable[PaymentPage],
    Creatable[PaymentPage],
    Updatable[PaymentPage],
    Deletable[PaymentPage],
    Verifiable[PaymentPage],
):
    """Pages de paiement hébergées par FedaPay."""

    path = "pages"
    model = PaymentPage
    body = PageBody
    verification = PageVerification

    def verify(self, reference: str, *, api_key: Optional[str] = None) -> PageVerification:
        """Vue publique d'une page, avec ses réglages, par sa référence."""
        view: PageVerification = self._verify(reference, api_key)
        return view

    def light(self, reference: str, *, api_key: Optional[str] = None) -> PaymentPage:
        """Vue publique réduite d'une page, par sa référence."""
        answer = self._caller.call("GET", self._address(reference, "/light", field="reference"), api_key=api_key)
        return built(PaymentPage, answer.object(PaymentPage.envelope), answer)
