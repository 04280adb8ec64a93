"""``path("webhooks/", include("fedapay_sync.django.urls"))``: the route ``webhooks/fedapay``."""

from django.urls import path

from fedapay_sync.django.views import webhook

app_name = "fedapay"
# Both, and no redirect: FedaPay follows none, and a redirected POST would lose its body.
urlpatterns = [path("fedapay", webhook, name="webhook"), path("fedapay/", webhook)]
