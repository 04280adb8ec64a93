"""Du clic à la livraison : ``python manage.py test``."""

from django.db import transaction
from django.test import Client, TestCase, TransactionTestCase

from commandes.models import Commande
from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.django import fedapay
from fedapay_sync.django.test import FedapayMixin


class Achat(FedapayMixin, TestCase):
    """Ce que voit le client, et ce que la boutique livre."""

    def commander(self, article: str = "pagne") -> str:
        """Une commande ; l'adresse où le client va payer."""
        reponse = self.client.post("/commandes", {"article": article, "telephone": "0164000001"})
        return str(reponse["Location"])

    def envoyer(self, webhook) -> int:
        return self.client.post(
            "/webhooks/fedapay", webhook.body, content_type="application/json", headers=webhook.headers
        ).status_code

    def livrees(self) -> int:
        return Commande.objects.filter(payee=True).count()

    def test_une_commande_payee_est_livree_une_fois(self) -> None:
        assert self.commander().startswith("http://127.0.0.1:")
        numero = self.payer.agrees()
        self.assertContains(self.client.get(f"/retour?id={numero}"), "Payée")

        approuve = self.webhook("transaction.approved", numero)
        assert [self.envoyer(approuve) for _ in range(3)] == [200, 200, 200]
        assert self.livrees() == 1

    def test_une_commande_sans_paiement_ne_part_pas(self) -> None:
        for reponse in ("refuses", "ignores"):
            self.commander()
            numero = getattr(self.payer, reponse)()
            # Le status de l'adresse n'est pas signé : n'importe qui peut l'écrire.
            self.assertContains(self.client.get(f"/retour?id={numero}&status=approved"), "En attente")
        assert self.livrees() == 0

    def test_un_montant_qui_n_est_pas_celui_demande_ne_livre_rien(self) -> None:
        self.commander()
        numero = self.payer.ignores()
        assert self.envoyer(self.webhook("transaction.approved", numero, status="approved", amount=1)) == 200
        assert self.livrees() == 0

    def test_un_faux_webhook_est_refuse(self) -> None:
        self.commander()
        numero = self.payer.ignores()
        faux = self.webhook("transaction.approved", numero, status="approved", secret="wh_sandbox_autre")
        assert self.envoyer(faux) == 400
        assert self.livrees() == 0

    def test_un_retour_invente_ne_montre_rien(self) -> None:
        for adresse in ("/retour", "/retour?id=1", "/retour?id=<script>"):
            self.assertContains(self.client.get(adresse), "Nous vérifions")

    def test_les_formulaires_restent_proteges_et_les_webhooks_passent(self) -> None:
        self.commander()
        numero = self.payer.agrees()
        client = Client(enforce_csrf_checks=True)
        assert client.post("/commandes", {"article": "pagne"}).status_code == 403
        self.client = client
        assert self.envoyer(self.webhook("transaction.approved", numero)) == 200

    def test_un_bloc_atomic_qui_entoure_la_commande(self) -> None:
        client = UserData(nom="Doe", prenom="Awa", email="awa@example.com", tel="0164000001")
        setup = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
        with self.captureOnCommitCallbacks(execute=True), transaction.atomic():
            commande = Commande.objects.create(article="pagne", montant=1000)
            fedapay.pay_on_commit(setup, client, 1000, merchant_reference=str(commande.reference))
            assert not self.fedapay_emulator.transactions
        self.payer.agrees()
        assert self.livrees() == 1


class AchatSansTransaction(FedapayMixin, TransactionTestCase):
    """Comme en production : les callbacks courent sur les threads du connecteur, avec des connexions à eux."""

    fedapay_callbacks = "here"

    def test_une_commande_payee_est_livree(self) -> None:
        self.client.post("/commandes", {"article": "panier", "telephone": "0164000001"})
        self.payer.agrees()
        assert Commande.objects.filter(payee=True).count() == 1
