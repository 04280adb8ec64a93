"""
Creation in batches: each object has a merchant reference, by which it is looked up where the answer is lost.
"""

from typing import Any, Dict, Generic, Iterable, Optional, Type, TypeVar

from fedapay_sync.common.masking import mask
from fedapay_sync.common.secret import Key
from fedapay_sync.errors import InvalidArgument
from fedapay_sync.models.batch import Batch
from fedapay_sync.models.params.bodies import checked_body
from fedapay_sync.resources.base import M, Params, Resource, checked_list, include_param, read_object
from fedapay_sync.resources.idempotency import NO_ANSWER, new_reference

B = TypeVar("B", bound=Batch)


class BatchCreatable(Resource[M], Generic[M, B]):
    """Has ``POST /{path}/batch``."""

    #: What answers a batch: the objects made, and what was refused.
    batch: Type[B]

    def _post_batch(self, items: Iterable[Params], include: Any, api_key: Optional[Key]) -> B:
        bodies = [self._checked_item(number, each) for number, each in enumerate(checked_list(items, self.path))]
        references = [each["merchant_reference"] for each in bodies]
        twice = next((each for each in references if references.count(each) > 1), None)
        if twice is not None:
            raise InvalidArgument(
                f"{self.path} : merchant_reference={mask(twice)!r} est donnée deux fois ; elle doit être unique.",
                field="merchant_reference",
            )
        body = {self.path: bodies, "include": include_param(include)}
        sent = {name: value for name, value in body.items() if value is not None}
        try:
            response = self._requestor.request("POST", f"/{self.path}/batch", api_key=api_key, body=sent)
            made = read_object(self.batch, response)
            if not isinstance(getattr(made, self.path), list):
                raise response.unreadable(f"une liste « {self.path} » est attendue")
        except NO_ANSWER as doubt:
            # With these each can be looked up before anything is sent again.
            doubt.__dict__["merchant_references"] = references
            raise
        return made

    def _checked_item(self, number: int, item: Any) -> Dict[str, Any]:
        try:
            body = checked_body(self.body, item)
        except InvalidArgument as error:
            field = f"{self.path}[{number}].{error.field}"
            raise InvalidArgument(f"{self.path}[{number}] : {error.message}", field=field) from None
        body.setdefault("merchant_reference", new_reference())
        return body
