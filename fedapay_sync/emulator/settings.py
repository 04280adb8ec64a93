"""What the sources do not say of FedaPay, or say in two ways."""

from dataclasses import dataclass, fields
from typing import Any, Dict, Tuple

from ..errors import InvalidArgument

_CHOICES: Dict[str, Tuple[Any, ...]] = {
    "create_status": (200, 201),
    "delete_status": (200, 204),
    "fees_by": ("payer", "merchant"),
    "credit_at": ("transfer", "approval"),
}
_YES_NO = {"oui": True, "true": True, "1": True, "non": False, "false": False, "0": False}


@dataclass
class Settings:
    """
    Ce que les sources ne disent pas de FedaPay, ou disent de deux façons, et qu'un essai peut donc changer.

    Chaque réglage peut changer pendant que l'émulateur tourne : ``emulator.settings.payouts = False``.

    Attributes:
        payouts: les dépôts sont ouverts pour ce compte ; faux : 403, comme chez un marchand neuf.
        create_status: code d'une création réussie, 200 (observé) ou 201 (documenté).
        delete_status: code d'une suppression réussie, 200 avec ``[]`` (le SDK PHP officiel refuse un corps vide) ou 204
            (documenté).
        fees_by: qui porte les frais, ``"payer"`` ou ``"merchant"``.
        link_in_answer: les réponses portent le jeton et le lien de paiement, comme depuis 2025.
        credit_at: quand le solde est crédité, ``"transfer"`` ou dès ``"approval"``.
        strict_numbers: en sandbox, seuls les numéros de test écrits ``01`` et huit chiffres acceptent.

    Raises:
        InvalidArgument: réglage inconnu, ou valeur qui n'est pas l'une des siennes.
    """

    payouts: bool = True
    create_status: int = 200
    delete_status: int = 200
    fees_by: str = "payer"
    link_in_answer: bool = True
    credit_at: str = "transfer"
    strict_numbers: bool = False

    def __setattr__(self, name: str, value: Any) -> None:
        choices = choices_of(name)
        # True is 1 in Python, and 200.0 is 200: neither is what was asked for.
        if not any(value == each and type(value) is type(each) for each in choices):
            expected = " ou ".join(_shown(each) for each in choices)
            raise InvalidArgument(f"{name}={value!r} : {expected} est attendu.", field=name)
        super().__setattr__(name, value)

    def take(self, other: "Settings") -> None:
        """Prend chaque réglage d'un autre."""
        if not isinstance(other, Settings):
            raise InvalidArgument(f"settings={other!r} : Settings(…) est attendu.", field="settings")
        for each in fields(Settings):
            setattr(self, each.name, getattr(other, each.name))


def choices_of(name: str) -> Tuple[Any, ...]:
    """The values that a setting may have."""
    names = [each.name for each in fields(Settings)]
    if name not in names:
        raise InvalidArgument(
            f"{name} n'est pas un réglage de l'émulateur. Réglages : {', '.join(names)}.", field="setting"
        )
    return _CHOICES.get(name, (True, False))


def set_from_text(settings: Settings, text: str) -> None:
    """``create_status=201``, as the command line has it."""
    name, equals, value = (each.strip() for each in text.partition("="))
    choices = choices_of(name)
    read: Any = value
    if isinstance(choices[0], bool):
        read = _YES_NO.get(value.lower(), value)
    elif isinstance(choices[0], int) and value.isascii() and value.isdigit() and len(value) < 9:
        read = int(value)
    setattr(settings, name, read if equals else "")


def _shown(value: Any) -> str:
    return {True: "oui (True)", False: "non (False)"}[value] if isinstance(value, bool) else repr(value)
