"""Les commandes dans l'administration."""

from django.contrib import admin

from commandes.models import Commande


@admin.register(Commande)
class CommandeAdmin(admin.ModelAdmin):
    """Une commande est payée ou non : c'est FedaPay qui le dit, et non cette page."""

    list_display = ("article", "montant", "telephone", "payee", "creee")
    list_filter = ("payee",)
    search_fields = ("reference", "telephone", "id_transaction")
    readonly_fields = ("reference", "montant", "id_transaction", "payee", "creee")
