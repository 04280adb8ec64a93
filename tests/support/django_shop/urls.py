"""The routes of the shop."""

from django.contrib import admin
from django.http import HttpResponse
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("webhooks/", include("fedapay_sync.django.urls")),
    path("", lambda request: HttpResponse("shop")),
]
