"""
Encaisser un lot : un fichier CSV de clients et de montants, chacun sollicité une fois.

    python 05_encaissements_par_lot.py clients.csv resultats.csv [--attendre SECONDES]

clients.csv, séparé par des virgules ou des points-virgules :

    reference,nom,prenom,email,tel,montant
    FACT-2026-001,Doe,John,john@example.com,0164000001,1000

La référence est celle de la facture : une seule par ligne, et toujours la même pour la même facture. C'est elle qui
fait qu'un client n'est sollicité qu'une fois, même si le programme est tué, relancé, ou lancé chaque heure par cron.
email et tel : l'un des deux suffit pour connaître le client, mais tel est le numéro à débiter.

resultats.csv reprend chaque ligne avec un mot dans « etat » (paid, declined, expired, canceled, pending, refunded,
suspect ; error pour une ligne fausse ou sans réponse), ce mot en français, et le lien où le client peut encore payer.
Il est remplacé en entier, à la fin seulement.

Code de sortie : 0, tous ont payé ; 1, il en reste ; 2, une ligne au moins est en erreur, ou le fichier est illisible ;
130, interrompu (relancer reprend tout).

Lit FEDAPAY_API_URL, FEDAPAY_API_KEY et FEDAPAY_DB_URL dans l'environnement. Sous cron, donner à FEDAPAY_DB_URL un
chemin absolu : avec une autre base, le programme ne saurait plus rien de ses premiers paiements.
"""

import argparse
import csv
import os
import signal
import sys
from typing import Dict, Iterator, List, Optional

from fedapay_sync import (
    Connector,
    FedapayError,
    MethodesPaiement,
    PaiementSetup,
    Pays,
    UserData,
)

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
COLONNES = ["reference", "nom", "prenom", "email", "tel", "montant"]
RESULTATS = ["ligne", "reference", "nom", "prenom", "montant", "etat", "libelle", "transaction", "lien", "detail"]

Ligne = Dict[str, str]


def lire(chemin: str) -> Iterator[Ligne]:
    """Les lignes du fichier, avec leur numéro ; une ligne vide n'en est pas une."""
    with open(chemin, encoding="utf-8-sig", newline="") as fichier:
        separateur = ";" if ";" in fichier.readline() else ","
        fichier.seek(0)
        lecteur = csv.DictReader(fichier, delimiter=separateur, restkey="en trop", restval="")
        manquantes = [colonne for colonne in COLONNES if colonne not in (lecteur.fieldnames or [])]
        if manquantes:
            raise ValueError(f"il manque les colonnes {', '.join(manquantes)} (la première ligne donne leurs noms)")
        for lue in lecteur:
            ligne = {colonne: (lue[colonne] or "").strip() for colonne in COLONNES}
            if any(ligne.values()):
                yield {
                    **ligne,
                    "ligne": str(lecteur.line_num),
                    "etat": "",
                    "en trop": "oui" if "en trop" in lue else "",
                }


def montant_de(texte: str) -> int:
    """« 1000 », « 1 000 » ; ni « 1000,50 », ni « mille »."""
    chiffres = "".join(texte.split())
    if not (chiffres.isascii() and chiffres.isdigit()):
        raise ValueError(f"montant {texte!r} : un nombre entier de francs est attendu")
    return int(chiffres)


def demander(fedapay: Connector, ligne: Ligne, vues: Dict[str, str]) -> Optional[int]:
    """Sollicite le client de cette ligne, s'il ne l'a pas encore été. Ce qui ne va pas est écrit dans la ligne."""
    try:
        reference = ligne["reference"]
        if not reference:
            raise ValueError("pas de référence : sans elle, ce client serait sollicité à chaque lancement")
        if reference in vues:
            raise ValueError(f"la référence est déjà celle de la ligne {vues[reference]}")
        vues[reference] = ligne["ligne"]
        if ligne["en trop"]:
            raise ValueError("la ligne a trop de colonnes")
        client = UserData(
            nom=ligne["nom"], prenom=ligne["prenom"], email=ligne["email"] or None, tel=ligne["tel"] or None
        )
        paiement = fedapay.pay(
            SETUP,
            client,
            montant_de(ligne["montant"]),
            merchant_reference=reference,
            description=f"Facture {reference}",
        )
    except (FedapayError, ValueError) as erreur:
        # ValueError : la ligne est fausse. FedapayError : refusée, ou sans réponse ; relancer est sans danger.
        ligne.update(etat="error", libelle="erreur", detail=str(erreur))
        numero = getattr(erreur, "id_transaction", None)
        ligne["transaction"] = "" if numero is None else str(numero)
        print(f"Ligne {ligne['ligne']} : {erreur}", file=sys.stderr)
        return None
    ligne.update(etat="pending", libelle="en attente", transaction=str(paiement.id_transaction))
    ligne["lien"] = paiement.payment_link or ""
    return paiement.id_transaction


def encaisser(fedapay: Connector, lignes: List[Ligne], delai: float) -> None:
    """Sollicite chacun, puis attend tout le monde ; l'état de chaque ligne est toujours le dernier connu."""
    vues: Dict[str, str] = {}
    attendues: Dict[int, Ligne] = {}
    for ligne in lignes:
        numero = demander(fedapay, ligne, vues)
        if numero is not None:
            attendues[numero] = ligne
    print(f"{len(attendues)} clients sollicités, {len(lignes) - len(attendues)} lignes en erreur.", flush=True)

    # Une barre de progression si tqdm est installé et que quelqu'un regarde ; les lignes ci-dessous dans tous les cas.
    for finis, resultat in enumerate(fedapay.as_completed(attendues, timeout=delai), start=1):
        ligne = attendues[int(str(resultat.id_transaction))]
        ligne.update(etat=str(resultat.state), libelle=resultat.state.label)
        if resultat.error is not None:
            ligne["detail"] = str(resultat.error)
        if ligne["etat"] in ("paid", "refunded", "expired"):
            ligne["lien"] = ""  # il n'y a plus rien à y payer
        print(f"{finis}/{len(attendues)} {ligne['reference']} : {ligne['libelle']}", flush=True)


def sans_formule(texte: str) -> str:
    """Un tableur exécute ce qui commence ainsi : un nom venu d'ailleurs n'a pas à le faire."""
    return f"'{texte}" if texte.startswith(("=", "+", "-", "@", "\t", "\r")) else texte


def ecrire(chemin: str, lignes: List[Ligne]) -> None:
    """Tout ou rien : tué au milieu, le programme laisse le fichier d'avant."""
    provisoire = f"{chemin}.{os.getpid()}.tmp"
    with open(provisoire, "w", encoding="utf-8", newline="") as fichier:
        ecrivain = csv.DictWriter(fichier, RESULTATS, restval="", extrasaction="ignore")
        ecrivain.writeheader()
        ecrivain.writerows({nom: sans_formule(texte) for nom, texte in ligne.items()} for ligne in lignes)
    os.replace(provisoire, chemin)


def main() -> int:
    arguments = argparse.ArgumentParser(description="Encaisser un lot de clients, chacun sollicité une fois.")
    arguments.add_argument("clients", help="fichier CSV lu")
    arguments.add_argument("resultats", help="fichier CSV écrit")
    arguments.add_argument("--attendre", type=float, default=600, metavar="SECONDES", help="au plus (600 par défaut)")
    choix = arguments.parse_args()
    try:
        lignes = list(lire(choix.clients))
    except UnicodeDecodeError:
        print(f"{choix.clients} ne peut pas être lu : l'enregistrer comme « CSV UTF-8 ».", file=sys.stderr)
        return 2
    except (OSError, ValueError, csv.Error) as erreur:
        print(f"{choix.clients} ne peut pas être lu : {erreur}", file=sys.stderr)
        return 2

    dossier = os.path.dirname(os.path.abspath(choix.resultats))
    if not os.access(dossier, os.W_OK):
        # Avant de solliciter quelqu'un, pas après.
        print(f"{dossier} n'accepte pas d'y écrire ; personne n'a été sollicité.", file=sys.stderr)
        return 2

    # Comme Ctrl-C : cron et systemd arrêtent ainsi.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    arret = 0
    try:
        with Connector() as fedapay:
            encaisser(fedapay, lignes, choix.attendre)
    except KeyboardInterrupt:
        print("Interrompu. Les paiements restent suivis ; relancer reprend tout.", file=sys.stderr)
        arret = 130
    except FedapayError as erreur:
        # Un réglage manque, ou la base ne répond plus.
        print(f"{erreur} Relancer ensuite reprend tout.", file=sys.stderr)
        arret = 2
    # Une ligne à laquelle un arrêt n'a pas laissé le temps n'a pas été demandée par ce lancement.
    for ligne in lignes:
        if not ligne["etat"]:
            ligne.update(etat="error", libelle="erreur", detail="arrêté avant cette ligne")
    ecrire(choix.resultats, lignes)
    if arret:
        return arret
    etats = {ligne["etat"] for ligne in lignes}
    return 2 if "error" in etats else 0 if etats <= {"paid"} else 1


if __name__ == "__main__":
    sys.exit(main())
