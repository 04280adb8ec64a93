"""Texts and links of the pages in French and English, and formats of money, dates and untrusted text."""

import re
from typing import Any, Dict, Tuple

from flask import g, url_for

_TEXTS: Dict[str, Tuple[str, str]] = {
    # Everywhere
    "mark": ("Émulateur : aucun argent ne circule", "Emulator: no money moves"),
    "notice": ("Avertissement", "Notice"),
    "skip": ("Aller au contenu", "Skip to content"),
    "not_found": ("Cette adresse n'existe pas", "There is no such address"),
    "error": ("Cette demande n'a pas pu être servie", "This request could not be served"),
    # Choosing how to pay
    "payment": ("Page de paiement", "Payment page"),
    "means": ("Moyen de paiement", "Means of payment"),
    "mobile": ("Mobile money", "Mobile money"),
    "card": ("Carte bancaire", "Bank card"),
    "country": ("Pays", "Country"),
    "operator": ("Opérateur", "Operator"),
    "fees": ("+ {fees} de frais", "+ {fees} of fees"),
    "number": ("Numéro de téléphone", "Phone number"),
    "number_help": (
        "Par exemple {example}. Le téléphone recevra une demande.",
        "For example {example}. It will be asked to pay.",
    ),
    "sandbox_numbers": (
        "Numéros de test : 0164000001 et 0166000001 acceptent seuls, les autres refusent ; un téléphone ouvert dans "
        "un navigateur répond à la main.",
        "Test numbers: 0164000001 and 0166000001 agree by themselves, others refuse; a phone that is open in a "
        "browser answers by hand.",
    ),
    "pay": ("Payer", "Pay"),
    "pay_sum": ("Payer {sum}", "Pay {sum}"),
    "card_number": ("Numéro de la carte", "Card number"),
    "expiry": ("Expire fin", "Expires end"),
    "expiry_form": ("MM/AA", "MM/YY"),
    "security_code": ("Code de sécurité", "Security code"),
    "test_cards": ("Cartes de l'émulateur :", "Cards of the emulator:"),
    "card_pays": ("paie", "pays"),
    "card_refuses": ("est refusée", "is refused"),
    "card_is_empty": ("n'a pas de provision", "has no funds"),
    "look_again": ("Il reste un point à corriger.", "Something needs another look."),
    "choose_country": ("Choisissez un pays de la liste.", "Choose a country of the list."),
    "choose_operator": ("Choisissez votre opérateur.", "Choose your operator."),
    "wrong_number": (
        "Ce numéro ne semble pas complet. Au pays choisi ({country}), un numéro a {digits} chiffres, comme {example}.",
        "This number does not look complete. In {country} a number has {digits} digits, like {example}.",
    ),
    "wrong_card": (
        "Vérifiez ce numéro : un chiffre semble manquer.",
        "Check this number: a digit seems to be missing.",
    ),
    "wrong_expiry": ("Donnez un mois à venir, comme 12/30.", "Give a month to come, like 12/30."),
    "wrong_code": ("Trois ou quatre chiffres au dos de la carte.", "Three or four digits on the back of the card."),
    # Waiting
    "waiting": ("Confirmez sur votre téléphone", "Confirm on your phone"),
    "waiting_help": ("Une demande de paiement vient d'être envoyée au", "A payment request was just sent to"),
    "send_again": ("Renvoyer la demande", "Send the request again"),
    "change": ("Payer autrement", "Pay another way"),
    "open_phone": ("Ouvrir ce téléphone", "Open this phone"),
    # What came of it
    "result_paid": ("Paiement accepté", "Payment accepted"),
    "result_paid_help": ("Merci. La boutique est prévenue.", "Thank you. The shop is being told."),
    "result_paid_before": ("Cette commande est déjà payée", "This order is already paid"),
    "result_paid_before_help": (
        "Ce lien a servi : rien ne sera débité de nouveau.",
        "This link was used: nothing more will be debited.",
    ),
    "result_declined": ("Paiement refusé", "Payment declined"),
    "result_declined_help": ("Rien n'a été débité.", "Nothing was debited."),
    "result_canceled": ("Paiement non abouti", "Payment failed"),
    "result_canceled_help": (
        "L'opérateur n'a pas pu débiter ce compte : le solde ne suffit peut-être pas. Rien n'a été débité.",
        "The operator could not debit this account: perhaps the balance is too low. Nothing was debited.",
    ),
    "try_again": ("Réessayer", "Try again"),
    "back": ("Retourner à la boutique", "Return to the shop"),
    "back_unpaid": ("Revenir à la boutique sans payer", "Return to the shop without paying"),
    "back_soon": ("Retour à la boutique dans {seconds} secondes.", "Back to the shop in {seconds} seconds."),
    "close": ("Vous pouvez fermer cette page.", "You may close this page."),
    "see_receipt": ("Voir le reçu", "See the receipt"),
    "closed_unknown": ("Ce lien de paiement n'existe pas", "This payment link does not exist"),
    "closed_unknown_help": (
        "Vérifiez l'adresse, ou demandez un nouveau lien à la boutique.",
        "Check the address, or ask the shop for a new link.",
    ),
    "closed_expired": ("Ce lien de paiement a expiré", "This payment link has expired"),
    "closed_expired_help": (
        "Il était valable 24 heures. Demandez un nouveau lien à la boutique.",
        "It was good for 24 hours. Ask the shop for a new link.",
    ),
    "closed_deleted": ("Ce paiement a été annulé", "This payment was cancelled"),
    "closed_deleted_help": (
        "La boutique l'a supprimé : ce lien n'est plus valable, et rien ne peut être débité.",
        "The shop deleted it: this link is no longer valid, and nothing can be debited.",
    ),
    # The receipt
    "receipt": ("Reçu", "Receipt"),
    "no_receipt": ("Ce reçu n'existe pas ou n'est plus valable.", "This receipt does not exist or is no longer valid."),
    "sum": ("Débité", "Debited"),
    "reference": ("Référence", "Reference"),
    "status": ("Statut", "Status"),
    "paid_at": ("Payé le", "Paid on"),
    "with_fees": ("dont {fees} de frais", "including {fees} of fees"),
    # The payer's phone
    "phones": ("Téléphones", "Phones"),
    "phones_changed": ("Un téléphone a changé.", "A phone has changed."),
    "phone_of": ("Téléphone {number}", "Phone {number}"),
    "all_phones": ("Tous les téléphones", "All phones"),
    "no_phones": (
        "Aucun téléphone n'a encore été sollicité. Le premier paiement en fera sonner un.",
        "No phone has been asked yet. The first payment will make one ring.",
    ),
    "any_phone": ("Ouvrir le téléphone d'un numéro", "Open the phone of a number"),
    "no_number": ("Ce n'est pas un numéro de téléphone : 8 à 15 chiffres.", "That is no phone number: 8 to 15 digits."),
    "open": ("Ouvrir", "Open"),
    "waits": ("{count} en attente", "{count} waiting"),
    "quiet": ("rien en attente", "nothing waiting"),
    "rings": ("Le téléphone sonne : une demande de paiement.", "The phone rings: a payment request."),
    "silent": ("Aucune demande. Ce téléphone sonnera ici.", "No request. This phone will ring here."),
    "asks": ("Confirmer le paiement de", "Confirm the payment of"),
    "to": ("à", "to"),
    "pin": ("Code secret", "PIN"),
    "any_pin": ("N'importe quel code convient ; il n'est pas envoyé.", "Any code will do; it is not sent."),
    "agree": ("Valider", "Confirm"),
    "other_answers": ("Répondre autrement", "Other answers"),
    "wrong_pin": ("Code faux", "Wrong PIN"),
    "no_money": ("Solde insuffisant", "No money"),
    "refuse": ("Refuser", "Refuse"),
    "ignore": ("Ignorer", "Ignore"),
    "done_agree": ("Payé.", "Paid."),
    "done_wrong_pin": ("Code faux : non payé.", "Wrong PIN: not paid."),
    "done_no_money": ("Solde insuffisant : non payé.", "Not enough money: not paid."),
    "done_refuse": ("Refusé.", "Refused."),
    "done_ignore": ("Ignoré : le paiement reste en attente.", "Ignored: the payment stays pending."),
    "done_late": ("Cette demande n'attend plus de réponse.", "This request waits for no answer any more."),
    "others": ("Autres demandes en attente : {count}", "Other requests waiting: {count}"),
}

#: Results of the dashboard's buttons.
DONE: Dict[str, str] = {
    "paye": "La transaction est payée.",
    "change": "Fait.",
    "livre": "Le webhook repart.",
    "saut": "L'heure a sauté ; ce qui devait arriver d'ici là est arrivé.",
    "oublie": "Tout est oublié.",
    "panne": "Panne demandée.",
    "sans_panne": "Panne retirée.",
    "regle": "Réglages changés.",
    "adresse": "Adresse changée.",
}

_THIN = "\u202f"
_FIXED = "\u00a0"


# Control characters, direction marks, lone surrogates: they would reorder or end the text.
_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")


def printable(text: object, most: int = 400) -> str:
    """Untrusted text on one line, without control characters; the template escapes it."""
    clean = _UNSHOWN.sub("\ufffd", re.sub(r"\s", " ", str(text)[: most + 1]))
    return clean if len(clean) <= most else clean[:most] + "…"


def printable_block(text: object, most: int = 20_000) -> str:
    """Untrusted text of several lines, without control characters; the template escapes it."""
    lines = str(text)[: most + 1].expandtabs(4).splitlines()
    clean = "\n".join(_UNSHOWN.sub("\ufffd", each) for each in lines)
    return clean if len(clean) <= most else clean[:most] + "…"


def text(locale: str, key: str, **values: object) -> str:
    """The text of that key in that language, its values filled in."""
    return _TEXTS[key][1 if locale == "en" else 0].format(**values)


def money(locale: str, amount: int, iso: str) -> str:
    """``15 000 F CFA``, with spaces that no line breaks at."""
    digits = f"{amount:,}" if locale == "en" else f"{amount:,}".replace(",", _THIN)
    return f"{digits} {'F CFA' if iso == 'XOF' else iso}".replace(" ", _FIXED)


def link(endpoint: str, **values: Any) -> str:
    """The URL of an endpoint, in the reader's language."""
    return url_for(endpoint, **values, locale="en" if g.get("locale") == "en" else None)


def hour(stamp: str) -> str:
    """``25/11 10:09:14`` of a stamp of the API."""
    return f"{stamp[8:10]}/{stamp[5:7]} {stamp[11:19]}"


def moment(stamp: str) -> str:
    """``25/11/2026 10:10 UTC`` of a stamp of the API."""
    return f"{stamp[8:10]}/{stamp[5:7]}/{stamp[:4]} {stamp[11:16]} UTC"
