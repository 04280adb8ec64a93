"""A project that has forgotten the webhooks."""

urlpatterns: list = []
