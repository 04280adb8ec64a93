"""WebhookMaker: signed webhooks to post to a route under test."""

from typing import Any, Optional, Union

from fedapay_sync.emulator import Emulator, SignedWebhook


class WebhookMaker:
    """
    Fabrique des webhooks signés comme ceux de FedaPay.

    Args:
        emulator: celui dont le secret signe et dont viennent les transactions.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def __call__(
        self,
        event: str = "transaction.approved",
        id: Union[int, str, None] = None,
        *,
        secret: Optional[str] = None,
        age: float = 0,
        **changes: Any,
    ) -> SignedWebhook:
        """
        Un webhook : son corps et ses en-têtes.

        Args:
            event: nom de l'événement, comme ``transaction.declined``.
            id: transaction de l'émulateur dont il parle ; sans elle, une transaction inventée.
            secret: un autre secret que celui de l'émulateur, pour une fausse signature.
            age: secondes écoulées depuis la signature ; plus de 300, et elle est trop vieille.
            changes: champs de l'objet à changer, comme ``amount=1``.

        Raises:
            InvalidArgument: événement ou transaction inconnus.
        """
        return self._emulator.signed_webhook(event, id, secret=secret, age=age, changes=changes)
