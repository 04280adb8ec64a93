"""How the emulated FedaPay says no."""

from typing import Any, Dict, List, Optional

NOT_ALLOWED = "Opération non autorisée"
NOT_FOUND = "Ressource introuvable"


class Refusal(Exception):
    """An error answer: a status, a French message, and errors by field."""

    def __init__(self, status: int, message: str, errors: Optional[Dict[str, List[str]]] = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors or {}

    def to_dict(self) -> Dict[str, Any]:
        body: Dict[str, Any] = {"message": self.message, "errors": self.errors}
        # A recorded 403 carries this key, null.
        return {**body, "model": None} if self.status == 403 else body


def missing(name: str) -> Refusal:
    """400, in FedaPay's own words."""
    return Refusal(400, f"Paramètre manquant ou la valeur est vide {name}")
