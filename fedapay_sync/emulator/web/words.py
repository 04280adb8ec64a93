"""Every text of the pages, in French and in English, in this one place."""

from typing import Callable, Dict, Tuple

_WORDS: Dict[str, Tuple[str, str]] = {
    "mark": ("Émulateur : aucun argent ne circule", "Emulator: no money moves"),
    "skip": ("Aller au contenu", "Skip to content"),
    "payment": ("Page de paiement", "Payment page"),
    "no_link": (
        "Ce lien de paiement n'existe pas ou n'est plus valable.",
        "This payment link does not exist or is no longer valid.",
    ),
    "receipt": ("Reçu", "Receipt"),
    "no_receipt": ("Ce reçu n'existe pas ou n'est plus valable.", "This receipt does not exist or is no longer valid."),
    "shop": ("Boutique", "Shop"),
    "description": ("Objet", "For"),
    "reference": ("Référence", "Reference"),
    "status": ("Statut", "Status"),
    "paid_at": ("Payé le", "Paid on"),
    "not_found": ("Cette adresse n'existe pas", "There is no such address"),
    "error": ("Cette demande n'a pas pu être servie", "This request could not be served"),
}

_SPACE = "\u202f"


def teller(locale: str) -> Callable[..., str]:
    """``t("key", name=value)`` in that language."""
    column = 1 if locale == "en" else 0

    def tell(key: str, **values: object) -> str:
        return _WORDS[key][column].format(**values)

    return tell


def money(locale: str) -> Callable[[int, str], str]:
    """``15 000 F CFA``, in lines that break nowhere inside."""

    def write(amount: int, iso: str) -> str:
        digits = f"{amount:,}" if locale == "en" else f"{amount:,}".replace(",", _SPACE)
        return f"{digits} {'F CFA' if iso == 'XOF' else iso}".replace(" ", "\u00a0")

    return write
