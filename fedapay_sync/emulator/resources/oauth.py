"""``/v1/oauth/token``: access tokens that replace the secret key, for one known client."""

import hmac
import secrets
from typing import List

from fedapay_sync.emulator.http.call import Call, Route
from fedapay_sync.emulator.http.errors import Refusal, bilingual
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.http.validation import INVALID, required_text
from fedapay_sync.emulator.storage.shop_data import ShopData

#: Identifiant du client OAuth de l'émulateur. Public, comme son secret : ils n'ouvrent rien d'autre.
OAUTH_CLIENT_ID = "oauth_emulateur_fedapay_sync"
#: Secret du client OAuth de l'émulateur.
OAUTH_CLIENT_SECRET = "oauth_secret_emulateur_fedapay_sync"

#: The only call that needs no key.
TOKEN_PATH = "/v1/oauth/token"

_GRANT = "client_credentials"
_UNSUPPORTED = bilingual("Type d'autorisation non pris en charge", "Unsupported grant type")
_UNKNOWN_CLIENT = bilingual("Client OAuth inconnu", "Unknown OAuth client")


class OAuth:
    """Tokens never expire: no answer of FedaPay's tells of an end."""

    def __init__(self, data: ShopData) -> None:
        self._data = data
        self._table = data.table("oauth_tokens", "access_token")

    def routes(self) -> List[Route]:
        """The routes of the resource."""
        return [("POST", TOKEN_PATH, self.token)]

    def is_token(self, text: str) -> bool:
        """Whether ``token`` has issued it."""
        return self._table.first(access_token=text) is not None

    def token(self, call: Call) -> Record:
        """Answers without envelope, as the fixture has none."""
        names = ("grant_type", "client_id", "client_secret")
        grant, client, secret = (required_text(call.body, name) for name in names)
        if grant != _GRANT:
            raise Refusal(400, _UNSUPPORTED, {"grant_type": [INVALID]})
        if not (_same(client, OAUTH_CLIENT_ID) and _same(secret, OAUTH_CLIENT_SECRET)):
            raise Refusal(401, _UNKNOWN_CLIENT)
        token = secrets.token_hex(32)
        self._table.save({"id": self._data.next_id(), "access_token": token})
        created_at = str(int(self._data.now()))
        return {"access_token": token, "token_type": "Bearer", "scope": "read_write", "created_at": created_at}


def _same(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8"), known.encode("utf-8"))
