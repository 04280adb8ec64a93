"""Merchant accounts."""

from typing import Optional

from fedapay_sync.common.secret import Key
from fedapay_sync.models import Account
from fedapay_sync.models.params.bodies import AccountBody
from fedapay_sync.resources.mixins import Manageable


class Accounts(Manageable[Account]):
    """Comptes marchands. FedaPay ne dit pas quelles clés ont le droit de les lire ou de les changer (403 sinon)."""

    path = "accounts"
    model = Account
    body = AccountBody

    def light(self, *, pos_code: Optional[str] = None, api_key: Optional[Key] = None) -> Account:
        """
        Vue réduite du compte de la clé.

        Args:
            pos_code: code de point de vente (en-tête ``FedaPay-Pos-Code``, vu dans le SDK PHP seulement).
        """
        headers = None if pos_code is None else {"FedaPay-Pos-Code": pos_code}
        response = self._requestor.request("GET", "/accounts/light", api_key=api_key, headers=headers)
        return self._read(response)
