"""The routes of the shop."""

from django.http import HttpResponse
from django.urls import include, path

urlpatterns = [
    path("webhooks/", include("fedapay_sync.django.urls")),
    path("", lambda request: HttpResponse("shop")),
]
