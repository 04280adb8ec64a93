"""OAuth tokens, which take the place of a key."""

from typing import Optional

from fedapay_sync.common.secret import Key
from fedapay_sync.errors import InvalidArgument
from fedapay_sync.models import OAuthToken
from fedapay_sync.resources.base import Resource, read_with_text


class OAuth(Resource[OAuthToken]):
    """Jetons d'accès, pour agir au nom de comptes rattachés. Un jeton se donne partout où va une clé."""

    path = "oauth"
    model = OAuthToken

    def token(self, client_id: str, client_secret: str, *, api_key: Optional[Key] = None) -> OAuthToken:
        """
        Échange les identifiants d'une application contre un jeton d'accès (``client_credentials``).

        Example:
            >>> jeton = integration.oauth.token(OAUTH_CLIENT_ID, OAUTH_CLIENT_SECRET)
            >>> [devise.iso for devise in integration.currencies.list(api_key=jeton.access_token)]
            ['XOF', 'GNF']
        """
        for name, value in (("client_id", client_id), ("client_secret", client_secret)):
            if not isinstance(value, str) or not value.strip():
                raise InvalidArgument(f"{name} : un texte non vide est attendu.", field=name)
        body = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        response = self._requestor.request("POST", "/oauth/token", api_key=api_key, body=body)
        return read_with_text(OAuthToken, response, "access_token", "jeton")
