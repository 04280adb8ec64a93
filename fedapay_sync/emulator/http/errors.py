"""Refusal: the error answers of the API, in French or in English."""

from typing import Any, Dict, List, Optional, TypeVar

_Found = TypeVar("_Found")

_ENGLISH: Dict[str, str] = {}


def bilingual(french: str, english: str) -> str:
    """Registers the English sentence for ``locale=en``; returns the French one."""
    _ENGLISH[french] = english
    return french


def translate(locale: str, french: str) -> str:
    """The sentence in the language asked for; one without translation stays French."""
    return _ENGLISH.get(french, french) if locale == "en" else french


NOT_ALLOWED = bilingual("Opération non autorisée", "Operation not allowed")
NOT_FOUND = bilingual("Ressource introuvable", "Resource not found")
INVALID_KEY = bilingual("Clé API invalide", "Invalid API key")
MALFORMED = bilingual("Requête incorrecte", "Malformed request")
TOO_LARGE = bilingual("Le corps de la requête est trop grand", "The request body is too large")
CRASHED = bilingual("Défaut de l'émulateur : voir son journal", "Fault of the emulator: see its log")
_MISSING = bilingual("Paramètre manquant ou la valeur est vide", "param is missing or the value is empty:")


class Refusal(Exception):
    """
    An error answer: a status, a French message, and errors by field.

    Args:
        about: appended to the message in either language, like the name of a parameter.
    """

    def __init__(
        self, status: int, message: str, errors: Optional[Dict[str, List[str]]] = None, *, about: str = ""
    ) -> None:
        super().__init__(f"{message} {about}".rstrip())
        self.status = status
        self.message = message
        self.errors = errors or {}
        self.about = about

    def to_dict(self, locale: str = "fr") -> Dict[str, Any]:
        message = f"{translate(locale, self.message)} {self.about}".rstrip()
        errors = {name: [translate(locale, each) for each in reasons] for name, reasons in self.errors.items()}
        body: Dict[str, Any] = {"message": message, "errors": errors}
        # A recorded 403 carries this key, null.
        return {**body, "model": None} if self.status == 403 else body


def missing_param(name: str) -> Refusal:
    """400, in FedaPay's own words."""
    return Refusal(400, _MISSING, about=name)


def or_404(found: Optional[_Found]) -> _Found:
    """
    What was found.

    Raises:
        Refusal: 404, nothing was.
    """
    if found is None:
        raise Refusal(404, NOT_FOUND)
    return found
