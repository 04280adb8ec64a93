"""Delivery of webhooks to the endpoints of shops."""
