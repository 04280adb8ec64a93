"""Webhooks: received, checked, identified, stored once."""
