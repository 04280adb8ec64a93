"""Les routes : la boutique, l'administration, les webhooks."""

from commandes import views
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", views.accueil, name="accueil"),
    path("commandes", views.commander, name="commander"),
    path("commandes/<uuid:reference>", views.suivre, name="suivre"),
    path("retour", views.retour, name="retour"),
    path("admin/", admin.site.urls),
    path("webhooks/", include("fedapay_sync.django.urls")),
]
