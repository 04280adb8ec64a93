"""Injected failures of API calls and webhooks."""
