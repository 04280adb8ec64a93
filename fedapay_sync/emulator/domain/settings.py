"""Settings: each point on which sources about FedaPay are silent or disagree, with its choices."""

from dataclasses import dataclass, field, fields
from typing import Any, Dict, List, NamedTuple, Tuple

from fedapay_sync.errors import InvalidArgument

_YES_NO = {"oui": True, "true": True, "1": True, "non": False, "false": False, "0": False}
_BOTH = (True, False)


def _guess(choices: Tuple[Any, ...], about: str, sources: str) -> Any:
    """A setting: its choices, the first of them the default; what it decides; what the sources say."""
    return field(default=choices[0], metadata={"choices": choices, "about": about, "sources": sources})


@dataclass
class Settings:
    """
    Ce que les sources ne disent pas de FedaPay, ou disent de deux façons, et qu'un essai peut donc changer.

    Chaque réglage peut changer pendant que l'émulateur tourne : ``emulator.settings.payouts = False``.
    ``Settings.known()`` dit pour chacun ce qu'il décide, ses valeurs, et ce qu'en disent les sources.

    Raises:
        InvalidArgument: réglage inconnu, ou valeur qui n'est pas l'une des siennes.
    """

    payouts: bool = _guess(
        _BOTH,
        "les dépôts sont ouverts pour ce compte ; non : 403, comme chez un marchand neuf",
        "ouverts sur demande, par courriel ; leur existence en sandbox est rapportée de deux façons",
    )
    create_status: int = _guess(
        (200, 201), "code d'une création réussie", "200 est observé, 201 est dans la documentation"
    )
    delete_status: int = _guess(
        (200, 204),
        "code d'une suppression réussie ; 200 porte []",
        "204 est dans la documentation, mais le SDK PHP officiel refuse un corps vide",
    )
    delete_again_status: int = _guess(
        (403, 404), "code de la suppression d'une transaction déjà supprimée", "inconnu ; les deux sont admis ailleurs"
    )
    deleted_readable: bool = _guess(
        _BOTH, "une transaction supprimée se lit encore, avec deleted_at", "inconnu ; aucune lecture n'a été observée"
    )
    invalid_status: int = _guess(
        (400, 422, 500),
        "code d'une demande dont des champs sont faux",
        "400 dans les rapports, 500 dans les essais des SDK, 422 attendu par des clients",
    )
    other_environment_status: int = _guess(
        (401, 403), "code d'une clé de l'autre environnement", "401 et 403 sont rapportés"
    )
    bad_token_status: int = _guess(
        (400, 401), "code d'un paiement dont le jeton est faux ou a expiré", "inconnu ; 400 ou 401 est supposé"
    )
    declined_payable: bool = _guess(
        _BOTH,
        "une transaction refusée (declined) peut encore être payée",
        "dit par un client ; un autre a vu le nouveau lien ne mener nulle part",
    )
    canceled_payable: bool = _guess(
        _BOTH, "une transaction annulée (canceled) peut encore être payée", "un objet réel a été payé après canceled"
    )
    fees_by: str = _guess(
        ("payer", "merchant"), "qui porte les frais", "un choix du tableau de bord ; les deux ont été observés"
    )
    link_in_answer: bool = _guess(
        _BOTH,
        "les réponses portent le jeton et le lien de paiement",
        "observé depuis novembre 2025 ; absents avant",
    )
    credit_at: str = _guess(("transfer", "approval"), "quand le solde est crédité", "non documenté")
    failed_payout_restarts: bool = _guess(
        (False, True), "un dépôt échoué (failed) peut être démarré encore", "inconnu ; non est le plus prudent"
    )
    strict_numbers: bool = _guess(
        (False, True),
        "en sandbox, seuls les numéros de test écrits 01 et huit chiffres paient",
        "les rapports diffèrent : huit chiffres, +229 et huit chiffres, ou 01 et huit chiffres seulement",
    )
    webhook_entity: str = _guess(
        ("record", "api"),
        "forme de l'objet dans un webhook : celle des événements, ou celle des réponses, objets compris",
        "la seconde dans une livraison signée de 2024, la première d'après une note d'octobre 2026",
    )
    wrong_pin: str = _guess(
        ("declined", "canceled"), "ce que devient le paiement d'un code secret faux", "aucune source ne le dit"
    )
    no_money: str = _guess(
        ("canceled", "declined"),
        "ce que devient le paiement quand le solde manque",
        "canceled est documenté et observé ; declined selon d'autres",
    )
    refusal: str = _guess(
        ("declined", "pending"),
        "ce que devient le paiement que le payeur refuse sur son téléphone",
        "declined est documenté ; pending avec API_ERROR a été vu chez Celtiis",
    )
    expiry_webhook: bool = _guess(
        _BOTH, "l'expiration d'une transaction est annoncée par un webhook", "transaction.expired n'a pas été vu"
    )
    redirect_succeeds: bool = _guess(
        (False, True), "un webhook auquel un 3xx est répondu est livré", "non dans le guide ; oui selon un développeur"
    )
    events_order: str = _guess(
        ("newest", "oldest"),
        "par quel bout /v1/events commence : le plus récent des événements, ou le plus ancien",
        "le plus récent dans les listes enregistrées, qui sont d'autres objets ou datent de 2021 et 2022",
    )
    disable_after: int = _guess(
        (10, 1), "essais sans succès après lesquels un webhook est coupé", "dix dans le guide ; un seul selon un client"
    )

    def __setattr__(self, name: str, value: Any) -> None:
        choices = choices_of(name)
        # True is 1 in Python, and 200.0 is 200: neither is what was asked for.
        if not any(value == each and type(value) is type(each) for each in choices):
            expected = " ou ".join(_choice_text(each) for each in choices)
            raise InvalidArgument(f"{name}={value!r} : {expected} est attendu.", field=name)
        super().__setattr__(name, value)

    @staticmethod
    def known() -> "List[Guess]":
        """Chaque réglage, avec ce que l'on en sait."""
        return [Guess(each.name, each.default, **each.metadata) for each in fields(Settings)]

    def to_dict(self) -> Dict[str, Any]:
        """Chaque réglage et sa valeur."""
        return {each.name: getattr(self, each.name) for each in fields(Settings)}

    def take(self, other: "Settings") -> None:
        """Prend chaque réglage d'un autre."""
        if not isinstance(other, Settings):
            raise InvalidArgument(f"settings={other!r} : Settings(…) est attendu.", field="settings")
        self.change(other.to_dict())

    def change(self, values: Dict[str, Any]) -> None:
        """Change plusieurs réglages, tous ou aucun."""
        checked = Settings()
        for name, value in values.items():
            setattr(checked, name, value)
        for name in values:
            setattr(self, name, getattr(checked, name))


class Guess(NamedTuple):
    """
    Un réglage, et ce que l'on en sait.

    Attributes:
        name: son nom.
        default: sa valeur si rien n'est dit.
        choices: les valeurs possibles.
        about: ce qu'il décide.
        sources: ce que les sources disent de FedaPay.
    """

    name: str
    default: Any
    choices: Tuple[Any, ...]
    about: str
    sources: str

    @property
    def written(self) -> List[str]:
        """Les valeurs possibles, comme la ligne de commande les attend."""
        return [{True: "oui", False: "non"}[each] if isinstance(each, bool) else str(each) for each in self.choices]


#: Other guesses of the emulator, which no setting changes.
FIXED = (
    "Aucune limite de débit : ni chiffre ni en-tête n'est connu ; api.too_many en simule une.",
    "Les corps de 401, 404, 403 et d'une référence déjà prise : aucun n'a été enregistré.",
    "Les attentes entre deux essais d'un webhook : 2, 4, 8… 120 secondes ; le guide ne donne que le plafond.",
    "Le délai laissé à un webhook pour répondre : dix secondes.",
    "Le mode d'un paiement par carte, et ce qu'en dit payment_method ; les cartes d'essai sont celles de l'émulateur.",
    "Les montants minimal et maximal par mode, et la longueur des textes : aucun.",
    "per_page n'a pas de maximum, et search cherche dans référence, description, nom et courriel du client.",
    "PUT /v1/transactions ne change jamais status.",
    "Les dépôts ne débitent aucun solde.",
    "Les remboursements n'existent pas : leur forme n'a été vue par personne.",
    "Les noms des événements de dépôts.",
)


def choices_of(name: str) -> Tuple[Any, ...]:
    """The values that a setting may have."""
    known = {each.name: each.metadata["choices"] for each in fields(Settings)}
    if name not in known:
        raise InvalidArgument(
            f"{name} n'est pas un réglage de l'émulateur. Réglages : {', '.join(known)}.", field="setting"
        )
    return tuple(known[name])


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


def _choice_text(value: Any) -> str:
    return {True: "oui (True)", False: "non (False)"}[value] if isinstance(value, bool) else repr(value)
