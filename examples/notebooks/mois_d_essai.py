"""
Un mois de paiements inventés, pour essayer le rapprochement sans compte FedaPay : aucun argent, aucun réseau.

``demarrer`` démarre un émulateur de FedaPay dans ce processus et règle l'environnement pour lui. Tout est gardé dans
le dossier ``mois-d-essai`` : un noyau redémarré retrouve le même mois. L'effacer en fait inventer un autre.
"""

import contextlib
import os
import random
import shutil
import tempfile
from pathlib import Path

from fedapay_sync import Clock, Connector, Integration, MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.emulator import LIVE_SECRET_KEY, Emulator

DOSSIER = Path("mois-d-essai").absolute()
JOUR = 86_400
OPERATEURS = [MethodesPaiement.mtn_open] * 5 + [MethodesPaiement.moov] * 3 + [MethodesPaiement.sbin] * 2

_emulateurs = []


class Calendrier(Clock):
    """L'heure, tant de secondes plus tôt."""

    retard = 0.0

    def now(self):
        return super().now() - self.retard

    def monotonic(self):
        return super().monotonic() - self.retard


def demarrer():
    """Démarre l'émulateur, une fois, et y mène FEDAPAY_API_URL, FEDAPAY_API_KEY et FEDAPAY_DB_URL."""
    if not _emulateurs:
        if not DOSSIER.exists():
            # Ailleurs d'abord : interrompu au milieu, un mois à moitié n'est pas repris pour un mois entier.
            with a_effacer_si_incomplet() as ebauche:
                inventer(ebauche)
                ebauche.rename(DOSSIER)
        emulateur = Emulator(secret_key=LIVE_SECRET_KEY, state=DOSSIER / "fedapay.db")
        emulateur.start()
        _emulateurs.append(emulateur)
    os.environ["FEDAPAY_API_URL"] = _emulateurs[0].url
    os.environ["FEDAPAY_API_KEY"] = _emulateurs[0].secret_key
    os.environ["FEDAPAY_DB_URL"] = f"sqlite:///{(DOSSIER / 'paiements.db').as_posix()}"


@contextlib.contextmanager
def a_effacer_si_incomplet():
    """Un dossier neuf à côté de l'autre."""
    try:
        dossier = Path(tempfile.mkdtemp(prefix="ebauche-", dir=DOSSIER.parent))
    except OSError as erreur:
        raise OSError(
            f"{DOSSIER.parent} n'accepte pas d'y écrire : ouvrir le notebook dans un dossier à soi."
        ) from erreur
    try:
        yield dossier
    finally:
        shutil.rmtree(dossier, ignore_errors=True)


def inventer(dossier):
    """Vingt-neuf jours de paiements : presque tous payés, quelques-uns refusés ou sans réponse, et quatre surprises."""
    calendrier = Calendrier()
    calendrier.retard = 29 * JOUR
    with Emulator(secret_key=LIVE_SECRET_KEY, state=dossier / "fedapay.db", clock=calendrier) as emulateur:
        base = f"sqlite:///{(dossier / 'paiements.db').as_posix()}"
        with Connector(emulateur.url, api_key=emulateur.secret_key, db_url=base, clock=calendrier) as connector:
            derniers = encaisser_le_mois(connector, emulateur, calendrier)
        # La boutique est fermée : elle n'apprend pas que ceux-ci ont été payés.
        for numero in derniers:
            emulateur.approve(numero)
        # Et ces deux ventes ne sont pas d'elle.
        api = Integration(emulateur.url, default_api_key=emulateur.secret_key)
        for reference in ("CAISSE-1", "CAISSE-2"):
            vente = api.transactions.create(
                description="Vente au comptoir", amount=7500, currency="XOF", merchant_reference=reference
            )
            jeton = api.transactions.token(vente.id).token
            api.payment_intents.create("mtn_open", jeton, number="0164000001", country="bj")
            emulateur.approve(vente.id)


def encaisser_le_mois(connector, emulateur, calendrier):
    """Une à trois ventes par jour, et deux à la fin auxquelles personne n'a encore répondu : leurs numéros."""
    hasard = random.Random(16)
    jours = [hasard.choice([1, 1, 2, 2, 3]) for _ in range(29)]
    numero = 0
    for ventes in jours:
        for _ in range(ventes):
            numero += 1
            paiement = demander(connector, hasard, numero)
            fin = hasard.choices([emulateur.approve, emulateur.decline, None], [85, 9, 6])[0]
            if fin is not None:
                fin(paiement.id_transaction)
                connector.check_status(paiement.id_transaction)
        calendrier.retard -= JOUR
    return [demander(connector, hasard, numero + suivant).id_transaction for suivant in (1, 2)]


def demander(connector, hasard, numero):
    """Demande une somme de 2 000 à 40 000 francs pour la facture de ce numéro."""
    return connector.pay(
        PaiementSetup(pays=Pays.benin, method=hasard.choice(OPERATEURS)),
        UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001"),
        hasard.randrange(20, 400) * 100,
        merchant_reference=f"FACT-{numero:03}",
    )
